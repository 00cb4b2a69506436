/*
 * The workers as the coordinator sees them: what was sent to each, when it was last heard of, and
 * which are fenced. Messages go out without waiting for anybody, so that a dead rank holds up none.
 */
#ifndef PTQSCALE_MPI_PEERS_H
#define PTQSCALE_MPI_PEERS_H

#include "mpi/transport.h"

struct peer {
    bool ready;   /* its READY has come */
    bool busy;    /* holds a cell, its RESULT is to come */
    bool started; /* and has said that it runs it */
    bool fenced;  /* given up for good */
    bool gone;    /* its BYE has come */
    int due; /* tag of a note that could not be sent yet: the one before it is under way; 0 = none */
    int crew;     /* the team that it works in (mpi/crews.h) */
    double heard; /* clock_seconds of its last message */
    double patience;
    struct sight sight;
    struct assignment assignment;  /* being sent, or the last one */
    MPI_Request setup, cell, note; /* note: STOP, ABANDON or PING */
};

struct peers {
    int count;
    struct peer *peer; /* (count): rank w + 1 */
    int living;        /* not fenced */
    int busy;
    double timeout;                          /* seconds */
    double pinged, judged, looked, listened; /* when */
    struct ready self;
    struct setup setup;                        /* while it is being sent */
    struct farewell given_up, ending, leaving; /* being sent */
};

int peers_create(struct error *err, int count, struct peers **peers);
void peers_free(struct peers *peers); /* NULL is fine */

/* Send the setup, which is copied, to all. */
int peers_send_setup(struct error *err, struct peers *peers, const struct setup *setup);

/* Send the peer's assignment. */
int peers_send_cell(struct error *err, struct peers *peers, int worker);

/* Tell one that holds a cell to stop (TAG_STOP) or to give up (TAG_ABANDON), now or as soon as it listens. */
int peers_interrupt(struct error *err, struct peers *peers, int worker, enum tag tag);

/* The worker's RESULT has come. */
void peers_result(struct peers *peers, int worker);

/* Tell one that is fenced, and not dead after all, to leave. */
int peers_dismiss_fenced(struct error *err, struct peers *peers, int worker);

/* Call in each round, before peers_lost: pings when it is due, and does not hold against the
 * workers any time during which the coordinator itself was away. */
int peers_round(struct error *err, struct peers *peers);

/* The peer's READY has come. */
void peers_ready(struct peers *peers, int worker, const struct ready *ready);

/* A worker that is silent for too long, or whose process on this host is gone; −1 = none (found out a
 * few times per timeout). `reason` says what. */
enum { PEERS_REASON = 128 };
int peers_lost(struct peers *peers, char reason[PEERS_REASON]);

/* Give it up. */
void peers_fence(struct peers *peers, int worker);

/* Tell all to leave and wait for their last messages, `seconds` at most. *leave: how the
 * coordinator itself has to leave. */
int peers_dismiss(struct error *err, struct peers *peers, int exit_status, double seconds,
                  enum leave *leave);

#endif
