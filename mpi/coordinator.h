/* Rank 0: hands out cells, keeps the journal, watches the workers, and sleeps when it has nothing to
 * do. */
#ifndef PTQSCALE_MPI_COORDINATOR_H
#define PTQSCALE_MPI_COORDINATOR_H

#include "jobs/error.h"
#include "mpi/run_options.h"
#include "mpi/transport.h"

/* Run the study into its folder with ranks 1 … ranks−1 as workers (worker_run). *exit_status is the
 * program's; unless 0, *reason says why; *leave: how this rank has to leave. A failure (in `err`) is
 * one of communication: the caller has to end the whole job. */
int coordinator_run(struct error *err, const struct run_options *options, int ranks,
                    struct error *reason, enum leave *leave, int *exit_status);

#endif
