#include "results/shares.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>

/* The normal deviate of P(χ'² ≤ x) by the saddlepoint r* = r + log(q/r)/r. */
static double noncentral_deviate(double x, double df, double lambda)
{
    double w = 2 * x / (df + sqrt(df * df + 4 * lambda * x)); /* 1/(1 − 2t), K'(t) = x */
    double t = (1 - 1 / w) / 2;
    double cumulant = df / 2 * log(w) + lambda * (w - 1) / 2;
    double r = copysign(sqrt(2 * fmax(t * x - cumulant, 0)), t);
    double q = t * w * sqrt(2 * df + 4 * lambda * w);
    if (fabs(r) < 1e-4) { /* the limit at the mean: skewness/6 */
        return r + (8 * df + 24 * lambda) / pow(2 * df + 4 * lambda, 1.5) / 6;
    }
    return r + log(q / r) / r;
}

double noncentral_lambda(double x, double df, double z)
{
    double zero = noncentral_deviate(x, df, 0);
    if (zero <= z) { /* on along the slope at λ = 0 */
        double step = 1e-3 * df;
        double slope = (noncentral_deviate(x, df, step) - zero) / step;
        return fmax(-df, (z - zero) / slope);
    }
    /* in η = √(λ + df/2) the deviate falls with a slope near −1: secant steps from the normal approximation */
    double low = sqrt(df / 2);
    double before = fmax(low, sqrt(z * z + fmax(0, x - df / 2)) - z);
    double miss_before = noncentral_deviate(x, df, before * before - df / 2) - z;
    double eta = fmax(low, before + miss_before);
    for (int i = 0; i < 20 && fabs(eta - before) > 1e-7 * eta; i++) {
        double miss = noncentral_deviate(x, df, eta * eta - df / 2) - z;
        double slope = (miss - miss_before) / (eta - before);
        double next = fmax(low, eta - miss / (slope < -0.1 ? slope : -1));
        before = eta;
        miss_before = miss;
        eta = next;
    }
    return eta * eta - df / 2;
}

/* Is there a degree of freedom for every share and every effect, and an error to tell chance from? */
static bool is_known(const struct anova *anova)
{
    const struct anova_term *kind = anova->kind;
    bool known = kind[ANOVA_SIZE].df > 0 && kind[ANOVA_SEED].df > 0 && kind[ANOVA_FACTOR].df > 0 &&
                 kind[ANOVA_SIZE_FACTOR].df > 0 && kind[ANOVA_RESIDUAL].df > 0 &&
                 kind[ANOVA_RESIDUAL].ss > 0;
    for (int t = 0; t < anova->terms; t++) {
        enum anova_kind of = anova->term[t].kind;
        known = known && ((of != ANOVA_FACTOR && of != ANOVA_PAIR) || anova->term[t].df > 0);
    }
    return known;
}

/* Point estimates from the sums of squares. */
static void estimate(const struct anova *anova, struct shares *shares)
{
    const struct anova_term *kind = anova->kind;
    double seed = kind[ANOVA_SEED].ms, residual = kind[ANOVA_RESIDUAL].ms;
    double fixed[ANOVA_KINDS], total = 0;
    for (int k = 0; k < ANOVA_KINDS; k++) {
        fixed[k] = (kind[k].ss - kind[k].df * (k == ANOVA_SIZE ? seed : residual)) / anova->cells;
    }
    shares->variance[SHARE_SCALE] = fixed[ANOVA_SIZE];
    shares->variance[SHARE_OPTIMIZATION] = fixed[ANOVA_FACTOR] + fixed[ANOVA_PAIR];
    shares->variance[SHARE_INTERACTION] = fixed[ANOVA_SIZE_FACTOR] + fixed[ANOVA_SIZE_PAIR];
    shares->variance[SHARE_SEED] = (seed - residual) / anova->per_seed + residual;
    for (int s = 0; s < SHARES; s++) {
        total += shares->variance[s];
    }
    total = total > 0 && is_known(anova) ? total : NAN;
    for (int s = 0; s < SHARES; s++) {
        shares->share[s] = (struct interval){shares->variance[s] / total, NAN, NAN, 0};
    }
    shares->optimization_less_scale = (struct interval){
        (shares->variance[SHARE_OPTIMIZATION] - shares->variance[SHARE_SCALE]) / total, NAN, NAN,
        0};
    for (int f = 0; f < FRACTION_FACTORS; f++) {
        shares->of_factor[f] = NAN;
    }
    for (int t = 0; t < anova->terms; t++) {
        const struct anova_term *term = &anova->term[t];
        if (term->kind == ANOVA_FACTOR) {
            shares->of_factor[term->f] = (term->ss - residual) / anova->cells * term->df / total;
        }
    }
}

