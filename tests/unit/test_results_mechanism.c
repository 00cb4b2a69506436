/* results/mechanism and results/solve: C7, effects on probes and what is left between probe and
 * degradation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "results/mechanism.h"
#include "results/solve.h"
#include "tests/unit/analysis_fixture.h"

enum { SIZES = 3, SETTINGS = 16, SEEDS = 4 };

/* ── Equations ── */

static void test_solve(void **state)
{
    (void)state;
    double a[] = {4, 2, 0, 2, 5, 1, 0, 1, 3}, b[] = {8, 15, 11};
    assert_int_equal(solve_semidefinite(a, b, 3), 3);
    assert_near(b[0], 1, 1e-12);
    assert_near(b[1], 2, 1e-12);
    assert_near(b[2], 3, 1e-12);
    /* singular: the third row is the sum of the others */
    double c[] = {2, 0, 2, 0, 3, 3, 2, 3, 5}, d[] = {4, 9, 13};
    assert_int_equal(solve_semidefinite(c, d, 3), 2);
    assert_near(2 * d[0] + 2 * d[2], 4, 1e-12);
    assert_near(3 * d[1] + 3 * d[2], 9, 1e-12);
    double zero[] = {0, 0, 0, 0}, none[] = {0, 0};
    assert_int_equal(solve_semidefinite(zero, none, 2), 0);
}

/* ── Studies ── */

struct planted {
    double effect; /* of low decay (fp16) on the log probe */
    double shared; /* of the noise that probe and y have in common */
};

/* The fraction of METHOD with all probes; settings and blocks have effects of their own, which
 * must not count. */
static struct fixture_study *probe_study(int sizes, int seeds)
{
    struct fixture_study *study = fixture_open(fixture_half_fraction(sizes, seeds, 0));
    for (int p = 0; p < TABLE_PROBES; p++) {
        study->table->probe[p] = fixture_values((size_t)study->table->cells);
    }
    return study;
}

static void plant(struct fixture_study *study, const struct planted planted[TABLE_PROBES])
{
    const struct table *table = study->table;
    for (int s = 0; s < study->effects->sizes; s++) {
        for (int k = 0; k < study->design->seeds; k++) {
            double block = fixture_normal(study, 1);
            for (int i = 0; i < study->effects->settings; i++) {
                int c = design_cell(study->design, i, s, k);
                if (c < 0) {
                    continue;
                }
                const struct table_cell *cell = &table->cell[c];
                double own = fixture_normal(study, 1);
                study->y[c] = own + block + 0.7 * i;
                for (int p = 0; p < TABLE_PROBES; p++) {
                    bool worse = p == TABLE_GAIN_STD ? cell->precision == PRECISION_FP16
                                                     : cell->total_decay < 0.1;
                    table->probe[p][c] = (worse ? planted[p].effect : 0) + 3 * s + 2 * block +
                                         0.1 * fixture_normal(study, 1) +
                                         0.1 * planted[p].shared * own;
                }
            }
        }
    }
}

static void look(struct fixture_study *study, struct mechanism *mechanism)
{
    assert_int_equal(mechanism_of(&study->err, study->design, study->y, mechanism), STATUS_OK);
}

/* What two-way means leave of `values`, by removing them in turn until nothing changes. */
static void remove_in_turn(const struct fixture_study *study, const double *probe, double *values)
{
    for (int turn = 0; turn < 4000; turn++) {
        for (int s = 0; s < study->effects->sizes; s++) {
            int outer = turn % 2 == 0 ? study->effects->settings : study->design->seeds;
            int inner = turn % 2 == 0 ? study->design->seeds : study->effects->settings;
            for (int i = 0; i < outer; i++) {
                double sum = 0;
                int n = 0;
                for (int pass = 0; pass < 2; pass++) {
                    for (int j = 0; j < inner; j++) {
                        int cell = turn % 2 == 0 ? design_cell(study->design, i, s, j)
                                                 : design_cell(study->design, j, s, i);
                        if (!isfinite(study->y[cell]) || !isfinite(probe[cell])) {
                            continue;
                        }
                        if (pass == 0) {
                            sum += values[cell];
                            n++;
                        } else {
                            values[cell] -= sum / n;
                        }
                    }
                }
            }
        }
    }
}

