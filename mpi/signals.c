#include "mpi/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* Signals belong to the process, and so does their count. */
static atomic_int stops, warnings;

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

static void *count_signals(void *unused)
{
    (void)unused;
    const sigset_t set = stop_signals();
    for (;;) {
        int taken = 0;
        if (sigwait(&set, &taken) == 0) {
            atomic_fetch_add(taken == SIGUSR1 ? &warnings : &stops, 1);
        }
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count_signals, NULL) == 0) {
        pthread_detach(thread);
    }
}

void signals_listen(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_thread);
}

static bool take_one(atomic_int *count)
{
    int there = atomic_load(count);
    while (there > 0 && !atomic_compare_exchange_weak(count, &there, there - 1)) {
    }
    return there > 0;
}

int signals_take(void)
{
    if (take_one(&stops)) {
        return SIGTERM;
    }
    if (take_one(&warnings)) {
        return SIGUSR1;
    }
    const sigset_t set = stop_signals(); /* without the thread, or sent to this one alone */
    const struct timespec at_once = {0};
    int taken = sigtimedwait(&set, NULL, &at_once);
    return taken > 0 ? taken : 0;
}
