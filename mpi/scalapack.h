/*
 * The routines of BLAS, BLACS and ScaLAPACK that mpi/ calls; the libraries come without C headers.
 * Fortran routines take addresses, and behind all arguments the lengths of the character ones.
 */
#ifndef PTQSCALE_MPI_SCALAPACK_H
#define PTQSCALE_MPI_SCALAPACK_H

#include <mpi.h>
#include <stddef.h>

enum { DESCRIPTOR = 9 }; /* integers that describe a distributed matrix */

/* BLACS: process grids. */
int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int columns); /* collective */
void Cblacs_gridinfo(int context, int *rows, int *columns, int *row, int *column);
void Cblacs_gridexit(int context);

/* BLAS: c = alpha · op(a) op(b) + beta · c. */
void dgemm_(const char *op_a, const char *op_b, const int *m, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
            const double *beta, double *c, const int *ldc, size_t, size_t);

/* ScaLAPACK. Singular values s (descending, on every process); u and vt are not made for job 'N'. */
void pdgesvd_(const char *job_u, const char *job_vt, const int *m, const int *n, double *a,
              const int *ia, const int *ja, const int *descriptor_a, double *s, double *u,
              const int *iu, const int *ju, const int *descriptor_u, double *vt, const int *ivt,
              const int *jvt, const int *descriptor_vt, double *work, const int *lwork, int *info,
              size_t, size_t);
/* Cholesky factor in the triangle `uplo`; info > 0: not positive definite. */
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja,
              const int *descriptor, int *info, size_t);
/* From that factor the inverse, in the same triangle. */
void pdpotri_(const char *uplo, const int *n, double *a, const int *ia, const int *ja,
              const int *descriptor, int *info, size_t);

/* Threads of the BLAS, where it has some, and what it is, where it says so. */
void openblas_set_num_threads(int threads) __attribute__((weak));
void MKL_Set_Num_Threads(int threads) __attribute__((weak));
char *openblas_get_config(void) __attribute__((weak));

#endif
