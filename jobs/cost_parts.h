/* What counting operations and counting bytes share. Private to jobs/. */
#ifndef JOBS_COST_PARTS_H
#define JOBS_COST_PARTS_H

#include "jobs/cell.h"

/* Weights of one block's four sites together: qkv, attn_out, ffn_in, ffn_out. */
double cost_block_weights(const struct cell *cell);

/* Floats of the units that a team gathers (study/layout.h). */
enum { COST_SITES = 4 };
struct cost_units {
    double embedding; /* and positions, and a tied head */
    double site
        [COST_SITES]; /* qkv, attn_out, ffn_in, ffn_out of one block, with biases and LayerNorms */
    double head;      /* and the final LayerNorm */
    double largest;
};
void cost_units(const struct cell *cell, struct cost_units *units);

/* Chunks of 4096 floats, or less at a tensor's end, in which the squares of the gradient are summed (METHOD §2). */
double cost_chunks(const struct cell *cell);

/* Of one sequence. */
double cost_forward_flops(const struct cell *cell);

/* Of one sequence's activations computed again: all blocks but the last, up to the inputs of their last sites. */
double cost_recompute_flops(const struct cell *cell);

/*
 * Where the first block's part before attention sees nothing but the token, evaluation takes it from tables (study/model.h): one of the
 * full model, and one per quantizer of the checkpoint that does not look at whole windows. How many a rank makes,
 * none where the windows have too few positions; floats of a row; FLOPs of one: q, k, v, and in parallel blocks the FFN.
 */
int cost_tables(const struct cell *cell, bool last);
double cost_table_row(const struct cell *cell);
double cost_table_flops(const struct cell *cell);

/* How often windows go through the model in all evaluations of a cell. */
struct cost_passes {
    double full, quantized; /* over the held-out windows; the quantized ones also over the tasks */
    double tasks;           /* in full precision over the tasks */
    double calibration;     /* over the calibration windows */
    double probes;          /* over the probes' */
};
void cost_passes(const struct cell *cell, struct cost_passes *passes);

/* Sequences that a task takes of one model, one per continuation: few are longer than a context. None while a file's items are not counted. */
double cost_task_sequences(const struct task *task);

/* Held-out windows that probes read. */
int cost_probe_windows(const struct cell *cell);

/* Which transforms of the inputs the GPTQ quantizers of a checkpoint look through: each needs its own Gram matrices. */
int cost_gram_transforms(const struct cell_evaluate *evaluate, bool last);

/* Bytes of one layer's Gram matrices, and how many layers hold theirs at a time (study/calibrate.h). */
double cost_gram_bytes(const struct cell *cell);
double cost_gram_layers(const struct cell *cell, int transforms);

#endif
