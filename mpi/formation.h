/* How ranks become a team: they find each other, and only then make a communicator. */
#ifndef PTQSCALE_MPI_FORMATION_H
#define PTQSCALE_MPI_FORMATION_H

#include <mpi.h>
#include <stdbool.h>

#include "jobs/error.h"

struct formation {
    int epoch; /* the team's number in this run: unlike that of any team before it */
    int size;  /* power of two */
    int rank;
    const int *member; /* (size) ranks in MPI_COMM_WORLD */
};

/* Asked again and again while it waits: is the team given up? */
typedef bool formation_given_up_fn(void *context);

/*
 * Collective over the members. *comm = MPI_COMM_NULL when the team was given up before all were there. A member that is not
 * there, or dies on the way, holds up the others only until they are told so, but for the moment in which MPI
 * itself makes the communicator: that begins when each has just shown that it lives.
 */
int formation_make(struct error *err, const struct formation *formation,
                   formation_given_up_fn *given_up, void *context, MPI_Comm *comm);

#endif
