#include "mpi/launcher.h"

#include <stdlib.h>
#include <string.h>

/* Open MPI; PMIx (also srun --mpi=pmix); PMI-1 and PMI-2 (MPICH, srun --mpi=pmi2). */
static const char *const rank_names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
static const char *const size_names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

static const char *first_of(const char *const *name, int names)
{
    for (int i = 0; i < names; i++) {
        const char *value = getenv(name[i]);
        if (value && value[0]) {
            return value;
        }
    }
    return NULL;
}

bool launcher_present(void)
{
    return first_of(rank_names, 3) != NULL || first_of(size_names, 1) != NULL;
}

int launcher_rank(void)
{
    const char *rank = first_of(rank_names, 3);
    return rank ? atoi(rank) : 0;
}

int launcher_ranks(void)
{
    const char *size = first_of(size_names, 2);
    if (size == NULL && getenv("PMIX_RANK")) {
        size = getenv("SLURM_STEP_NUM_TASKS");
    }
    return size ? atoi(size) : 0;
}

enum recovery launcher_recovery(void)
{
    /* mpirun of Open MPI 4 has given the ranks its address; srun has not. */
    if (getenv("OMPI_MCA_orte_hnp_uri") == NULL) {
        return RECOVERY_UNKNOWN;
    }
    const char *recovery = getenv("OMPI_MCA_orte_enable_recovery");
    bool on = recovery && strcmp(recovery, "0") != 0 && strcmp(recovery, "false") != 0;
    return on ? RECOVERY_ON : RECOVERY_OFF;
}
