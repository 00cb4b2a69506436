/* What spectrum.c and gram.c know of the team. Private to the algebra. */
#ifndef PTQSCALE_MPI_ALGEBRA_TEAM_H
#define PTQSCALE_MPI_ALGEBRA_TEAM_H

#include "mpi/grid.h"
#include "study/algebra.h"

struct algebra_team {
    struct grid team; /* all ranks */
    struct grid own;  /* this rank alone */
    int spectrum_alone,
        gram_alone; /* largest side of a matrix that each rank works on for itself */
};

int spectrum_of(struct error *err, void *state, int rows, int columns, const float *matrix,
                double *sigma);

int gram_create(struct error *err, void *state, int n, struct gram **gram);
int gram_add(struct error *err, struct gram *gram, double factor, int rows, const float *x);
int gram_diagonal(struct error *err, const struct gram *gram, double *diagonal);
int gram_inverse_factor(struct error *err, struct gram *gram, const double *shift, bool *definite);
int gram_factor_rows(struct error *err, const struct gram *gram, int first, int count,
                     double *rows);
void gram_free(struct gram *gram);

#endif
