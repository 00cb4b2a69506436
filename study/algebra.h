/*
 * Dense algebra that a team does together, as study/ sees it: singular values, and the inverse Cholesky
 * factor of a Gram matrix (METHOD §3 GPTQ, §5). mpi/ implements it. All operations are collective over the
 * team.
 */
#ifndef STUDY_ALGEBRA_H
#define STUDY_ALGEBRA_H

#include <stdbool.h>

#include "jobs/error.h"

struct gram; /* the implementation's own */

struct algebra {
    void *state;

    /* sigma[min(rows, columns)]: singular values, descending, of the fp32 row-major matrix, which every rank holds. */
    int (*spectrum)(struct error *err, void *state, int rows, int columns, const float *matrix,
                    double *sigma);

    /* A symmetric n × n matrix held by the team, zero at first. */
    int (*gram_create)(struct error *err, void *state, int n, struct gram **gram);
    /* += factor · XᵀX over the rows of all ranks; each gives its own rows, maybe 0. */
    int (*gram_add)(struct error *err, struct gram *gram, double factor, int rows, const float *x);
    /* diagonal[n], on every rank. */
    int (*gram_diagonal)(struct error *err, const struct gram *gram, double *diagonal);
    /* U, upper triangular, with UᵀU = (gram + diag(shift))⁻¹; *definite false: it is not positive definite and
     * nothing was made. gram stays as it is. */
    int (*gram_inverse_factor)(struct error *err, struct gram *gram, const double *shift,
                               bool *definite);
    /* Rows [first, first + count) of that U, (count, n), on every rank. */
    int (*gram_factor_rows)(struct error *err, const struct gram *gram, int first, int count,
                            double *rows);
    void (*gram_free)(struct gram *gram); /* NULL is fine */
};

#endif
