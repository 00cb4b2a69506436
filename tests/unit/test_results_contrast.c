/* Contrasts and slopes: against numbers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/contrast.h"
#include "tests/unit/design_fixture.h"

#define TOLERANCE 1e-9

static void assert_close(double value, double expected)
{
    if (!(fabs(value - expected) <= TOLERANCE * fmax(1, fabs(expected)))) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

struct study {
    struct table *table;
    struct effects *effects;
    struct design *design;
    double *y;
};

static struct study open_study(struct table *table)
{
    struct study study = {.table = table, .y = fixture_values((size_t)table->cells)};
    assert_int_equal(effects_open(NULL, table, &study.effects), STATUS_OK);
    assert_int_equal(design_open(NULL, study.effects, &study.design), STATUS_OK);
    return study;
}

static void close_study(struct study *study)
{
    design_free(study->design);
    effects_free(study->effects);
    table_free(study->table);
    free(study->y);
}

/* Two sizes, three seeds: differences 1, 2, 3 and 5, 5, 8; s² = (2 + 6)/4 = 2, √(2·(1/3 + 1/3))/2 = 0.57735; t(0.975, 4) =
 * 2.7764451052. */
static struct study pairs(void)
{
    static const double d[] = {1, 2, 3, 5, 5, 8};
    struct study study = open_study(fixture_table(2, 2, 3, 1, 1));
    for (int i = 0; i < 12; i++) {
        bool base = i / 3 % 2 == 0;
        double block = 10.0 * (i / 6) + i % 3;
        study.y[i] = block + (base ? 0 : d[i / 6 * 3 + i % 3]);
    }
    return study;
}

static void pair(void **state)
{
    (void)state;
    struct study study = pairs();
    struct weights weights;
    weights_pair(&weights, 1, 0);
    struct contrast contrast =
        contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05);
    assert_close(contrast.interval.estimate, 4);
    assert_close(contrast.se, sqrt(1.0 / 3));
    assert_close(contrast.interval.low, 4 - 2.7764451051977987 * sqrt(1.0 / 3));
    assert_close(contrast.interval.high, 4 + 2.7764451051977987 * sqrt(1.0 / 3));
    assert_int_equal(contrast.interval.df, 4);
    assert_close(contrast.t, 4 * sqrt(3));
    /* two-sided p of t with 4 df: 1 − x(3 − x²)/2 with x = t/√(4 + t²) */
    double x = contrast.t / sqrt(4 + contrast.t * contrast.t);
    assert_close(contrast.p, 1 - x * (3 - x * x) / 2);
    assert_int_equal(contrast.blocks, 6);
    assert_int_equal(contrast.sizes, 2);
    assert_int_equal(contrast.least, 3);
    assert_int_equal(contrast.incomplete, 0);
    /* one size: its mean, the variance of both */
    contrast = contrast_of(study.design, study.y, &weights, 1, 0.05);
    assert_close(contrast.interval.estimate, 6);
    assert_close(contrast.se, sqrt(2.0 / 3));
    assert_int_equal(contrast.interval.df, 4);
    assert_int_equal(contrast.blocks, 3);
    assert_int_equal(contrast.sizes, 1);
    /* the other direction, another level */
    weights_scale(&weights, -1);
    struct contrast wide = contrast_of(study.design, study.y, &weights, 1, 0.05 / 7);
    assert_close(wide.interval.estimate, -6);
    assert_true(wide.interval.high - wide.interval.low >
                contrast.interval.high - contrast.interval.low);
    close_study(&study);
}

/* Without the value of one cell its block goes: 1, 2 and 5, 5, 8; s² = (0.5 + 6)/3. */
static void incomplete_blocks(void **state)
{
    (void)state;
    struct study study = pairs();
    struct weights weights;
    study.y[2] = NAN;
    weights_pair(&weights, 1, 0);
    struct contrast contrast =
        contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05);
    assert_close(contrast.interval.estimate, (1.5 + 6) / 2);
    assert_close(contrast.se, sqrt(6.5 / 3 * (1.0 / 2 + 1.0 / 3)) / 2);
    assert_int_equal(contrast.interval.df, 3);
    assert_int_equal(contrast.blocks, 5);
    assert_int_equal(contrast.least, 2);
    assert_int_equal(contrast.most, 3);
    assert_int_equal(contrast.incomplete, 1);
    /* one seed per size is left: an estimate without an interval */
    study.y[1] = study.y[7] = study.y[8] = NAN;
    contrast = contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05);
    assert_close(contrast.interval.estimate, (1.0 + 5) / 2);
    assert_true(isnan(contrast.interval.low) && isnan(contrast.p) && isnan(contrast.se));
    assert_int_equal(contrast.interval.df, 0);
    for (int i = 0; i < 12; i++) {
        study.y[i] = NAN;
    }
    contrast = contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05);
    assert_true(isnan(contrast.interval.estimate));
    assert_int_equal(contrast.blocks, 0);
    close_study(&study);
}

