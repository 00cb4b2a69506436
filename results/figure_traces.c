/* Training curves: the base and the others, per size. */
#include <math.h>
#include <string.h>

#include "results/figure_parts.h"
#include "results/figure_select.h"

enum { PANELS = 6, OTHERS = 30, ROW = 290, LEGEND = 64 };

static int last_step(const struct table *table, int cell)
{
    const double *step = table->trace_step + (size_t)cell * RECORD_TRACE;
    int last = -1;
    for (int k = 0; k < RECORD_TRACE; k++) {
        last = isfinite(step[k]) ? k : last;
    }
    return last;
}

/* Mean, least and most training loss over seeds, as a block of data; the number of points. */
static int write_curve(struct sketch *sketch, const char *name, int size, int setting, int every,
                       struct extent *x, struct extent *y)
{
    const struct effects *effects = sketch->analysis->effects;
    const struct table *table = sketch->analysis->table;
    int points = 0;
    fprintf(sketch->script, "$%s << EOD\n", name);
    for (int k = every - 1; k < RECORD_TRACE; k += every) {
        double tokens = NAN, sum = 0;
        struct extent loss = EXTENT_EMPTY;
        int seeds = 0;
        for (int i = effects->start[setting]; i < effects->start[setting + 1]; i++) {
            int cell = effects->order[i];
            size_t at = (size_t)cell * RECORD_TRACE + (size_t)k;
            if (effects->size_of[cell] != size || !isfinite(table->trace_loss[at])) {
                continue;
            }
            int last = last_step(table, cell);
            double end = table->trace_step[(size_t)cell * RECORD_TRACE + (size_t)last];
            tokens = table->trace_step[at] / end * table->cell[cell].tokens;
            sum += table->trace_loss[at];
            extent_add(&loss, table->trace_loss[at]);
            seeds++;
        }
        if (seeds > 0 && tokens > 0) {
            fprintf(sketch->script, "%.5g %.5g %.5g %.5g\n", tokens, sum / seeds, loss.low,
                    loss.high);
            extent_add(x, tokens);
            extent_add(y, loss.low);
            extent_add(y, loss.high);
            points++;
        }
    }
    fputs("EOD\n", sketch->script);
    return points;
}

static void plot(FILE *script, int *plots, const char *format, const char *name)
{
    fputs((*plots)++ == 0 ? "plot " : ", ", script);
    fprintf(script, "$%s %s", name, format);
}

static void legend_of(const struct sketch *sketch, const int *extreme, int extremes)
{
    const struct effects *effects = sketch->analysis->effects;
    struct legend legend = {84, sketch->width, 0, sketch->height - LEGEND + 18, false};
    for (int i = 0; i <= extremes; i++) {
        int setting = i == 0 ? effects->base : extreme[i - 1];
        if (setting >= 0) {
            struct text name = figure_setting(sketch->analysis, setting);
            sketch_legend(sketch, &legend,
                          (struct legend_entry){figure_color(i), name.s, 0, figure_dash(i)});
        }
    }
    sketch_legend(sketch, &legend, (struct legend_entry){GREY, "other settings", 0, 1});
}

