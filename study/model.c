#include "study/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/model_buffers.h"

static void carve_block(struct arena *a, const struct layout *l, size_t n, size_t units,
                        bool training, struct block_activations *b)
{
    const size_t d = (size_t)l->size.d_model;
    const int norms = l->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    b->in = arena_take(a, n * d, sizeof(float));
    b->middle = norms == 2 && training ? arena_take(a, n * d, sizeof(float)) : b->in;
    for (int i = 0; i < norms; i++) {
        b->norm[i] = arena_take(a, n * d, sizeof(float));
        b->mean[i] = arena_take(a, n, sizeof(float));
        b->rstd[i] = arena_take(a, n, sizeof(float));
    }
    b->qkv = arena_take(a, n * 3 * d, sizeof(float));
    b->row_max = arena_take(a, units, sizeof(float));
    b->row_scale = arena_take(a, units, sizeof(float));
    b->attention = arena_take(a, n * d, sizeof(float));
    b->hidden = arena_take(a, n * l->out[SITE_FFN_IN], sizeof(float));
    b->activated = arena_take(a, n * l->size.d_ff, sizeof(float));
    if (training) {
        b->mask[0] = arena_take(a, n * d, 1);
        b->mask[1] = arena_take(a, n * d, 1);
    }
}

static void carve_quantized(struct arena *a, const struct layout *l, size_t n,
                            struct site_scratch *scratch)
{
    size_t widest_in = 0, widest_out = 0, largest = 0;
    for (int i = 0; i < SITES; i++) {
        const size_t in = (size_t)l->in[i], out = (size_t)l->out[i];
        widest_in = in > widest_in ? in : widest_in;
        widest_out = out > widest_out ? out : widest_out;
        largest = in * out > largest ? in * out : largest;
    }
    scratch->x = arena_take(a, n * widest_in, sizeof(float));
    scratch->codes = arena_take(a, n * widest_in, 1);
    scratch->accumulator = arena_take(a, n * widest_out, sizeof(int32_t));
    scratch->row_scale = arena_take(a, n, sizeof(float));
    scratch->weight = arena_take(a, largest, sizeof(float));
    scratch->gathered = arena_take(a, (size_t)l->size.context * widest_in, sizeof(float));
    scratch->column = arena_take(a, widest_in, sizeof(float));
    scratch->index = arena_take(a, n / (size_t)l->size.context * widest_in, sizeof(int));
    scratch->count = arena_take(a, n / (size_t)l->size.context, sizeof(int));
}

/* All buffers of a model; with a counting arena only their size. Residual streams of consecutive blocks are shared: a block's
 * output is the next one's input. */
static void carve(struct arena *a, const struct layout *l, int sequences, enum model_use use,
                  struct model *m, struct block_activations *blocks)
{
    const bool training = use != MODEL_INFERENCE;
    const size_t n = (size_t)sequences * l->size.context, d = (size_t)l->size.d_model;
    const size_t units = (size_t)sequences * l->size.heads * l->size.context;
    if (l->model.position == POSITION_ROTARY) {
        const size_t angles = (size_t)l->size.context * (d / l->size.heads / 2);
        m->cosine = arena_take(a, angles, sizeof(float));
        m->sine = arena_take(a, angles, sizeof(float));
    }
    for (int i = 0; i < l->size.layers; i++) {
        if (i > 0 && use != MODEL_TRAINING) {
            blocks[i] = blocks[0];
            blocks[i].in = training ? arena_take(a, n * d, sizeof(float)) : blocks[0].in;
        } else {
            carve_block(a, l, n, units, training, &blocks[i]);
        }
    }
    m->out = training ? arena_take(a, n * d, sizeof(float)) : blocks[0].in;
    m->final = arena_take(a, n * d, sizeof(float));
    m->final_mean = arena_take(a, n, sizeof(float));
    m->final_rstd = arena_take(a, n, sizeof(float));
    m->logits = arena_take(a, n * l->model.vocabulary, sizeof(float));
    m->branch[0] = arena_take(a, n * d, sizeof(float));
    m->branch[1] = arena_take(a, n * d, sizeof(float));
    m->scratch = arena_take(a, attention_scratch(l->size.context, l->size.d_model / l->size.heads),
                            sizeof(float));
    if (!training) {
        carve_quantized(a, l, n, &m->quantized);
        return;
    }
    m->embed_mask = arena_take(a, n * d, 1);
    m->dx = arena_take(a, n * d, sizeof(float));
    m->dattention = arena_take(a, n * d, sizeof(float));
    for (int i = 0; i < 2; i++) {
        m->dbranch[i] = arena_take(a, n * d, sizeof(float));
        m->dnorm[i] = arena_take(a, n * d, sizeof(float));
    }
    m->dqkv = arena_take(a, n * 3 * d, sizeof(float));
    m->dactivated = arena_take(a, n * l->size.d_ff, sizeof(float));
    m->dhidden = arena_take(a, n * l->out[SITE_FFN_IN], sizeof(float));
    if (l->model.tied) {
        m->dhead = arena_take(a, (size_t)l->model.vocabulary * d, sizeof(float));
    }
}

