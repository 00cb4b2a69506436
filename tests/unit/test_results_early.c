/* results/early and results/rank: C6, and Spearman's correlation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/early.h"
#include "tests/unit/analysis_fixture.h"

enum { SIZES = 2, RECIPES_OF_TEST = 12, SEEDS = 3, CHECKPOINTS = 4, DRAWS = 200 };

/* ── Ranks ── */

/* Expected values: scipy.stats.spearmanr of the same numbers. */
static void test_spearman(void **state)
{
    (void)state;
    double scratch[16];
    const double x[] = {3, 1, 4, 1, 5, 9, 2, 6}, y[] = {2, 7, 1, 8, 2, 8, 1, 8};
    assert_near(spearman(x, y, 8, scratch), 0.19885368120992467, 1e-12);
    assert_near(spearman(x, x, 8, scratch), 1, 0);
    const double up[] = {1, 2, 3, 4, 5}, down[] = {9, 7, 5, 3, -1}, swap[] = {1, 3, 2, 4, 5};
    assert_near(spearman(up, down, 5, scratch), -1, 0);
    assert_near(spearman(up, swap, 5, scratch), 0.9, 1e-15);
    const double flat[] = {2, 2, 2, 2, 2};
    assert_true(isnan(spearman(up, flat, 5, scratch)));
    assert_true(isnan(spearman(up, down, 1, scratch)));
}

static void test_rank(void **state)
{
    (void)state;
    const double ascending[] = {-1, 2, 2, 2, 5, INFINITY, INFINITY};
    assert_near(rank_of(ascending, 7, -1), 1, 0);
    assert_near(rank_of(ascending, 7, 2), 3, 0);
    assert_near(rank_of(ascending, 7, 5), 5, 0);
    assert_near(rank_of(ascending, 7, INFINITY), 6.5, 0);
}

/* ── Early checkpoints ── */

static struct table *recipes_table(int sizes, int recipes, int seeds, int checkpoints)
{
    struct table *table = fixture_table(sizes, recipes, seeds, checkpoints, 1);
    for (int i = 0; i < recipes; i++) {
        struct fixture_recipe recipe = FIXTURE_BASE;
        recipe.dropout = 0.01 * i;
        fixture_recipe(table, sizes, recipes, seeds, i, recipe);
    }
    return table;
}

/* log KL of a cell and checkpoint. */
static void set(struct fixture_study *study, int cell, int checkpoint, double log_kl)
{
    fixture_set(study->table, cell, checkpoint, 0, 3, exp(log_kl), 0.1);
}

static double get(const struct fixture_study *study, int cell, int checkpoint)
{
    return effects_value(study->effects, cell, RESPONSE_LOG_KL, 0, checkpoint);
}

/* Recipes differ by their number; what shows of that at checkpoint t is signal[t], the rest
 * noise. */
static void plant(struct fixture_study *study, const double *signal)
{
    const struct table *table = study->table;
    for (int i = 0; i < table->cells; i++) {
        for (int t = 0; t < table->checkpoints; t++) {
            set(study, i, t,
                -5 + signal[t] * study->effects->setting_of[i] + fixture_normal(study, 1));
        }
    }
}

static struct early look(struct fixture_study *study, int draws)
{
    struct early early;
    assert_int_equal(early_of(&study->err, study->design, 0, draws, &early), STATUS_OK);
    return early;
}

/* The estimate, by spearman() on values picked cell by cell. */
static double by_hand(const struct fixture_study *study, int recipes, int sizes, int seeds, int t)
{
    double sum = 0;
    for (int s = 0; s < sizes; s++) {
        for (int k = 0; k < seeds; k++) {
            double x[64], y[64], scratch[128];
            for (int i = 0; i < recipes; i++) {
                x[i] = get(study, fixture_cell(study, i, s, k), t);
                y[i] = 0;
                for (int other = 0; other < seeds; other++) {
                    if (other != k) {
                        y[i] += get(study, fixture_cell(study, i, s, other),
                                    study->table->checkpoints - 1);
                    }
                }
            }
            double n = recipes, most = 1 - 6 / (n * (n * n - 1));
            sum += atanh(fmax(-most, fmin(most, spearman(x, y, recipes, scratch))));
        }
    }
    return tanh(sum / (sizes * seeds));
}

static void test_estimate(void **state)
{
    (void)state;
    struct fixture_study *study =
        fixture_open(recipes_table(SIZES, RECIPES_OF_TEST, SEEDS, CHECKPOINTS));
    const double signal[] = {0.05, 0.2, 0.4, 0.5};
    plant(study, signal);
    struct early early = look(study, DRAWS);
    assert_true(early.known);
    assert_int_equal(early.recipes, RECIPES_OF_TEST);
    assert_int_equal(early.sizes, SIZES);
    assert_int_equal(early.seeds, SEEDS);
    assert_int_equal(early.points, CHECKPOINTS);
    for (int t = 0; t < CHECKPOINTS; t++) {
        const struct interval *rho = &early.point[t].rho;
        assert_near(early.point[t].fraction, (t + 1.0) / CHECKPOINTS, 1e-15);
        assert_near(rho->estimate, by_hand(study, RECIPES_OF_TEST, SIZES, SEEDS, t), 1e-12);
        assert_true(rho->low <= rho->estimate && rho->estimate <= rho->high);
        assert_true(rho->low < rho->high);
    }
    struct early again = look(study, DRAWS);
    assert_memory_equal(&early, &again, sizeof early);
    fixture_close(study);
}

