/*
 * Causal attention, one sequence and head at a time, in blocks of rows: the scores of a block stay in cache and the keys
 * above its diagonal are not touched. Heads are copied into buffers padded with zeros to whole tiles, which rids the
 * products of tails. Half types: q·k, probabilities, outputs and their gradients round as METHOD §2 says of every matmul;
 * softmax and its backward pass are fp32.
 */
#include "study/kernels/table.h"

enum { BLOCK = ATTENTION_BLOCK, WIDTH = ATTENTION_WIDTH };

/* Rows and vectors of the register tile: as many accumulators as the registers hold. */
#if VL == 16
enum { TILE_ROWS = 8 };
#else
enum { TILE_ROWS = 4 };
#endif

INLINE void tile(int vectors, int accumulate, int k, const float *a, size_t row_step, size_t k_step,
                 const float *b, size_t ldb, float *c, size_t ldc)
{
    vf acc[TILE_ROWS][2];
    for (int r = 0; r < TILE_ROWS; r++) {
        for (int v = 0; v < vectors; v++) {
            acc[r][v] = accumulate ? vload(c + r * ldc + v * VL) : vset(0);
        }
    }
    for (int i = 0; i < k; i++) {
        vf b0 = vload(b + i * ldb), b1 = vectors > 1 ? vload(b + i * ldb + VL) : b0;
        for (int r = 0; r < TILE_ROWS; r++) {
            vf x = vset(a[r * row_step + i * k_step]);
            acc[r][0] += x * b0;
            if (vectors > 1) {
                acc[r][1] += x * b1;
            }
        }
    }
    for (int r = 0; r < TILE_ROWS; r++) {
        for (int v = 0; v < vectors; v++) {
            vstore(c + r * ldc + v * VL, acc[r][v]);
        }
    }
}

/* C (m, n) = or += A·B; A's element (r, i) is a[r·row_step + i·k_step], B is (k, n). m is a multiple of BLOCK, n of
 * WIDTH. */
INLINE void product(int accumulate, int m, int n, int k, const float *a, size_t row_step,
                    size_t k_step, const float *b, size_t ldb, float *c, size_t ldc)
{
    for (int i = 0; i < m; i += TILE_ROWS) {
        int j = 0;
        for (; j + 2 * VL <= n; j += 2 * VL) {
            tile(2, accumulate, k, a + i * row_step, row_step, k_step, b + j, ldb, c + i * ldc + j,
                 ldc);
        }
        for (; j < n; j += VL) {
            tile(1, accumulate, k, a + i * row_step, row_step, k_step, b + j, ldb, c + i * ldc + j,
                 ldc);
        }
    }
}

/* Where one head's copies lie in the scratch; T and hd padded to whole blocks. */
struct head {
    int padded, width;       /* T, hd padded */
    float *q, *k, *v, *grad; /* (T, hd) */
    float *kt, *vt;          /* (hd, T) */
    float *dq, *dk, *dv;     /* (T, hd) */
    float *p, *ds;           /* (BLOCK, T) */
};

/* Columns up to which a tile of rows ending before row `end` has scores; of its last row and of all before it the rest is
 * zero, up to there. */
INLINE int tile_keys(int end)
{
    return (end + VL - 1) / VL * VL;
}

/* Causal products of the BLOCK rows from t0 on, none above the diagonal's tiles. Scores p (BLOCK, T) = x (BLOCK, hd)·yt (hd, T). */
INLINE void scores(const struct head *h, int t0, int hd, const float *x, const float *yt, float *p)
{
    const size_t w = (size_t)h->width, padded = (size_t)h->padded;
    for (int r = 0; r < BLOCK; r += TILE_ROWS) {
        product(0, TILE_ROWS, tile_keys(t0 + r + TILE_ROWS), hd, x + r * w, w, 1, yt, padded,
                p + r * padded, padded);
    }
}

/* out (BLOCK, hd) = p (BLOCK, T)·y (T, hd) */
INLINE void weighted(const struct head *h, int t0, const float *p, const float *y, float *out)
{
    const size_t w = (size_t)h->width, padded = (size_t)h->padded;
    for (int r = 0; r < BLOCK; r += TILE_ROWS) {
        product(0, TILE_ROWS, h->width, t0 + r + TILE_ROWS, p + r * padded, padded, 1, y, w,
                out + r * w, w);
    }
}

