/* What `ptqscale run` was asked for. */
#ifndef PTQSCALE_MPI_RUN_OPTIONS_H
#define PTQSCALE_MPI_RUN_OPTIONS_H

#include <stdbool.h>

#include "jobs/shard.h"

struct run_options {
    const char *study;        /* the study file */
    const char *out;          /* the run's folder */
    double checkpoint_every;  /* seconds; negative: as the study file says */
    double heartbeat_timeout; /* the same */
    double memory;            /* bytes of a rank's whole process; 0: as the study file says */
    const char *deadline;     /* mpi/deadline.h; NULL: the batch system's, if there is one */
    double margin;            /* seconds before the deadline; negative: the default */
    struct shard shard;       /* of the study; count 0: as the study file says */
    bool retry_failed;        /* failed and quarantined cells, too */
    bool no_aggregate;        /* do not write study.nc: measures the hand-out alone */
};

#endif
