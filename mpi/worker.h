/* Ranks 1 … n−1: take a cell, run it, report, take the next. */
#ifndef PTQSCALE_MPI_WORKER_H
#define PTQSCALE_MPI_WORKER_H

#include "jobs/error.h"

/* Work until the coordinator ends the run. *exit_status is the program's. A failure is one of
 * communication: the caller has to end the whole job. Collective with coordinator_run. */
int worker_run(struct error *err, int *exit_status);

#endif
