/* What a scheduler is made of; for scheduler*.c only. */
#ifndef PTQSCALE_MPI_SCHEDULER_STATE_H
#define PTQSCALE_MPI_SCHEDULER_STATE_H

#include "mpi/bits.h"
#include "mpi/scheduler.h"

/* What cells of one kind have taught. */
struct scheduler_kind {
    double expected, elapsed; /* sums over finished cells */
};

/* Pending cells of one kind and width. They have places one behind the other, the longest first. */
struct scheduler_class {
    int kind, width;
    int first, length; /* places [first, first + length) */
    int pending;
    double seconds; /* sum over the pending ones */
};

/* A cell on its way. */
struct scheduler_team {
    int width;  /* of the team, or of the next one */
    int leader; /* −1 = the cell does not run */
    int held;   /* living members that have not left yet */
    int serial; /* which start of the cell this is */
    int at;     /* its place in running[] */
    bool suspect;
    int target;            /* width that it is to be widened to; 0 = none */
    bool widened;          /* it was widened before */
    int counted;           /* serial of the reservation before whose start it is expected to end */
    double due;            /* when it is expected to end, as it was when it started */
    double since, heard;   /* when it started, when it told what is done */
    double fraction, base; /* done; and done when it started */
};

enum scheduler_place { WORKER_ABSENT, WORKER_IDLE, WORKER_MEMBER, WORKER_RETIRED };

struct scheduler_worker {
    enum scheduler_place place;
    int cell, serial; /* member: of which start of which cell */
};

/* So many workers for, or in, so many seconds. */
struct scheduler_span {
    double seconds;
    int width;
    int cell;
};

/* The cell that waits for workers, and what the others may do meanwhile. */
struct scheduler_reservation {
    int cell;     /* −1 = none */
    int serial;   /* teams with this number are expected to have ended when it starts */
    bool stale;   /* to be made anew, because what it was made from has changed */
    double since; /* when the cell got it */
    double start; /* when it is expected to start; INFINITY = not known */
    int spare;    /* idle workers there are then that it does not need */
};

struct scheduler {
    int count, workers, kinds, classes;
    struct scheduler_item *item;
    enum cell_status *status;
    struct scheduler_team *team;   /* (count) */
    struct scheduler_class *class; /* (classes), widest first */
    int *class_of;                 /* (count) */
    int *order, *place;            /* (count): the cell of a place, the place of a cell */
    struct bits pending;           /* places of pending cells, but those in late[] and wide[] */
    struct scheduler_kind *kind;
    int counts[CELL_QUARANTINED + 1];
    int *late; /* (count): pending cells that were put off */
    int lates;
    int suspects; /* running cells that were put off before */
    int *wide;    /* (count): pending cells that were stopped to be widened */
    int wides;
    int *running; /* (count) */

    struct scheduler_worker *worker;
    struct bits idle;
    int idles;
    int living;           /* workers that are not retired */
    int absents;          /* … and not yet there */
    int leaving;          /* members of teams whose cells have ended */
    double origin, ended; /* when a cell was asked for first; when one ended last */
    bool begun;           /* origin is known */
    bool has_ended;       /* a cell, since the last one was asked for: its time is not known yet */

    struct scheduler_reservation reserved;

    bool mixed; /* there are cells of different widths */
    double due; /* sum over running cells: width times the moment when it is expected to end */
    int busy;   /* … of the widths */
    double expected, elapsed;    /* sums over all kinds */
    double *load;                /* (workers), scratch */
    struct scheduler_span *span; /* (count), scratch */
};

/* Real seconds per expected second; `unknown` while nothing has finished. */
double scheduler_factor(const struct scheduler *scheduler, int kind, double unknown);

/* Before any cell has finished: the factor that the running ones point to, else NaN. */
double scheduler_guess(const struct scheduler *scheduler);

void scheduler_learn(struct scheduler *scheduler, int cell, double seconds);

/* How many times as fast is the cell on `width` workers as on item.width? */
double scheduler_speedup(const struct scheduler *scheduler, int cell, int width);

/* Seconds that the cell still takes on its team, when it starts; the factor left out. */
double scheduler_whole(const struct scheduler *scheduler, int cell);

/* Seconds that a running cell still takes; `guess` stands for an unknown factor. ≥ 0, or NaN. */
double scheduler_left(const struct scheduler *scheduler, int cell, double now, double guess);

/* The cell that starts now, on *width workers; −1 = none. Keeps the reservation up to date. */
int scheduler_choose(struct scheduler *scheduler, double now, int *width);

/* The chosen cell starts: what does that mean for the reservation? */
void scheduler_account(struct scheduler *scheduler, int cell);

#endif
