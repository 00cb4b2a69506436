/*
 * Who runs which cell next. Plain C: workers are numbers and time is passed in, so the same code
 * serves the coordinator, the serial runner, tests and simulation.
 *
 * A cell runs on a team of workers, as many as its width says: a power of two. Order: widest first, and of one
 * width the longest first by expected seconds; but before all others what takes as long as all that is left on all
 * workers. The first cell in this order that does not fit onto the idle workers
 * has a reservation: it is known when enough of them will be idle, and until then others go first only where that
 * does not make it later (EASY backfilling: they end before, or leave workers enough).
 *
 * A cell comes with the seconds expected at a reference rate and a kind; cells of one kind (size, precision) run at
 * one rate, and each kind's factor between expected and real seconds is learned from finished cells. A kind that has
 * not been seen yet uses the mean of all. Where all cells are of one width, starting, finishing and taking back cost
 * O(kinds); to find the time of a reservation costs O(running cells).
 *
 *     pending ──start──▶ running ──finish──▶ done | diverged | failed | quarantined
 *        ▲                  │
 *        └────take back─────┘           pending ──adopt──▶ done | diverged | failed | quarantined
 *
 *     worker: absent ──ready──▶ idle ──start──▶ member ──ready──▶ idle        any ──retire──▶ lost for good
 *
 * A member stays one after its cell has ended, until it says that it is idle. Take back is for a cell that was
 * interrupted or has lost a worker; one that is suspected of killing its workers is put off: the others go first,
 * until the work that they leave takes no longer than that cell, and workers enough are left.
 */
#ifndef PTQSCALE_MPI_SCHEDULER_H
#define PTQSCALE_MPI_SCHEDULER_H

#include <stdbool.h>

#include "jobs/error.h"
#include "results/record.h"

struct scheduler;

struct scheduler_item {
    double
        seconds; /* expected on `width` workers, at a rate that is the same for all items; finite, > 0 */
    int kind;    /* ≥ 0; small, since each start looks at every kind */
    int width;   /* workers that it needs, a power of two */
    int most;    /* that it can use when it is widened, a power of two ≥ width */
    double gain; /* 0 … 1: twice the workers are 1 + gain times as fast */
};

enum { SCHEDULER_KINDS = 4096 };

/* All `count` cells pending, all `workers` absent. STATUS_FAILED on bad items or lack of memory. */
int scheduler_create(struct error *err, const struct scheduler_item *item, int count, int workers,
                     struct scheduler **scheduler);
void scheduler_free(struct scheduler *scheduler); /* NULL is fine */

/* May a cell move from one state to the other? The table behind every function below. */
bool scheduler_allowed(enum cell_status from, enum cell_status to);

/* ---- workers ---- */

/* The worker is there and idle: it is new, or has left its team. Nothing if it was idle or is retired. */
void scheduler_ready(struct scheduler *scheduler, int worker);

/* The worker is lost for good: it gets nothing more and does not count in estimates. Its cell, if it is a member of
 * one, is still to be taken back. */
void scheduler_retire(struct scheduler *scheduler, int worker);

/* The running cell of which the worker is a member; −1 = none, also when its cell has ended. */
int scheduler_holds(const struct scheduler *scheduler, int worker);

/* ---- cells ---- */

/* A pending cell is not to run: it was found finished (done or diverged) in the run's folder, or
 * given up (failed or quarantined). `seconds` of its run teach the cost model, 0 = not known. */
int scheduler_adopt(struct error *err, struct scheduler *scheduler, int cell,
                    enum cell_status status, double seconds);

/* Start the cell whose turn it is: member[width] become idle workers in ascending order, of which member[0] leads;
 * `member` has room for all workers. *cell = −1: none starts now. `now` in seconds, from any origin. */
int scheduler_start(struct error *err, struct scheduler *scheduler, double now, int *cell,
                    int *width, int *member);

/* The cell that scheduler_start would start; −1 = none. */
int scheduler_peek(struct scheduler *scheduler, double now);

/* The running cell has ended after `seconds` (0: that teaches nothing). STATUS_FAILED if it does not run or `status`
 * is not an end. Who reports it must be its member (scheduler_holds). */
int scheduler_finish(struct error *err, struct scheduler *scheduler, int cell,
                     enum cell_status status, double seconds);

/* The running cell was interrupted or has lost a worker: it is pending again. */
int scheduler_take_back(struct error *err, struct scheduler *scheduler, int cell);

/* The same, but the cell is under suspicion (see above). */
int scheduler_put_off(struct error *err, struct scheduler *scheduler, int cell);

/* This fraction (0 … 1) of the cell is done. Ignored if it does not run. */
void scheduler_progress(struct scheduler *scheduler, double now, int cell, double fraction);

/* The running cell goes on from a checkpoint at which this fraction was done. */
void scheduler_resumed(struct scheduler *scheduler, int cell, double fraction);

enum cell_status scheduler_status(const struct scheduler *scheduler, int cell);
int scheduler_count(const struct scheduler *scheduler, enum cell_status status);

/* Workers of the cell's team, now or when it starts; the one that leads it, −1 = it does not run. */
int scheduler_width(const struct scheduler *scheduler, int cell);
int scheduler_leader(const struct scheduler *scheduler, int cell);

/* 0, or, when cells are pending that can never start: how many workers the least wide of them needs. None runs
 * then, and fewer workers are left than any pending cell needs. */
int scheduler_stuck(const struct scheduler *scheduler);

/* ---- the end of a run ---- */

/* A running cell that is worth stopping, to go on from its checkpoint on more workers, since nothing pending can use
 * those that are idle; −1 = none. Stopping and starting again takes `restart` seconds. The cell that is returned
 * is to be stopped; when it has been taken back, it starts on the wider team, or on what there is then. */
int scheduler_widen(struct scheduler *scheduler, double now, double restart);

/* ---- estimates ---- */

/* Seconds that the cell is expected to take on its width, as learned so far. */
double scheduler_expected(const struct scheduler *scheduler, int cell);

/* The cell that has a reservation, and when it is expected to start; −1 = none. INFINITY: it waits for workers of
 * which nothing is known. */
int scheduler_reserved(const struct scheduler *scheduler, double *start);

/* Seconds until all is finished: list scheduling of what is pending onto all workers behind what
 * they run now. NaN while nothing is known of real seconds, or when cells are pending that are too wide for the
 * workers left. O(n log n) and O(log workers) for each member: ask about once a second. */
double scheduler_eta(struct scheduler *scheduler, double now);

#endif
