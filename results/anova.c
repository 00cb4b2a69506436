#include "results/anova.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_linalg.h>

/* A column that keeps less than this of its length when the columns before it are projected out adds no rank. */
static const double RANK = 1e-9;

/* Contrasts among settings: main effects and pairs, by their signs. */
struct effect_column {
    int f, g;
    signed char sign[FRACTION_SETTINGS];
};

struct run_block {
    int size; /* among those that entered, from 0 */
    int values;
    double mean;
    double y[FRACTION_SETTINGS]; /* NaN: missing */
};

struct layout {
    const struct design *design;
    const struct fraction *fraction;
    int effects; /* main effects, then pairs */
    struct effect_column effect[FRACTION_FACTORS * (FRACTION_FACTORS + 1) / 2];
    int blocks, sizes, cells;
    bool complete;
    struct run_block *block;
    int *size_cells, *size_blocks; /* (sizes) */
    double *size_mean;             /* (sizes) */
};

/* ── Data ── */

static void list_effects(struct layout *layout)
{
    const struct fraction *fraction = layout->fraction;
    for (int pass = 0; pass < 2; pass++) {
        for (int f = 0; f < fraction->factors; f++) {
            for (int g = pass == 0 ? f : f + 1; g < (pass == 0 ? f + 1 : fraction->factors); g++) {
                struct effect_column *effect = &layout->effect[layout->effects++];
                *effect = (struct effect_column){.f = f, .g = pass == 0 ? -1 : g};
                for (int i = 0; i < fraction->settings; i++) {
                    const signed char *sign = fraction->sign[i];
                    effect->sign[i] = (signed char)(pass == 0 ? sign[f] : sign[f] * sign[g]);
                }
            }
        }
    }
}

static void read_block(const struct layout *layout, const double *y, int size, int seed,
                       struct run_block *block)
{
    *block = (struct run_block){.size = layout->sizes};
    for (int i = 0; i < layout->fraction->settings; i++) {
        int cell = design_cell(layout->design, layout->fraction->setting[i], size, seed);
        block->y[i] = cell >= 0 && isfinite(y[cell]) ? y[cell] : NAN;
        if (!isnan(block->y[i])) {
            block->mean += block->y[i];
            block->values++;
        }
    }
    block->mean /= block->values > 0 ? block->values : 1;
}

static int read_blocks(struct error *err, struct layout *layout, const double *y,
                       struct anova *anova)
{
    int status = STATUS_OK;
    const struct design *design = layout->design;
    size_t sizes = (size_t)design->effects->sizes;
    layout->block = calloc(sizes * (size_t)design->seeds + 1, sizeof *layout->block);
    layout->size_cells = calloc(sizes + 1, sizeof *layout->size_cells);
    layout->size_blocks = calloc(sizes + 1, sizeof *layout->size_blocks);
    layout->size_mean = calloc(sizes + 1, sizeof *layout->size_mean);
    CHECK(err,
          layout->block != NULL && layout->size_cells != NULL && layout->size_blocks != NULL &&
              layout->size_mean != NULL,
          STATUS_FAILED, "out of memory for the analysis of variance");
    anova->mean = 0;
    for (int size = 0; size < design->effects->sizes; size++) {
        int s = layout->sizes;
        int seeds = fraction_at_size(design, layout->fraction, size) ? design->seeds : 0;
        for (int k = 0; k < seeds; k++) {
            struct run_block *block = &layout->block[layout->blocks];
            read_block(layout, y, size, k, block);
            if (2 * block->values < layout->fraction->settings) {
                anova->blocks_left += block->values > 0;
                continue;
            }
            layout->blocks++;
            layout->size_blocks[s]++;
            layout->size_cells[s] += block->values;
            layout->size_mean[s] += block->values * block->mean;
            anova->missing += layout->fraction->settings - block->values;
        }
        if (layout->size_cells[s] > 0) {
            anova->mean += layout->size_mean[s];
            layout->size_mean[s] /= layout->size_cells[s];
            layout->cells += layout->size_cells[s];
            layout->sizes++;
        }
    }
    anova->mean = layout->cells > 0 ? anova->mean / layout->cells : NAN;
    anova->cells = layout->cells;
    anova->sizes = layout->sizes;
    anova->blocks = layout->blocks;
    layout->complete = anova->missing == 0;
cleanup:
    return status;
}

