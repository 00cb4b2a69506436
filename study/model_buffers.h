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

/* The unit at work. */
struct open_unit {
    const struct unit *unit;
    const float *master, *operands;
    const uint16_t *packed;
    const struct quantized_site *quantized; /* of this site, or NULL */
};

struct model {
    const struct layout *layout;
    const struct kernels *kernels;
    struct gemm *gemm;
    enum model_use use;
    struct open_unit open;
    struct parameters *parameters; /* of the present pass; NULL: all weights are here */
    bool packed;                   /* in this pass, what only matmuls read is packed to bf16 */
    int sequences;                 /* most */
    int rows;                      /* of the last forward */
    block_fn *see_block;           /* or NULL */
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

/* A tensor's place in its unit's buffer, which may be NULL. */
static inline size_t model_offset(const struct model *m, int tensor)
{
    const struct tensor *t = &m->layout->tensor[tensor];
    return t->offset - m->layout->unit[t->unit].offset;
}

/* A tensor of the open unit in fp32, NULL if absent. */
static inline const float *model_master(const struct model *m, int tensor)
{
    return tensor == LAYOUT_ABSENT ? NULL : m->open.master + model_offset(m, tensor);
}

/* A weight matrix of the open unit. */
static inline struct operand model_weight(const struct model *m, int tensor)
{
    const size_t offset = model_offset(m, tensor);
    return m->packed && m->open.packed
               ? (struct operand){.packed = (uint16_t *)m->open.packed + offset}
               : operand_full(m->open.operands + offset);
}

/* Open a unit of the weights; `next` comes after it (−1: not known). */
int model_open(struct error *err, struct model *m, const struct weights *weights,
               enum precision precision, int unit, int next);

/* What backward needs of a block's activations, again from block[layer].in. */
int model_recompute_block(struct error *err, struct model *m, const struct weights *weights,
                          enum precision precision, const struct dropout *dropout, int layer);

#endif
