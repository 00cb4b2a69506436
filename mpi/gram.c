/*
 * A Gram matrix, and the Cholesky factor of its inverse (pdpotrf, pdpotri, pdpotrf).
 *
 * The sum is always spread over the team. Each of its blocks is one product of two slices of X, with the
 * same shapes whatever the grid: unlike pdsyrk, whose blocking follows the grid, this gives the same bits
 * on any team. Only blocks on and above the diagonal are kept.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/algebra_team.h"
#include "mpi/transport.h"

enum { ROWS_AT_ONCE = 256 };

struct gram {
    const struct algebra_team *team;
    int n;
    struct grid_matrix sum;
    struct grid_matrix factor; /* U, in the upper triangle; on the team's grid or this rank's own */
    bool factored;
    float *received; /* (ROWS_AT_ONCE, n) another rank's rows */
    double *slice;   /* (ROWS_AT_ONCE, n) */
};

static const int one = 1;

int gram_create(struct error *err, void *state, int n, struct gram **gram)
{
    int status = STATUS_OK;
    struct gram *made = calloc(1, sizeof *made);
    CHECK(err, made != NULL, STATUS_FAILED, "out of memory");
    made->team = state;
    made->n = n;
    TRY(grid_matrix_create(err, &made->team->team, n, n, &made->sum));
    made->received = malloc((size_t)ROWS_AT_ONCE * n * sizeof *made->received);
    made->slice = malloc((size_t)ROWS_AT_ONCE * n * sizeof *made->slice);
    CHECK(err, made->received != NULL && made->slice != NULL, STATUS_FAILED,
          "out of memory for a Gram matrix of %d x %d", n, n);
    *gram = made;
    made = NULL;
cleanup:
    gram_free(made);
    return status;
}

void gram_free(struct gram *gram)
{
    if (gram) {
        grid_matrix_free(&gram->sum);
        grid_matrix_free(&gram->factor);
        free(gram->received);
        free(gram->slice);
        free(gram);
    }
}

/* Add factor · sliceᵀ slice to the blocks that this rank holds. */
static void add_slice(struct gram *gram, double factor, int rows)
{
    static const double keep = 1;
    struct grid_matrix *s = &gram->sum;
    for (int j = 0; j < s->local_columns; j += GRID_BLOCK) {
        const int column = grid_matrix_column(s, j);
        const int width = s->local_columns - j < GRID_BLOCK ? s->local_columns - j : GRID_BLOCK;
        for (int i = 0; i < s->local_rows; i += GRID_BLOCK) {
            const int row = grid_matrix_row(s, i);
            const int height = s->local_rows - i < GRID_BLOCK ? s->local_rows - i : GRID_BLOCK;
            if (row <= column) {
                dgemm_("N", "T", &height, &width, &rows, &factor, gram->slice + row, &gram->n,
                       gram->slice + column, &gram->n, &keep, s->at + (size_t)j * s->stride + i,
                       &s->stride, 1, 1);
            }
        }
    }
}

int gram_add(struct error *err, struct gram *gram, double factor, int rows, const float *x)
{
    int status = STATUS_OK;
    const struct grid *grid = &gram->team->team;
    int rank = 0;
    MPI_TRY(err, MPI_Comm_rank(grid->comm, &rank));
    for (int from = 0; from < grid->size; from++) {
        int left = rows;
        const float *next = x;
        TRY(grid_share(err, grid, from, &left, sizeof left));
        while (left > 0) {
            const int count = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
            const size_t values = (size_t)count * gram->n;
            const float *slice = from == rank ? next : gram->received;
            TRY(grid_share(err, grid, from, (void *)slice, values * sizeof *slice));
            for (size_t i = 0; i < values; i++) {
                gram->slice[i] = slice[i];
            }
            add_slice(gram, factor, count);
            next = from == rank ? next + values : next;
            left -= count;
        }
    }
cleanup:
    return status;
}

int gram_diagonal(struct error *err, const struct gram *gram, double *diagonal)
{
    const struct grid_matrix *s = &gram->sum;
    memset(diagonal, 0, (size_t)gram->n * sizeof *diagonal);
    for (int j = 0; j < s->local_columns; j++) {
        for (int i = 0; i < s->local_rows; i++) {
            if (grid_matrix_row(s, i) == grid_matrix_column(s, j)) {
                diagonal[grid_matrix_row(s, i)] = s->at[(size_t)j * s->stride + i];
            }
        }
    }
    return grid_sum(err, s->grid, diagonal, (size_t)gram->n);
}