/* ── Sums of squares ── */

static void fit_blocks(const struct layout *layout, struct anova *anova)
{
    struct anova_term *size = &anova->term[anova->terms++];
    struct anova_term *seed = &anova->term[anova->terms++];
    *size = (struct anova_term){.kind = ANOVA_SIZE, .f = -1, .g = -1, .df = layout->sizes - 1};
    *seed = (struct anova_term){
        .kind = ANOVA_SEED, .f = -1, .g = -1, .df = layout->blocks - layout->sizes};
    double squares = 0; /* Σ over blocks of values²/values of the size */
    for (int s = 0; s < layout->sizes; s++) {
        double shift = layout->size_mean[s] - anova->mean;
        size->ss += layout->size_cells[s] * shift * shift;
    }
    for (int b = 0; b < layout->blocks; b++) {
        const struct run_block *block = &layout->block[b];
        double shift = block->mean - layout->size_mean[block->size];
        seed->ss += block->values * shift * shift;
        squares += (double)block->values * block->values / layout->size_cells[block->size];
    }
    anova->per_seed = seed->df > 0 ? (layout->cells - squares) / seed->df : NAN;
}

/* Terms of effects and of size × effects, in order, without their sums. */
static void list_terms(const struct layout *layout, struct anova *anova)
{
    for (int by_size = 0; by_size < 2; by_size++) {
        for (int e = 0; e < layout->effects; e++) {
            const struct effect_column *effect = &layout->effect[e];
            bool pair = effect->g >= 0;
            enum anova_kind kind = by_size ? (pair ? ANOVA_SIZE_PAIR : ANOVA_SIZE_FACTOR)
                                           : (pair ? ANOVA_PAIR : ANOVA_FACTOR);
            anova->term[anova->terms++] =
                (struct anova_term){.kind = kind, .f = effect->f, .g = effect->g};
        }
    }
}

/* All blocks complete: the effects' columns are orthogonal to the blocks' and to each other, also within a size. */
static void fit_orthogonal(const struct layout *layout, double *size_sum, struct anova *anova)
{
    for (int e = 0; e < layout->effects; e++) {
        struct anova_term *effect = &anova->term[2 + e];
        struct anova_term *by_size = &anova->term[2 + layout->effects + e];
        double sum = 0;
        for (int s = 0; s < layout->sizes; s++) {
            size_sum[s] = 0;
        }
        for (int b = 0; b < layout->blocks; b++) {
            const struct run_block *block = &layout->block[b];
            for (int i = 0; i < layout->fraction->settings; i++) {
                size_sum[block->size] += layout->effect[e].sign[i] * (block->y[i] - block->mean);
            }
        }
        for (int s = 0; s < layout->sizes; s++) {
            sum += size_sum[s];
        }
        effect->ss = sum * sum / layout->cells;
        effect->df = 1;
        by_size->df = layout->sizes - 1;
        for (int s = 0; s < layout->sizes; s++) { /* deviation from the common coefficient */
            double cells = layout->size_cells[s];
            double shift = size_sum[s] / cells - sum / layout->cells;
            by_size->ss += cells * shift * shift;
        }
    }
}

/* Fitted columns: each effect, then each effect at each size but the first; what of y lies beside the blocks. */
struct columns {
    int rows, count;
    double *value; /* (count, rows) */
    double *y;     /* (rows) */
    int *term;     /* (count) */
};

