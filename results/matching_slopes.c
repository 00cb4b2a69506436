/*
 * Scale at equal tokens, equal tokens per parameter and equal loss (results/matching.h).
 *
 * Every estimate is Σ w·y over the runs (least squares is linear in y), hence a sum over blocks.
 * Within a block w is a polynomial in log10 D of degree ≤ 2, so that three numbers of a block hold
 * all of its error: the mean, and the parts along a slope and a bend. Their covariance is estimated
 * once, from blocks within sizes (METHOD §6: pooled), and every variance follows from it, Σ_blocks
 * l'·Σ̂·l. Clusters of their own covariance each (the sandwich, CR0 … CR3) would spend the few
 * seeds on a matrix per size.
 */
#include "results/matching.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_cdf.h>

#include "results/solve.h"

enum { COLUMNS = 6, LINEAR = 3, PARTS = 3, BOTH = 2 * PARTS };

/* A column that is this near to the space of those before it adds nothing. */
static const double INDEPENDENT = 1e-6;

/* The base's runs, block by block. */
struct runs {
    int count, blocks;
    int *start, *size;         /* (blocks + 1), (blocks) */
    int *setting;              /* (count) */
    double *n, *d, *y, *loss;  /* (count): log10 of parameters and tokens, centred */
    double *error_y, *error_l; /* (count): from the mean of the size's runs of that setting */
    double *basis;             /* (count, PARTS) */
    double *columns, *weights; /* (COLUMNS, count) */
    double r[COLUMNS][COLUMNS];
    double covariance[BOTH][BOTH]; /* of a block's parts, of y and of loss */
    int df;
};

static void free_runs(struct runs *runs)
{
    free(runs->start);
    free(runs->size);
    free(runs->setting);
    free(runs->n);
}

static int allocate_runs(struct error *err, const struct design *design, struct runs *runs)
{
    int status = STATUS_OK;
    size_t blocks = (size_t)design->effects->sizes * (size_t)design->seeds;
    size_t most = blocks * (size_t)design->ladder.settings + 1;
    runs->start = calloc(blocks + 1, sizeof *runs->start);
    runs->size = calloc(blocks + 1, sizeof *runs->size);
    runs->setting = calloc(most, sizeof *runs->setting);
    runs->n = calloc(most * (6 + PARTS + 2 * COLUMNS), sizeof *runs->n);
    CHECK(err,
          runs->start != NULL && runs->size != NULL && runs->setting != NULL && runs->n != NULL,
          STATUS_FAILED, "out of memory for the ladder's %zu runs", most);
    runs->d = runs->n + most;
    runs->y = runs->d + most;
    runs->loss = runs->y + most;
    runs->error_y = runs->loss + most;
    runs->error_l = runs->error_y + most;
    runs->basis = runs->error_l + most;
    runs->columns = runs->basis + most * PARTS;
    runs->weights = runs->columns + most * COLUMNS;
cleanup:
    return status;
}

/* Blocks with at least two numbers of tokens. */
static void collect(const struct design *design, const double *y, const double *loss,
                    struct runs *runs)
{
    const struct effects *effects = design->effects;
    for (int s = 0; s < effects->sizes; s++) {
        for (int k = 0; k < design->seeds; k++) {
            int from = runs->start[runs->blocks];
            int to = from;
            bool varies = false;
            for (int i = 0; i < design->ladder.settings; i++) {
                int setting = design->ladder.setting[i];
                int cell = design_cell(design, setting, s, k);
                if (cell < 0 || !isfinite(y[cell]) || !isfinite(loss[cell]) ||
                    !(effects->table->cell[cell].tokens > 0)) {
                    continue;
                }
                runs->setting[to] = setting;
                runs->n[to] = log10(effects->size[s].parameters);
                runs->d[to] = log10(effects->table->cell[cell].tokens);
                runs->y[to] = y[cell];
                runs->loss[to] = loss[cell];
                varies = varies || runs->d[to] > runs->d[from] || runs->d[to] < runs->d[from];
                to++;
            }
            if (varies) {
                runs->size[runs->blocks++] = s;
                runs->start[runs->blocks] = to;
            }
        }
    }
    runs->count = runs->start[runs->blocks];
}

static void centre(double *values, int count)
{
    double mean = 0;
    for (int i = 0; i < count; i++) {
        mean += values[i] / count;
    }
    for (int i = 0; i < count; i++) {
        values[i] -= mean;
    }
}