size_t model_bytes(const struct layout *layout, int sequences, enum model_use use)
{
    struct model m = {0};
    struct arena a = {0};
    struct block_activations *blocks = calloc((size_t)layout->size.layers, sizeof *blocks);
    if (blocks == NULL) {
        return 0;
    }
    carve(&a, layout, sequences, use, &m, blocks);
    free(blocks);
    return a.used;
}

static int create_gemm(struct error *err, const struct layout *l, int sequences, struct gemm **gemm)
{
    size_t rows = (size_t)sequences * l->size.context, widest = 0, largest = 0;
    for (int i = 0; i < SITES; i++) {
        const size_t in = (size_t)l->in[i], out = (size_t)l->out[i];
        widest = in > widest ? in : widest;
        widest = out > widest ? out : widest;
        largest = in * out > largest ? in * out : largest;
    }
    const size_t vocabulary = (size_t)l->model.vocabulary, head = vocabulary * l->size.d_model;
    widest = vocabulary > widest ? vocabulary : widest;
    return gemm_create(err, rows * widest, head > largest ? head : largest, gemm);
}

int model_create(struct error *err, const struct layout *layout, int sequences, enum model_use use,
                 struct model **model)
{
    int status = STATUS_OK;
    const int hd = layout->size.d_model / layout->size.heads;
    const size_t bytes = model_bytes(layout, sequences, use);
    struct model *m = calloc(1, sizeof *m);
    CHECK(err, m, STATUS_FAILED, "out of memory");
    m->block = calloc((size_t)layout->size.layers, sizeof *m->block);
    m->memory = aligned_alloc(64, bytes);
    CHECK(err, bytes > 0 && m->block && m->memory, STATUS_FAILED,
          "out of memory: activations of size %s need %.1f MiB; use smaller micro-batches",
          layout->size.name, (double)bytes / 1048576.0);
    struct arena arena = {.base = m->memory};
    carve(&arena, layout, sequences, use, m, m->block);
    TRY(create_gemm(err, layout, sequences, &m->gemm));
    m->layout = layout;
    m->kernels = kernels_get();
    m->use = use;
    m->sequences = sequences;
    for (int t = 0; m->cosine && t < layout->size.context; t++) {
        for (int c = 0; c < hd / 2; c++) {
            double angle = t * pow(10000.0, -2.0 * c / hd);
            m->cosine[t * (hd / 2) + c] = (float)cos(angle);
            m->sine[t * (hd / 2) + c] = (float)sin(angle);
        }
    }
    m->shape = (struct attention_shape){.context = layout->size.context,
                                        .heads = layout->size.heads,
                                        .head_dim = hd,
                                        .cosine = m->cosine,
                                        .sine = m->sine};
    *model = m;
    m = NULL;
cleanup:
    model_free(m);
    return status;
}

void model_free(struct model *model)
{
    if (model) {
        gemm_free(model->gemm);
        free(model->block);
        free(model->memory);
        free(model);
    }
}

const struct layout *model_layout(const struct model *model)
{
    return model->layout;
}

const struct kernels *model_kernels(const struct model *model)
{
    return model->kernels;
}

/* n weights for matmuls of this precision. */
static struct weights model_convert(const struct model *m, enum precision precision, size_t n,
                                    const float *master, float *buffer)
{
    struct weights weights = {.master = master, .operands = master};
    if (gemm_takes_packed(m->gemm, precision)) {
        m->kernels->pack_bf16(n, master, (uint16_t *)buffer);
        weights.operands = NULL;
        weights.packed = (const uint16_t *)buffer;
    } else if (precision != PRECISION_FP32) {
        m->kernels->round(precision, n, master, buffer);
        weights.operands = buffer;
    }
    return weights;
}

struct weights model_weights(const struct model *m, enum precision precision, const float *master,
                             float *buffer)
{
    return model_convert(m, precision, m->layout->length, master, buffer);
}

int model_open(struct error *err, struct model *m, const struct weights *weights,
               enum precision precision, int unit, int next)
{
    int status = STATUS_OK;
    const struct unit *u = &m->layout->unit[unit];
    const int site = unit >= 1 && unit + 1 < m->layout->units ? unit - 1 : -1;
    struct open_unit *o = &m->open;
    *o = (struct open_unit){.unit = u};
    m->parameters = weights->parameters;
    if (weights->parameters == NULL) {
        o->master = weights->master + u->offset;
        o->operands = weights->operands ? weights->operands + u->offset : NULL;
        o->packed = weights->packed ? weights->packed + u->offset : NULL;
        o->quantized = weights->quantized && site >= 0 ? weights->quantized + site : NULL;
        return status;
    }
    TRY(parameters_open(err, weights->parameters, unit, next, &o->master));
    if (weights->sites && site >= 0) {
        const struct quantized_site *block;
        TRY(weights->sites->open(err, weights->sites->state, site / SITES, &block));
        o->quantized = block + site % SITES;
    }
    const struct weights here = model_convert(m, precision, u->length, o->master, weights->room);
    o->operands = here.operands;
    o->packed = here.packed;
cleanup:
    return status;
}

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
    TRY(model_open(err, m, weights, precision, 0, 1));
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
