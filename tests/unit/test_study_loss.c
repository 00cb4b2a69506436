/* Cross-entropy, log-softmax and KL divergence against double and long double formulas. */
#include "tests/unit/study_fixture.h"

enum { SIZES = 10 };

/* Vocabularies with every kind of tail. */
static const int sizes[SIZES] = {2, 3, 5, 7, 16, 17, 33, 96, 255, 256};

/* Cross-entropy and its gradient ============================================================== */

static void check_cross_entropy(const struct kernels *k, int v, float spread, float shift)
{
    enum { ROWS = 4 };
    const size_t n = (size_t)ROWS * v;
    const float scale = 0.125f;
    uint64_t seed = 77 + v;
    float *logits = fixture_floats(&seed, n, spread), loss[ROWS];
    double *gradient = fixture_doubles(n), want[ROWS];
    uint32_t targets[ROWS];
    for (int r = 0; r < ROWS; r++) {
        float *x = logits + (size_t)r * v;
        double sum = 0;
        targets[r] = (uint32_t)(r == 0 ? 0 : r == 1 ? v - 1 : (int)(fixture_bits(&seed) % v));
        for (int i = 0; i < v; i++) {
            x[i] += shift;
            sum += exp((double)x[i] - shift);
        }
        want[r] = log(sum) + shift - x[targets[r]];
        for (int i = 0; i < v; i++) {
            gradient[(size_t)r * v + i] =
                scale * (exp((double)x[i] - shift) / sum - (i == (int)targets[r]));
        }
    }
    float *full = fixture_copy(n, logits), *half = malloc(n * sizeof *half);
    k->cross_entropy(PRECISION_FP32, ROWS, v, targets, scale, full, loss);
    fixture_near("loss", ROWS, loss, want, 1e-5);
    fixture_near("gradient of the loss", n, full, gradient, 1e-5);
    for (int p = 1; p < 3; p++) {
        float *rounded = malloc(n * sizeof *rounded), again[ROWS];
        memcpy(half, logits, n * sizeof *half);
        k->cross_entropy(fixture_precision[p], ROWS, v, targets, scale, half, again);
        fixture_same_bits("loss", ROWS, loss, again);
        k->round(fixture_precision[p], n, full, rounded);
        fixture_same_bits("gradient of the loss", n, rounded, half);
        free(rounded);
    }
    free(logits), free(gradient), free(full), free(half);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int s = 0; s < SIZES; s++) {
            check_cross_entropy(k, sizes[s], 4, 0);
            check_cross_entropy(k, sizes[s], 60, 0);
        }
    }
}

/* Only differences of logits count: what they have in common costs no digits. */
static void test_cross_entropy_shift(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int s = 0; s < SIZES; s++) {
            check_cross_entropy(k, sizes[s], 4, 1024);
            check_cross_entropy(k, sizes[s], 4, -1024);
        }
    }
}

/* Logits far apart stay finite; logits that are not numbers give a loss that is none. */
static void test_cross_entropy_extremes(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        float x[5] = {0, 1e30f, -1e30f, 5, 1}, loss;
        const uint32_t right = 1, wrong = 2;
        k->cross_entropy(PRECISION_FP32, 1, 5, &right, 1, x, &loss);
        assert_true(loss == 0);
        for (int i = 0; i < 5; i++) {
            assert_true(fabsf(x[i]) < 1e-30f);
        }
        float y[5] = {0, 1e30f, -1e30f, 5, 1};
        k->cross_entropy(PRECISION_FP32, 1, 5, &wrong, 1, y, &loss);
        assert_true(fabsf(loss - 2e30f) < 1e24f);
        assert_true(y[1] == 1 && y[2] == -1);
        for (int at = 0; at < 5; at++) {
            for (int kind = 0; kind < 2; kind++) {
                float bad[5] = {0, 1, 2, 3, 4};
                bad[at] = kind ? NAN : INFINITY;
                k->cross_entropy(PRECISION_FP32, 1, 5, &right, 1, bad, &loss);
                assert_false(isfinite(loss));
            }
        }
    }
}

