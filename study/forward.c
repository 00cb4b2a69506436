/* The forward pass; gradients are its mirror image in backward.c. */
#include <stdlib.h>
#include <string.h>

#include "study/model_buffers.h"

struct pass {
    const struct weights *weights;
    enum precision precision;
    const struct dropout *dropout;
    observe_fn *observe;
    void *observe_context;
    const uint32_t *tokens; /* whose rows of weights->tokens the first block takes; NULL: none */
};

static int forward_quantized(struct error *err, struct model *m, const struct quantized_site *q,
                             enum site site, const float *w, const float *bias, const float *x,
                             float *y)
{
    const struct site_call call = {.kernels = m->kernels,
                                   .gemm = m->gemm,
                                   .rows = m->rows,
                                   .context = m->layout->size.context,
                                   .in = m->layout->in[site],
                                   .out = m->layout->out[site],
                                   .x = x,
                                   .weight = w,
                                   .bias = bias,
                                   .scratch = &m->quantized,
                                   .y = y};
    return quantized_site_forward(err, q, &call);
}

int model_site(struct error *err, struct model *model, int layer, enum site site,
               const struct quantized_site *quantized, const float *x, float *y)
{
    const struct layout *l = model->layout;
    const float *w = model_master(model, l->block[layer].weight[site]);
    return quantized ? forward_quantized(err, model, quantized, site, w, NULL, x, y)
                     : gemm_forward(err, model->gemm, PRECISION_FP32, model->rows, l->in[site],
                                    l->out[site], operand_full(x), operand_full(w), y);
}

static int forward_site(struct error *err, struct model *m, const struct pass *p, int layer,
                        enum site site, float *buffer, float *y)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct operand x = model_operand(m, buffer);
    const struct layout_block *b = &l->block[layer];
    const float *bias = model_master(m, b->bias[site]);
    const struct quantized_site *q = m->open.quantized;
    if (m->parameters) {
        parameters_poll(m->parameters);
    }
    if (p->observe) {
        p->observe(p->observe_context, layer, site, m->rows, l->in[site], x.full);
    }
    if (q) {
        return forward_quantized(err, m, q, site, model_master(m, b->weight[site]), bias, x.full,
                                 y);
    }
    const struct operand w = model_weight(m, b->weight[site]);
    TRY(gemm_forward(err, m->gemm, p->precision, m->rows, l->in[site], l->out[site], x, w, y));
    m->kernels->bias_round(p->precision, m->rows, l->out[site], bias, y);
cleanup:
    return status;
}

/* Floats of a token's row of the table: q k v, and in a parallel block the FFN. */
static size_t token_width(const struct layout *l)
{
    return (l->model.block == BLOCK_PARALLEL ? 4 : 3) * (size_t)l->size.d_model;
}

/* Columns first … of the tokens' rows, to y (N, n). */
static void take_tokens(const struct model *m, const struct pass *p, size_t first, size_t n,
                        float *y)
{
    const size_t width = token_width(m->layout);
    for (int r = 0; r < m->rows; r++) {
        memcpy(y + (size_t)r * n, p->weights->tokens + p->tokens[r] * width + first, n * sizeof *y);
    }
}

static struct dropout_key mask_key(const struct dropout *dropout, int site)
{
    return (struct dropout_key){.seed = dropout->seed,
                                .step = dropout->step,
                                .sequence = dropout->sequence,
                                .site = (uint32_t)site};
}

/* Open a site's unit, with the LayerNorm before it; the next site's comes after it, or whatever follows the block. */
static int open_site(struct error *err, struct model *m, const struct pass *p, int layer,
                     enum site site)
{
    const int unit = layout_unit(layer, site);
    return model_open(err, m, p->weights, p->precision, unit, unit + 1);
}

static void forward_norm(struct model *m, const struct pass *p, int layer, int which,
                         const float *x)
{
    const struct layout_block *lb = &m->layout->block[layer];
    struct block_activations *b = &m->block[layer];
    m->kernels->layernorm_forward(p->precision, m->rows, m->layout->size.d_model, x,
                                  model_master(m, lb->norm_gain[which]),
                                  model_master(m, lb->norm_bias[which]),
                                  model_operand(m, b->norm[which]), b->mean[which], b->rstd[which]);
}

/* Does the first block take what it would compute from a table? */
static bool is_known(const struct pass *p, int layer)
{
    return p->tokens && layer == 0;
}

static int forward_qkv(struct error *err, struct model *m, const struct pass *p, int layer)
{
    int status = STATUS_OK;
    struct block_activations *b = &m->block[layer];
    TRY(open_site(err, m, p, layer, SITE_QKV));
    if (is_known(p, layer)) {
        take_tokens(m, p, 0, 3 * (size_t)m->layout->size.d_model, b->qkv);
    } else {
        forward_norm(m, p, layer, 0, b->in);
        TRY(forward_site(err, m, p, layer, SITE_QKV, b->norm[0], b->qkv));
    }
cleanup:
    return status;
}

