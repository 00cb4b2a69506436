/*
 * The state of a cell in training as bytes, from which it goes on bit by bit as if it had never stopped. A state is
 *
 *     struct state                  as it lies in memory: identity, counters, trace sums
 *     double[numbers]               all that the record has measured so far (results/record.h)
 *     float[3][weights]             master weights, first and second moments, the layout's buffers
 *
 * and nothing behind that. A team's state ends before the weights; each rank's piece of them (study/shards.h) is kept by itself:
 *
 *     struct state_piece            whose and which
 *     float[3][floats]              what the rank holds
 *
 * under a name that tells step and piece, so that pieces of two checkpoints never mix. Numbers have the machine's byte order, which the magic shows. Only a state of the
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
    int64_t pieces;                       /* of the weights; 1: they are here */
    int64_t step;                         /* steps done, ≥ 1 */
    int64_t updates, skipped, good_steps; /* of the optimizer; updates + skipped = step */
    int64_t next;                         /* index of the evaluation checkpoint to come */
    double loss_scale;
    double trace_loss[RECORD_TRACE], trace_norm[RECORD_TRACE], trace_count[RECORD_TRACE]; /* sums */
};

enum { STATE_PARTS = 5, STATE_PIECE_PARTS = 4, STATE_NAME = 96 };

struct state_piece {
    uint64_t magic;
    char id[STATE_ID];
    int64_t step, piece, pieces;
    uint64_t floats;
};

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

/* What a team keeps: its state has no weights. Returns how many parts there are. */
int state_parts_of_team(const struct state *state, const double *numbers,
                        struct checkpoint_part part[STATE_PARTS]);
void state_piece_parts(const struct state_piece *piece, const void *master, const void *first,
                       const void *second, struct checkpoint_part part[STATE_PIECE_PARTS]);
/* "weights-1200-3-of-8", and with piece −1 what the names of all of them begin with. */
void state_piece_name(int64_t step, int piece, int pieces, char name[STATE_NAME]);
void state_piece_identify(const struct state *state, int piece, size_t floats,
                          struct state_piece *header);
/* Is bytes[length] the piece that `expected` describes? *floats: its three buffers. Pure; believes nothing in the bytes. */
int state_piece_parse(struct error *err, const struct state_piece *expected, const void *bytes,
                      size_t length, const void **floats);

/* Is bytes[length] a state from which `cell`, with `weights` parameters in its layout, can go on here? If not,
 * STATUS_FAILED, and the message says why. A team's has no weights: view->master is NULL. Pure; believes nothing in the bytes. */
int state_parse(struct error *err, const struct cell *cell, size_t weights, const void *bytes,
                size_t length, struct state_view *view);

#endif
