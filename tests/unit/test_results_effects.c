/* Effects and slopes: against numbers worked out elsewhere, on damaged studies, and by simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/effects.h"
#include "tests/unit/table_fixture.h"

/* Reference values: Student's t by Simpson integration of its density and bisection, then the formulas of
 * results/effects.h, in a Python script that shares no code with ours; t(0.975, 2) = 0.95·√(2/0.0975) checks it. */
#define TOLERANCE 1e-9

static void assert_close(double value, double expected)
{
    if (!(fabs(value - expected) <= TOLERANCE)) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

static int at(const struct table *table, int size, int setting, int seed)
{
    int sizes = 1;
    while (table->cell[table->cells - 1].parameters > 1000 * pow(10, sizes - 1) * 1.5) {
        sizes++;
    }
    int seeds = (int)table->cell[table->cells - 1].seed;
    int settings = table->cells / seeds / sizes;
    return (size * settings + setting) * seeds + seed;
}

/* One quantizer and checkpoint: log KL = −8 + size + 0.1·seed for the base; the setting differs by d. */
static struct table *paired(int sizes, int seeds, const double *d)
{
    struct table *table = fixture_table(sizes, 2, seeds, 1, 1);
    for (int s = 0; s < sizes; s++) {
        for (int k = 0; k < seeds; k++) {
            double base = -8 + s + 0.1 * k;
            double shift = d[s * seeds + k];
            fixture_set(table, at(table, s, 0, k), 0, 0, 2 - 0.1 * s, exp(base), 1e-3 * s);
            fixture_set(table, at(table, s, 1, k), 0, 0, 2 - 0.1 * s + shift, exp(base + shift),
                        1e-3 * s + shift);
        }
    }
    return table;
}

static struct effects *open_effects(const struct table *table)
{
    struct error err = {0};
    struct effects *effects = NULL;
    int status = effects_open(&err, table, &effects);
    assert_string_equal(err.message, "");
    assert_int_equal(status, STATUS_OK);
    return effects;
}

static void assert_interval(struct interval interval, double estimate, double low, double high,
                            int df)
{
    assert_close(interval.estimate, estimate);
    assert_close(interval.low, low);
    assert_close(interval.high, high);
    assert_int_equal(interval.df, df);
}

static void test_equal_pairs(void **state)
{
    (void)state;
    /* d̄ = 0.2 and 0.4; ΣΣ(d − d̄)² = 0.04 with 2 df, so s² = 0.02 and the estimate's variance
     * 0.02·(1/2 + 1/2)/4 = 0.005 */
    const double d[] = {0.1, 0.3, 0.3, 0.5};
    struct table *table = paired(2, 2, d);
    struct effects *effects = open_effects(table);
    double half = 0.95 * sqrt(2 / 0.0975) * sqrt(0.005);
    for (enum response r = RESPONSE_LOG_KL; r <= RESPONSE_LOSS; r++) {
        struct effect effect = effects_of(effects, 1, r, 0, 0, EFFECTS_ALL_SIZES);
        assert_interval(effect.interval, 0.3, 0.3 - half, 0.3 + half, 2);
        assert_int_equal(effect.pairs, 4);
        assert_int_equal(effect.sizes, 2);
        assert_int_equal(effect.least, 2);
        assert_int_equal(effect.most, 2);
        assert_close(interval_detectable(&effect.interval), half);
        assert_int_equal(interval_sign(&effect.interval), 0);
    }
    effects_free(effects);
    table_free(table);
}

static void test_unequal_pairs(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2, 0.3, 0.5, 0.7, 99};
    struct table *table = paired(2, 3, d);
    table->cell[at(table, 1, 1, 2)].status = CELL_DIVERGED;
    struct effects *effects = open_effects(table);
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_interval(effect.interval, 0.4, 0.23227035240193253, 0.5677296475980675, 3);
    assert_int_equal(effect.pairs, 5);
    assert_int_equal(effect.unfinished, 1);
    assert_int_equal(effect.least, 2);
    assert_int_equal(effect.most, 3);
    assert_int_equal(interval_sign(&effect.interval), 1);
    assert_int_equal(effects->setting[1].cells[CELL_DIVERGED], 1);
    assert_int_equal(effects->setting[1].total, 6);
    effects_free(effects);
    table_free(table);
}

