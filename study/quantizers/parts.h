/*
 * The parts that quantizers are put together from (METHOD §3): formats of weights, transforms of the inputs, methods of rounding.
 * Each is one file of this folder and one entry of table.c.
 */
#ifndef STUDY_QUANTIZERS_PARTS_H
#define STUDY_QUANTIZERS_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/quantizer.h"
#include "study/algebra.h"
#include "study/kernels.h"
#include "study/quantizers/site.h"

/* Formats ===================================================================================== */

/* How weights are kept: one byte per weight, one scale per group of a row; w ≈ value·scale. */
struct format {
    const float *values; /* by code as an unsigned byte; NULL: the code is the value */

    /* The scale of a group of n weights. */
    float (*scale)(const struct kernels *kernels, int bits, int n, const float *w);

    /* Codes of the values nearest to w / scale; scale 0: of value 0. */
    void (*encode)(const struct kernels *kernels, int bits, float scale, int n, const float *w,
                   int8_t *codes);
};

extern const struct format format_int, format_nf4, format_mxfp4, format_fp8;

/* NULL for full weights. */
const struct format *format_of(enum weight_format weights);

/* Transforms ================================================================================== */

/* A pair of linear maps, X → X A and W → W B with A Bᵀ = 1, so that X Wᵀ stays what it is. */
struct transform_part {
    /* Floats that describe it for a site of `in` inputs. */
    size_t (*parameters)(int in);

    /* Fill them, from w (out, in) and the largest |x| of each input in calibration. */
    void (*prepare)(int in, int out, const float *w, const float *input_absmax, float *parameters);

    /* Rows of X, and rows of W: y may be x. */
    void (*inputs)(int in, const float *parameters, int rows, const float *x, float *y);
    void (*weights)(int in, const float *parameters, int rows, const float *w, float *y);
};

extern const struct transform_part transform_smooth, transform_hadamard;

/* NULL for none. */
const struct transform_part *transform_of(enum transform transform);

/* Methods ===================================================================================== */

/* What a method rounds: w (out, in), transformed, to codes (out, in) and scale (out, groups). */
struct rounding {
    const struct kernels *kernels;
    const struct format *format;
    int bits, in, out, group, groups;
    const float *w;
    int8_t *codes;
    float *scale;
};

/* Each weight to its nearest value. */
void round_nearest(const struct rounding *rounding);

/* GPTQ with the Gram matrix 2XᵀX of the transformed inputs. *damping: the share of its mean diagonal that was added; NaN if
 * it was not positive definite with the most damping either, and nothing was rounded. */
int round_gptq(struct error *err, const struct algebra *algebra, struct gram *gram,
               const struct rounding *rounding, double *damping);

/* Shares of the mean diagonal that are tried, one after the other. */
enum { GPTQ_DAMPINGS = 4 };
double gptq_damping(int attempt);

/* Inputs ====================================================================================== */

/* The integer product of `rows` rows (METHOD §3), and the one with outlier inputs in fp16. */
int integer_forward(struct error *err, const struct quantized_site *site,
                    const struct site_call *call, int rows, const float *x, float *y);
int llmint8_forward(struct error *err, const struct quantized_site *site,
                    const struct site_call *call);

/* The rotation's factors for a width: width = blocks · order · power. */
struct hadamard_factors {
    int order;  /* of the dense factor; 1: none */
    int power;  /* of two: the fast transform's length */
    int blocks; /* that are rotated each by itself; 1 unless no dense factor is known */
};
struct hadamard_factors hadamard_factors(int width);

#endif
