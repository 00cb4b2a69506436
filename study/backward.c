/* Gradients, block by block from the last; the mirror image of model.c. */
#include <string.h>

#include "study/model_buffers.h"

struct pass {
    const struct weights *weights;
    const struct gradient_sink *sink;
    enum precision precision;
    bool drop;
    float keep;      /* 1 / (1 − p) */
    float *gradient; /* of the open unit */
};

/* Open a unit's weights and its gradient. */
static int open_unit(struct error *err, struct model *m, struct pass *p, int unit, int next)
{
    int status = STATUS_OK;
    TRY(p->sink->open(err, p->sink->state, unit, &p->gradient));
    TRY(model_open(err, m, p->weights, p->precision, unit, next));
cleanup:
    return status;
}

static int close_unit(struct error *err, const struct pass *p, int unit)
{
    return p->sink->close(err, p->sink->state, unit);
}

/* A tensor of the open unit's gradient, NULL if absent. */
static float *gradient_of(const struct model *m, const struct pass *p, int tensor)
{
    return tensor == LAYOUT_ABSENT ? NULL : p->gradient + model_offset(m, tensor);
}

/* Gradients of y = x Wᵀ + b from dy: those of W and b into the gradient buffer, dx (N, in) rounded. */
static int backward_site(struct error *err, struct model *m, const struct pass *p, int layer,
                         enum site site, float *x, struct operand dy, float *dx)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct layout_block *b = &l->block[layer];
    const int in = l->in[site], out = l->out[site];
    float *dw = gradient_of(m, p, b->weight[site]), *db = gradient_of(m, p, b->bias[site]);
    if (m->parameters) {
        parameters_poll(m->parameters);
    }
    TRY(gemm_backward(err, m->gemm, p->precision, m->rows, in, out, dy, model_operand(m, x),
                      model_weight(m, b->weight[site]), dw, dx));
    m->kernels->bias_round(p->precision, out, in, NULL, dw);
    if (db) {
        m->kernels->column_sum(m->rows, out, dy, db);
    }
    m->kernels->bias_round(p->precision, m->rows, in, NULL, dx);
cleanup:
    return status;
}

/* The gradient of a branch's output: dx through the branch's dropout. */
static const float *backward_mask(struct model *m, const struct pass *p, int which,
                                  const uint8_t *mask)
{
    if (!p->drop) {
        return m->dx;
    }
    m->kernels->mask_scale(p->precision, (size_t)m->rows * m->layout->size.d_model, m->dx, mask,
                           p->keep, m->dbranch[which]);
    return m->dbranch[which];
}

/* m->dx += the gradient through a block's LayerNorm `which` of x. Its unit is open. */
static void backward_norm(struct model *m, const struct pass *p, int layer, int which,
                          const float *x, const float *dnorm1, const float *dnorm2)
{
    const struct layout *l = m->layout;
    const struct layout_block *lb = &l->block[layer];
    const struct block_activations *b = &m->block[layer];
    m->kernels->layernorm_backward(
        p->precision, m->rows, l->size.d_model, dnorm1, dnorm2, x, b->mean[which], b->rstd[which],
        model_master(m, lb->norm_gain[which]), gradient_of(m, p, lb->norm_gain[which]),
        gradient_of(m, p, lb->norm_bias[which]), m->dx);
}

/* An output projection: the gradient of its input. */
static int backward_branch(struct error *err, struct model *m, struct pass *p, int layer,
                           enum site site)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    const int which = site == SITE_FFN_OUT, unit = layout_unit(layer, site);
    const float *dy = backward_mask(m, p, which, b->mask[which]);
    TRY(open_unit(err, m, p, unit, unit - 1));
    TRY(backward_site(err, m, p, layer, site, which ? b->activated : b->attention, operand_full(dy),
                      which ? m->dactivated : m->dattention));
    TRY(close_unit(err, p, unit));
cleanup:
    return status;
}

/* The FFN down to its input's gradient dnorm[1], in sequential blocks through its LayerNorm. */
static int backward_ffn(struct error *err, struct model *m, struct pass *p, int layer)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    const struct operand dhidden = model_operand(m, m->dhidden);
    const bool sequential = m->layout->model.block == BLOCK_SEQUENTIAL;
    const int unit = layout_unit(layer, SITE_FFN_IN);
    TRY(backward_branch(err, m, p, layer, SITE_FFN_OUT));
    m->kernels->activation_backward(m->layout->model.activation, p->precision, m->rows,
                                    m->layout->size.d_ff, b->hidden, m->dactivated, dhidden);
    TRY(open_unit(err, m, p, unit, unit - 1));
    TRY(backward_site(err, m, p, layer, SITE_FFN_IN, sequential ? b->norm[1] : b->norm[0], dhidden,
                      m->dnorm[1]));
    if (sequential) {
        backward_norm(m, p, layer, 1, b->middle, m->dnorm[1], NULL);
    }
    TRY(close_unit(err, p, unit));
cleanup:
    return status;
}

