/*
 * C6 (METHOD §6): does degradation early in training predict degradation at the end? Per size, Spearman's ρ over recipes between seed s at
 * fraction t and the mean of the other seeds at the end, averaged on Fisher's scale over seeds and sizes. The noise ceiling is the same with
 * seed s at the end. Recipes: settings with the base's tokens that all seeds of the size have.
 */
#ifndef RESULTS_EARLY_H
#define RESULTS_EARLY_H

#include "results/design.h"

struct early_point {
    double fraction;
    struct interval
        rho; /* 95 %, percentile bootstrap over recipes (the same draw for all sizes and seeds that have them) */
};

struct early {
    bool known;                /* at least five recipes and two seeds in some size */
    int recipes, sizes, seeds; /* most recipes of a size; sizes; most seeds */
    int points;
    struct early_point point[CELL_CHECKPOINTS]; /* ascending; the last is the ceiling */
    bool supported;                             /* the lower bound exceeds 0.5 at some t ≤ 1/4 */
};

int early_of(struct error *err, const struct design *design, int quantizer, int draws,
             struct early *early);

/* Spearman's rank correlation with average ranks for ties; NaN if a side does not vary. `scratch`: 2·n. */
double spearman(const double *x, const double *y, int n, double *scratch);

#endif
