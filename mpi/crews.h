/*
 * The teams at work, as the coordinator sees them: what becomes of a cell when its members report, fail or are lost.
 *
 * A cell ends when its leader has finished it, or else when every living member has reported, so that no two teams
 * ever write the same files: failed, if a member says so; lost, if one was; stopped otherwise. Whoever is left of a
 * team with a failure or a loss is told to give up. Workers are numbered as in mpi/peers.h.
 */
#ifndef PTQSCALE_MPI_CREWS_H
#define PTQSCALE_MPI_CREWS_H

#include "mpi/peers.h"
#include "mpi/session.h"

struct crews;

/* `failure` receives the first failure of the session, which ends the run. All three outlive the crews. */
int crews_create(struct error *err, struct session *session, struct peers *peers,
                 struct error *failure, struct crews **crews);
void crews_free(struct crews *crews); /* NULL is fine */

/* Hand the cell out to its team, member[next->ranks]. */
int crews_start(struct error *err, struct crews *crews, const struct session_next *next,
                const int *member);

/* News of the cell that the worker works on: what the leader says counts. */
void crews_news(struct crews *crews, int worker, const struct progress *progress);

int crews_result(struct error *err, struct crews *crews, int worker, const struct outcome *outcome);

/* The worker is given up. `stopping`: ranks are ended from outside then, which says nothing about their cells. */
int crews_lost(struct error *err, struct crews *crews, int worker, bool stopping,
               const char *reason);

/* Tell all teams to stop in order. */
int crews_stop(struct error *err, struct crews *crews);

/* Tell the cell's team to stop, because it is to go on with more ranks. */
int crews_stop_to_widen(struct error *err, struct crews *crews, int cell);

#endif
