#include "results/mechanism.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include "results/holm.h"
#include "results/hypothesis.h"
#include "results/solve.h"

static const double ALPHA = 0.05;

static enum hypothesis claim_about(enum table_probe probe)
{
    return probe == TABLE_GAIN_STD ? H4A : H1;
}

/* ── Residuals ── */

/* The two-way layout of one size: settings and seeds, with gaps. */
struct layout {
    int settings, seeds;
    double *of_setting; /* (settings): sums, then means */
    int *in_setting;    /* (settings) */
    double *matrix;     /* (seeds, seeds) */
    double *effect;     /* (seeds) */
};

static bool is_used(int cell, const double *x, const double *y)
{
    return cell >= 0 && isfinite(x[cell]) && isfinite(y[cell]);
}

/* Replace `values` of the used cells of a size by their residuals from setting and block
 * effects, by least squares: settings are eliminated, which leaves one equation per seed.
 * Returns the residual degrees of freedom. */
static int remove_means(const struct design *design, int size, struct layout *layout,
                        const double *x, const double *y, double *values)
{
    int seeds = layout->seeds, cells = 0, settings = 0;
    memset(layout->matrix, 0, (size_t)seeds * (size_t)seeds * sizeof *layout->matrix);
    memset(layout->effect, 0, (size_t)seeds * sizeof *layout->effect);
    for (int i = 0; i < layout->settings; i++) {
        double sum = 0;
        int n = 0;
        for (int k = 0; k < seeds; k++) {
            int cell = design_cell(design, i, size, k);
            if (is_used(cell, x, y)) {
                sum += values[cell];
                n++;
            }
        }
        layout->in_setting[i] = n;
        layout->of_setting[i] = n > 0 ? sum / n : 0;
        cells += n;
        settings += n > 0;
        for (int k = 0; k < seeds; k++) {
            int cell = design_cell(design, i, size, k);
            if (!is_used(cell, x, y)) {
                continue;
            }
            layout->effect[k] += values[cell] - layout->of_setting[i];
            layout->matrix[k * seeds + k] += 1;
            for (int other = 0; other < seeds; other++) {
                if (is_used(design_cell(design, i, size, other), x, y)) {
                    layout->matrix[k * seeds + other] -= 1.0 / n;
                }
            }
        }
    }
    int rank = solve_semidefinite(layout->matrix, layout->effect, seeds);
    for (int i = 0; i < layout->settings; i++) {
        double mean = layout->of_setting[i]; /* of the values less their block's effect */
        for (int k = 0; k < seeds; k++) {
            if (is_used(design_cell(design, i, size, k), x, y)) {
                mean -= layout->effect[k] / layout->in_setting[i];
            }
        }
        for (int k = 0; k < seeds; k++) {
            int cell = design_cell(design, i, size, k);
            if (is_used(cell, x, y)) {
                values[cell] -= mean + layout->effect[k];
            }
        }
    }
    return cells - settings - rank;
}

static void correlate(struct mechanism *mechanism, double xx, double xy, double yy, int df)
{
    mechanism->r_df = df - 1;
    if (!(xx > 0 && yy > 0) || df < 2) {
        return;
    }
    double r = fmax(-1, fmin(1, xy / sqrt(xx * yy)));
    mechanism->r = r;
    mechanism->r_p =
        2 * gsl_cdf_tdist_Q(fabs(r) * sqrt(mechanism->r_df / (1 - r * r)), mechanism->r_df);
    if (mechanism->r_df > 1) {
        double half = gsl_cdf_ugaussian_Qinv(ALPHA / 2) / sqrt(mechanism->r_df - 1);
        mechanism->r_low = tanh(atanh(r) - half);
        mechanism->r_high = tanh(atanh(r) + half);
    }
}

