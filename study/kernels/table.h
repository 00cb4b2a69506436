/* Declarations of this instruction set's kernels and its table; see study/kernels.h for what each does. */
#ifndef STUDY_KERNELS_TABLE_H
#define STUDY_KERNELS_TABLE_H

#include "study/kernels/vector.h"

void KERNEL(round)(enum precision precision, size_t n, const float *x, float *y);
void KERNEL(pack_bf16)(size_t n, const float *x, uint16_t *y);
void KERNEL(bias_round)(enum precision precision, int rows, int n, const float *bias, float *y);
void KERNEL(column_sum)(int rows, int n, struct operand y, float *sum);
void KERNEL(layernorm_forward)(enum precision precision, int rows, int d, const float *x,
                               const float *gain, const float *bias, struct operand out,
                               float *mean, float *rstd);
void KERNEL(layernorm_backward)(enum precision precision, int rows, int d, const float *dout1,
                                const float *dout2, const float *x, const float *mean,
                                const float *rstd, const float *gain, float *dgain, float *dbias,
                                float *dx);
void KERNEL(activation_forward)(enum activation kind, enum precision precision, int rows, int f,
                                const float *h, struct operand a);
void KERNEL(activation_backward)(enum activation kind, enum precision precision, int rows, int f,
                                 const float *h, const float *da, struct operand dh);
void KERNEL(attention_forward)(enum precision precision, const struct attention_shape *shape,
                               const float *qkv, struct operand out, float *row_max,
                               float *row_scale, float *scratch);
void KERNEL(attention_backward)(enum precision precision, const struct attention_shape *shape,
                                const float *qkv, const float *dout, const float *row_max,
                                const float *row_scale, struct operand dqkv, float *scratch);
void KERNEL(dropout_mask)(struct dropout_key key, double p, int sequences, int per_sequence,
                          uint8_t *mask);
void KERNEL(residual)(enum precision precision, size_t n, const float *x, const float *b1,
                      const uint8_t *m1, const float *b2, const uint8_t *m2, float scale, float *y);
void KERNEL(mask_scale)(enum precision precision, size_t n, const float *x, const uint8_t *mask,
                        float scale, float *y);
void KERNEL(embed)(enum precision precision, int rows, int d, int context, const uint32_t *tokens,
                   const float *embedding, const float *position, const uint8_t *mask, float scale,
                   float *x);
void KERNEL(cross_entropy)(enum precision precision, int rows, int vocabulary,
                           const uint32_t *targets, float scale, float *logits, float *loss);
double KERNEL(squared_sum)(size_t n, const float *x);
double KERNEL(squared_distance)(size_t n, const float *x, const float *y);
void KERNEL(add)(size_t n, const float *x, float *y);
void KERNEL(adamw)(size_t n, float grad_scale, float rate, float decay, float beta1, float beta2,
                   float epsilon, float correction1, float correction2, const float *g, float *p,
                   float *m, float *v);
float KERNEL(absmax)(size_t n, const float *x);
void KERNEL(column_absmax)(int rows, int n, const float *x, float *most);
void KERNEL(fp8_round)(size_t n, const float *x, float s, float unit, float *y);
void KERNEL(divide)(size_t n, const float *x, const float *s, float *y);
void KERNEL(hadamard)(int n, const float *s, const float *x, float *y);
void KERNEL(quantize)(size_t n, const float *x, float s, int limit, int8_t *q);
void KERNEL(decode)(size_t n, const int8_t *codes, const float *values, float scale, float *w);
void KERNEL(rescale)(int n, const int32_t *acc, float row_scale, const float *scale,
                     const float *bias, float *y);
int KERNEL(log_softmax)(int vocabulary, const float *logits, double *log_p);
double KERNEL(kl)(int vocabulary, const double *log_p, const double *log_q, const double *p,
                  const double *q);
void KERNEL(exponentials)(size_t n, const double *x, double *y);
int KERNEL(divergence)(int vocabulary, const float *logits, const float *full, const double *p,
                       int target, double *scratch, double *gain, double *kl);

extern const struct kernels KERNEL(kernels);

#endif
