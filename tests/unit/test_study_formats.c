/*
 * Weight formats against their specifications: code books written out, rounding by search over all values, groups, and every named
 * quantizer's weights on random and adversarial matrices.
 */
#include <gsl/gsl_cdf.h>

#include "study/quantizers/parts.h"
#include "tests/unit/study_fixture.h"

/* Code books ================================================================================== */

/* OCP 8-bit Floating Point v1.0, table 1: E4M3 has bias 7, NaN S.1111.111, largest S.1111.110 = 448, least normal 2^−6, least
 * subnormal 2^−9. */
static double e4m3(int code)
{
    const int sign = code >> 7, exponent = code >> 3 & 15, mantissa = code & 7;
    const double magnitude = exponent == 15 && mantissa == 7 ? NAN
                             : exponent == 0                 ? ldexp(mantissa / 8.0, -6)
                                             : ldexp(1 + mantissa / 8.0, exponent - 7);
    return sign ? -magnitude : magnitude;
}

static void test_fp8_table(void **state)
{
    (void)state;
    for (int code = 0; code < 256; code++) {
        const float value = format_fp8.values[code];
        assert_true(isnan(e4m3(code)) ? isnan(value) : value == e4m3(code));
        assert_true(isnan(value) || !signbit(value) == !(code & 128));
    }
    assert_true(format_fp8.values[0x7e] == 448 && format_fp8.values[0x08] == 0x1p-6f);
    assert_true(format_fp8.values[0x01] == 0x1p-9f && format_fp8.values[0xfe] == -448);
}

/* OCP Microscaling Formats v1.0, table 5: E2M1 has bias 1 and the magnitudes 0, 0.5, 1, 1.5, 2, 3, 4, 6. */
static void test_mxfp4_table(void **state)
{
    (void)state;
    static const float magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (int code = 0; code < 16; code++) {
        const float value = format_mxfp4.values[code];
        assert_true(fabsf(value) == magnitudes[code & 7]);
        assert_true(!signbit(value) == !(code & 8));
    }
}

/*
 * QLoRA, appendix E, as printed there; and as section 3 makes them: quantiles of the normal distribution, eight steps above zero and
 * seven below, between ½ and an end that leaves equal tails, scaled to ±1.
 */
static void test_nf4_table(void **state)
{
    (void)state;
    static const double printed[16] = {
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    };
    const double end =
        (1 - 1.0 / 30 + 1 - 1.0 / 32) / 2; /* half-way between 1 − 1/(2·15) and 1 − 1/(2·16) */
    const double most = gsl_cdf_ugaussian_Pinv(end);
    for (int i = 0; i < 16; i++) {
        const double p = i < 7 ? end + (0.5 - end) * i / 7 : 0.5 + (end - 0.5) * (i - 7) / 8;
        const double quantile = (i < 7 ? -1 : 1) * gsl_cdf_ugaussian_Pinv(p) / most;
        assert_true(format_nf4.values[i] == (float)printed[i]);
        assert_true(fabs(quantile - printed[i]) < 1e-6);
    }
}

/* Rounding ==================================================================================== */

/* The code whose value is nearest to v among `count`: of two that are as near, the even one, or the lower value. */
static double nearest(const float *values, int count, bool even, double v)
{
    int best = -1;
    for (int c = 0; c < count; c++) {
        if (isnan(values[c]) || (signbit(values[c]) && values[c] == 0)) {
            continue;
        }
        const double d = fabs(values[c] - v);
        const double least = best < 0 ? INFINITY : fabs(values[best] - v);
        if (d < least || (d == least && (even ? c % 2 == 0 : values[c] < values[best]))) {
            best = c;
        }
    }
    return values[best];
}

static void check_rounding(const struct format *format, int count, bool even, float s, float v)
{
    int8_t code;
    format->encode(kernels_get(), 8, s, 1, &v, &code);
    assert_true((uint8_t)code < count);
    const double want = nearest(format->values, count, even, (double)(v / s));
    const double got = format->values[(uint8_t)code];
    if (got != want) {
        fail_msg("%.9g / %.9g is %.9g, not %.9g", v, s, got, want);
    }
    assert_true(!even || !signbit(v) == !((uint8_t)code & (count / 2))); /* −0 stays −0 */
}

