#include "mpi/signals.h"

#include <signal.h>
#include <time.h>

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    return set;
}

void signals_block(void)
{
    sigset_t set = stop_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int signals_take(void)
{
    sigset_t set = stop_signals();
    const struct timespec at_once = {0};
    int taken = sigtimedwait(&set, NULL, &at_once);
    return taken > 0 ? taken : 0;
}
