/* results/claims: what a study says of each claim, and how often it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/claims.h"
#include "tests/unit/analysis_fixture.h"

static const double ALPHA = 0.05 / 7;

enum { SIZES = 4, SEEDS = 4, FRACTION = 16, LADDER = 2 };

/* Settings: the fraction, half the tokens (16), and the diagonal (17): 100 tokens per parameter
 * of the smallest size. */
static struct fixture_study *fraction_study(int sizes, int seeds)
{
    struct table *table = fixture_half_fraction(sizes, seeds, LADDER);
    for (int i = 0; i < table->cells; i++) {
        struct table_cell *cell = &table->cell[i];
        int setting = i / seeds % (FRACTION + LADDER);
        cell->tokens *= setting == FRACTION ? 0.5 : 1;
        cell->tokens = setting == FRACTION + 1 ? 100 * cell->parameters : cell->tokens;
    }
    return fixture_open(table);
}

/* Log KL that each level adds to the other's, half of it each way, so that effects are what they
 * are called. */
struct planted {
    double decay, dropout, clip, precision; /* worse level */
    double clip_decay, precision_decay;     /* 3b, 4b */
    double slope;
    double size_dropout; /* dropout's effect grows by this per size */
};

static double half(bool worse)
{
    return worse ? 0.5 : -0.5;
}

static void plant(struct fixture_study *study, const struct planted *planted, double noise)
{
    const struct table *table = study->table;
    double block = 0;
    int last = -1;
    for (int s = 0; s < study->effects->sizes; s++) {
        for (int k = 0; k < study->design->seeds; k++) {
            block = fixture_normal(study, 2 * noise);
            for (int i = 0; i < study->effects->settings; i++) {
                int c = design_cell(study->design, i, s, k);
                if (c < 0) {
                    continue;
                }
                const struct table_cell *cell = &table->cell[c];
                double decay = half(cell->total_decay < 0.1);
                double clip = half(!(cell->grad_clip > 0));
                double precision = half(cell->precision == PRECISION_FP16);
                study->y[c] =
                    planted->decay * decay + planted->clip * clip + planted->precision * precision +
                    (planted->dropout + s * planted->size_dropout) * half(cell->dropout > 0) +
                    planted->clip_decay * clip * decay +
                    planted->precision_decay * precision * decay +
                    planted->slope * log10(cell->parameters) + block + fixture_normal(study, noise);
                study->loss[c] = 3;
                last = c;
            }
        }
    }
    assert_true(last >= 0);
}

static void judge(struct fixture_study *study, struct claims *claims)
{
    assert_int_equal(claims_of(&study->err, study->design, study->y, study->loss, ALPHA, claims),
                     STATUS_OK);
}

static void expect(const struct claims *claims, enum hypothesis hypothesis, enum verdict verdict)
{
    if (claims->claim[hypothesis].verdict != verdict) {
        const struct claim *claim = &claims->claim[hypothesis];
        print_error("H%s is %s, not %s: %s %g [%g, %g] %s\n", hypothesis_name(hypothesis),
                    verdict_name(claim->verdict), verdict_name(verdict), claim->contrast,
                    claim->effect.interval.estimate, claim->effect.interval.low,
                    claim->effect.interval.high, claim->reason);
        fail();
    }
}

/* ── Of a fraction ── */

