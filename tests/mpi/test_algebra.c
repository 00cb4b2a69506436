/*
 * The team's dense algebra against LAPACK and plain sums, on teams of 1 … P of the P ranks that mpirun
 * starts; then many teams, one after the other, that must leave nothing behind.
 *
 *     mpirun -n P test_algebra [FORMATIONS]
 *
 * One line per fault; exit status 1 if any rank has one.
 */
#include <malloc.h>
#include <math.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/algebra.h"
#include "mpi/algebra_team.h"

void dgesvd_(const char *job_u, const char *job_vt, const int *m, const int *n, double *a,
             const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *lwork, int *info, size_t, size_t);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);

static int world_rank, world_size, faults;

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition) && faults++ < 20) {                                                       \
            fprintf(stderr, "test_algebra: rank %d of %d, line %d: ", world_rank, world_size,      \
                    __LINE__);                                                                     \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

static void *room(size_t bytes)
{
    void *p = calloc(bytes + 1, 1);
    if (p == NULL) {
        fprintf(stderr, "test_algebra: out of memory\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return p;
}

/* Uniform in −1 … 1, from a counter. */
static float uniform(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + (i + 1) * 0xd1b54a32d192ed03u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1);
}

/* ---- singular values ---- */

static void reference_spectrum(int rows, int columns, const float *matrix, double *sigma)
{
    const int one = 1, lwork = 10 * (rows + columns) + 64;
    double *a = room((size_t)rows * columns * sizeof *a),
           *work = room((size_t)lwork * sizeof *work);
    int info = 0;
    for (int i = 0; i < rows * columns; i++) {
        a[i] = matrix[i]; /* column-major: the transpose */
    }
    dgesvd_("N", "N", &columns, &rows, a, &columns, sigma, a, &one, a, &one, work, &lwork, &info, 1,
            1);
    EXPECT(info == 0, "LAPACK's dgesvd: info %d", info);
    free(a);
    free(work);
}

static void check_spectrum(const struct algebra *algebra, int rows, int columns, const char *what,
                           const float *matrix)
{
    struct error err = {0};
    const int n = rows < columns ? rows : columns;
    double *sigma = room((size_t)n * sizeof *sigma), *right = room((size_t)n * sizeof *right);
    const int status = algebra->spectrum(&err, algebra->state, rows, columns, matrix, sigma);
    EXPECT(status == STATUS_OK, "spectrum of %d x %d: %s", rows, columns, err.message);
    reference_spectrum(rows, columns, matrix, right);
    for (int i = 0; i < n && status == STATUS_OK; i++) {
        /* Zeros of a singular matrix are zero to the rounding of its largest singular value. */
        EXPECT(fabs(sigma[i] - right[i]) <= 1e-10 * right[i] + 1e-14 * right[0],
               "%s %d x %d: singular value %d is %.17g, LAPACK's %.17g", what, rows, columns, i,
               sigma[i], right[i]);
        EXPECT(i == 0 || sigma[i] <= sigma[i - 1], "%s: singular values do not descend", what);
    }
    free(sigma);
    free(right);
}

static void check_spectra(const struct algebra *algebra)
{
    static const int size[][2] = {{1, 1},     {1, 7},    {5, 1},    {3, 3},
                                  {17, 31},   {64, 64},  {65, 64},  {129, 65},
                                  {200, 333}, {384, 96}, {31, 129}, {128, 512}};
    struct error err = {0};
    double sigma[64];
    for (size_t k = 0; k < sizeof size / sizeof size[0]; k++) {
        const int rows = size[k][0], columns = size[k][1];
        float *x = room((size_t)rows * columns * sizeof *x);
        for (int i = 0; i < rows * columns; i++) {
            x[i] = uniform(k, (uint64_t)i);
        }
        check_spectrum(algebra, rows, columns, "random", x);
        for (int i = 0; i < rows * columns; i++) { /* rank 1 */
            x[i] = (float)(1 + i / columns) * uniform(7, (uint64_t)(i % columns));
        }
        check_spectrum(algebra, rows, columns, "rank 1", x);
        memset(x, 0, (size_t)rows * columns * sizeof *x);
        check_spectrum(algebra, rows, columns, "zero", x);
        x[rows * columns - 1] = NAN;
        EXPECT(algebra->spectrum(&err, algebra->state, rows, columns, x, sigma) == STATUS_FAILED &&
                   strstr(err.message, "not finite") != NULL,
               "a matrix with a NaN has a spectrum");
        error_clear(&err);
        free(x);
    }
    float diagonal[64 * 64] = {0}; /* known without LAPACK */
    for (int i = 0; i < 64; i++) {
        diagonal[i * 64 + (i * 5) % 64] = (float)(i % 2 ? -(i + 1) : i + 1);
    }
    EXPECT(algebra->spectrum(&err, algebra->state, 64, 64, diagonal, sigma) == STATUS_OK, "%s",
           err.message);
    for (int i = 0; i < 64; i++) {
        EXPECT(fabs(sigma[i] - (64 - i)) < 1e-12, "singular value %d of a permuted diagonal: %.17g",
               i, sigma[i]);
    }
}

/* ---- Gram matrices ---- */

enum { CALLS = 12, ROWS = 37 }; /* groups of rows that are added, and rows of each */

/* Group `call` of rows: some are empty, and the last are few. */
static int group_rows(int call)
{
    return call == 3 ? 0 : call == CALLS - 1 ? 5 : ROWS;
}

static float *group(int n, int call)
{
    float *x = room((size_t)ROWS * n * sizeof *x);
    for (int i = 0; i < ROWS * n; i++) {
        x[i] = uniform(100 + (uint64_t)call, (uint64_t)i);
    }
    return x;
}

/* Groups go round the team. */
static struct gram *make_gram(const struct algebra *algebra, MPI_Comm comm, int n)
{
    struct error err = {0};
    struct gram *gram = NULL;
    int rank = 0, size = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    if (algebra->gram_create(&err, algebra->state, n, &gram) != STATUS_OK) {
        fprintf(stderr, "test_algebra: %s\n", err.message);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    for (int first = 0; first < CALLS; first += size) {
        const int call = first + rank;
        float *x = call < CALLS ? group(n, call) : NULL;
        EXPECT(algebra->gram_add(&err, gram, 2, x ? group_rows(call) : 0, x) == STATUS_OK, "%s",
               err.message);
        free(x);
    }
    return gram;
}

/* gram (n, n) + diag(shift), and the factor U of its inverse (n, n) row-major, by LAPACK. */
static bool reference_factor(int n, const double *shift, double *diagonal, double *u)
{
    int info = 0;
    double *a = room((size_t)n * n * sizeof *a);
    for (int call = 0; call < CALLS; call++) {
        float *x = group(n, call);
        for (int r = 0; r < group_rows(call); r++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    a[i * n + j] += 2.0 * x[r * n + i] * x[r * n + j];
                }
            }
        }
        free(x);
    }
    for (int i = 0; i < n; i++) {
        diagonal[i] = a[i * n + i];
        a[i * n + i] += shift[i];
    }
    dpotrf_("U", &n, a, &n, &info, 1);
    if (info == 0) {
        dpotri_("U", &n, a, &n, &info, 1);
    }
    if (info == 0) {
        dpotrf_("U", &n, a, &n, &info, 1);
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            u[i * n + j] = i <= j ? a[j * n + i] : 0;
        }
    }
    free(a);
    return info == 0;
}

