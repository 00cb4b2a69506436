/*
 * A run of the real scheduler (mpi/scheduler.h) in virtual time: thousands of workers and cells in
 * seconds. Workers die or hang; a silent one is fenced after the heartbeat timeout, its team-mates then drop the
 * cell, which goes on elsewhere from its last checkpoint, and what a fenced one reports is refused. Members of a
 * team become idle one by one.
 *
 * Two kinds of study. The grid is the paper's: the sizes 410M, 6B, 13B and 52B in equal numbers, seconds by default
 * proportional to parameters, divided by the size's width; token budgets of 1/2, 1 and 2. The mixture has widths
 * and seconds that know nothing of each other: a width drawn from those of the sizes, seconds over 1.5 decades.
 * Real seconds are the expected ones times a factor of the kind (size, precision), which the scheduler can learn,
 * times a factor of the cell, which nobody can know.
 */
#ifndef TESTS_BENCH_SIMULATION_H
#define TESTS_BENCH_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/error.h"

enum { SIMULATION_SIZES = 4 };

struct simulation {
    int workers, cells;
    bool mixture;
    double cost[SIMULATION_SIZES]; /* of a cell of each size, relative to each other */
    bool budgets;                  /* three token budgets; else one */
    int width[SIMULATION_SIZES];   /* workers of a cell of each size, powers of two */
    int doublings;  /* how often a cell's team can be doubled at the end of the run; 0: never */
    double gain;    /* share that a doubling keeps: twice the workers are 1 + gain times as fast */
    double restart; /* seconds that stopping and starting again takes */
    double deaths;  /* fraction of the workers that die, each at a random moment */
    double hangs;   /* fraction of those that only hang, and wake up after they were fenced */
    double stops;   /* cells that are stopped and given back, per cell of the study */
    double cell_error; /* sigma of the log-normal factor of each cell */
    double kind_error; /* sigma of the log-normal factor of each kind */
    double
        shortest; /* seconds of a 410M cell of the middle budget on one worker; mixture: the least */
    double timeout; /* heartbeat timeout, seconds */
    double release; /* most seconds between a cell's end and that of a member's work on it */
    double checkpoint_every; /* seconds */
    int killers;             /* cells that kill every worker that leads them */
    uint64_t seed;
};

struct simulation_result {
    double makespan;
    double work,
        longest; /* worker-seconds and most seconds of the cells that can finish, on their widths */
    double bound;         /* max(work / workers, longest): nothing is faster without widening */
    double nested;        /* the same for widths: of w or more only workers / w run at a time */
    double busy;          /* fraction of workers · makespan spent on cells */
    double waited;        /* longest time that a cell had a reservation, seconds */
    double late_start;    /* most seconds by which a cell started after its first promise */
    double mean_start;    /* mean of the cells' first starts, seconds */
    double lost;          /* worker-seconds computed twice */
    int deaths, hangs;    /* that happened */
    int taken_back;       /* cells, after a death */
    int stopped, widened; /* cells: given back alive; started again on more workers */
    int late;             /* results of fenced workers, all refused */
    int reservations, backfilled; /* cells that had one; cells that started while another had one */
    int done, quarantined;
    int stuck;   /* cells that need more workers than are left */
    int unlucky; /* quarantined cells that are no killers: their workers died of something else */
    double seconds; /* of CPU for the whole simulation */
};

/* The defaults: 1,024 workers and 20,000 cells of width 1, 1 % deaths, ±20 %. */
struct simulation simulation_default(void);

/* STATUS_FAILED, saying which, when the scheduler breaks a promise: a member that is not idle, or not there, or twice
 * in a team; a team of a wrong size; a cell on two teams, finished twice or never though workers enough are left; a
 * killer not quarantined, a cell quarantined after more or fewer than three deaths; with exact estimates and nobody
 * lost, a start later than the reservation promised; or nothing happening while cells are left that could run. */
int simulation_run(struct error *err, const struct simulation *simulation,
                   struct simulation_result *result);

#endif
