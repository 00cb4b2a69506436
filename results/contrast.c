#include "results/contrast.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

#include "results/sample.h"

/* Blocks' sums of one size. */
struct blocks {
    struct sample sums;
    int incomplete;
};

/* A block that has one of the cells counts as incomplete if it has not all values, at sizes that have all settings. */
static struct blocks blocks_of(const struct design *design, const double *y,
                               const struct weights *weights, int size)
{
    struct blocks blocks = {0};
    bool planned[FRACTION_SETTINGS] = {false};
    for (int k = 0; k < design->seeds; k++) {
        double sum = 0;
        bool any = false;
        for (int i = 0; i < weights->settings; i++) {
            int cell = design_cell(design, weights->setting[i], size, k);
            planned[i] = planned[i] || cell >= 0;
            any = any || cell >= 0;
            sum += cell >= 0 ? weights->weight[i] * y[cell] : NAN;
        }
        if (any && isfinite(sum)) {
            sample_add(&blocks.sums, sum);
        } else {
            blocks.incomplete += any;
        }
    }
    for (int i = 0; i < weights->settings; i++) {
        blocks.incomplete = planned[i] ? blocks.incomplete : 0;
    }
    return blocks;
}

const struct contrast contrast_none = {
    .interval = {NAN, NAN, NAN, 0}, .se = NAN, .t = NAN, .p = NAN};

static void count_blocks(struct contrast *contrast, const struct blocks *blocks)
{
    contrast->incomplete += blocks->incomplete;
    if (blocks->sums.n > 0) {
        contrast->least = contrast->sizes == 0 || blocks->sums.n < contrast->least
                              ? blocks->sums.n
                              : contrast->least;
        contrast->most = blocks->sums.n > contrast->most ? blocks->sums.n : contrast->most;
        contrast->blocks += blocks->sums.n;
        contrast->sizes++;
    }
}

static void finish(struct contrast *contrast, double estimate, double se, int df, double alpha)
{
    contrast->interval = (struct interval){estimate, NAN, NAN, df};
    if (df > 0 && isfinite(estimate)) {
        double half = gsl_cdf_tdist_Qinv(alpha / 2, df) * se;
        contrast->interval.low = estimate - half;
        contrast->interval.high = estimate + half;
        contrast->se = se;
        contrast->t = estimate / se;
        contrast->p = 2 * gsl_cdf_tdist_Q(fabs(contrast->t), df);
    }
}

struct contrast contrast_of(const struct design *design, const double *y,
                            const struct weights *weights, int size, double alpha)
{
    struct contrast contrast = contrast_none;
    double squares = 0, means = 0, inverses = 0;
    int df = 0;
    for (int s = 0; s < design->effects->sizes; s++) {
        struct blocks blocks = blocks_of(design, y, weights, s);
        df += blocks.sums.n > 0 ? blocks.sums.n - 1 : 0;
        squares += blocks.sums.squares;
        if (size != EFFECTS_ALL_SIZES && size != s) {
            continue;
        }
        count_blocks(&contrast, &blocks);
        means += blocks.sums.mean;
        inverses += blocks.sums.n > 0 ? 1.0 / blocks.sums.n : 0;
    }
    double estimate = contrast.sizes > 0 ? means / contrast.sizes : NAN;
    double se = df > 0 ? sqrt(squares / df * inverses) / contrast.sizes : NAN;
    finish(&contrast, estimate, se, df, alpha);
    return contrast;
}

struct contrast contrast_slope(const struct design *design, const double *y,
                               const int *setting_of_size, double alpha)
{
    struct contrast contrast = contrast_none;
    const struct effects *effects = design->effects;
    double squares = 0;
    int df = 0;
    /* sums over sizes: of x, of (x − x̄)², of (x − x̄)·mean, of (x − x̄)²/n; x̄ first */
    double x_mean = 0, xx = 0, xy = 0, error = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int s = 0; s < effects->sizes; s++) {
            if (setting_of_size[s] < 0) {
                continue;
            }
            struct weights one = {1, {setting_of_size[s]}, {1}};
            struct blocks blocks = blocks_of(design, y, &one, s);
            if (pass == 0) {
                count_blocks(&contrast, &blocks);
            }
            if (blocks.sums.n == 0) {
                continue;
            }
            double x = log10(effects->size[s].parameters);
            if (pass == 0) {
                x_mean += x;
                squares += blocks.sums.squares;
                df += blocks.sums.n - 1;
            } else {
                xx += (x - x_mean) * (x - x_mean);
                xy += (x - x_mean) * blocks.sums.mean;
                error += (x - x_mean) * (x - x_mean) / blocks.sums.n;
            }
        }
        x_mean /= pass == 0 && contrast.sizes > 0 ? contrast.sizes : 1;
    }
    if (contrast.sizes >= 2 && xx > 1e-12) {
        finish(&contrast, xy / xx, df > 0 ? sqrt(squares / df * error) / xx : NAN, df, alpha);
    }
    return contrast;
}

void weights_pair(struct weights *weights, int alternative, int control)
{
    *weights = (struct weights){2, {alternative, control}, {1, -1}};
}

void weights_main(struct weights *weights, const struct fraction *fraction, int f)
{
    weights->settings = fraction->settings;
    for (int i = 0; i < fraction->settings; i++) {
        weights->setting[i] = fraction->setting[i];
        weights->weight[i] = 2.0 / fraction->settings * fraction->sign[i][f];
    }
}

void weights_interaction(struct weights *weights, const struct fraction *fraction, int f, int g)
{
    weights->settings = fraction->settings;
    for (int i = 0; i < fraction->settings; i++) {
        weights->setting[i] = fraction->setting[i];
        weights->weight[i] = 4.0 / fraction->settings * fraction->sign[i][f] * fraction->sign[i][g];
    }
}

void weights_scale(struct weights *weights, double factor)
{
    for (int i = 0; i < weights->settings; i++) {
        weights->weight[i] *= factor;
    }
}
