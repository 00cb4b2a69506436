/* Quantization of rows against METHOD §3's formula, and its error in closed form. */
#include "tests/unit/study_fixture.h"

#include "study/quantize.h"

/* The formula ================================================================================= */

static void check_codes(const struct kernels *k, const char *what, size_t n, const float *x,
                        float s, int limit)
{
    int8_t *q = malloc(n + 1);
    q[n] = 99;
    k->quantize(n, x, s, limit, q);
    assert_int_equal(q[n], 99);
    for (size_t i = 0; i < n; i++) {
        if (q[i] != fixture_quantize(x[i], s, limit)) {
            fail_msg("%s, %s: %.9g / %.9g is %d, not %d", k->name, what, x[i], s, q[i],
                     fixture_quantize(x[i], s, limit));
        }
    }
    free(q);
}

/* A row with its own scale: absmax and codes. */
static void check_row(const struct kernels *k, const char *what, size_t n, const float *x)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    for (int bits = 2; bits <= 8; bits++) {
        const int limit = (1 << (bits - 1)) - 1;
        float s;
        int8_t *codes = malloc(n);
        assert_true(k->absmax(n, x) == largest);
        check_codes(k, what, n, x, largest / (float)limit, limit);
        quantize_rows(k, 1, (int)n, bits, x, &s, codes);
        assert_true(s == largest / (float)limit);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(codes[i], fixture_quantize(x[i], s, limit));
        }
        free(codes);
    }
}

enum kind { RANDOM, HALVES, ZEROS, CONSTANT, OUTLIER, SUBNORMAL, SMALLEST, LARGEST, KINDS };
static const char *const kind_names[KINDS] = {"random",  "halves",    "zeros",    "constant",
                                              "outlier", "subnormal", "smallest", "largest"};

static float *row_create(enum kind kind, size_t n, uint64_t seed)
{
    float *x = fixture_floats(&seed, n, 1);
    for (size_t i = 0; i < n; i++) {
        const int whole = (int)(fixture_bits(&seed) % 255) - 127;
        x[i] = kind == HALVES      ? ((float)whole + (whole < 127 ? 0.5f : 0)) * 0x1p-5f
               : kind == ZEROS     ? (i % 2 ? -0.0f : 0.0f)
               : kind == CONSTANT  ? -0.37f
               : kind == OUTLIER   ? (i == n / 2 ? -1000 : x[i])
               : kind == SUBNORMAL ? x[i] * 1e-39f
               : kind == SMALLEST  ? (float)whole * 0x1p-149f
               : kind == LARGEST   ? x[i] * 3.4e38f
                                   : x[i];
    }
    if (kind == HALVES) {
        x[0] = 127 * 0x1p-5f; /* s at 8 bits is 2^−5, and all others lie on ties */
    }
    return x;
}

static void test_formula(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= 70; n++) {
            for (int kind = 0; kind < KINDS; kind++) {
                float *x = row_create((enum kind)kind, n, n * KINDS + (uint64_t)kind);
                check_row(k, kind_names[kind], n, x);
                free(x);
            }
        }
    }
}

/* The hard cases written out. */
static void test_formula_cases(void **state)
{
    (void)state;
    static const struct {
        float x, s;
        int limit, code;
    } cases[] = {
        {0.5f, 1, 127, 0},
        {1.5f, 1, 127, 2},
        {2.5f, 1, 127, 2},
        {-0.5f, 1, 127, 0},
        {-1.5f, 1, 127, -2},
        {-2.5f, 1, 127, -2},
        {0.50000006f, 1, 127, 1},
        {0.49999997f, 1, 127, 0},
        {126.5f, 1, 127, 126},
        {126.51f, 1, 127, 127},
        {127.5f, 1, 127, 127},
        {128, 1, 127, 127},
        {-128, 1, 127, -127},
        {1e30f, 1, 127, 127},
        {-INFINITY, 1, 7, -7},
        {INFINITY, 1, 3, 3},
        {3e38f, 1e-45f, 127, 127},
        {6.5f, 1, 7, 6},
        {7.5f, 1, 7, 7},
        {0, 0, 127, 0},
        {5, 0, 127, 0},
        {-5, 0, 127, 0},
        {0x1p-149f, 0x1p-149f, 127, 1},
        {0x1p-148f, 0x1p-149f, 1, 1},
    };
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            for (size_t at = 0; at < 21; at++) { /* every place of a vector and its tail */
                float x[21] = {0};
                int8_t q[21];
                x[at] = cases[i].x;
                k->quantize(21, x, cases[i].s, cases[i].limit, q);
                if (q[at] != cases[i].code) {
                    fail_msg("%s: %.9g / %.9g is %d, not %d", k->name, cases[i].x, cases[i].s,
                             q[at], cases[i].code);
                }
            }
        }
        const float some[4] = {1, NAN, -7, 2};
        assert_true(k->absmax(4, some) == 7); /* NaNs are passed over */
        assert_true(k->absmax(0, some) == 0);
    }
}

