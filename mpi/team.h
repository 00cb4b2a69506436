/*
 * The operations of study/team.h over the ranks of a communicator.
 *
 * Transfers move in the order in which they were started, with non-blocking messages of TEAM_CHUNK bytes at
 * most, of which TEAM_DEPTH are under way in each direction: log2(size) rounds, in each of which a rank
 * exchanges with one other. A reduction halves what is summed, neighbours first; a gathering goes the same way
 * backwards. Nothing is sent from, or received into, the caller's memory, so that it is the caller's again as
 * soon as a transfer is finished or given up, whatever MPI still has under way. The price is one copy, and
 * TEAM_MEMORY bytes per rank of a team of more than one, whatever is transferred.
 *
 * Ranks move transfers on whenever the team is asked anything. Who waits does so as in mpi/transport.h, but
 * for shorter times.
 */
#ifndef PTQSCALE_MPI_TEAM_H
#define PTQSCALE_MPI_TEAM_H

#include <mpi.h>

#include "study/team.h"

enum {
    TEAM_CHUNK = 1 << 20, /* bytes; a multiple of 8 */
    TEAM_DEPTH = 4,
    TEAM_MEMORY = 2 * TEAM_DEPTH * TEAM_CHUNK, /* 8 MiB */
};

/* Called at least every 10 ms while the team is asked anything: may set team->stop and team->broken. */
typedef void team_listen_fn(struct team *team, void *context);

/*
 * Make *team, with this process's rank in `comm`, whose size must be a power of two. recompute and algebra
 * are the caller's to set. The communicator is the team's from now on, also when this fails. Not collective.
 */
int team_open(struct error *err, MPI_Comm comm, team_listen_fn *listen, void *context,
              struct team *team);

/*
 * Wait until everything has been sent, unless the team is broken, and free the communicator. Of a broken
 * team it is never freed, because others may still use it, and its buffers are only freed if MPI lets go of them
 * within a short time: else they are lost, as a member is. Collective where nothing is broken; zero-initialized
 * is fine.
 */
void team_close(struct team *team);

/* What MPI had to say, if that is why the team is broken; else its status is STATUS_OK. */
const struct error *team_failure(const struct team *team);

#endif