/* out (T, hd) += pᵀ x (BLOCK, hd) */
INLINE void scattered(const struct head *h, int t0, const float *p, const float *x, float *out)
{
    const size_t w = (size_t)h->width, padded = (size_t)h->padded;
    product(1, t0, h->width, BLOCK, p, 1, padded, x, w, out, w);
    for (int r = 0; r < BLOCK; r += TILE_ROWS) {
        product(1, TILE_ROWS, h->width, BLOCK - r, p + r * padded + t0 + r, 1, padded, x + r * w, w,
                out + (t0 + r) * w, w);
    }
}

static struct head head_carve(int context, int head_dim, float *scratch)
{
    struct head h;
    h.padded = (context + BLOCK - 1) / BLOCK * BLOCK;
    h.width = (head_dim + WIDTH - 1) / WIDTH * WIDTH;
    size_t n = (size_t)h.padded * h.width;
    float **part[] = {&h.q, &h.k, &h.v, &h.grad, &h.kt, &h.vt, &h.dq, &h.dk, &h.dv};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        *part[i] = scratch;
        scratch += n;
    }
    h.p = scratch;
    h.ds = scratch + (size_t)BLOCK * h.padded;
    return h;
}

/* Copy column block `from` (row stride `stride`) of T rows to (padded, width). */
static void head_copy(const struct attention_shape *s, const struct head *h, const float *from,
                      size_t stride, float *to)
{
    for (int t = 0; t < s->context; t++, from += stride, to += h->width) {
        FOR_VECTORS(s->head_dim, { STORE(to, LOAD(from)); });
    }
}

/* The same, rows rotated by their positions (direction 1) or back (−1), and rounded. */
static void head_rotate(enum precision precision, const struct attention_shape *s,
                        const struct head *h, float direction, const float *from, size_t stride,
                        float *to)
{
    const int half = s->head_dim / 2;
    if (s->cosine == NULL) {
        if (from != to) {
            head_copy(s, h, from, stride, to);
        }
        return;
    }
    for (int t = 0; t < s->context; t++, from += stride, to += h->width) {
        const float *a = from, *b = from + half;
        float *to_a = to, *to_b = to + half;
        const float *cosine = s->cosine + (size_t)t * half, *sine = s->sine + (size_t)t * half;
        FOR_VECTORS(half, {
            vf va = LOAD(a), vb_ = LOAD(b), c = LOAD(cosine), n = LOAD(sine) * direction;
            STORE(to_a, vround(precision, vfma(va, c, -(vb_ * n))));
            STORE(to_b, vround(precision, vfma(va, n, vb_ * c)));
        });
    }
}

/* Four by four in registers; padded and width are multiples of four. */
static void head_transpose(const struct head *h, const float *x, float *xt)
{
    const size_t w = (size_t)h->width, padded = (size_t)h->padded;
    for (size_t t = 0; t < padded; t += 4) {
        for (size_t c = 0; c < w; c += 4) {
            const vf4 r0 = *(const vf4_unaligned *)(x + t * w + c);
            const vf4 r1 = *(const vf4_unaligned *)(x + (t + 1) * w + c);
            const vf4 r2 = *(const vf4_unaligned *)(x + (t + 2) * w + c);
            const vf4 r3 = *(const vf4_unaligned *)(x + (t + 3) * w + c);
            const vf4 a = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
            const vf4 b = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
            const vf4 e = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
            const vf4 f = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
            float *to = xt + c * padded + t;
            *(vf4_unaligned *)to = __builtin_shufflevector(a, b, 0, 1, 4, 5);
            *(vf4_unaligned *)(to + padded) = __builtin_shufflevector(a, b, 2, 3, 6, 7);
            *(vf4_unaligned *)(to + 2 * padded) = __builtin_shufflevector(e, f, 0, 1, 4, 5);
            *(vf4_unaligned *)(to + 3 * padded) = __builtin_shufflevector(e, f, 2, 3, 6, 7);
        }
    }
}

