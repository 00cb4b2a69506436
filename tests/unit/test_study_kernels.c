/* Element-wise kernels, sums, dropout and AdamW against plain double loops. */
#include "tests/unit/study_fixture.h"

#include <stdio.h>

enum { WIDTHS = 5, ROWS = 5 };

static const int widths[WIDTHS] = {1, 7, 16, 33, 96};

/* Dropout ===================================================================================== */

static void test_dropout_frequency(void **state)
{
    (void)state;
    enum { SEQUENCES = 10, EACH = 40001, N = SEQUENCES * EACH };
    static const double ps[] = {0.001, 0.1, 0.4, 0.8};
    uint8_t *mask = malloc(N);
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < sizeof ps / sizeof ps[0]; i++) {
            const double p = ps[i];
            const struct dropout_key key = {.seed = 7 + i, .step = 3, .sequence = 1, .site = 2};
            size_t dropped = 0;
            k->dropout_mask(key, p, SEQUENCES, EACH, mask);
            for (size_t e = 0; e < N; e++) {
                assert_true(mask[e] <= 1);
                dropped += mask[e] == 0;
            }
            const double sigma = sqrt(p * (1 - p) / N), share = (double)dropped / N;
            if (!(fabs(share - p) < 5 * sigma)) {
                fail_msg("%s: dropout %g drops %.6f", k->name, p, share);
            }
        }
        k->dropout_mask((struct dropout_key){.seed = 1}, 0, SEQUENCES, EACH, mask);
        assert_null(memchr(mask, 0, N));
    }
    free(mask);
}

