/*
 * Vectors of the instruction set this file is compiled for, with GNU vector types. Loads and stores of part of a
 * vector serve the tails.
 */
#ifndef STUDY_KERNELS_VECTOR_H
#define STUDY_KERNELS_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#endif

#include "study/kernels.h"

#if defined(__AVX512F__)
#define VL          16
#define KERNEL(fn)  fn##_avx512
#define KERNEL_NAME "avx512"
#elif defined(__AVX2__)
#define VL          8
#define KERNEL(fn)  fn##_avx2
#define KERNEL_NAME "avx2"
#else
#define VL          4
#define KERNEL(fn)  fn##_baseline
#define KERNEL_NAME "baseline"
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef double vd __attribute__((vector_size(VL * 4)));
typedef int64_t vl __attribute__((vector_size(VL * 4)));
typedef uint64_t vul __attribute__((vector_size(VL * 4)));
typedef uint8_t vb __attribute__((vector_size(VL)));
typedef float vf_unaligned __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef double vd_unaligned __attribute__((vector_size(VL * 4), aligned(8), may_alias));
enum { VLD = VL / 2 }; /* doubles per vector */

#define INLINE static inline __attribute__((always_inline, unused))

static const vi lane_index __attribute__((unused)) = {
    0, 1, 2,  3,
#if VL >= 8
    4, 5, 6,  7,
#endif
#if VL >= 16
    8, 9, 10, 11, 12, 13, 14, 15,
#endif
};

INLINE vf vset(float x)
{
    return x - (vf){0};
}
INLINE vf vload(const float *p)
{
    return *(const vf_unaligned *)p;
}
INLINE void vstore(float *p, vf x)
{
    *(vf_unaligned *)p = x;
}
/* The first n < VL floats; the rest zero. */
INLINE vf vload_part(const float *p, size_t n)
{
#if defined(__AVX512F__)
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    vf x = {0};
    memcpy(&x, p, n * sizeof *p);
    return x;
#endif
}
INLINE void vstore_part(float *p, vf x, size_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#else
    memcpy(p, &x, n * sizeof *p);
#endif
}
/* Sum and maximum: the upper half onto the lower one, again and again. */
typedef float vf8 __attribute__((vector_size(32)));
typedef float vf4 __attribute__((vector_size(16)));
typedef float vf4_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t vi8 __attribute__((vector_size(32)));
typedef int32_t vi4 __attribute__((vector_size(16)));
#define LOWER_8(x) __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7)
#define UPPER_8(x) __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15)
#define LOWER_4(x) __builtin_shufflevector(x, x, 0, 1, 2, 3)
#define UPPER_4(x) __builtin_shufflevector(x, x, 4, 5, 6, 7)

INLINE float sum4(vf4 x)
{
    x += __builtin_shufflevector(x, x, 2, 3, 2, 3);
    return x[0] + x[1];
}
INLINE vf4 max4(vf4 a, vf4 b)
{
    vi4 larger = a > b;
    return (vf4)((larger & (vi4)a) | (~larger & (vi4)b));
}
INLINE float largest4(vf4 x)
{
    x = max4(x, __builtin_shufflevector(x, x, 2, 3, 2, 3));
    return x[0] > x[1] ? x[0] : x[1];
}
#if VL == 16
INLINE vf8 max8(vf8 a, vf8 b)
{
    vi8 larger = a > b;
    return (vf8)((larger & (vi8)a) | (~larger & (vi8)b));
}
INLINE float vsum(vf x)
{
    vf8 half = LOWER_8(x) + UPPER_8(x);
    return sum4(LOWER_4(half) + UPPER_4(half));
}
INLINE float vmax(vf x)
{
    vf8 half = max8(LOWER_8(x), UPPER_8(x));
    return largest4(max4(LOWER_4(half), UPPER_4(half)));
}
#elif VL == 8
INLINE float vsum(vf x)
{
    return sum4(LOWER_4(x) + UPPER_4(x));
}
INLINE float vmax(vf x)
{
    return largest4(max4(LOWER_4(x), UPPER_4(x)));
}
#else
INLINE float vsum(vf x)
{
    return sum4(x);
}
INLINE float vmax(vf x)
{
    return largest4(x);
}
#endif
INLINE vf vselect(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
/* a·b + c, rounded once where the instruction set can: for sums of two products, of which a compiler might fuse either. */
INLINE vf vfma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}
/* The larger of each pair; b where one is NaN. */
INLINE vf vlarger(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vselect(a > b, a, b);
#endif
}
INLINE vd vdset(double x)
{
    return x - (vd){0};
}
INLINE vd vdload(const double *p)
{
    return *(const vd_unaligned *)p;
}
INLINE void vdstore(double *p, vd x)
{
    *(vd_unaligned *)p = x;
}
INLINE double vdsum(vd x)
{
    for (int half = VLD / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            x[i] += x[i + half];
        }
    }
    return x[0];
}

