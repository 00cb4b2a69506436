/* AdamW with fp32 master weights, global-norm clipping and dynamic loss scaling (METHOD §2). */
#ifndef STUDY_OPTIMIZER_H
#define STUDY_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "study/kernels.h"
#include "study/shards.h"
#include "study/team.h"

/* Arrays have the length of what this rank holds (shards->length) and belong to whoever made the struct. */
struct optimizer {
    struct team *team;
    const struct shards *shards;
    const struct kernels *kernels;
    double *squares;                /* (optimizer_chunks) to work in */
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

/* Chunks of all tensors. */
size_t optimizer_chunks(const struct layout *layout);

/* Global norm of the gradient times `unscale`: squared sums over chunks (SHARDS_CHUNK) of each tensor in fp64, added in the layout's order,
 * whoever holds them. Collective over the team. */
int optimizer_norm(const struct optimizer *o, const float *gradient, double unscale, double *norm);

/* Apply one step with the gradient of loss·loss_scale. Collective over the team; each rank updates what it holds. */
int optimizer_step(struct optimizer *o, const struct cell_train *train, double learning_rate,
                   const float *gradient, struct update *update);

/* Loss scale of a new run: 2^15 for fp16, else 1. */
double optimizer_initial_scale(enum precision precision);

#endif
