/* Probes of the mechanism against degradation, cell by cell. */
#include <math.h>

#include "results/figure_parts.h"

enum { POINTS = 1500, SIZES = 12 };

/* Circle bf16, triangle fp16, square fp32: open where colours start again. */
static int marker_of(enum precision precision, int size)
{
    bool open = size >= FIGURE_COLORS;
    return precision == PRECISION_BF16   ? (open ? 6 : 7)
           : precision == PRECISION_FP16 ? (open ? 8 : 9)
                                         : (open ? 4 : 5);
}

static double probe_of(const struct analysis *analysis, enum table_probe probe, int cell)
{
    const struct table *table = analysis->table;
    if (table->probe[probe] == NULL || table->cell[cell].status != CELL_DONE) {
        return NAN;
    }
    return table->probe[probe][cell * table->checkpoints + analysis->checkpoint];
}

static void legend_of(const struct sketch *sketch, int sizes,
                      int written[SIZES][PRECISION_FP16 + 1])
{
    struct legend legend = {96, sketch->width, 0, 334, false};
    for (int s = 0; s < sizes; s++) {
        struct text name = figure_label(sketch->analysis->effects->size[s].name, 20);
        int cells = 0;
        for (int p = 0; p <= PRECISION_FP16; p++) {
            cells += written[s][p];
        }
        if (cells == 0) {
            continue;
        }
        sketch_legend(
            sketch, &legend,
            (struct legend_entry){figure_color(s), name.s, marker_of(PRECISION_BF16, s), 0});
    }
    for (int p = 0; p <= PRECISION_FP16; p++) {
        int cells = 0;
        for (int s = 0; s < sizes; s++) {
            cells += written[s][p];
        }
        if (cells > 0) {
            sketch_legend(sketch, &legend,
                          (struct legend_entry){INK, precision_name((enum precision)p),
                                                marker_of((enum precision)p, 0), 0});
        }
    }
}

/* Every `step`-th cell, so that a page can hold them. */
static void panel(struct sketch *sketch, enum table_probe probe, int step, int place)
{
    const struct analysis *analysis = sketch->analysis;
    const struct effects *effects = analysis->effects;
    FILE *script = sketch->script;
    struct extent x = EXTENT_EMPTY, y = EXTENT_EMPTY;
    const struct kl_unit unit = figure_kl_unit(analysis);
    int sizes = effects->sizes < SIZES ? effects->sizes : SIZES;
    int written[SIZES][PRECISION_FP16 + 1] = {{0}};
    for (int s = 0; s < sizes; s++) {
        for (int p = 0; p <= PRECISION_FP16; p++) {
            fprintf(script, "$probe%d_%d_%d << EOD\n", (int)probe, s, p);
            for (int i = 0; i < analysis->table->cells; i += step) {
                double value = probe_of(analysis, probe, i);
                if (effects->size_of[i] == s && (int)analysis->table->cell[i].precision == p &&
                    isfinite(value) && isfinite(analysis->log_kl[i])) {
                    double kl = unit.scale * exp(analysis->log_kl[i]);
                    fprintf(script, "%.5g %.5g\n", exp(value), kl);
                    extent_add(&x, exp(value));
                    extent_add(&y, kl);
                    written[s][p]++;
                }
            }
            fputs("EOD\n", script);
        }
    }
    if (!extent_known(&x)) {
        return;
    }
    const struct frame frame = {96 + 304 * place, 344 + 304 * place, 12, 250};
    sketch_frame(sketch, frame);
    sketch_log_axis(script, "x", x, false, frame.right - frame.left);
    sketch_log_axis(script, "y", y, false, frame.bottom - frame.top);
    fprintf(script, "set xlabel '%s'\nset ylabel '%s'\n", table_probe_name(probe),
            place == 0 ? unit.name : "");
    if (place == 0) {
        legend_of(sketch, sizes, written);
    }
    fputs("plot ", script);
    int plots = 0;
    for (int s = 0; s < sizes; s++) {
        for (int p = 0; p <= PRECISION_FP16; p++) {
            if (written[s][p] > 0) {
                fprintf(script, "%s$probe%d_%d_%d with points lc rgb '%s' pt %d ps 0.7",
                        plots++ > 0 ? ", " : "", (int)probe, s, p, figure_color(s),
                        marker_of((enum precision)p, s));
            }
        }
    }
    fputc('\n', script);
    sketch_legend_end(sketch);
}

void figure_probes(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    int known = 0, cells = 0, place = 0;
    for (int i = 0; i < analysis->table->cells; i++) {
        bool any = false;
        for (int p = 0; p < TABLE_PROBES; p++) {
            any |= isfinite(probe_of(analysis, (enum table_probe)p, i)) &&
                   isfinite(analysis->log_kl[i]);
        }
        known += any;
    }
    if (known == 0) {
        snprintf(sketch->absent, sizeof sketch->absent,
                 "No finished cell has probes and a KL at the end of training.");
        return;
    }
    int step = (analysis->table->cells + POINTS - 1) / POINTS;
    sketch_begin(sketch, 980, 362);
    fprintf(sketch->script, "set multiplot\n");
    fprintf(sketch->alt, "Each probe against KL, one point per cell.");
    for (int p = 0; p < TABLE_PROBES; p++) {
        const struct mechanism *mechanism = &analysis->mechanism[p];
        struct extent range = EXTENT_EMPTY;
        cells = 0;
        for (int i = 0; i < analysis->table->cells; i++) {
            double value = probe_of(analysis, (enum table_probe)p, i);
            if (isfinite(value)) {
                extent_add(&range, value);
                cells++;
            }
        }
        if (cells == 0) {
            continue;
        }
        panel(sketch, (enum table_probe)p, step, place++);
        fprintf(sketch->alt, " %s: %d cells, from %s to %s", table_probe_name((enum table_probe)p),
                cells, text_significant(exp(range.low), 3).s,
                text_significant(exp(range.high), 3).s);
        if (mechanism->known && isfinite(mechanism->r)) {
            fprintf(sketch->alt, ", residual correlation with log KL %s",
                    text_interval(mechanism->r, mechanism->r_low, mechanism->r_high).s);
        }
        fputc('.', sketch->alt);
    }
    fprintf(sketch->script, "unset multiplot\n");
    fprintf(sketch->caption,
            "Each point is a cell at the end of training: geometric mean of the probe over layers, "
            "against KL under %s; both axes logarithmic. Colours are sizes, shapes the training "
            "precision.",
            analysis->table->quantizer[analysis->quantizer]);
    if (step > 1) {
        fprintf(sketch->caption, " Every %d-th cell is shown.", step);
    }
    if (analysis->effects->sizes > SIZES) {
        fprintf(sketch->caption, " Shown: the smallest %d of %d sizes.", SIZES,
                analysis->effects->sizes);
    }
}
