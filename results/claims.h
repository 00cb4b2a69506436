/*
 * The paper's claims C1–C7 and their verdicts (METHOD §6). H1–H5 are the confirmatory family: simultaneous intervals at
 * 1 − 0.05/7; C6, C7 are exploratory.
 */
#ifndef RESULTS_CLAIMS_H
#define RESULTS_CLAIMS_H

#include "results/contrast.h"
#include "results/matching.h"

enum hypothesis { H1, H2, H3A, H3B, H4A, H4B, H5, HYPOTHESES };

enum verdict {
    VERDICT_NOT_ASKED, /* the study has not the levels for it */
    VERDICT_SUPPORTED,
    VERDICT_OPPOSITE,     /* contradicted: U < 0 */
    VERDICT_NEGLIGIBLE,   /* contradicted: U < δ */
    VERDICT_CONTRADICTED, /* H5: L > δ */
    VERDICT_UNDECIDED,
    VERDICT_UNDECIDED_MATCHING, /* the loss-matched companion has the opposite verdict */
    VERDICT_UNDECIDED_DIVERGED, /* supported, but not when diverged runs count as the worst */
};

enum { CLAIM_SIZES = 32 };

struct claim {
    enum hypothesis hypothesis;
    enum verdict verdict;   /* after matching and divergence */
    enum verdict plain;     /* of the interval alone */
    double delta;           /* smallest effect of interest, in y */
    char contrast[96];      /* "total decay 0.005 − 0.5", "slope per decade of parameters" */
    char reason[160];       /* why it is not asked or undecided; "" */
    struct contrast effect; /* simultaneous interval */
    double detectable;      /* half its width */
    double decades; /* H1–H4: |effect| in decades of parameters by H5's slope; NaN without one */
    bool has_matched;
    struct contrast matched; /* loss-matched, the same level; H1–H4 */
    enum verdict matched_verdict;
    int matched_outside; /* cells beyond the ladder */
    double size_p;       /* size × this contrast: F test, p; NaN: no df */
    int sizes;           /* > 0 where size_p < 0.05: per size, too */
    struct contrast by_size[CLAIM_SIZES];
    enum verdict size_verdict[CLAIM_SIZES];
    bool has_worst;        /* there are diverged cells among those it compares */
    struct contrast worst; /* on ranks within sizes, diverged runs ranked worst */
};

struct claims {
    double alpha; /* of each interval: 0.05/7, or what a look may spend (results/spending.h) */
    struct claim claim[HYPOTHESES];
    bool
        from_fraction; /* H1–H4 are main effects and interactions of the fraction; else pairs against the base */
    struct scale_slopes slopes;
    bool decided; /* no asked claim is undecided for want of seeds (VERDICT_UNDECIDED) */
};

/* y: log KL per cell; loss: per cell; both at the final checkpoint, NaN where there is none. */
int claims_of(struct error *err, const struct design *design, const double *y, const double *loss,
              double alpha, struct claims *claims);

/* The verdict of an interval with the claimed direction positive. */
enum verdict verdict_of(enum hypothesis hypothesis, const struct interval *interval, double delta);

const char *hypothesis_name(enum hypothesis hypothesis);  /* "3a" */
const char *hypothesis_claim(enum hypothesis hypothesis); /* "less clipping, more degradation" */
const char *verdict_name(enum verdict verdict); /* "supported", "contradicted (negligible)" */

#endif