static void test_effects_of_a_fraction(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    const struct planted planted = {0.3, 0.2, 0.1, -0.4, 0.25, -0.15, 0.05, 0};
    plant(study, &planted, 1e-6);
    struct claims claims;
    judge(study, &claims);
    const double expected[] = {0.3, 0.2, 0.1, 0.25, -0.4, -0.15, 0.05};
    const char *const text[] = {
        "total decay 0.005 − 0.5",
        "dropout 0.1 − 0",
        "clip none − 1",
        "clip none − 1, at decay 0.005 − 0.5",
        "precision fp16 − bf16",
        "precision fp16 − bf16, at decay 0.005 − 0.5",
        "per decade of parameters, 100 tokens per parameter",
    };
    assert_true(claims.from_fraction);
    assert_true(claims.decided);
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &claims.claim[h];
        assert_int_equal(claim->hypothesis, h);
        assert_near(claim->effect.interval.estimate, expected[h], 1e-5);
        assert_string_equal(claim->contrast, text[h]);
        assert_string_equal(claim->reason, "");
        assert_int_equal(claim->effect.blocks, SIZES * SEEDS);
        assert_int_equal(claim->effect.interval.df, SIZES * (SEEDS - 1));
        assert_near(claim->detectable,
                    (claim->effect.interval.high - claim->effect.interval.low) / 2, 1e-15);
        assert_false(claim->has_worst);
        if (h != H5) {
            assert_near(claim->decades, fabs(expected[h]) / 0.05, 1e-2);
        }
    }
    expect(&claims, H1, VERDICT_SUPPORTED);
    expect(&claims, H4A, VERDICT_OPPOSITE);
    expect(&claims, H4B, VERDICT_OPPOSITE);
    expect(&claims, H5, VERDICT_SUPPORTED);
    fixture_close(study);
}

/* The base on the other side of every factor: the claims keep their direction. */
static void test_base_with_the_worse_levels(void **state)
{
    (void)state;
    struct table *table = fixture_half_fraction(2, 3, 0);
    for (int i = 0; i < table->cells; i++) {
        struct table_cell *cell = &table->cell[i];
        bool worse = cell->total_decay < 0.1;
        double lambda = cell->weight_decay / cell->total_decay;
        cell->total_decay = worse ? 0.7 : 0.007;
        cell->weight_decay = lambda * cell->total_decay;
        cell->dropout = cell->dropout > 0 ? 0 : 0.4;
        cell->grad_clip = cell->grad_clip > 0 ? 0 : 0.5;
        cell->precision = cell->precision == PRECISION_FP16 ? PRECISION_BF16 : PRECISION_FP16;
    }
    struct fixture_study *study = fixture_open(table);
    const struct planted planted = {0.3, 0.2, 0.1, -0.4, 0.25, -0.15, 0.05, 0};
    plant(study, &planted, 1e-6);
    struct claims claims;
    judge(study, &claims);
    const double expected[] = {0.3, 0.2, 0.1, 0.25, -0.4, -0.15};
    for (int h = 0; h < H5; h++) {
        assert_near(claims.claim[h].effect.interval.estimate, expected[h], 1e-5);
    }
    assert_string_equal(claims.claim[H1].contrast, "total decay 0.007 − 0.7");
    assert_string_equal(claims.claim[H3B].contrast, "clip none − 0.5, at decay 0.007 − 0.7");
    expect(&claims, H5, VERDICT_NOT_ASKED);
    fixture_close(study);
}

static void test_negligible_and_undecided(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    plant(study, &(struct planted){.slope = 0.5}, 0.001);
    struct claims claims;
    judge(study, &claims);
    for (int h = 0; h < H5; h++) {
        expect(&claims, (enum hypothesis)h, VERDICT_NEGLIGIBLE);
    }
    expect(&claims, H5, VERDICT_CONTRADICTED);
    assert_true(claims.decided);
    plant(study, &(struct planted){0}, 3);
    judge(study, &claims);
    for (int h = 0; h < HYPOTHESES; h++) {
        expect(&claims, (enum hypothesis)h, VERDICT_UNDECIDED);
        assert_string_not_equal(claims.claim[h].reason, "");
    }
    assert_false(claims.decided);
    fixture_close(study);
}

