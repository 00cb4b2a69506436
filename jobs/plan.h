/* `ptqscale plan`: what a study will run and what it will cost, before anything runs. */
#ifndef JOBS_PLAN_H
#define JOBS_PLAN_H

#include <stdio.h>

#include "jobs/spec.h"

/*
 * Print the plan of `cells[count]` (spec_cells) on `ranks` MPI ranks, of which rank 0 coordinates (1 = serial), at an
 * assumed `gflops` GFLOP/s per rank. Reports the text's fingerprint when spec_fingerprint has found it, and the
 * missing files otherwise. STATUS_USAGE when ranks < 1 or gflops is not above 0; STATUS_FAILED when `out` cannot be
 * written.
 */
int plan_print(struct error *err, FILE *out, const struct spec *spec, const struct cell *cells,
               int count, int ranks, double gflops);

#endif
