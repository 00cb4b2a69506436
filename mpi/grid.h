/*
 * A grid of processes for ScaLAPACK, and matrices that are spread over it: column-major, in square blocks
 * that are dealt out to the grid's rows and columns in turn (block-cyclic). A grid of one process holds
 * the whole matrix in order.
 */
#ifndef PTQSCALE_MPI_GRID_H
#define PTQSCALE_MPI_GRID_H

#include <mpi.h>
#include <stddef.h>

#include "jobs/error.h"
#include "mpi/scalapack.h"
#include "study/team.h"

enum { GRID_BLOCK = 64 };

struct grid {
    MPI_Comm comm;     /* the grid's own; MPI_COMM_NULL: there is no grid */
    struct team *team; /* of the same ranks, for what is not ScaLAPACK's; NULL: none, MPI does it */
    int size;          /* processes */
    int handle;        /* of comm, in BLACS */
    int context;       /* of the grid */
    int rows, columns; /* of processes, as near to a square as `size` allows */
    int row, column;   /* where this process is */
};

/* All processes of `comm`, which is duplicated. Collective over comm, and over no one else. */
int grid_create(struct error *err, MPI_Comm comm, struct grid *grid);
/* Give the context, its handle and the communicator back. Collective over the grid; zero-initialized is fine. */
void grid_free(struct grid *grid);

struct grid_matrix {
    const struct grid *grid;
    int rows, columns; /* of the whole */
    int local_rows, local_columns;
    int stride; /* between local columns */
    int descriptor[DESCRIPTOR];
    double *at; /* local part, column-major */
};

/* Zeros. The grid must outlive the matrix. */
int grid_matrix_create(struct error *err, const struct grid *grid, int rows, int columns,
                       struct grid_matrix *matrix);
void grid_matrix_free(struct grid_matrix *matrix); /* zero-initialized is fine */

static inline size_t grid_matrix_elements(const struct grid_matrix *matrix)
{
    return (size_t)matrix->stride * (size_t)matrix->local_columns;
}

/* Row of the whole that is local row i, and the same for columns. */
static inline int grid_matrix_row(const struct grid_matrix *matrix, int i)
{
    const struct grid *g = matrix->grid;
    return (i / GRID_BLOCK * g->rows + g->row) * GRID_BLOCK + i % GRID_BLOCK;
}
static inline int grid_matrix_column(const struct grid_matrix *matrix, int j)
{
    const struct grid *g = matrix->grid;
    return (j / GRID_BLOCK * g->columns + g->column) * GRID_BLOCK + j % GRID_BLOCK;
}

/* x[n] = sum over the grid. Exact where all processes but one have zeros. Collective over the grid, as the next one is. */
int grid_sum(struct error *err, const struct grid *grid, double *x, size_t n);

/* Process `from` gives bytes[length] to all. */
int grid_share(struct error *err, const struct grid *grid, int from, void *bytes, size_t length);

#endif
