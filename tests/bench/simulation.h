/*
 * A run of the real scheduler (mpi/scheduler.h) in virtual time: thousands of workers and cells in
 * milliseconds. Workers die or hang; a silent one is fenced after the heartbeat timeout, its cell
 * goes on elsewhere from its last checkpoint, and what a fenced one reports is refused.
 *
 * Costs are those of the paper's grid: the sizes 410M, 6B, 13B and 52B in equal numbers, seconds
 * proportional to parameters and to tokens, with token budgets of 1/2, 1 and 2. Real seconds are the expected ones
 * times a factor of the kind (size, precision), which the scheduler can learn, times a factor of
 * the cell, which nobody can know.
 */
#ifndef TESTS_BENCH_SIMULATION_H
#define TESTS_BENCH_SIMULATION_H

#include <stdint.h>

#include "jobs/error.h"

struct simulation {
    int workers, cells;
    double deaths;     /* fraction of the workers that die, each at a random moment */
    double hangs;      /* fraction of those that only hang, and wake up after they were fenced */
    double cell_error; /* sigma of the log-normal factor of each cell */
    double kind_error; /* sigma of the log-normal factor of each kind */
    double shortest;   /* seconds of a 410M cell of the middle budget */
    double timeout;    /* heartbeat timeout, seconds */
    double checkpoint_every; /* seconds */
    int killers;             /* cells that kill every worker that runs them */
    uint64_t seed;
};

struct simulation_result {
    double makespan;
    double work, longest; /* sum and maximum of the real seconds of the cells that can finish */
    double bound;         /* max(work / workers, longest): nothing can be faster */
    double lost;          /* seconds computed twice */
    int deaths, hangs;    /* that happened */
    int taken_back;       /* cells */
    int late;             /* results of fenced workers, all refused */
    int done, quarantined;
    int unlucky; /* quarantined cells that are no killers: their workers died of something else */
    double seconds; /* of CPU for the whole simulation */
};

/* The defaults: the 1,024 workers and 20,000 cells, 1 % deaths, ±20 %. */
struct simulation simulation_default(void);

/* STATUS_FAILED, saying which, when the scheduler breaks a promise: a cell on two live workers,
 * finished twice or never, a late result accepted, a killer not quarantined, a cell quarantined
 * after more or fewer than
 * three deaths. */
int simulation_run(struct error *err, const struct simulation *simulation,
                   struct simulation_result *result);

#endif