/* A size with one pair adds to the mean, not to the degrees of freedom; the base's losses count too. */
static void test_one_pair_in_a_size(void **state)
{
    (void)state;
    const double d[] = {0.12, 0.05, 0.31, 0.22, 0.18, 9, 9, 9, -0.07, 0.11, 9, 9};
    struct table *table = paired(3, 4, d);
    table->cell[at(table, 1, 0, 1)].status = CELL_FAILED;
    table->cell[at(table, 1, 0, 2)].status = CELL_PENDING;
    table->cell[at(table, 1, 1, 3)].status = CELL_QUARANTINED;
    table->kl[at(table, 2, 1, 2)] = 0;
    table->kl[at(table, 2, 0, 3)] = -1e-9;
    struct effects *effects = open_effects(table);
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_interval(effect.interval, 0.125, -0.01869202480028448, 0.2686920248002845, 4);
    assert_int_equal(effect.pairs, 7);
    assert_int_equal(effect.sizes, 3);
    assert_int_equal(effect.unfinished, 3);
    assert_int_equal(effect.undefined, 2);
    assert_int_equal(effect.least, 1);

    struct effect one = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, 1);
    assert_close(one.interval.estimate, 0.18);
    assert_true(isnan(one.interval.low) && isnan(one.interval.high));
    assert_int_equal(one.interval.df, 0);
    assert_int_equal(one.pairs, 1);

    struct mean mean = effects_mean(effects, 1, 2, RESPONSE_LOG_KL, 0, 0);
    assert_int_equal(mean.cells, 3);
    assert_int_equal(mean.undefined, 1);
    /* −8 + 2 + {0, 0.1, 0.3} + {−0.07, 0.11, 9} */
    double values[] = {-6.07, -5.79, 3.3};
    double average = (values[0] + values[1] + values[2]) / 3;
    double squares =
        pow(values[0] - average, 2) + pow(values[1] - average, 2) + pow(values[2] - average, 2);
    assert_close(mean.mean, average);
    assert_close(mean.sd, sqrt(squares / 2));
    effects_free(effects);
    table_free(table);
}

static void test_single_seed(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2, 0.6};
    struct table *table = paired(3, 1, d);
    struct effects *effects = open_effects(table);
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_close(effect.interval.estimate, 0.3);
    assert_true(isnan(effect.interval.low) && isnan(effect.interval.high));
    assert_int_equal(effect.interval.df, 0);
    assert_int_equal(effect.pairs, 3);
    assert_int_equal(interval_sign(&effect.interval), 0);
    assert_true(isnan(interval_detectable(&effect.interval)));
    effects_free(effects);
    table_free(table);
}

static void test_nothing_measured(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2};
    struct table *table = paired(1, 2, d);
    table->kl[at(table, 0, 0, 0)] = NAN;
    table->kl[at(table, 0, 1, 1)] = INFINITY;
    struct effects *effects = open_effects(table);
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_int_equal(effect.pairs, 0);
    assert_int_equal(effect.unmeasured, 2);
    assert_true(isnan(effect.interval.estimate));
    struct slope slope = effects_slope(effects, RESPONSE_LOG_KL, 0, 0);
    assert_true(isnan(slope.interval.estimate)); /* one size */
    effects_free(effects);
    table_free(table);
}

/* The base is found by size and seed, wherever its cells stand, and settings keep their order. */
static void test_shuffled_cells(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2, 0.3, 0.5, 0.7, 99};
    struct table *table = paired(2, 3, d);
    table->cell[at(table, 1, 1, 2)].status = CELL_DIVERGED;
    for (int i = 0; i < table->cells / 2; i++) {
        int k = table->cells - 1 - i;
        struct table_cell cell = table->cell[i];
        table->cell[i] = table->cell[k];
        table->cell[k] = cell;
        double kl = table->kl[i];
        table->kl[i] = table->kl[k];
        table->kl[k] = kl;
    }
    struct effects *effects = open_effects(table);
    assert_int_equal(effects->base, 0);
    assert_string_equal(effects->setting[0].label, "base");
    assert_string_equal(effects->size[0].name, "size0");
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_interval(effect.interval, 0.4, 0.23227035240193253, 0.5677296475980675, 3);
    effects_free(effects);
    table_free(table);
}