/* Log-softmax ================================================================================= */

static void long_log_softmax(int v, const double *logits, long double *log_p)
{
    long double max = logits[0], sum = 0;
    for (int i = 1; i < v; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    for (int i = 0; i < v; i++) {
        sum += expl(logits[i] - max);
    }
    for (int i = 0; i < v; i++) {
        log_p[i] = logits[i] - max - logl(sum);
    }
}

static void check_log_softmax(const struct kernels *k, int v, float spread)
{
    uint64_t seed = 99 + v;
    float *logits = fixture_floats(&seed, v, spread);
    double *wide = fixture_doubles(v), *log_p = fixture_doubles(v);
    long double *want = calloc(v, sizeof *want);
    int first = 0;
    for (int i = 0; i < v; i++) {
        wide[i] = logits[i];
        first = logits[i] > logits[first] ? i : first;
    }
    long_log_softmax(v, wide, want);
    assert_int_equal(k->log_softmax(v, logits, log_p), first);
    for (int i = 0; i < v; i++) {
        if (!(fabsl(log_p[i] - want[i]) <= 1e-15L * fabsl(want[i]) + 1e-15L)) {
            fail_msg("%s: log p[%d] of %d is %.17g, not %.17Lg", k->name, i, v, log_p[i], want[i]);
        }
    }
    free(logits), free(wide), free(log_p), free(want);
}

static void test_log_softmax(void **state)
{
    (void)state;
    static const float spreads[] = {1e-6f, 1, 30, 1e4f, 3e38f};
    FOR_EACH_ISA(k)
    {
        for (int s = 0; s < SIZES; s++) {
            for (int i = 0; i < 5; i++) {
                check_log_softmax(k, sizes[s], spreads[i]);
            }
        }
        float one = 42;
        double log_p = 1;
        assert_int_equal(k->log_softmax(1, &one, &log_p), 0);
        assert_true(log_p == 0);
        const float ties[7] = {1, 5, 2, 5, 5, -1, 0};
        double out[7];
        assert_int_equal(k->log_softmax(7, ties, out), 1);
    }
}

/* KL ========================================================================================== */

struct pair {
    int v;
    double *log_p, *log_q;
};

/* Two distributions: log-softmax of random logits of this spread, and of the same plus a difference. */
static struct pair pair_create(int v, double spread, double difference, uint64_t seed)
{
    struct pair pair = {.v = v, .log_p = fixture_doubles(v), .log_q = fixture_doubles(v)};
    double *logits = fixture_doubles(v);
    long double *out = calloc(v, sizeof *out);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < v; i++) {
            logits[i] = side ? logits[i] + difference * (double)fixture_uniform(&seed)
                             : spread * (double)fixture_uniform(&seed);
        }
        long_log_softmax(v, logits, out);
        for (int i = 0; i < v; i++) {
            (side ? pair.log_q : pair.log_p)[i] = (double)out[i];
        }
    }
    free(logits), free(out);
    return pair;
}

static void pair_free(struct pair *pair)
{
    free(pair->log_p), free(pair->log_q);
}

/*
 * p·(d + expm1(−d)), METHOD §4's summand, in long double. Near d = 0 by its series, since even long double would cancel; else as
 * p·d + q − p, which does not leave the numbers where p is 0.
 */
static long double long_summand(double log_p, double log_q)
{
    const long double p = expl(log_p), d = (long double)log_p - log_q;
    if (fabsl(d) > 0.01L) {
        return p * d + expl(log_q) - p;
    }
    long double term = d * d / 2, sum = 0;
    for (int i = 3; i < 14; i++) {
        sum += term;
        term *= -d / i;
    }
    return p * sum;
}

static long double long_kl(const struct pair *pair)
{
    long double sum = 0;
    for (int i = 0; i < pair->v; i++) {
        sum += long_summand(pair->log_p[i], pair->log_q[i]);
    }
    return sum;
}

