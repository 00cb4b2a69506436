/* Sums of squares against nested least-squares fits of the written-out design, on complete and on damaged data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gsl/gsl_blas.h>
#include <gsl/gsl_cdf.h>

#include "results/anova.h"
#include "tests/unit/design_fixture.h"

enum { SETTINGS = 16, MOST_COLUMNS = 160 };

struct study {
    int sizes, seeds;
    struct table *table;
    struct effects *effects;
    struct design *design;
    double *y;
};

/* A deterministic stand-in for noise in (−1, 1). */
static double wobble(int i)
{
    return sin(12.9898 * i + 78.233 * i * i);
}

/* A half fraction with effects of everything: size, block, factors, pairs, size × both. */
static struct study open_study(int sizes, int seeds)
{
    struct study study = {sizes, seeds, fixture_half_fraction(sizes, seeds, 0), NULL, NULL, NULL};
    assert_int_equal(effects_open(NULL, study.table, &study.effects), STATUS_OK);
    assert_int_equal(design_open(NULL, study.effects, &study.design), STATUS_OK);
    assert_true(study.design->has_fraction);
    study.y = fixture_values((size_t)study.table->cells);
    const struct fraction *fraction = &study.design->fraction;
    for (int i = 0; i < SETTINGS; i++) {
        for (int b = 0; b < sizes * seeds; b++) {
            int s = b / seeds, cell = design_cell(study.design, fraction->setting[i], s, b % seeds);
            double value = -6 - 0.7 * s + 0.2 * wobble(b + 1000) + 0.1 * wobble(cell);
            for (int f = 0; f < 5; f++) {
                value += (0.1 * f + 0.03 * s * s) * fraction->sign[i][f];
                value += 0.02 * (f + s) * fraction->sign[i][f] * fraction->sign[i][(f + 1) % 5];
            }
            study.y[cell] = value;
        }
    }
    return study;
}

static void close_study(struct study *study)
{
    design_free(study->design);
    effects_free(study->effects);
    table_free(study->table);
    free(study->y);
}

static double *value_at(struct study *study, int i, int size, int seed)
{
    return &study->y[design_cell(study->design, study->design->fraction.setting[i], size, seed)];
}

static struct anova anova_for(const struct study *study)
{
    struct anova anova;
    struct error err = {0};
    assert_int_equal(anova_of(&err, study->design, study->y, &anova), STATUS_OK);
    return anova;
}

/* Residual sum of squares and rank of a fit of the first `columns` columns: Gram and Schmidt, each step twice. */
static double fit(const gsl_matrix *x, const gsl_vector *y, int columns, int *rank)
{
    size_t rows = x->size1;
    gsl_matrix *q = gsl_matrix_calloc(MOST_COLUMNS, rows);
    gsl_vector *left = gsl_vector_alloc(rows);
    double square = 0;
    *rank = 0;
    for (int c = 0; c <= columns; c++) { /* y is the last */
        if (c < columns) {
            gsl_matrix_get_col(left, x, (size_t)c);
        } else {
            gsl_vector_memcpy(left, y);
        }
        for (int k = 0; k < 2 * *rank; k++) {
            double along = 0;
            gsl_vector_view axis = gsl_matrix_row(q, (size_t)(k % *rank));
            gsl_blas_ddot(&axis.vector, left, &along);
            gsl_blas_daxpy(-along, &axis.vector, left);
        }
        double length = gsl_blas_dnrm2(left);
        if (c == columns) {
            square = length * length;
        } else if (length > 1e-9) {
            gsl_vector_scale(left, 1 / length);
            gsl_matrix_set_row(q, (size_t)(*rank)++, left);
        }
    }
    gsl_matrix_free(q);
    gsl_vector_free(left);
    return square;
}

/* Columns of the model up to and with each term, as many as given in `upto`; blocks that enter only. Rows are cells. */
struct written {
    int terms, upto[ANOVA_TERMS];
    gsl_matrix *x;
    gsl_vector *y;
};

