/* Rounding, bias, residual, dropout, embedding, sums and AdamW. */
#include "study/kernels/table.h"
#include "study/rng.h"

void KERNEL(round)(enum precision precision, size_t n, const float *x, float *y)
{
    FOR_VECTORS(n, { STORE(y, vround(precision, LOAD(x))); });
}

void KERNEL(pack_bf16)(size_t n, const float *x, uint16_t *y)
{
    FOR_VECTORS(n, {
        struct operand to = {.packed = y};
        STORE_OPERAND(to, 0, vround_bf16(LOAD(x)));
    });
}

void KERNEL(bias_round)(enum precision precision, int rows, int n, const float *bias, float *y)
{
    if (bias == NULL) {
        if (precision != PRECISION_FP32) {
            KERNEL(round)(precision, (size_t)rows * n, y, y);
        }
        return;
    }
    for (int r = 0; r < rows; r++, y += n) {
        FOR_VECTORS(n, { STORE(y, vround(precision, LOAD(y) + LOAD(bias))); });
    }
}

void KERNEL(column_sum)(int rows, int n, struct operand y, float *sum)
{
    FOR_VECTORS(n, {
        vf s = {0};
        for (int r = 0; r < rows; r++) {
            s += LOAD_OPERAND(y, (size_t)r * n);
        }
        STORE(sum, s);
    });
}

void KERNEL(dropout_mask)(struct dropout_key key, double p, int sequences, int per_sequence,
                          uint8_t *mask)
{
    const uint64_t drop_below = (uint64_t)(p * 4294967296.0); /* of 2^32 */
    for (int s = 0; s < sequences; s++, mask += per_sequence) {
        for (int e = 0; e < per_sequence; e += 4) {
            philox4x32_ctr_t r = rng_draw(key.seed, RNG_DROPOUT, key.site, key.step,
                                          key.sequence + (uint32_t)s, (uint32_t)e / 4);
            int left = per_sequence - e < 4 ? per_sequence - e : 4;
            for (int i = 0; i < left; i++) {
                mask[e + i] = r.v[i] >= drop_below;
            }
        }
    }
}

/* VL mask bytes as 0.0 or `scale`. */
INLINE vf mask_load(const uint8_t *mask, size_t n, float scale)
{
    vb m = {0};
    memcpy(&m, mask, n);
    return __builtin_convertvector(m, vf) * scale;
}

void KERNEL(residual)(enum precision precision, size_t n, const float *x, const float *b1,
                      const uint8_t *m1, const float *b2, const uint8_t *m2, float scale, float *y)
{
    if (m1 == NULL && b2 == NULL) {
        FOR_VECTORS(n, { STORE(y, vround(precision, LOAD(x) + LOAD(b1))); });
    } else if (m1 == NULL) {
        FOR_VECTORS(n, { STORE(y, vround(precision, LOAD(x) + (LOAD(b1) + LOAD(b2)))); });
    } else if (b2 == NULL) {
        FOR_VECTORS(n, {
            vf b = mask_load(m1 + i, left, scale) * LOAD(b1);
            STORE(y, vround(precision, LOAD(x) + b));
        });
    } else {
        FOR_VECTORS(n, {
            vf b = mask_load(m1 + i, left, scale) * LOAD(b1);
            b += mask_load(m2 + i, left, scale) * LOAD(b2);
            STORE(y, vround(precision, LOAD(x) + b));
        });
    }
}

void KERNEL(mask_scale)(enum precision precision, size_t n, const float *x, const uint8_t *mask,
                        float scale, float *y)
{
    FOR_VECTORS(n, { STORE(y, vround(precision, mask_load(mask + i, left, scale) * LOAD(x))); });
}

void KERNEL(embed)(enum precision precision, int rows, int d, int context, const uint32_t *tokens,
                   const float *embedding, const float *position, const uint8_t *mask, float scale,
                   float *x)
{
    for (int r = 0; r < rows; r++, x += d) {
        const float *e = embedding + (size_t)tokens[r] * d;
        const float *p = position ? position + (size_t)(r % context) * d : NULL;
        const uint8_t *m = mask ? mask + (size_t)r * d : NULL;
        FOR_VECTORS(d, {
            vf v = LOAD(e);
            if (p) {
                v += LOAD(p);
            }
            if (m) {
                v *= mask_load(m + i, left, scale);
            }
            STORE(x, vround(precision, v));
        });
    }
}

/* Lane by lane, the lanes then in order. */
#define SUM_OF_SQUARES(n, load)                                                                    \
    do {                                                                                           \
        double lane[VL] = {0};                                                                     \
        FOR_VECTORS(n, {                                                                           \
            const vf v = load;                                                                     \
            for (int l = 0; l < VL; l++) {                                                         \
                lane[l] += (double)v[l] * v[l];                                                    \
            }                                                                                      \
        });                                                                                        \
        double sum = 0;                                                                            \
        for (int l = 0; l < VL; l++) {                                                             \
            sum += lane[l];                                                                        \
        }                                                                                          \
        return sum;                                                                                \
    } while (0)

double KERNEL(squared_sum)(size_t n, const float *x)
{
    SUM_OF_SQUARES(n, LOAD(x));
}

double KERNEL(squared_distance)(size_t n, const float *x, const float *y)
{
    SUM_OF_SQUARES(n, LOAD(x) - LOAD(y));
}

void KERNEL(add)(size_t n, const float *x, float *y)
{
    FOR_VECTORS(n, { STORE(y, LOAD(y) + LOAD(x)); });
}

INLINE vf vsqrt(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int l = 0; l < VL; l++) {
        x[l] = sqrtf(x[l]);
    }
    return x;
#endif
}

void KERNEL(adamw)(size_t n, float grad_scale, float rate, float decay, float beta1, float beta2,
                   float epsilon, float correction1, float correction2, const float *g, float *p,
                   float *m, float *v)
{
    FOR_VECTORS(n, {
        vf gradient = LOAD(g) * grad_scale;
        vf first = LOAD(m) * beta1 + gradient * (1.0f - beta1);
        vf second = LOAD(v) * beta2 + gradient * gradient * (1.0f - beta2);
        vf weight = LOAD(p);
        vf update = (first * correction1) / (vsqrt(second * correction2) + epsilon);
        STORE(m, first);
        STORE(v, second);
        STORE(p, weight - (weight * decay + update * rate));
    });
}
