/* How many ranks work on a cell together. */
#ifndef JOBS_WIDTH_H
#define JOBS_WIDTH_H

#include "jobs/cell.h"

struct width {
    int ranks;      /* a power of two */
    bool recompute; /* activations are computed again for the backward pass, to save memory */
    double bytes;   /* peak memory of each rank for the cell (jobs/memory.h) */
};

/*
 * As many as cell->ranks asks for, or else the smallest team whose ranks have the memory, with activations computed again where only
 * that makes this size fit. At most `workers`, and at most one rank per micro-batch of a step. `memory_per_rank`: bytes for the
 * cell (width_memory); 0: no limit. STATUS_FAILED with the size, what it needs and what to change when nothing fits.
 */
int width_choose(struct error *err, const struct cell *cell, double memory_per_rank, int workers,
                 struct width *width);

/* What `limit` bytes of a whole process leave for its cell beside program, libraries and text_bytes of text; never
 * 0 unless limit is, which is no limit. */
double width_memory(double limit, double text_bytes);

/* The largest team that the cell can use: one rank per micro-batch. */
int width_most(const struct cell *cell);

enum { WIDTH_MOST = 1024 }; /* ranks of a team */

/* The largest power of two that is not above n ≥ 1. */
int width_within(int n);
/* The largest team of these workers that the cell can use. */
int width_widest(const struct cell *cell, int workers);

/* Does a team of width->ranks fit, as it is or with activations computed again? Completes *width; with the lesser need if not. */
bool width_fits(const struct cell *cell, double memory_per_rank, struct width *width);

/* Do these two of one study get the same team and take the same time? Most cells of a size differ in their seed only. */
bool width_same(const struct cell *a, const struct cell *b);

#endif
