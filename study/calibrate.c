#include "study/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "study/quantizers/parts.h"

int calibration_windows(struct error *err, const struct calibration_source *source, bool all,
                        observe_fn *observe, void *context)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(source->model);
    const size_t tokens = (size_t)l->size.context;
    const int group = source->micro_batch;
    const int rank = all ? 0 : source->team->rank, ranks = all ? 1 : source->team->size;
    const struct weights weights = weights_full(source->parameters);
    const struct dropout none = {0};
    uint32_t *inputs = malloc((size_t)group * tokens * sizeof *inputs);
    CHECK(err, inputs, STATUS_FAILED, "out of memory");
    for (int round = 0; round * ranks * group < source->windows; round++) {
        const int w = (round * ranks + rank) * group;
        const int n = source->windows - w < group ? source->windows - w : group;
        const float *logits;
        TRY(team_check(err, source->team));
        calibration_alive(source);
        if (n <= 0) {
            TRY(model_attend(err, source->model, &weights, observe, context));
            continue;
        }
        for (int i = 0; i < n; i++) {
            corpus_calibration_window(source->corpus, (int)tokens, source->seed, w + i,
                                      inputs + i * tokens);
        }
        TRY(model_forward(err, source->model, &weights, PRECISION_FP32, &none, inputs, n, observe,
                          context, &logits));
    }
cleanup:
    free(inputs);
    return status;
}

/* Largest inputs ============================================================================== */

static void see_inputs(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct calibration *c = context;
    float *most = c->input_absmax[site] + (size_t)layer * in;
    for (int r = 0; r < rows; r++) {
        for (int j = 0; j < in; j++) {
            const float here =
                x[(size_t)r * in + j] < 0 ? -x[(size_t)r * in + j] : x[(size_t)r * in + j];
            most[j] = here > most[j] ? here : most[j];
        }
    }
}

/* Passes that look at transformed inputs. Parameters are found once per site. */
struct looking {
    struct calibration *calibration;
    const struct calibration_source *source;
    const bool *wanted;
    int first, layers;              /* of Gram matrices */
    float **parameters[TRANSFORMS]; /* (layers of the model, SITES) */
    float *x;                       /* transformed */
    struct error *err;
    int status; /* of what an observer did */
};

static void looking_close(struct looking *s)
{
    const int sites = s->calibration->layout->size.layers * SITES;
    for (int t = 0; t < TRANSFORMS; t++) {
        for (int i = 0; s->parameters[t] && i < sites; i++) {
            free(s->parameters[t][i]);
        }
        free(s->parameters[t]);
    }
    free(s->x);
}

static int looking_open(struct error *err, struct looking *s)
{
    int status = STATUS_OK;
    const struct layout *l = s->calibration->layout;
    const int sites = l->size.layers * SITES;
    const size_t widest = (size_t)(l->size.d_ff > l->size.d_model ? l->size.d_ff : l->size.d_model);
    s->x = malloc((size_t)s->source->micro_batch * l->size.context * widest * sizeof *s->x);
    CHECK(err, s->x, STATUS_FAILED, "out of memory to calibrate size %s", l->size.name);
    for (int t = 0; t < TRANSFORMS; t++) {
        if (!s->wanted[t]) {
            continue;
        }
        s->parameters[t] = calloc((size_t)sites, sizeof *s->parameters[t]);
        CHECK(err, s->parameters[t], STATUS_FAILED, "out of memory");
        for (int i = s->first * SITES; i < (s->first + s->layers) * SITES; i++) {
            TRY(calibration_parameters(err, s->calibration, s->source->parameters,
                                       (enum transform)t, i / SITES, (enum site)(i % SITES),
                                       &s->parameters[t][i]));
        }
    }
cleanup:
    return status;
}

static const float *transformed(const struct looking *s, int t, int at, int rows, int in,
                                const float *x)
{
    if (s->parameters[t][at] == NULL) {
        return x;
    }
    transform_of((enum transform)t)->inputs(in, s->parameters[t][at], rows, x, s->x);
    return s->x;
}

static void see_absmax(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct looking *s = context;
    const int at = layer * SITES + (int)site;
    for (int t = 0; t < TRANSFORMS; t++) {
        if (s->wanted[t]) {
            float *most = &s->calibration->absmax[t][at];
            const float here = model_kernels(s->source->model)
                                   ->absmax((size_t)rows * in, transformed(s, t, at, rows, in, x));
            *most = here > *most ? here : *most;
        }
    }
}

