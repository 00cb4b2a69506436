/* Axes, labels, colours. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

#include "results/figure_parts.h"
#include "results/figure_select.h"

const char *figure_color(int i)
{
    static const char *const colors[FIGURE_COLORS] = {BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY};
    return colors[i % FIGURE_COLORS];
}

int figure_marker(int i)
{
    static const int markers[] = {7, 5, 9, 11, 13, 15, 4, 6, 8, 10}; /* filled first */
    return markers[i % (int)(sizeof markers / sizeof markers[0])];
}

int figure_dash(int i)
{
    static const int dashes[] = {1, 2, 4, 3, 5};
    return dashes[i % (int)(sizeof dashes / sizeof dashes[0])];
}

void sketch_quote(FILE *script, const char *text)
{
    fputc('\'', script);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            fputs("''", script);
        } else {
            fputc((unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c, script);
        }
    }
    fputc('\'', script);
}

struct text figure_label(const char *text, int width)
{
    struct text label = {""};
    size_t used = 0;
    int points = text_width(text);
    for (const char *c = text; *c != '\0' && used < sizeof label.s - 8; c++) {
        bool starts = ((unsigned char)*c & 0xC0U) != 0x80U;
        if (starts && points > width && text_width(label.s) >= width - 1) {
            break;
        }
        label.s[used++] = *c;
        label.s[used] = '\0';
    }
    if (points > width || used < strlen(text)) {
        memcpy(label.s + used, "\xe2\x80\xa6", 4);
    }
    return label;
}

struct kl_unit figure_kl_unit(const struct analysis *analysis)
{
#define NATS " nats per token"
#define TEN  "KL, 10\xe2\x81\xbb"
    static const struct kl_unit units[] = {{1, "KL," NATS},
                                           {1e3, TEN "\xc2\xb3" NATS},
                                           {1e6, TEN "\xe2\x81\xb6" NATS},
                                           {1e9, TEN "\xe2\x81\xb9" NATS}};
    enum { UNITS = sizeof units / sizeof units[0] };
    double sum = 0;
    int cells = 0, unit = 0;
    for (int i = 0; i < analysis->table->cells; i++) {
        if (isfinite(analysis->log_kl[i])) {
            sum += analysis->log_kl[i];
            cells++;
        }
    }
    while (cells > 0 && unit < UNITS - 1 && exp(sum / cells) * units[unit].scale < 0.03) {
        unit++;
    }
    return units[unit];
}

static void append(struct text *text, const char *what, const char *level)
{
    size_t used = strlen(text->s);
    snprintf(text->s + used, sizeof text->s - used, "%s%s%s", used > 0 ? ", " : "", what, level);
}

struct text figure_setting(const struct analysis *analysis, int setting)
{
    static const char *const names[RECIPES] = {
        [RECIPE_DECAY] = "decay ",  [RECIPE_DROPOUT] = "dropout ",
        [RECIPE_CLIP] = "clip ",    [RECIPE_PRECISION] = "",
        [RECIPE_RATE] = "",         [RECIPE_SCHEDULE] = "",
        [RECIPE_TOKENS] = "tokens "};
    const struct design_setting *recipe = &analysis->design->setting[setting];
    const char *label = analysis->effects->setting[setting].label;
    struct text text = {""};
    int changes = 0, said = 0;
    for (const char *c = label; *c != '\0'; c++) {
        changes += *c == '=';
    }
    for (int r = 0; r < RECIPES; r++) {
        if (r == RECIPE_TOKENS && isnan(figure_tokens(analysis->effects, setting))) {
            continue; /* another number at every size: the label says what is equal */
        }
        if (recipe->changed & 1U << r && isfinite(recipe->value[r])) {
            char level[32];
            if (r == RECIPE_TOKENS) {
                snprintf(level, sizeof level, "%.31s", text_count(recipe->value[r]).s);
            } else {
                recipe_level((enum recipe)r, recipe->value[r], level);
            }
            append(&text, names[r], level);
            said++;
        }
    }
    return said > 0 && said == changes ? text : figure_label(label, 64);
}

void extent_add(struct extent *extent, double value)
{
    if (isfinite(value)) {
        extent->low = fmin(extent->low, value);
        extent->high = fmax(extent->high, value);
    }
}

bool extent_known(const struct extent *extent)
{
    return extent->low <= extent->high;
}

static void range(FILE *script, const char *axis, double low, double high)
{
    fprintf(script, "set %srange [%.10g:%.10g]\n", axis, low, high);
}

/* One tic of a list; `count` of those before. */
static void tic(FILE *script, const char *axis, int count, const char *label, double at)
{
    if (count == 0) {
        fprintf(script, "set %stics (", axis);
    } else {
        fputs(", ", script);
    }
    sketch_quote(script, label);
    fprintf(script, " %.10g", at);
}

static void tics_end(FILE *script, int count)
{
    if (count > 0) {
        fputs(")\n", script);
    }
}

/* "20 k", "0.0025" */
static struct text log_label(double at, bool count)
{
    struct text label;
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int unit = 0;
    for (; count && at >= 999.5 && unit < 4; unit++) {
        at /= 1000;
    }
    snprintf(label.s, sizeof label.s, at >= 1e-4 ? "%.4g%s" : "%.1e%s", at, units[unit]);
    return label;
}

