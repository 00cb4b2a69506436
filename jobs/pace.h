/*
 * How fast a team of ranks trains and evaluates a cell: operations, bytes on the network, seconds.
 *
 * A step of a team of R ranks shares out its micro-batches, m = batch / micro_batch / R for each rank. In each of them
 * every rank gathers every unit of the parameters (study/layout.h) for the forward pass, those of the blocks again for the
 * backward pass, and some for a third time where activations are computed again; and it hands over every unit's gradient once. With recursive
 * halving and doubling a rank sends (and receives) n·(1 − 1/R) of n numbers in log2 R rounds. Bytes and a latency per round add
 * up to the network's seconds. The next unit travels while one is computed, so that
 *
 *     step = max(compute, network) + what nothing overlaps
 *
 * where the latter is the embedding's gathering in each micro-batch, the last reduction, and the sums of the losses and of
 * the gradient's norm. Nothing else is counted: element-wise work, AdamW, reading text. A rate that was measured in whole runs covers those.
 */
#ifndef JOBS_PACE_H
#define JOBS_PACE_H

#include "jobs/cell.h"

struct pace_machine {
    double flops;     /* FLOP/s of a rank */
    double bandwidth; /* bytes/s that a rank sends, and receives at the same time; > 0 */
    double latency;   /* seconds that a message takes beside its bytes */
};

/* What is assumed where nothing was measured: 60 GFLOP/s, 1 GB/s, 10 microseconds. */
extern const struct pace_machine pace_assumed;

struct pace {
    double step_flops;      /* of a rank: forward, backward, and forward again where recomputed */
    double gathered;        /* bytes that a rank sends per step: parameters */
    double reduced;         /* gradients */
    double norms;           /* the gradient's norm and the loss */
    double messages;        /* rounds per step */
    double compute;         /* seconds of a step: matmuls and attention */
    double network;         /* all messages, one after the other */
    double exposed;         /* of these, what is waited for in any case */
    double step;            /* seconds of a step */
    double tokens;          /* trained per second */
    double train, evaluate; /* seconds of the whole run */
    double evaluated;       /* bytes that a rank sends in all evaluations */
    double checkpoint;      /* bytes of a checkpoint, all ranks together: weights and moments */
};

/* `ranks` and `recompute` as in struct width. */
void pace_of(const struct cell *cell, int ranks, bool recompute, const struct pace_machine *machine,
             struct pace *pace);

/* train + evaluate. */
double pace_seconds(const struct cell *cell, int ranks, bool recompute,
                    const struct pace_machine *machine);

/* 0 … 1: with twice the ranks the cell is 1 + gain times as fast; 0 where there are not micro-batches enough. */
double pace_gain(const struct cell *cell, int ranks, bool recompute,
                 const struct pace_machine *machine);

#endif