/* The kernel's, of logarithms and their exponentials. */
static double kl_of(const struct kernels *k, int v, const double *log_p, const double *log_q)
{
    double *p = fixture_doubles(v), *q = fixture_doubles(v);
    k->exponentials((size_t)v, log_p, p);
    k->exponentials((size_t)v, log_q, q);
    const double kl = k->kl(v, log_p, log_q, p, q);
    free(p), free(q);
    return kl;
}

static void check_kl(const struct kernels *k, const struct pair *pair, double tolerance)
{
    const double kl = kl_of(k, pair->v, pair->log_p, pair->log_q);
    const long double want = long_kl(pair);
    if (!(kl >= 0 && fabsl(kl - want) <= tolerance * want)) {
        fail_msg("%s: KL over %d tokens is %.17g, not %.17Lg", k->name, pair->v, kl, want);
    }
}

static void test_kl(void **state)
{
    (void)state;
    static const double differences[] = {20, 3, 1, 0.3, 0.03, 1e-4, 1e-7, 1e-9};
    FOR_EACH_ISA(k)
    {
        for (int s = 0; s < SIZES; s++) {
            for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
                struct pair pair = pair_create(sizes[s], 5, differences[i], 5 * i + s);
                check_kl(k, &pair, 1e-12);
                pair_free(&pair);
            }
        }
    }
}

/* By the definition Σ p·(log p − log q), where that has digits left. */
static void test_kl_definition(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        struct pair pair = pair_create(256, 5, 2, 123);
        long double sum = 0;
        for (int i = 0; i < pair.v; i++) {
            sum += expl(pair.log_p[i]) * ((long double)pair.log_p[i] - pair.log_q[i]);
        }
        assert_true(fabsl(kl_of(k, pair.v, pair.log_p, pair.log_q) - sum) < 1e-13L * sum);
        pair_free(&pair);
    }
}

/* Differences d near 1e-9 and below: KL is ½ Σ p·d², which Σ p·d in doubles could not see. */
static void test_kl_second_order(void **state)
{
    (void)state;
    static const double differences[] = {1e-6, 1e-8, 1e-9, 1e-11, 1e-14};
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
            struct pair pair = pair_create(255, 3, differences[i], 31 + i);
            long double half = 0;
            for (int t = 0; t < pair.v; t++) {
                const long double d = (long double)pair.log_p[t] - pair.log_q[t];
                half += expl(pair.log_p[t]) * d * d / 2;
            }
            const double kl = kl_of(k, pair.v, pair.log_p, pair.log_q);
            assert_true(half > 0 && fabsl(kl - half) <= 1e-6L * half);
            pair_free(&pair);
        }
    }
}

/* Never negative, and zero for equal distributions, whatever the rounding of log p did. */
static void test_kl_sign(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (uint64_t seed = 0; seed < 2000; seed++) {
            const int v = 1 + (int)(seed % 70);
            struct pair pair =
                pair_create(v, 0.1 * (double)(seed % 400), pow(10, -(double)(seed % 19)), seed);
            assert_true(kl_of(k, v, pair.log_p, pair.log_q) >= 0);
            assert_true(kl_of(k, v, pair.log_p, pair.log_p) == 0);
            pair_free(&pair);
        }
    }
}