/* Correlation of what is left of probe and y within sizes. `scratch`: (2, cells). */
static int correlate_residuals(struct error *err, const struct design *design, const double *probe,
                               const double *y, double *scratch, struct mechanism *mechanism)
{
    int status = STATUS_OK;
    size_t cells = (size_t)design->effects->table->cells;
    size_t seeds = (size_t)design->seeds, settings = (size_t)design->effects->settings;
    struct layout layout = {.settings = design->effects->settings, .seeds = design->seeds};
    double xx = 0, xy = 0, yy = 0, total = 0, total_y = 0;
    int df = 0;
    double *rest = scratch, *rest_y = scratch + cells;
    layout.of_setting = calloc(settings + 1, sizeof *layout.of_setting);
    layout.in_setting = calloc(settings + 1, sizeof *layout.in_setting);
    layout.matrix = calloc(seeds * seeds + 1, sizeof *layout.matrix);
    layout.effect = calloc(seeds + 1, sizeof *layout.effect);
    CHECK(err,
          layout.of_setting != NULL && layout.in_setting != NULL && layout.matrix != NULL &&
              layout.effect != NULL,
          STATUS_FAILED, "out of memory for the residuals of %zu settings", settings);
    memcpy(rest, probe, cells * sizeof *rest);
    memcpy(rest_y, y, cells * sizeof *rest_y);
    for (int s = 0; s < design->effects->sizes; s++) {
        df += remove_means(design, s, &layout, probe, y, rest);
        remove_means(design, s, &layout, probe, y, rest_y);
    }
    for (size_t i = 0; i < cells; i++) {
        if (is_used((int)i, probe, y)) {
            xx += rest[i] * rest[i];
            xy += rest[i] * rest_y[i];
            yy += rest_y[i] * rest_y[i];
            total += probe[i] * probe[i];
            total_y += y[i] * y[i];
        }
    }
    /* what rounding leaves of a probe that does not vary between seeds is no correlation */
    if (xx > 1e-24 * total && yy > 1e-24 * total_y) {
        correlate(mechanism, xx, xy, yy, df);
    }
cleanup:
    free(layout.of_setting);
    free(layout.in_setting);
    free(layout.matrix);
    free(layout.effect);
    return status;
}

/* ── All ── */

/* The log probe of finished runs at the final checkpoint. */
static void read_probe(const struct table *table, int probe, double *values)
{
    size_t checkpoints = (size_t)table->checkpoints;
    for (size_t i = 0; i < (size_t)table->cells; i++) {
        values[i] = table->cell[i].status == CELL_DONE
                        ? table->probe[probe][i * checkpoints + checkpoints - 1]
                        : NAN;
    }
}

static int adjust(struct error *err, struct mechanism mechanism[TABLE_PROBES])
{
    int status = STATUS_OK;
    double p[2 * TABLE_PROBES], adjusted[2 * TABLE_PROBES];
    for (int i = 0; i < TABLE_PROBES; i++) {
        p[2 * i] = mechanism[i].ratio.p;
        p[2 * i + 1] = mechanism[i].r_p;
    }
    TRY(holm_adjust(err, p, 2 * TABLE_PROBES, adjusted));
    for (int i = 0; i < TABLE_PROBES; i++) {
        struct mechanism *one = &mechanism[i];
        one->ratio_holm = adjusted[2 * i];
        one->r_holm = adjusted[2 * i + 1];
        one->supported = one->known && one->ratio.interval.estimate > 0 &&
                         one->ratio_holm < ALPHA && one->r > 0 && one->r_holm < ALPHA;
    }
cleanup:
    return status;
}

int mechanism_of(struct error *err, const struct design *design, const double *y,
                 struct mechanism mechanism[TABLE_PROBES])
{
    int status = STATUS_OK;
    const struct table *table = design->effects->table;
    double *values = malloc(3 * (size_t)table->cells * sizeof *values);
    CHECK(err, values != NULL, STATUS_FAILED, "out of memory for the probes of %d cells",
          table->cells);
    for (int i = 0; i < TABLE_PROBES; i++) {
        struct weights weights;
        char reason[160];
        mechanism[i] = (struct mechanism){
            .ratio = contrast_none, .r = NAN, .r_low = NAN, .r_high = NAN, .r_p = NAN};
        if (table->probe[i] == NULL) {
            continue;
        }
        read_probe(table, i, values);
        if (hypothesis_weights(design, claim_about((enum table_probe)i), &weights,
                               mechanism[i].contrast, reason)) {
            mechanism[i].ratio = contrast_of(design, values, &weights, EFFECTS_ALL_SIZES, ALPHA);
            mechanism[i].known = mechanism[i].ratio.blocks > 0;
        }
        TRY(correlate_residuals(err, design, values, y, values + table->cells, &mechanism[i]));
    }
    TRY(adjust(err, mechanism));
cleanup:
    free(values);
    return status;
}

const char *mechanism_verdict(const struct mechanism *mechanism)
{
    return !mechanism->known                                    ? "not asked"
           : mechanism->supported                               ? "supported"
           : isnan(mechanism->ratio.p) || isnan(mechanism->r_p) ? "undecided"
                                                                : "not supported";
}