/* Each value, each middle between two, and their neighbours in fp32; random numbers; far outside. */
static void check_roundings(const struct format *format, int count, bool even, float largest)
{
    uint64_t seed = 5;
    static const float scales[] = {1, 0x1p-4f, 0x1p7f};
    for (int k = 0; k < 3; k++) {
        const float s = scales[k];
        for (int a = 0; a < count; a++) {
            for (int b = 0; b < count; b++) {
                const float middle = (format->values[a] + format->values[b]) / 2 * s;
                if (isnan(middle)) {
                    continue;
                }
                check_rounding(format, count, even, s, middle);
                check_rounding(format, count, even, s, nextafterf(middle, INFINITY));
                check_rounding(format, count, even, s, nextafterf(middle, -INFINITY));
            }
        }
        for (int i = 0; i < 20000; i++) {
            check_rounding(format, count, even, s, largest * s * fixture_uniform(&seed));
            check_rounding(format, count, even, s,
                           ldexpf(fixture_uniform(&seed), -(int)(fixture_bits(&seed) % 16)) * s);
        }
        check_rounding(format, count, even, s, 1e6f * s * largest);
        check_rounding(format, count, even, s, -1e6f * s * largest);
    }
}

static void test_rounding(void **state)
{
    (void)state;
    check_roundings(&format_fp8, 256, true, 448);
    check_roundings(&format_mxfp4, 16, true, 6);
    check_roundings(&format_nf4, 16, false, 1);
}

/* Activations in FP8: the same values, as multiples of the scale. */
static void test_fp8_round(void **state)
{
    (void)state;
    uint64_t seed = 8;
    float x[1001], y[1001];
    for (int i = 0; i < 1001; i++) {
        x[i] = ldexpf(fixture_uniform(&seed), (int)(fixture_bits(&seed) % 20) - 10);
    }
    FOR_EACH_ISA(k)
    {
        int8_t codes[1001];
        k->fp8_round(1001, x, 0.37f, 0.37f, y);
        format_fp8.encode(k, 8, 0.37f, 1001, x, codes);
        for (int i = 0; i < 1001; i++) {
            int8_t code;
            format_fp8.encode(k, 8, 0.37f, 1, &x[i], &code);
            assert_true(y[i] == format_fp8.values[(uint8_t)code] * 0.37f);
            assert_int_equal(code, codes[i]);
        }
        k->fp8_round(1001, x, 0, 1, y);
        assert_true(y[0] == 0 && y[1000] == 0);
    }
}

/* Scales ====================================================================================== */

