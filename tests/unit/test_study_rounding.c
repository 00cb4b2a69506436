/* Rounding to bf16 and fp16, bit by bit: hard cases written out, and an independent scalar reference. */
#include "tests/unit/study_fixture.h"

struct pair {
    uint32_t from, to; /* to = 0x7fc00000: any NaN */
};

enum { ANY_NAN = 0x7fc00000 };

static const struct pair bf16_cases[] = {
    /* exact */
    {0x3f800000, 0x3f800000},
    {0xc2f70000, 0xc2f70000},
    /* next to and at ties; to even downwards (1 + 2^−8) and upwards (1 + 3·2^−8) */
    {0x3f807fff, 0x3f800000},
    {0x3f808000, 0x3f800000},
    {0x3f808001, 0x3f810000},
    {0x3f817fff, 0x3f810000},
    {0x3f818000, 0x3f820000},
    {0x3f818001, 0x3f820000},
    {0xbf808000, 0xbf800000},
    {0xbf808001, 0xbf810000},
    {0xbf818000, 0xbf820000},
    /* the carry reaches the exponent */
    {0x3fff7fff, 0x3fff0000},
    {0x3fff8000, 0x40000000},
    {0x3fffffff, 0x40000000},
    /* largest finite number, and overflow from half a unit above it */
    {0x7f7f0000, 0x7f7f0000},
    {0x7f7f7fff, 0x7f7f0000},
    {0x7f7f8000, 0x7f800000},
    {0x7f7fffff, 0x7f800000},
    {0xff7f7fff, 0xff7f0000},
    {0xff7f8000, 0xff800000},
    {0xff7fffff, 0xff800000},
    /* zeros and subnormals: the smallest (2^−133), half of it, the largest */
    {0x00000000, 0x00000000},
    {0x80000000, 0x80000000},
    {0x00000001, 0x00000000},
    {0x80000001, 0x80000000},
    {0x00008000, 0x00000000},
    {0x00008001, 0x00010000},
    {0x80008000, 0x80000000},
    {0x80008001, 0x80010000},
    {0x00010000, 0x00010000},
    {0x00018000, 0x00020000},
    {0x007f0000, 0x007f0000},
    {0x007f7fff, 0x007f0000},
    {0x007f8000, 0x00800000},
    {0x007fffff, 0x00800000},
    {0x00800000, 0x00800000},
    /* infinities and NaNs, also those whose payload lies in the bits that are cut off */
    {0x7f800000, 0x7f800000},
    {0xff800000, 0xff800000},
    {0x7f800001, ANY_NAN},
    {0xff800001, ANY_NAN},
    {0x7f80ffff, ANY_NAN},
    {0x7fc00000, ANY_NAN},
    {0x7fffffff, ANY_NAN},
    {0xffffffff, ANY_NAN},
};

static const struct pair fp16_cases[] = {
    /* exact */
    {0x3f800000, 0x3f800000},
    {0xc2f72000, 0xc2f72000},
    /* next to and at ties; to even downwards (1 + 2^−11) and upwards (1 + 3·2^−11) */
    {0x3f800fff, 0x3f800000},
    {0x3f801000, 0x3f800000},
    {0x3f801001, 0x3f802000},
    {0x3f802fff, 0x3f802000},
    {0x3f803000, 0x3f804000},
    {0x3f803001, 0x3f804000},
    {0xbf801000, 0xbf800000},
    {0xbf801001, 0xbf802000},
    {0xbf803000, 0xbf804000},
    /* the carry reaches the exponent */
    {0x3fffefff, 0x3fffe000},
    {0x3ffff000, 0x40000000},
    {0x3fffffff, 0x40000000},
    /* largest finite number 65504, and overflow from 65520 */
    {0x477fe000, 0x477fe000},
    {0x477fe001, 0x477fe000},
    {0x477fefff, 0x477fe000},
    {0x477ff000, 0x7f800000},
    {0x477ff001, 0x7f800000},
    {0x47800000, 0x7f800000},
    {0x7f7fffff, 0x7f800000},
    {0xc77fefff, 0xc77fe000},
    {0xc77ff000, 0xff800000},
    {0xff7fffff, 0xff800000},
    /* smallest normal 2^−14; largest subnormal 1023·2^−24; the tie between them */
    {0x38800000, 0x38800000},
    {0x38800fff, 0x38800000},
    {0x38801000, 0x38800000},
    {0x38803000, 0x38804000},
    {0x387fc000, 0x387fc000},
    {0x387fdfff, 0x387fc000},
    {0x387fe000, 0x38800000},
    {0x387fffff, 0x38800000},
    {0xb87fe000, 0xb8800000},
    /* 1022.5·2^−24 is a tie downwards */
    {0x387fa000, 0x387f8000},
    {0x387fa001, 0x387fc000},
    /* 2^−24 the smallest; ties at 0.5, 1.5, 2.5 and 3.5 of it */
    {0x33800000, 0x33800000},
    {0x33000000, 0x00000000},
    {0x33000001, 0x33800000},
    {0x32ffffff, 0x00000000},
    {0x33bfffff, 0x33800000},
    {0x33c00000, 0x34000000},
    {0x34200000, 0x34000000},
    {0x34200001, 0x34400000},
    {0x34600000, 0x34800000},
    {0xb3000000, 0x80000000},
    {0xb3000001, 0xb3800000},
    {0xb3c00000, 0xb4000000},
    /* zeros, and fp32 subnormals far below */
    {0x00000000, 0x00000000},
    {0x80000000, 0x80000000},
    {0x00000001, 0x00000000},
    {0x007fffff, 0x00000000},
    {0x00800000, 0x00000000},
    {0x80000001, 0x80000000},
    {0x807fffff, 0x80000000},
    /* infinities and NaNs */
    {0x7f800000, 0x7f800000},
    {0xff800000, 0xff800000},
    {0x7f800001, ANY_NAN},
    {0xff800001, ANY_NAN},
    {0x7f801fff, ANY_NAN},
    {0x7fc00000, ANY_NAN},
    {0x7fffffff, ANY_NAN},
    {0xffffffff, ANY_NAN},
};

