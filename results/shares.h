/*
 * Shares of the variance (METHOD §6), from a balanced fraction only. For fixed terms V_T = (SS_T − df_T·MS_error)/N, not truncated; for noise the
 * components: seeds within sizes σ_b² = (MS_seed − MS_residual)/cells per block, and σ² = MS_residual. A share is V/ΣV.
 * Intervals: parametric bootstrap of the fitted mixed model.
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

/* The bootstrap's numbers come from a fixed seed: the same anova gives the same intervals. */
int shares_of(struct error *err, const struct anova *anova, int draws, struct shares *shares);

const char *
share_name(enum share share); /* "scale", "optimization", "scale × optimization", "seed" */

#endif