static void test_supported(void **state)
{
    (void)state;
    struct fixture_study *study =
        fixture_open(recipes_table(SIZES, RECIPES_OF_TEST, SEEDS, CHECKPOINTS));
    const double early_signal[] = {2, 2, 2, 2}, late_signal[] = {0, 2, 2, 2};
    plant(study, early_signal);
    struct early early = look(study, DRAWS);
    assert_true(early.supported);
    assert_true(early.point[0].rho.low > 0.5);
    plant(study, late_signal); /* at half of the run it is too late */
    early = look(study, DRAWS);
    assert_true(early.point[1].rho.low > 0.5);
    assert_false(early.supported);
    fixture_close(study);
}

/* Recipes in the same order everywhere: a finite z, and the ceiling that so few recipes allow. */
static void test_perfect(void **state)
{
    (void)state;
    struct fixture_study *study = fixture_open(recipes_table(1, 6, 2, 2));
    for (int i = 0; i < study->table->cells; i++) {
        set(study, i, 0, study->effects->setting_of[i]);
        set(study, i, 1, 2 * study->effects->setting_of[i]);
    }
    struct early early = look(study, 50);
    assert_near(early.point[0].rho.estimate, 1 - 6.0 / (6 * 35), 1e-12);
    assert_near(early.point[1].rho.high, 1 - 6.0 / (6 * 35), 1e-12);
    fixture_close(study);
}

/* Ties: ranks within a resample are average ranks, as spearman's of the same resample. */
static void test_ties(void **state)
{
    (void)state;
    struct fixture_study *study = fixture_open(recipes_table(1, 8, 2, 2));
    static const double x[2][8] = {{1, 1, 2, 2, 3, 3, 3, 4}, {2, 1, 1, 2, 3, 4, 4, 3}};
    static const double y[2][8] = {{1, 2, 2, 2, 4, 3, 3, 4}, {1, 1, 1, 2, 2, 4, 5, 3}};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 8; i++) {
            set(study, fixture_cell(study, i, 0, k), 0, x[k][i]);
            set(study, fixture_cell(study, i, 0, k), 1, y[k][i]);
        }
    }
    struct early early = look(study, 50);
    assert_near(early.point[0].rho.estimate, by_hand(study, 8, 1, 2, 0), 1e-12);
    assert_near(early.point[1].rho.estimate, by_hand(study, 8, 1, 2, 1), 1e-12);
    fixture_close(study);
}

/* Recipes with other numbers of tokens, and those that a seed lacks, do not enter; a quantizer
 * without early checkpoints has its ceiling alone. */
static void test_which_recipes(void **state)
{
    (void)state;
    struct table *table = recipes_table(2, 10, 3, 3);
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < 3; k++) {
            table->cell[(s * 10 + 9) * 3 + k].tokens = 1e6;
        }
    }
    struct fixture_study *study = fixture_open(table);
    const double signal[] = {1, 1, 1};
    plant(study, signal);
    study->table->cell[fixture_cell(study, 4, 0, 1)].status = CELL_DIVERGED;
    struct early early = look(study, 50);
    assert_int_equal(early.recipes, 9);
    assert_int_equal(early.points, 3);
    for (int i = 0; i < table->cells; i++) {
        if (study->effects->size_of[i] == 1) { /* the other size has not begun */
            table->cell[i].status = CELL_PENDING;
        }
        table->kl[i * 3] = table->kl[i * 3 + 1] = NAN;
    }
    early = look(study, 50);
    assert_int_equal(early.recipes, 8);
    assert_int_equal(early.sizes, 1);
    assert_int_equal(early.points, 1);
    assert_near(early.point[0].fraction, 1, 0);
    assert_false(early.supported);
    fixture_close(study);
}

/* A block that has just begun does not take the recipes away. */
static void test_block_that_has_begun(void **state)
{
    (void)state;
    struct fixture_study *study = fixture_open(recipes_table(1, 10, 4, 2));
    const double signal[] = {1, 1};
    plant(study, signal);
    for (int i = 0; i < 10; i++) {
        study->table->cell[fixture_cell(study, i, 0, 3)].status = i < 4 ? CELL_DONE : CELL_RUNNING;
    }
    struct early early = look(study, 50);
    assert_int_equal(early.recipes, 10);
    assert_int_equal(early.seeds, 3);
    fixture_close(study);
}

static void test_unknown(void **state)
{
    (void)state;
    struct fixture_study *study = fixture_open(recipes_table(2, 4, 3, 2));
    const double signal[] = {1, 1};
    plant(study, signal);
    assert_false(look(study, 50).known); /* four recipes */
    fixture_close(study);
    study = fixture_open(recipes_table(2, 9, 1, 2));
    plant(study, signal);
    assert_false(look(study, 50).known); /* one seed */
    fixture_close(study);
}

/* 20,000 cells. */
static void test_large(void **state)
{
    (void)state;
    struct fixture_study *study = fixture_open(recipes_table(4, 500, 10, 6));
    const double signal[] = {0.001, 0.002, 0.004, 0.006, 0.01, 0.01};
    plant(study, signal);
    struct early early = look(study, 20);
    assert_int_equal(early.recipes, 500);
    for (int t = 1; t < 6; t++) {
        assert_true(early.point[t].rho.estimate > early.point[t - 1].rho.estimate - 0.02);
    }
    fixture_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spearman),      cmocka_unit_test(test_rank),
        cmocka_unit_test(test_estimate),      cmocka_unit_test(test_supported),
        cmocka_unit_test(test_perfect),       cmocka_unit_test(test_ties),
        cmocka_unit_test(test_which_recipes), cmocka_unit_test(test_block_that_has_begun),
        cmocka_unit_test(test_unknown),       cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