static void test_one_seed_decides_nothing(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(3, 1);
    plant(study, &(struct planted){.decay = 1}, 0.001);
    struct claims claims;
    judge(study, &claims);
    expect(&claims, H5, VERDICT_UNDECIDED);
    assert_string_equal(claims.claim[H5].reason, claims.claim[H1].reason);
    expect(&claims, H1, VERDICT_UNDECIDED);
    assert_near(claims.claim[H1].effect.interval.estimate, 1, 0.01);
    assert_true(isnan(claims.claim[H1].effect.interval.low));
    assert_string_equal(claims.claim[H1].reason,
                        "one seed per size tells nothing of its error; it needs two");
    assert_false(claims.decided);
    for (int i = 0; i < study->table->cells; i++) { /* only the smallest size has finished */
        study->y[i] = study->effects->size_of[i] == 0 ? study->y[i] : NAN;
    }
    judge(study, &claims);
    assert_string_equal(claims.claim[H5].reason, "fewer than two sizes have finished runs");
    study->y[fixture_cell(study, 3, 0, 0)] = NAN;
    judge(study, &claims);
    expect(&claims, H1, VERDICT_UNDECIDED);
    assert_string_equal(claims.claim[H1].reason,
                        "no seed of any size has finished all runs that it compares");
    fixture_close(study);
}

/* ── Per size ── */

static void test_per_size(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    plant(study, &(struct planted){.dropout = -0.1, .size_dropout = 0.2}, 0.02);
    /* an incomplete block, so that sizes differ in weight */
    study->y[fixture_cell(study, 5, 1, 2)] = NAN;
    struct claims claims;
    judge(study, &claims);
    const struct claim *claim = &claims.claim[H2];
    assert_true(claim->size_p < 1e-6);
    assert_int_equal(claim->sizes, SIZES);
    assert_int_equal(claim->size_verdict[0], VERDICT_OPPOSITE);
    assert_int_equal(claim->size_verdict[1], VERDICT_SUPPORTED);
    assert_near(claim->by_size[3].interval.estimate, 0.5, 0.03);
    assert_int_equal(claim->by_size[1].blocks, SEEDS - 1);
    assert_int_equal(claim->effect.incomplete, 1);
    assert_true(claims.claim[H1].size_p > 0.05);
    assert_int_equal(claims.claim[H1].sizes, 0);
    assert_true(isnan(claims.claim[H5].size_p));
    fixture_close(study);
}

/* size_p is the one-way analysis of variance of the blocks' sums. */
static void test_size_p_is_one_way(void **state)
{
    (void)state;
    /* pairs: dropout − base of size 0: 8, 9, 10; of size 1: 9, 11, 13 and a block without a value */
    struct table *table = fixture_table(2, 2, 4, 1, 1);
    struct fixture_recipe base = FIXTURE_BASE, dropout = FIXTURE_BASE;
    dropout.dropout = 0.1;
    fixture_recipe(table, 2, 2, 4, 0, base);
    fixture_recipe(table, 2, 2, 4, 1, dropout);
    struct fixture_study *study = fixture_open(table);
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < 3 + s; k++) {
            study->y[fixture_cell(study, 0, s, k)] = 10 * k;
            study->y[fixture_cell(study, 1, s, k)] = 10 * k + 7 + (s + 1.0) * (k + 1);
        }
    }
    study->y[fixture_cell(study, 1, 1, 3)] = NAN;
    struct claims claims;
    judge(study, &claims);
    /* means 9 and 11, within 2 + 8 on 4 df: F = (3·1 + 3·1)/(10/4) = 2.4, p = P(|t(4)| > √2.4) */
    assert_near(claims.claim[H2].size_p, 0.196261, 2e-6);
    assert_int_equal(claims.claim[H2].effect.incomplete, 2);
    fixture_close(study);
}

/* ── Matching ── */

/* Dropout makes the loss worse; the base's log KL rises (or falls) along its ladder by `rise`
 * per nat. */