static double correlation_by_hand(const struct fixture_study *study, const double *probe)
{
    int cells = study->table->cells;
    double x[512], y[512], xx = 0, xy = 0, yy = 0;
    assert_true(cells <= 512);
    memcpy(x, probe, (size_t)cells * sizeof *x);
    memcpy(y, study->y, (size_t)cells * sizeof *y);
    remove_in_turn(study, probe, x);
    remove_in_turn(study, probe, y);
    for (int i = 0; i < cells; i++) {
        if (isfinite(study->y[i]) && isfinite(probe[i])) {
            xx += x[i] * x[i];
            xy += x[i] * y[i];
            yy += y[i] * y[i];
        }
    }
    return xy / sqrt(xx * yy);
}

static void test_residual_correlation(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(SIZES, SEEDS);
    plant(study, (struct planted[]){{0.3, 1}, {0.3, -1}, {0.3, 0}});
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    for (int p = 0; p < TABLE_PROBES; p++) {
        assert_near(mechanism[p].r, correlation_by_hand(study, study->table->probe[p]), 1e-9);
        assert_int_equal(mechanism[p].r_df, SIZES * (SETTINGS - 1) * (SEEDS - 1) - 1);
        /* Fisher's z with 3 less than the observations of a plain correlation, which have a
         * mean's df more */
        double half = 1.959963984540054 / sqrt(mechanism[p].r_df - 1);
        assert_near(mechanism[p].r_low, tanh(atanh(mechanism[p].r) - half), 1e-9);
        assert_near(mechanism[p].r_high, tanh(atanh(mechanism[p].r) + half), 1e-9);
    }
    assert_true(mechanism[0].r > 0.5 && mechanism[1].r < -0.5);
    fixture_close(study);
}

static void test_gaps(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(SIZES, SEEDS);
    plant(study, (struct planted[]){{0.3, 1}, {0.3, 1}, {0.3, 1}});
    study->y[fixture_cell(study, 3, 0, 1)] = NAN;
    study->y[fixture_cell(study, 3, 0, 2)] = NAN;
    study->table->probe[TABLE_INPUT_STD][fixture_cell(study, 7, 1, 0)] = NAN;
    study->table->cell[fixture_cell(study, 9, 2, 3)].status = CELL_FAILED;
    study->y[fixture_cell(study, 9, 2, 3)] = NAN;
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    for (int p = 0; p < TABLE_PROBES; p++) {
        int missing = p == TABLE_INPUT_STD ? 4 : 3;
        assert_near(mechanism[p].r, correlation_by_hand(study, study->table->probe[p]), 1e-9);
        assert_int_equal(mechanism[p].r_df, SIZES * (SETTINGS - 1) * (SEEDS - 1) - missing - 1);
    }
    fixture_close(study);
}

/* Half of the settings at half of the seeds: two layouts in one size, and a df for each of their
 * means. */
static void test_unconnected(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(1, SEEDS);
    plant(study, (struct planted[]){{0, 1}, {0, 1}, {0, 1}});
    for (int i = 0; i < SETTINGS; i++) {
        for (int k = 0; k < SEEDS; k++) {
            if ((i < SETTINGS / 2) != (k < SEEDS / 2)) {
                study->y[fixture_cell(study, i, 0, k)] = NAN;
            }
        }
    }
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    assert_int_equal(mechanism[0].r_df, 2 * (SETTINGS / 2 - 1) * (SEEDS / 2 - 1) - 1);
    assert_near(mechanism[0].r, correlation_by_hand(study, study->table->probe[0]), 1e-9);
    fixture_close(study);
}

