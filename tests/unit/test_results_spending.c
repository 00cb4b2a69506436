/* Alpha spending: published bounds, what is spent, and a simulation of the looks. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "results/spending.h"
#include "tests/unit/jobs_fixture.h"

/* DeMets & Lan (1994), and R's ldBounds: O'Brien-Fleming spending, two-sided 0.05, equal steps. */
static void published_bounds(void **state)
{
    (void)state;
    static const struct {
        int looks;
        double bound[10];
    } published[] = {
        {1, {1.960}},
        {2, {2.963, 1.969}},
        {3, {3.710, 2.511, 1.993}},
        {4, {4.333, 2.963, 2.359, 2.014}},
        {5, {4.877, 3.357, 2.680, 2.290, 2.031}},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const int looks = published[i].looks;
        double fraction[10];
        struct spending spending[10];
        for (int k = 0; k < looks; k++) {
            fraction[k] = (k + 1.0) / looks;
        }
        spending_looks(fraction, looks, 0.05, spending);
        for (int k = 0; k < looks; k++) {
            assert_near(spending[k].bound, published[i].bound[k], 6e-4);
            assert_near(spending[k].level, 2 * gsl_cdf_ugaussian_Q(spending[k].bound), 1e-15);
        }
        assert_near(spending[looks - 1].spent, 0.05, 1e-12);
    }
}

/* Steps of 1/256 beside steps of a half, and looks at which next to nothing can be spent. */
static void odd_plans(void **state)
{
    (void)state;
    const struct spec_looks plan = {.count = 6, .seeds = {2, 4, 128, 254, 255, 256}};
    struct spending spending[SPEC_LOOKS];
    spending_plan(&plan, 0.05 / 7, spending);
    assert_true(spending[0].level < 1e-200 && spending[0].bound > 30);
    for (int k = 1; k < plan.count; k++) {
        assert_true(spending[k].spent >= spending[k - 1].spent);
    }
    assert_near(spending[5].spent, 0.05 / 7, 1e-12);
    /* Splitting the grid differently gives the same: a look in between that spends next to nothing. */
    const double fraction[] = {0.5, 1}, more[] = {0.02, 0.5, 1};
    struct spending two[2], three[3];
    spending_looks(fraction, 2, 0.05, two);
    spending_looks(more, 3, 0.05, three);
    assert_near(two[0].bound, three[1].bound, 1e-6);
    assert_near(two[1].bound, three[2].bound, 1e-6);
}

/* The walk leaves the bounds for the first time as often as it may. */
static void simulate(const struct spec_looks *plan, double alpha, int walks)
{
    struct spending spending[SPEC_LOOKS];
    int left[SPEC_LOOKS] = {0};
    gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(random, 8);
    spending_plan(plan, alpha, spending);
    for (int i = 0; i < walks; i++) {
        double sum = 0, before = 0;
        for (int k = 0; k < plan->count; k++) {
            sum += gsl_ran_gaussian(random, sqrt(plan->seeds[k] - before));
            before = plan->seeds[k];
            if (fabs(sum) / sqrt(before) >= spending[k].bound) {
                left[k]++;
                break;
            }
        }
    }
    double before = 0;
    for (int k = 0; k < plan->count; k++) { /* within four standard errors */
        const double expected = walks * (spending[k].spent - before);
        assert_near(left[k], expected, 4 * sqrt(expected) + 1);
        before = spending[k].spent;
    }
    assert_near(before, alpha, 1e-12);
    gsl_rng_free(random);
}

static void simulation(void **state)
{
    (void)state;
    const struct spec_looks usual = {.count = 5, .seeds = {4, 6, 8, 12, 16}};
    const struct spec_looks odd = {.count = 6, .seeds = {2, 4, 128, 254, 255, 256}};
    simulate(&usual, 0.05 / 7, 400000);
    simulate(&odd, 0.05, 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_bounds),
        cmocka_unit_test(odd_plans),
        cmocka_unit_test(simulation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
