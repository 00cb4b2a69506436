#include "mpi/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is the fault of this kind ("hang:"), and for this cell? */
static bool is_meant(const char *kind, const char *cell_id)
{
    const char *fault = getenv("PTQSCALE_FAULT");
    const char *prefix = fault ? strchr(fault, ':') : NULL;
    return prefix && prefix[1] != '\0' && strncmp(fault, kind, strlen(kind)) == 0 &&
           strncmp(cell_id, prefix + 1, strlen(prefix + 1)) == 0;
}

void fault_strike(const char *cell_id)
{
    if (is_meant("segfault:", cell_id)) {
        signal(SIGSEGV, SIG_DFL); /* MPI and sanitizers catch it */
        raise(SIGSEGV);
    }
    while (is_meant("hang:", cell_id)) {
        sleep(1000);
    }
}

bool fault_fails(const char *cell_id)
{
    return is_meant("fail:", cell_id);
}
