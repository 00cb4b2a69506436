/*
 * C7 (METHOD §6): do worse variants show larger weight norms (a), spread of LayerNorm gains (b), of
 * activations (c)? The low-decay (b: fp16) log-ratio of the probe must be above 0, and the
 * residuals of log probe and log KL, after removing setting × size and block, must correlate.
 * Exploratory: Holm over the six tests.
 */
#ifndef RESULTS_MECHANISM_H
#define RESULTS_MECHANISM_H

#include "results/contrast.h"

struct mechanism {
    bool known;            /* the study has the probe and the levels */
    char contrast[96];     /* "total decay 0.005 − 0.5", as of H1 (b: H4a) */
    struct contrast ratio; /* of the log probe, 95 % */
    double ratio_holm;     /* adjusted p */
    /* Residual correlation over all finished cells, by least squares within sizes and pooled. With
     * ν residual df: t with r_df = ν − 1, and 95 % by Fisher's z with standard error 1/√(r_df − 1).
     * NaN if one of the two does not vary. */
    double r, r_low, r_high, r_p, r_holm;
    int r_df;
    bool supported; /* both, at 0.05 after Holm, in the claimed direction */
};

/* One of each enum table_probe. y: log KL per cell at the final checkpoint. */
int mechanism_of(struct error *err, const struct design *design, const double *y,
                 struct mechanism mechanism[TABLE_PROBES]);

/* "supported", "not supported", "undecided" (no p-value for one of the two), "not asked". */
const char *mechanism_verdict(const struct mechanism *mechanism);

#endif
