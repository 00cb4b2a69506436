#include "study/layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/rng.h"

static int put(struct layout *l, int layer, const char *name, enum tensor_kind kind, int rows,
               int columns, double std)
{
    struct tensor *t = &l->tensor[l->tensors];
    if (layer < 0) {
        snprintf(t->name, sizeof t->name, "%s", name);
    } else {
        snprintf(t->name, sizeof t->name, "%d.%s", layer, name);
    }
    t->kind = kind;
    t->offset = l->length;
    t->rows = rows;
    t->columns = columns;
    t->init_std = std;
    t->unit = l->units;
    l->length += (tensor_elements(t) + 15) / 16 * 16;
    return l->tensors++;
}

/* What was put since the last unit is one. */
static void end_unit(struct layout *l)
{
    const struct unit *last = l->units > 0 ? &l->unit[l->units - 1] : NULL;
    const size_t offset = last ? last->offset + last->length : 0;
    l->unit[l->units++] = (struct unit){.offset = offset, .length = l->length - offset};
}

static void put_site(struct layout *l, int layer, enum site site, double std)
{
    static const char *const weight[] = {"qkv", "attn_out", "ffn_in", "ffn_out"};
    static const char *const bias[] = {"qkv_bias", "attn_out_bias", "ffn_in_bias", "ffn_out_bias"};
    struct layout_block *b = &l->block[layer];
    b->weight[site] = put(l, layer, weight[site], TENSOR_MATRIX, l->out[site], l->in[site], std);
    b->bias[site] =
        l->model.bias ? put(l, layer, bias[site], TENSOR_BIAS, 1, l->out[site], 0) : LAYOUT_ABSENT;
    end_unit(l);
}

int layout_create(struct error *err, const struct cell_size *size, const struct cell_model *model,
                  struct layout **layout)
{
    int status = STATUS_OK;
    const int d = size->d_model, f = size->d_ff;
    const double std = 0.02, residual_std = 0.02 / sqrt(2.0 * size->layers);
    struct layout *l = calloc(1, sizeof *l);
    CHECK(err, l, STATUS_FAILED, "out of memory");
    l->tensor = calloc((size_t)size->layers * 12 + 6, sizeof *l->tensor);
    l->block = calloc((size_t)size->layers, sizeof *l->block);
    l->unit = calloc((size_t)size->layers * SITES + 2, sizeof *l->unit);
    CHECK(err, l->tensor && l->block && l->unit, STATUS_FAILED, "out of memory");
    l->size = *size;
    l->model = *model;
    l->in[SITE_QKV] = l->in[SITE_ATTN_OUT] = l->in[SITE_FFN_IN] = d;
    l->in[SITE_FFN_OUT] = f;
    l->out[SITE_QKV] = 3 * d;
    l->out[SITE_ATTN_OUT] = l->out[SITE_FFN_OUT] = d;
    l->out[SITE_FFN_IN] = model->activation == ACTIVATION_SWIGLU ? 2 * f : f;

    l->embedding = put(l, -1, "embedding", TENSOR_EMBEDDING, model->vocabulary, d, std);
    l->position = model->position == POSITION_LEARNED
                      ? put(l, -1, "position", TENSOR_EMBEDDING, size->context, d, std)
                      : LAYOUT_ABSENT;
    end_unit(l);
    for (int i = 0; i < size->layers; i++) {
        struct layout_block *b = &l->block[i];
        b->norm_gain[0] = put(l, i, "ln1_gain", TENSOR_GAIN, 1, d, 0);
        b->norm_bias[0] = put(l, i, "ln1_bias", TENSOR_BIAS, 1, d, 0);
        put_site(l, i, SITE_QKV, std);
        put_site(l, i, SITE_ATTN_OUT, residual_std);
        b->norm_gain[1] = b->norm_bias[1] = LAYOUT_ABSENT;
        if (model->block == BLOCK_SEQUENTIAL) {
            b->norm_gain[1] = put(l, i, "ln2_gain", TENSOR_GAIN, 1, d, 0);
            b->norm_bias[1] = put(l, i, "ln2_bias", TENSOR_BIAS, 1, d, 0);
        }
        put_site(l, i, SITE_FFN_IN, std);
        put_site(l, i, SITE_FFN_OUT, residual_std);
    }
    l->final_gain = put(l, -1, "final_gain", TENSOR_GAIN, 1, d, 0);
    l->final_bias = put(l, -1, "final_bias", TENSOR_BIAS, 1, d, 0);
    l->head =
        model->tied ? l->embedding : put(l, -1, "head", TENSOR_MATRIX, model->vocabulary, d, std);
    end_unit(l);
    *layout = l;
    l = NULL;
cleanup:
    layout_free(l);
    return status;
}

void layout_free(struct layout *layout)
{
    if (layout) {
        free(layout->tensor);
        free(layout->block);
        free(layout->unit);
        free(layout);
    }
}

/* Four normal numbers by Box–Muller; the uniform is (0, 1], so the logarithm is finite. */
static void normals(philox4x32_ctr_t r, double out[4])
{
    const double two_pi = 6.283185307179586;
    for (int i = 0; i < 4; i += 2) {
        double u = (r.v[i] + 1.0) / 4294967296.0, angle = two_pi * r.v[i + 1] / 4294967296.0;
        double radius = sqrt(-2 * log(u));
        out[i] = radius * cos(angle);
        out[i + 1] = radius * sin(angle);
    }
}

void layout_initialize_part(const struct layout *layout, uint64_t seed, int tensor, size_t first,
                            size_t count, float *p)
{
    const struct tensor *t = &layout->tensor[tensor];
    for (size_t e = 0; e < count; e += 4) {
        double z[4] = {0};
        if (t->init_std > 0) {
            const uint64_t group = (first + e) / 4;
            normals(rng_draw(seed, RNG_INIT, 0, (uint32_t)tensor, (uint32_t)(group >> 32),
                             (uint32_t)group),
                    z);
        }
        for (size_t j = 0; j < 4 && e + j < count; j++) {
            p[e + j] = t->kind == TENSOR_GAIN ? 1.0f : (float)(t->init_std * z[j]);
        }
    }
}

void layout_initialize(const struct layout *layout, uint64_t seed, float *p)
{
    memset(p, 0, layout->length * sizeof *p);
    for (int i = 0; i < layout->tensors; i++) {
        const struct tensor *t = &layout->tensor[i];
        layout_initialize_part(layout, seed, i, 0, tensor_elements(t), p + t->offset);
    }
}