static void near(const char *what, int n, size_t count, const double *a, const double *b)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(b[i]));
        worst = a[i] - b[i] == 0 ? worst : fmax(worst, fabs(a[i] - b[i]));
        EXPECT(isfinite(a[i]), "%s, n = %d: %g", what, n, a[i]);
    }
    EXPECT(worst <= 1e-10 * largest, "%s, n = %d: differs by %.3g of %.3g", what, n, worst,
           largest);
}

/* Checks one Gram matrix; the factor goes to u (n, n). */
static void check_gram(const struct algebra *algebra, MPI_Comm comm, int n, double *u)
{
    struct error err = {0};
    const size_t square = (size_t)n * n;
    double *right = room(square * sizeof *right), *again = room(square * sizeof *again);
    double *diagonal = room((size_t)n * 3 * sizeof *diagonal), *right_diagonal = diagonal + n;
    double *shift = right_diagonal + n;
    bool definite = false;
    struct gram *gram = make_gram(algebra, comm, n);
    for (int i = 0; i < n; i++) {
        shift[i] = 0.5 + 0.01 * i;
    }
    EXPECT(algebra->gram_factor_rows(&err, gram, 0, 1, u) == STATUS_FAILED,
           "a factor that was not made has rows");
    error_clear(&err);
    EXPECT(reference_factor(n, shift, right_diagonal, right), "LAPACK: not positive definite");
    EXPECT(algebra->gram_diagonal(&err, gram, diagonal) == STATUS_OK, "%s", err.message);
    near("diagonal", n, (size_t)n, diagonal, right_diagonal);
    EXPECT(algebra->gram_inverse_factor(&err, gram, shift, &definite) == STATUS_OK && definite,
           "n = %d: no factor: %s", n, err.message);
    /* In parts of odd sizes. */
    for (int first = 0, count = 1; first < n; first += count, count = count * 2 + 1) {
        count = count < n - first ? count : n - first;
        EXPECT(algebra->gram_factor_rows(&err, gram, first, count, u + (size_t)first * n) ==
                   STATUS_OK,
               "%s", err.message);
    }
    near("inverse Cholesky factor", n, square, u, right);

    /* Not positive definite: said, and the Gram matrix stays as it is. */
    for (int i = 0; i < n; i++) {
        diagonal[i] = i == n - 1 ? -2 * right_diagonal[i] : shift[i];
    }
    EXPECT(algebra->gram_inverse_factor(&err, gram, diagonal, &definite) == STATUS_OK && !definite,
           "n = %d: a negative diagonal element is positive definite", n);
    EXPECT(algebra->gram_factor_rows(&err, gram, 0, 1, again) == STATUS_FAILED,
           "a factor that could not be made has rows");
    error_clear(&err);
    diagonal[n - 1] = NAN;
    EXPECT(algebra->gram_inverse_factor(&err, gram, diagonal, &definite) == STATUS_OK && !definite,
           "n = %d: NaN is positive definite", n);
    EXPECT(algebra->gram_inverse_factor(&err, gram, shift, &definite) == STATUS_OK && definite,
           "n = %d: no factor the second time", n);
    EXPECT(algebra->gram_factor_rows(&err, gram, 0, n, again) == STATUS_OK, "%s", err.message);
    EXPECT(memcmp(again, u, square * sizeof *u) == 0, "n = %d: another factor the second time", n);
    algebra->gram_free(gram);
    free(right);
    free(again);
    free(diagonal);
}