/* Distributions that are almost sure of their token: log p and log q hundreds or thousands of nats apart. */
static void test_kl_far_apart(void **state)
{
    (void)state;
    static const double logits[][2][3] = {
        {{0, 0, -3}, {0, -600, -3}},          /* q all but excludes a likely token */
        {{0, -600, -3}, {0, 0, -3}},          /* the other way round */
        {{0, 0, -3}, {0, -2000, -3}},         /* further than exp reaches in a double */
        {{0, -1500, -1}, {0, -50, -1}},       /* a token that p excludes and q almost does */
        {{0, -1500, -800}, {0, -1400, -750}}, /* both exclude it: nothing is lost */
        {{0, -1e4, -2e4}, {-1e4, 0, -2e4}},   /* sure of different tokens */
        {{0, -1e30, -2e30}, {0, -2e30, -1e30}},
    };
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < sizeof logits / sizeof logits[0]; i++) {
            long double out[3];
            struct pair pair = {.v = 3, .log_p = fixture_doubles(3), .log_q = fixture_doubles(3)};
            for (int side = 0; side < 2; side++) {
                long_log_softmax(3, logits[i][side], out);
                for (int t = 0; t < 3; t++) {
                    (side ? pair.log_q : pair.log_p)[t] = (double)out[t];
                }
            }
            const double kl = kl_of(k, 3, pair.log_p, pair.log_q);
            const long double want = long_kl(&pair);
            if (!(fabsl(kl - want) <= 1e-12L * want + 1e-30L)) {
                fail_msg("%s, case %zu: KL is %.9g, not %.9Lg", k->name, i, kl, want);
            }
            pair_free(&pair);
        }
    }
}

/* exp over all of its range, densely, and where it ends. */
static void test_exponentials(void **state)
{
    (void)state;
    enum { N = 1000001 };
    double *x = fixture_doubles(N), *y = fixture_doubles(N);
    FOR_EACH_ISA(k)
    {
        for (int near = 0; near < 2; near++) {
            const double step = (near ? 2.0 : 1416.0) / (N - 1);
            for (int i = 0; i < N; i++) {
                x[i] = (i - N / 2) * step;
            }
            k->exponentials(N, x, y);
            for (int i = 0; i < N; i++) {
                const long double want = expl(x[i]);
                if (!(fabsl(y[i] - want) <= 4e-16L * want)) {
                    fail_msg("%s: exp(%.17g) is %.17g, not %.17Lg", k->name, x[i], y[i], want);
                }
            }
        }
        const double ends[4] = {-1e300, 1e300, -INFINITY, NAN};
        k->exponentials(4, ends, y);
        assert_true(y[0] < 1e-307 && y[1] > 1e307 && y[2] < 1e-307 && isnan(y[3]));
    }
    free(x), free(y);
}

/* Divergence of two rows of logits, KL and gain against long double. */
static void check_divergence(const struct kernels *k, int v, const float *full, const float *other,
                             double tolerance)
{
    double *log_p = fixture_doubles(v), *p = fixture_doubles(v), *scratch = fixture_doubles(3 * v);
    double *wide[2] = {fixture_doubles(v), fixture_doubles(v)}, gain, kl, largest = 0;
    long double *want[2] = {calloc(v, sizeof **want), calloc(v, sizeof **want)}, sum = 0;
    k->log_softmax(v, full, log_p);
    k->exponentials((size_t)v, log_p, p);
    for (int i = 0; i < v; i++) {
        largest = fmax(largest, fabs((double)other[i] - full[i]));
        wide[0][i] = full[i];
        wide[1][i] = other[i];
    }
    long_log_softmax(v, wide[0], want[0]);
    long_log_softmax(v, wide[1], want[1]);
    for (int i = 0; i < v; i++) {
        const long double d = want[0][i] - want[1][i];
        long double term = d * d / 2, series = 0; /* as in long_summand */
        for (int t = 3; t < 14; t++) {
            series += term;
            term *= -d / t;
        }
        sum += fabsl(d) > 0.01L ? expl(want[0][i]) * d + expl(want[1][i]) - expl(want[0][i])
                                : expl(want[0][i]) * series;
    }
    const int first = k->log_softmax(v, other, scratch);
    for (int target = 0; target < v; target += v / 2 + 1) {
        assert_int_equal(k->divergence(v, other, full, p, target, scratch, &gain, &kl), first);
        const long double right = want[1][target] - want[0][target];
        if (!(kl >= 0 && fabsl(kl - sum) <= tolerance * sum + 1e-30L)) {
            fail_msg("%s: KL over %d tokens is %.17g, not %.17Lg", k->name, v, kl, sum);
        }
        if (!(fabsl(gain - right) <= 1e-15L * (1 + largest))) {
            fail_msg("%s: gain over %d tokens is %.17g, not %.17Lg", k->name, v, gain, right);
        }
    }
    free(log_p), free(p), free(scratch), free(wide[0]), free(wide[1]), free(want[0]), free(want[1]);
}

