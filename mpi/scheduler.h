/*
 * Who runs which cell next. Plain C: workers are numbers and time is passed in, so the same code
 * serves the coordinator, the serial runner, tests and simulation.
 *
 * Order: longest first by expected seconds. A cell comes with the seconds expected at a reference
 * rate and a kind; cells of one kind (size, precision) run at one rate, and each kind's factor
 * between expected and real seconds is learned from finished cells. A kind that has not been seen
 * yet uses the mean of all. Handing out, finishing and taking back cost O(kinds + log cells).
 *
 *     pending ──next──▶ running ──finish──▶ done | diverged | failed | quarantined
 *        ▲                 │
 *        └───take back─────┘            pending ──adopt──▶ done | diverged | failed | quarantined
 *
 * Take back is for a worker that was interrupted or lost; a cell that is suspected of killing its
 * workers is put off: the others go first, until the work that they leave takes no longer than that
 * cell, and workers enough are left.
 */
#ifndef PTQSCALE_MPI_SCHEDULER_H
#define PTQSCALE_MPI_SCHEDULER_H

#include <stdbool.h>

#include "jobs/error.h"
#include "results/record.h"

struct scheduler;

struct scheduler_item {
    double seconds; /* expected, at a rate that is the same for all items; finite, > 0 */
    int kind;       /* ≥ 0; small, since each hand-out looks at every kind */
};

enum { SCHEDULER_KINDS = 4096 };

/* All `count` cells pending, all `workers` idle. STATUS_FAILED on bad items or lack of memory. */
int scheduler_create(struct error *err, const struct scheduler_item *item, int count, int workers,
                     struct scheduler **scheduler);
void scheduler_free(struct scheduler *scheduler); /* NULL is fine */

/* May a cell move from one state to the other? The table behind every function below. */
bool scheduler_allowed(enum cell_status from, enum cell_status to);

/* A pending cell is not to run: it was found finished (done or diverged) in the run's folder, or
 * given up (failed or quarantined). `seconds` of its run teach the cost model, 0 = not known. */
int scheduler_adopt(struct error *err, struct scheduler *scheduler, int cell,
                    enum cell_status status, double seconds);

/* Give `worker` the longest pending cell; *cell = −1 when none is pending. STATUS_FAILED if the
 * worker already holds one. `now` in seconds, from any origin. */
int scheduler_next(struct error *err, struct scheduler *scheduler, int worker, double now,
                   int *cell);

/* The worker's cell has ended after `seconds`. STATUS_FAILED if it does not hold `cell` (a late
 * message from a worker that lost it) or `status` is not an end. */
int scheduler_finish(struct error *err, struct scheduler *scheduler, int worker, int cell,
                     enum cell_status status, double seconds);

/* The worker is lost or was interrupted: its cell is pending again. *cell = −1 if it held none. */
int scheduler_take_back(struct error *err, struct scheduler *scheduler, int worker, int *cell);

/* The same, but the cell is under suspicion (see above). */
int scheduler_put_off(struct error *err, struct scheduler *scheduler, int worker, int *cell);

/* The worker is lost for good: it gets nothing more and does not count in estimates. Take its cell
 * back first. */
void scheduler_retire(struct scheduler *scheduler, int worker);

/* The cell that scheduler_next would hand out; −1 = none is pending. */
int scheduler_peek(const struct scheduler *scheduler);

/* The worker has done this fraction (0 … 1) of its cell. Ignored if it holds none. */
void scheduler_progress(struct scheduler *scheduler, int worker, double fraction);

int scheduler_holds(const struct scheduler *scheduler, int worker); /* its cell, −1 = idle */
enum cell_status scheduler_status(const struct scheduler *scheduler, int cell);
int scheduler_count(const struct scheduler *scheduler, enum cell_status status);

/* Seconds that the cell is expected to take, as learned so far. */
double scheduler_expected(const struct scheduler *scheduler, int cell);

/* Seconds until all is finished: list scheduling of what is pending onto all workers behind what
 * they run now. NaN while nothing is known of real seconds. O(n log n): ask about once a second. */
double scheduler_eta(struct scheduler *scheduler, double now);

#endif
