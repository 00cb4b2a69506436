#include "study/quantize.h"

#include <stdlib.h>
#include <string.h>

#include "study/arena.h"

struct quantized {
    struct quantized_site *site; /* (layers, SITES) */
    void *memory;
};

static int limit_of(int bits)
{
    return (1 << (bits - 1)) - 1;
}

void quantize_rows(const struct kernels *kernels, int rows, int columns, int bits, const float *w,
                   float *scale, int8_t *codes)
{
    const int limit = limit_of(bits);
    for (int r = 0; r < rows; r++) {
        const size_t at = (size_t)r * columns;
        scale[r] = kernels->absmax((size_t)columns, w + at) / (float)limit;
        kernels->quantize((size_t)columns, w + at, scale[r], limit, codes + at);
    }
}

static void carve(struct arena *a, const struct layout *l, bool weights_only,
                  struct quantized_site *site)
{
    for (int i = 0; i < l->size.layers * SITES; i++) {
        const size_t in = (size_t)l->in[i % SITES], out = (size_t)l->out[i % SITES];
        float *scale = arena_take(a, out, sizeof(float));
        int8_t *codes = arena_take(a, in * out, 1);
        float *weight = weights_only ? arena_take(a, in * out, sizeof(float)) : NULL;
        if (site) {
            site[i].scale = scale;
            site[i].codes = codes;
            site[i].weight = weight;
        }
    }
}

size_t quantized_bytes(const struct layout *layout, const struct quantizer *quantizer)
{
    struct arena a = {0};
    carve(&a, layout, quantizer->activations == ACTIVATIONS_FULL, NULL);
    return a.used;
}

int quantized_create(struct error *err, const struct layout *layout, const float *master,
                     const struct quantizer *quantizer, const float *absmax,
                     struct quantized **quantized)
{
    int status = STATUS_OK;
    const bool weights_only = quantizer->activations == ACTIVATIONS_FULL;
    const bool fixed = quantizer->activations == ACTIVATIONS_PER_TENSOR;
    const size_t bytes = quantized_bytes(layout, quantizer);
    const struct kernels *k = kernels_get();
    struct quantized *q = calloc(1, sizeof *q);
    CHECK(err, q, STATUS_FAILED, "out of memory");
    q->site = calloc((size_t)layout->size.layers * SITES, sizeof *q->site);
    q->memory = aligned_alloc(64, bytes);
    CHECK(err, q->site && q->memory, STATUS_FAILED,
          "out of memory: quantizer %s on size %s needs %.1f MiB", quantizer->name,
          layout->size.name, (double)bytes / 1048576.0);
    CHECK(err, !fixed || absmax, STATUS_FAILED, "quantizer %s needs calibration", quantizer->name);
    struct arena arena = {.base = q->memory};
    carve(&arena, layout, weights_only, q->site);
    for (int i = 0; i < layout->size.layers * SITES; i++) {
        struct quantized_site *s = &q->site[i];
        const int in = layout->in[i % SITES], out = layout->out[i % SITES];
        const float *w = layout_of(layout, layout->block[i / SITES].weight[i % SITES], master);
        float *scale = (float *)s->scale;
        int8_t *codes = (int8_t *)s->codes;
        quantize_rows(k, out, in, quantizer->weight_bits, w, scale, codes);
        if (weights_only) {
            float *weight = (float *)s->weight;
            for (int o = 0; o < out; o++) {
                for (int j = 0; j < in; j++) {
                    const size_t at = (size_t)o * in + j;
                    weight[at] = (float)codes[at] * scale[o];
                }
            }
            s->codes = NULL;
            continue;
        }
        s->activation_limit = limit_of(quantizer->activation_bits);
        s->fixed = fixed;
        s->fixed_scale = fixed ? absmax[i] / (float)s->activation_limit : 0;
    }
    *quantized = q;
    q = NULL;
cleanup:
    quantized_free(q);
    return status;
}

void quantized_free(struct quantized *quantized)
{
    if (quantized) {
        free(quantized->site);
        free(quantized->memory);
        free(quantized);
    }
}

const struct quantized_site *quantized_sites(const struct quantized *quantized)
{
    return quantized->site;
}

struct calibration {
    const struct kernels *kernels;
    float *absmax; /* (layers, SITES) */
};

static void see(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct calibration *c = context;
    float *most = &c->absmax[layer * SITES + (int)site];
    float here = c->kernels->absmax((size_t)rows * in, x);
    *most = here > *most ? here : *most;
}

int calibrate(struct error *err, struct model *model, const struct corpus *corpus,
              const float *master, int windows, uint64_t seed, int micro_batch, float *absmax)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(model);
    const size_t context = (size_t)l->size.context;
    const struct weights weights = {.master = master, .operands = master};
    const struct dropout none = {0};
    struct calibration c = {.kernels = model_kernels(model), .absmax = absmax};
    uint8_t *inputs = malloc((size_t)micro_batch * context);
    CHECK(err, inputs, STATUS_FAILED, "out of memory");
    memset(absmax, 0, (size_t)l->size.layers * SITES * sizeof *absmax);
    for (int w = 0; w < windows; w += micro_batch) {
        const int n = windows - w < micro_batch ? windows - w : micro_batch;
        const float *logits;
        for (int i = 0; i < n; i++) {
            memcpy(inputs + i * context,
                   corpus_calibration_window(corpus, (int)context, seed, w + i), context);
        }
        TRY(model_forward(err, model, &weights, PRECISION_FP32, &none, inputs, n, see, &c,
                          &logits));
    }
cleanup:
    free(inputs);
    return status;
}