/* Scores of row t from column j, rounded and scaled; −∞ above the diagonal. */
INLINE vf row_scores(enum precision precision, const float *row, int j, int t, float scale)
{
    vf x = vround(precision, vload(row + j)) * scale;
    return vselect(lane_index + j > t, vset(-INFINITY), x);
}
/* exp of scores − max, exactly zero above the diagonal. */
INLINE vf row_exp(vf x, int j, int t, float max)
{
    return vselect(lane_index + j > t, vset(0), vexp(x - max));
}

/* Softmax of the scores p (rows, T) from row t0 on, in place; past `rows` zero. Each pass goes over all rows, for within a row each
 * waits for the last. Only the last vector of a row crosses the diagonal. */
INLINE void softmax(enum precision precision, const struct head *h, int t0, int rows, float scale,
                    float *row_max, float *row_scale)
{
    for (int r = 0; r < rows; r++) {
        float *row = h->p + (size_t)r * h->padded;
        const int t = t0 + r, last = tile_keys(t + 1) - VL;
        vf largest = row_scores(precision, row, last, t, scale);
        vstore(row + last, largest);
        for (int j = 0; j < last; j += VL) {
            const vf x = vround(precision, vload(row + j)) * scale;
            largest = vlarger(x, largest);
            vstore(row + j, x);
        }
        row_max[r] = vmax(largest);
    }
    for (int r = 0; r < rows; r++) {
        float *row = h->p + (size_t)r * h->padded;
        const int t = t0 + r, last = tile_keys(t + 1) - VL;
        const float max = row_max[r];
        vf sum = {0};
        for (int j = 0; j < last; j += VL) {
            const vf e = vexp(vload(row + j) - max);
            sum += e;
            vstore(row + j, e);
        }
        const vf e = row_exp(vload(row + last), last, t, max);
        vstore(row + last, e);
        row_scale[r] = 1.0f / vsum(sum + e);
    }
    for (int r = 0; r < rows; r++) {
        float *row = h->p + (size_t)r * h->padded;
        for (int j = 0; j < tile_keys(t0 + r + 1); j += VL) {
            vstore(row + j, vround(precision, vload(row + j) * row_scale[r]));
        }
    }
    for (int r = rows; r < BLOCK; r++) {
        memset(h->p + (size_t)r * h->padded, 0, (size_t)tile_keys(t0 + r + 1) * sizeof(float));
    }
}

void KERNEL(attention_forward)(enum precision precision, const struct attention_shape *s,
                               const float *qkv, struct operand out, float *row_max,
                               float *row_scale, float *scratch)
{
    const struct head h = head_carve(s->context, s->head_dim, scratch);
    const int T = s->context, hd = s->head_dim, d = s->heads * hd;
    const size_t stride = 3 * (size_t)d;
    const float scale = 1.0f / sqrtf((float)hd);

    memset(scratch, 0, attention_scratch(T, hd) * sizeof *scratch);
    for (int unit = 0; unit < s->sequences * s->heads; unit++) {
        const size_t first = (size_t)(unit / s->heads) * T;
        const float *from = qkv + first * stride + (size_t)(unit % s->heads) * hd;
        const size_t to = first * d + (size_t)(unit % s->heads) * hd;
        float *max_t = row_max + (size_t)unit * T, *scale_t = row_scale + (size_t)unit * T;
        head_rotate(precision, s, &h, 1.0f, from, stride, h.q);
        head_rotate(precision, s, &h, 1.0f, from + d, stride, h.k);
        head_copy(s, &h, from + 2 * d, stride, h.v);
        head_transpose(&h, h.k, h.kt);

        for (int t0 = 0; t0 < T; t0 += BLOCK) {
            const int rows = T - t0 < BLOCK ? T - t0 : BLOCK;
            scores(&h, t0, hd, h.q + (size_t)t0 * h.width, h.kt, h.p);
            softmax(precision, &h, t0, rows, scale, max_t + t0, scale_t + t0);
            weighted(&h, t0, h.p, h.v, h.dq);
            for (int t = t0; t < t0 + rows; t++) {
                const float *o = h.dq + (size_t)(t - t0) * h.width;
                FOR_VECTORS(
                    hd, { STORE_OPERAND(out, to + (size_t)t * d, vround(precision, LOAD(o))); });
            }
        }
    }
}