int calibration_create(struct error *err, const struct calibration_source *source,
                       const bool absmax[TRANSFORMS], struct calibration **calibration)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(source->model);
    const size_t layers = (size_t)l->size.layers;
    struct calibration *c = calloc(1, sizeof *c);
    struct looking looking = {
        .calibration = c, .source = source, .wanted = absmax, .layers = l->size.layers, .err = err};
    bool any = false;
    CHECK(err, c, STATUS_FAILED, "out of memory");
    c->layout = l;
    c->algebra = source->team->algebra;
    for (int i = 0; i < SITES; i++) {
        c->input_absmax[i] = calloc(layers * l->in[i], sizeof(float));
        CHECK(err, c->input_absmax[i], STATUS_FAILED, "out of memory");
    }
    for (int t = 0; t < TRANSFORMS; t++) {
        any |= absmax[t];
        c->absmax[t] = absmax[t] ? calloc(layers * SITES, sizeof(float)) : NULL;
        CHECK(err, c->absmax[t] || !absmax[t], STATUS_FAILED, "out of memory");
    }
    TRY(calibration_windows(err, source, true, see_inputs, c));
    if (any) {
        TRY(looking_open(err, &looking));
        TRY(calibration_windows(err, source, true, see_absmax, &looking));
    }
    *calibration = c;
    c = NULL;
cleanup:
    if (looking.calibration) {
        looking_close(&looking);
    }
    calibration_free(c);
    return status;
}

/* Gram matrices =============================================================================== */

static void free_grams(struct calibration *c)
{
    for (int t = 0; t < TRANSFORMS; t++) {
        for (int i = 0; c->gram[t] && i < c->layout->size.layers * SITES; i++) {
            if (c->gram[t][i]) {
                c->algebra->gram_free(c->gram[t][i]);
            }
        }
        free(c->gram[t]);
        c->gram[t] = NULL;
    }
}

void calibration_free(struct calibration *calibration)
{
    if (calibration == NULL) {
        return;
    }
    free_grams(calibration);
    for (int i = 0; i < SITES; i++) {
        free(calibration->input_absmax[i]);
    }
    for (int t = 0; t < TRANSFORMS; t++) {
        free(calibration->absmax[t]);
    }
    free(calibration);
}

static void see_gram(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct looking *s = context;
    const int at = layer * SITES + (int)site;
    if (layer < s->first || layer >= s->first + s->layers) {
        return;
    }
    for (int t = 0; t < TRANSFORMS && s->status == STATUS_OK; t++) {
        if (s->wanted[t]) {
            const float *seen = rows > 0 ? transformed(s, t, at, rows, in, x) : x;
            s->status = s->calibration->algebra->gram_add(s->err, s->calibration->gram[t][at], 2,
                                                          rows, seen);
        }
    }
}

int calibration_grams(struct error *err, const struct calibration_source *source,
                      const bool wanted[TRANSFORMS], int first, int layers, struct calibration *c)
{
    int status = STATUS_OK;
    const struct layout *l = c->layout;
    struct looking looking = {.calibration = c,
                              .source = source,
                              .wanted = wanted,
                              .first = first,
                              .layers = layers,
                              .err = err,
                              .status = STATUS_OK};
    free_grams(c);
    CHECK(err, c->algebra, STATUS_FAILED,
          "GPTQ needs dense algebra, and this team of ranks was formed without it");
    for (int t = 0; t < TRANSFORMS; t++) {
        if (!wanted[t]) {
            continue;
        }
        c->gram[t] = calloc((size_t)l->size.layers * SITES, sizeof(struct gram *));
        CHECK(err, c->gram[t], STATUS_FAILED, "out of memory");
        for (int i = first * SITES; i < (first + layers) * SITES; i++) {
            TRY(c->algebra->gram_create(err, c->algebra->state, l->in[i % SITES], &c->gram[t][i]));
        }
    }
    TRY(looking_open(err, &looking));
    TRY(calibration_windows(err, source, false, see_gram, &looking));
    TRY(looking.status);
cleanup:
    looking_close(&looking);
    return status;
}

int calibration_layers(const struct layout *layout, int transforms)
{
    size_t bytes = 0;
    for (int i = 0; i < SITES; i++) {
        bytes += sizeof(double) * layout->in[i] * layout->in[i] * (size_t)transforms;
    }
    const size_t most = bytes > 0 ? CALIBRATION_GRAM_BYTES / bytes : 1;
    const size_t layers = (size_t)layout->size.layers;
    return (int)(most < 1 ? 1 : most < layers ? most : layers);
}

int calibration_parameters(struct error *err, const struct calibration *c,
                           struct parameters *weights, enum transform transform, int layer,
                           enum site site, float **parameters)
{
    int status = STATUS_OK;
    const struct layout *l = c->layout;
    const struct transform_part *part = transform_of(transform);
    const int in = l->in[site];
    *parameters = NULL;
    if (part) {
        const float *w;
        TRY(parameters_tensor(err, weights, l->block[layer].weight[site], &w));
        *parameters = malloc(part->parameters(in) * sizeof **parameters);
        CHECK(err, *parameters, STATUS_FAILED, "out of memory");
        part->prepare(in, l->out[site], w, c->input_absmax[site] + (size_t)layer * in, *parameters);
    }
cleanup:
    return status;
}
