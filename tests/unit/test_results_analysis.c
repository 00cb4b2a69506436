/* The whole analysis: which effects are confirmatory and which explored, and what the headline says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/analysis.h"
#include "tests/unit/design_fixture.h"

enum { SIZES = 2, SEEDS = 3, SETTINGS = 17 }; /* the fraction and dropout 0.4 */

/* log KL: the rate moves it, most at the larger size; noise within blocks. */
static struct table *study(void)
{
    struct table *table = fixture_half_fraction(SIZES, SEEDS, 1);
    struct fixture_recipe star = FIXTURE_BASE;
    star.dropout = 0.4;
    fixture_recipe(table, SIZES, SETTINGS, SEEDS, 16, star);
    for (int i = 0; i < table->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        const int size = i / SEEDS / SETTINGS;
        const bool low = cell->learning_rate < 0.009 / (1 + size);
        fixture_set(table, i, 0, 0, 2, exp(-9 - (low ? 0.4 : 0) + 0.02 * sin(12.3 * i)), 1e-4);
    }
    return table;
}

static struct analysis *analyse(const struct table *table)
{
    struct error err = {0};
    struct analysis *analysis = NULL;
    assert_int_equal(analysis_open(&err, table, NULL, &analysis), STATUS_OK);
    return analysis;
}

/* Of the primary quantizer, factors with a claim are tested there and nowhere else. */
static void what_is_explored(void **state)
{
    (void)state;
    struct table *table = study();
    struct analysis *analysis = analyse(table);
    assert_int_equal(analysis->exploratories, 2);
    const struct exploratory *rate = &analysis->exploratory[0], *star = &analysis->exploratory[1];
    assert_non_null(strstr(rate->contrast, "learning rate"));
    assert_true(fabs(rate->effect.interval.estimate + 0.4) < 0.02);
    assert_true(rate->effect.p < 0.001);
    assert_true(fabs(rate->holm - 2 * rate->effect.p) < 1e-12); /* the smaller of two */
    assert_true(star->effect.blocks == SIZES * SEEDS && star->holm >= star->effect.p);
    assert_int_equal(rate->matched.blocks, 0); /* no ladder */
    assert_true(isnan(rate->matched.interval.estimate) && isnan(rate->matched_holm));
    assert_true(analysis->claims.alpha == ANALYSIS_ALPHA);
    assert_true(isfinite(analysis->claims.claim[H1].effect.p));
    assert_true(analysis->has_shares);
    assert_true(analysis->shares.share[SHARE_OPTIMIZATION].estimate > 0.9);
    analysis_free(analysis);
    table_free(table);
}

/* The rate's effect is all one of the loss; dropout's own is left, at 0.4 of the size within the ladder. */
static void what_is_left_at_equal_loss(void **state)
{
    (void)state;
    struct table *table = fixture_equal_loss(SIZES, SEEDS, 0);
    struct analysis *analysis = analyse(table);
    assert_int_equal(analysis->exploratories, 2);
    const struct exploratory *rate = &analysis->exploratory[0], *star = &analysis->exploratory[1];
    assert_true(fabs(rate->effect.interval.estimate + 0.2) < 0.02);
    assert_int_equal(rate->matched.blocks, SIZES * SEEDS);
    assert_true(fabs(rate->matched.interval.estimate) < 1e-9);
    assert_int_equal(star->effect.blocks, SIZES * SEEDS);
    assert_int_equal(star->matched.blocks, SEEDS);
    assert_true(fabs(star->matched.interval.estimate + 0.3) < 1e-9);
    assert_true(star->matched_holm < 1e-6);
    /* Beside KL, the claims on Δloss: 10⁻⁵ of dropout 0.1, nothing of the others. */
    assert_true(fabs(analysis->delta_loss[H2].interval.estimate - 1e-5) < 1e-12);
    assert_true(fabs(analysis->delta_loss[H1].interval.estimate) < 1e-12);
    assert_true(isnan(analysis->delta_loss[H5].interval.estimate)); /* no diagonal */
    analysis_free(analysis);
    table_free(table);
}

static void the_headline(void **state)
{
    (void)state;
    char text[1024];
    struct table *table = study();
    struct analysis *analysis = analyse(table);
    analysis_headline(analysis, text);
    assert_ptr_equal(strstr(text, "Optimization choices explain more"), text);
    const struct interval *less = &analysis->shares.optimization_less_scale;
    char points[96];
    snprintf(points, sizeof points, ", by %.0f percentage points [%.0f, %.0f]. Of the variance",
             100 * less->estimate, 100 * less->low, 100 * less->high);
    assert_non_null(strstr(text, points));

    analysis->shares.optimization_less_scale = (struct interval){-0.21, -0.33, -0.08, 6};
    analysis_headline(analysis, text);
    snprintf(points, sizeof points,
             "than optimization choices do, by 21 percentage points [8, 33]. Of the variance");
    assert_non_null(strstr(text, points));
    analysis->shares.optimization_less_scale = (struct interval){-0.04, -0.13, 0.06, 6};
    analysis_headline(analysis, text);
    snprintf(points, sizeof points,
             "is not decided here (optimization less scale: \xe2\x88\x92"
             "4 percentage points [\xe2\x88\x92"
             "13, 6]).");
    assert_non_null(strstr(text, points));
    assert_non_null(strstr(text, "Of 6 tests of the paper's claims 1 to 5")); /* no ladder, no 5 */
    analysis_free(analysis);

    table->cell[0].status = CELL_PENDING;
    analysis = analyse(table);
    analysis_headline(analysis, text);
    assert_ptr_equal(strstr(text, "Not finished: 1 of 102 cells are to come."), text);
    analysis_free(analysis);

    for (int i = 0; i < table->cells; i++) {
        table->cell[i].status = i < table->cells / 2 ? CELL_DONE : CELL_PENDING; /* one size */
    }
    analysis = analyse(table);
    assert_false(analysis->has_shares);
    analysis_headline(analysis, text);
    assert_non_null(strstr(text, "No shares of the variance"));
    analysis_free(analysis);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_explored),
        cmocka_unit_test(what_is_left_at_equal_loss),
        cmocka_unit_test(the_headline),
    };
    return cmocka_run_group_tests_name("results_analysis", tests, NULL, NULL);
}