/* The same key gives the same mask on every instruction set; each part of the key changes it as if drawn anew. */
static void test_dropout_keys(void **state)
{
    (void)state;
    enum { N = 40003 };
    const double p = 0.3;
    const struct dropout_key keys[] = {
        {.seed = 7, .step = 3, .sequence = 1, .site = 2},
        {.seed = 8, .step = 3, .sequence = 1, .site = 2},
        {.seed = 7 + (1ull << 32), .step = 3, .sequence = 1, .site = 2},
        {.seed = 7, .step = 4, .sequence = 1, .site = 2},
        {.seed = 7, .step = 3, .sequence = 2, .site = 2},
        {.seed = 7, .step = 3, .sequence = 1, .site = 3},
        {.seed = 7, .step = 1, .sequence = 3, .site = 2},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    uint8_t *mask = malloc(KEYS * N), *again = malloc(N);
    for (int i = 0; i < KEYS; i++) {
        kernels_named("baseline")->dropout_mask(keys[i], p, 1, N, mask + i * N);
        FOR_EACH_ISA(k)
        {
            k->dropout_mask(keys[i], p, 1, N, again);
            assert_memory_equal(mask + i * N, again, N);
        }
        for (int j = 0; j < i; j++) {
            size_t different = 0;
            for (int e = 0; e < N; e++) {
                different += mask[i * N + e] != mask[j * N + e];
            }
            const double q = 2 * p * (1 - p), share = (double)different / N;
            assert_true(fabs(share - q) < 5 * sqrt(q * (1 - q) / N));
        }
    }
    free(mask);
    free(again);
}

/* Sequences 4 … 11 drawn at once are sequences drawn in parts: masks do not depend on who draws them. */
static void test_dropout_split(void **state)
{
    (void)state;
    enum { EACH = 77, SEQUENCES = 8 };
    uint8_t whole[SEQUENCES * EACH], part[SEQUENCES * EACH];
    FOR_EACH_ISA(k)
    {
        struct dropout_key key = {.seed = 11, .step = 5, .sequence = 4, .site = 9};
        k->dropout_mask(key, 0.5, SEQUENCES, EACH, whole);
        for (int size = 1; size <= SEQUENCES; size *= 2) {
            for (int s = 0; s < SEQUENCES; s += size) {
                key.sequence = 4 + (uint32_t)s;
                k->dropout_mask(key, 0.5, size, EACH, part + s * EACH);
            }
            assert_memory_equal(whole, part, sizeof whole);
        }
    }
}

/* Element-wise ================================================================================ */

static uint8_t *random_mask(uint64_t *seed, size_t n)
{
    uint8_t *mask = malloc(n);
    for (size_t i = 0; i < n; i++) {
        mask[i] = fixture_bits(seed) % 3 > 0;
    }
    return mask;
}

/* Which of the operands that may be absent are there: 0 b1; 1 b1, b2; 2 b1 masked; 3 both masked. */
static void check_residual(const struct kernels *k, size_t n, int which)
{
    uint64_t seed = n + which;
    float *x = fixture_floats(&seed, n, 1), *b1 = fixture_floats(&seed, n, 1);
    float *b2 = fixture_floats(&seed, n, 1), *y = malloc(n * sizeof *y), *z = malloc(n * sizeof *z);
    uint8_t *m1 = random_mask(&seed, n), *m2 = random_mask(&seed, n);
    double *want = fixture_doubles(n);
    const float scale = 1.0f / 0.7f;
    for (size_t i = 0; i < n; i++) {
        want[i] = x[i] + (which < 2 ? b1[i] : m1[i] ? (double)scale * b1[i] : 0);
        want[i] += which == 1 ? b2[i] : which == 3 && m2[i] ? (double)scale * b2[i] : 0;
    }
    for (int p = 0; p < 3; p++) {
        k->residual(fixture_precision[p], n, x, b1, which < 2 ? NULL : m1, which % 2 ? b2 : NULL,
                    which < 2 ? NULL : m2, scale, p ? z : y);
        if (p == 0) {
            fixture_near("residual", n, y, want, 1e-6);
        } else {
            fixture_rounded(k, fixture_precision[p], "residual", n, y, z);
        }
    }
    for (int p = 0; p < 3; p++) {
        k->mask_scale(fixture_precision[p], n, x, m1, scale, p ? z : y);
        if (p == 0) {
            for (size_t i = 0; i < n; i++) {
                assert_true(y[i] == (m1[i] ? scale * x[i] : 0));
            }
        } else {
            fixture_rounded(k, fixture_precision[p], "mask_scale", n, y, z);
        }
    }
    k->residual(PRECISION_FP32, n, x, b1, which < 2 ? NULL : m1, which % 2 ? b2 : NULL,
                which < 2 ? NULL : m2, scale, y);
    k->residual(PRECISION_FP32, n, x, b1, which < 2 ? NULL : m1, which % 2 ? b2 : NULL,
                which < 2 ? NULL : m2, scale, x); /* in place */
    fixture_same_bits("residual in place", n, x, y);
    free(x), free(b1), free(b2), free(y), free(z), free(m1), free(m2), free(want);
}

static void test_residual(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= 40; n++) {
            for (int which = 0; which < 4; which++) {
                check_residual(k, n, which);
            }
        }
    }
}

static void test_embed(void **state)
{
    (void)state;
    enum { CONTEXT = 3, N = 2 * CONTEXT };
    const uint32_t tokens[N] = {0, 255, 3, 3, 17, 128};
    FOR_EACH_ISA(k)
    {
        for (int w = 0; w < WIDTHS; w++) {
            for (int which = 0; which < 4; which++) {
                const int d = widths[w];
                const size_t n = (size_t)N * d;
                uint64_t seed = n + which;
                float *embedding = fixture_floats(&seed, 256 * (size_t)d, 1);
                float *position = fixture_floats(&seed, CONTEXT * (size_t)d, 1);
                float *x = malloc(n * sizeof *x), *half = malloc(n * sizeof *half);
                uint8_t *mask = random_mask(&seed, n);
                double *want = fixture_doubles(n);
                for (size_t i = 0; i < n; i++) {
                    const size_t r = i / d, c = i % d;
                    want[i] = embedding[tokens[r] * d + c];
                    want[i] += which & 1 ? position[r % CONTEXT * d + c] : 0;
                    want[i] *= which & 2 ? mask[i] * 1.25 : 1;
                }
                for (int p = 0; p < 3; p++) {
                    k->embed(fixture_precision[p], N, d, CONTEXT, tokens, embedding,
                             which & 1 ? position : NULL, which & 2 ? mask : NULL, 1.25f,
                             p ? half : x);
                    if (p == 0) {
                        fixture_near("embed", n, x, want, 1e-6);
                    } else {
                        fixture_rounded(k, fixture_precision[p], "embed", n, x, half);
                    }
                }
                free(embedding), free(position), free(x), free(half), free(mask), free(want);
            }
        }
    }
}

