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
#include "study/quantizers/site.h"

/* What forward multiplies with. Biases, LayerNorms and embeddings are always taken from `master`. */
struct weights {
    const float *master;    /* fp32, the layout's buffer */
    const float *operands;  /* the same, rounded to the half type; fp32: master */
    const uint16_t *packed; /* the same in bf16, for matmuls that take it; or NULL */
    const struct quantized_site *quantized; /* (layers, SITES), or NULL */
};

struct model;

/* The weights `master` for matmuls of this precision; unless that is fp32, `buffer` (the layout's length) holds them: rounded, or
 * packed where matmuls take that. To be made anew when master has changed. */
struct weights model_weights(const struct model *model, enum precision precision,
                             const float *master, float *buffer);

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

/* Buffers for micro-batches of `sequences`; with `training` every activation is kept for model_backward. The layout must outlive
 * the model. */
int model_create(struct error *err, const struct layout *layout, int sequences, bool training,
                 struct model **model);
void model_free(struct model *model); /* NULL is fine */
size_t model_bytes(const struct layout *layout, int sequences, bool training);

const struct layout *model_layout(const struct model *model);
const struct kernels *model_kernels(const struct model *model);

/* For observers in a forward pass of an inference model: y (N, out) of the site for inputs x (N, in), without its bias, in fp32;
 * by the quantized site `quantized`, or in full precision if that is NULL. */
int model_site(struct error *err, struct model *model, const float *master, int layer,
               enum site site, const struct quantized_site *quantized, const float *x, float *y);
/* From the next forward on; `see` may be NULL: nobody. */
void model_watch_blocks(struct model *model, block_fn *see, void *context);

/* Logits (N, V), in the model until the next call. inputs: (N) tokens. Everything after an observer's refusal is
 * unaffected: observers only look. observe may be NULL. */
int model_forward(struct error *err, struct model *model, const struct weights *weights,
                  enum precision precision, const struct dropout *dropout, const uint8_t *inputs,
                  int sequences, observe_fn *observe, void *observe_context, const float **logits);

/* After model_forward of the same micro-batch (training models): loss of each row in nats (N), and with `gradient` (layout's buffer,
 * overwritten) Σ over rows of the gradient of loss·scale. Every matmul's result is rounded, also weight gradients. */
int model_backward(struct error *err, struct model *model, const struct weights *weights,
                   enum precision precision, const struct dropout *dropout, const uint8_t *inputs,
                   const uint8_t *targets, float scale, float *loss, float *gradient);

#endif
