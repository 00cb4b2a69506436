/* McNemar's exact test of paired answers. */
#ifndef RESULTS_MCNEMAR_H
#define RESULTS_MCNEMAR_H

/* Of items that only one of two models answers right, `lost` by one and `gained` by the other: the two-sided probability of a split at least as
 * uneven if either is as likely, min(1, 2·P(X ≤ min(lost, gained))) with X ~ Bin(lost + gained, 1/2). 1 when there are none; NaN for NaN. */
double mcnemar_p(double lost, double gained);

#endif
