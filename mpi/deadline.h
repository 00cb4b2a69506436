/*
 * When the allocation ends: given by the user, or asked from Slurm (squeue), again every few
 * minutes since limits get extended. Asking never blocks: squeue runs beside the run, on rank 0 only.
 */
#ifndef PTQSCALE_MPI_DEADLINE_H
#define PTQSCALE_MPI_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/error.h"

struct deadline;

/* `text` as below, NULL: Slurm's if SLURM_JOB_ID is set, else none. */
int deadline_create(struct error *err, const char *text, struct deadline **deadline);
void deadline_free(struct deadline *deadline); /* NULL is fine */

/* Ask Slurm when it is time to, and take its answer when that has come; cheap, call often. A failing
 * squeue is a warning on stderr, once. */
void deadline_poll(struct deadline *deadline);

/* Seconds until the deadline, negative when it is past; INFINITY = there is none, as far as known. */
double deadline_left(const struct deadline *deadline);

/* ---- pure parts ---- */

/* "1767225600" (Unix seconds), "2025-12-31T23:59:59" (local time), the same with Z (UTC), or a
 * span from `now` on: "+2h", "+90min". STATUS_USAGE for anything else. */
int deadline_parse(struct error *err, const char *text, int64_t now, int64_t *when);

/* What squeue -o %e prints; false: no time ("N/A", "NONE"). */
bool deadline_parse_squeue(const char *text, int64_t *when);

/* May a cell be begun when workers will be told to stop in `left` seconds? It must be able to end, or
 * to reach a state that is worth a checkpoint: a few of its `steps`. `expected`: seconds of the whole
 * cell. */
bool deadline_allows(double left, double expected, int64_t steps);

#endif
