/*
 * The Transformer of METHOD §1: forward in any precision and with quantized sites, and its gradients. One micro-batch of whole
 * sequences at a time; N = sequences × context rows.
 */
#ifndef STUDY_MODEL_H
#define STUDY_MODEL_H

#include <stdint.h>

#include "jobs/cell.h"
#include "study/kernels.h"
#include "study/layout.h"
#include "study/parameters.h"
#include "study/quantizers/site.h"

/* Gives a block's quantized sites (SITES) when its turn comes. Collective over the team. */
struct site_source {
    void *state;
    int (*open)(struct error *err, void *state, int layer, const struct quantized_site **sites);
};

/* What forward multiplies with. Biases, LayerNorms and embeddings are always taken from `master`. Either all weights are here, or a team
 * holds them in pieces (`parameters`, and then a source of sites if they are quantized): then every pass is collective. */
struct weights {
    const float *master;    /* fp32, the layout's buffer */
    const float *operands;  /* the same, rounded to the half type; fp32: master */
    const uint16_t *packed; /* the same in bf16, for matmuls that take it; or NULL */
    const struct quantized_site *quantized; /* (layers, SITES), or NULL */
    const float *tokens;                    /* of model_tokens, for fp32 inference; or NULL */

    struct parameters *parameters; /* of a team, or NULL */
    float *room;                   /* half types: for the operands of its largest unit */
    const struct site_source *sites;
};

/* Full precision. */
static inline struct weights weights_full(struct parameters *parameters)
{
    return parameters->team
               ? (struct weights){.parameters = parameters}
               : (struct weights){.master = parameters->own, .operands = parameters->own};
}

struct model;

/* The weights for matmuls of this precision; unless that is fp32, `buffer` holds them, of a team one unit's: rounded, or packed where
 * matmuls take that. To be made anew when the weights have changed. */
struct weights model_weights(const struct model *model, enum precision precision,
                             struct parameters *parameters, float *buffer);
/* Floats of that buffer. */
static inline size_t weights_floats(const struct parameters *parameters, enum precision precision)
{
    return precision == PRECISION_FP32 ? 0
           : parameters->team          ? parameters->shards->largest
                                       : parameters->layout->length;
}

/* With rotary positions the first block sees nothing but the token until attention mixes positions: its q, k, v, and in a
 * parallel block its FFN, are a table by token. Floats of the table, 0 where there is none: learned positions, or quantizers that look
 * at whole windows. `quantizer` NULL: full precision. */
size_t model_token_floats(const struct layout *layout, const struct quantizer *quantizer);

/* Fill it, for weights->tokens: forward then takes the rows instead of computing them, unless somebody observes. The products
 * have the shapes of whole micro-batches. */
int model_tokens(struct error *err, struct model *model, const struct weights *weights,
                 float *table);

/* Which masks to draw. */
struct dropout {
    double p; /* 0: none */
    uint64_t seed;
    uint32_t step, sequence; /* the micro-batch's first sequence within the step */
};

/* Sees the input of each site during forward. */
typedef void observe_fn(void *context, int layer, enum site site, int rows, int in, const float *x);

/* Sees the residual stream behind each block, (rows, d), during forward. */
typedef void block_fn(void *context, int layer, int rows, int d, const float *x);

/* What is kept of a forward pass: nothing, every activation for model_backward, or the inputs of each block, from which
 * model_backward computes the others again (activation checkpointing, 1604.06174): the same bits. */
enum model_use { MODEL_INFERENCE, MODEL_TRAINING, MODEL_RECOMPUTING };

/* Buffers for micro-batches of `sequences`. The layout must outlive the model. */
int model_create(struct error *err, const struct layout *layout, int sequences, enum model_use use,
                 struct model **model);
void model_free(struct model *model); /* NULL is fine */
size_t model_bytes(const struct layout *layout, int sequences, enum model_use use);

const struct layout *model_layout(const struct model *model);
const struct kernels *model_kernels(const struct model *model);

/* For observers in a forward pass of an inference model, which see one of its sites: y (N, out) for inputs x (N, in), without its bias, in
 * fp32; by the quantized site `quantized`, or in full precision if that is NULL. */
int model_site(struct error *err, struct model *model, int layer, enum site site,
               const struct quantized_site *quantized, const float *x, float *y);
/* From the next forward on; `see` may be NULL: nobody. */
void model_watch_blocks(struct model *model, block_fn *see, void *context);

/* Logits (N, V), in the model until the next call. inputs: (N) tokens. Everything after an observer's refusal is
 * unaffected: observers only look. observe may be NULL. */
int model_forward(struct error *err, struct model *model, const struct weights *weights,
                  enum precision precision, const struct dropout *dropout, const uint32_t *inputs,
                  int sequences, observe_fn *observe, void *observe_context, const float **logits);

/* A forward pass of the team in which this rank has nothing to compute: it opens what the others open, in the same order. The
 * observer, if there is one, sees no rows of each site. */
int model_attend(struct error *err, struct model *model, const struct weights *weights,
                 observe_fn *observe, void *observe_context);

/* Where a backward pass leaves the gradient, unit by unit: from the head's to the embeddings'. */
struct gradient_sink {
    void *state;
    int (*open)(struct error *err, void *state, int unit, float **gradient); /* (unit's length) */
    int (*close)(struct error *err, void *state, int unit);                  /* it is complete */
};

/* After model_forward of the same micro-batch (training models): loss of each row in nats (N), and with `gradient` (layout's buffer,
 * overwritten) Σ over rows of the gradient of loss·scale. Every matmul's result is rounded, also weight gradients. */
int model_backward(struct error *err, struct model *model, const struct weights *weights,
                   enum precision precision, const struct dropout *dropout, const uint32_t *inputs,
                   const uint32_t *targets, float scale, float *loss, float *gradient);
/* The same into a sink. */
int model_backward_units(struct error *err, struct model *model, const struct weights *weights,
                         enum precision precision, const struct dropout *dropout,
                         const uint32_t *inputs, const uint32_t *targets, float scale, float *loss,
                         const struct gradient_sink *sink);

#endif
