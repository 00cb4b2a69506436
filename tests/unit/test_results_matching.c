/* results/matching: interpolation on the ladder, and the three slopes of scale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/matching.h"
#include "tests/unit/analysis_fixture.h"

/* base (2 M), 0.5 M, 1 M, 4 M and, as setting 4, dropout 0.1; y and loss are NaN. */
static struct fixture_study *ladder_study(int sizes, int seeds, int rungs)
{
    static const double tokens[] = {2e6, 5e5, 1e6, 4e6, 8e6};
    struct table *table = fixture_table(sizes, rungs + 1, seeds, 1, 1);
    for (int i = 0; i < rungs; i++) {
        struct fixture_recipe recipe = FIXTURE_BASE;
        recipe.tokens = tokens[i];
        fixture_recipe(table, sizes, rungs + 1, seeds, i, recipe);
    }
    struct fixture_recipe dropout = FIXTURE_BASE;
    dropout.dropout = 0.1;
    fixture_recipe(table, sizes, rungs + 1, seeds, rungs, dropout);
    return fixture_open(table);
}

static void set(struct fixture_study *study, int setting, int size, int seed, double loss, double y)
{
    int cell = fixture_cell(study, setting, size, seed);
    study->loss[cell] = loss;
    study->y[cell] = y;
}

static double residual(const struct fixture_study *study, const double *out, int setting, int size,
                       int seed)
{
    return out[fixture_cell(study, setting, size, seed)];
}

/* ── Residuals ── */

static void test_interpolates_within_seed(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(1, 2, 4);
    for (int k = 0; k < 2; k++) {
        set(study, 1, 0, k, 3.0, 1.0 + k);
        set(study, 2, 0, k, 2.0, 2.0 + k);
        set(study, 0, 0, k, 1.5, 4.0 + k);
        set(study, 3, 0, k, 1.0, 8.0 + k);
    }
    set(study, 4, 0, 0, 1.75, 10); /* halfway between 2 and 4 */
    set(study, 4, 0, 1, 2.25, 10); /* a quarter from 3 towards 2 */
    double out[10];
    int outside = -1;
    assert_int_equal(
        matching_residuals(&study->err, study->design, study->y, study->loss, out, &outside),
        STATUS_OK);
    assert_int_equal(outside, 0);
    assert_near(residual(study, out, 4, 0, 0), 10 - 3.0, 1e-12);
    assert_near(residual(study, out, 4, 0, 1), 10 - 2.75, 1e-12);
    for (int i = 0; i < 4; i++) {
        assert_near(residual(study, out, i, 0, 1), 0, 1e-12);
    }
    fixture_close(study);
}

static void test_nothing_beyond_the_ladder(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(2, 2, 4);
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < 4; i++) {
                set(study, i, s, k, 3 - 0.5 * i, i);
            }
        }
    }
    set(study, 4, 0, 0, 3.0001, 0);
    set(study, 4, 0, 1, 1.4999, 0);
    set(study, 4, 1, 0, 1.5, 7);
    /* the fourth has not finished */
    double out[20];
    int outside = -1;
    assert_int_equal(
        matching_residuals(&study->err, study->design, study->y, study->loss, out, &outside),
        STATUS_OK);
    assert_int_equal(outside, 2);
    assert_true(isnan(residual(study, out, 4, 0, 0)));
    assert_true(isnan(residual(study, out, 4, 0, 1)));
    assert_near(residual(study, out, 4, 1, 0), 7 - 3, 1e-12);
    assert_true(isnan(residual(study, out, 4, 1, 1)));
    fixture_close(study);
}

/* A seed without the whole ladder takes the mean of those with it, not of those with a part. */
static void test_means_where_rungs_lack(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(1, 4, 4);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 4; i++) {
            set(study, i, 0, k, 3 - 0.5 * i, i + 2 * k);
        }
    }
    set(study, 0, 0, 2, 2.9, 50); /* the third seed has the base alone */
    set(study, 4, 0, 2, 2.75, 6);
    double out[20];
    int outside = -1;
    assert_int_equal(
        matching_residuals(&study->err, study->design, study->y, study->loss, out, &outside),
        STATUS_OK);
    assert_int_equal(outside, 0);
    assert_near(residual(study, out, 4, 0, 2), 6 - 1.5, 1e-12);
    assert_near(residual(study, out, 0, 0, 2), 50 - 1.2, 1e-12);
    fixture_close(study);
}