/* ---- teams ---- */

/* The first `size` ranks, without the others; false on those. */
static bool form(int size, MPI_Comm *comm)
{
    MPI_Group world, group;
    int range[1][3] = {{0, size - 1, 1}};
    if (world_rank >= size) {
        return false;
    }
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_range_incl(world, 1, range, &group);
    MPI_Comm_create_group(MPI_COMM_WORLD, group, 1, comm);
    MPI_Group_free(&world);
    MPI_Group_free(&group);
    return true;
}

/* Everything spread over the team, then as it is used: there the bits are those of a team of one. */
static void check_team(int size)
{
    static const int n[] = {1, 2, 33, 64, 65, 130, 200};
    struct error err = {0};
    MPI_Comm comm;
    struct algebra *algebra = NULL, *alone = NULL;
    if (!form(size, &comm)) {
        return;
    }
    EXPECT(algebra_create_spread(&err, comm, 0, &algebra) == STATUS_OK, "%s", err.message);
    check_spectra(algebra);
    for (size_t k = 0; k < sizeof n / sizeof n[0]; k++) {
        double *u = room((size_t)n[k] * n[k] * sizeof *u);
        check_gram(algebra, comm, n[k], u);
        free(u);
    }
    algebra_free(algebra);
    EXPECT(algebra_create(&err, comm, &algebra) == STATUS_OK, "%s", err.message);
    EXPECT(algebra_create(&err, MPI_COMM_SELF, &alone) == STATUS_OK, "%s", err.message);
    for (size_t k = 0; k < sizeof n / sizeof n[0]; k++) {
        const size_t square = (size_t)n[k] * n[k];
        double *u = room(square * sizeof *u), *v = room(square * sizeof *v);
        check_gram(algebra, comm, n[k], u);
        check_gram(alone, MPI_COMM_SELF, n[k], v);
        EXPECT(memcmp(u, v, square * sizeof *u) == 0,
               "n = %d: a team of %d has another factor than one rank", n[k], size);
        float *x = room(square * sizeof *x);
        for (size_t i = 0; i < square; i++) {
            x[i] = uniform(k, i);
        }
        EXPECT(algebra->spectrum(&err, algebra->state, n[k], n[k], x, u) == STATUS_OK &&
                   alone->spectrum(&err, alone->state, n[k], n[k], x, v) == STATUS_OK &&
                   memcmp(u, v, (size_t)n[k] * sizeof *u) == 0,
               "n = %d: a team of %d has other singular values than one rank", n[k], size);
        free(u);
        free(v);
        free(x);
    }
    algebra_free(alone);
    algebra_free(algebra);
    MPI_Comm_free(&comm);
}