/* A setting that stands at one size only: nothing is missing at the other. */
static void star_at_one_size(void **state)
{
    (void)state;
    struct table *table = fixture_table(2, 2, 3, 1, 1);
    fixture_only_size(table, 1, "size0");
    struct study study = open_study(table);
    for (int i = 0; i < table->cells; i++) {
        study.y[i] = study.effects->setting_of[i] + 0.25 * (i % 2);
    }
    struct weights weights;
    weights_pair(&weights, 1, 0);
    struct contrast contrast =
        contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05);
    assert_int_equal(contrast.sizes, 1);
    assert_int_equal(contrast.blocks, 3);
    assert_int_equal(contrast.incomplete, 0);
    close_study(&study);
}

/* On a half fraction, y = 3·decay + 0.5·clip − 2·decay·clip (in ±1) + block: each contrast finds its own coefficient. */
static void contrasts_of_a_fraction(void **state)
{
    (void)state;
    struct study study = open_study(fixture_half_fraction(2, 2, 0));
    const struct fraction *fraction = &study.design->fraction;
    assert_true(study.design->has_fraction);
    for (int i = 0; i < fraction->settings; i++) {
        for (int block = 0; block < 4; block++) {
            int cell = design_cell(study.design, fraction->setting[i], block / 2, block % 2);
            double decay = fraction->sign[i][0], clip = fraction->sign[i][2];
            study.y[cell] = 3 * decay + 0.5 * clip - 2 * decay * clip + 7 * block * block;
        }
    }
    double expected[5] = {6, 0, 1, 0, 0};
    struct weights weights;
    for (int f = 0; f < 5; f++) {
        weights_main(&weights, fraction, f);
        assert_close(
            contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05).interval.estimate,
            expected[f]);
        for (int g = 0; g < f; g++) {
            /* (clip at high decay) − (clip at low): 2·(0.5 − 2) − 2·(0.5 + 2) */
            weights_interaction(&weights, fraction, f, g);
            assert_close(contrast_of(study.design, study.y, &weights, EFFECTS_ALL_SIZES, 0.05)
                             .interval.estimate,
                         f == 2 && g == 0 ? -8 : 0);
        }
    }
    close_study(&study);
}

/* Means 1, 2, 6 at 10³, 10⁴, 10⁵ parameters: slope 2.5 per decade. Squares within sizes 2·0.25 each, df 3: s² = 0.5, error
 * √(s²·(1/2 + 1/2))/2. */
static void slope(void **state)
{
    (void)state;
    struct study study = open_study(fixture_table(3, 2, 2, 1, 1));
    const double mean[] = {1, 2, 6};
    const int diagonal[] = {0, 1, 0};
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < 2; k++) {
            study.y[design_cell(study.design, diagonal[s], s, k)] = mean[s] + (k ? 0.5 : -0.5);
        }
    }
    struct contrast contrast = contrast_slope(study.design, study.y, diagonal, 0.05);
    assert_close(contrast.interval.estimate, 2.5);
    assert_close(contrast.se, sqrt(0.5) / 2);
    assert_int_equal(contrast.interval.df, 3);
    assert_int_equal(contrast.sizes, 3);
    assert_int_equal(contrast.blocks, 6);
    const double t = 3.182446305284263; /* t(0.975, 3) */
    assert_close(contrast.interval.high, 2.5 + t * sqrt(0.5) / 2);
    /* one size is left out; of one alone there is no slope */
    const int two[] = {0, 1, -1}, one[] = {0, -1, -1};
    assert_close(contrast_slope(study.design, study.y, two, 0.05).interval.estimate, 1);
    assert_true(isnan(contrast_slope(study.design, study.y, one, 0.05).interval.estimate));
    close_study(&study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair),
        cmocka_unit_test(incomplete_blocks),
        cmocka_unit_test(star_at_one_size),
        cmocka_unit_test(contrasts_of_a_fraction),
        cmocka_unit_test(slope),
    };
    return cmocka_run_group_tests_name("results_contrast", tests, NULL, NULL);
}
