/* Symmetric absmax quantization (METHOD §3), a row or tensor at a time. */
#include "study/kernels/table.h"

typedef int8_t vq __attribute__((vector_size(VL)));

float KERNEL(absmax)(size_t n, const float *x)
{
    vf largest = {0};
    FOR_VECTORS(n, {
        vf v = LOAD(x);
        v = (vf)((vi)v & 0x7fffffff);
        largest = vselect(v > largest, v, largest);
    });
    return vmax(largest);
}

void KERNEL(quantize)(size_t n, const float *x, float s, int limit, int8_t *q)
{
    if (s == 0) {
        memset(q, 0, n);
        return;
    }
    const vf magic = vset(12582912.0f), most = vset((float)limit);
    FOR_VECTORS(n, {
        vf v = LOAD(x) / s;
        v = vselect(v > most, most, v); /* the limit is whole: clamping first changes nothing */
        v = vselect(v < -most, -most, v);
        vi code = (vi)(v + magic) - (vi)magic;
        vq narrow = __builtin_convertvector(code, vq);
        memcpy(q + i, &narrow, left);
    });
}

void KERNEL(decode)(size_t n, const int8_t *codes, const float *values, float scale, float *w)
{
    if (values) {
        for (size_t i = 0; i < n; i++) {
            w[i] = values[(uint8_t)codes[i]] * scale;
        }
        return;
    }
    FOR_VECTORS(n, {
        vq narrow = {0};
        memcpy(&narrow, codes + i, left);
        STORE(w, __builtin_convertvector(__builtin_convertvector(narrow, vi), vf) * scale);
    });
}

void KERNEL(rescale)(int n, const int32_t *acc, float row_scale, const float *scale,
                     const float *bias, float *y)
{
    FOR_VECTORS(n, {
        vi a = {0};
        memcpy(&a, acc + i, left * sizeof *acc);
        vf v = __builtin_convertvector(a, vf) * row_scale * LOAD(scale);
        if (bias) {
            v += LOAD(bias);
        }
        STORE(y, v);
    });
}
