/* LayerNorm and the FFN's activation functions. */
#include "study/kernels/table.h"

static const float layernorm_epsilon = 1e-5f;

void KERNEL(layernorm_forward)(enum precision precision, int rows, int d, const float *x,
                               const float *gain, const float *bias, struct operand out,
                               float *mean, float *rstd)
{
    for (int r = 0; r < rows; r++, x += d) {
        vf sum = {0};
        FOR_VECTORS(d, { sum += LOAD(x); });
        const float m = vsum(sum) / (float)d;
        vf squares = {0};
        FOR_VECTORS(d, {
            vf c = LOAD(x) - m;
            if (part) {
                for (size_t l = left; l < VL; l++) {
                    c[l] = 0;
                }
            }
            squares += c * c;
        });
        const float s = 1.0f / sqrtf(vsum(squares) / (float)d + layernorm_epsilon);
        FOR_VECTORS(d, {
            vf y = (LOAD(x) - m) * s * LOAD(gain) + LOAD(bias);
            STORE_OPERAND(out, (size_t)r * d, vround(precision, y));
        });
        mean[r] = m;
        rstd[r] = s;
    }
}

void KERNEL(layernorm_backward)(enum precision precision, int rows, int d, const float *dout1,
                                const float *dout2, const float *x, const float *mean,
                                const float *rstd, const float *gain, float *dgain, float *dbias,
                                float *dx)
{
    memset(dgain, 0, (size_t)d * sizeof *dgain);
    memset(dbias, 0, (size_t)d * sizeof *dbias);
    for (int r = 0; r < rows; r++) {
        const float m = mean[r], s = rstd[r];
        vf sum = {0}, sum_normal = {0};
        FOR_VECTORS(d, {
            vf dy = LOAD(dout1);
            if (dout2) {
                dy += LOAD(dout2);
            }
            vf normal = (LOAD(x) - m) * s;
            STORE(dgain, LOAD(dgain) + dy * normal);
            STORE(dbias, LOAD(dbias) + dy);
            vf dn = dy * LOAD(gain); /* zero past the end, since dy is */
            sum += dn;
            sum_normal += dn * normal;
        });
        const float a = vsum(sum) / (float)d, b = vsum(sum_normal) / (float)d;
        FOR_VECTORS(d, {
            vf dy = LOAD(dout1);
            if (dout2) {
                dy += LOAD(dout2);
            }
            vf normal = (LOAD(x) - m) * s;
            vf grad = (dy * LOAD(gain) - a - normal * b) * s;
            STORE(dx, vround(precision, LOAD(dx) + grad));
        });
        x += d;
        dx += d;
        dout1 += d;
        dout2 = dout2 ? dout2 + d : NULL;
    }
}

INLINE vf sigmoid(vf x)
{
    return 1.0f / (1.0f + vexp(-x));
}

/* GELU, tanh form: x·σ(2u), u = √(2/π)·(x + 0.044715·x³), since ½(1 + tanh u) = σ(2u). */
static const float gelu_a = 1.5957691216f;             /* 2·√(2/π) */
static const float gelu_b = 1.5957691216f * 0.044715f; /* of x³ */

INLINE vf gelu(vf x)
{
    return x * sigmoid(x * (gelu_a + gelu_b * x * x));
}
INLINE vf gelu_slope(vf x)
{
    vf s = sigmoid(x * (gelu_a + gelu_b * x * x));
    return s + x * s * (1.0f - s) * (gelu_a + 3.0f * gelu_b * x * x);
}

void KERNEL(activation_forward)(enum activation kind, enum precision precision, int rows, int f,
                                const float *h, struct operand a)
{
    const size_t n = (size_t)rows * f;
    switch (kind) {
    case ACTIVATION_GELU:
        FOR_VECTORS(n, { STORE_OPERAND(a, 0, vround(precision, gelu(LOAD(h)))); });
        break;
    case ACTIVATION_RELU:
        FOR_VECTORS(n, {
            vf x = LOAD(h);
            STORE_OPERAND(a, 0, vselect(x < 0.0f, vset(0), x));
        });
        break;
    case ACTIVATION_SWIGLU:
        for (int r = 0; r < rows; r++, h += 2 * f) {
            const float *up = h + f;
            FOR_VECTORS(f, {
                vf g = LOAD(h);
                STORE_OPERAND(a, (size_t)r * f, vround(precision, g * sigmoid(g) * LOAD(up)));
            });
        }
        break;
    }
}

void KERNEL(activation_backward)(enum activation kind, enum precision precision, int rows, int f,
                                 const float *h, const float *da, struct operand dh)
{
    const size_t n = (size_t)rows * f;
    switch (kind) {
    case ACTIVATION_GELU:
        FOR_VECTORS(n,
                    { STORE_OPERAND(dh, 0, vround(precision, gelu_slope(LOAD(h)) * LOAD(da))); });
        break;
    case ACTIVATION_RELU:
        FOR_VECTORS(n, { STORE_OPERAND(dh, 0, vselect(LOAD(h) > 0.0f, LOAD(da), vset(0))); });
        break;
    case ACTIVATION_SWIGLU:
        for (int r = 0; r < rows; r++, h += 2 * f, da += f) {
            const float *up = h + f;
            const size_t gate = 2 * (size_t)r * f;
            FOR_VECTORS(f, {
                vf g = LOAD(h);
                vf s = sigmoid(g);
                vf silu_slope = s + g * s * (1.0f - s);
                vf upstream = LOAD(da);
                STORE_OPERAND(dh, gate, vround(precision, upstream * LOAD(up) * silu_slope));
                STORE_OPERAND(dh, gate + f, vround(precision, upstream * g * s));
            });
        }
        break;
    }
}