static int make_columns(struct error *err, const struct layout *layout, struct columns *columns)
{
    int status = STATUS_OK;
    columns->rows = layout->cells;
    columns->count = layout->effects * layout->sizes;
    size_t rows = (size_t)columns->rows, count = (size_t)columns->count;
    columns->value = calloc(rows * count, sizeof *columns->value);
    columns->y = calloc(rows, sizeof *columns->y);
    columns->term = calloc(count, sizeof *columns->term);
    CHECK(err, columns->value != NULL && columns->y != NULL && columns->term != NULL, STATUS_FAILED,
          "out of memory for the analysis of variance of %d cells", layout->cells);
    for (int c = 0; c < columns->count; c++) {
        /* effects, then (effect, size) */
        int by_size = c - layout->effects;
        int e = by_size < 0 ? c : by_size / (layout->sizes - 1);
        int size = by_size < 0 ? -1 : by_size % (layout->sizes - 1) + 1;
        columns->term[c] = 2 + e + (by_size < 0 ? 0 : layout->effects);
        double *value = columns->value + (size_t)c * rows;
        for (int b = 0; b < layout->blocks; b++) {
            const struct run_block *block = &layout->block[b];
            double mean = 0;
            for (int i = 0; i < layout->fraction->settings; i++) {
                mean += isnan(block->y[i]) ? 0 : (double)layout->effect[e].sign[i] / block->values;
            }
            for (int i = 0; i < layout->fraction->settings; i++) {
                if (!isnan(block->y[i])) {
                    bool here = size < 0 || size == block->size;
                    *value++ = here ? layout->effect[e].sign[i] - mean : 0;
                }
            }
        }
    }
    double *y = columns->y;
    for (int b = 0; b < layout->blocks; b++) {
        const struct run_block *block = &layout->block[b];
        for (int i = 0; i < layout->fraction->settings; i++) {
            if (!isnan(block->y[i])) {
                *y++ = block->y[i] - block->mean;
            }
        }
    }
cleanup:
    return status;
}

static double length_of(const double *value, int count)
{
    double squares = 0;
    for (int i = 0; i < count; i++) {
        squares += value[i] * value[i];
    }
    return sqrt(squares);
}

/* Reflect column after column onto an axis of its own; what y has along it is the column's sum of squares. */
static int fit_columns(struct error *err, const struct layout *layout, struct anova *anova)
{
    int status = STATUS_OK;
    struct columns columns = {0};
    int rank = 0;
    TRY(make_columns(err, layout, &columns));
    size_t rows = (size_t)columns.rows;
    for (int c = 0; c < columns.count && rank < columns.rows; c++) {
        double *column = columns.value + (size_t)c * rows;
        int below = columns.rows - rank;
        double before = length_of(column, columns.rows);
        if (!(length_of(column + rank, below) > RANK * fmax(before, 1))) {
            continue;
        }
        gsl_vector_view v = gsl_vector_view_array(column + rank, (size_t)below);
        gsl_vector_view y = gsl_vector_view_array(columns.y + rank, (size_t)below);
        double tau = gsl_linalg_householder_transform(&v.vector);
        gsl_linalg_householder_hv(tau, &v.vector, &y.vector);
        for (int d = c + 1; d < columns.count; d++) {
            double *next = columns.value + (size_t)d * rows + rank;
            gsl_vector_view w = gsl_vector_view_array(next, (size_t)below);
            gsl_linalg_householder_hv(tau, &v.vector, &w.vector);
        }
        struct anova_term *term = &anova->term[columns.term[c]];
        term->ss += columns.y[rank] * columns.y[rank];
        term->df++;
        rank++;
    }
cleanup:
    free(columns.value);
    free(columns.y);
    free(columns.term);
    return status;
}

