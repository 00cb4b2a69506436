/* Moments against their definitions, of known numbers, and in parts. */
#include "study/moments.h"
#include "tests/unit/study_fixture.h"

static void near(const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fabs(b))) {
        fail_msg("%s is %.17g, not %.17g", what, a, b);
    }
}

/* By definition, in long double. */
static void check(const struct moments *m, size_t n, const float *x, double tolerance)
{
    long double mean = 0, sums[5] = {0};
    for (size_t i = 0; i < n; i++) {
        mean += x[i];
        sums[0] += (long double)x[i] * x[i];
    }
    mean /= (long double)n;
    for (size_t i = 0; i < n; i++) {
        const long double d = x[i] - mean;
        sums[2] += d * d;
        sums[3] += d * d * d;
        sums[4] += d * d * d * d;
    }
    assert_true(m->n == (double)n);
    near("mean", m->mean, (double)mean, tolerance);
    near("m2", m->m2, (double)sums[2], tolerance);
    assert_true(fabs(m->m3 - (double)sums[3]) <= tolerance * pow((double)sums[2], 1.5));
    near("m4", m->m4, (double)sums[4], tolerance);
    near("std", moments_std(m), (double)sqrtl(sums[2] / (long double)n), tolerance);
    near("kurtosis", moments_kurtosis(m), (double)((long double)n * sums[4] / (sums[2] * sums[2])),
         tolerance);
    near("square sum", moments_square_sum(m), (double)sums[0], tolerance);
}

static void test_known(void **state)
{
    (void)state;
    const float dice[] = {1, 2, 3, 4, 5, 6}, coin[] = {-1, 1, 1, -1}, same[] = {3, 3, 3};
    struct moments m = moments_of(6, dice);
    assert_true(m.mean == 3.5 && m.m2 == 17.5);
    near("kurtosis of a die", moments_kurtosis(&m), 303.0 / 175, 1e-15);
    m = moments_of(4, coin);
    assert_true(m.mean == 0 && moments_std(&m) == 1 && moments_kurtosis(&m) == 1 && m.m3 == 0);
    m = moments_of(3, same);
    assert_true(moments_std(&m) == 0 && isnan(moments_kurtosis(&m)));
    assert_true(moments_square_sum(&m) == 27);
    m = moments_of(0, NULL);
    assert_true(m.n == 0 && m.m2 == 0);
}

/* Every length up to some vectors; the mean far from zero, and heavy tails. */
static void test_definition(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (size_t n = 2; n < 70; n++) {
        float *x = fixture_floats(&random, n, 2);
        struct moments m = moments_of(n, x);
        check(&m, n, x, 1e-12);
        for (size_t i = 0; i < n; i++) {
            x[i] = 1000 + x[i] * x[i] * x[i];
        }
        x[n / 2] = 1500;
        m = moments_of(n, x);
        check(&m, n, x, 1e-10);
        free(x);
    }
}

static void test_merge(void **state)
{
    (void)state;
    enum { N = 997 };
    uint64_t random = 4;
    float *x = fixture_floats(&random, N, 1);
    for (int i = 0; i < N; i++) {
        x[i] = x[i] * x[i] * x[i] + (i > 500 ? 7.0f : 0.0f);
    }
    const size_t cut[] = {1, 2, 10, 333, 0};
    for (int k = 0; k < 5; k++) {
        struct moments all = {0};
        for (size_t at = 0, part = cut[k] ? cut[k] : N; at < N; at += part) {
            const size_t n = N - at < part ? N - at : part;
            const struct moments one = moments_of(n, x + at), none = {0};
            all = moments_merge(&all, &one);
            all = moments_merge(&all, &none);
        }
        check(&all, N, x, 1e-11);
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
