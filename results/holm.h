/* Holm's step-down adjustment of p-values. */
#ifndef RESULTS_HOLM_H
#define RESULTS_HOLM_H

#include "jobs/error.h"

/* adjusted[i] for p[i]; NaN stays NaN and does not count. */
int holm_adjust(struct error *err, const double *p, int count, double *adjusted);

#endif
