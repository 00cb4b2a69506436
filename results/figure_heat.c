/* The heat map factor level × quantizer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/figure_parts.h"

enum { ROWS = 40 };

/* A row: one contrast, with each quantizer's effect; NULL where it is not known. */
struct heat_row {
    const struct exploratory *of[CELL_QUANTIZERS];
    const char *contrast;
    struct contrast primary;
};

/* One row per contrast that has a value: the fraction's factors first, which the primary quantizer is not explored for. */
static int gather(const struct analysis *analysis, struct heat_row *rows, int *left_out)
{
    int count = 0;
    *left_out = 0;
    for (int i = 0; i < 2 * analysis->exploratories; i++) {
        const struct exploratory *each = &analysis->exploratory[i % analysis->exploratories];
        const bool primary = each->quantizer == analysis->quantizer;
        int row = 0;
        if (primary != (i >= analysis->exploratories) ||
            !isfinite(each->effect.interval.estimate)) {
            continue;
        }
        while (row < count && strcmp(rows[row].contrast, each->contrast) != 0) {
            row++;
        }
        if (row == ROWS) {
            (*left_out)++;
            continue;
        }
        if (row == count) {
            rows[count++] =
                (struct heat_row){.contrast = each->contrast,
                                  .primary = contrast_of(analysis->design, analysis->log_kl,
                                                         &each->weights, EFFECTS_ALL_SIZES, 0.05)};
        }
        rows[row].of[each->quantizer] = each;
    }
    return count;
}

static const struct interval *value_of(const struct analysis *analysis, const struct heat_row *row,
                                       int quantizer)
{
    return quantizer == analysis->quantizer ? &row->primary.interval
           : row->of[quantizer] != NULL     ? &row->of[quantizer]->effect.interval
                                            : NULL;
}

static void draw_cell(FILE *script, int id, double x, double y, double estimate, double most,
                      bool sure)
{
    double strength = fmin(fabs(estimate) / most, 1);
    int alpha = (int)lround(255 * (1 - 0.82 * strength));
    const char *color = estimate > 0 ? VERMILLION : BLUE;
    char number[TEXT_NUMBER + 4];
    fprintf(script,
            "set object %d rectangle from %g,%g to %g,%g fc rgb '#%02x%s' fs solid noborder\n", id,
            x - 0.48, y - 0.46, x + 0.48, y + 0.46, alpha, color + 1);
    double percent = text_percent(estimate);
    snprintf(number, sizeof number, "%s%s",
             text_fixed(percent, fabs(percent) < 9.5 ? 1 : 0, true).s, sure ? "*" : "");
    fputs("set label ", script);
    sketch_quote(script, number);
    fprintf(script, " at %g,%g center front font small\n", x, y);
}

/* The order of the columns: the primary first. */
static int column_of(const struct analysis *analysis, int quantizer)
{
    return quantizer == analysis->quantizer  ? 0
           : quantizer < analysis->quantizer ? quantizer + 1
                                             : quantizer;
}

static void draw_axes(struct sketch *sketch, const struct heat_row *rows, int count)
{
    const struct analysis *analysis = sketch->analysis;
    FILE *script = sketch->script;
    double left = 0, foot = 0;
    for (int q = 0; q < analysis->table->quantizers; q++) {
        foot = fmax(foot, 18 + 0.72 * figure_text_width(analysis->table->quantizer[q]));
    }
    for (int i = 0; i < count; i++) {
        left = fmax(left, 20 + figure_text_width(figure_label(rows[i].contrast, 44).s));
    }
    sketch->width = left + fmin(900, 16 + 54 * analysis->table->quantizers);
    sketch->height = foot + 8 + 30 * count;
    fprintf(script,
            "unset grid\nset border 0\nset xrange [-0.6:%d.6]\nset yrange [0.4:%d.6]\n"
            "set tmargin 0.5\nset lmargin at screen %.4g\nset bmargin at screen %.4g\nset xtics "
            "scale 0 rotate by 45 right (",
            analysis->table->quantizers - 1, count, left / sketch->width, foot / sketch->height);
    for (int q = 0; q < analysis->table->quantizers; q++) {
        fputs(q == 0 ? "" : ", ", script);
        sketch_quote(script, analysis->table->quantizer[q]);
        fprintf(script, " %d", column_of(analysis, q));
    }
    fputs(")\nset ytics scale 0 (", script);
    for (int i = 0; i < count; i++) {
        fputs(i == 0 ? "" : ", ", script);
        sketch_quote(script, figure_label(rows[i].contrast, 44).s);
        fprintf(script, " %d", count - i);
    }
    fputs(")\n", script);
    if (analysis->table->quantizers > 1) {
        fprintf(script, "set arrow from 0.5,0.5 to 0.5,%d.5 nohead lc rgb '" INK "' lw 1\n", count);
    }
}