static struct written write_out(struct study *study)
{
    const struct fraction *fraction = &study->design->fraction;
    int blocks = study->sizes * study->seeds, rows = 0, columns = 0;
    bool enters[64] = {false};
    for (int b = 0; b < blocks; b++) {
        int values = 0;
        for (int i = 0; i < SETTINGS; i++) {
            values += isfinite(*value_at(study, i, b / study->seeds, b % study->seeds));
        }
        enters[b] = 2 * values >= SETTINGS;
        rows += enters[b] ? values : 0;
    }
    struct written written = {.x = gsl_matrix_calloc((size_t)rows, MOST_COLUMNS),
                              .y = gsl_vector_calloc((size_t)rows)};
    for (int pass = 0; pass < 33; pass++) { /* −1: the mean; size, seed, 15 effects, 15 by size */
        int effect = pass < 3 ? -1 : (pass - 3) % 15, f = effect, g = effect;
        for (int n = 5, a = 0; effect >= 5 && a < 5; a++) {
            for (int b = a + 1; b < 5; b++, n++) {
                f = n == effect ? a : f;
                g = n == effect ? b : g;
            }
        }
        int groups = pass == 0 ? 1 : pass == 1 ? study->sizes : pass == 2 ? blocks : 1;
        groups = pass >= 18 ? study->sizes : groups;
        for (int group = 0; group < groups; group++) {
            int row = 0;
            for (int b = 0; b < blocks; b++) {
                for (int i = 0; i < SETTINGS && enters[b]; i++) {
                    double y = *value_at(study, i, b / study->seeds, b % study->seeds);
                    if (!isfinite(y)) {
                        continue;
                    }
                    bool here = pass == 2    ? b == group
                                : groups > 1 ? b / study->seeds == group
                                             : true;
                    double sign = effect < 0 ? 1 : fraction->sign[i][f];
                    sign *= effect < 5 ? 1 : (int)fraction->sign[i][g];
                    gsl_matrix_set(written.x, (size_t)row, (size_t)columns, here ? sign : 0);
                    gsl_vector_set(written.y, (size_t)row, y);
                    row++;
                }
            }
            columns++;
        }
        written.upto[written.terms++] = columns;
    }
    return written;
}

