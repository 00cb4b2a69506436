/*
 * What is not matmul: the formulas of METHOD §1–4 as vectorized loops. Every function exists once per
 * instruction set (study/kernels/, compiled for each) and is reached through one table, chosen at run time.
 *
 * N = tokens (rows), d = d_model, f = d_ff, V = vocabulary, T = context, H = heads, hd = d / H.
 * `precision` rounds results to the half type as METHOD §2 says; PRECISION_FP32 leaves them alone. Any width is
 * accepted. Nothing allocates. What only a matmul reads comes as a struct operand; with packed ones precision is bf16.
 */
#ifndef STUDY_KERNELS_H
#define STUDY_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"

/* One dropout mask's place in the counter space; sequences of a micro-batch are numbered from `sequence`. */
struct dropout_key {
    uint64_t seed;
    uint32_t step, sequence, site; /* site: layer and branch */
};

struct attention_shape {
    int sequences, context, heads, head_dim;
    const float *cosine, *sine; /* (T, hd/2) for rotary, NULL: no rotation */
};

/* An operand of a matmul: fp32 numbers, or bf16 numbers of 16 bits where the matmul takes them (gemm_takes_packed). */
struct operand {
    float *full; /* NULL: packed */
    uint16_t *packed;
};
static inline struct operand operand_full(const float *x) /* also of what is only read */
{
    return (struct operand){.full = (float *)x};
}

struct kernels {
    const char *name; /* "avx512" */

    /* Round x[n] to the half type, in place or from `x` to `y` (may be the same). */
    void (*round)(enum precision precision, size_t n, const float *x, float *y);

    /* Round to bf16, 16 bits each. */
    void (*pack_bf16)(size_t n, const float *x, uint16_t *y);

    /* y (N, n) = round(y + bias[n]); bias NULL: only round. */
    void (*bias_round)(enum precision precision, int rows, int n, const float *bias, float *y);

    /* sum[n] = column sums of y (N, n), rows in order. */
    void (*column_sum)(int rows, int n, struct operand y, float *sum);

    /* out (N, d) = round(LayerNorm(x)); mean, rstd: (N) kept for backward. */
    void (*layernorm_forward)(enum precision precision, int rows, int d, const float *x,
                              const float *gain, const float *bias, struct operand out, float *mean,
                              float *rstd);

    /* dx (N, d) = round(dx + LayerNorm backward of dout1 + dout2); dout2 may be NULL. dgain, dbias: (d), written. */
    void (*layernorm_backward)(enum precision precision, int rows, int d, const float *dout1,
                               const float *dout2, const float *x, const float *mean,
                               const float *rstd, const float *gain, float *dgain, float *dbias,
                               float *dx);

    /* a (N, f) = round(activation(h)); h is (N, f), for SwiGLU (N, 2f): gate, then up. */
    void (*activation_forward)(enum activation kind, enum precision precision, int rows, int f,
                               const float *h, struct operand a);
    /* dh like h, from da (N, f). */
    void (*activation_backward)(enum activation kind, enum precision precision, int rows, int f,
                                const float *h, const float *da, struct operand dh);

    /* Causal attention. qkv (N, 3d) before rotation; out (N, d); row_max, row_scale: (sequences, H, T) kept
     * for backward. scratch: attention_scratch floats. */
    void (*attention_forward)(enum precision precision, const struct attention_shape *shape,
                              const float *qkv, struct operand out, float *row_max,
                              float *row_scale, float *scratch);
    void (*attention_backward)(enum precision precision, const struct attention_shape *shape,
                               const float *qkv, const float *dout, const float *row_max,
                               const float *row_scale, struct operand dqkv, float *scratch);

    /* mask (sequences, per_sequence) = 1 with probability 1 − p, else 0. */
    void (*dropout_mask)(struct dropout_key key, double p, int sequences, int per_sequence,
                         uint8_t *mask);
    /* y = round(x + scale·(m1·b1 + m2·b2)); masks may be NULL (all ones, scale ignored), b2 may be NULL. */
    void (*residual)(enum precision precision, size_t n, const float *x, const float *b1,
                     const uint8_t *m1, const float *b2, const uint8_t *m2, float scale, float *y);
    /* y = round(m·scale·x) */
    void (*mask_scale)(enum precision precision, size_t n, const float *x, const uint8_t *mask,
                       float scale, float *y);

