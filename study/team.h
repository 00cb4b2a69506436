/*
 * The ranks that work on one cell together, as study/ sees them: a size, a rank and a few collective
 * operations. mpi/ implements it; team_alone() is the team of one.
 *
 * Sums over ranks are balanced binary trees in rank order: neighbours first, ((0 + 1) + (2 + 3)) + …. Micro-batches
 * are dealt out in turn, so that such a sum is the lower part of the fixed tree over micro-batches
 * (METHOD §2, rank-count invariance), whatever the team's size. All ranks call all collective operations in the
 * same order. Nothing waits for ever for a team-mate that is dead.
 *
 * There are two ways to end early. Somebody asks the team to stop (preemption, another plan for its ranks): the
 * ranks agree on it at the end of a step or of a group of windows (team_agree), all at the same place, and
 * what was done can be saved. Or a member is lost: the team is broken at once, in the middle of anything, and the last checkpoint counts.
 */
#ifndef STUDY_TEAM_H
#define STUDY_TEAM_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"
#include "study/algebra.h"

/* One that is under way. */
struct transfer;

struct team {
    int size; /* power of two */
    int rank;
    bool recompute; /* memory is short: activations are computed again for the backward pass */
    bool stop;      /* somebody has asked this rank to stop; set inside the operations below */
    bool broken;    /* a member is lost: every operation returns STATUS_STOPPED from now on */
    double waited;  /* seconds in which this rank waited for transfers and sums, so far */
    void *state;    /* the implementation's own */

    /* x[n] becomes the sum over ranks, on every rank. For little. */
    int (*sum_double)(struct team *team, double *x, size_t n);

    /*
     * Parts of a whole. The whole's piece k of `size` is [begin[k], begin[k + 1]), begin has size + 1 elements,
     * ascending, the same on every rank. A rank's own piece is team_piece(team). Both return at once and move on
     * whenever the team is asked anything; the whole belongs to the transfer until `finish`. A few may be under way.
     */
    /* Every rank gives its piece of bytes, and gets the whole. */
    int (*gather_start)(struct team *team, void *whole, const size_t *begin,
                        struct transfer **transfer);
    /* The own piece becomes the sum over ranks; the rest is lost. begin counts floats. */
    int (*reduce_start)(struct team *team, float *whole, const size_t *begin,
                        struct transfer **transfer);
    /* Wait for it; it is freed, also on failure. NULL is done. */
    int (*finish)(struct team *team, struct transfer *transfer);

    const struct algebra *algebra; /* dense algebra of these ranks; NULL: none */

    /* Listens, moves transfers on, and says whether what is being done has to be dropped now: in a team of one
     * when somebody asks to stop, in a larger one only when it is broken. Cheap: called within every step, between any two matrix products. Not
     * collective. */
    bool (*cancelled)(struct team *team);
};

/* The team of one: sums are what they are, nobody cancels. */
struct team team_alone(void);

/* The piece that a rank owns: the rank's bits in reverse, because sums are formed between neighbours first. */
int team_piece(const struct team *team);

/* Has any rank been asked to stop? The same answer on every rank. Collective. */
int team_agree(struct team *team, bool *stop);

/* STATUS_STOPPED with a message if so. */
int team_check(struct error *err, struct team *team);

#endif
