/* Rank 0: hands out cells, keeps the journal, and sleeps when it has nothing to do. */
#ifndef PTQSCALE_MPI_COORDINATOR_H
#define PTQSCALE_MPI_COORDINATOR_H

#include "jobs/error.h"

/* Run the study file into folder `out` with ranks 1 … ranks−1 as workers. *exit_status is the
 * program's; unless 0, *reason says why. A failure (in `err`) is one of communication: the caller
 * has to end the whole job. Collective with worker_run. */
int coordinator_run(struct error *err, const char *study, const char *out, int ranks,
                    struct error *reason, int *exit_status);

#endif
