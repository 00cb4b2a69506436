/*
 * The ranks that work on one cell together, as study/ sees them: a size, a rank and a few collective
 * operations. mpi/ implements it; team_alone() is the team of one.
 *
 * Rank r of P holds the r-th P-th of a step's micro-batches and has already added its own leaves in tree
 * order, so a sum over ranks as a balanced binary tree in rank order completes the fixed tree
 * (METHOD §2, rank-count invariance). All operations are collective over the team; each returns
 * STATUS_OK, or STATUS_STOPPED once the team was cancelled.
 */
#ifndef STUDY_TEAM_H
#define STUDY_TEAM_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"
#include "study/algebra.h"

struct team {
    int size; /* power of two */
    int rank;
    void *state; /* the implementation's own */

    /* x[n] becomes the tree-ordered sum over ranks, on every rank. */
    int (*sum_float)(struct team *team, float *x, size_t n);
    int (*sum_double)(struct team *team, double *x, size_t n);

    const struct algebra *algebra; /* dense algebra of these ranks; NULL: none */

    /* Has somebody asked this team to stop? Cheap: polled in every step. Not collective. */
    bool (*cancelled)(struct team *team);
};

/* The team of one: sums are what they are, nobody cancels. */
struct team team_alone(void);

#endif
