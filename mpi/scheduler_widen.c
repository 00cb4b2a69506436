/* The end of a run: idle workers for the cells that run longest. */
#include <math.h>

#include "mpi/scheduler_state.h"

int scheduler_widen(struct scheduler *s, double now, double restart)
{
    (void)s;
    (void)now;
    (void)restart;
    return -1;
}