/* Attention and the block's first LayerNorm, in parallel blocks together with the FFN's part. */
static int backward_attention(struct error *err, struct model *m, struct pass *p, int layer)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    const struct operand dqkv = model_operand(m, m->dqkv);
    const bool parallel = m->layout->model.block == BLOCK_PARALLEL;
    const int unit = layout_unit(layer, SITE_QKV);
    TRY(backward_branch(err, m, p, layer, SITE_ATTN_OUT));
    m->kernels->attention_backward(p->precision, &m->shape, b->qkv, m->dattention, b->row_max,
                                   b->row_scale, dqkv, m->scratch);
    TRY(open_unit(err, m, p, unit, layer > 0 ? unit - 1 : -1));
    TRY(backward_site(err, m, p, layer, SITE_QKV, b->norm[0], dqkv, m->dnorm[0]));
    backward_norm(m, p, layer, 0, b->in, m->dnorm[0], parallel ? m->dnorm[1] : NULL);
    TRY(close_unit(err, p, unit));
cleanup:
    return status;
}

/* Embedding gradients add up in sequence order (METHOD §2). */
static void backward_embedding(struct model *m, const struct pass *p, const uint32_t *inputs)
{
    const struct layout *l = m->layout;
    const size_t d = (size_t)l->size.d_model;
    float *embedding = gradient_of(m, p, l->embedding);
    float *position = gradient_of(m, p, l->position);
    const float *dy = backward_mask(m, p, 0, m->embed_mask);
    memset(embedding, 0, (size_t)l->model.vocabulary * d * sizeof *embedding);
    if (position) {
        memset(position, 0, (size_t)l->size.context * d * sizeof *position);
    }
    for (int r = 0; r < m->rows; r++) {
        m->kernels->add(d, dy + r * d, embedding + inputs[r] * d);
        if (position) {
            m->kernels->add(d, dy + r * d, position + (size_t)(r % l->size.context) * d);
        }
    }
    if (l->model.tied) {
        m->kernels->add((size_t)l->model.vocabulary * d, m->dhead, embedding);
    }
}

/* The head and the final LayerNorm; m->dx becomes the gradient of the last block's output. */
static int backward_head(struct error *err, struct model *m, struct pass *p)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct kernels *k = m->kernels;
    const int d = l->size.d_model, v = l->model.vocabulary, unit = l->units - 1;
    if (l->model.tied) { /* its gradient is kept for the embedding's */
        TRY(model_open(err, m, p->weights, p->precision, 0, unit));
    } else {
        TRY(open_unit(err, m, p, unit, unit - 1));
    }
    float *dhead = l->model.tied ? m->dhead : gradient_of(m, p, l->head);
    TRY(gemm_backward(err, m->gemm, p->precision, m->rows, d, v, operand_full(m->logits),
                      model_operand(m, m->final), model_weight(m, l->head), dhead, m->dnorm[0]));
    k->bias_round(p->precision, v, d, NULL, dhead);
    k->bias_round(p->precision, m->rows, d, NULL, m->dnorm[0]);
    memset(m->dx, 0, (size_t)m->rows * d * sizeof *m->dx);
    if (l->model.tied) {
        TRY(open_unit(err, m, p, unit, unit - 1));
    }
    k->layernorm_backward(p->precision, m->rows, d, m->dnorm[0], NULL, m->out, m->final_mean,
                          m->final_rstd, model_master(m, l->final_gain),
                          gradient_of(m, p, l->final_gain), gradient_of(m, p, l->final_bias),
                          m->dx);
    TRY(close_unit(err, p, unit));
cleanup:
    return status;
}

int model_backward_units(struct error *err, struct model *m, const struct weights *weights,
                         enum precision precision, const struct dropout *dropout,
                         const uint32_t *inputs, const uint32_t *targets, float scale, float *loss,
                         const struct gradient_sink *sink)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    struct pass p = {.weights = weights,
                     .sink = sink,
                     .precision = precision,
                     .drop = dropout->p > 0,
                     .keep = (float)(1 / (1 - dropout->p))};
    CHECK(err, m->use != MODEL_INFERENCE, STATUS_FAILED, "gradient of an inference model");
    m->kernels->cross_entropy(precision, m->rows, l->model.vocabulary, targets, scale, m->logits,
                              loss);
    TRY(backward_head(err, m, &p));
    for (int i = l->size.layers - 1; i >= 0; i--) {
        if (m->use == MODEL_RECOMPUTING && i + 1 < l->size.layers) { /* the last one's are there */
            TRY(model_recompute_block(err, m, weights, precision, dropout, i));
        }
        TRY(backward_ffn(err, m, &p, i));
        TRY(backward_attention(err, m, &p, i));
    }
    TRY(sink->open(err, sink->state, 0, &p.gradient));
    backward_embedding(m, &p, inputs);
    TRY(sink->close(err, sink->state, 0));
cleanup:
    return status;
}

struct whole_gradient {
    const struct layout *layout;
    float *gradient;
};

static int whole_open(struct error *err, void *state, int unit, float **gradient)
{
    const struct whole_gradient *whole = state;
    (void)err;
    *gradient = whole->gradient + whole->layout->unit[unit].offset;
    return STATUS_OK;
}

static int whole_close(struct error *err, void *state, int unit)
{
    (void)err, (void)state, (void)unit;
    return STATUS_OK;
}

int model_backward(struct error *err, struct model *m, const struct weights *weights,
                   enum precision precision, const struct dropout *dropout, const uint32_t *inputs,
                   const uint32_t *targets, float scale, float *loss, float *gradient)
{
    struct whole_gradient whole = {.layout = m->layout, .gradient = gradient};
    const struct gradient_sink sink = {.state = &whole, .open = whole_open, .close = whole_close};
    return model_backward_units(err, m, weights, precision, dropout, inputs, targets, scale, loss,
                                &sink);
}
