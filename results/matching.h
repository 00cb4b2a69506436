/*
 * Matching (METHOD §6): a recipe that changes the loss compares better models with worse ones. The base's ladder of tokens says
 * what log KL a base model of the same size and loss has; and base models of many sizes and tokens tell scale at equal tokens, at equal
 * tokens per parameter and at equal loss apart.
 */
#ifndef RESULTS_MATCHING_H
#define RESULTS_MATCHING_H

#include "results/contrast.h"

/* out[cell] = y − the base's y at that cell's loss: linear between the ladder's runs of the same size and seed (of the
 * size's means where the seed lacks rungs), sorted by loss. NaN beyond the ladder: *outside counts finished cells there. */
int matching_residuals(struct error *err, const struct design *design, const double *y,
                       const double *loss, double *out, int *outside);

/* Slopes of y per decade of parameters. From y ~ log10 N + log10 D and loss ~ log10 N + log10 D over the base's runs of all
 * tokens, blocks (seed within size) as clusters: at equal tokens b; at equal tokens per parameter b + c; at equal loss
 * b − c·b'/c'. Intervals with confidence 1 − alpha, t with Σ(n_s − 1) df and cluster-robust covariance (delta method for the third). */
struct scale_slopes {
    bool known; /* at least two sizes and two numbers of tokens */
    int cells, sizes;
    struct interval tokens, per_parameter, loss;
    double per_decade_of_tokens; /* c */
    double
        curvature_p; /* does log10 N² or log10 D² or their product improve the fit? F test; NaN: no df */
};
int matching_slopes(struct error *err, const struct design *design, const double *y,
                    const double *loss, double alpha, struct scale_slopes *slopes);

#endif