/* Logits that differ by little, by what divides the exponential's two ways, and by much; also where all of them are shifted. */
static void test_divergence(void **state)
{
    (void)state;
    static const float differences[] = {1e-5f, 1e-3f, 0.03f, 0.3f, 0.36f, 3, 60, 290, 320, 1e4f};
    FOR_EACH_ISA(k)
    {
        for (int s = 0; s < SIZES * 20; s++) {
            const int v = sizes[s % SIZES];
            uint64_t seed = (uint64_t)s;
            float *full = fixture_floats(&seed, v, 8), *other = fixture_copy(v, full);
            for (size_t d = 0; d < sizeof differences / sizeof differences[0]; d++) {
                for (int i = 0; i < v; i++) {
                    other[i] = full[i] + differences[d] * fixture_uniform(&seed);
                    other[i] += s % 3 ? 0 : 40;
                }
                other[v / 2] = other[0]; /* the first of two that are as large */
                check_divergence(k, v, full, other, 1e-11);
            }
            double p[256], log_p[256], scratch[3 * 256], gain, kl;
            k->log_softmax(v, full, log_p);
            k->exponentials((size_t)v, log_p, p);
            k->divergence(v, full, full, p, 0, scratch, &gain, &kl);
            assert_true(kl == 0 && gain == 0);
            free(full), free(other);
        }
    }
}

/* The summand p·(e^x − 1 − x) densely over x, where both tokens are as likely: x is ± half the difference. */
static void test_divergence_dense(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int i = 1; i <= 20000; i++) {
            const float full[2] = {0, 0}, other[2] = {(float)i * 1e-4f, 0};
            check_divergence(k, 2, full, other, 2e-15 + 1e-15 / other[0]);
        }
    }
}

/* Rows that are sure of their tokens, further apart than doubles reach, or no numbers at all. */
static void test_divergence_far(void **state)
{
    (void)state;
    static const float logits[][2][3] = {
        {{0, 0, -3}, {0, -600, -3}},
        {{0, -600, -3}, {0, 0, -3}},
        {{0, 0, -3}, {0, -2000, -3}},
        {{0, -1500, -1}, {0, -50, -1}},
        {{0, -1500, -800}, {0, -1400, -750}},
        {{0, -1e4f, -2e4f}, {-1e4f, 0, -2e4f}},
        {{0, -1e30f, -2e30f}, {0, -2e30f, -1e30f}},
    };
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < sizeof logits / sizeof logits[0]; i++) {
            check_divergence(k, 3, logits[i][0], logits[i][1], 1e-12);
        }
        for (int at = 0; at < 3; at++) {
            for (int kind = 0; kind < 2; kind++) {
                const float full[3] = {0, 1, 2};
                float other[3] = {0, 1, 2};
                double p[3], log_p[3], scratch[9], gain, kl;
                k->log_softmax(3, full, log_p);
                k->exponentials(3, log_p, p);
                other[at] = kind ? NAN : INFINITY;
                k->divergence(3, other, full, p, 0, scratch, &gain, &kl);
                assert_false(isfinite(kl) && isfinite(gain));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_cross_entropy_shift),
        cmocka_unit_test(test_cross_entropy_extremes),
        cmocka_unit_test(test_log_softmax),
        cmocka_unit_test(test_kl),
        cmocka_unit_test(test_kl_definition),
        cmocka_unit_test(test_kl_second_order),
        cmocka_unit_test(test_kl_sign),
        cmocka_unit_test(test_kl_far_apart),
        cmocka_unit_test(test_exponentials),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_divergence_dense),
        cmocka_unit_test(test_divergence_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
