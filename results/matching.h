/*
 * Matching (METHOD §6): a recipe that changes the loss compares better models with worse ones. The
 * base's ladder of tokens says what log KL a base model of the same size and loss has; and base
 * models of many sizes and tokens tell scale at equal tokens, at equal tokens per parameter and at
 * equal loss apart.
 */
#ifndef RESULTS_MATCHING_H
#define RESULTS_MATCHING_H

#include "results/contrast.h"

/* out[cell] = y − the base's y at that cell's loss: linear between the ladder's runs of the same
 * size and seed, sorted by loss; of the size's means (over seeds with the whole ladder) where
 * the seed lacks rungs. NaN beyond the ladder, or where a size has no two rungs: *outside counts
 * finished cells there. */
int matching_residuals(struct error *err, const struct design *design, const double *y,
                       const double *loss, double *out, int *outside);

/* Slopes of y per decade of parameters. From y ~ log10 N + log10 D and loss ~ log10 N + log10 D,
 * least squares over the base's runs in blocks (seed within size) of at least two numbers of
 * tokens: at equal tokens b; at equal tokens per parameter b + c; at equal loss b − c·b'/c' (delta
 * method). Blocks are the clusters. Intervals with confidence 1 − alpha: t with Σ(n_s − 1) df; the
 * variance is that of the estimate's sums over blocks, from a covariance within blocks that is
 * estimated between the blocks of a size and pooled over sizes, as in results/contrast.h. (A
 * sandwich, CR1, covers 93 % where it claims 95, at four sizes and four seeds.) So the intervals
 * are about seeds, not about how well a plane fits: see curvature_p. */
struct scale_slopes {
    /* At least two sizes and two numbers of tokens, not in step. Else `tokens` alone may be: from
     * the base, if all its runs saw the same number. */
    bool known;
    int cells, sizes;
    struct interval tokens, per_parameter, loss;
    double per_decade_of_tokens; /* c */
    /* Do log10 N², log10 D², log10 N·log10 D improve the fit? F test; NaN: no df. */
    double curvature_p;
};
int matching_slopes(struct error *err, const struct design *design, const double *y,
                    const double *loss, double alpha, struct scale_slopes *slopes);

#endif
