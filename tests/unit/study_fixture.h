/* What the tests of study/ share: instruction sets, repeatable random numbers, comparison with double precision. */
#ifndef TESTS_UNIT_STUDY_FIXTURE_H
#define TESTS_UNIT_STUDY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/kernels.h"

/* Run the body for each table `k` that this machine can run. */
static const char *const fixture_isa[] = {"baseline", "avx2", "avx512"};
#define FOR_EACH_ISA(k)                                                                            \
    for (int isa_ = 0; isa_ < 3; isa_++)                                                           \
        for (const struct kernels *k = kernels_named(fixture_isa[isa_]); k != NULL; k = NULL)

static const enum precision fixture_precision[] = {PRECISION_FP32, PRECISION_BF16, PRECISION_FP16};

/* SplitMix64: 64 random bits. */
static inline uint64_t fixture_bits(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in −1 … 1. */
static inline float fixture_uniform(uint64_t *state)
{
    return (float)((double)(fixture_bits(state) >> 11) * 0x1p-52 - 1);
}

/* n uniform numbers in ±scale; exactly as much memory as they need, so that a sanitizer sees each step
 * beyond them. */
static inline float *fixture_floats(uint64_t *state, size_t n, float scale)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = scale * fixture_uniform(state);
    }
    return x;
}

static inline float *fixture_copy(size_t n, const float *x)
{
    float *y = malloc(n * sizeof *y);
    assert_non_null(y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static inline double *fixture_doubles(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* Largest |a − b| ≤ tolerance · largest |b|. */
static inline void fixture_near(const char *what, size_t n, const float *a, const double *b,
                                double tolerance)
{
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = fabs(a[i] - b[i]);
        largest = fabs(b[i]) > largest ? fabs(b[i]) : largest;
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst <= tolerance * largest)) {
        fail_msg("%s: element %zu of %zu is %.9g, not %.9g; largest %.3g", what, at, n, a[at],
                 b[at], largest);
    }
}

/* Each |a − b| ≤ tolerance · |b|, or both below `floor`. */
static inline void fixture_near_each(const char *what, size_t n, const float *a, const double *b,
                                     double tolerance, double floor)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(a[i] - b[i]) <= tolerance * fabs(b[i]) + floor)) {
            fail_msg("%s: element %zu of %zu is %.9g, not %.9g", what, i, n, a[i], b[i]);
        }
    }
}

static inline void fixture_same_bits(const char *what, size_t n, const float *a, const float *b)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) != 0) {
            fail_msg("%s: element %zu of %zu is %.9g in one, %.9g in the other", what, i, n, a[i],
                     b[i]);
        }
    }
}

/* Half types: the same numbers as in fp32, rounded. `full` is the fp32 result, `half` the rounded one. */
static inline void fixture_rounded(const struct kernels *k, enum precision precision,
                                   const char *what, size_t n, const float *full, const float *half)
{
    float *rounded = malloc(n * sizeof *rounded);
    k->round(precision, n, full, rounded);
    fixture_same_bits(what, n, rounded, half);
    free(rounded);
}

/* METHOD §3, one number at a time: q = clamp(rint(x / s)) to ±limit, ties to even, s = 0: 0. */
static inline int fixture_quantize(float x, float s, int limit)
{
    if (s == 0) {
        return 0;
    }
    const float q = nearbyintf(x / s);
    return q > (float)limit ? limit : q < (float)-limit ? -limit : (int)q;
}

static inline uint32_t fixture_pattern(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float fixture_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#endif