/* Tics of a logarithmic axis, the roundest first: later ones have to keep their distance. */
void sketch_log_axis(FILE *script, const char *axis, struct extent extent, bool counts,
                     double pixels)
{
    static const double steps[] = {1, 5, 2, 3, 7, 1.5, 4, 6, 2.5, 8, 1.2, 3.5, 4.5, 9};
    enum { STEPS = sizeof steps / sizeof steps[0], MOST = 12 };
    double at[MOST];
    int count = 0;
    if (!extent_known(&extent) || extent.low <= 0) {
        return;
    }
    double room = fmax(pow(extent.high / extent.low, 0.06), extent.high > extent.low ? 1.03 : 1.4);
    double low = extent.low / room, high = extent.high * room;
    double gap = (axis[0] == 'x' ? 46 : 24) / pixels * log10(high / low);
    fprintf(script, "set logscale %s\n", axis);
    range(script, axis, low, high);
    for (int i = 0; i < STEPS && (i < 3 || count < 3); i++) {
        for (int decade = (int)floor(log10(low)); decade <= (int)ceil(log10(high)); decade++) {
            double x = steps[i] * pow(10, decade);
            bool free = x >= low && x <= high && count < MOST;
            for (int k = 0; k < count && free; k++) {
                free = fabs(log10(x / at[k])) >= gap;
            }
            if (free) {
                tic(script, axis, count, log_label(x, counts).s, x);
                at[count++] = x;
            }
        }
    }
    tics_end(script, count);
    if (count == 0) {
        fprintf(script, "set %stics auto\n", axis);
    }
}

void sketch_linear_axis(FILE *script, const char *axis, struct extent extent)
{
    if (extent_known(&extent)) {
        double room = extent.high > extent.low ? 0.05 * (extent.high - extent.low) : 0.5;
        range(script, axis, extent.low - room, extent.high + room);
    }
    fprintf(script, "unset logscale %s\nset %stics auto\n", axis, axis);
}

void sketch_percent_axis(FILE *script, const char *axis, struct extent extent, double pixels)
{
    static const double percents[] = {0,   1,   2,    5,    10,   20,  50,  100, 200,
                                      400, 900, 1900, 4900, 9900, -1,  -2,  -5,  -10,
                                      -20, -33, -50,  -67,  -80,  -90, -95, -98, -99};
    extent_add(&extent, 0);
    double room = fmax(0.05 * (extent.high - extent.low), 0.004);
    double low = extent.low - room, high = extent.high + room;
    double gap = 38 / fmax(pixels, 76) * (high - low), up = 0, down = 0;
    int count = 0;
    range(script, axis, low, high);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double at = log1p(percents[i] / 100);
        bool first = percents[i] == 0;
        if (at < low || at > high || (!first && (at > 0 ? at - up : down - at) < gap)) {
            continue;
        }
        up = at > 0 ? at : up;
        down = at < 0 ? at : down;
        tic(script, axis, count++, text_fixed(percents[i], 0, true).s, at);
    }
    tics_end(script, count);
}

void sketch_frame(const struct sketch *sketch, struct frame frame)
{
    fprintf(sketch->script,
            "set lmargin at screen %.5g\nset rmargin at screen %.5g\nset tmargin at screen %.5g\n"
            "set bmargin at screen %.5g\n",
            frame.left / sketch->width, frame.right / sketch->width, 1 - frame.top / sketch->height,
            1 - frame.bottom / sketch->height);
}

double figure_text_width(const char *text)
{
    return 7.1 * text_width(text);
}

void sketch_legend(const struct sketch *sketch, struct legend *legend, struct legend_entry entry)
{
    const double sample = entry.dash > 0 ? 34 : 14, row = 20;
    double width = sample + 8 + figure_text_width(entry.text) + 18;
    FILE *script = sketch->script;
    if (!legend->started) {
        legend->x = legend->left;
        legend->started = true;
    } else if (legend->x + width > legend->right) {
        legend->x = legend->left;
        legend->y += row;
    }
    double x = legend->x / sketch->width, y = 1 - legend->y / sketch->height;
    if (entry.dash > 0) {
        fprintf(script,
                "set arrow from screen %.5g, screen %.5g to screen %.5g, screen %.5g nohead lc rgb "
                "'%s' lw 2 dt %d\n",
                x, y, x + sample / sketch->width, y, entry.color, entry.dash);
    }
    if (entry.marker > 0) {
        fprintf(script, "set label '' at screen %.5g, screen %.5g point lc rgb '%s' pt %d ps 0.9\n",
                x + sample / 2 / sketch->width, y, entry.color, entry.marker);
    }
    fputs("set label ", script);
    sketch_quote(script, entry.text);
    fprintf(script, " at screen %.5g, screen %.5g left\n", x + (sample + 8) / sketch->width, y);
    legend->x += width;
}

void sketch_legend_end(const struct sketch *sketch)
{
    fputs("unset label\nunset arrow\n", sketch->script);
}

void sketch_begin(struct sketch *sketch, double width, double height)
{
    sketch->width = width;
    sketch->height = height;
    fprintf(sketch->script, "set encoding utf8\n"
                            "set border 3 lc rgb '" GREY "' lw 1\n"
                            "set tics nomirror out scale 0.5 textcolor rgb '" INK "'\n"
                            "set grid lc rgb '" FAINT "' lw 0.7 dt 1\n"
                            "unset key\nset xlabel offset 0,0.3\n");
}

double figure_half(const struct effects *effects, int setting, int size, enum response response,
                   int quantizer, int checkpoint)
{
    double squares = 0;
    int df = 0, cells = 0;
    for (int s = 0; s < effects->sizes; s++) {
        struct mean mean = effects_mean(effects, setting, s, response, quantizer, checkpoint);
        if (mean.cells > 1) {
            squares += (mean.cells - 1) * mean.sd * mean.sd;
            df += mean.cells - 1;
        }
        cells = s == size ? mean.cells : cells;
    }
    return df > 0 && cells > 0 ? gsl_cdf_tdist_Pinv(0.975, df) * sqrt(squares / df / cells) : NAN;
}
