/* Shares: estimates by hand, intervals by what they must obey. That they cover: build/coverage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

#include "results/shares.h"

static void assert_close(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance)) {
        fail_msg("%.17g is not %.17g", value, expected);
    }
}

/* 4 sizes × 4 seeds × 16 settings with these mean squares. */
static struct anova made(double size, double seed, double effects, double by_size, double residual)
{
    struct anova anova = {.cells = 256, .sizes = 4, .blocks = 16, .per_seed = 16};
    const int df[ANOVA_KINDS] = {3, 12, 5, 10, 15, 30, 180};
    const double ms[ANOVA_KINDS] = {size, seed, effects, effects, by_size, by_size, residual};
    for (int k = 0; k < ANOVA_KINDS; k++) {
        anova.kind[k] = (struct anova_term){
            .kind = (enum anova_kind)k, .f = -1, .g = -1, df[k], df[k] * ms[k], ms[k], NAN, NAN};
    }
    for (int f = 0; f < 5; f++) {
        anova.term[anova.terms++] =
            (struct anova_term){ANOVA_FACTOR, f, -1, 1, (1 + f) * effects, effects, NAN, NAN};
    }
    return anova;
}

static void estimates(void **state)
{
    (void)state;
    struct anova anova = made(100, 20, 40, 8, 4);
    struct shares shares;
    assert_int_equal(shares_of(NULL, &anova, 2000, &shares), STATUS_OK);
    /* (300 − 3·20)/256, (600 − 15·4)/256, (360 − 45·4)/256, (20 − 4)/16 + 4 */
    const double variance[] = {240.0 / 256, 540.0 / 256, 180.0 / 256, 5};
    double total = 0, sum = 0;
    for (int s = 0; s < SHARES; s++) {
        total += variance[s];
    }
    for (int s = 0; s < SHARES; s++) {
        assert_close(shares.variance[s], variance[s], 1e-12);
        assert_close(shares.share[s].estimate, variance[s] / total, 1e-12);
        assert_true(shares.share[s].low < shares.share[s].estimate);
        assert_true(shares.share[s].high > shares.share[s].estimate);
        sum += shares.share[s].estimate;
    }
    assert_close(sum, 1, 1e-12);
    assert_close(shares.optimization_less_scale.estimate, 300.0 / 256 / total, 1e-12);
    assert_close(shares.of_factor[1], (2 * 40.0 - 4) / 256 / total, 1e-12);
    assert_string_equal(share_name(SHARE_INTERACTION), "scale × optimization");
}

/* No more between sizes than seeds explain: the estimate is negative, and the interval reaches it. */
static void untruncated(void **state)
{
    (void)state;
    struct anova anova = made(4, 20, 40, 2, 4);
    struct shares shares;
    assert_int_equal(shares_of(NULL, &anova, 2000, &shares), STATUS_OK);
    assert_true(shares.share[SHARE_SCALE].estimate < 0);
    assert_true(shares.share[SHARE_SCALE].low < shares.share[SHARE_SCALE].estimate);
    assert_true(shares.share[SHARE_SCALE].high > 0);
    assert_true(shares.share[SHARE_INTERACTION].estimate < 0);
    assert_true(shares.share[SHARE_INTERACTION].high >= 0);
    assert_true(shares.optimization_less_scale.low > 0);
}

static void deterministic(void **state)
{
    (void)state;
    struct anova anova = made(100, 20, 40, 8, 4);
    struct shares first, again, many;
    assert_int_equal(shares_of(NULL, &anova, 1000, &first), STATUS_OK);
    assert_int_equal(shares_of(NULL, &anova, 1000, &again), STATUS_OK);
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_equal(shares_of(NULL, &anova, 40000, &many), STATUS_OK);
    assert_int_equal(many.draws, 40000);
    for (int s = 0; s < SHARES; s++) {
        assert_close(first.share[s].low, many.share[s].low, 0.05);
        assert_close(first.share[s].high, many.share[s].high, 0.05);
    }
}