static void test_scales(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    static const struct {
        float most, mxfp4;
    } cases[] = {
        {6, 1},
        {4, 1},
        {7.99f, 1},
        {8, 2},
        {3.99f, 0.5f},
        {1, 0.25f},
        {0x1p-126f, 0x1p-127f},
        {0x1p-149f, 0x1p-127f},
        {3e38f, 0x1p125f},
        {0, 0x1p-127f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const float w[3] = {cases[i].most / 3, -cases[i].most, 0};
        assert_true(format_mxfp4.scale(k, 4, 3, w) == cases[i].mxfp4);
        assert_true(format_nf4.scale(k, 4, 3, w) == cases[i].most);
        assert_true(format_fp8.scale(k, 8, 3, w) == cases[i].most / 448);
        assert_true(format_int.scale(k, 4, 3, w) == cases[i].most / 7);
    }
}

/* Matrices ==================================================================================== */

enum kind { RANDOM, ZEROS, OUTLIER, CONSTANT, SUBNORMAL, LARGE, KINDS };

static float *matrix(enum kind kind, int out, int in, uint64_t seed)
{
    float *w = fixture_floats(&seed, (size_t)out * in, 1);
    for (int i = 0; i < out * in; i++) {
        w[i] = kind == ZEROS       ? 0
               : kind == OUTLIER   ? (i % in == in / 3 ? 300.0f : w[i])
               : kind == CONSTANT  ? 0.7f * (float)(i / in - 2)
               : kind == SUBNORMAL ? w[i] * 1e-40f
               : kind == LARGE     ? w[i] * 3e38f
                                   : w[i];
    }
    return w;
}

/* The weight that METHOD §3 makes of w[i] in a group of n, plainly. */
static float plain(const struct quantizer *q, int n, const float *w, int i)
{
    float most = 0;
    for (int j = 0; j < n; j++) {
        most = fmaxf(most, fabsf(w[j]));
    }
    if (q->weights == WEIGHTS_INT) {
        const int limit = (1 << (q->weight_bits - 1)) - 1;
        const float s = most / (float)limit;
        return (float)fixture_quantize(w[i], s, limit) * s;
    }
    if (q->weights == WEIGHTS_NF4) {
        return most == 0 ? 0 : (float)nearest(format_nf4.values, 16, false, w[i] / most) * most;
    }
    if (q->weights == WEIGHTS_FP8) {
        const float s = most / 448;
        return s == 0 ? 0 : (float)nearest(format_fp8.values, 256, true, w[i] / s) * s;
    }
    const double s = most == 0 ? 1 : fmax(exp2(floor(log2(most)) - 2), 0x1p-127);
    return (float)(nearest(format_mxfp4.values, 16, true, w[i] / s) * s);
}

static void check_matrix(const struct quantizer *q, enum kind kind, int out, int in)
{
    const struct kernels *k = kernels_get();
    const int group = q->group > 0 && q->group < in ? q->group : in;
    const int groups = (in + group - 1) / group;
    float *w = matrix(kind, out, in, (uint64_t)in * KINDS + kind),
          *got = malloc(sizeof(float) * in);
    struct rounding r = {.kernels = k,
                         .format = format_of(q->weights),
                         .bits = q->weight_bits,
                         .in = in,
                         .out = out,
                         .group = group,
                         .groups = groups,
                         .w = w,
                         .codes = malloc((size_t)out * in),
                         .scale = malloc(sizeof(float) * out * groups)};
    round_nearest(&r);
    for (int o = 0; o < out; o++) {
        for (int first = 0; first < in; first += group) {
            const int n = in - first < group ? in - first : group;
            k->decode((size_t)n, r.codes + o * in + first, r.format->values,
                      r.scale[o * groups + first / group], got + first);
            for (int i = 0; i < n; i++) {
                const float want = plain(q, n, w + o * in + first, i);
                if (got[first + i] != want) {
                    fail_msg("%s, matrix %d of %d inputs: %.9g became %.9g, not %.9g", q->name,
                             kind, in, w[o * in + first + i], got[first + i], want);
                }
            }
        }
    }
    free(w), free(got), free(r.codes), free(r.scale);
}

static void test_matrices(void **state)
{
    (void)state;
    static const int widths[] = {1, 7, 32, 33, 63, 64, 96, 130, 257};
    int checked = 0;
    for (int i = 0; quantizer_at(i); i++) {
        const struct quantizer *q = quantizer_at(i);
        for (size_t n = 0; q->method == METHOD_ROUND && n < sizeof widths / sizeof widths[0]; n++) {
            for (int kind = 0; kind < KINDS; kind++) {
                check_matrix(q, (enum kind)kind, 5, widths[n]);
                checked++;
            }
        }
    }
    assert_int_equal(checked, 18 * 9 * KINDS);
}

static void test_decode(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 0; n < 70; n++) {
            int8_t codes[70];
            float w[71];
            for (size_t i = 0; i < n; i++) {
                codes[i] = (int8_t)((int)(i * 37 % 255) - 127);
            }
            w[n] = 99;
            k->decode(n, codes, NULL, 0.3f, w);
            for (size_t i = 0; i < n; i++) {
                assert_true(w[i] == (float)codes[i] * 0.3f);
            }
            k->decode(n, codes, format_fp8.values, 0.3f, w);
            for (size_t i = 0; i < n; i++) {
                const float value = format_fp8.values[(uint8_t)codes[i]] * 0.3f;
                assert_true(w[i] == value || isnan(value));
            }
            assert_true(w[n] == 99);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp8_table), cmocka_unit_test(test_mxfp4_table),
        cmocka_unit_test(test_nf4_table), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_fp8_round), cmocka_unit_test(test_scales),
        cmocka_unit_test(test_matrices),  cmocka_unit_test(test_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