/* LayerNorm and attention, without its output projection. */
static int forward_attention(struct error *err, struct model *m, const struct pass *p, int layer)
{
    int status = STATUS_OK;
    struct block_activations *b = &m->block[layer];
    TRY(forward_qkv(err, m, p, layer));
    m->kernels->attention_forward(p->precision, &m->shape, b->qkv, model_operand(m, b->attention),
                                  b->row_max, b->row_scale, m->scratch);
cleanup:
    return status;
}

/* The FFN, in sequential blocks with its LayerNorm, without its output projection. */
static int forward_ffn(struct error *err, struct model *m, const struct pass *p, int layer)
{
    int status = STATUS_OK;
    struct block_activations *b = &m->block[layer];
    TRY(open_site(err, m, p, layer, SITE_FFN_IN));
    if (is_known(p, layer) && m->layout->model.block == BLOCK_PARALLEL) {
        return status; /* with its output */
    }
    if (m->layout->model.block == BLOCK_SEQUENTIAL) {
        forward_norm(m, p, layer, 1, b->middle);
    }
    TRY(forward_site(err, m, p, layer, SITE_FFN_IN,
                     m->layout->model.block == BLOCK_SEQUENTIAL ? b->norm[1] : b->norm[0],
                     b->hidden));
    m->kernels->activation_forward(m->layout->model.activation, p->precision, m->rows,
                                   m->layout->size.d_ff, b->hidden, model_operand(m, b->activated));
cleanup:
    return status;
}

/* An output projection. */
static int forward_branch(struct error *err, struct model *m, const struct pass *p, int layer,
                          enum site site)
{
    int status = STATUS_OK;
    struct block_activations *b = &m->block[layer];
    const int which = site == SITE_FFN_OUT;
    TRY(open_site(err, m, p, layer, site));
    if (which && is_known(p, layer) && m->layout->model.block == BLOCK_PARALLEL) {
        const size_t d = (size_t)m->layout->size.d_model;
        take_tokens(m, p, 3 * d, d, m->branch[1]);
        return status;
    }
    TRY(forward_site(err, m, p, layer, site, which ? b->activated : b->attention,
                     m->branch[which]));
cleanup:
    return status;
}

/* The residual stream behind both branches (parallel), or one of them. */
static void forward_residual(struct model *m, const struct pass *p, int layer, int first,
                             int second, const float *in, float *out)
{
    const struct block_activations *b = &m->block[layer];
    const bool drop = p->dropout->p > 0;
    m->kernels->residual(
        p->precision, (size_t)m->rows * m->layout->size.d_model, in, m->branch[first],
        drop ? b->mask[first] : NULL, second != first ? m->branch[second] : NULL,
        second != first && drop ? b->mask[second] : NULL, (float)(1 / (1 - p->dropout->p)), out);
}

/* A block, from its input to `out`; if that is NULL, only what backward needs of it. */
static int forward_block(struct error *err, struct model *m, const struct pass *p, int layer,
                         float *out)
{
    int status = STATUS_OK;
    struct block_activations *b = &m->block[layer];
    const bool parallel = m->layout->model.block == BLOCK_PARALLEL;
    for (int i = 0; p->dropout->p > 0 && i < 2; i++) {
        m->kernels->dropout_mask(mask_key(p->dropout, 1 + 2 * layer + i), p->dropout->p,
                                 m->shape.sequences,
                                 m->layout->size.context * m->layout->size.d_model, b->mask[i]);
    }
    TRY(forward_attention(err, m, p, layer));
    if (!parallel || out) {
        TRY(forward_branch(err, m, p, layer, SITE_ATTN_OUT));
    }
    if (!parallel) {
        forward_residual(m, p, layer, 0, 0, b->in, b->middle);
    }
    TRY(forward_ffn(err, m, p, layer));
    if (out) {
        TRY(forward_branch(err, m, p, layer, SITE_FFN_OUT));
        forward_residual(m, p, layer, parallel ? 0 : 1, 1, parallel ? b->in : b->middle, out);
    }
cleanup:
    return status;
}

int model_recompute_block(struct error *err, struct model *m, const struct weights *weights,
                          enum precision precision, const struct dropout *dropout, int layer)
{
    const struct pass pass = {.weights = weights, .precision = precision, .dropout = dropout};
    return forward_block(err, m, &pass, layer, NULL);
}

void model_watch_blocks(struct model *m, block_fn *see, void *context)
{
    m->see_block = see;
    m->see_block_context = context;
}

