/* What a rank's memory holds while a team of ranks trains and evaluates a cell. */
#ifndef JOBS_MEMORY_H
#define JOBS_MEMORY_H

#include "jobs/cell.h"

/* Bytes of each rank of the team. */
struct memory {
    double weights;  /* fp32 master weights, its part of them */
    double moments;  /* AdamW's two, its part */
    double gathered; /* whole weights for matmuls: of all units (team of one), or of those in use */
    double
        gradients; /* open levels of the tree over micro-batches, and a unit's before it is shared out */
    double activations; /* of one micro-batch, and their gradients */
    double evaluation;  /* a checkpoint's evaluation, on top of what training keeps meanwhile */
    double training;    /* all but evaluation */
    double peak;        /* of the cell; the process and the text come on top (cost_process_bytes) */
    double packed;      /* of the peak, what a CPU with bf16 instructions does not touch */
};

/* `ranks`: a power of two, at most batch / micro_batch. `recompute`: blocks keep their input only, and are run forward
 * again for their backward pass. */
void memory_of(const struct cell *cell, int ranks, bool recompute, struct memory *memory);

#endif