static void test_slope(void **state)
{
    (void)state;
    const double y[] = {-8.1, -8.3, -8.0, -7.6, -7.9, -7.7, -7.5, -7.2, -7.35};
    const double d[9] = {0};
    struct table *table = paired(3, 3, d);
    for (int i = 0; i < 9; i++) {
        table->kl[at(table, i / 3, 0, i % 3)] = exp(y[i]);
        table->delta_loss[at(table, i / 3, 0, i % 3)] = y[i];
    }
    struct effects *effects = open_effects(table);
    for (enum response r = RESPONSE_LOG_KL; r <= RESPONSE_DELTA_LOSS; r++) {
        struct slope slope = effects_slope(effects, r, 0, 0);
        assert_interval(slope.interval, 0.3916666666666668, 0.25589197502483885, 0.5274413583084947,
                        7);
        assert_int_equal(slope.cells, 9);
        assert_int_equal(slope.sizes, 3);
    }
    /* two cells: a slope without an interval */
    for (int i = 0; i < table->cells; i++) {
        if (i != at(table, 0, 0, 0) && i != at(table, 2, 0, 0)) {
            table->cell[i].status = CELL_FAILED;
        }
    }
    struct slope slope = effects_slope(effects, RESPONSE_LOG_KL, 0, 0);
    assert_close(slope.interval.estimate, (y[6] - y[0]) / 2);
    assert_true(isnan(slope.interval.low));
    assert_int_equal(slope.cells, 2);
    effects_free(effects);
    table_free(table);
}

static void test_no_base(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2};
    struct table *table = paired(1, 2, d);
    for (int i = 0; i < table->cells; i++) {
        table->cell[i].base = false;
    }
    struct effects *effects = open_effects(table);
    assert_int_equal(effects->base, -1);
    assert_int_equal(effects->settings, 2);
    struct effect effect = effects_of(effects, 1, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
    assert_int_equal(effect.pairs, 0);
    assert_int_equal(effect.unfinished, 2);
    assert_int_equal(effects_slope(effects, RESPONSE_LOG_KL, 0, 0).cells, 0);
    effects_free(effects);
    table_free(table);
}

static void assert_refused(const struct table *table, const char *part)
{
    struct error err = {0};
    struct effects *effects = NULL;
    assert_int_equal(effects_open(&err, table, &effects), STATUS_FAILED);
    assert_null(effects);
    if (strstr(err.message, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, err.message);
    }
}

static void test_malformed_tables(void **state)
{
    (void)state;
    const double d[] = {0.1, 0.2};
    struct table *table = paired(1, 2, d);
    assert_refused(NULL, "no table");

    struct table broken = *table;
    broken.cells = 0;
    assert_refused(&broken, "no cells");
    broken = *table;
    broken.checkpoints = 0;
    assert_refused(&broken, "no checkpoints");
    broken = *table;
    broken.quantizers = 0;
    assert_refused(&broken, "no quantizers");
    broken = *table;
    broken.kl = NULL;
    assert_refused(&broken, "lacks");

    double fraction = table->training_fraction[0];
    table->training_fraction[0] = NAN;
    assert_refused(table, "training_fraction[0]");
    table->training_fraction[0] = 1.5;
    assert_refused(table, "training_fraction[0]");
    table->training_fraction[0] = fraction;

    table->cell[1].parameters = 0;
    assert_refused(table, "parameters");
    table->cell[1].parameters = NAN;
    assert_refused(table, "parameters");
    table->cell[1].parameters = 1000;

    table->cell[3].status = (enum cell_status)17;
    assert_refused(table, "unknown status 17");
    table->cell[3].status = CELL_DONE;

    table->cell[3].seed = table->cell[2].seed;
    assert_refused(table, "twice");
    table_free(table);
}

/* ── Simulation ── */