static void test_supported(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(SIZES, SEEDS);
    plant(study, (struct planted[]){{0.3, 1}, {0.3, 1}, {0.3, 1}});
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    const char *const text[] = {"total decay 0.005 − 0.5", "precision fp16 − bf16",
                                "total decay 0.005 − 0.5"};
    for (int p = 0; p < TABLE_PROBES; p++) {
        assert_true(mechanism[p].known);
        assert_true(mechanism[p].supported);
        assert_string_equal(mechanism[p].contrast, text[p]);
        assert_near(mechanism[p].ratio.interval.estimate, 0.3, 0.1);
    }
    /* each needs both, in the claimed direction */
    plant(study, (struct planted[]){{-0.3, 1}, {0.3, 0}, {0.3, -1}});
    look(study, mechanism);
    for (int p = 0; p < TABLE_PROBES; p++) {
        assert_false(mechanism[p].supported);
    }
    assert_true(mechanism[0].ratio_holm < 0.05 && mechanism[0].r_holm < 0.05);
    assert_true(mechanism[1].ratio_holm < 0.05);
    assert_true(mechanism[2].ratio_holm < 0.05 && mechanism[2].r_holm < 0.05);
    fixture_close(study);
}

/* Holm over all six: the smallest p counts six times, the largest once. */
static void test_holm(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(SIZES, SEEDS);
    plant(study, (struct planted[]){{0.05, 0}, {0, 0.1}, {0.02, 0}});
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    double least = 1, least_holm = NAN, most = 0, most_holm = NAN;
    for (int i = 0; i < 2 * TABLE_PROBES; i++) {
        const struct mechanism *one = &mechanism[i / 2];
        double p = i % 2 == 0 ? one->ratio.p : one->r_p;
        double holm = i % 2 == 0 ? one->ratio_holm : one->r_holm;
        assert_true(holm >= p);
        least_holm = p < least ? holm : least_holm;
        least = fmin(p, least);
        most_holm = p > most ? holm : most_holm;
        most = fmax(p, most);
    }
    assert_near(least_holm, fmin(1, 6 * least), 1e-12);
    assert_true(most_holm >= most);
    fixture_close(study);
}

static void test_unknown(void **state)
{
    (void)state;
    struct fixture_study *study = probe_study(SIZES, SEEDS);
    plant(study, (struct planted[]){{0.3, 1}, {0.3, 1}, {0.3, 1}});
    free(study->table->probe[TABLE_GAIN_STD]);
    study->table->probe[TABLE_GAIN_STD] = NULL;
    for (int i = 0; i < study->table->cells; i++) { /* the same in all runs: nothing to correlate */
        study->table->probe[TABLE_INPUT_STD][i] = 0.1;
    }
    struct mechanism mechanism[TABLE_PROBES];
    look(study, mechanism);
    assert_false(mechanism[TABLE_GAIN_STD].known);
    assert_true(isnan(mechanism[TABLE_GAIN_STD].r) && isnan(mechanism[TABLE_GAIN_STD].r_holm));
    assert_true(isnan(mechanism[TABLE_INPUT_STD].r));
    assert_false(mechanism[TABLE_INPUT_STD].supported);
    assert_true(mechanism[TABLE_WEIGHT_NORM].supported);
    fixture_close(study);
}

/* Unrelated noise is called a correlation in 5 % of studies, with cells missing too: the df are
 * right. */
static void test_level(void **state)
{
    (void)state;
    enum { STUDIES = 1500 };
    struct fixture_study *study = probe_study(2, 3);
    int found = 0;
    for (int i = 0; i < STUDIES; i++) {
        plant(study, (struct planted[]){{0, 0}, {0, 0}, {0, 0}});
        for (int k = 0; k < 24; k++) { /* a quarter of the runs */
            study->y[gsl_rng_uniform_int(study->rng, (unsigned long)study->table->cells)] = NAN;
        }
        struct mechanism mechanism[TABLE_PROBES];
        look(study, mechanism);
        for (int p = 0; p < TABLE_PROBES; p++) {
            found += mechanism[p].r_p < 0.05;
        }
    }
    print_message("level of the residual correlation: %.4f\n", found / (3.0 * STUDIES));
    assert_in_range(found, 0.04 * 3 * STUDIES, 0.06 * 3 * STUDIES);
    fixture_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solve),     cmocka_unit_test(test_residual_correlation),
        cmocka_unit_test(test_gaps),      cmocka_unit_test(test_unconnected),
        cmocka_unit_test(test_supported), cmocka_unit_test(test_holm),
        cmocka_unit_test(test_unknown),   cmocka_unit_test(test_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
