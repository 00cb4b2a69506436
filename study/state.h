/*
 * The state of a cell in training as bytes, from which it goes on bit by bit as if it had never stopped. A state is
 *
 *     struct state                  as it lies in memory: identity, counters, trace sums
 *     double[numbers]               all that the record has measured so far (results/record.h)
 *     float[3][weights]             master weights, first and second moments, the layout's buffers
 *
 * and nothing behind that. Numbers have the machine's byte order, which the magic shows. Only a state of the
 * same cell, method version, instruction set and matmul library is used: another would not give the same
 * bits. Lengths follow from the cell; those in the state are only compared with them. That the bytes
 * themselves are whole is the store's business (results/checkpoint.h).
 */
#ifndef STUDY_STATE_H
#define STUDY_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "results/record.h"
#include "study/run_cell.h"

enum { STATE_ID = 40, STATE_METHOD = 24, STATE_STARTED = 32 };

/* No padding; texts end with a NUL. */
struct state {
    uint64_t magic; /* with the format's version */
    char id[STATE_ID], method[STATE_METHOD], isa[RECORD_TEXT], matmul[RECORD_TEXT];
    char started[STATE_STARTED]; /* of the record: when the cell was first begun */
    uint64_t numbers, weights;
    int64_t step;                         /* steps done, ≥ 1 */
    int64_t updates, skipped, good_steps; /* of the optimizer; updates + skipped = step */
    int64_t next;                         /* index of the evaluation checkpoint to come */
    double loss_scale;
    double trace_loss[RECORD_TRACE], trace_norm[RECORD_TRACE], trace_count[RECORD_TRACE]; /* sums */
};

enum { STATE_PARTS = 5 };

/* Where the parts of a parsed state are; they point into its bytes, and need not be aligned. */
struct state_view {
    struct state state;
    const void *numbers, *master, *first, *second;
};

/* Fill in who this is: magic, cell, method, what computes here, lengths. The rest of *state is zero. */
void state_identify(const struct cell *cell, size_t weights, struct state *state);

/* The bytes as parts, to be written one behind the other: `state`, then numbers[state->numbers], then buffers
 * of `state->weights` floats. */
void state_parts(const struct state *state, const double *numbers, const void *master,
                 const void *first, const void *second, struct checkpoint_part part[STATE_PARTS]);

/* Is bytes[length] a state from which `cell`, with `weights` parameters in its layout, can go on here? If not,
 * STATUS_FAILED, and the message says why. Pure; believes nothing in the bytes. */
int state_parse(struct error *err, const struct cell *cell, size_t weights, const void *bytes,
                size_t length, struct state_view *view);

#endif
