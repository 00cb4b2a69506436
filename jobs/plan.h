/*
 * `ptqscale plan`: what a study will run and what it will cost, before anything runs. Which team each cell gets follows here;
 * who runs when is the scheduler's business (mpi/forecast.h), whose intervals come back to be printed.
 */
#ifndef JOBS_PLAN_H
#define JOBS_PLAN_H

#include <stdbool.h>
#include <stdio.h>

#include "jobs/pace.h"
#include "jobs/spec.h"
#include "jobs/width.h"

/* The machine that it is planned for. */
struct plan_machine {
    int ranks;          /* MPI ranks, of which rank 0 coordinates; 1 = serial */
    int ranks_per_node; /* workers on one node; 0: one per core of this machine */
    double memory;      /* bytes of a rank's whole process; 0: no limit */
    double gflops;      /* GFLOP/s of a rank */
    double bandwidth;   /* GB/s that a rank sends, and receives at the same time */
    double latency;     /* microseconds of a message */
    const char *rates;  /* where these three are from: "given", "measured"; NULL: assumed */
    bool packs_bf16;    /* its CPUs have bf16 instructions, and the matmuls use them */
};

/* How a cell runs. */
struct plan_cell {
    int size;           /* index in the study */
    bool fits;          /* else the rest is 0 */
    struct width width; /* its team */
    int most;           /* ranks that it can use when its team is widened */
    double seconds;     /* on its team */
    double gain;        /* pace_gain */
};

/* A team's time with a cell. */
struct plan_interval {
    int cell, ranks;
    double start, end; /* seconds */
};

struct plan {
    const struct spec *spec;
    const struct cell *cells; /* (count) */
    int count;
    struct plan_machine machine;
    int workers;
    double text, process;   /* bytes of a rank beside its cell; process is with the text */
    struct plan_cell *cell; /* (count) */
    int refused;            /* sizes with cells that fit no team there is */
    char refusal[SPEC_SIZES][ERROR_MESSAGE]; /* why; "" */
};

/* Choose teams. spec and cells must outlive the plan. STATUS_USAGE when the machine makes no sense. */
int plan_create(struct error *err, const struct spec *spec, const struct cell *cells, int count,
                const struct plan_machine *machine, struct plan **plan);
void plan_free(struct plan *plan); /* NULL is fine */

/* Print it. Says the text's fingerprint when spec_fingerprint has found it, and the missing files otherwise.
 * `interval`: the schedule, by start; NULL when sizes are refused. STATUS_FAILED when `out` cannot be written. */
int plan_print(struct error *err, FILE *out, const struct plan *plan,
               const struct plan_interval *interval, int intervals);

#endif
