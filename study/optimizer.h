/* AdamW with fp32 master weights, global-norm clipping and dynamic loss scaling (METHOD §2). */
#ifndef STUDY_OPTIMIZER_H
#define STUDY_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "study/kernels.h"
#include "study/layout.h"

/* All arrays have the layout's length and belong to whoever made the struct. */
struct optimizer {
    const struct layout *layout;
    const struct kernels *kernels;
    float *master, *first, *second; /* weights and moments */
    int64_t updates;                /* applied, for bias correction */
    double loss_scale;              /* 1 unless fp16 */
    int good_steps;                 /* since the scale last changed */
    int64_t skipped;
};

struct update {
    double grad_norm; /* of the unscaled gradient, before clipping */
    bool skipped;     /* fp16: not finite, the scale was halved */
    bool diverged;    /* not finite, and no loss scale to blame */
};

/* Global norm of the gradient times `unscale`: squared sums over chunks of 4096 elements of each tensor in fp64, added in order. */
double optimizer_norm(const struct layout *layout, const struct kernels *kernels,
                      const float *gradient, double unscale);

/* Apply one step with the gradient of loss·loss_scale. */
struct update optimizer_step(struct optimizer *o, const struct cell_train *train,
                             double learning_rate, const float *gradient);

/* Loss scale of a new run: 2^15 for fp16, else 1. */
double optimizer_initial_scale(enum precision precision);

#endif
