/* Ranks 1 … n−1: take a cell, run it, report, take the next; and say each second that they live. */
#ifndef PTQSCALE_MPI_WORKER_H
#define PTQSCALE_MPI_WORKER_H

#include "jobs/error.h"
#include "mpi/executor.h"
#include "mpi/transport.h"

/* What is done with a cell, as executor_run does it: its result goes to `file` and *outcome. */
typedef void run_fn(void *context, const struct cell *cell, int attempts, const char *file,
                    struct team *team, progress_fn *report, void *report_context,
                    struct outcome *outcome);

/* Work until the coordinator ends the run. `run` NULL: executor_run; a benchmark may put something
 * else in its place. *exit_status is the program's, *leave says how to leave. A worker that the
 * coordinator has given up, or that has not heard of the coordinator for long, does not return: it
 * leaves the process, writing nothing more. A failure is one of communication: the caller has to
 * end the whole job. */
int worker_run(struct error *err, run_fn *run, void *context, enum leave *leave, int *exit_status);

#endif
