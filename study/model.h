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

/* A quantized site: either `weight`, dequantized, or integer codes with the format of their inputs. */
struct quantized_site {
    const float *weight;  /* (out, in), or NULL */
    const int8_t *codes;  /* (out, in) */
    const float *scale;   /* (out) */
    int activation_limit; /* 2^(b−1) − 1 */
    bool fixed; /* inputs have one scale, from calibration; else one per row, from its absmax */
    float fixed_scale;
};

/* What forward multiplies with. Biases, LayerNorms and embeddings are always taken from `master`. */
struct weights {
    const float *master;    /* fp32, the layout's buffer */
    const float *operands;  /* the same, rounded to the half type; fp32: master */
    const uint16_t *packed; /* the same in bf16, for matmuls that take it; or NULL */
    const struct quantized_site *quantized; /* (layers, SITES), or NULL */
};

/* Which masks to draw. */
struct dropout {
    double p; /* 0: none */
    uint64_t seed;
    uint32_t step, sequence; /* the micro-batch's first sequence within the step */
};

/* Sees the input of each site during forward. */
typedef void observe_fn(void *context, int layer, enum site site, int rows, int in, const float *x);

struct model;

/* Buffers for micro-batches of `sequences`; with `training` every activation is kept for model_backward. The layout must outlive
 * the model. */
int model_create(struct error *err, const struct layout *layout, int sequences, bool training,
                 struct model **model);
void model_free(struct model *model); /* NULL is fine */
size_t model_bytes(const struct layout *layout, int sequences, bool training);

const struct layout *model_layout(const struct model *model);
const struct kernels *model_kernels(const struct model *model);

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
