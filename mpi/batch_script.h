/* The batch script of `ptqscale submit`, from slurm/batch.sh.in. */
#ifndef PTQSCALE_MPI_BATCH_SCRIPT_H
#define PTQSCALE_MPI_BATCH_SCRIPT_H

#include "jobs/spec.h"
#include "mpi/cli.h"

struct batch_options {
    const char *folder;                     /* absolute */
    const char *program;                    /* absolute path of ptqscale */
    int nodes, ntasks;                      /* 0: not given; one of them is */
    const char *time, *partition, *account; /* NULL: not given */
    int shards;                             /* tasks of a job array; 0: one job */
    struct cli_list sbatch;                 /* further options of sbatch */
    bool srun;                              /* instead of mpirun */
    struct cli_list launcher;               /* further options of the launcher */
    int max_restarts;
};

/* The script for a study. `memory`: bytes that one rank may need. malloc'ed; the caller frees it.
 * STATUS_USAGE for an option that no line of a script can hold. */
int batch_script(struct error *err, const struct spec *spec, const struct batch_options *options,
                 double memory, char **text);

/* slurm/preflight.sh, which the script calls as FOLDER/slurm/preflight.sh. */
const char *batch_preflight(void);

#endif