/* The closed error =========================================================================== */

/*
 * W = s·(c + e) with whole codes c, each row reaching ±limit, and fractions |e| < ½: the codes come back, and the
 * squared error is s²·Σ e². Everything here is a binary number, so that both are exact.
 */
static void test_error_constructed(void **state)
{
    (void)state;
    enum { ROWS = 6, COLUMNS = 77 };
    FOR_EACH_ISA(k)
    {
        for (int bits = 2; bits <= 8; bits++) {
            const int limit = (1 << (bits - 1)) - 1;
            uint64_t seed = (uint64_t)bits;
            float w[ROWS * COLUMNS], scale[ROWS];
            int8_t codes[ROWS * COLUMNS];
            int expected[ROWS * COLUMNS];
            double closed = 0, error = 0;
            for (int r = 0; r < ROWS; r++) {
                const float s = ldexpf(1, -r - 3);
                for (int i = 0; i < COLUMNS; i++) {
                    const int code = (int)(fixture_bits(&seed) % (2 * limit + 1)) - limit;
                    float e = (float)((int)(fixture_bits(&seed) % 15) - 7) / 16;
                    e = abs(code) == limit ? 0 : e;
                    expected[r * COLUMNS + i] = i == 3 ? -limit : code;
                    w[r * COLUMNS + i] = s * (i == 3 ? (float)-limit : (float)code + e);
                    closed += i == 3 ? 0 : (double)s * s * e * e;
                }
            }
            quantize_rows(k, ROWS, COLUMNS, bits, w, scale, codes);
            for (int i = 0; i < ROWS * COLUMNS; i++) {
                const double d = (double)w[i] - (double)codes[i] * scale[i / COLUMNS];
                assert_int_equal(codes[i], expected[i]);
                error += d * d;
            }
            assert_true(closed > 0 || bits == 2);
            assert_true(error == closed);
        }
    }
}

/* Weights spread evenly over ±a have the mean squared error s²/12. */
static void test_error_uniform(void **state)
{
    (void)state;
    enum { N = 100003 };
    const struct kernels *k = kernels_get();
    float *w = malloc(N * sizeof *w), s;
    int8_t *codes = malloc(N);
    for (int i = 0; i < N; i++) {
        w[i] = (float)(0.7 * (2.0 * i / (N - 1) - 1));
    }
    for (int bits = 3; bits <= 8; bits++) {
        double error = 0;
        quantize_rows(k, 1, N, bits, w, &s, codes);
        for (int i = 0; i < N; i++) {
            const double d = (double)w[i] - (double)codes[i] * s;
            error += d * d / N;
        }
        /* The outermost cells are halves: their error is that of half a cell, which has the same mean. */
        assert_true(fabs(error / ((double)s * s / 12) - 1) < 1e-3);
    }
    free(w), free(codes);
}

static void test_rescale(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int n = 1; n <= 40; n++) {
            uint64_t seed = (uint64_t)n;
            float *scale = fixture_floats(&seed, n, 0.01f), *bias = fixture_floats(&seed, n, 1);
            float *y = malloc(n * sizeof *y);
            int32_t *acc = malloc(n * sizeof *acc);
            double *want = fixture_doubles(n), *plain = fixture_doubles(n);
            for (int i = 0; i < n; i++) {
                acc[i] = (int32_t)fixture_bits(&seed) >> (i % 20);
                plain[i] = (double)acc[i] * 0.003f * scale[i];
                want[i] = plain[i] + bias[i];
            }
            k->rescale(n, acc, 0.003f, scale, bias, y);
            fixture_near("rescale", n, y, want, 1e-6);
            k->rescale(n, acc, 0.003f, scale, NULL, y);
            fixture_near_each("rescale without bias", n, y, plain, 1e-6, 0);
            free(scale), free(bias), free(y), free(acc), free(want), free(plain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),           cmocka_unit_test(test_formula_cases),
        cmocka_unit_test(test_error_constructed), cmocka_unit_test(test_error_uniform),
        cmocka_unit_test(test_rescale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
