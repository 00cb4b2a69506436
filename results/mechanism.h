/*
 * C7 (METHOD §6): do worse variants show larger weight norms (a), spread of LayerNorm gains (b), of activations (c)? The
 * low-decay (b: fp16) log-ratio of the probe must be above 0, and the residuals of log probe and log KL, after removing
 * setting × size and block, must correlate. Exploratory: Holm over the six tests.
 */
#ifndef RESULTS_MECHANISM_H
#define RESULTS_MECHANISM_H

#include "results/contrast.h"

struct mechanism {
    bool known;
    char contrast[96];     /* "total decay 0.005 − 0.5" */
    struct contrast ratio; /* of the log probe, 95 % */
    double ratio_holm;     /* adjusted p */
    double r, r_low, r_high, r_p,
        r_holm; /* residual correlation, 95 % by Fisher's z with its df; adjusted p */
    int r_df;
    bool supported; /* both, at 0.05 after Holm, in the claimed direction */
};

/* One of each enum table_probe. y: log KL per cell at the final checkpoint. */
int mechanism_of(struct error *err, const struct design *design, const double *y,
                 struct mechanism mechanism[TABLE_PROBES]);

#endif
