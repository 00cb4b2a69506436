/*
 * The paper's claims C1–C7 and their verdicts (METHOD §6). H1–H5 are the confirmatory family:
 * simultaneous intervals at 1 − 0.05/7; C6, C7 are exploratory.
 */
#ifndef RESULTS_CLAIMS_H
#define RESULTS_CLAIMS_H

#include "results/hypothesis.h"
#include "results/matching.h"

enum { CLAIM_SIZES = 32 };

struct claim {
    enum hypothesis hypothesis;
    enum verdict verdict;   /* after matching and divergence */
    enum verdict plain;     /* of the interval alone */
    double delta;           /* smallest effect of interest, in y */
    struct weights weights; /* of the settings that are compared; H5: none */
    char contrast[96];      /* "total decay 0.005 − 0.5", "per decade of parameters, …" */
    char reason[160];       /* why it is not asked or undecided; "" */
    struct contrast effect; /* simultaneous interval; NaN while not asked */
    double detectable;      /* half its width */
    double
        decades; /* H1–H4: |effect| in decades of parameters by H5's slope; NaN without one that excludes 0 */
    /* H1–H4 where the base has a ladder: the same contrast of matching_residuals, at the same
     * level. One of the two supported and the other contradicted makes it undecided. */
    bool has_matched;
    struct contrast matched;
    enum verdict matched_verdict;
    int matched_outside; /* finished cells of the contrast beyond the ladder */
    /* H1–H4: size × this contrast. The variance between the sizes' means, weighted by their blocks,
     * against that of blocks within sizes: F with S − 1 and Σ(n_s − 1) df. NaN: no df. */
    double size_p;
    int sizes; /* > 0 where size_p < 0.05: the first CLAIM_SIZES sizes */
    struct contrast by_size[CLAIM_SIZES];
    enum verdict size_verdict[CLAIM_SIZES];
    /* If a cell that it compares diverged: the same contrast on ranks, within sizes over all cells
     * of the contrast, where diverged runs share the ranks above all others. What is supported
     * must be so on ranks (low > 0). H5: the slope of ranks over the whole
     * diagonal, whose estimate must not be above 0: as a bound there, δ has no meaning. */
    bool has_worst;
    struct contrast worst;
};

struct claims {
    double alpha; /* of each interval: 0.05/7, or what a look may spend (results/spending.h) */
    struct claim claim[HYPOTHESES];
    bool from_fraction; /* H1–H4 are of the fraction, for the factors that it has; else pairs */
    struct scale_slopes slopes; /* intervals at the same alpha */
    bool decided; /* no asked claim is undecided for want of seeds (VERDICT_UNDECIDED) */
};

/* y: log KL per cell; loss: per cell; both at the final checkpoint, NaN where there is none.
 * STATUS_FAILED when memory is short. */
int claims_of(struct error *err, const struct design *design, const double *y, const double *loss,
              double alpha, struct claims *claims);

#endif