static void plant_loss(struct fixture_study *study, double effect, double rise)
{
    plant(study, &(struct planted){.dropout = effect}, 0.002);
    for (int s = 0; s < study->effects->sizes; s++) {
        for (int k = 0; k < SEEDS; k++) {
            int base = fixture_cell(study, 0, s, k), less = fixture_cell(study, FRACTION, s, k);
            int diagonal = fixture_cell(study, FRACTION + 1, s, k);
            study->loss[less] = 4;
            study->y[less] = study->y[base] + rise;
            study->loss[diagonal] = 2.9;
            study->y[diagonal] = study->y[base] - 0.1 * rise;
            for (int i = 0; i < FRACTION; i++) {
                int cell = fixture_cell(study, i, s, k);
                study->loss[cell] += study->table->cell[cell].dropout > 0 ? 0.5 : 0;
            }
        }
    }
}

static void test_matching_flips(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    struct claims claims;
    plant_loss(study, 0.3, 1.0); /* 0.3 worse, where half a nat alone makes 0.5 */
    judge(study, &claims);
    const struct claim *claim = &claims.claim[H2];
    assert_int_equal(claim->plain, VERDICT_SUPPORTED);
    assert_true(claim->has_matched);
    assert_near(claim->matched.interval.estimate, 0.3 - 0.5, 0.02);
    assert_int_equal(claim->matched_verdict, VERDICT_OPPOSITE);
    expect(&claims, H2, VERDICT_UNDECIDED_MATCHING);
    assert_string_equal(claim->reason,
                        "supported at equal tokens, contradicted (opposite) at equal loss");
    expect(&claims, H1, VERDICT_NEGLIGIBLE); /* the others do not change the loss */
    assert_true(claims.decided);
    plant_loss(study, 0, -1.0); /* no effect, where half a nat alone makes −0.5 */
    judge(study, &claims);
    assert_int_equal(claim->plain, VERDICT_NEGLIGIBLE);
    assert_int_equal(claim->matched_verdict, VERDICT_SUPPORTED);
    expect(&claims, H2, VERDICT_UNDECIDED_MATCHING);
    plant_loss(study, 0.3, 0.1); /* both support */
    judge(study, &claims);
    expect(&claims, H2, VERDICT_SUPPORTED);
    assert_int_equal(claim->matched_outside, 0);
    fixture_close(study);
}

static void test_matching_beyond_the_ladder(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    struct claims claims;
    plant_loss(study, 0.3, 1.0);
    study->loss[fixture_cell(study, 5, 1, 2)] = 4.5;
    study->loss[fixture_cell(study, 6, 1, 2)] = 2.5;
    judge(study, &claims);
    assert_int_equal(claims.claim[H2].matched_outside, 2);
    assert_int_equal(claims.claim[H2].matched.blocks, SIZES * SEEDS - 1);
    assert_int_equal(claims.claim[H2].effect.blocks, SIZES * SEEDS);
    expect(&claims, H2, VERDICT_UNDECIDED_MATCHING);
    for (int i = 0; i < study->table->cells; i++) { /* all of the fraction beyond it */
        study->loss[i] -= study->effects->setting_of[i] < FRACTION ? 10 : 0;
        study->loss[i] -= study->effects->setting_of[i] == 0 ? -10 : 0;
    }
    judge(study, &claims);
    assert_false(claims.claim[H2].has_matched);
    expect(&claims, H2, VERDICT_SUPPORTED);
    fixture_close(study);
}

/* ── Divergence ── */

static void diverge(struct fixture_study *study, int setting, int size, int seed)
{
    int cell = fixture_cell(study, setting, size, seed);
    study->table->cell[cell].status = CELL_DIVERGED;
    study->y[cell] = study->loss[cell] = NAN;
}