void KERNEL(attention_backward)(enum precision precision, const struct attention_shape *s,
                                const float *qkv, const float *dout, const float *row_max,
                                const float *row_scale, struct operand dqkv, float *scratch)
{
    const struct head h = head_carve(s->context, s->head_dim, scratch);
    const int T = s->context, hd = s->head_dim, d = s->heads * hd;
    const size_t stride = 3 * (size_t)d, w = (size_t)h.width, padded = (size_t)h.padded;
    const float scale = 1.0f / sqrtf((float)hd);

    memset(scratch, 0, attention_scratch(T, hd) * sizeof *scratch);
    for (int unit = 0; unit < s->sequences * s->heads; unit++) {
        const size_t first = (size_t)(unit / s->heads) * T;
        const size_t column = (size_t)(unit % s->heads) * hd;
        const float *from = qkv + first * stride + column;
        head_rotate(precision, s, &h, 1.0f, from, stride, h.q);
        head_rotate(precision, s, &h, 1.0f, from + d, stride, h.k);
        head_copy(s, &h, from + 2 * d, stride, h.v);
        head_copy(s, &h, dout + first * d + column, (size_t)d, h.grad);
        head_transpose(&h, h.k, h.kt);
        head_transpose(&h, h.v, h.vt);
        memset(h.dk, 0, padded * w * sizeof(float));
        memset(h.dv, 0, padded * w * sizeof(float));

        for (int t0 = 0; t0 < T; t0 += BLOCK) {
            const int keys = t0 + BLOCK;
            const float *q = h.q + t0 * w, *grad = h.grad + t0 * w;
            scores(&h, t0, hd, q, h.kt, h.p);
            scores(&h, t0, hd, grad, h.vt, h.ds);
            for (int t = t0; t < keys; t++) {
                float *p = h.p + (t - t0) * padded, *ds = h.ds + (t - t0) * padded;
                const int end = tile_keys(t + 1);
                if (t >= T) {
                    memset(p, 0, (size_t)end * sizeof *p);
                    memset(ds, 0, (size_t)end * sizeof *ds);
                    continue;
                }
                const float max = row_max[(size_t)unit * T + t];
                const float inverse = row_scale[(size_t)unit * T + t];
                vf dot = {0};
                for (int j = 0; j < end; j += VL) {
                    vf x = row_exp(row_scores(precision, p, j, t, scale), j, t, max) * inverse;
                    vf dp = vround(precision, vload(ds + j));
                    dot += x * vselect(lane_index + j > t, vset(0), dp);
                    vstore(p + j, x);
                    vstore(ds + j, dp);
                }
                const float mean = vsum(dot);
                for (int j = 0; j < end; j += VL) {
                    vf x = vload(p + j);
                    vf slope = x * (vload(ds + j) - mean) * scale;
                    slope = vselect(lane_index + j > t, vset(0), slope);
                    vstore(ds + j, vround(precision, slope));
                    vstore(p + j, vround(precision, x));
                }
            }
            weighted(&h, t0, h.ds, h.k, h.dq + t0 * w);
            scattered(&h, t0, h.ds, q, h.dk);
            scattered(&h, t0, h.p, grad, h.dv);
        }
        KERNEL(round)(precision, padded * w, h.dq, h.dq);
        KERNEL(round)(precision, padded * w, h.dk, h.dk);
        KERNEL(round)(precision, padded * w, h.dv, h.dv);
        head_rotate(precision, s, &h, -1.0f, h.dq, w, h.dq);
        head_rotate(precision, s, &h, -1.0f, h.dk, w, h.dk);
        for (int t = 0; t < T; t++) {
            const size_t to = (first + t) * stride + column;
            const float *dq = h.dq + t * w, *dk = h.dk + t * w, *dv = h.dv + t * w;
            FOR_VECTORS(hd, {
                STORE_OPERAND(dqkv, to, LOAD(dq));
                STORE_OPERAND(dqkv, to + d, LOAD(dk));
                STORE_OPERAND(dqkv, to + 2 * (size_t)d, LOAD(dv));
            });
        }
    }
}