static void assert_near(double value, double expected, double scale)
{
    if (!(fabs(value - expected) <= 1e-9 * scale)) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

static void assert_least_squares(struct study *study)
{
    struct anova anova = anova_for(study);
    struct written written = write_out(study);
    int before = 0, rank = 0;
    double squares = fit(written.x, written.y, written.upto[0], &before), total = squares;
    assert_int_equal(anova.terms, 33);
    assert_int_equal(anova.cells, (int)written.y->size);
    for (int t = 0; t < 32; t++) {
        double left = fit(written.x, written.y, written.upto[t + 1], &rank);
        assert_near(anova.term[t].ss, squares - left, total);
        assert_int_equal(anova.term[t].df, rank - before);
        squares = left;
        before = rank;
    }
    const struct anova_term *residual = &anova.term[32];
    assert_int_equal(residual->kind, ANOVA_RESIDUAL);
    assert_near(residual->ss, squares, total);
    assert_int_equal(residual->df, anova.cells - rank);
    /* tests and sums by kind */
    const struct anova_term *kind = anova.kind;
    assert_near(kind[ANOVA_SIZE].F, anova.term[0].ms / anova.term[1].ms, kind[ANOVA_SIZE].F);
    double p = gsl_cdf_fdist_Q(anova.term[4].ss / (residual->ss / residual->df), 1, residual->df);
    assert_near(anova.term[4].p, p, 1);
    assert_true(isnan(residual->F) && isnan(anova.term[1].p));
    double sum = 0;
    for (int t = 0; t < anova.terms; t++) {
        sum += anova.term[t].kind == ANOVA_SIZE_PAIR ? anova.term[t].ss : 0;
    }
    assert_near(kind[ANOVA_SIZE_PAIR].ss, sum, sum);
    gsl_matrix_free(written.x);
    gsl_vector_free(written.y);
}

static void complete(void **state)
{
    (void)state;
    struct study study = open_study(3, 3);
    assert_least_squares(&study);
    struct anova anova = anova_for(&study);
    assert_int_equal(anova.missing, 0);
    assert_near(anova.per_seed, 16, 16);
    assert_int_equal(anova.kind[ANOVA_SEED].df, 6);
    assert_int_equal(anova.kind[ANOVA_SIZE_FACTOR].df, 10);
    assert_int_equal(anova.kind[ANOVA_RESIDUAL].df, 90);
    close_study(&study);
}

/* A whole block away: unequal seeds, still orthogonal. */
static void unequal_seeds(void **state)
{
    (void)state;
    struct study study = open_study(3, 3);
    for (int i = 0; i < SETTINGS; i++) {
        *value_at(&study, i, 1, 2) = NAN;
    }
    assert_least_squares(&study);
    close_study(&study);
}

static void missing_cells(void **state)
{
    (void)state;
    struct study study = open_study(3, 3);
    *value_at(&study, 0, 0, 0) = NAN;
    *value_at(&study, 5, 1, 2) = INFINITY;
    *value_at(&study, 7, 1, 2) = NAN;
    *value_at(&study, 15, 2, 1) = NAN;
    assert_least_squares(&study);
    struct anova anova = anova_for(&study);
    assert_int_equal(anova.missing, 4);
    assert_int_equal(anova.cells, 140);
    assert_int_equal(anova.kind[ANOVA_RESIDUAL].df, 86);
    /* the coefficient of nested data: (N − Σ cells²/cells of the size)/df */
    double squares = (15.0 * 15 + 2 * 256) / 47 + (14.0 * 14 + 2 * 256) / 46;
    assert_near(anova.per_seed, (140 - squares - (15.0 * 15 + 2 * 256) / 47) / 6, 16);
    close_study(&study);
}

/* All runs with a factor's other level lost at one size: its effects there have no degrees of freedom. */
static void level_lost_at_a_size(void **state)
{
    (void)state;
    struct study study = open_study(3, 3);
    for (int i = 0; i < SETTINGS; i++) {
        for (int k = 0; k < 3 && study.design->fraction.sign[i][1] > 0; k++) {
            *value_at(&study, i, 2, k) = NAN;
        }
    }
    assert_least_squares(&study);
    struct anova anova = anova_for(&study);
    assert_int_equal(anova.kind[ANOVA_SIZE_FACTOR].df, 9);
    close_study(&study);
}

/* A block with the base alone would add the recipes' effects to the seeds'. */
static void begun_block(void **state)
{
    (void)state;
    struct study study = open_study(2, 4);
    struct anova whole, begun;
    for (int i = 0; i < SETTINGS; i++) {
        *value_at(&study, i, 0, 3) = NAN;
    }
    whole = anova_for(&study);
    *value_at(&study, 0, 0, 3) = -6;
    begun = anova_for(&study);
    assert_int_equal(begun.blocks, 7);
    assert_int_equal(begun.blocks_left, 1);
    assert_int_equal(begun.missing, 0);
    assert_near(begun.kind[ANOVA_SEED].ss, whole.kind[ANOVA_SEED].ss, 1);
    close_study(&study);
}

static void without_errors(void **state)
{
    (void)state;
    struct study study = open_study(3, 1); /* one seed */
    struct anova anova = anova_for(&study);
    assert_int_equal(anova.kind[ANOVA_SEED].df, 0);
    assert_int_equal(anova.kind[ANOVA_RESIDUAL].df, 0);
    assert_true(isnan(anova.kind[ANOVA_SIZE].F) && isnan(anova.term[2].p));
    assert_true(anova.kind[ANOVA_SIZE].ss > 0);
    close_study(&study);
    study = open_study(1, 3); /* one size */
    anova = anova_for(&study);
    assert_int_equal(anova.kind[ANOVA_SIZE].df, 0);
    assert_true(isnan(anova.kind[ANOVA_SIZE].F) && anova.term[2].F > 0);
    for (int i = 0; i < study.table->cells; i++) {
        study.y[i] = NAN;
    }
    anova = anova_for(&study);
    assert_int_equal(anova.terms, 0);
    assert_true(isnan(anova.mean));
    close_study(&study);
}

static void names(void **state)
{
    (void)state;
    struct study study = open_study(2, 2);
    struct anova anova = anova_for(&study);
    static const struct {
        int term;
        const char *name;
    } expected[] = {{0, "size"},
                    {1, "seed within size"},
                    {2, "total decay"},
                    {8, "total decay × clip"},
                    {18, "size × dropout"},
                    {23, "size × total decay × clip"},
                    {32, "residual"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        char text[96];
        anova_name(study.design, &anova.term[expected[i].term], text);
        assert_string_equal(text, expected[i].name);
    }
    close_study(&study);
}

/* 4 sizes × 16 seeds × 16 settings with a cell missing, and 20,000 cells: the test's time limit is the measure. */
static void large(void **state)
{
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        struct study study = open_study(4, pass == 0 ? 16 : 312);
        *value_at(&study, 3, 2, 5) = NAN;
        struct anova anova = anova_for(&study);
        assert_int_equal(anova.missing, 1);
        assert_int_equal(anova.kind[ANOVA_SIZE_PAIR].df, 30);
        close_study(&study);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete),      cmocka_unit_test(unequal_seeds),
        cmocka_unit_test(missing_cells), cmocka_unit_test(level_lost_at_a_size),
        cmocka_unit_test(begun_block),   cmocka_unit_test(without_errors),
        cmocka_unit_test(names),         cmocka_unit_test(large),
    };
    return cmocka_run_group_tests_name("results_anova", tests, NULL, NULL);
}