static int is_nan(uint32_t u)
{
    return (u & 0x7fffffff) > 0x7f800000;
}

static void check_bits(const struct kernels *k, enum precision precision, uint32_t from,
                       uint32_t got, uint32_t want)
{
    if (is_nan(want) ? !is_nan(got) : got != want) {
        fail_msg("%s %s: 0x%08x rounds to 0x%08x, not 0x%08x", k->name, precision_name(precision),
                 from, got, want);
    }
}

/* Each case at each place of a vector and of its tail. */
static void check_cases(enum precision precision, const struct pair *cases, size_t n)
{
    enum { WIDTH = 19 };
    FOR_EACH_ISA(k)
    {
        for (size_t c = 0; c < n; c++) {
            for (size_t at = 0; at < WIDTH; at++) {
                float x[WIDTH] = {0};
                x[at] = fixture_float(cases[c].from);
                k->round(precision, WIDTH, x, x);
                check_bits(k, precision, cases[c].from, fixture_pattern(x[at]), cases[c].to);
                for (size_t i = 0; i < WIDTH; i++) {
                    assert_true(i == at || fixture_pattern(x[i]) == 0);
                }
            }
        }
    }
}

static void test_hard_cases(void **state)
{
    (void)state;
    check_cases(PRECISION_BF16, bf16_cases, sizeof bf16_cases / sizeof bf16_cases[0]);
    check_cases(PRECISION_FP16, fp16_cases, sizeof fp16_cases / sizeof fp16_cases[0]);
}

/* On the bit pattern alone. */
static uint32_t reference_bf16(uint32_t u)
{
    const uint32_t rest = u & 0xffff;
    uint32_t kept = u >> 16;
    if (is_nan(u)) {
        return ANY_NAN;
    }
    if (rest > 0x8000 || (rest == 0x8000 && kept % 2 == 1)) {
        kept++;
    }
    return kept << 16;
}

/* In double precision, where everything here is exact: a multiple of the unit in the last place. */
static uint32_t reference_fp16(uint32_t u)
{
    const double x = fixture_float(u);
    if (is_nan(u)) {
        return ANY_NAN;
    }
    if (isinf(x)) {
        return u;
    }
    int exponent;
    frexp(x, &exponent); /* |x| in [2^(e−1), 2^e) */
    const double unit = ldexp(1, (exponent - 1 < -14 ? -14 : exponent - 1) - 10);
    double rounded = rint(fabs(x) / unit) * unit;
    rounded = rounded > 65504 ? INFINITY : rounded;
    return fixture_pattern((float)copysign(rounded, x));
}

