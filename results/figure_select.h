/* Which settings a figure names; private to figure*.c. */
#ifndef RESULTS_FIGURE_SELECT_H
#define RESULTS_FIGURE_SELECT_H

#include "results/analysis.h"

enum { FIGURE_EXTREMES = 4 };

/* Settings with the base's tokens whose effect on log KL is furthest below and above 0, the lowest first: at most two of either
 * sign. Returns how many. */
int figure_extremes(const struct analysis *analysis, int setting[FIGURE_EXTREMES]);

/* Training tokens of a setting; NaN if they differ among its cells. */
double figure_tokens(const struct effects *effects, int setting);

#endif