/* Sums ======================================================================================== */

static void test_bias_and_sums(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int w = 0; w < WIDTHS; w++) {
            const int n = widths[w];
            const size_t all = (size_t)ROWS * n;
            uint64_t seed = all;
            float *y = fixture_floats(&seed, all, 1), *bias = fixture_floats(&seed, n, 1);
            float *sum = malloc(n * sizeof *sum), *full = fixture_copy(all, y);
            double *want = fixture_doubles(all), *columns = fixture_doubles(n), squares = 0;
            for (size_t i = 0; i < all; i++) {
                want[i] = (double)y[i] + bias[i % n];
                columns[i % n] += y[i];
                squares += (double)y[i] * y[i];
            }
            k->column_sum(ROWS, n, operand_full(y), sum);
            fixture_near("column_sum", n, sum, columns, 1e-6);
            const double ours = k->squared_sum(all, y);
            assert_true(fabs(ours - squares) <= 1e-14 * squares);
            float *moved = fixture_copy(all, y), *most = malloc(n * sizeof *most);
            for (size_t i = 0; i < all; i++) {
                moved[i] -= full[all - 1 - i];
            }
            const double distance = k->squared_sum(all, moved);
            for (size_t i = 0; i < all; i++) {
                moved[i] = full[all - 1 - i];
            }
            assert_true(k->squared_distance(all, y, moved) == distance);
            k->column_absmax(ROWS, n, y, most);
            for (int j = 0; j < n; j++) {
                float largest = 0;
                for (int r = 0; r < ROWS; r++) {
                    largest = fmaxf(largest, fabsf(y[(size_t)r * n + j]));
                }
                assert_true(most[j] == largest);
            }
            k->divide(all, y, moved, moved);
            for (size_t i = 0; i < all; i++) {
                assert_true(moved[i] == y[i] / full[all - 1 - i]);
            }
            free(moved), free(most);
            k->bias_round(PRECISION_FP32, ROWS, n, bias, full);
            fixture_near("bias_round", all, full, want, 1e-6);
            for (int p = 1; p < 3; p++) {
                float *half = fixture_copy(all, y);
                k->bias_round(fixture_precision[p], ROWS, n, bias, half);
                fixture_rounded(k, fixture_precision[p], "bias_round", all, full, half);
                memcpy(half, y, all * sizeof *half);
                k->bias_round(fixture_precision[p], ROWS, n, NULL, half);
                fixture_rounded(k, fixture_precision[p], "bias_round without bias", all, y, half);
                free(half);
            }
            float *same = fixture_copy(all, y);
            k->bias_round(PRECISION_FP32, ROWS, n, NULL, same);
            fixture_same_bits("bias_round without bias", all, same, y);
            k->add(all, full, same);
            for (size_t i = 0; i < all; i++) {
                assert_true(same[i] == y[i] + full[i]);
            }
            free(y), free(bias), free(sum), free(full), free(want), free(columns), free(same);
        }
    }
}

/* The fast transform, bit by bit as butterflies in order of their width. */
static void test_hadamard(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int n = 1; n <= 512; n *= 2) {
            uint64_t seed = (uint64_t)n;
            float *x = fixture_floats(&seed, n, 3), *s = fixture_floats(&seed, n, 1);
            float *want = malloc(n * sizeof *want), *y = malloc(n * sizeof *y);
            for (int i = 0; i < n; i++) {
                want[i] = x[i] * s[i];
            }
            for (int half = 1; half < n; half *= 2) {
                for (int i = 0; i < n; i++) {
                    if ((i & half) == 0) {
                        const float a = want[i], b = want[i + half];
                        want[i] = a + b;
                        want[i + half] = a - b;
                    }
                }
            }
            k->hadamard(n, s, x, y);
            fixture_same_bits("hadamard", n, y, want);
            k->hadamard(n, s, x, x);
            fixture_same_bits("hadamard in place", n, x, want);
            free(x), free(s), free(want), free(y);
        }
    }
}