int model_forward(struct error *err, struct model *m, const struct weights *weights,
                  enum precision precision, const struct dropout *dropout, const uint32_t *inputs,
                  int sequences, observe_fn *observe, void *observe_context, const float **logits)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const struct kernels *k = m->kernels;
    const int d = l->size.d_model;
    const struct pass pass = {.weights = weights,
                              .precision = precision,
                              .dropout = dropout,
                              .observe = observe,
                              .observe_context = observe_context,
                              .tokens = weights->tokens && !observe ? inputs : NULL};
    CHECK(err, !weights->tokens || (precision == PRECISION_FP32 && dropout->p == 0), STATUS_FAILED,
          "a table by token in training");
    CHECK(err, sequences >= 1 && sequences <= m->sequences, STATUS_FAILED,
          "micro-batch of %d sequences in a model made for %d", sequences, m->sequences);
    CHECK(err, m->use != MODEL_INFERENCE || dropout->p == 0, STATUS_FAILED,
          "dropout in an inference model");
    m->rows = sequences * l->size.context;
    m->shape.sequences = sequences;
    /* Observers and integer products want to see fp32. */
    m->packed = gemm_takes_packed(m->gemm, precision) && observe == NULL &&
                weights->quantized == NULL && weights->sites == NULL;
    TRY(model_open(err, m, weights, PRECISION_FP32, 0, 1)); /* embeddings are no operands */
    if (dropout->p > 0) {
        k->dropout_mask(mask_key(dropout, 0), dropout->p, sequences, l->size.context * d,
                        m->embed_mask);
    }
    k->embed(precision, m->rows, d, l->size.context, inputs, model_master(m, l->embedding),
             model_master(m, l->position), dropout->p > 0 ? m->embed_mask : NULL,
             (float)(1 / (1 - dropout->p)), m->block[0].in);
    for (int i = 0; i < l->size.layers; i++) {
        float *out = i + 1 < l->size.layers ? m->block[i + 1].in : m->out;
        TRY(forward_block(err, m, &pass, i, out));
        if (m->see_block) {
            m->see_block(m->see_block_context, i, m->rows, d, out);
        }
    }
    TRY(model_open(err, m, weights, precision, l->units - 1, l->model.tied ? 0 : -1));
    k->layernorm_forward(precision, m->rows, d, m->out, model_master(m, l->final_gain),
                         model_master(m, l->final_bias), model_operand(m, m->final), m->final_mean,
                         m->final_rstd);
    if (l->model.tied) {
        TRY(model_open(err, m, weights, precision, 0, -1));
    }
    TRY(gemm_forward(err, m->gemm, precision, m->rows, d, l->model.vocabulary,
                     model_operand(m, m->final), model_weight(m, l->head), m->logits));
    k->bias_round(precision, m->rows, l->model.vocabulary, NULL, m->logits);
    *logits = m->logits;
cleanup:
    return status;
}

int model_attend(struct error *err, struct model *m, const struct weights *weights,
                 observe_fn *observe, void *observe_context)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    m->rows = 0;
    for (int u = 0; u < l->units; u++) {
        const int next = u + 1 < l->units ? u + 1 : l->model.tied ? 0 : -1;
        TRY(model_open(err, m, weights, PRECISION_FP32, u, next));
        if (observe && u >= 1 && u + 1 < l->units) {
            const int site = (u - 1) % SITES;
            observe(observe_context, (u - 1) / SITES, (enum site)site, 0, l->in[site], m->final);
        }
    }
    if (l->model.tied) {
        TRY(model_open(err, m, weights, PRECISION_FP32, 0, -1));
    }
cleanup:
    return status;
}

size_t model_token_floats(const struct layout *layout, const struct quantizer *quantizer)
{
    const bool by_token = layout->model.position == POSITION_ROTARY &&
                          (quantizer == NULL || quantizer->outliers == OUTLIERS_NONE);
    return by_token ? (size_t)layout->model.vocabulary * token_width(layout) : 0;
}

int model_tokens(struct error *err, struct model *m, const struct weights *weights, float *table)
{
    int status = STATUS_OK;
    const struct layout *l = m->layout;
    const size_t d = (size_t)l->size.d_model, width = token_width(l);
    const int all = m->sequences * l->size.context, vocabulary = l->model.vocabulary;
    const struct pass pass = {.weights = weights, .precision = PRECISION_FP32};
    struct block_activations *b = &m->block[0];
    uint32_t *tokens = malloc((size_t)all * sizeof *tokens);
    CHECK(err, tokens, STATUS_FAILED, "out of memory");
    m->rows = all;
    m->packed = false;
    for (int first = 0; first < vocabulary; first += all) {
        const int count = vocabulary - first < all ? vocabulary - first : all;
        for (int r = 0; r < all; r++) {
            tokens[r] = r < count ? (uint32_t)(first + r) : 0;
        }
        TRY(model_open(err, m, weights, PRECISION_FP32, 0, 1));
        m->kernels->embed(PRECISION_FP32, all, l->size.d_model, l->size.context, tokens,
                          model_master(m, l->embedding), NULL, NULL, 1, b->in);
        TRY(forward_qkv(err, m, &pass, 0));
        if (l->model.block == BLOCK_PARALLEL) {
            TRY(forward_ffn(err, m, &pass, 0));
            TRY(forward_branch(err, m, &pass, 0, SITE_FFN_OUT));
        }
        for (int r = 0; r < count; r++) {
            float *row = table + (size_t)(first + r) * width;
            memcpy(row, b->qkv + (size_t)r * 3 * d, 3 * d * sizeof *row);
            if (l->model.block == BLOCK_PARALLEL) {
                memcpy(row + 3 * d, m->branch[1] + (size_t)r * d, d * sizeof *row);
            }
        }
    }
cleanup:
    free(tokens);
    return status;
}
