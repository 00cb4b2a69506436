#include "mpi/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

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

static void count_signal(int taken)
{
    atomic_fetch_add(taken == SIGUSR1 ? &warnings : &stops, 1);
}

void signals_block(void)
{
    static const int stop_signal[] = {SIGTERM, SIGINT, SIGUSR1};
    const sigset_t set = stop_signals();
    struct sigaction action = {.sa_handler = count_signal, .sa_mask = set, .sa_flags = SA_RESTART};
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < sizeof stop_signal / sizeof stop_signal[0]; i++) {
        sigaction(stop_signal[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

static void *listen_for_signals(void *unused)
{
    (void)unused;
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;) {
        pause();
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, listen_for_signals, NULL) == 0) {
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
