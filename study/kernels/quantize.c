/* Rounding to integers and FP8, and transforms of inputs (METHOD §3), a row or tensor at a time. */
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

void KERNEL(column_absmax)(int rows, int n, const float *x, float *most)
{
    memset(most, 0, (size_t)n * sizeof *most);
    for (int r = 0; r < rows; r++, x += n) {
        FOR_VECTORS(n, {
            const vf v = (vf)((vi)LOAD(x) & 0x7fffffff);
            STORE(most, vlarger(v, LOAD(most)));
        });
    }
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

/* |x| to the nearest E4M3 number, ties to even. Below the smallest normal number, 2^−6, steps are 2^−9: next to 24576 the
 * unit in the last place is just that. Above, three bits of mantissa stay. */
void KERNEL(fp8_round)(size_t n, const float *x, float s, float unit, float *y)
{
    if (s == 0) {
        memset(y, 0, n * sizeof *y);
        return;
    }
    FOR_VECTORS(n, {
        const vf q = LOAD(x) / s;
        const vf magnitude = (vf)((vi)q & 0x7fffffff);
        const vf v = vselect(magnitude > 448.0f, vset(448), magnitude);
        const vf subnormal = (v + 24576.0f) - 24576.0f;
        const vf normal = (vf)(((vu)v + 0x7ffffu + ((vu)v >> 20 & 1u)) & 0xfff00000u);
        const vf nearest = vselect(v < 0x1p-6f, subnormal, normal);
        STORE(y, (vf)((vi)nearest | ((vi)q & INT32_MIN)) * unit);
    });
}

void KERNEL(divide)(size_t n, const float *x, const float *s, float *y)
{
    FOR_VECTORS(n, { STORE(y, LOAD(x) / LOAD(s)); });
}

#if VL == 16
#define SWAP(x, h)                                                                                 \
    __builtin_shufflevector(x, x, 0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h),   \
                            7 ^ (h), 8 ^ (h), 9 ^ (h), 10 ^ (h), 11 ^ (h), 12 ^ (h), 13 ^ (h),     \
                            14 ^ (h), 15 ^ (h))
#elif VL == 8
#define SWAP(x, h)                                                                                 \
    __builtin_shufflevector(x, x, 0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h), 4 ^ (h), 5 ^ (h), 6 ^ (h),   \
                            7 ^ (h))
#else
#define SWAP(x, h) __builtin_shufflevector(x, x, 0 ^ (h), 1 ^ (h), 2 ^ (h), 3 ^ (h))
#endif

/* Lanes l and l ^ h become their sum and their difference. */
#define BUTTERFLY(x, h) (SWAP(x, h) + (x)*vselect((lane_index & (h)) != 0, vset(-1), vset(1)))

void KERNEL(hadamard)(int n, const float *s, const float *x, float *y)
{
    int half = 1;
    if (n >= VL) {
        for (int i = 0; i < n; i += VL) {
            vf v = vload(x + i) * vload(s + i);
            v = BUTTERFLY(v, 1);
            v = BUTTERFLY(v, 2);
#if VL >= 8
            v = BUTTERFLY(v, 4);
#endif
#if VL >= 16
            v = BUTTERFLY(v, 8);
#endif
            vstore(y + i, v);
        }
        for (half = VL; half < n; half *= 2) {
            for (int i = 0; i < n; i += 2 * half) {
                for (int j = i; j < i + half; j += VL) {
                    const vf a = vload(y + j);
                    const vf b = vload(y + j + half);
                    vstore(y + j, a + b);
                    vstore(y + j + half, a - b);
                }
            }
        }
        return;
    }
    for (int i = 0; i < n; i++) {
        y[i] = x[i] * s[i];
    }
    for (; half < n; half *= 2) {
        for (int i = 0; i < n; i += 2 * half) {
            for (int j = i; j < i + half; j++) {
                const float a = y[j], b = y[j + half];
                y[j] = a + b;
                y[j + half] = a - b;
            }
        }
    }
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