/* One draw of the components: of noise, then of the fixed terms given it. */
static void draw_components(const struct anova *anova, gsl_rng *rng, double component[SHARES])
{
    const struct anova_term *kind = anova->kind;
    double seed = kind[ANOVA_SEED].ss / gsl_ran_chisq(rng, kind[ANOVA_SEED].df);
    double residual = kind[ANOVA_RESIDUAL].ss / gsl_ran_chisq(rng, kind[ANOVA_RESIDUAL].df);
    const enum anova_kind parts[SHARES][2] = {
        {ANOVA_SIZE, ANOVA_SIZE}, {ANOVA_FACTOR, ANOVA_PAIR}, {ANOVA_SIZE_FACTOR, ANOVA_SIZE_PAIR}};
    for (int s = 0; s < SHARE_SEED; s++) {
        double error = s == SHARE_SCALE ? seed : residual;
        double ss = kind[parts[s][0]].ss, df = kind[parts[s][0]].df;
        if (s != SHARE_SCALE) {
            ss += kind[parts[s][1]].ss;
            df += kind[parts[s][1]].df;
        }
        double lambda = noncentral_lambda(ss / error, df, gsl_ran_gaussian_ziggurat(rng, 1));
        component[s] = lambda * error / anova->cells;
    }
    component[SHARE_SEED] = (seed - residual) / anova->per_seed + residual;
}

/* From the sums of squares themselves: the same numbers for the same study, and others for another, so that the error of few
 * draws does not repeat from study to study. */
static unsigned long seed_of(const struct anova *anova)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a over words */
    for (int k = 0; k < ANOVA_KINDS; k++) {
        uint64_t bits;
        memcpy(&bits, &anova->kind[k].ss, sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
        hash ^= hash >> 29;
    }
    return (unsigned long)(hash & 0xffffffffu);
}

/* Quantile at (draws + 1)·p of sorted values: it covers p of further draws on average. */
static double quantile(const double *value, int draws, double p)
{
    double at = fmin(fmax((draws + 1) * p - 1, 0), draws - 1);
    int below = (int)at;
    double above = below + 1 < draws ? value[below + 1] : value[below];
    return value[below] + (at - below) * (above - value[below]);
}

static void set_ends(struct interval *interval, double *value, int draws)
{
    gsl_sort(value, 1, (size_t)draws);
    interval->low = quantile(value, draws, 0.025);
    interval->high = quantile(value, draws, 0.975);
}

int shares_of(struct error *err, const struct anova *anova, int draws, struct shares *shares)
{
    int status = STATUS_OK;
    gsl_rng *rng = NULL;
    double *value = NULL;
    *shares = (struct shares){.draws = draws};
    estimate(anova, shares);
    if (!is_known(anova) || draws < 2) {
        goto cleanup;
    }
    rng = gsl_rng_alloc(gsl_rng_taus2);
    value = calloc((size_t)draws * (SHARES + 1), sizeof *value);
    CHECK(err, rng != NULL && value != NULL, STATUS_FAILED, "out of memory for %d draws", draws);
    gsl_rng_set(rng, seed_of(anova));
    for (int i = 0; i < draws; i++) {
        double component[SHARES], total = 0;
        draw_components(anova, rng, component);
        for (int s = 0; s < SHARES; s++) {
            total += component[s];
        }
        for (int s = 0; s < SHARES; s++) {
            value[s * draws + i] = component[s] / total;
        }
        value[SHARES * draws + i] =
            (component[SHARE_OPTIMIZATION] - component[SHARE_SCALE]) / total;
    }
    for (int s = 0; s < SHARES; s++) {
        set_ends(&shares->share[s], value + s * draws, draws);
        shares->share[s].high = fmax(shares->share[s].high, 0);
    }
    set_ends(&shares->optimization_less_scale, value + SHARES * draws, draws);
cleanup:
    if (rng != NULL) {
        gsl_rng_free(rng);
    }
    free(value);
    return status;
}

const char *share_name(enum share share)
{
    static const char *const names[SHARES] = {"scale", "optimization", "scale × optimization",
                                              "seed"};
    return names[share];
}
