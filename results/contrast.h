/*
 * Contrasts between settings (METHOD §6): a weighted sum over the cells of each block, averaged over seeds within sizes, then over
 * sizes. With n_s blocks in size s, S sizes and the pooled variance of the blocks' sums within sizes,
 *
 *     estimate ± t(df)·√(s²·Σ(1/n_s)) / S,   df = Σ(n_s − 1)   (S(n−1) with equal n).
 *
 * A block that lacks one of the cells is left out and counted (at sizes that have all the settings; elsewhere there is nothing to
 * compare).
 */
#ifndef RESULTS_CONTRAST_H
#define RESULTS_CONTRAST_H

#include "results/design.h"

/* Weights of settings, that sum to 0. */
struct weights {
    int settings;
    int setting[FRACTION_SETTINGS];
    double weight[FRACTION_SETTINGS];
};

struct contrast {
    struct interval interval; /* two-sided, at the level asked for */
    double se, t, p;          /* p: two-sided, against 0; NaN without degrees of freedom */
    int blocks, sizes;        /* that entered */
    int least, most;          /* blocks (seeds) per size with at least one */
    int incomplete;           /* blocks left out because a cell is missing or has no finite value */
};

/* No block has a value. */
extern const struct contrast contrast_none;

/* Of y (one value per cell of the table, NaN: none) with confidence 1 − alpha; `size`: EFFECTS_ALL_SIZES or one size, then with
 * the variance and df of all sizes (pooled). */
struct contrast contrast_of(const struct design *design, const double *y,
                            const struct weights *weights, int size, double alpha);

/* Slope of y per decade of parameters over one setting per size (−1: the size is left out), least squares over the sizes'
 * means, with the error of seeds within sizes: t with Σ(n_s − 1) df. Needs two sizes of different parameters. */
struct contrast contrast_slope(const struct design *design, const double *y,
                               const int *setting_of_size, double alpha);

/* `alternative` − `control`. */
void weights_pair(struct weights *weights, int alternative, int control);

/* Main effect high − low of factor `f` of a fraction, and the interaction (f at high level of g) − (f at low level of g). */
void weights_main(struct weights *weights, const struct fraction *fraction, int f);
void weights_interaction(struct weights *weights, const struct fraction *fraction, int f, int g);

void weights_scale(struct weights *weights, double factor); /* −1: the other direction */

#endif
