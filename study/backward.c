/* Gradients, block by block from the last; the mirror image of model.c. */
#include <string.h>

#include "study/model_buffers.h"

struct pass {
    const struct weights *weights;
    enum precision precision;
    bool drop;
    float keep; /* 1 / (1 − p) */
    float *gradient;
};

/* Gradients of y = x Wᵀ + b from dy: those of W and b into the gradient buffer, dx (N, in) rounded. */
static int backward_site(struct error *err, struct model *m, const struct pass *p, int layer,
                         enum site site, float *x, struct operand dy, float *dx)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct layout_block *b = &l->block[layer];
    const int in = l->in[site], out = l->out[site];
    float *dw = layout_at(l, b->weight[site], p->gradient);
    float *db = layout_at(l, b->bias[site], p->gradient);
    TRY(gemm_backward(err, m->gemm, p->precision, m->rows, in, out, dy, model_operand(m, x),
                      model_weight(m, p->weights, b->weight[site]), dw, dx));
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

static int backward_ffn(struct error *err, struct model *m, const struct pass *p, int layer,
                        float *norm, float *dnorm)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    const struct operand dhidden = model_operand(m, m->dhidden);
    const float *dy = backward_mask(m, p, 1, b->mask[1]);
    TRY(backward_site(err, m, p, layer, SITE_FFN_OUT, b->activated, operand_full(dy),
                      m->dactivated));
    m->kernels->activation_backward(m->layout->model.activation, p->precision, m->rows,
                                    m->layout->size.d_ff, b->hidden, m->dactivated, dhidden);
    TRY(backward_site(err, m, p, layer, SITE_FFN_IN, norm, dhidden, dnorm));
cleanup:
    return status;
}

static int backward_attention(struct error *err, struct model *m, const struct pass *p, int layer,
                              float *dnorm)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    const struct operand dqkv = model_operand(m, m->dqkv);
    const float *dy = backward_mask(m, p, 0, b->mask[0]);
    TRY(backward_site(err, m, p, layer, SITE_ATTN_OUT, b->attention, operand_full(dy),
                      m->dattention));
    m->kernels->attention_backward(p->precision, &m->shape, b->qkv, m->dattention, b->row_max,
                                   b->row_scale, dqkv, m->scratch);
    TRY(backward_site(err, m, p, layer, SITE_QKV, b->norm[0], dqkv, dnorm));
cleanup:
    return status;
}

/* m->dx += the gradient through a block's LayerNorm `which` of x. */
static void backward_norm(struct model *m, const struct pass *p, int layer, int which,
                          const float *x, const float *dnorm1, const float *dnorm2)
{
    const struct layout *l = m->layout;
    const struct layout_block *lb = &l->block[layer];
    const struct block_activations *b = &m->block[layer];
    m->kernels->layernorm_backward(p->precision, m->rows, l->size.d_model, dnorm1, dnorm2, x,
                                   b->mean[which], b->rstd[which],
                                   layout_of(l, lb->norm_gain[which], p->weights->master),
                                   layout_at(l, lb->norm_gain[which], p->gradient),
                                   layout_at(l, lb->norm_bias[which], p->gradient), m->dx);
}

static int backward_block(struct error *err, struct model *m, const struct pass *p, int layer)
{
    int status = STATUS_OK;
    const struct block_activations *b = &m->block[layer];
    if (m->layout->model.block == BLOCK_PARALLEL) {
        TRY(backward_ffn(err, m, p, layer, b->norm[0], m->dnorm[1]));
        TRY(backward_attention(err, m, p, layer, m->dnorm[0]));
        backward_norm(m, p, layer, 0, b->in, m->dnorm[0], m->dnorm[1]);
    } else {
        TRY(backward_ffn(err, m, p, layer, b->norm[1], m->dnorm[1]));
        backward_norm(m, p, layer, 1, b->middle, m->dnorm[1], NULL);
        TRY(backward_attention(err, m, p, layer, m->dnorm[0]));
        backward_norm(m, p, layer, 0, b->in, m->dnorm[0], NULL);
    }
cleanup:
    return status;
}

/* Embedding gradients add up in sequence order (METHOD §2). */
static void backward_embedding(struct model *m, const struct pass *p, const uint8_t *inputs)
{
    const struct layout *l = m->layout;
    const size_t d = (size_t)l->size.d_model;
    float *embedding = layout_at(l, l->embedding, p->gradient);
    float *position = layout_at(l, l->position, p->gradient);
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

int model_backward(struct error *err, struct model *m, const struct weights *weights,
                   enum precision precision, const struct dropout *dropout, const uint8_t *inputs,
                   const uint8_t *targets, float scale, float *loss, float *gradient)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct kernels *k = m->kernels;
    const int d = l->size.d_model, v = l->model.vocabulary;
    const struct pass p = {.weights = weights,
                           .precision = precision,
                           .drop = dropout->p > 0,
                           .keep = (float)(1 / (1 - dropout->p)),
                           .gradient = gradient};
    CHECK(err, m->training, STATUS_FAILED, "gradient of an inference model");
    k->cross_entropy(precision, m->rows, v, targets, scale, m->logits, loss);

    float *dhead = l->model.tied ? m->dhead : layout_at(l, l->head, gradient);
    TRY(gemm_backward(err, m->gemm, precision, m->rows, d, v, operand_full(m->logits),
                      model_operand(m, m->final), model_weight(m, weights, l->head), dhead,
                      m->dnorm[0]));
    k->bias_round(precision, v, d, NULL, dhead);
    k->bias_round(precision, m->rows, d, NULL, m->dnorm[0]);
    memset(m->dx, 0, (size_t)m->rows * d * sizeof *m->dx);
    k->layernorm_backward(precision, m->rows, d, m->dnorm[0], NULL, m->out, m->final_mean,
                          m->final_rstd, layout_of(l, l->final_gain, weights->master),
                          layout_at(l, l->final_gain, gradient),
                          layout_at(l, l->final_bias, gradient), m->dx);
    for (int i = l->size.layers - 1; i >= 0; i--) {
        TRY(backward_block(err, m, &p, i));
    }
    backward_embedding(m, &p, inputs);
cleanup:
    return status;
}