/* squared_sum keeps what fp32 would lose, and does not overflow. */
static void test_squared_sum_range(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        const float x[5] = {3e38f, 1e-30f, -3e38f, 1, 2};
        const double want = 2 * (double)3e38f * 3e38f;
        assert_true(fabs(k->squared_sum(5, x) - want) <= 1e-15 * want);
        const float tiny[3] = {1e-30f, -1e-30f, 0};
        assert_true(fabs(k->squared_sum(3, tiny) - 2e-60) < 1e-66);
        assert_true(k->squared_sum(0, tiny) == 0);
        const float bad[3] = {1, NAN, INFINITY};
        assert_false(isfinite(k->squared_sum(3, bad)));
    }
}

/* AdamW ======================================================================================= */

static void adamw_gradient(int step, size_t n, float *g)
{
    for (size_t i = 0; i < n; i++) {
        g[i] = (float)(sin(0.3 * step * (double)(i + 1)) + 0.1 * (double)i);
    }
}

static void test_adamw_reference(void **state)
{
    (void)state;
    enum { N = 6 };
    const double b1 = 0.9, b2 = 0.95;
    FOR_EACH_ISA(k)
    {
        float p[N], m[N] = {0}, v[N] = {0}, g[N];
        char line[512];
        int steps = 0;
        FILE *file = fopen(PTQSCALE_SOURCE_DIR "/tests/golden/adamw.txt", "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            double want[N];
            int t;
            if (line[0] == '#') {
                continue;
            }
            assert_int_equal(sscanf(line, "%d %lf %lf %lf %lf %lf %lf", &t, &want[0], &want[1],
                                    &want[2], &want[3], &want[4], &want[5]),
                             N + 1);
            if (t == 0) {
                for (int i = 0; i < N; i++) {
                    p[i] = (float)want[i];
                }
                continue;
            }
            adamw_gradient(t, N, g);
            k->adamw(N, 1, 0.01f, 0.01f * 0.1f, (float)b1, (float)b2, 1e-8f,
                     (float)(1 / (1 - pow(b1, t))), (float)(1 / (1 - pow(b2, t))), g, p, m, v);
            for (int i = 0; i < N; i++) {
                if (!(fabs(p[i] - want[i]) < 1e-6)) {
                    fail_msg("step %d, element %d: %.9g, not %.9g", t, i, p[i], want[i]);
                }
            }
            steps++;
        }
        fclose(file);
        assert_int_equal(steps, 5);
    }
}

/* Every length gives what the element alone gives, and grad_scale is a factor of the gradient. */
static void test_adamw_lengths(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= 40; n++) {
            uint64_t seed = n;
            float *g = fixture_floats(&seed, n, 4), *p = fixture_floats(&seed, n, 1);
            float *m = fixture_floats(&seed, n, 1), *v = fixture_floats(&seed, n, 1);
            for (size_t i = 0; i < n; i++) {
                v[i] = fabsf(v[i]);
            }
            float *p2 = fixture_copy(n, p), *m2 = fixture_copy(n, m), *v2 = fixture_copy(n, v);
            k->adamw(n, 0.25f, 0.01f, 0.002f, 0.9f, 0.95f, 1e-8f, 2, 3, g, p, m, v);
            for (size_t i = 0; i < n; i++) {
                const float quarter = 0.25f * g[i];
                k->adamw(1, 1, 0.01f, 0.002f, 0.9f, 0.95f, 1e-8f, 2, 3, &quarter, p2 + i, m2 + i,
                         v2 + i);
            }
            fixture_same_bits("adamw weights", n, p, p2);
            fixture_same_bits("adamw first moments", n, m, m2);
            fixture_same_bits("adamw second moments", n, v, v2);
            free(g), free(p), free(m), free(v), free(p2), free(m2), free(v2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_frequency),
        cmocka_unit_test(test_dropout_keys),
        cmocka_unit_test(test_dropout_split),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_bias_and_sums),
        cmocka_unit_test(test_hadamard),
        cmocka_unit_test(test_squared_sum_range),
        cmocka_unit_test(test_adamw_reference),
        cmocka_unit_test(test_adamw_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
