/* Adaptive replication keeps its error rate: simulated studies, the same ones in every run. `replicate` does many more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bench/replication.h"

#include <math.h>

static struct replication_result simulate(const struct replication *replication)
{
    struct error err = {0};
    struct replication_result result;
    if (replication_run(&err, replication, &result) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    int ended = 0;
    for (int k = 0; k < replication->plan.count; k++) {
        ended += result.ended[k];
    }
    assert_int_equal(ended, replication->studies);
    return result;
}

/* At most so many of n, by chance four standard errors more. */
static int at_most(int n, double rate)
{
    return (int)floor(n * rate + 4 * sqrt(n * rate * (1 - rate)));
}

static void expect_rates(const struct replication *r, const struct replication_result *result)
{
    for (int h = 0; h < HYPOTHESES; h++) {
        assert_true(result->claim[h].ever <= at_most(r->studies, 0.05 / HYPOTHESES));
        assert_true(result->claim[h].missed <= result->claim[h].ever);
        assert_true(result->claim[h].wrong <= result->claim[h].missed);
    }
    assert_true(result->any_ever <= at_most(r->studies, 0.05));
    assert_true(result->any_wrong <= at_most(r->studies, 0.05));
}

static struct replication study(double effect, double slope, int studies)
{
    struct replication r = {.plan = {.count = 5, .seeds = {4, 6, 8, 12, 16}},
                            .sizes = 4,
                            .seed_sd = 0.1,
                            .residual_sd = 0.1,
                            .studies = studies,
                            .seed = 8};
    for (int h = 0; h < HYPOTHESES; h++) {
        r.effect[h] = h == H5 ? slope : effect;
    }
    return r;
}

static void nothing_planted(void **state)
{
    (void)state;
    const struct replication r = study(0, log(1.25), 1500);
    const struct replication_result result = simulate(&r);
    expect_rates(&r, &result);
    for (int h = 0; h < H5; h++) { /* one side of the interval */
        assert_true(result.claim[h].supported <= at_most(r.studies, 0.025 / HYPOTHESES));
    }
    assert_true(result.claim[H1].contradicted > 0.95 * r.studies); /* negligible */
}

static void effects_at_their_bounds(void **state)
{
    (void)state;
    const struct replication r = study(log(1.05), 0, 600);
    const struct replication_result result = simulate(&r);
    expect_rates(&r, &result);
}

/* Large effects are found at the first looks, and that is what the looks are for. */
static void large_effects(void **state)
{
    (void)state;
    const struct replication r = study(log(2), -1, 200);
    const struct replication_result result = simulate(&r);
    expect_rates(&r, &result);
    for (int h = 0; h < HYPOTHESES; h++) {
        assert_true(result.claim[h].supported > 0.99 * r.studies);
    }
    assert_true(result.seeds < 8);
}

/* One degree of freedom per size at the first look. */
static void few_degrees_of_freedom(void **state)
{
    (void)state;
    struct replication r = study(0, log(1.25), 1000);
    r.plan = (struct spec_looks){.count = 5, .seeds = {2, 3, 4, 6, 8}};
    r.sizes = 2;
    const struct replication_result result = simulate(&r);
    expect_rates(&r, &result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_planted),
        cmocka_unit_test(effects_at_their_bounds),
        cmocka_unit_test(large_effects),
        cmocka_unit_test(few_degrees_of_freedom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