/* Two rungs of the same loss: no division by zero. */
static void test_equal_losses(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(1, 1, 2);
    set(study, 0, 0, 0, 2, 1);
    set(study, 1, 0, 0, 2, 2);
    set(study, 2, 0, 0, 2, 5);
    double out[3];
    int outside = -1;
    assert_int_equal(
        matching_residuals(&study->err, study->design, study->y, study->loss, out, &outside),
        STATUS_OK);
    assert_near(residual(study, out, 2, 0, 0), 5 - 1.5, 1e-12);
    fixture_close(study);
}

/* A size with one rung has no ladder. */
static void test_one_rung(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(1, 1, 4);
    set(study, 0, 0, 0, 2, 1);
    set(study, 4, 0, 0, 2, 1);
    double out[5];
    int outside = -1;
    assert_int_equal(
        matching_residuals(&study->err, study->design, study->y, study->loss, out, &outside),
        STATUS_OK);
    assert_int_equal(outside, 2);
    assert_true(isnan(residual(study, out, 4, 0, 0)));
    fixture_close(study);
}

/* ── Slopes ── */

static const double B = 0.3, C = -0.4, B_LOSS = -0.5, C_LOSS = -0.2;

/* A plane with noise: of a block, of its slope on tokens, and of a run. */
static void plant(struct fixture_study *study, int sizes, int seeds, int rungs, double noise,
                  double bend)
{
    for (int s = 0; s < sizes; s++) {
        for (int k = 0; k < seeds; k++) {
            double block = fixture_normal(study, noise), slope = fixture_normal(study, noise / 3);
            double block_loss = 0.5 * block + fixture_normal(study, noise / 4);
            for (int i = 0; i < rungs; i++) {
                int cell = fixture_cell(study, i, s, k);
                double n = log10(study->effects->size[s].parameters);
                double d = log10(study->table->cell[cell].tokens) - 6;
                study->y[cell] = 1 + B * n + C * d + bend * d * d + block + slope * d +
                                 fixture_normal(study, noise / 2);
                study->loss[cell] =
                    5 + B_LOSS * n + C_LOSS * d + block_loss + fixture_normal(study, noise / 8);
            }
        }
    }
}

static void test_exact_plane(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(3, 2, 4);
    plant(study, 3, 2, 4, 0, 0);
    struct scale_slopes slopes;
    assert_int_equal(
        matching_slopes(&study->err, study->design, study->y, study->loss, 0.05, &slopes),
        STATUS_OK);
    assert_true(slopes.known);
    assert_int_equal(slopes.cells, 24);
    assert_int_equal(slopes.sizes, 3);
    assert_near(slopes.tokens.estimate, B, 1e-9);
    assert_near(slopes.per_parameter.estimate, B + C, 1e-9);
    assert_near(slopes.loss.estimate, B - C * B_LOSS / C_LOSS, 1e-9);
    assert_near(slopes.per_decade_of_tokens, C, 1e-9);
    assert_int_equal(slopes.tokens.df, 3);
    fixture_close(study);
}

/* In a balanced ladder b is a contrast of block means, so its interval is that of contrast_slope
 * on them. */
static void test_equals_slope_of_block_means(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(4, 3, 4);
    plant(study, 4, 3, 4, 0.1, 0);
    struct scale_slopes slopes;
    assert_int_equal(
        matching_slopes(&study->err, study->design, study->y, study->loss, 0.01, &slopes),
        STATUS_OK);
    double means[60];
    int base[4] = {0, 0, 0, 0};
    for (int s = 0; s < 4; s++) {
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int i = 0; i < 4; i++) {
                sum += study->y[fixture_cell(study, i, s, k)];
            }
            means[fixture_cell(study, 0, s, k)] = sum / 4;
        }
    }
    struct contrast expected = contrast_slope(study->design, means, base, 0.01);
    assert_near(slopes.tokens.estimate, expected.interval.estimate, 1e-9);
    assert_near(slopes.tokens.low, expected.interval.low, 1e-9);
    assert_near(slopes.tokens.high, expected.interval.high, 1e-9);
    assert_int_equal(slopes.tokens.df, expected.interval.df);
    fixture_close(study);
}

