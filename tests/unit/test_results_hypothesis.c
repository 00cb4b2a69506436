/* results/hypothesis: the verdict of an interval, and the pairs that a claim compares without a
 * balanced design. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/claims.h"
#include "tests/unit/analysis_fixture.h"

static const double ALPHA = 0.05 / 7;

static void judge(struct fixture_study *study, struct claims *claims)
{
    assert_int_equal(claims_of(&study->err, study->design, study->y, study->loss, ALPHA, claims),
                     STATUS_OK);
}

/* ── Verdicts of an interval ── */

static void test_verdict_of(void **state)
{
    (void)state;
    const double d = 0.05;
    const struct {
        double low, high;
        enum verdict recipe, scale;
    } rows[] = {
        {0.01, 0.2, VERDICT_SUPPORTED, VERDICT_UNDECIDED},
        {0.01, 0.04, VERDICT_SUPPORTED, VERDICT_SUPPORTED},
        {0.06, 0.2, VERDICT_SUPPORTED, VERDICT_CONTRADICTED},
        {-0.1, -0.01, VERDICT_OPPOSITE, VERDICT_SUPPORTED},
        {-0.1, 0.04, VERDICT_NEGLIGIBLE, VERDICT_SUPPORTED},
        {-0.1, 0.05, VERDICT_UNDECIDED, VERDICT_UNDECIDED},
        {0, 0.06, VERDICT_UNDECIDED, VERDICT_UNDECIDED},
        {NAN, NAN, VERDICT_UNDECIDED, VERDICT_UNDECIDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct interval interval = {0, rows[i].low, rows[i].high, 3};
        for (int h = 0; h < HYPOTHESES; h++) {
            assert_int_equal(verdict_of((enum hypothesis)h, &interval, d),
                             h == H5 ? rows[i].scale : rows[i].recipe);
        }
    }
    assert_near(hypothesis_delta(H3B), log(1.05), 1e-15);
    assert_near(hypothesis_delta(H5), log(1.25), 1e-15);
}

/* ── Pairs against the base ── */

struct level {
    enum recipe recipe;
    double value;
};

static struct fixture_study *pairs_study(const struct level *levels, int count,
                                         struct fixture_recipe base)
{
    struct table *table = fixture_table(2, count + 1, 3, 1, 1);
    fixture_recipe(table, 2, count + 1, 3, 0, base);
    for (int i = 0; i < count; i++) {
        struct fixture_recipe recipe = base;
        switch (levels[i].recipe) {
        case RECIPE_DECAY:
            recipe.total_decay = levels[i].value;
            break;
        case RECIPE_DROPOUT:
            recipe.dropout = levels[i].value;
            break;
        case RECIPE_CLIP:
            recipe.grad_clip = levels[i].value;
            break;
        case RECIPE_PRECISION:
            recipe.precision = (int)levels[i].value;
            break;
        default:
            fail();
        }
        fixture_recipe(table, 2, count + 1, 3, i + 1, recipe);
    }
    struct fixture_study *study = fixture_open(table);
    for (int i = 0; i < table->cells; i++) {
        study->y[i] = study->effects->setting_of[i] + fixture_normal(study, 1e-6);
        study->loss[i] = 3;
    }
    return study;
}

static void expect_pair(const struct claims *claims, enum hypothesis hypothesis, const char *text,
                        double estimate)
{
    assert_string_equal(claims->claim[hypothesis].contrast, text);
    assert_near(claims->claim[hypothesis].effect.interval.estimate, estimate, 1e-5);
}

static void test_pairs_prefer_named_levels(void **state)
{
    (void)state;
    const struct level levels[] = {
        {RECIPE_DECAY, 0.05},
        {RECIPE_DECAY, 0.0005},
        {RECIPE_DECAY, 0.005},
        {RECIPE_DROPOUT, 0.8},
        {RECIPE_DROPOUT, 0.1},
        {RECIPE_CLIP, 0.25},
        {RECIPE_CLIP, 0},
        {RECIPE_CLIP, 10},
        {RECIPE_PRECISION, PRECISION_FP32},
        {RECIPE_PRECISION, PRECISION_FP16},
    };
    struct fixture_study *study =
        pairs_study(levels, sizeof levels / sizeof *levels, (struct fixture_recipe)FIXTURE_BASE);
    struct claims claims;
    judge(study, &claims);
    assert_false(claims.from_fraction);
    expect_pair(&claims, H1, "total decay 0.005 − 0.5", 3);
    expect_pair(&claims, H2, "dropout 0.1 − 0", 5);
    expect_pair(&claims, H3A, "clip none − 1", 7);
    expect_pair(&claims, H4A, "precision fp16 − bf16", 10);
    assert_int_equal(claims.claim[H3B].verdict, VERDICT_NOT_ASKED);
    assert_int_equal(claims.claim[H4B].verdict, VERDICT_NOT_ASKED);
    assert_string_equal(claims.claim[H3B].reason,
                        "needs a balanced design with clip and total decay");
    assert_int_equal(claims.claim[H5].verdict, VERDICT_NOT_ASKED);
    assert_string_equal(claims.claim[H5].reason,
                        "the base's sizes were not trained on equal tokens per parameter");
    assert_false(claims.slopes.known);
    assert_false(isnan(claims.slopes.tokens.estimate));
    fixture_close(study);
}

/* Levels that METHOD does not name: the farthest in the claimed direction; else against it. */
static void test_pairs_of_other_levels(void **state)
{
    (void)state;
    const struct level levels[] = {
        {RECIPE_DECAY, 50},
        {RECIPE_DECAY, 0.3},
        {RECIPE_DECAY, 0.03},
        {RECIPE_DECAY, 0.1},
        {RECIPE_DROPOUT, 0.05},
        {RECIPE_DROPOUT, 0.15},
        {RECIPE_CLIP, 0.5},
        {RECIPE_CLIP, 0.25},
        {RECIPE_PRECISION, PRECISION_FP16},
        {RECIPE_PRECISION, PRECISION_BF16},
    };
    struct fixture_recipe base = FIXTURE_BASE;
    base.dropout = 0.2;
    base.grad_clip = 2;
    base.precision = PRECISION_FP32;
    struct fixture_study *study = pairs_study(levels, sizeof levels / sizeof *levels, base);
    struct claims claims;
    judge(study, &claims);
    expect_pair(&claims, H1, "total decay 0.03 − 0.5", 3);
    expect_pair(&claims, H2, "dropout 0.2 − 0.05", -5);
    expect_pair(&claims, H3A, "clip 2 − 0.25", -8);
    expect_pair(&claims, H4A, "precision fp16 − bf16", -1);
    fixture_close(study);
}

static void test_not_asked(void **state)
{
    (void)state;
    const struct level levels[] = {{RECIPE_PRECISION, PRECISION_FP32}};
    struct fixture_study *study = pairs_study(levels, 1, (struct fixture_recipe)FIXTURE_BASE);
    struct claims claims;
    judge(study, &claims);
    for (int h = 0; h < HYPOTHESES; h++) {
        assert_int_equal(claims.claim[h].verdict, VERDICT_NOT_ASKED);
        assert_string_not_equal(claims.claim[h].reason, "");
        assert_true(isnan(claims.claim[h].effect.interval.estimate));
    }
    assert_string_equal(claims.claim[H4A].reason,
                        "the study has no setting that changes only precision, fp16 against bf16");
    assert_true(claims.decided);
    fixture_close(study);
}

/* A factorial of clip and fp32, and a pair beside it: each claim takes what there is for it. */
static void test_fraction_without_decay(void **state)
{
    (void)state;
    enum { SETTINGS = 5 };
    struct table *table = fixture_table(2, SETTINGS, 3, 1, 1);
    for (int i = 0; i < SETTINGS; i++) {
        struct fixture_recipe recipe = FIXTURE_BASE;
        recipe.grad_clip = i == 1 || i == 3 ? 0 : 1;
        recipe.precision = i == 2 || i == 3 ? PRECISION_FP32 : PRECISION_BF16;
        recipe.total_decay = i == 4 ? 0.005 : 0.5;
        fixture_recipe(table, 2, SETTINGS, 3, i, recipe);
    }
    struct fixture_study *study = fixture_open(table);
    for (int i = 0; i < table->cells; i++) {
        study->y[i] = study->effects->setting_of[i] + fixture_normal(study, 1e-6);
        study->loss[i] = 3;
    }
    struct claims claims;
    judge(study, &claims);
    assert_true(claims.from_fraction);
    expect_pair(&claims, H1, "total decay 0.005 − 0.5", 4);
    expect_pair(&claims, H3A, "clip none − 1", 1);
    assert_int_equal(claims.claim[H3B].verdict, VERDICT_NOT_ASKED);
    assert_string_equal(claims.claim[H3B].reason,
                        "the balanced design does not cross it with total decay");
    assert_int_equal(claims.claim[H4A].verdict, VERDICT_NOT_ASKED);
    assert_string_equal(claims.claim[H4A].reason,
                        "the study compares precision bf16 − fp32, which the claim is not about");
    fixture_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdict_of),
        cmocka_unit_test(test_pairs_prefer_named_levels),
        cmocka_unit_test(test_pairs_of_other_levels),
        cmocka_unit_test(test_not_asked),
        cmocka_unit_test(test_fraction_without_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
