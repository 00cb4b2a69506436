/* What a cell costs, before it runs. */
#ifndef JOBS_COST_H
#define JOBS_COST_H

#include "jobs/cell.h"

struct cost {
    double train_flops;    /* matmuls and attention, forward and backward, whole run */
    double evaluate_flops; /* full precision and every quantizer, all checkpoints */
};

void cost_of(const struct cell *cell, struct cost *cost);

/* Bytes of a rank's process beside its cell: program, libraries with their generated code, MPI (about 35 MiB, measured), and
 * the text, of `text_bytes` before cleaning. */
double cost_process_bytes(double text_bytes);

/* Seconds of one rank at `rate` FLOP/s for training and evaluation. */
double cost_seconds(const struct cost *cost, double rate);

/* Makespan in seconds of `seconds[count]` on `workers` by longest-first list scheduling, the order the
 * coordinator uses. `seconds` is sorted in place, longest first. */
double cost_makespan(double *seconds, int count, int workers);

#endif