/* Differences from the means over seeds. */
static void find_errors(struct runs *runs)
{
    for (int b = 0; b < runs->blocks; b++) {
        for (int i = runs->start[b]; i < runs->start[b + 1]; i++) {
            double sum_y = 0, sum_l = 0;
            int seeds = 0;
            for (int c = 0; c < runs->blocks; c++) {
                if (runs->size[c] != runs->size[b]) {
                    continue;
                }
                for (int j = runs->start[c]; j < runs->start[c + 1]; j++) {
                    if (runs->setting[j] == runs->setting[i]) {
                        sum_y += runs->y[j];
                        sum_l += runs->loss[j];
                        seeds++;
                    }
                }
            }
            runs->error_y[i] = runs->y[i] - sum_y / seeds;
            runs->error_l[i] = runs->loss[i] - sum_l / seeds;
        }
    }
}

/* Make `column` orthonormal to the `done` columns before it, which are; false if nothing is left
 * of it. `r`: its parts along them and its length. Twice, since once loses digits. */
static bool orthonormal(double *column, const double *before, size_t stride, int done, int count,
                        double *r)
{
    double length = 0;
    for (int i = 0; i < count; i++) {
        length += column[i] * column[i];
    }
    for (int k = 0; k < done; k++) {
        r[k] = 0;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < done; k++) {
            const double *other = before + (size_t)k * stride;
            double along = 0;
            for (int i = 0; i < count; i++) {
                along += other[i] * column[i];
            }
            for (int i = 0; i < count; i++) {
                column[i] -= along * other[i];
            }
            r[k] += along;
        }
    }
    double left = 0;
    for (int i = 0; i < count; i++) {
        left += column[i] * column[i];
    }
    if (!(left > length * INDEPENDENT * INDEPENDENT)) {
        return false;
    }
    r[done] = sqrt(left);
    for (int i = 0; i < count; i++) {
        column[i] /= r[done];
    }
    return true;
}

/* Orthonormal 1, d, d² within each block; zeros where it has too few runs for one. */
static void find_basis(struct runs *runs)
{
    for (int b = 0; b < runs->blocks; b++) {
        int from = runs->start[b], count = runs->start[b + 1] - from, done = 0;
        for (int j = 0; j < PARTS; j++) {
            double *column = runs->basis + (size_t)j * (size_t)runs->count + from;
            for (int i = 0; i < count; i++) {
                double d = runs->d[from + i];
                column[i] = j == 0 ? 1 : j == 1 ? d : d * d;
            }
            double unused[PARTS];
            if (done == j &&
                orthonormal(column, runs->basis + from, (size_t)runs->count, done, count, unused)) {
                done++;
            } else {
                for (int i = 0; i < count; i++) {
                    column[i] = 0;
                }
            }
        }
    }
}

/* Parts of a block along its basis, of one value per run. */
static void parts_of(const struct runs *runs, int block, const double *values, double *parts)
{
    for (int j = 0; j < PARTS; j++) {
        const double *basis = runs->basis + (size_t)j * (size_t)runs->count;
        parts[j] = 0;
        for (int i = runs->start[block]; i < runs->start[block + 1]; i++) {
            parts[j] += basis[i] * values[i];
        }
    }
}

/* A block's mean has the same variance whatever its number of runs; its sum has not. */
static double mean_scale(const struct runs *runs, int block)
{
    return sqrt(runs->start[block + 1] - runs->start[block]);
}

static void find_covariance(struct runs *runs)
{
    int df[PARTS] = {0};
    int size[PARTS] = {-1, -1, -1};
    for (int b = 0; b < runs->blocks; b++) {
        double z[BOTH];
        parts_of(runs, b, runs->error_y, z);
        parts_of(runs, b, runs->error_l, z + PARTS);
        z[0] /= mean_scale(runs, b);
        z[PARTS] /= mean_scale(runs, b);
        int runs_of_block = runs->start[b + 1] - runs->start[b];
        for (int j = 0; j < PARTS; j++) {
            if (runs_of_block > j) { /* the first of a size pays for its mean */
                df[j] += size[j] == runs->size[b];
                size[j] = runs->size[b];
            }
        }
        for (int i = 0; i < BOTH; i++) {
            for (int j = 0; j < BOTH; j++) {
                runs->covariance[i][j] += z[i] * z[j];
            }
        }
    }
    for (int i = 0; i < BOTH; i++) {
        for (int j = 0; j < BOTH; j++) {
            double both = sqrt((double)df[i % PARTS] * df[j % PARTS]);
            runs->covariance[i][j] = both > 0 ? runs->covariance[i][j] / both : 0;
        }
    }
    runs->df = df[0];
}

