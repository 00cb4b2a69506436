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
    const char *phase;        /* "train" or "evaluate" */
};

/* Called after each step and each evaluated quantizer on rank 0 of the team; must be quick. */
typedef void progress_fn(void *context, const struct progress *progress);

/* Run `cell`; collective over `team`. *record is complete on rank 0 (the caller frees it), NULL elsewhere and
 * on failure. A diverged run is STATUS_OK with record->status CELL_DIVERGED. STATUS_STOPPED when the team
 * was cancelled; STATUS_FAILED on lack of memory or a bad corpus. `report` may be NULL. */
int run_cell(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, progress_fn *report, void *report_context,
             struct record **record);

/* Names of what computes here: instruction set of the kernels ("avx512"), and the matmul library with its
 * instruction set. Static strings. */
const char *run_cell_isa(void);
const char *run_cell_matmul(void);

#endif
