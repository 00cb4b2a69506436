/* The paper's hypotheses H1–H5 (METHOD §6): what each compares in a given study, and the verdict
 * of an interval. */
#ifndef RESULTS_HYPOTHESIS_H
#define RESULTS_HYPOTHESIS_H

#include "results/contrast.h"

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

/* What H1–H4b compare, the claimed direction positive. Of a fraction with that factor: the main
 * effect, or the interaction with decay. Else, for H1, H2, H3a, H4a, a pair of settings that
 * differ in nothing else: the base and the level that METHOD names if there is one, else the
 * level farthest from the base in the claimed direction, else against it (a base of another half
 * type: fp16 and bf16). False if the study has no such levels, `reason` says why. */
bool hypothesis_weights(const struct design *design, enum hypothesis hypothesis,
                        struct weights *weights, char contrast[96], char reason[160]);

double hypothesis_delta(
    enum hypothesis hypothesis); /* smallest effect of interest, in natural logarithms */

/* The verdict of an interval with the claimed direction positive. An interval above 0 is support
 * even where it is below δ; no interval: undecided. */
enum verdict verdict_of(enum hypothesis hypothesis, const struct interval *interval, double delta);

bool verdict_contradicts(enum verdict verdict);

const char *hypothesis_name(enum hypothesis hypothesis);  /* "3a" */
const char *hypothesis_claim(enum hypothesis hypothesis); /* "less clipping, more degradation" */
const char *verdict_name(enum verdict verdict); /* "supported", "contradicted (negligible)" */

#endif