static double uniform(uint64_t *random) /* xorshift64*, in (0, 1) */
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return ((double)((*random * 0x2545F4914F6CDD1DU) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *random)
{
    double radius = sqrt(-2 * log(uniform(random)));
    return radius * cos(2 * M_PI * uniform(random));
}

/* Log KL of a study from the mixed model: size + seed in size + setting × size + residual. */
static void simulate(struct table *table, const double effect[2][3], uint64_t *random)
{
    for (int s = 0; s < 3; s++) {
        for (int k = 0; k < 4; k++) {
            double seed = 0.2 * normal(random);
            for (int t = 0; t < 3; t++) {
                double y =
                    -8 + 0.3 * s + seed + (t > 0 ? effect[t - 1][s] : 0) + 0.08 * normal(random);
                fixture_set(table, at(table, s, t, k), 0, 0, 2, exp(y), y);
            }
        }
    }
}

static void test_coverage(void **state)
{
    (void)state;
    enum { STUDIES = 2000 };
    const double planted[2][3] = {{0, 0, 0}, {0.02, 0.07, 0.15}}; /* means 0 and 0.08 */
    struct table *table = fixture_table(3, 3, 4, 1, 1);
    /* setting 2 loses cells, so that n is 3, 1, 4 */
    table->cell[at(table, 0, 2, 1)].status = CELL_DIVERGED;
    table->cell[at(table, 1, 2, 0)].status = CELL_FAILED;
    table->cell[at(table, 1, 2, 2)].status = CELL_FAILED;
    table->cell[at(table, 1, 2, 3)].status = CELL_PENDING;
    struct effects *effects = open_effects(table);
    uint64_t random = 0x9E3779B97F4A7C15U;
    int covered[2] = {0};
    int slopes = 0;
    for (int study = 0; study < STUDIES; study++) {
        simulate(table, planted, &random);
        for (int t = 1; t <= 2; t++) {
            struct effect effect = effects_of(effects, t, RESPONSE_LOG_KL, 0, 0, EFFECTS_ALL_SIZES);
            double truth = (planted[t - 1][0] + planted[t - 1][1] + planted[t - 1][2]) / 3;
            covered[t - 1] += effect.interval.low <= truth && truth <= effect.interval.high;
            assert_int_equal(effect.interval.df, t == 1 ? 9 : 5);
        }
        struct slope slope = effects_slope(effects, RESPONSE_LOG_KL, 0, 0);
        slopes += slope.interval.low <= 0.3 && 0.3 <= slope.interval.high;
    }
    print_message("coverage of 95 %% intervals: %.4f, %.4f (unequal n), slope %.4f\n",
                  covered[0] / (double)STUDIES, covered[1] / (double)STUDIES,
                  slopes / (double)STUDIES);
    assert_in_range(covered[0], 0.93 * STUDIES, 0.97 * STUDIES);
    assert_in_range(covered[1], 0.93 * STUDIES, 0.97 * STUDIES);
    assert_in_range(slopes, 0.93 * STUDIES, 0.97 * STUDIES);
    effects_free(effects);
    table_free(table);
}

/* Mean of two sizes' means of log KL: (1 + 3) / 2; variances 0.01 and 0.04 pooled over 2 + 2 degrees of freedom, t(0.975, 4)
 * = 2.7764451051977987. */
static void test_level(void **state)
{
    (void)state;
    struct table *table = fixture_table(2, 1, 3, 1, 2);
    struct effects *effects = NULL;
    struct error err = {0};
    int cells = 0;
    for (int i = 0; i < 6; i++) {
        const double spread = i < 3 ? 0.1 : 0.2;
        fixture_set(table, i, 0, 0, 2, exp((i < 3 ? 1 : 3) + spread * (i % 3 - 1)), 0.1);
    }
    assert_int_equal(effects_open(&err, table, &effects), STATUS_OK);
    const struct interval level = effects_level(effects, 0, RESPONSE_LOG_KL, 0, 0, &cells);
    const double half = 2.7764451051977987 * sqrt((0.02 + 0.08) / 4 * (2.0 / 3)) / 2;
    assert_int_equal(cells, 6);
    assert_int_equal(level.df, 4);
    assert_true(fabs(level.estimate - 2) < TOLERANCE);
    assert_true(fabs(level.low - (2 - half)) < TOLERANCE);
    assert_true(fabs(level.high - (2 + half)) < TOLERANCE);
    const struct interval none = effects_level(effects, 0, RESPONSE_LOG_KL, 1, 0, &cells);
    assert_true(isnan(none.estimate) && isnan(none.low) && cells == 0);
    effects_free(effects);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),          cmocka_unit_test(test_equal_pairs),
        cmocka_unit_test(test_unequal_pairs),  cmocka_unit_test(test_one_pair_in_a_size),
        cmocka_unit_test(test_single_seed),    cmocka_unit_test(test_nothing_measured),
        cmocka_unit_test(test_shuffled_cells), cmocka_unit_test(test_slope),
        cmocka_unit_test(test_no_base),        cmocka_unit_test(test_malformed_tables),
        cmocka_unit_test(test_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
