#include "study/quantize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/quantizers/parts.h"

struct quantized {
    struct quantizer quantizer;
    const struct layout *layout;
    struct quantized_site *site; /* (layers, SITES) */
    double *damping;             /* (layers, SITES) */
    bool failed;
    void *memory;
};

void quantize_rows(const struct kernels *kernels, int rows, int columns, int bits, const float *w,
                   float *scale, int8_t *codes)
{
    const struct rounding rounding = {.kernels = kernels,
                                      .format = &format_int,
                                      .bits = bits,
                                      .in = columns,
                                      .out = rows,
                                      .group = columns,
                                      .groups = 1,
                                      .w = w,
                                      .codes = codes,
                                      .scale = scale};
    round_nearest(&rounding);
}

/* Memory ====================================================================================== */

static void carve(struct arena *a, const struct layout *l, const struct quantizer *q,
                  struct quantized_site *site)
{
    const struct format *format = format_of(q->weights);
    const struct transform_part *transform = transform_of(q->transform);
    for (int i = 0; i < l->size.layers * SITES; i++) {
        const int in = l->in[i % SITES], group = q->group > 0 && q->group < in ? q->group : in;
        const size_t weights = (size_t)in * l->out[i % SITES];
        struct quantized_site s = {.group = group, .groups = (in + group - 1) / group};
        if (format) {
            s.scale = arena_take(a, (size_t)s.groups * l->out[i % SITES], sizeof(float));
            s.codes = arena_take(a, weights, 1);
            s.values = format->values;
        } else if (transform) {
            s.weight = arena_take(a, weights, sizeof(float));
        }
        if (transform) {
            s.parameters = arena_take(a, transform->parameters(in), sizeof(float));
        }
        if (site) {
            site[i] = s;
        }
    }
}

size_t quantized_bytes(const struct layout *layout, const struct quantizer *quantizer)
{
    struct arena a = {0};
    carve(&a, layout, quantizer, NULL);
    return a.used;
}

static int allocate(struct error *err, const struct layout *layout,
                    const struct quantizer *quantizer, struct quantized **quantized)
{
    int status = STATUS_OK;
    const int sites = layout->size.layers * SITES;
    const size_t bytes = quantized_bytes(layout, quantizer);
    struct quantized *q = calloc(1, sizeof *q);
    CHECK(err, q, STATUS_FAILED, "out of memory");
    q->quantizer = *quantizer;
    q->layout = layout;
    q->site = calloc((size_t)sites, sizeof *q->site);
    q->damping = malloc((size_t)sites * sizeof *q->damping);
    q->memory = aligned_alloc(64, bytes > 0 ? bytes : 64);
    CHECK(err, q->site && q->damping && q->memory, STATUS_FAILED,
          "out of memory: quantizer %s on size %s needs %.1f MiB", quantizer->name,
          layout->size.name, (double)bytes / 1048576.0);
    struct arena arena = {.base = q->memory};
    carve(&arena, layout, quantizer, q->site);
    for (int i = 0; i < sites; i++) {
        q->site[i].quantizer = &q->quantizer;
        q->damping[i] = NAN;
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
        free(quantized->damping);
        free(quantized->memory);
        free(quantized);
    }
}

const struct quantized_site *quantized_sites(const struct quantized *quantized)
{
    return quantized->site;
}

bool quantized_failed(const struct quantized *quantized)
{
    return quantized->failed;
}

const double *quantized_damping(const struct quantized *quantized)
{
    return quantized->damping;
}

/* Rounding ==================================================================================== */

/* The weights of site i after the quantizer's transform: in `w`, or the model's own. */
static const float *transformed(const struct quantized *q, const float *master, int i, float *w)
{
    const struct layout *l = q->layout;
    const float *own = layout_of(l, l->block[i / SITES].weight[i % SITES], master);
    if (q->quantizer.transform == TRANSFORM_NONE) {
        return own;
    }
    transform_of(q->quantizer.transform)
        ->weights(l->in[i % SITES], q->site[i].parameters, l->out[i % SITES], own, w);
    return w;
}

static struct rounding rounding_of(const struct quantized *q, int i, const float *w)
{
    const struct quantized_site *site = &q->site[i];
    return (struct rounding){.kernels = kernels_get(),
                             .format = format_of(q->quantizer.weights),
                             .bits = q->quantizer.weight_bits,
                             .in = q->layout->in[i % SITES],
                             .out = q->layout->out[i % SITES],
                             .group = site->group,
                             .groups = site->groups,
                             .w = w,
                             .codes = (int8_t *)site->codes,
                             .scale = (float *)site->scale};
}

static float *weights_create(const struct layout *layout)
{
    size_t largest = 0;
    for (int i = 0; i < SITES; i++) {
        const size_t here = (size_t)layout->in[i] * layout->out[i];
        largest = here > largest ? here : largest;
    }
    return malloc(largest * sizeof(float));
}

