/* What a simulation is made of; for simulation*.c only. */
#ifndef TESTS_BENCH_SIMULATION_STATE_H
#define TESTS_BENCH_SIMULATION_STATE_H

#include "mpi/scheduler.h"
#include "tests/bench/simulation.h"

enum happening {
    FINISHES,  /* a cell */
    SAVES,     /* a cell that was asked to stop */
    IS_LEFT,   /* by a worker, whose cell has ended, or is dropped */
    DIES,      /* a worker */
    IS_FENCED, /* a silent worker */
    WAKES,     /* a fenced worker that only hung */
    TELLS,     /* all cells, what they have done */
};

struct event {
    double time;
    enum happening what;
    int worker;
    int cell, run; /* which start of the cell */
};

struct events {
    struct event *heap; /* the earliest first */
    int count, room;
};

struct worker {
    bool silent; /* dead or hung; the scheduler learns of it when it is fenced */
    bool fenced, hangs;
    int cell, run; /* what it works on; −1 = idle */
};

struct fate {
    struct scheduler_item item;
    double real;      /* seconds, whole, on its width */
    double remaining; /* from the last checkpoint, on its width */
    bool killer;
    bool runs;      /* from its start until it has ended or was taken back */
    bool broken;    /* a member is silent: nothing goes on */
    bool dropped;   /* the living members have been told so */
    bool told;      /* it was asked to stop */
    bool counted;   /* this run has cost a death */
    bool widens;    /* the scheduler wants it on a wider team */
    int run, width; /* how often it was started; the team */
    int leader;
    int members;                  /* that have not left and are not fenced */
    double started, begun, broke; /* the run; its work; when that stopped */
    int losses, finished;
    double promise,
        promised; /* the first reservation's start, and when it was made; INFINITY, 0 = none */
    bool waits;
};

struct state {
    const struct simulation *options;
    struct simulation_result *result;
    struct scheduler *scheduler;
    struct worker *worker;
    struct fate *cell;
    int *member;
    struct events events;
    uint64_t random;
    double now;
    double news_every, last; /* … but for news: when something happened */
    int left_to_stop;
};

double random_unit(uint64_t *state); /* in (0, 1) */
int random_below(uint64_t *state, int n);
double random_log_normal(uint64_t *state, double sigma);

int events_push(struct error *err, struct events *events, struct event event);
struct event events_pop(struct events *events);

/* The study: fates, bounds, the scheduler. */
int simulation_prepare(struct error *err, struct state *state);

#endif
