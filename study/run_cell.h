/* One cell, from settings to measurements: train, and at each checkpoint quantize and evaluate. */
#ifndef STUDY_RUN_CELL_H
#define STUDY_RUN_CELL_H

#include "jobs/cell.h"
#include "results/record.h"
#include "study/corpus.h"
#include "study/team.h"

struct progress {
    int64_t step, steps;
    double loss;              /* last training loss, nats per token */
    double tokens_per_second; /* so far */
    const char *phase;        /* "train", "evaluate"; "resume": it goes on from `step` */
};

/* Called after each step and each evaluated group of windows, and when the cell goes on from a checkpoint, on rank 0 of the team;
 * must be quick. */
typedef void progress_fn(void *context, const struct progress *progress);

struct checkpoint_part {
    const void *bytes;
    size_t length;
};

/* Where the state of a running cell is kept, so that it can go on later. */
struct checkpoint_store {
    void *context;
    double every; /* seconds of wall time between two checkpoints; 0 = only at a stop */
    /* Keep the parts, one behind the other, as `name`, in place of what was kept there before, which stays until they are
     * safe. Called on every rank of the team, with different names. */
    int (*save)(struct error *err, void *context, const char *name,
                const struct checkpoint_part *parts, int count);
    /* What was kept last, malloc'ed for the caller; *bytes = NULL when there is nothing. Called on every
     * rank of the team. */
    int (*load)(struct error *err, void *context, const char *name, void **bytes, size_t *length);
    /* Forget all but "state" and what begins with `keep` (NULL: nothing else). Called on rank 0 of the team. */
    void (*tidy)(void *context, const char *keep);
};

/* Run `cell`, from the state in the store if there is one: with the same results, bit by bit. A state that cannot be used here
 * (of another method version or instruction set, or damaged) is passed over with a warning on stderr. `store` may be
 * NULL. A checkpoint that cannot be saved between steps is a warning, too; one that cannot be saved at a stop
 * is STATUS_FAILED. Collective over `team`. *record is complete on rank 0 (the caller frees it), NULL elsewhere and
 * on failure. A diverged run is STATUS_OK with record->status CELL_DIVERGED. STATUS_STOPPED when the team
 * was cancelled; STATUS_FAILED on lack of memory or a bad corpus. `report` may be NULL. */
int run_cell(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, const struct checkpoint_store *store, progress_fn *report,
             void *report_context, struct record **record);

/* Names of what computes here: instruction set of the kernels ("avx512"), and the matmul library with its
 * instruction set. Static strings. */
const char *run_cell_isa(void);
const char *run_cell_matmul(void);

#endif