    /* x (N, d) = round(scale·mask·(embedding[token] + position)); position NULL: none; mask NULL: none. */
    void (*embed)(enum precision precision, int rows, int d, int context, const uint32_t *tokens,
                  const float *embedding, const float *position, const uint8_t *mask, float scale,
                  float *x);

    /* Loss of each row in nats (rows) and, in place of the logits (N, V), their gradient times `scale`, rounded. */
    void (*cross_entropy)(enum precision precision, int rows, int vocabulary,
                          const uint32_t *targets, float scale, float *logits, float *loss);

    /* Σ x² and Σ (x − y)² in fp64, lanes in a fixed order; x − y is of fp32. */
    double (*squared_sum)(size_t n, const float *x);
    double (*squared_distance)(size_t n, const float *x, const float *y);
    void (*add)(size_t n, const float *x, float *y); /* y += x */

    /* One AdamW step on p[n]; g is multiplied by grad_scale first. rate, decay: η and η·λ of this step;
     * correction1 = 1/(1−β1^t), correction2 = 1/(1−β2^t). */
    void (*adamw)(size_t n, float grad_scale, float rate, float decay, float beta1, float beta2,
                  float epsilon, float correction1, float correction2, const float *g, float *p,
                  float *m, float *v);

    /* Largest |x|; NaNs are passed over. */
    float (*absmax)(size_t n, const float *x);
    /* most (n) = largest |x| of each column of x (N, n). */
    void (*column_absmax)(int rows, int n, const float *x, float *most);
    /* q = clamp(rint(x / s)) to ±limit, s = 0: 0. */
    void (*quantize)(size_t n, const float *x, float s, int limit, int8_t *q);
    /* y = x / s to the nearest FP8 E4M3, saturating at ±448, times `unit`; s = 0: 0. y may be x. */
    void (*fp8_round)(size_t n, const float *x, float s, float unit, float *y);
    /* w = value·scale, where value is values[code as unsigned byte], or the code itself where values is NULL. */
    void (*decode)(size_t n, const int8_t *codes, const float *values, float scale, float *w);
    /* y = x / s, element by element; y may be x. */
    void (*divide)(size_t n, const float *x, const float *s, float *y);
    /* y (n) = H·(s·x), Sylvester's Hadamard matrix of order n, a power of two; y may be x. */
    void (*hadamard)(int n, const float *s, const float *x, float *y);
    /* y (n) = (float)acc·row_scale·scale[j] + bias[j] */
    void (*rescale)(int n, const int32_t *acc, float row_scale, const float *scale,
                    const float *bias, float *y);

    /* log p (V) in fp64 of one row of logits; returns the index of the first maximum. */
    int (*log_softmax)(int vocabulary, const float *logits, double *log_p);
    /* Σ p·(d + expm1(−d)), d = log p − log q: KL(p‖q) in fp64 (METHOD §4). */
    double (*kl)(int vocabulary, const double *log_p, const double *log_q, const double *p,
                 const double *q);
    void (*exponentials)(size_t n, const double *x, double *y); /* y = exp(x) in fp64 */
    /* Of a row of logits against the full model's and its p: KL(p‖q), and in *gain log q − log p of `target`. scratch (3 V). Returns the
     * index of the first maximum. */
    int (*divergence)(int vocabulary, const float *logits, const float *full, const double *p,
                      int target, double *scratch, double *gain, double *kl);
};

/* The table for this machine, or for environment variable PTQSCALE_ISA = baseline | avx2 | avx512 if the machine has it. */
const struct kernels *kernels_get(void);
/* The table of that name, or NULL if this machine cannot run it. */
const struct kernels *kernels_named(const char *name);

/* Rows of a tile of scores, and what head widths are padded to. */
enum { ATTENTION_BLOCK = 32, ATTENTION_WIDTH = 16 };

/* Floats of scratch that attention needs. */
size_t attention_scratch(int context, int head_dim);

#endif
