/*
 * FP8 E4M3 (OCP 8-bit Floating Point v1.0): bias 7, subnormals, largest number 448, no infinity, S.1111.111 is NaN. One scale per
 * output channel or token, absmax / 448.
 */
#include <math.h>
#include <string.h>

#include "study/quantizers/parts.h"

#define LARGEST 448.0f

enum { STRIP = 64 };

#define EIGHT(u) 8 * (u), 9 * (u), 10 * (u), 11 * (u), 12 * (u), 13 * (u), 14 * (u), 15 * (u)
#define HALF(sign)                                                                                 \
    sign 0.0f, sign 0x1p-9f, sign 0x2p-9f, sign 0x3p-9f, sign 0x4p-9f, sign 0x5p-9f, sign 0x6p-9f, \
        sign 0x7p-9f, EIGHT(sign 0x1p-9f), EIGHT(sign 0x1p-8f), EIGHT(sign 0x1p-7f),               \
        EIGHT(sign 0x1p-6f), EIGHT(sign 0x1p-5f), EIGHT(sign 0x1p-4f), EIGHT(sign 0x1p-3f),        \
        EIGHT(sign 0x1p-2f), EIGHT(sign 0x1p-1f), EIGHT(sign 0x1p0f), EIGHT(sign 0x1p1f),          \
        EIGHT(sign 0x1p2f), EIGHT(sign 0x1p3f), EIGHT(sign 0x1p4f), sign 256.0f, sign 288.0f,      \
        sign 320.0f, sign 352.0f, sign 384.0f, sign 416.0f, sign 448.0f, NAN

static const float values[256] = {HALF(+), HALF(-)};

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float scale(const struct kernels *kernels, int bits, int n, const float *w)
{
    (void)bits;
    return kernels->absmax((size_t)n, w) / LARGEST;
}

/* Codes of subnormal numbers count steps of 2^−9, and those of normal ones are the upper bits of fp32 with another bias. */
static void encode(const struct kernels *kernels, int bits, float s, int n, const float *w,
                   int8_t *codes)
{
    (void)bits;
    for (int first = 0; first < n; first += STRIP) {
        const int count = n - first < STRIP ? n - first : STRIP;
        float strip[STRIP];
        kernels->fp8_round((size_t)count, w + first, s, 1, strip);
        for (int i = 0; i < count; i++) {
            const float v = fabsf(strip[i]);
            const uint32_t normal = (bits_of(v) >> 20) - (120u << 3);
            const uint32_t code = v < 0x1p-6f    ? (uint32_t)(v * 512.0f)
                                  : v <= LARGEST ? normal
                                                 : 0x7fu;
            codes[first + i] = (int8_t)(uint8_t)(code | (signbit(w[first + i]) ? 0x80u : 0u));
        }
    }
}

const struct format format_fp8 = {.values = values, .scale = scale, .encode = encode};
