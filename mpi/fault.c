#include "mpi/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fault_strike(const char *cell_id)
{
    const char *fault = getenv("PTQSCALE_FAULT");
    const char *prefix = fault ? strchr(fault, ':') : NULL;
    if (prefix == NULL || prefix[1] == '\0' ||
        strncmp(cell_id, prefix + 1, strlen(prefix + 1)) != 0) {
        return;
    }
    if (strncmp(fault, "segfault:", 9) == 0) {
        signal(SIGSEGV, SIG_DFL); /* MPI and sanitizers catch it */
        raise(SIGSEGV);
    } else if (strncmp(fault, "hang:", 5) == 0) {
        for (;;) {
            sleep(1000);
        }
    }
}
