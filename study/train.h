/* The training loop of one cell, a step at a time. */
#ifndef STUDY_TRAIN_H
#define STUDY_TRAIN_H

#include "jobs/cell.h"
#include "study/corpus.h"
#include "study/model.h"
#include "study/team.h"

struct trainer;

struct train_step {
    double loss; /* mean over the step's tokens, nats */
    double grad_norm, learning_rate, loss_scale;
    bool skipped;  /* fp16 overflow: no update */
    bool diverged; /* loss or gradient not finite: the run is over */
};

/* Initialize the cell's model. team, corpus, layout and cell must outlive the trainer. Collective over team. */
int trainer_create(struct error *err, struct team *team, const struct corpus *corpus,
                   const struct layout *layout, const struct cell *cell, struct trainer **trainer);
void trainer_free(struct trainer *trainer); /* NULL is fine */

/* Weights as at the start of a run, as far as this rank holds them; moments zero. */
void trainer_initialize(struct trainer *trainer);

/* One optimizer step: the gradient is the sum over micro-batches in a fixed binary tree. Collective over team; STATUS_STOPPED when it
 * was cancelled. */
int trainer_step(struct error *err, struct trainer *trainer, struct train_step *result);

/* All that decides how training goes on. The buffers are what this rank holds of the layout's (trainer_shards). */
struct trainer_state {
    int64_t step, updates, skipped, good_steps;
    double loss_scale;
    const void *master, *first, *second; /* floats; need not be aligned */
};

/* The state between two steps, also after a step that was stopped: then, as if it had not begun. The buffers are the
 * trainer's own, valid until the next step. */
void trainer_get_state(const struct trainer *trainer, struct trainer_state *state);
/* Go on from there: its counters. The buffers come by trainer_set_piece. */
void trainer_set_state(struct trainer *trainer, const struct trainer_state *state);
/* Of piece `piece` of `pieces`, whose three buffers are (3, its length) and need not be aligned, take what this rank holds. */
int trainer_set_piece(struct error *err, struct trainer *trainer, int piece, int pieces,
                      const void *buffers);
/* Has that piece anything that this rank holds? */
bool trainer_needs_piece(const struct trainer *trainer, int piece, int pieces);
/* Floats of such a piece. */
int trainer_piece_floats(struct error *err, const struct trainer *trainer, int piece, int pieces,
                         size_t *floats);

/* Give back the memory that only steps need, until the next one. */
void trainer_rest(struct trainer *trainer);

/* Steps done; skipped ones count. */
int64_t trainer_steps(const struct trainer *trainer);
int64_t trainer_skipped(const struct trainer *trainer);
double trainer_loss_scale(const struct trainer *trainer);
/* The fp32 master weights as the team holds them: whole on a rank alone. Between steps only. */
struct parameters *trainer_parameters(struct trainer *trainer);
const struct shards *trainer_shards(const struct trainer *trainer);

#endif