static void say_rows(struct sketch *sketch, const struct heat_row *rows, int count)
{
    const struct analysis *analysis = sketch->analysis;
    fprintf(sketch->alt, "Effect on KL in percent, per factor level and quantizer.");
    for (int i = 0; i < count; i++) {
        int more = 0, less = 0;
        struct extent extent = EXTENT_EMPTY;
        for (int q = 0; q < analysis->table->quantizers; q++) {
            const struct interval *value = value_of(analysis, &rows[i], q);
            if (value != NULL && isfinite(value->estimate)) {
                more += value->estimate > 0;
                less += value->estimate < 0;
                extent_add(&extent, text_percent(value->estimate));
            }
        }
        if (more + less > 0) {
            fprintf(sketch->alt,
                    " %s: more under %d quantizers, less under %d, from %s to %s percent.",
                    rows[i].contrast, more, less, text_significant(extent.low, 2).s,
                    text_significant(extent.high, 2).s);
        }
    }
}

/* The largest effect, for the strongest colour; 0: there is none. */
static double largest(const struct analysis *analysis, const struct heat_row *rows, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++) {
        for (int q = 0; q < analysis->table->quantizers; q++) {
            const struct interval *value = value_of(analysis, &rows[i], q);
            if (value != NULL && isfinite(value->estimate)) {
                most = fmax(most, fmax(log(1.05), fmin(fabs(value->estimate), log(4))));
            }
        }
    }
    return most;
}

static void draw_cells(struct sketch *sketch, const struct heat_row *rows, int count, double most)
{
    const struct analysis *analysis = sketch->analysis;
    int id = 1;
    for (int i = 0; i < count; i++) {
        for (int q = 0; q < analysis->table->quantizers; q++) {
            const struct interval *value = value_of(analysis, &rows[i], q);
            if (value != NULL && isfinite(value->estimate)) {
                draw_cell(sketch->script, id++, column_of(analysis, q), count - i, value->estimate,
                          most, rows[i].of[q] != NULL && rows[i].of[q]->holm < 0.05);
            }
        }
    }
}

void figure_heat(struct sketch *sketch)
{
    const struct analysis *analysis = sketch->analysis;
    struct heat_row *rows = calloc(ROWS, sizeof *rows);
    int left_out = 0;
    int count = rows == NULL ? 0 : gather(analysis, rows, &left_out);
    double most = largest(analysis, rows, count);
    if (most <= 0 || analysis->table->quantizers < 2) {
        snprintf(sketch->absent, sizeof sketch->absent,
                 analysis->table->quantizers < 2
                     ? "The study has one quantizer."
                     : "No factor level has finished cells that can be compared.");
        free(rows);
        return;
    }
    sketch_begin(sketch, 980, 400); /* draw_axes knows better */
    draw_axes(sketch, rows, count);
    draw_cells(sketch, rows, count, most);
    fprintf(sketch->script, "plot NaN\n");
    say_rows(sketch, rows, count);
    fprintf(
        sketch->caption,
        "Effect on KL in percent at the end of training, mean over sizes. Orange: more "
        "degradation, blue: less; the stronger the colour, the larger. %s (left of the line) is "
        "the confirmatory quantizer; the others are exploratory, * marks p < 0.05 after Holm's "
        "adjustment within the quantizer.",
        analysis->table->quantizer[analysis->quantizer]);
    if (left_out > 0) {
        fprintf(sketch->caption, " %d more effects are in the table of exploratory effects.",
                left_out);
    }
    free(rows);
}