/* Hardly any noise beside the seeds': the noise share's ends are those of SS/χ² by its quantiles. */
static void exact_in_one_component(void **state)
{
    (void)state;
    struct anova anova = made(20, 20, 1e-9, 1e-9, 1e-9);
    struct shares shares;
    anova.kind[ANOVA_SIZE].ss = 1e4 * 3 * 20; /* scale is known well against the seeds */
    assert_int_equal(shares_of(NULL, &anova, 200000, &shares), STATUS_OK);
    double least = 12 * 20 / gsl_cdf_chisq_Pinv(0.975, 12) / 16;
    double most = 12 * 20 / gsl_cdf_chisq_Pinv(0.025, 12) / 16;
    double scale = anova.kind[ANOVA_SIZE].ss / 256;
    assert_close(shares.share[SHARE_SEED].low * scale, least, 0.01 * least);
    assert_close(shares.share[SHARE_SEED].high * scale, most, 0.02 * most);
}

/* No error of seeds or cells, one size, a factor that never changed: there is nothing to share. */
static void unknown(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++) {
        struct anova anova = made(100, 20, 40, 8, 4);
        struct anova_term *term = &anova.kind[k == 0   ? ANOVA_SEED
                                              : k == 1 ? ANOVA_RESIDUAL
                                              : k == 2 ? ANOVA_SIZE
                                                       : ANOVA_SIZE_FACTOR];
        term = k == 4 ? &anova.term[3] : term;
        *term = (struct anova_term){
            .kind = term->kind, .f = term->f, .g = -1, .ms = NAN, .F = NAN, .p = NAN};
        struct shares shares;
        assert_int_equal(shares_of(NULL, &anova, 100, &shares), STATUS_OK);
        assert_true(isnan(shares.share[SHARE_SEED].estimate));
        assert_true(isnan(shares.share[SHARE_OPTIMIZATION].low));
        assert_true(isnan(shares.optimization_less_scale.high));
        assert_true(isnan(shares.of_factor[0]));
    }
}

/* Noncentral χ² as a Poisson mixture of central ones. */
static double noncentral(double x, int df, double lambda)
{
    double weight = exp(-lambda / 2), sum = 0;
    for (int j = 0; j < 400; j++) {
        sum += weight * gsl_cdf_chisq_P(x, df + 2 * j);
        weight *= lambda / 2 / (j + 1);
    }
    return sum;
}

static void noncentrality(void **state)
{
    (void)state;
    const double z[] = {-2.5758, -1.96, -0.5, 0, 0.5, 1.96, 2.5758};
    const int df[] = {1, 2, 3, 15, 45};
    for (int d = 0; d < 5; d++) {
        for (double x = df[d] / 4.0; x < 200; x *= 1.3) {
            for (int i = 0; i < 7; i++) {
                double lambda = noncentral_lambda(x, df[d], z[i]);
                double p = gsl_cdf_ugaussian_P(z[i]), central = gsl_cdf_chisq_P(x, df[d]);
                double tail = fmin(p, 1 - p) < 0.03 ? 0.0025 : 0.0115;
                if (lambda > 0) {
                    assert_close(noncentral(x, df[d], lambda), p, df[d] < 15 ? tail : 4e-4);
                } else {
                    assert_true(central <= p + tail);
                    assert_true(lambda >= -df[d]);
                }
            }
        }
    }
    /* continuous and falling through 0 */
    for (double z0 = -4; z0 < 4; z0 += 0.01) {
        double step = noncentral_lambda(6, 3, z0) - noncentral_lambda(6, 3, z0 + 0.01);
        assert_true(step >= 0 && step < 0.3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates),     cmocka_unit_test(untruncated),
        cmocka_unit_test(deterministic), cmocka_unit_test(exact_in_one_component),
        cmocka_unit_test(unknown),       cmocka_unit_test(noncentrality),
    };
    return cmocka_run_group_tests_name("results_shares", tests, NULL, NULL);
}
