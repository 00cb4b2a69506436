/*
 * Shares of the variance (METHOD §6), from a balanced fraction only. For fixed terms
 * V_T = (SS_T − df_T·MS_error)/N, not truncated; for noise the components: seeds within sizes
 * σ_b² = (MS_seed − MS_residual)/cells per block, and σ² = MS_residual. A share is V/ΣV. What it
 * estimates: the mean squared effect of the fixed terms over the sizes × settings of the study; σ_b² + σ².
 *
 * Intervals: a parametric bootstrap in its pivotal form (generalized pivotal quantities). Percentiles of
 * studies drawn from the fitted model hold the truth in 87–98 % where these hold it in 93–97 %: V_T of
 * few degrees of freedom is skewed, and its error depends on V_T. So the model's distributions are turned
 * around. The sums of squares of balanced data are independent,
 *
 *     SS_seed ~ E_b·χ²(df_seed), SS_residual ~ E·χ²(df_residual), SS_T ~ E_T·χ'²(df_T, N·V_T/E_T),
 *
 * with E_b = σ² + cells per block·σ_b², E = σ², and E_T = E_b for size, E for all else. A draw takes a χ²
 * variate for each error, E' = SS/χ², and a probability U for each term, and solves
 * P(χ'²(df_T, λ) ≤ SS_T/E'_T) = U for λ; then V_T = λ·E'_T/N. For U > P(χ²(df_T) ≤ SS_T/E'_T) there is no
 * λ ≥ 0: the solution is continued along its slope at λ = 0, down to −df_T, so that a term that is nothing
 * does not push the other shares down. An interval holds the central 95 % of the draws' shares.
 * tests/bench/coverage.c measures that these intervals cover.
 *
 * At the boundary: the interval of a share that is 0 lies above 0 in 2.5 % of studies. It may begin below 0,
 * as the estimate may; its upper end is at least 0. With cells missing the distributions hold approximately.
 */
#ifndef RESULTS_SHARES_H
#define RESULTS_SHARES_H

#include "results/anova.h"

enum share {
    SHARE_SCALE,        /* size */
    SHARE_OPTIMIZATION, /* factors and their pairs */
    SHARE_INTERACTION,  /* size × those */
    SHARE_SEED,         /* seeds within sizes and residual */
    SHARES,
};

struct shares {
    double variance[SHARES];       /* V, squared units of y */
    struct interval share[SHARES]; /* fractions of 1 with 95 % intervals */
    /* The share of optimization less that of scale: is the answer to the project's question sure? */
    struct interval optimization_less_scale;
    double of_factor
        [FRACTION_FACTORS]; /* part of optimization: each factor's main effect, a share; no interval */
    int draws;
};

/* The draws' seed is made of the sums of squares: the same anova gives the same intervals. All shares are
 * NaN while a factor, a pair, size, size × factors, seed or residual has no degree of freedom.
 * STATUS_FAILED when memory is short. */
int shares_of(struct error *err, const struct anova *anova, int draws, struct shares *shares);

/* λ with P(χ'²(df, λ) ≤ x) = Φ(z), continued below 0 as said above. By saddlepoint: that probability is within 0.011 of
 * Φ(z) with one df, 0.005 with two, 0.0003 with 15, and in the outer 2.5 % within 0.0025. */
double noncentral_lambda(double x, double df, double z);

const char *
share_name(enum share share); /* "scale", "optimization", "scale × optimization", "seed" */

#endif