/* exp for |error| < 2 ulp; below −87.3 it is the smallest normal number, above 88.3 about 2e38; NaN stays. */
INLINE vf vexp(vf x)
{
#if defined(__AVX512F__)
    /* The same in one instruction each; of NaN both give the second. */
    x = (vf)_mm512_max_ps((__m512)vset(-87.3f), (__m512)x);
    x = (vf)_mm512_min_ps((__m512)vset(88.3f), (__m512)x);
#else
    x = vselect(x < -87.3f, vset(-87.3f), x);
    x = vselect(x > 88.3f, vset(88.3f), x);
#endif
    const vf magic = vset(12582912.0f); /* 1.5·2^23: adding it rounds to an integer */
    vf n = x * 1.44269504f + magic;
    vi e = (vi)n - (vi)magic;
    n -= magic;
    vf r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vf p = 1.98756915e-4f * r + 1.39819995e-3f;
    p = p * r + 8.33345190e-3f;
    p = p * r + 4.16657957e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    return p * (vf)((e + 127) << 23);
}

/* Round to bf16, ties to even; overflow to infinity; NaN stays NaN. */
INLINE vf vround_bf16(vf x)
{
    vu u = (vu)x;
    vu r = u + 0x7fffu + ((u >> 16) & 1u);
#if defined(__AVX512F__)
    const __m512i quiet = (__m512i)((vu){0} + 0x00400000u);
    r = (vu)_mm512_mask_or_epi32((__m512i)r, _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q),
                                 (__m512i)u, quiet);
    return (vf)(r & 0xffff0000u);
#else
    return vselect(x != x, (vf)((u & 0xffff0000u) | 0x00400000u), (vf)(r & 0xffff0000u));
#endif
}

/* Round to fp16, ties to even, subnormals kept, above 65519.99… infinity; NaN stays NaN. */
INLINE vf vround_fp16(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_cvtph_ps(_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    return (vf)_mm256_cvtph_ps(_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
#else
    vu u = (vu)x;
    vu sign = u & 0x80000000u;
    vf magnitude = (vf)(u & 0x7fffffffu);
    vf normal = (vf)(((vu)magnitude + 0xfffu + (((vu)magnitude >> 13) & 1u)) & 0xffffe000u);
    normal = vselect(normal > 65504.0f, vset(INFINITY), normal);
    /* Next to 0.75 the unit in the last place is 2^−24, fp16's smallest step. */
    vf subnormal = (magnitude + 0.75f) - 0.75f;
    vf r = vselect(magnitude < 6.103515625e-05f, subnormal, normal);
    r = vselect(x != x, x, r);
    return (vf)((vu)r | sign);
#endif
}

INLINE vf vround(enum precision precision, vf x)
{
    return precision == PRECISION_BF16   ? vround_bf16(x)
           : precision == PRECISION_FP16 ? vround_fp16(x)
                                         : x;
}

typedef uint16_t vh __attribute__((vector_size(VL * 2)));

/* The first n ≤ VL numbers at `at`; of a packed operand, x is rounded to bf16. */
INLINE void operand_store(struct operand o, size_t at, vf x, size_t n)
{
    if (o.packed) {
        vh half = __builtin_convertvector((vu)x >> 16, vh);
        memcpy(o.packed + at, &half, n * sizeof half[0]);
    } else {
        memcpy(o.full + at, &x, n * sizeof x[0]);
    }
}
INLINE vf operand_load(struct operand o, size_t at, size_t n)
{
    vf x = {0};
    vh half = {0};
    if (o.packed) {
        memcpy(&half, o.packed + at, n * sizeof half[0]);
        return (vf)(__builtin_convertvector(half, vu) << 16);
    }
    memcpy(&x, o.full + at, n * sizeof x[0]);
    return x;
}

/*
 * Run the body over 0 … n−1 in vectors; in it, `i` is the index, LOAD and STORE move VL floats, or what is left of them at the
 * end. The loop is written once and compiled for both.
 */
#define FOR_VECTORS(n, ...)                                                                        \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (; i + VL <= (size_t)(n); i += VL) {                                                   \
            enum { part = 0 };                                                                     \
            const size_t left = VL;                                                                \
            (void)left;                                                                            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (i < (size_t)(n)) {                                                                     \
            enum { part = 1 };                                                                     \
            const size_t left = (size_t)(n)-i;                                                     \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)
#define LOAD(p) (part ? vload_part((p) + i, left) : vload((p) + i))
/* The same of an operand, from its element `at`. */
#define LOAD_OPERAND(o, at)     operand_load((o), (at) + i, part ? left : VL)
#define STORE_OPERAND(o, at, x) operand_store((o), (at) + i, (x), part ? left : VL)
#define STORE(p, x)             (part ? vstore_part((p) + i, (x), left) : vstore((p) + i, (x)))

#endif