/* Any pattern; or one in fp16's range; or one close to a tie. */
static uint32_t random_pattern(uint64_t *state, enum precision precision)
{
    const uint64_t r = fixture_bits(state);
    uint32_t u = (uint32_t)r;
    if (r >> 62 != 0) { /* exponents 2^−27 … 2^17 */
        u = (u & 0x807fffff) | (uint32_t)(100 + (r >> 40) % 45) << 23;
    }
    if (r >> 62 == 3) {
        const uint32_t tie = precision == PRECISION_BF16 ? 0x8000 : 0x1000;
        u = (u & ~(2 * tie - 1)) + tie + (uint32_t)((r >> 32) % 3) - 1;
    }
    return u;
}

static void test_random_patterns(void **state)
{
    (void)state;
    enum { N = 1000003 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int p = 1; p < 3; p++) {
        uint64_t seed = 20231107;
        for (size_t i = 0; i < N; i++) {
            x[i] = fixture_float(random_pattern(&seed, fixture_precision[p]));
        }
        FOR_EACH_ISA(k)
        {
            k->round(fixture_precision[p], N, x, y);
            for (size_t i = 0; i < N; i++) {
                const uint32_t u = fixture_pattern(x[i]);
                check_bits(k, fixture_precision[p], u, fixture_pattern(y[i]),
                           p == 1 ? reference_bf16(u) : reference_fp16(u));
            }
        }
    }
    free(x);
    free(y);
}

/* Every half-type number stays as it is, on all 65,536 patterns. */
static void test_half_numbers_stay(void **state)
{
    (void)state;
    enum { N = 65536 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int p = 1; p < 3; p++) {
        for (uint32_t h = 0; h < N; h++) {
            const int exponent = (int)(h >> 10 & 31);
            const double fraction = (h & 1023) * 0x1p-10;
            double value = exponent == 0    ? ldexp(fraction, -14)
                           : exponent == 31 ? (fraction > 0 ? NAN : INFINITY)
                                            : ldexp(1 + fraction, exponent - 15);
            x[h] = p == 1 ? fixture_float(h << 16) : (float)(h >> 15 ? -value : value);
        }
        FOR_EACH_ISA(k)
        {
            k->round(fixture_precision[p], N, x, y);
            for (size_t i = 0; i < N; i++) {
                const uint32_t u = fixture_pattern(x[i]);
                check_bits(k, fixture_precision[p], u, fixture_pattern(y[i]),
                           is_nan(u) ? ANY_NAN : u);
            }
        }
    }
    free(x);
    free(y);
}

/* All tails, in place and elsewhere; nothing beyond the end is written; fp32 changes no bit. */
static void test_lengths(void **state)
{
    (void)state;
    uint64_t seed = 4;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= 40; n++) {
            for (int p = 0; p < 3; p++) {
                const enum precision precision = fixture_precision[p];
                float *x = malloc(n * sizeof *x), *exact = malloc(n * sizeof *exact), y[41];
                for (size_t i = 0; i < n; i++) {
                    x[i] = fixture_float(random_pattern(&seed, precision));
                }
                memcpy(exact, x, n * sizeof *x);
                y[n] = 123.0f;
                k->round(precision, n, exact, y);
                assert_memory_equal(exact, x, n * sizeof *x);
                assert_true(y[n] == 123.0f);
                k->round(precision, n, exact, exact);
                assert_memory_equal(exact, y, n * sizeof *x);
                for (size_t i = 0; i < n; i++) {
                    const uint32_t u = fixture_pattern(x[i]);
                    check_bits(k, precision, u, fixture_pattern(y[i]),
                               p == 0   ? u
                               : p == 1 ? reference_bf16(u)
                                        : reference_fp16(u));
                }
                free(x);
                free(exact);
            }
        }
    }
}

/* bf16 numbers in 16 bits are the upper half of the pattern, NaNs and zeros included, at all lengths. */
static void test_pack(void **state)
{
    (void)state;
    uint64_t seed = 6;
    FOR_EACH_ISA(k)
    {
        for (size_t n = 1; n <= 70; n++) {
            float *x = malloc(n * sizeof *x);
            uint16_t *packed = malloc(n * sizeof *packed), more[71];
            for (size_t i = 0; i < n; i++) {
                x[i] = fixture_float(random_pattern(&seed, PRECISION_BF16));
            }
            k->round(PRECISION_BF16, n, x, x);
            more[n] = 12345;
            k->pack_bf16(n, x, packed);
            k->pack_bf16(n, x, more);
            assert_int_equal(more[n], 12345);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal((uint32_t)packed[i] << 16, fixture_pattern(x[i]));
            }
            free(x), free(packed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hard_cases),
        cmocka_unit_test(test_random_patterns),
        cmocka_unit_test(test_half_numbers_stay),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
