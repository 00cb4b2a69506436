/*
 * SmoothQuant (2211.10438), α = ½: inputs are divided, and weights multiplied, by s_j = √(max|X_j| / max|W_j|), site by site.
 * Inputs that are always 0, or whose weights are, keep s_j = 1.
 */
#include <math.h>

#include "study/quantizers/parts.h"

static size_t parameters(int in)
{
    return (size_t)in;
}

static void prepare(int in, int out, const float *w, const float *input_absmax, float *s)
{
    for (int j = 0; j < in; j++) {
        float most = 0;
        for (int o = 0; o < out; o++) {
            const float here = fabsf(w[(size_t)o * in + j]);
            most = here > most ? here : most;
        }
        const double ratio = sqrt((double)input_absmax[j] / most);
        s[j] = ratio > 0 && isfinite((float)ratio) && (float)ratio > 0 ? (float)ratio : 1;
    }
}

static void inputs(int in, const float *s, int rows, const float *x, float *y)
{
    const struct kernels *k = kernels_get();
    for (int r = 0; r < rows; r++) {
        k->divide((size_t)in, x + (size_t)r * in, s, y + (size_t)r * in);
    }
}

static void weights(int in, const float *s, int rows, const float *w, float *y)
{
    for (int r = 0; r < rows; r++) {
        for (int j = 0; j < in; j++) {
            y[(size_t)r * in + j] = w[(size_t)r * in + j] * s[j];
        }
    }
}

const struct transform_part transform_smooth = {
    .parameters = parameters, .prepare = prepare, .inputs = inputs, .weights = weights};
