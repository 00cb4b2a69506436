#include "mpi/stop.h"

#include <math.h>
#include <signal.h>

#include "mpi/clock.h"
#include "mpi/signals.h"

static const double look_every = 0.5;  /* seconds, for the file */
static const double last_seconds = 10; /* before the deadline: no more waiting */

int stop_open(struct error *err, const char *deadline, double margin, struct stop *stop)
{
    signals_listen();
    *stop =
        (struct stop){.margin = margin >= 0 ? margin : STOP_MARGIN, .margin_given = margin >= 0};
    return deadline_create(err, deadline, &stop->deadline);
}

void stop_close(struct stop *stop)
{
    deadline_free(stop->deadline);
    stop->deadline = NULL;
}

void stop_ask(struct stop *stop, enum stop_cause cause)
{
    if (stop->cause == STOP_NONE) {
        stop->cause = cause;
        stop->since = clock_seconds();
    }
}

double stop_left(struct stop *stop, double extra)
{
    double left = deadline_left(stop->deadline);
    if (isfinite(left) && !stop->margin_set) {
        stop->margin_set = true;
        if (!stop->margin_given && left < 4 * stop->margin) {
            stop->margin = left > 0 ? left / 4 : 0;
        }
    }
    return left - stop->margin - extra;
}

void stop_poll(struct stop *stop, const struct rundir *dir, double extra)
{
    double now = clock_seconds();
    for (int taken; (taken = signals_take()) != 0;) {
        stop->now = stop->now || (stop->cause != STOP_NONE && taken != SIGUSR1);
        stop_ask(stop, STOP_SIGNAL);
    }
    if (now - stop->looked < look_every) {
        return;
    }
    stop->looked = now;
    if (rundir_stop_wanted(dir)) {
        stop_ask(stop, STOP_FILE);
    }
    deadline_poll(stop->deadline);
    if (stop_left(stop, extra) <= 0) {
        stop_ask(stop, STOP_DEADLINE);
        double last = stop->margin / 3 < last_seconds ? stop->margin / 3 : last_seconds;
        stop->now = stop->now || deadline_left(stop->deadline) < last;
    }
}

const char *stop_why(enum stop_cause cause)
{
    static const char *const names[] = {"",         "interrupted", "stop file",
                                        "deadline", "no workers",  "too few workers"};
    return names[cause];
}
