#include "study/model.h"

#include <math.h>
#include <stdlib.h>

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

struct weights model_weights(const struct model *m, enum precision precision,
                             struct parameters *parameters, float *buffer)
{
    return parameters->team
               ? (struct weights){.parameters = parameters, .room = buffer}
               : model_convert(m, precision, m->layout->length, parameters->own, buffer);
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
