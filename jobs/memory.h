/* What a rank's memory holds while a team of ranks trains and evaluates a cell. */
#ifndef JOBS_MEMORY_H
#define JOBS_MEMORY_H

#include "jobs/cell.h"

/* Bytes of each rank of the team. */
struct memory {
    double weights;   /* fp32 master weights, its part of them */
    double moments;   /* AdamW's two, its part, and what the gradient's norm takes */
    double gathered;  /* a team's units in use, whole, and messages */
    double rounded;   /* weights rounded to the half type: all, or a team's unit in use */
    double gradients; /* open levels of the tree over micro-batches, and whole units on their way */
    double activations; /* of one micro-batch in training, and their gradients */
    double evaluation;  /* a checkpoint's evaluation, in place of the last three */
    double peak;        /* of the cell; the process and the text come on top (cost_process_bytes) */
    double packed;      /* of the peak, what a CPU with bf16 instructions does not touch */
};

/* `ranks`: a power of two, at most batch / micro_batch. `recompute`: blocks keep their input only, and are run forward
 * again for their backward pass. */
void memory_of(const struct cell *cell, int ranks, bool recompute, struct memory *memory);

#endif
