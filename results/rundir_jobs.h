/* Private to results/: what study.nc's provenance needs of the journal. */
#ifndef RESULTS_RUNDIR_JOBS_H
#define RESULTS_RUNDIR_JOBS_H

#include "results/rundir.h"

/* Ids of the batch jobs that worked in this folder, ", " between them; "" = none. Owned by
 * `dir`. */
const char *rundir_jobs(const struct rundir *dir);

#endif
