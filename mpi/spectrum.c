/* Singular values by reduction to bidiagonal form (pdgesvd). */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "mpi/algebra_team.h"

static const int one = 1;

/* Standing: the matrix and its transpose have the same singular values. */
static void fill(int columns, bool standing, const float *from, struct grid_matrix *a)
{
    for (int j = 0; j < a->local_columns; j++) {
        const size_t column = (size_t)grid_matrix_column(a, j);
        for (int i = 0; i < a->local_rows; i++) {
            const size_t row = (size_t)grid_matrix_row(a, i);
            a->at[(size_t)j * a->stride + i] =
                from[standing ? row * columns + column : column * columns + row];
        }
    }
}

static bool is_finite(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

int spectrum_of(struct error *err, void *state, int rows, int columns, const float *matrix,
                double *sigma)
{
    int status = STATUS_OK;
    const struct algebra_team *team = state;
    const int m = rows > columns ? rows : columns, n = rows > columns ? columns : rows;
    const struct grid *grid = m <= team->spectrum_alone ? &team->own : &team->team;
    struct grid_matrix a = {0};
    double needed = 0, *work = NULL;
    int lwork = -1, info = 0;
    CHECK(err, n >= 1, STATUS_FAILED, "singular values of a matrix of %d x %d", rows, columns);
    CHECK(err, is_finite((size_t)rows * columns, matrix), STATUS_FAILED,
          "singular values of a matrix with elements that are not finite");
    TRY(grid_matrix_create(err, grid, m, n, &a));
    fill(columns, rows >= columns, matrix, &a);
    for (int pass = 0; pass < 2; pass++) { /* the first only asks for the size of `work` */
        pdgesvd_("N", "N", &m, &n, a.at, &one, &one, a.descriptor, sigma, a.at, &one, &one,
                 a.descriptor, a.at, &one, &one, a.descriptor, pass == 0 ? &needed : work, &lwork,
                 &info, 1, 1);
        CHECK(err, info == 0, STATUS_FAILED,
              "singular values of a matrix of %d x %d: pdgesvd ended with info %d", rows, columns,
              info);
        if (pass == 0) {
            CHECK(err, needed < INT_MAX - 1, STATUS_FAILED,
                  "singular values of a matrix of %d x %d need more work space than ScaLAPACK can "
                  "address; use a larger team",
                  rows, columns);
            lwork = (int)needed + 1;
            work = malloc((size_t)lwork * sizeof *work);
            CHECK(err, work != NULL, STATUS_FAILED,
                  "out of memory for singular values of a matrix of %d x %d", rows, columns);
        }
    }
cleanup:
    free(work);
    grid_matrix_free(&a);
    return status;
}
