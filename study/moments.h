/*
 * Mean and central moments of numbers that come in parts, in fp64: parts are merged in a fixed order, so
 * that the result does not depend on who saw which part (METHOD §5). Formulas: Pébay, "Formulas for Robust,
 * One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments", 2008.
 */
#ifndef STUDY_MOMENTS_H
#define STUDY_MOMENTS_H

#include <stddef.h>

/* Doubles only: a team adds up arrays of these. */
struct moments {
    double n, mean;
    double m2, m3, m4; /* Σ (x − mean)^k */
};

/* Of x[n]; n = 0 gives zeros. */
struct moments moments_of(size_t n, const float *x);
struct moments moments_merge(const struct moments *a, const struct moments *b);

double moments_std(const struct moments *m); /* √(m2/n), of the population */
double
moments_kurtosis(const struct moments *m); /* n·m4/m2²: 3 for a normal distribution; m2 = 0: NaN */
/* Of x[n] in order: their mean, and its standard error (n = 1: NaN). */
double moments_mean(const double *x, int n);
double moments_standard_error(const double *x, int n);

double moments_square_sum(const struct moments *m); /* Σ x² */

#endif
