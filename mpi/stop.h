/* Has something asked the run to stop before it is done? Signals, the file DIR/stop, the end of the
 * allocation. */
#ifndef PTQSCALE_MPI_STOP_H
#define PTQSCALE_MPI_STOP_H

#include <stdbool.h>

#include "mpi/deadline.h"
#include "results/rundir.h"

enum stop_cause {
    STOP_NONE,
    STOP_SIGNAL,
    STOP_FILE,
    STOP_DEADLINE,
    STOP_NO_WORKERS,  /* all are lost */
    STOP_FEW_WORKERS, /* too few are left for any cell */
};

struct stop {
    enum stop_cause cause; /* the first one */
    bool now;              /* do not wait for anything: a second signal, or no time left */
    double since;          /* clock_seconds when it came */
    struct deadline *deadline;
    double margin; /* seconds before the deadline at which workers are told to stop */
    bool margin_given;
    bool margin_set; /* the default is settled once the deadline is known */
    double looked;   /* for the file */
};

enum { STOP_MARGIN = 60 }; /* default, seconds */

/* `deadline` as for deadline_create; `margin` in seconds, negative: STOP_MARGIN, or a quarter of the
 * time that is left if that is less. */
int stop_open(struct error *err, const char *deadline, double margin, struct stop *stop);
void stop_close(struct stop *stop);

/* Look; cheap, call often. `extra`: seconds that stopping is known to take beyond the margin. */
void stop_poll(struct stop *stop, const struct rundir *dir, double extra);

/* Something inside the run asks for it. */
void stop_ask(struct stop *stop, enum stop_cause cause);

/* Seconds until workers are told to stop because of the deadline; INFINITY without one. */
double stop_left(struct stop *stop, double extra);

const char *stop_why(enum stop_cause cause); /* for the journal: "deadline" */

#endif