/* Dropout 0.1 is worse where both finish; without dropout, most seeds do not finish. */
static void test_divergence_flips(void **state)
{
    (void)state;
    struct claims claims;
    struct table *table = fixture_table(1, 2, 6, 1, 1);
    struct fixture_recipe base = FIXTURE_BASE, dropout = FIXTURE_BASE;
    dropout.dropout = 0.1;
    fixture_recipe(table, 1, 2, 6, 0, base);
    fixture_recipe(table, 1, 2, 6, 1, dropout);
    struct fixture_study *study = fixture_open(table);
    for (int k = 0; k < 6; k++) {
        study->y[fixture_cell(study, 0, 0, k)] = 0.01 * k;
        study->y[fixture_cell(study, 1, 0, k)] = 1 + 0.011 * k;
    }
    judge(study, &claims);
    expect(&claims, H2, VERDICT_SUPPORTED);
    assert_false(claims.claim[H2].has_worst);
    diverge(study, 1, 0, 5); /* a diverged run that only confirms it */
    judge(study, &claims);
    expect(&claims, H2, VERDICT_SUPPORTED);
    assert_true(claims.claim[H2].has_worst);
    assert_near(claims.claim[H2].worst.interval.estimate, 6, 1e-12);
    diverge(study, 0, 0, 0);
    diverge(study, 0, 0, 1);
    judge(study, &claims);
    /* ranks of the base: 11 (with the other two diverged), 11, 1, 2, 3, 4; of dropout: 5 … 9, 11 */
    assert_int_equal(claims.claim[H2].plain, VERDICT_SUPPORTED);
    assert_near(claims.claim[H2].worst.interval.estimate,
                (5 + 6 + 7 + 8 + 9 + 11 - 11 - 11 - 1 - 2 - 3 - 4) / 6.0, 1e-12);
    expect(&claims, H2, VERDICT_UNDECIDED_DIVERGED);
    assert_string_equal(claims.claim[H2].reason,
                        "no longer supported when 3 diverged runs count as the worst");
    assert_true(claims.decided);
    fixture_close(study);
}

/* H5: the base diverges at the largest size, so that it only seems not to grow. */
static void test_divergence_of_the_diagonal(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(3, 8);
    plant(study, &(struct planted){.slope = 0}, 0.01);
    struct claims claims;
    judge(study, &claims);
    expect(&claims, H5, VERDICT_SUPPORTED);
    const int *diagonal = study->design->ladder.diagonal;
    for (int k = 0; k < 7; k++) {
        diverge(study, diagonal[2], 2, k);
    }
    judge(study, &claims);
    assert_int_equal(claims.claim[H5].plain, VERDICT_SUPPORTED);
    expect(&claims, H5, VERDICT_UNDECIDED_DIVERGED);
    fixture_close(study);
}

/* A recipe that diverges with every seed: no number of seeds decides its claims. */
static void test_divergence_of_all(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    plant(study, &(struct planted){0}, 0.1);
    const int setting = study->design->fraction.setting[1];
    for (int s = 0; s < SIZES; s++) {
        for (int k = 0; k < SEEDS - 1; k++) {
            diverge(study, setting, s, k);
        }
    }
    struct claims claims;
    judge(study, &claims);
    assert_int_equal(claims.claim[H1].effect.blocks, SIZES); /* one seed of each size is left */
    expect(&claims, H1, VERDICT_UNDECIDED);
    for (int s = 0; s < SIZES; s++) {
        diverge(study, setting, s, SEEDS - 1);
    }
    judge(study, &claims);
    expect(&claims, H1, VERDICT_UNDECIDED_DIVERGED);
    fixture_close(study);
}

/* ── Error rates ── */

enum { STUDIES = 2000 };

/* Without effects the family must not find one, in either direction. */
static void test_familywise_null(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    int wrong = 0, each[HYPOTHESES] = {0};
    for (int i = 0; i < STUDIES; i++) {
        struct claims claims;
        plant(study, &(struct planted){0}, 0.1);
        judge(study, &claims);
        bool any = false;
        for (int h = 0; h < H5; h++) {
            bool found = claims.claim[h].plain == VERDICT_SUPPORTED ||
                         claims.claim[h].plain == VERDICT_OPPOSITE;
            each[h] += found;
            any = any || found;
        }
        any = any || claims.claim[H5].plain == VERDICT_CONTRADICTED;
        wrong += any;
    }
    print_message("null: familywise %.4f; H1 %.4f\n", (double)wrong / STUDIES,
                  (double)each[H1] / STUDIES);
    assert_true(wrong <= 0.06 * STUDIES);
    assert_true(wrong >= 0.02 * STUDIES); /* an interval that is never wrong is too wide */
    fixture_close(study);
}

