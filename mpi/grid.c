#include "mpi/grid.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "mpi/transport.h"

int grid_create(struct error *err, MPI_Comm comm, struct grid *grid)
{
    int status = STATUS_OK;
    struct grid g = {.comm = MPI_COMM_NULL, .handle = -1, .context = -1};
    MPI_TRY(err, MPI_Comm_dup(comm, &g.comm));
    MPI_TRY(err, MPI_Comm_set_errhandler(g.comm, MPI_ERRORS_RETURN));
    MPI_TRY(err, MPI_Comm_size(g.comm, &g.size));
    g.rows = 1;
    for (int r = 1; r * r <= g.size; r++) {
        g.rows = g.size % r == 0 ? r : g.rows;
    }
    g.columns = g.size / g.rows;
    g.handle = Csys2blacs_handle(g.comm);
    g.context = g.handle;
    Cblacs_gridinit(&g.context, "Row", g.rows, g.columns);
    Cblacs_gridinfo(g.context, &g.rows, &g.columns, &g.row, &g.column);
    CHECK(err, g.row >= 0 && g.rows * g.columns == g.size, STATUS_FAILED,
          "the grid of %d processes for dense algebra could not be made", g.size);
    *grid = g;
    g.comm = MPI_COMM_NULL;
cleanup:
    grid_free(&g);
    return status;
}

void grid_free(struct grid *grid)
{
    if (grid->size == 0 || grid->comm == MPI_COMM_NULL) {
        return;
    }
    if (grid->context >= 0) {
        Cblacs_gridexit(grid->context);
    }
    if (grid->handle >= 0) {
        Cfree_blacs_system_handle(grid->handle);
    }
    MPI_Comm_free(&grid->comm);
    *grid = (struct grid){.comm = MPI_COMM_NULL};
}

/* How many of `n` rows or columns the `place`-th of `places` holds. */
static int share(int n, int place, int places)
{
    const int blocks = n / GRID_BLOCK, own = blocks / places + (place < blocks % places);
    return own * GRID_BLOCK + (place == blocks % places ? n % GRID_BLOCK : 0);
}

int grid_matrix_create(struct error *err, const struct grid *grid, int rows, int columns,
                       struct grid_matrix *matrix)
{
    int status = STATUS_OK;
    struct grid_matrix m = {.grid = grid, .rows = rows, .columns = columns};
    CHECK(err, rows >= 1 && columns >= 1, STATUS_FAILED, "a matrix of %d x %d", rows, columns);
    m.local_rows = share(rows, grid->row, grid->rows);
    m.local_columns = share(columns, grid->column, grid->columns);
    m.stride = m.local_rows > 1 ? m.local_rows : 1;
    const int descriptor[DESCRIPTOR] = {
        1 /* dense */, grid->context, rows, columns, GRID_BLOCK, GRID_BLOCK, 0, 0, m.stride};
    for (int i = 0; i < DESCRIPTOR; i++) {
        m.descriptor[i] = descriptor[i];
    }
    m.at = calloc(grid_matrix_elements(&m) + 1, sizeof *m.at);
    CHECK(err, m.at != NULL, STATUS_FAILED, "out of memory for a matrix of %d x %d", rows, columns);
    *matrix = m;
cleanup:
    return status;
}

void grid_matrix_free(struct grid_matrix *matrix)
{
    free(matrix->at);
    *matrix = (struct grid_matrix){0};
}

int grid_sum(struct error *err, const struct grid *grid, double *x, size_t n)
{
    enum { PIECE = 1 << 24 };
    int status = STATUS_OK;
    if (grid->team) {
        return grid->team->sum_double(grid->team, x, n);
    }
    for (size_t at = 0; at < n && grid->size > 1; at += PIECE) {
        const int count = (int)(n - at < PIECE ? n - at : PIECE);
        MPI_TRY(err, MPI_Allreduce(MPI_IN_PLACE, x + at, count, MPI_DOUBLE, MPI_SUM, grid->comm));
    }
cleanup:
    return status;
}

/* A whole of which one piece is not empty. */
static int share_in_team(struct team *team, int from, void *bytes, size_t length)
{
    int status = STATUS_OK;
    const struct team giver = {.size = team->size, .rank = from};
    const int piece = team_piece(&giver);
    struct transfer *transfer = NULL;
    size_t *begin = calloc((size_t)team->size + 1, sizeof *begin);
    CHECK(NULL, begin != NULL, STATUS_FAILED, "out of memory");
    for (int k = piece + 1; k <= team->size; k++) {
        begin[k] = length;
    }
    TRY(team->gather_start(team, bytes, begin, &transfer));
    TRY(team->finish(team, transfer));
cleanup:
    free(begin);
    return status;
}

int grid_share(struct error *err, const struct grid *grid, int from, void *bytes, size_t length)
{
    int status = STATUS_OK;
    if (grid->size == 1) {
        goto cleanup;
    }
    if (grid->team) {
        TRY(share_in_team(grid->team, from, bytes, length));
        goto cleanup;
    }
    CHECK(err, length <= INT_MAX, STATUS_FAILED, "%zu bytes to share at once", length);
    MPI_TRY(err, MPI_Bcast(bytes, (int)length, MPI_BYTE, from, grid->comm));
cleanup:
    return status;
}
