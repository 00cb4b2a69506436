/* The study in one process, without MPI: same scheduler, journal and display as the coordinator's.
 */
#ifndef PTQSCALE_MPI_SERIAL_H
#define PTQSCALE_MPI_SERIAL_H

#include "jobs/error.h"
#include "mpi/run_options.h"

/* Run the study into its folder. Returns the program's exit status. A second signal ends the process. */
int serial_run(struct error *err, const struct run_options *options);

#endif