/* Teams of 1, 2, … ranks, one after the other. */
static void check_formations(int formations)
{
    struct error err = {0};
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 10};
    const double shift[] = {1, 1, 1};
    double sigma[3], row[3];
    int most = 0;
    size_t before = 0;
    for (int i = 0; i < formations; i++) {
        const int size = 1 + i % world_size;
        MPI_Comm comm;
        struct algebra *algebra = NULL;
        struct gram *gram = NULL;
        bool definite = false;
        if (form(size, &comm)) {
            EXPECT(algebra_create_spread(&err, comm, 0, &algebra) == STATUS_OK &&
                       algebra->spectrum(&err, algebra->state, 3, 3, x, sigma) == STATUS_OK &&
                       algebra->gram_create(&err, algebra->state, 3, &gram) == STATUS_OK &&
                       algebra->gram_add(&err, gram, 1, 3, x) == STATUS_OK &&
                       algebra->gram_inverse_factor(&err, gram, shift, &definite) == STATUS_OK &&
                       definite && algebra->gram_factor_rows(&err, gram, 0, 1, row) == STATUS_OK,
                   "formation %d: %s", i, err.message);
            const struct algebra_team *team = algebra->state;
            const int number =
                team->team.context > team->team.handle ? team->team.context : team->team.handle;
            EXPECT(i < world_size || number <= most,
                   "formation %d: BLACS context or handle %d; there were at most %d", i, number,
                   most);
            most = i < world_size && number > most ? number : most;
            algebra->gram_free(gram);
            algebra_free(algebra);
            MPI_Comm_free(&comm);
        }
        if (i == formations / 4) { /* buffers have grown to what they need */
            before = mallinfo2().uordblks;
        }
    }
    const long more = (long)(mallinfo2().uordblks - before);
    EXPECT(more < 65536, "%ld bytes more after %d formations", more, formations - formations / 4);
    if (world_rank == 0) {
        printf("test_algebra: %d ranks, %d formations, %+ld bytes over the last three quarters\n",
               world_size, formations, more);
    }
}

int main(int argc, char **argv)
{
    const int formations = argc > 1 ? atoi(argv[1]) : 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world_size);
    for (int size = 1; size <= world_size; size++) {
        check_team(size);
    }
    if (formations > 0) {
        check_formations(formations);
    }
    MPI_Allreduce(MPI_IN_PLACE, &faults, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return faults ? 1 : 0;
}