static void panel(struct sketch *sketch, int size, int place, int columns, const int *extreme,
                  int extremes)
{
    const struct effects *effects = sketch->analysis->effects;
    FILE *script = sketch->script;
    struct extent x = EXTENT_EMPTY, y = EXTENT_EMPTY;
    char name[OTHERS + FIGURE_EXTREMES + 1][32];
    int kind[OTHERS + FIGURE_EXTREMES + 1]; /* −1: another; 0: the base; i: the i-th extreme */
    int curves = 0, others = 0, plots = 0;
    for (int s = 0; s < effects->settings; s++) {
        int chosen = s == effects->base ? 0 : -1;
        for (int i = 0; i < extremes; i++) {
            chosen = extreme[i] == s ? i + 1 : chosen;
        }
        if (chosen < 0 && others >= OTHERS) {
            continue;
        }
        snprintf(name[curves], sizeof name[curves], "trace%d_%d", place, s);
        kind[curves] = chosen;
        if (write_curve(sketch, name[curves], size, s, chosen < 0 ? 4 : 2, &x, &y) > 1) {
            others += chosen < 0;
            curves++;
        }
    }
    if (curves == 0) {
        return;
    }
    const double width = sketch->width / columns;
    const int column = place % columns, row = place / columns;
    const struct frame frame = {84 + width * column, width * (column + 1) - 14, 42 + ROW * row,
                                ROW * (row + 1) - 66};
    sketch_frame(sketch, frame);
    sketch_log_axis(script, "x", x, true, frame.right - frame.left);
    sketch_linear_axis(script, "y", y);
    fprintf(script, "set xlabel 'training tokens'\nset ylabel '%s'\n",
            column == 0 ? "training loss, nats per token" : "");
    if (place == 0) {
        legend_of(sketch, extreme, extremes);
    }
    fputs("set title ", script);
    sketch_quote(script, figure_label(effects->size[size].name, 24).s);
    fputc('\n', script);
    for (int layer = 0; layer < 3; layer++) { /* others, the base's band, named curves */
        for (int i = 0; i < curves; i++) {
            char style[160];
            if (layer == 0 && kind[i] < 0) {
                plot(script, &plots, "using 1:2 with lines lc rgb '" GREY "' lw 0.7", name[i]);
            } else if (layer == 1 && kind[i] == 0) {
                plot(script, &plots,
                     "using 1:3:4 with filledcurves fc rgb '" BLUE
                     "' fs transparent solid 0.2 noborder",
                     name[i]);
            } else if (layer == 2 && kind[i] >= 0) {
                snprintf(style, sizeof style, "using 1:2 with lines lc rgb '%s' lw 1.8 dt %d",
                         figure_color(kind[i]), figure_dash(kind[i]));
                plot(script, &plots, style, name[i]);
            }
        }
    }
    fputc('\n', script);
    sketch_legend_end(sketch);
    struct mean loss = {.cells = 0};
    if (effects->base >= 0) {
        loss = effects_mean(effects, effects->base, size, RESPONSE_LOSS, 0,
                            sketch->analysis->checkpoint);
    }
    if (loss.cells > 0) {
        fprintf(sketch->alt, " %s: the base ends at a held-out loss of %s nats per token;",
                effects->size[size].name, text_fixed(loss.mean, 3, false).s);
    }
}

static bool has_curve(const struct analysis *analysis, int size)
{
    for (int i = 0; i < analysis->table->cells; i++) {
        if (analysis->effects->size_of[i] == size && last_step(analysis->table, i) > 1) {
            return true;
        }
    }
    return false;
}

void figure_traces(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    const struct table *table = analysis->table;
    const struct effects *effects = analysis->effects;
    int shown[PANELS], known = 0, panels = 0, extreme[FIGURE_EXTREMES];
    if (table->trace_loss == NULL || table->trace_step == NULL) {
        snprintf(sketch->absent, sizeof sketch->absent, "The file has no training curves.");
        return;
    }
    for (int s = 0; s < effects->sizes; s++) {
        known += has_curve(analysis, s);
    }
    if (known == 0) {
        snprintf(sketch->absent, sizeof sketch->absent, "No cell has a training curve yet.");
        return;
    }
    for (int s = 0, seen = 0; s < effects->sizes; s++) { /* evenly among those that have some */
        if (has_curve(analysis, s)) {
            int next = known <= PANELS ? panels : panels * (known - 1) / (PANELS - 1);
            if (seen++ == next && panels < PANELS) {
                shown[panels++] = s;
            }
        }
    }
    int extremes = figure_extremes(analysis, extreme);
    int columns = panels == 4 ? 2 : panels < 3 ? panels : 3;
    sketch_begin(sketch, 980, ROW * ((panels + columns - 1) / columns) + LEGEND);
    fprintf(sketch->script, "set multiplot\n");
    fprintf(sketch->alt, "Training loss against training tokens, one panel per size.");
    for (int i = 0; i < panels; i++) {
        panel(sketch, shown[i], i, columns, extreme, extremes);
    }
    fprintf(sketch->script, "unset multiplot\n");
    fprintf(sketch->caption,
            "Training loss (mean over seeds) against training tokens. Band: least to most over the "
            "base's seeds. Named besides the base: the settings whose KL is furthest from it; the "
            "others in grey%s.",
            effects->settings > OTHERS + FIGURE_EXTREMES + 1 ? " (the first of them)" : "");
    if (known > panels) {
        fprintf(sketch->caption, " Shown: %d of %d sizes.", panels, known);
    }
}
