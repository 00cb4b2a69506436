/*
 * MXFP4 (OCP Microscaling Formats v1.0): blocks of 32 elements in E2M1 with one shared power-of-two scale (E8M0),
 * 2^(⌊log2 absmax⌋ − 2), where 2 is the exponent of the largest element; elements round to nearest even and saturate.
 */
#include <limits.h>
#include <math.h>

#include "study/quantizers/parts.h"

/* Sign in bit 3, then two bits of exponent, one of mantissa. */
static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

/* E8M0 has the exponents −127 … 127 and no zero. */
static float scale(const struct kernels *kernels, int bits, int n, const float *w)
{
    (void)bits;
    const float most = kernels->absmax((size_t)n, w);
    int exponent = most == 0 ? -127 : isinf(most) ? 127 : ilogbf(most) - 2;
    exponent = exponent < -127 ? -127 : exponent > 127 ? 127 : exponent;
    return ldexpf(1, exponent);
}

/* Steps half-way between neighbours; a tie goes to the neighbour whose mantissa bit is 0. */
static void encode(const struct kernels *kernels, int bits, float s, int n, const float *w,
                   int8_t *codes)
{
    (void)kernels, (void)bits;
    for (int i = 0; i < n; i++) {
        const float v = fabsf(w[i] / s);
        const int magnitude = (v > 0.25f) + (v >= 0.75f) + (v > 1.25f) + (v >= 1.75f) + (v > 2.5f) +
                              (v >= 3.5f) + (v > 5.0f);
        codes[i] = (int8_t)(magnitude | (signbit(w[i]) ? 8 : 0));
    }
}

const struct format format_mxfp4 = {.values = values, .scale = scale, .encode = encode};
