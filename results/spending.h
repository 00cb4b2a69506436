/*
 * Alpha spending (METHOD §6, "Adaptive replication"): which nominal level an interval may have when the data are looked at more than
 * once, so that with the overall probability alpha at most it ever leaves out the truth.
 *
 * Lan & DeMets (1983), spending of O'Brien & Fleming's type, half of alpha on either side: at the information fraction t
 *
 *     spent(t) = 2·(2 − 2Φ(z(alpha/4)/√t)),   z(q): Φ(z) = 1 − q
 *
 * The bounds b_k of |Z_k| follow by recursive numerical integration (Armitage, McPherson & Rowe 1969): the probability to leave the bounds for
 * the first time at look k is what may be spent between looks k − 1 and k. A t-interval of the level 2 − 2Φ(b_k), with its own degrees of
 * freedom, is the repeated confidence interval of look k (Jennison & Turnbull 1989).
 */
#ifndef RESULTS_SPENDING_H
#define RESULTS_SPENDING_H

#include "jobs/spec.h"
#include "results/table.h"

struct spending {
    double bound; /* of |Z|; INFINITY: nothing that a double could hold may be spent */
    double level; /* nominal, two-sided: 2 − 2Φ(bound) */
    double spent; /* of alpha, up to and with this look */
};

/* Of looks at the fractions 0 < fraction[0] < fraction[1] … ≤ 1 of the information; to at least six digits. */
void spending_looks(const double *fraction, int looks, double alpha, struct spending *spending);

/* Of the planned looks of a study, each verdict's alpha being `alpha`: seeds over the seeds of the last look. */
void spending_plan(const struct spec_looks *plan, double alpha,
                   struct spending spending[SPEC_LOOKS]);

/* The level of each confirmatory interval of this study: `alpha` with fixed seeds; else that of the last look that was taken, or of the
 * first planned one before it. What has been finished since that look is in the data and not in the level, which errs on the safe
 * side. */
double spending_level_of(const struct table *table, double alpha);

#endif
