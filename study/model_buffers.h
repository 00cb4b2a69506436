/* The inside of a model, shared by its forward (model.c) and backward (backward.c) passes. */
#ifndef STUDY_MODEL_BUFFERS_H
#define STUDY_MODEL_BUFFERS_H

#include "study/gemm.h"
#include "study/model.h"

/* Kept activations of one block. Inference models have one set that all blocks share. norm, attention and activated are
 * matmul operands (model_operand). */
struct block_activations {
    float *in;                  /* (N, d) residual stream before the block */
    float *middle;              /* (N, d) sequential: after attention */
    float *norm[2];             /* (N, d) */
    float *mean[2], *rstd[2];   /* (N) */
    float *qkv;                 /* (N, 3d) */
    float *row_max, *row_scale; /* (sequences, H, T) */
    float *attention;           /* (N, d) */
    float *hidden;              /* (N, f or 2f) */
    float *activated;           /* (N, f) */
    uint8_t *mask[2];           /* (N, d) */
};

struct model {
    const struct layout *layout;
    const struct kernels *kernels;
    struct gemm *gemm;
    bool training;
    bool packed;         /* in this pass, what only matmuls read is packed to bf16 */
    int sequences;       /* most */
    int rows;            /* of the last forward */
    block_fn *see_block; /* or NULL */
    void *see_block_context;
    struct attention_shape shape;
    float *cosine, *sine;
    struct block_activations *block; /* (layers) */
    uint8_t *embed_mask;
    float *out; /* (N, d) residual stream after the last block */
    float *final, *final_mean, *final_rstd;
    float *logits;    /* (N, V) */
    float *branch[2]; /* (N, d) */
    float *scratch;   /* attention */
    struct site_scratch quantized;
    /* backward */
    float *dx, *dbranch[2], *dnorm[2], *dattention; /* (N, d) */
    float *dqkv, *dactivated, *dhidden;
    float *dhead; /* (V, d) tied: the head's part */
    void *memory;
};

/* An activation that only matmuls read, in its buffer. */
static inline struct operand model_operand(const struct model *m, float *buffer)
{
    return m->packed ? (struct operand){.packed = (uint16_t *)buffer}
                     : (struct operand){.full = buffer};
}

/* A weight matrix. */
static inline struct operand model_weight(const struct model *m, const struct weights *weights,
                                          int tensor)
{
    const size_t offset = m->layout->tensor[tensor].offset;
    return m->packed && weights->packed
               ? (struct operand){.packed = (uint16_t *)weights->packed + offset}
               : operand_full(weights->operands + offset);
}

#endif
