/*
 * NF4 (QLoRA, 2305.14314, appendix E): 16 quantiles of the normal distribution, symmetric around an exact zero, scaled by a group's
 * absmax in fp32.
 */
#include "study/quantizers/parts.h"

static const float values[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static float scale(const struct kernels *kernels, int bits, int n, const float *w)
{
    (void)bits;
    return kernels->absmax((size_t)n, w);
}

/* Half-way between two values goes to the lower one. */
static void encode(const struct kernels *kernels, int bits, float s, int n, const float *w,
                   int8_t *codes)
{
    (void)kernels, (void)bits;
    for (int i = 0; i < n; i++) {
        const float v = s == 0 ? 0 : w[i] / s;
        int code = 0;
        for (int c = 0; c < 15; c++) {
            code += 2.0 * v > (double)values[c] + values[c + 1];
        }
        codes[i] = (int8_t)code;
    }
}

const struct format format_nf4 = {.values = values, .scale = scale, .encode = encode};
