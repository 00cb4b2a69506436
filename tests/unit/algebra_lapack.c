#include "tests/unit/algebra_lapack.h"

#include <stdlib.h>
#include <string.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
             const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *lwork, int *info);

struct gram {
    struct team *team;
    int n;
    double *sum, *factor; /* (n, n), row-major */
};

static int spectrum(struct error *err, void *state, int rows, int columns, const float *matrix,
                    double *sigma)
{
    int status = STATUS_OK;
    const int one = 1, work_length = 8 * (rows + columns);
    int info = 0;
    double *a = malloc((size_t)rows * columns * sizeof *a);
    double *work = malloc((size_t)work_length * sizeof *work), none = 0;
    (void)state;
    CHECK(err, a && work, STATUS_FAILED, "out of memory");
    for (size_t i = 0; i < (size_t)rows * columns; i++) {
        a[i] =
            matrix[i]; /* seen by columns it is the transpose, which has the same singular values */
    }
    dgesvd_("N", "N", &columns, &rows, a, &columns, sigma, &none, &one, &none, &one, work,
            &work_length, &info);
    CHECK(err, info == 0, STATUS_FAILED, "dgesvd: info %d", info);
cleanup:
    free(a);
    free(work);
    return status;
}

static void gram_free(struct gram *gram)
{
    if (gram) {
        free(gram->sum);
        free(gram->factor);
        free(gram);
    }
}

static int gram_create(struct error *err, void *state, int n, struct gram **gram)
{
    int status = STATUS_OK;
    const size_t elements = (size_t)n * n;
    struct gram *g = calloc(1, sizeof *g);
    CHECK(err, g, STATUS_FAILED, "out of memory");
    g->team = state;
    g->n = n;
    g->sum = calloc(elements, sizeof *g->sum);
    g->factor = calloc(elements, sizeof *g->factor);
    CHECK(err, g->sum && g->factor, STATUS_FAILED, "out of memory");
    *gram = g;
    g = NULL;
cleanup:
    gram_free(g);
    return status;
}

static int gram_add(struct error *err, struct gram *gram, double factor, int rows, const float *x)
{
    int status = STATUS_OK;
    const size_t n = (size_t)gram->n;
    double *part = calloc(n * n, sizeof *part);
    CHECK(err, part, STATUS_FAILED, "out of memory");
    for (int r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                part[i * n + j] += factor * x[r * n + i] * x[r * n + j];
            }
        }
    }
    TRY(gram->team->sum_double(gram->team, part, n * n));
    for (size_t i = 0; i < n * n; i++) {
        gram->sum[i] += part[i];
    }
cleanup:
    free(part);
    return status;
}

static int gram_diagonal(struct error *err, const struct gram *gram, double *diagonal)
{
    (void)err;
    for (int i = 0; i < gram->n; i++) {
        diagonal[i] = gram->sum[(size_t)i * gram->n + i];
    }
    return STATUS_OK;
}

/* LAPACK's lower triangle by columns is the upper one by rows. */
static int gram_inverse_factor(struct error *err, struct gram *gram, const double *shift,
                               bool *definite)
{
    int status = STATUS_OK, info = 0;
    const int n = gram->n;
    double *f = gram->factor;
    memcpy(f, gram->sum, (size_t)n * n * sizeof *f);
    for (int i = 0; i < n; i++) {
        f[(size_t)i * n + i] += shift[i];
    }
    dpotrf_("L", &n, f, &n, &info);
    *definite = info == 0;
    if (info == 0) {
        dpotri_("L", &n, f, &n, &info);
        CHECK(err, info == 0, STATUS_FAILED, "dpotri: info %d", info);
        dpotrf_("L", &n, f, &n, &info);
        CHECK(err, info == 0, STATUS_FAILED, "dpotrf of the inverse: info %d", info);
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++) {
            f[(size_t)i * n + j] = 0;
        }
    }
cleanup:
    return status;
}

static int gram_factor_rows(struct error *err, const struct gram *gram, int first, int count,
                            double *rows)
{
    (void)err;
    memcpy(rows, gram->factor + (size_t)first * gram->n, (size_t)count * gram->n * sizeof *rows);
    return STATUS_OK;
}

struct algebra algebra_lapack(struct team *team)
{
    return (struct algebra){.state = team,
                            .spectrum = spectrum,
                            .gram_create = gram_create,
                            .gram_add = gram_add,
                            .gram_diagonal = gram_diagonal,
                            .gram_inverse_factor = gram_inverse_factor,
                            .gram_factor_rows = gram_factor_rows,
                            .gram_free = gram_free};
}