/* What no term has taken. */
static void fit_residual(const struct layout *layout, struct anova *anova)
{
    struct anova_term residual = {
        .kind = ANOVA_RESIDUAL, .f = -1, .g = -1, .df = layout->cells - 1};
    for (int b = 0; b < layout->blocks; b++) {
        const struct run_block *block = &layout->block[b];
        for (int i = 0; i < layout->fraction->settings; i++) {
            double shift = isnan(block->y[i]) ? 0 : block->y[i] - block->mean;
            residual.ss += shift * shift;
        }
    }
    for (int t = 0; t < anova->terms; t++) {
        residual.ss -= t >= 2 ? anova->term[t].ss : 0;
        residual.df -= anova->term[t].df;
    }
    residual.ss = residual.df > 0 ? fmax(residual.ss, 0) : 0;
    anova->term[anova->terms++] = residual;
}

/* ── Tests ── */

static void test_term(struct anova_term *term, const struct anova_term *error)
{
    term->ms = term->df > 0 ? term->ss / term->df : NAN;
    term->F = NAN;
    term->p = NAN;
    bool is_error = term->kind == ANOVA_SEED || term->kind == ANOVA_RESIDUAL;
    if (!is_error && term->df > 0 && error->df > 0 && error->ss > 0) {
        term->F = term->ms / (error->ss / error->df);
        term->p = gsl_cdf_fdist_Q(term->F, term->df, error->df);
    }
}

static void test_terms(struct anova *anova)
{
    for (int k = 0; k < ANOVA_KINDS; k++) {
        anova->kind[k] = (struct anova_term){.kind = (enum anova_kind)k, .f = -1, .g = -1};
    }
    for (int t = 0; t < anova->terms; t++) {
        struct anova_term *kind = &anova->kind[anova->term[t].kind];
        kind->ss += anova->term[t].ss;
        kind->df += anova->term[t].df;
    }
    const struct anova_term seed = anova->kind[ANOVA_SEED];
    const struct anova_term residual = anova->kind[ANOVA_RESIDUAL];
    for (int t = 0; t < anova->terms; t++) {
        test_term(&anova->term[t], anova->term[t].kind == ANOVA_SIZE ? &seed : &residual);
    }
    for (int k = 0; k < ANOVA_KINDS; k++) {
        test_term(&anova->kind[k], k == ANOVA_SIZE ? &seed : &residual);
    }
}

int anova_of(struct error *err, const struct design *design, const double *y, struct anova *anova)
{
    int status = STATUS_OK;
    struct layout layout = {.design = design, .fraction = &design->fraction};
    memset(anova, 0, sizeof *anova);
    anova->mean = NAN;
    anova->per_seed = NAN;
    if (design->has_fraction) {
        list_effects(&layout);
        TRY(read_blocks(err, &layout, y, anova));
    }
    if (layout.cells > 0) {
        fit_blocks(&layout, anova);
        list_terms(&layout, anova);
        if (layout.complete) {
            fit_orthogonal(&layout, layout.size_mean, anova);
        } else {
            TRY(fit_columns(err, &layout, anova));
        }
        fit_residual(&layout, anova);
    }
    test_terms(anova);
cleanup:
    free(layout.block);
    free(layout.size_cells);
    free(layout.size_blocks);
    free(layout.size_mean);
    return status;
}

void anova_name(const struct design *design, const struct anova_term *term, char text[96])
{
    const struct fraction *fraction = &design->fraction;
    bool by_size = term->kind == ANOVA_SIZE_FACTOR || term->kind == ANOVA_SIZE_PAIR;
    switch (term->kind) {
    case ANOVA_SIZE:
        snprintf(text, 96, "size");
        break;
    case ANOVA_SEED:
        snprintf(text, 96, "seed within size");
        break;
    case ANOVA_FACTOR:
    case ANOVA_PAIR:
    case ANOVA_SIZE_FACTOR:
    case ANOVA_SIZE_PAIR:
        snprintf(text, 96, "%s%s%s%s", by_size ? "size × " : "",
                 term->f < 0 ? "factors" : recipe_name(fraction->factor[term->f]),
                 term->g < 0 ? "" : " × ",
                 term->g < 0 ? "" : recipe_name(fraction->factor[term->g]));
        break;
    default:
        snprintf(text, 96, "residual");
    }
}
