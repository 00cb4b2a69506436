/* The study in one process, without MPI: same scheduler, journal and display as the coordinator's.
 */
#ifndef PTQSCALE_MPI_SERIAL_H
#define PTQSCALE_MPI_SERIAL_H

#include "jobs/error.h"

/* Run the study file into folder `out`. Returns the program's exit status. */
int serial_run(struct error *err, const char *study, const char *out);

#endif
