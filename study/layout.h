/*
 * Where each parameter tensor of a model lies in one flat buffer (METHOD §1). Order: embedding, position, per block LayerNorm,
 * qkv, attn_out, (second LayerNorm), ffn_in, ffn_out, then the final LayerNorm and the head. Matrices are (out, in); qkv's
 * rows are all q heads, all k heads, all v heads; SwiGLU's ffn_in is gate rows, then up rows.
 */
#ifndef STUDY_LAYOUT_H
#define STUDY_LAYOUT_H

#include <stddef.h>

#include "jobs/cell.h"

enum site { SITE_QKV, SITE_ATTN_OUT, SITE_FFN_IN, SITE_FFN_OUT, SITES };

enum tensor_kind { TENSOR_EMBEDDING, TENSOR_MATRIX, TENSOR_GAIN, TENSOR_BIAS };

struct tensor {
    char name[32]; /* "1.ffn_in_bias" */
    enum tensor_kind kind;
    size_t offset;
    int rows, columns; /* vectors: rows = 1 */
    double init_std;   /* normal; 0: gains 1, others 0 */
    int unit;
};

/* Tensors that a pass uses together: the embeddings; each site of a block, with the LayerNorm before it; the final LayerNorm and the head. */
struct unit {
    size_t offset, length; /* in the buffer */
};

enum { LAYOUT_ABSENT = -1 }; /* tensor index of what a model lacks */

struct layout_block {
    int norm_gain[2], norm_bias[2]; /* parallel: the second is absent */
    int weight[SITES], bias[SITES];
};

struct layout {
    struct cell_size size;
    struct cell_model model;
    int in[SITES], out[SITES];
    int tensors;
    struct tensor *tensor;
    struct layout_block *block; /* (layers) */
    int units;                  /* SITES·layers + 2 */
    struct unit *unit;          /* block i is unit 1 + i; a tied head is in unit 0 */
    int embedding, position, final_gain, final_bias, head; /* tied: head = embedding */
    size_t length; /* floats of the buffer; tensors start at multiples of 16, gaps stay zero */
};

int layout_create(struct error *err, const struct cell_size *size, const struct cell_model *model,
                  struct layout **layout);
void layout_free(struct layout *layout); /* NULL is fine */

/* Fill p[length] with the initialization of `seed`: N(0, 0.02²), residual projections divided by √(2·layers), gains 1, biases 0. */
void layout_initialize(const struct layout *layout, uint64_t seed, float *p);
/* Elements [first, first + count) of one tensor of it; first is a multiple of 4. */
void layout_initialize_part(const struct layout *layout, uint64_t seed, int tensor, size_t first,
                            size_t count, float *p);

static inline int layout_unit(int layer, enum site site)
{
    return 1 + layer * SITES + (int)site;
}

/* The tensor's part of a buffer, NULL if absent. */
static inline float *layout_at(const struct layout *layout, int tensor, float *p)
{
    return tensor == LAYOUT_ABSENT ? NULL : p + layout->tensor[tensor].offset;
}
static inline const float *layout_of(const struct layout *layout, int tensor, const float *p)
{
    return tensor == LAYOUT_ABSENT ? NULL : p + layout->tensor[tensor].offset;
}
static inline size_t tensor_elements(const struct tensor *t)
{
    return (size_t)t->rows * t->columns;
}

#endif
