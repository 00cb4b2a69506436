/* study/algebra.h by LAPACK on every rank, for the tests of study/: independent of what mpi/ does. */
#ifndef TESTS_UNIT_ALGEBRA_LAPACK_H
#define TESTS_UNIT_ALGEBRA_LAPACK_H

#include "study/team.h"

/* Algebra of this rank of the team, which must outlive it. Set team->algebra to it. */
struct algebra algebra_lapack(struct team *team);

#endif
