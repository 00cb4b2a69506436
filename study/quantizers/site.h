/* A site of a model whose product is quantized (METHOD §3): what is kept of it, and its forward pass. */
#ifndef STUDY_QUANTIZERS_SITE_H
#define STUDY_QUANTIZERS_SITE_H

#include <stdint.h>

#include "jobs/quantizer.h"
#include "study/gemm.h"
#include "study/kernels.h"

struct quantized_site {
    const struct quantizer *quantizer;
    const int8_t *codes;     /* (out, in); NULL: weights stay full */
    const float *values;     /* of a code as an unsigned byte; NULL: the code is the value */
    const float *scale;      /* (out, groups) */
    int group, groups;       /* inputs that share a scale; the last group may have fewer */
    const float *weight;     /* (out, in) full weights after the transform; NULL: the model's own */
    const float *parameters; /* of the transform; NULL: none */
    float fixed_scale;       /* of all inputs, where it is static */
};

/* Memory to work in: rows of the widest site, and the largest matrix. */
struct site_scratch {
    float *x;             /* (N, widest input) */
    int8_t *codes;        /* (N, widest input) */
    int32_t *accumulator; /* (N, widest output) */
    float *row_scale;     /* (N) */
    float *weight;        /* (out, in) of the largest site */
    float *gathered;      /* (T, widest input) */
    float *column;        /* (widest input) */
    int *index;           /* (sequences, widest input) */
    int *count;           /* (sequences) */
};

struct site_call {
    const struct kernels *kernels;
    struct gemm *gemm;
    int rows, context, in, out; /* rows: whole windows of `context` */
    const float *x;             /* (rows, in) */
    const float *weight;        /* (out, in) the model's own */
    const float *bias;          /* (out), or NULL */
    const struct site_scratch *scratch;
    float *y; /* (rows, out) */
};

int quantized_site_forward(struct error *err, const struct quantized_site *site,
                           const struct site_call *call);

#endif