/* Covariance of Σ(wy·y + wl·loss) and Σ(vy·y + vl·loss); NULL: no such part. */
static double covariance_of(const struct runs *runs, const double *wy, const double *wl,
                            const double *vy, const double *vl)
{
    const double *weights[4] = {wy, wl, vy, vl};
    double sum = 0;
    for (int b = 0; b < runs->blocks; b++) {
        double l[4][PARTS] = {{0}};
        for (int k = 0; k < 4; k++) {
            if (weights[k] != NULL) {
                parts_of(runs, b, weights[k], l[k]);
                l[k][0] *= mean_scale(runs, b);
            }
        }
        for (int i = 0; i < BOTH; i++) {
            for (int j = 0; j < BOTH; j++) {
                sum +=
                    l[i / PARTS][i % PARTS] * runs->covariance[i][j] * l[2 + j / PARTS][j % PARTS];
            }
        }
    }
    return sum;
}

/* Orthonormal 1, n, d, then those of n², d², n·d that add something; returns how many. */
static int find_columns(struct runs *runs)
{
    int done = 0;
    for (int c = 0; c < COLUMNS; c++) {
        double *column = runs->columns + (size_t)done * (size_t)runs->count;
        for (int i = 0; i < runs->count; i++) {
            double n = runs->n[i], d = runs->d[i];
            column[i] = (const double[]){1, n, d, n * n, d * d, n * d}[c];
        }
        if (orthonormal(column, runs->columns, (size_t)runs->count, done, runs->count,
                        runs->r[done])) {
            done++;
        } else if (c < LINEAR) {
            return 0;
        }
    }
    return done;
}

/* weights: of the coefficients of the first `columns` columns, W = Q·R⁻ᵀ. */
static void find_weights(struct runs *runs, int columns)
{
    size_t count = (size_t)runs->count;
    for (int j = columns - 1; j >= 0; j--) {
        for (size_t i = 0; i < count; i++) {
            double sum = runs->columns[(size_t)j * count + i];
            for (int k = j + 1; k < columns; k++) {
                sum -= runs->r[k][j] * runs->weights[(size_t)k * count + i];
            }
            runs->weights[(size_t)j * count + i] = sum / runs->r[j][j];
        }
    }
}

static double weighted(const struct runs *runs, const double *weights, const double *values)
{
    double sum = 0;
    for (int i = 0; i < runs->count; i++) {
        sum += weights[i] * values[i];
    }
    return sum;
}

static struct interval interval_of(const struct runs *runs, double estimate, const double *wy,
                                   const double *wl, double alpha)
{
    double half = NAN;
    if (runs->df > 0) {
        half =
            gsl_cdf_tdist_Pinv(1 - alpha / 2, runs->df) * sqrt(covariance_of(runs, wy, wl, wy, wl));
    }
    return (struct interval){estimate, estimate - half, estimate + half, runs->df};
}

static void find_slopes(struct runs *runs, double alpha, struct scale_slopes *slopes)
{
    size_t count = (size_t)runs->count;
    find_weights(runs, LINEAR);
    const double *on_n = runs->weights + count;
    const double *on_d = runs->weights + 2 * count;
    double b = weighted(runs, on_n, runs->y), c = weighted(runs, on_d, runs->y);
    double b_loss = weighted(runs, on_n, runs->loss), c_loss = weighted(runs, on_d, runs->loss);
    slopes->per_decade_of_tokens = c;
    slopes->tokens = interval_of(runs, b, on_n, NULL, alpha);
    /* weights of the compound estimates, over columns that are no longer needed */
    double *wy = runs->weights + 3 * count;
    double *wl = runs->weights + 4 * count;
    for (size_t i = 0; i < count; i++) {
        wy[i] = on_n[i] + on_d[i];
    }
    slopes->per_parameter = interval_of(runs, b + c, wy, NULL, alpha);
    double ratio = b_loss / c_loss; /* along equal loss log D changes by −ratio per log N */
    for (size_t i = 0; i < count; i++) {
        wy[i] = on_n[i] - ratio * on_d[i];
        wl[i] = -c / c_loss * (on_n[i] - ratio * on_d[i]);
    }
    if (isfinite(ratio)) {
        slopes->loss = interval_of(runs, b - c * ratio, wy, wl, alpha);
    }
}