/* Effects of exactly δ are not negligible, nor is a slope of exactly δ supported or
 * contradicted. */
static void test_familywise_at_delta(void **state)
{
    (void)state;
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    const double d = hypothesis_delta(H1);
    const struct planted planted = {d, d, d, d, d, d, hypothesis_delta(H5), 0};
    int wrong = 0;
    for (int i = 0; i < STUDIES; i++) {
        struct claims claims;
        plant(study, &planted, 0.25); /* intervals wider than δ: else they are above 0 */
        judge(study, &claims);
        bool any = claims.claim[H5].plain != VERDICT_UNDECIDED;
        for (int h = 0; h < H5; h++) {
            any = any || verdict_contradicts(claims.claim[h].plain);
        }
        wrong += any;
    }
    print_message("at delta: familywise %.4f\n", (double)wrong / STUDIES);
    assert_true(wrong <= 0.06 * STUDIES);
    assert_true(wrong >= 0.02 * STUDIES);
    fixture_close(study);
}

static void test_power(void **state)
{
    (void)state;
    enum { FEW = 300 };
    struct fixture_study *study = fraction_study(SIZES, SEEDS);
    const struct planted planted = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0, 0};
    int found = 0;
    for (int i = 0; i < FEW; i++) {
        struct claims claims;
        plant(study, &planted, 0.1);
        judge(study, &claims);
        bool all = true;
        for (int h = 0; h < H5; h++) {
            all = all && claims.claim[h].verdict == VERDICT_SUPPORTED;
        }
        found += all;
    }
    print_message("effects of 0.3: all six supported in %.3f\n", (double)found / FEW);
    assert_true(found >= 0.95 * FEW);
    fixture_close(study);
}

/* ── Size of a study ── */

/* The settings of a study of 20,000 cells go through in no time: the work is linear in cells. */
static void test_large(void **state)
{
    (void)state;
    struct table *table = fixture_table(4, 500, 10, 1, 1);
    for (int i = 0; i < 500; i++) {
        struct fixture_recipe recipe = FIXTURE_BASE;
        recipe.dropout = i < 450 ? 0.001 * i : 0;
        recipe.tokens = i < 450 ? NAN : 1e5 * (i - 449);
        fixture_recipe(table, 4, 500, 10, i, recipe);
    }
    struct fixture_study *study = fixture_open(table);
    for (int i = 0; i < table->cells; i++) {
        study->loss[i] = 3 - 0.2 * log10(table->cell[i].tokens) + fixture_normal(study, 0.01);
        study->y[i] = table->cell[i].dropout + fixture_normal(study, 0.01);
    }
    struct claims claims;
    judge(study, &claims);
    assert_string_equal(claims.claim[H2].contrast, "dropout 0.1 − 0");
    assert_near(claims.claim[H2].effect.interval.estimate, 0.1, 0.02);
    expect(&claims, H2, VERDICT_SUPPORTED);
    assert_true(claims.slopes.known);
    fixture_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effects_of_a_fraction),
        cmocka_unit_test(test_base_with_the_worse_levels),
        cmocka_unit_test(test_negligible_and_undecided),
        cmocka_unit_test(test_one_seed_decides_nothing),
        cmocka_unit_test(test_per_size),
        cmocka_unit_test(test_size_p_is_one_way),
        cmocka_unit_test(test_matching_flips),
        cmocka_unit_test(test_matching_beyond_the_ladder),
        cmocka_unit_test(test_divergence_flips),
        cmocka_unit_test(test_divergence_of_the_diagonal),
        cmocka_unit_test(test_divergence_of_all),
        cmocka_unit_test(test_familywise_null),
        cmocka_unit_test(test_familywise_at_delta),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
