/* `ptqscale plan`: what a study will run and what it will cost, before anything runs. */
#ifndef JOBS_PLAN_H
#define JOBS_PLAN_H

#include <stdbool.h>
#include <stdio.h>

#include "jobs/spec.h"

/* The machine that it is planned for. */
struct plan_machine {
    int ranks;       /* MPI ranks, of which rank 0 coordinates; 1 = serial */
    double gflops;   /* assumed GFLOP/s per rank */
    bool packs_bf16; /* its CPUs have bf16 instructions, and the matmuls use them */
    double memory;   /* bytes of a rank's whole process; 0: as the study file says */
};

/*
 * Print the plan of `cells[count]` (spec_cells). Reports the text's fingerprint when spec_fingerprint has found it, and the
 * missing files otherwise. STATUS_USAGE when ranks < 1 or gflops is not above 0; STATUS_FAILED when `out` cannot be
 * written.
 */
int plan_print(struct error *err, FILE *out, const struct spec *spec, const struct cell *cells,
               int count, const struct plan_machine *machine);

#endif
