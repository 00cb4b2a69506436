/*
 * The only place that multiplies matrices. Row-major; X (N, in), W (out, in), Y = X Wᵀ (N, out).
 *
 * The caller has rounded the operands to `precision` (study/kernels.h); products accumulate in fp32 and results come back
 * in fp32, for the caller to round: METHOD §2's half-precision semantics. For bf16 there are two
 * ways to multiply: native bf16 instructions where the CPU has them, and fp32 elsewhere, where products of half-type
 * numbers are exact as well. They differ in the order of the sum, and native bf16 takes subnormal operands as zero. fp16
 * always multiplies in fp32.
 */
#ifndef STUDY_GEMM_H
#define STUDY_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "study/kernels.h"

/* Products of one thread: prepared once per shape, with room to convert operands. */
struct gemm;

/* `x_elements`, `w_elements`: most elements of an activation operand (N·in, N·out) and of a weight operand. */
int gemm_create(struct error *err, size_t x_elements, size_t w_elements, struct gemm **gemm);
void gemm_free(struct gemm *gemm); /* NULL is fine */

/* May operands be packed to bf16? Full ones are packed here, each time they are multiplied. */
bool gemm_takes_packed(const struct gemm *gemm, enum precision precision);

/* y (N, out) = x wᵀ */
int gemm_forward(struct error *err, struct gemm *gemm, enum precision precision, int rows, int in,
                 int out, struct operand x, struct operand w, float *y);
/* Both gradients of that: dw (out, in) = dyᵀ x and dx (N, in) = dy w. */
int gemm_backward(struct error *err, struct gemm *gemm, enum precision precision, int rows, int in,
                  int out, struct operand dy, struct operand x, struct operand w, float *dw,
                  float *dx);

/* y (N, out) += x wᵀ in fp32, for shapes that do not come again. */
int gemm_add(struct error *err, int rows, int in, int out, const float *x, const float *w,
             float *y);

/* y (N, out) = x wᵀ, exact, in int32; codes within ±127 and in ≤ 133,000, so that nothing overflows. Uses int8 instructions
 * where they are exact (VNNI), else gemm_int8_portable: the same bits. */
int gemm_int8(struct error *err, int rows, int in, int out, const int8_t *x, const int8_t *w,
              int32_t *y);
/* The same by fp32 matmuls over blocks of inputs that are short enough to be exact. */
int gemm_int8_portable(struct error *err, int rows, int in, int out, const int8_t *x,
                       const int8_t *w, int32_t *y);

/* The library is kept to the instruction set of kernels_get() from the first call of any function here.
 *
 * What this process multiplies with: int8 instructions, bf16 instructions. PTQSCALE_BF16=emulated in the environment turns the latter
 * off. */
bool gemm_int8_native(void);
bool gemm_bf16_native(void);

/* "oneDNN 2.6.3 avx512_core_bf16, bf16 native"; static. */
const char *gemm_name(void);

#endif