/* F test of the columns beyond the plane. Their errors are in different parts of the blocks, so
 * that the estimated covariance costs hardly more df than one variance does (Hotelling's T²
 * would keep 2 % instead of 5 %). */
static double curvature(struct runs *runs, int columns)
{
    int extra = columns - LINEAR;
    if (extra < 1 || runs->df < 1) {
        return NAN;
    }
    find_weights(runs, columns);
    double covariance[COLUMNS * COLUMNS], b[COLUMNS], x[COLUMNS], scale[COLUMNS], squares = 0;
    const double *weights = runs->weights + (size_t)LINEAR * (size_t)runs->count;
    for (int i = 0; i < extra; i++) {
        const double *w = weights + (size_t)i * (size_t)runs->count;
        for (int j = 0; j < extra; j++) {
            const double *v = weights + (size_t)j * (size_t)runs->count;
            covariance[i * extra + j] = covariance_of(runs, w, NULL, v, NULL);
        }
        scale[i] = sqrt(covariance[i * extra + i]);
        if (!(scale[i] > 0)) {
            return NAN;
        }
        x[i] = b[i] = weighted(runs, w, runs->y) / scale[i];
    }
    for (int i = 0; i < extra * extra; i++) {
        covariance[i] /= scale[i / extra] * scale[i % extra];
    }
    if (solve_semidefinite(covariance, x, extra) < extra) {
        return NAN;
    }
    for (int i = 0; i < extra; i++) {
        squares += b[i] * x[i];
    }
    return gsl_cdf_fdist_Q(squares / extra, extra, runs->df);
}

/* The base's slope where all its sizes saw the same number of tokens: all that a study without a
 * ladder can tell. */
static int base_slope(struct error *err, const struct design *design, const double *y, double alpha,
                      struct scale_slopes *slopes)
{
    int status = STATUS_OK;
    const struct effects *effects = design->effects;
    double least = INFINITY, most = 0;
    int *base = malloc((size_t)effects->sizes * sizeof *base);
    CHECK(err, base != NULL, STATUS_FAILED, "out of memory for %d sizes", effects->sizes);
    for (int s = 0; s < effects->sizes; s++) {
        base[s] = effects->base;
    }
    for (int i = 0; i < effects->table->cells; i++) {
        if (effects->base >= 0 && effects->setting_of[i] == effects->base) {
            least = fmin(least, effects->table->cell[i].tokens);
            most = fmax(most, effects->table->cell[i].tokens);
        }
    }
    if (most > 0 && most <= least * (1 + INDEPENDENT)) {
        struct contrast slope = contrast_slope(design, y, base, alpha);
        slopes->tokens = slope.interval;
        slopes->cells = slope.blocks;
        slopes->sizes = slope.sizes;
    }
cleanup:
    free(base);
    return status;
}

int matching_slopes(struct error *err, const struct design *design, const double *y,
                    const double *loss, double alpha, struct scale_slopes *slopes)
{
    int status = STATUS_OK;
    const struct interval none = {NAN, NAN, NAN, 0};
    struct runs runs = {0};
    *slopes = (struct scale_slopes){.tokens = none,
                                    .per_parameter = none,
                                    .loss = none,
                                    .per_decade_of_tokens = NAN,
                                    .curvature_p = NAN};
    TRY(allocate_runs(err, design, &runs));
    collect(design, y, loss, &runs);
    centre(runs.n, runs.count);
    centre(runs.d, runs.count);
    int columns = runs.count > LINEAR ? find_columns(&runs) : 0;
    if (columns >= LINEAR) {
        slopes->known = true;
        slopes->cells = runs.count;
        for (int b = 0; b < runs.blocks; b++) {
            slopes->sizes += b == 0 || runs.size[b] != runs.size[b - 1];
        }
        find_errors(&runs);
        find_basis(&runs);
        find_covariance(&runs);
        slopes->curvature_p = curvature(&runs, columns);
        find_slopes(&runs, alpha, slopes);
    } else {
        TRY(base_slope(err, design, y, alpha, slopes));
    }
cleanup:
    free_runs(&runs);
    return status;
}
