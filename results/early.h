/*
 * C6 (METHOD §6): does degradation early in training predict degradation at the end? Per size,
 * Spearman's ρ over recipes between seed s at fraction t and the mean of the other seeds at the
 * end, averaged on Fisher's scale over seeds and sizes. The noise ceiling is the same with seed s
 * at the end. Recipes: settings with the base's tokens that all seeds of the size have, at every
 * checkpoint where the quantizer was measured; seeds with less than half of the recipes of the
 * size's best (blocks that have just begun) do not count. A correlation of ±1, infinite on Fisher's
 * scale, counts as 1 − 6/(n(n² − 1)), halfway to the next one that n ranks allow.
 */
#ifndef RESULTS_EARLY_H
#define RESULTS_EARLY_H

#include "results/design.h"
#include "results/rank.h"

struct early_point {
    double fraction;
    /* 95 %, percentile bootstrap over recipes (the same draw for all sizes and seeds that have
     * them); df: recipes */
    struct interval rho;
};

struct early {
    bool
        known; /* at least five recipes and two seeds in some size, and a checkpoint before the end */
    int recipes, sizes, seeds; /* most recipes of a size; sizes; most seeds */
    int points;
    struct early_point point[CELL_CHECKPOINTS]; /* ascending; the last is the ceiling */
    bool supported;                             /* the lower bound exceeds 0.5 at some t ≤ 1/4 */
};

/* The bootstrap's numbers come from a fixed seed. STATUS_FAILED when memory is short. */
int early_of(struct error *err, const struct design *design, int quantizer, int draws,
             struct early *early);

#endif
