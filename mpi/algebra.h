/*
 * Dense algebra of a team (study/algebra.h) with ScaLAPACK, in fp64.
 *
 * A large matrix is spread over all ranks of the team. One that a single rank handles in no time is
 * worked on by each rank for itself, with the same calls on a grid of one: then the bits do not depend on
 * the size of the team. Larger results do, in the last digits. A Gram matrix adds up in the same order on
 * any team if each call adds what a team of one would add in as many calls, in rank order.
 */
#ifndef PTQSCALE_MPI_ALGEBRA_H
#define PTQSCALE_MPI_ALGEBRA_H

#include <mpi.h>

#include "study/algebra.h"
#include "study/team.h"

/* Which BLAS ScaLAPACK works with, where it says so: "OpenBLAS 0.3.21 … SkylakeX MAX_THREADS=64". Static. */
const char *algebra_blas(void);

/* On the ranks of `comm`; MPI must have been started. Makes the BLAS work with one thread. Collective over
 * comm, and over no one else. */
int algebra_create(struct error *err, MPI_Comm comm, struct algebra **algebra);

/* The same for a team whose ranks are those of `comm`: what the ranks tell each other outside of ScaLAPACK goes through the
 * team, which must outlive the algebra, so that it ends with STATUS_STOPPED when the team is broken. */
int algebra_create_team(struct error *err, MPI_Comm comm, struct team *team,
                        struct algebra **algebra);

/* The same as algebra_create, but spread whatever has more than `alone` rows or columns: for tests. */
int algebra_create_spread(struct error *err, MPI_Comm comm, int alone, struct algebra **algebra);

/* Collective over the team; NULL is fine. Gram matrices must have been freed. */
void algebra_free(struct algebra *algebra);

#endif