/* factor = sum + diag(shift), on the grid that the factor is to be worked out on. */
static int start_factor(struct error *err, struct gram *gram, const double *shift)
{
    int status = STATUS_OK;
    const struct algebra_team *team = gram->team;
    const struct grid_matrix *s = &gram->sum;
    const struct grid *grid = gram->n <= team->gram_alone ? &team->own : &team->team;
    struct grid_matrix *f = &gram->factor;
    if (f->at == NULL) {
        TRY(grid_matrix_create(err, grid, gram->n, gram->n, f));
    }
    if (grid == s->grid) {
        memcpy(f->at, s->at, grid_matrix_elements(s) * sizeof *f->at);
    } else { /* the whole, put together from the parts */
        memset(f->at, 0, grid_matrix_elements(f) * sizeof *f->at);
        for (int j = 0; j < s->local_columns; j++) {
            for (int i = 0; i < s->local_rows; i++) {
                f->at[(size_t)grid_matrix_column(s, j) * f->stride + grid_matrix_row(s, i)] =
                    s->at[(size_t)j * s->stride + i];
            }
        }
        TRY(grid_sum(err, s->grid, f->at, grid_matrix_elements(f)));
    }
    for (int j = 0; j < f->local_columns; j++) {
        for (int i = 0; i < f->local_rows; i++) {
            if (grid_matrix_row(f, i) == grid_matrix_column(f, j)) {
                f->at[(size_t)j * f->stride + i] += shift[grid_matrix_row(f, i)];
            }
        }
    }
cleanup:
    return status;
}

/* Is the factor one? pdpotrf takes NaN for positive. */
static int check_factor(struct error *err, const struct gram *gram, bool *right)
{
    int status = STATUS_OK;
    const struct grid_matrix *f = &gram->factor;
    double wrong = 0;
    for (int j = 0; j < f->local_columns; j++) {
        for (int i = 0; i < f->local_rows; i++) {
            if (grid_matrix_row(f, i) <= grid_matrix_column(f, j)) {
                wrong += !isfinite(f->at[(size_t)j * f->stride + i]);
            }
        }
    }
    TRY(grid_sum(err, f->grid, &wrong, 1));
    *right = wrong == 0;
cleanup:
    return status;
}

int gram_inverse_factor(struct error *err, struct gram *gram, const double *shift, bool *definite)
{
    int status = STATUS_OK;
    static const struct {
        const char *name;
        void (*call)(const char *, const int *, double *, const int *, const int *, const int *,
                     int *, size_t);
    } step[] = {{"pdpotrf", pdpotrf_}, {"pdpotri", pdpotri_}, {"pdpotrf", pdpotrf_}};
    gram->factored = false;
    *definite = true;
    TRY(start_factor(err, gram, shift));
    for (int i = 0; i < 3 && *definite; i++) {
        int info = 0;
        step[i].call("U", &gram->n, gram->factor.at, &one, &one, gram->factor.descriptor, &info, 1);
        CHECK(err, info >= 0, STATUS_FAILED,
              "inverse Cholesky factor of a matrix of %d x %d: %s ended with info %d", gram->n,
              gram->n, step[i].name, info);
        *definite = info == 0;
    }
    if (*definite) {
        TRY(check_factor(err, gram, definite));
    }
    gram->factored = *definite;
cleanup:
    return status;
}

int gram_factor_rows(struct error *err, const struct gram *gram, int first, int count, double *rows)
{
    int status = STATUS_OK;
    const struct grid_matrix *f = &gram->factor;
    CHECK(err, gram->factored && first >= 0 && count >= 0 && first + count <= gram->n,
          STATUS_FAILED, "rows %d to %d of a factor of %d rows%s", first, first + count, gram->n,
          gram->factored ? "" : ", which was not made");
    memset(rows, 0, (size_t)count * gram->n * sizeof *rows);
    for (int j = 0; j < f->local_columns; j++) {
        const int column = grid_matrix_column(f, j);
        for (int i = 0; i < f->local_rows; i++) {
            const int row = grid_matrix_row(f, i);
            if (row >= first && row < first + count && row <= column) {
                rows[(size_t)(row - first) * gram->n + column] = f->at[(size_t)j * f->stride + i];
            }
        }
    }
    TRY(grid_sum(err, f->grid, rows, (size_t)count * gram->n));
cleanup:
    return status;
}