/* Everything but what GPTQ rounds. */
static int prepare(struct error *err, const struct calibration *calibration, const float *master,
                   struct quantized *q)
{
    int status = STATUS_OK;
    const struct layout *l = q->layout;
    const struct quantizer *quantizer = &q->quantizer;
    const struct transform_part *transform = transform_of(quantizer->transform);
    float *w = weights_create(l);
    CHECK(err, w, STATUS_FAILED, "out of memory to quantize size %s", l->size.name);
    for (int i = 0; i < l->size.layers * SITES; i++) {
        struct quantized_site *site = &q->site[i];
        const int in = l->in[i % SITES], out = l->out[i % SITES];
        if (transform) {
            const float *most = calibration ? calibration->input_absmax[i % SITES] +
                                                  (size_t)(i / SITES) * (size_t)in
                                            : NULL;
            transform->prepare(in, out, layout_of(l, l->block[i / SITES].weight[i % SITES], master),
                               most, (float *)site->parameters);
        }
        if (quantizer->activations == ACTIVATIONS_PER_TENSOR) {
            site->fixed_scale = calibration->absmax[quantizer->transform][i] /
                                (float)((1 << (quantizer->activation_bits - 1)) - 1);
        }
        if (quantizer->weights == WEIGHTS_FULL) {
            if (transform) {
                transformed(q, master, i, (float *)site->weight);
            }
        } else if (quantizer->method == METHOD_ROUND) {
            const struct rounding rounding = rounding_of(q, i, transformed(q, master, i, w));
            round_nearest(&rounding);
        }
    }
cleanup:
    free(w);
    return status;
}

/* GPTQ of one quantizer in layers [first, first + layers), whose Gram matrices are there. */
static int round_layers(struct error *err, const struct calibration_source *source,
                        const struct calibration *calibration, int first, int layers,
                        struct quantized *q)
{
    int status = STATUS_OK;
    float *w = weights_create(q->layout);
    CHECK(err, w, STATUS_FAILED, "out of memory to quantize size %s", q->layout->size.name);
    for (int i = first * SITES; i < (first + layers) * SITES && !q->failed; i++) {
        const struct rounding rounding = rounding_of(q, i, transformed(q, source->master, i, w));
        calibration_alive(source);
        CHECK(err, !source->team->cancelled(source->team), STATUS_STOPPED, "cancelled");
        TRY(round_gptq(err, calibration->algebra, calibration->gram[q->quantizer.transform][i],
                       &rounding, &q->damping[i]));
        q->failed = isnan(q->damping[i]);
    }
cleanup:
    free(w);
    return status;
}

static int round_gptqs(struct error *err, const struct calibration_source *source, int count,
                       struct quantized **quantized, struct calibration *calibration)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(source->model);
    bool wanted[TRANSFORMS] = {false};
    int transforms = 0;
    for (int q = 0; q < count; q++) {
        if (quantized[q]->quantizer.method == METHOD_GPTQ) {
            wanted[quantized[q]->quantizer.transform] = true;
        }
    }
    for (int t = 0; t < TRANSFORMS; t++) {
        transforms += wanted[t];
    }
    const int together = calibration_layers(l, transforms);
    for (int first = 0; transforms > 0 && first < l->size.layers; first += together) {
        const int layers = l->size.layers - first < together ? l->size.layers - first : together;
        TRY(calibration_grams(err, source, wanted, first, layers, calibration));
        for (int q = 0; q < count; q++) {
            if (quantized[q]->quantizer.method == METHOD_GPTQ) {
                TRY(round_layers(err, source, calibration, first, layers, quantized[q]));
            }
        }
    }
cleanup:
    return status;
}

int quantized_create(struct error *err, const struct layout *layout, const float *master,
                     const struct quantizer *quantizer, const struct calibration *calibration,
                     struct quantized **quantized)
{
    int status = STATUS_OK;
    struct quantized *q = NULL;
    CHECK(err, calibration || !quantizer_calibrates(quantizer), STATUS_FAILED,
          "quantizer %s needs calibration", quantizer->name);
    CHECK(err, quantizer->method != METHOD_GPTQ, STATUS_FAILED,
          "quantizer %s needs the Gram matrices of its inputs", quantizer->name);
    TRY(allocate(err, layout, quantizer, &q));
    TRY(prepare(err, calibration, master, q));
    *quantized = q;
    q = NULL;
cleanup:
    quantized_free(q);
    return status;
}

int quantized_create_all(struct error *err, const struct calibration_source *source, int count,
                         const struct quantizer *const *quantizer, struct quantized **quantized)
{
    int status = STATUS_OK;
    struct calibration *calibration = NULL;
    bool calibrates = false, absmax[TRANSFORMS] = {false};
    for (int q = 0; q < count; q++) {
        quantized[q] = NULL;
        calibrates |= quantizer_calibrates(quantizer[q]);
        absmax[quantizer[q]->transform] |= quantizer[q]->activations == ACTIVATIONS_PER_TENSOR;
    }
    if (calibrates) {
        TRY(calibration_create(err, source, absmax, &calibration));
    }
    for (int q = 0; q < count; q++) {
        TRY(allocate(err, model_layout(source->model), quantizer[q], &quantized[q]));
        TRY(prepare(err, calibration, source->master, quantized[q]));
    }
    if (calibrates) {
        TRY(round_gptqs(err, source, count, quantized, calibration));
    }
cleanup:
    calibration_free(calibration);
    if (status != STATUS_OK) {
        for (int q = 0; q < count; q++) {
            quantized_free(quantized[q]);
            quantized[q] = NULL;
        }
    }
    return status;
}
