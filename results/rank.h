/* Ranks of numbers, ties by average ranks. */
#ifndef RESULTS_RANK_H
#define RESULTS_RANK_H

/* Rank (1 … n) of `value` among `n` ascending numbers of which it is one. Infinities are
 * numbers. */
double rank_of(const double *ascending, int n, double value);

/* Spearman's rank correlation with average ranks for ties; NaN if a side does not vary.
 * `scratch`: 2·n. */
double spearman(const double *x, const double *y, int n, double *scratch);

#endif
