/* How this process was started, from the environment, before and without MPI. */
#ifndef PTQSCALE_MPI_LAUNCHER_H
#define PTQSCALE_MPI_LAUNCHER_H

#include <stdbool.h>

/* Started by mpirun, srun or the like? */
bool launcher_present(void);

/* The rank that the launcher gave us; 0 without a launcher. */
int launcher_rank(void);

/* How many ranks it says that it has started; 0 = it does not say. */
int launcher_ranks(void);

/* Do the other ranks go on when one dies? Open MPI 4's mpirun says it: its option --enable-recovery
 * arrives as a parameter in the environment (a parameter file of the user's is not seen). */
enum recovery { RECOVERY_UNKNOWN, RECOVERY_OFF, RECOVERY_ON };
enum recovery launcher_recovery(void);

#endif
