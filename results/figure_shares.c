/* The share bar: whose is the variance of log KL? */
#include <math.h>

#include "results/figure_parts.h"

static const char *const share_color[SHARES] = {BLUE, VERMILLION, PURPLE, GREY};

static void rectangle(FILE *script, int id, double x0, double x1, double y, double half,
                      const char *color)
{
    fprintf(script, "set object %d rectangle from %.6g,%.6g to %.6g,%.6g fc rgb '%s' fs solid %s\n",
            id, x0, y - half, x1, y + half, color, "noborder");
}

/* Parts of the whole on one strip: negative estimates have no length there. */
static void draw_strip(FILE *script, const struct shares *shares)
{
    double sum = 0, at = 0;
    for (int i = 0; i < SHARES; i++) {
        sum += fmax(shares->share[i].estimate, 0);
    }
    for (int i = 0; i < SHARES; i++) {
        double part = 100 * fmax(shares->share[i].estimate, 0) / sum;
        if (part > 0) {
            rectangle(script, 10 + i, at, at + part, SHARES + 1.2, 0.38, share_color[i]);
        }
        if (part > 9) {
            fprintf(script, "set label ");
            char label[32];
            snprintf(label, sizeof label, "%.0f %%", 100 * shares->share[i].estimate);
            sketch_quote(script, label);
            fprintf(script, " at %.6g,%.6g center front tc rgb '#ffffff'\n", at + part / 2,
                    SHARES + 1.2);
        }
        at += part;
    }
}

void figure_shares(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    const struct shares *shares = &analysis->shares;
    const struct fraction *fraction = &analysis->design->fraction;
    FILE *script = sketch->script;
    struct extent extent = {0, 1};
    if (!analysis->has_shares || isnan(shares->share[SHARE_SCALE].estimate)) {
        snprintf(sketch->absent, sizeof sketch->absent, "%s", analysis_no_shares(analysis));
        return;
    }
    sketch_begin(sketch, 480, 250);
    for (int i = 0; i < SHARES; i++) {
        extent_add(&extent, shares->share[i].low);
        extent_add(&extent, shares->share[i].high);
    }
    fprintf(script,
            "set xrange [%.6g:%.6g]\nset yrange [0.4:%d.8]\nset border 1 lc rgb '" GREY "'\n"
            "set xlabel 'share of the variance of log KL, %%'\nset grid noytics\n"
            "set lmargin at screen 0.33\nset rmargin at screen 0.77\nset tmargin 0.4\nset ytics "
            "scale 0 (",
            100 * fmin(extent.low, 0), 100 * fmax(extent.high, 1), SHARES + 1);
    for (int i = 0; i < SHARES; i++) {
        fputs(i == 0 ? "" : ", ", script);
        sketch_quote(script, share_name((enum share)i));
        fprintf(script, " %d", SHARES - i);
    }
    fputs(")\n", script);
    draw_strip(script, shares);
    fputs("Shares of the variance of log KL: ", sketch->alt);
    for (int i = 0; i < SHARES; i++) {
        const struct interval *share = &shares->share[i];
        const struct text shown = text_share(share->estimate, share->low, share->high);
        rectangle(script, 30 + i, 0, 100 * share->estimate, SHARES - i, 0.27, share_color[i]);
        fputs("set label ", script);
        sketch_quote(script, shown.s);
        fprintf(script, " at graph 1.05, first %d left\n", SHARES - i);
        fprintf(sketch->alt, "%s%s %s", i == 0 ? "" : ", ", share_name((enum share)i), shown.s);
    }
    fputs("$shares << EOD\n", script);
    for (int i = 0; i < SHARES; i++) {
        const struct interval *share = &shares->share[i];
        fprintf(script, "%.6g %d %.6g %.6g\n", 100 * share->estimate, SHARES - i,
                isnan(share->low) ? 100 * share->estimate : 100 * share->low,
                isnan(share->high) ? 100 * share->estimate : 100 * share->high);
    }
    fprintf(script, "EOD\nplot $shares using 1:2:3:4 with xerrorbars lc rgb '" INK
                    "' lw 1.3 pt 7 ps 0.5\n");
    fprintf(sketch->alt, "; in brackets 95 percent intervals.");
    fprintf(
        sketch->caption,
        "Whose is the variance of log KL under %s at the end of training? Over the %d settings of "
        "the balanced fraction, the sizes (at equal tokens) and the seeds of this study; other "
        "levels "
        "would give other shares. Of optimization, ",
        analysis->table->quantizer[analysis->quantizer], fraction->settings);
    for (int f = 0; f < fraction->factors; f++) {
        fprintf(sketch->caption, "%s%s %s %%", f == 0 ? "" : ", ", recipe_name(fraction->factor[f]),
                text_fixed(100 * shares->of_factor[f], 1, false).s);
    }
    fprintf(sketch->caption,
            ". Whiskers and brackets: 95 %% intervals (%d draws). Shares are not cut at 0: a "
            "negative one "
            "is noise around none. Top: the parts as one whole.",
            shares->draws);
}