/* A missing run and a block with the base alone: the plane is still the plane. */
static void test_gaps(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(3, 3, 4);
    plant(study, 3, 3, 4, 0, 0);
    study->y[fixture_cell(study, 3, 1, 1)] = NAN;
    for (int i = 1; i < 4; i++) {
        study->y[fixture_cell(study, i, 2, 2)] = NAN;
    }
    struct scale_slopes slopes;
    assert_int_equal(
        matching_slopes(&study->err, study->design, study->y, study->loss, 0.05, &slopes),
        STATUS_OK);
    assert_int_equal(slopes.cells, 3 * 3 * 4 - 1 - 4);
    assert_int_equal(slopes.tokens.df, 2 + 2 + 1);
    assert_near(slopes.tokens.estimate, B, 1e-9);
    assert_near(slopes.loss.estimate, B - C * B_LOSS / C_LOSS, 1e-9);
    fixture_close(study);
}

static void test_without_a_ladder(void **state)
{
    (void)state;
    struct fixture_study *study = ladder_study(3, 2, 1);
    plant(study, 3, 2, 1, 0.1, 0);
    struct scale_slopes slopes;
    assert_int_equal(
        matching_slopes(&study->err, study->design, study->y, study->loss, 0.05, &slopes),
        STATUS_OK);
    assert_false(slopes.known);
    int base[3] = {0, 0, 0};
    struct contrast expected = contrast_slope(study->design, study->y, base, 0.05);
    assert_near(slopes.tokens.estimate, expected.interval.estimate, 1e-12);
    assert_near(slopes.tokens.high, expected.interval.high, 1e-12);
    assert_true(isnan(slopes.per_parameter.estimate));
    assert_true(isnan(slopes.loss.estimate));
    fixture_close(study);
}

static bool covers(const struct interval *interval, double truth)
{
    return interval->low <= truth && truth <= interval->high;
}

/* 95 % intervals cover, and the test of curvature keeps its level and finds a bend. */
static void test_coverage(void **state)
{
    (void)state;
    enum { STUDIES = 2000, SIZES = 4, SEEDS = 4, RUNGS = 5 };
    struct fixture_study *study = ladder_study(SIZES, SEEDS, RUNGS);
    int tokens = 0, per_parameter = 0, loss = 0, bent = 0, found = 0;
    for (int i = 0; i < STUDIES; i++) {
        struct scale_slopes slopes;
        plant(study, SIZES, SEEDS, RUNGS, 0.1, 0);
        assert_int_equal(
            matching_slopes(&study->err, study->design, study->y, study->loss, 0.05, &slopes),
            STATUS_OK);
        tokens += covers(&slopes.tokens, B);
        per_parameter += covers(&slopes.per_parameter, B + C);
        loss += covers(&slopes.loss, B - C * B_LOSS / C_LOSS);
        bent += slopes.curvature_p < 0.05;
        if (i % 20 == 0) {
            plant(study, SIZES, SEEDS, RUNGS, 0.1, 0.4);
            assert_int_equal(
                matching_slopes(&study->err, study->design, study->y, study->loss, 0.05, &slopes),
                STATUS_OK);
            found += slopes.curvature_p < 0.05;
        }
    }
    print_message("cover: tokens %.3f, per parameter %.3f, loss %.3f; curvature %.3f, found %.2f\n",
                  (double)tokens / STUDIES, (double)per_parameter / STUDIES, (double)loss / STUDIES,
                  (double)bent / STUDIES, found / (STUDIES / 20.0));
    const int counts[] = {tokens, per_parameter, loss};
    for (int i = 0; i < 3; i++) {
        assert_in_range(counts[i], 0.93 * STUDIES, 0.97 * STUDIES);
    }
    assert_in_range(bent, 0.03 * STUDIES, 0.07 * STUDIES);
    assert_true(found > 0.9 * STUDIES / 20);
    fixture_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interpolates_within_seed),
        cmocka_unit_test(test_nothing_beyond_the_ladder),
        cmocka_unit_test(test_means_where_rungs_lack),
        cmocka_unit_test(test_equal_losses),
        cmocka_unit_test(test_one_rung),
        cmocka_unit_test(test_exact_plane),
        cmocka_unit_test(test_equals_slope_of_block_means),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_without_a_ladder),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
