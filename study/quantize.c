#include "study/quantize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/quantizers/parts.h"

/* Where a team puts a block's sites together, one quantizer's at a time. */
struct room {
    const struct quantized *of; /* whose sites are here; NULL: nobody's */
    int layer;
    char *bytes;
    int users; /* quantized that share it */
};

struct quantized {
    struct quantizer quantizer;
    const struct layout *layout;
    struct quantized_site *site; /* (layers, SITES); in a team (SITES), in the room */
    float *fixed_scale;          /* (layers, SITES) */
    double *damping;             /* (layers, SITES) */
    bool failed;
    size_t layer_bytes; /* of a block's sites */
    char *memory;       /* (layers) of them; in a team, of this rank's piece of each */
    struct team *team;  /* NULL: all is here */
    size_t *begin;      /* (ranks + 1): pieces of a block's sites, in bytes */
    struct room *room;
    struct site_source source;
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

/* One block's sites. */
static void carve(struct arena *a, const struct layout *l, const struct quantizer *q,
                  struct quantized_site *site)
{
    const struct format *format = format_of(q->weights);
    const struct transform_part *transform = transform_of(q->transform);
    for (int i = 0; i < SITES; i++) {
        const int in = l->in[i], group = q->group > 0 && q->group < in ? q->group : in;
        const size_t weights = (size_t)in * l->out[i];
        struct quantized_site s = {.group = group, .groups = (in + group - 1) / group};
        if (format) {
            s.scale = arena_take(a, (size_t)s.groups * l->out[i], sizeof(float));
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

static size_t layer_bytes(const struct layout *layout, const struct quantizer *quantizer)
{
    struct arena a = {0};
    carve(&a, layout, quantizer, NULL);
    return a.used;
}

size_t quantized_bytes(const struct layout *layout, const struct quantizer *quantizer)
{
    return (size_t)layout->size.layers * layer_bytes(layout, quantizer);
}

static int create_room(struct error *err, size_t bytes, struct room **room)
{
    int status = STATUS_OK;
    struct room *r = calloc(1, sizeof *r);
    char *memory = aligned_alloc(64, bytes > 0 ? bytes : 64);
    *room = NULL;
    CHECK(err, r && memory, STATUS_FAILED, "out of memory: a block's quantized sites need %.1f MiB",
          (double)bytes / 1048576.0);
    r->bytes = memory;
    r->users = 1; /* who made it */
    *room = r;
    r = NULL;
    memory = NULL;
cleanup:
    free(r);
    free(memory);
    return status;
}

static void leave_room(struct room *room)
{
    if (room && --room->users <= 0) {
        free(room->bytes);
        free(room);
    }
}

/* The sites of block `layer` at `bytes`. */
static void place(struct quantized *q, int layer, char *bytes, struct quantized_site *site)
{
    struct arena arena = {.base = bytes};
    carve(&arena, q->layout, &q->quantizer, site);
    for (int i = 0; i < SITES; i++) {
        site[i].quantizer = &q->quantizer;
        site[i].fixed_scale = q->fixed_scale[layer * SITES + i];
    }
}

static int on_open(struct error *err, void *state, int layer, const struct quantized_site **sites)
{
    return quantized_open(err, state, layer, sites);
}

/* `room` is the team's, large enough for a block of this quantizer; NULL: all is here. */
static int allocate(struct error *err, struct parameters *parameters,
                    const struct quantizer *quantizer, struct room *room,
                    struct quantized **quantized)
{
    int status = STATUS_OK;
    const struct layout *layout = parameters->layout;
    const size_t layers = (size_t)layout->size.layers, sites = layers * SITES;
    const int ranks = room ? parameters->team->size : 1;
    struct quantized *q = calloc(1, sizeof *q);
    CHECK(err, q, STATUS_FAILED, "out of memory");
    q->quantizer = *quantizer;
    q->layout = layout;
    q->layer_bytes = layer_bytes(layout, quantizer);
    q->site = calloc(room ? SITES : sites, sizeof *q->site);
    q->fixed_scale = calloc(sites, sizeof *q->fixed_scale);
    q->damping = malloc(sites * sizeof *q->damping);
    q->begin = malloc(((size_t)ranks + 1) * sizeof *q->begin);
    CHECK(err, q->site && q->fixed_scale && q->damping && q->begin, STATUS_FAILED, "out of memory");
    for (int k = 0; k <= ranks; k++) {
        q->begin[k] = q->layer_bytes / 64 * (size_t)k / (size_t)ranks * 64;
    }
    if (room) {
        q->team = parameters->team;
        q->room = room;
        room->users++;
        q->source = (struct site_source){.state = q, .open = on_open};
    }
    const int piece = room ? team_piece(q->team) : 0;
    const size_t bytes = layers * (q->begin[piece + 1] - q->begin[piece]);
    q->memory = aligned_alloc(64, bytes > 0 ? bytes : 64);
    CHECK(err, q->memory, STATUS_FAILED, "out of memory: quantizer %s on size %s needs %.1f MiB",
          quantizer->name, layout->size.name, (double)bytes / 1048576.0);
    for (size_t i = 0; i < sites; i++) {
        q->damping[i] = NAN;
    }
    for (size_t i = 0; i < layers && !room; i++) {
        place(q, (int)i, q->memory + i * q->layer_bytes, q->site + i * SITES);
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
        leave_room(quantized->room);
        free(quantized->site);
        free(quantized->fixed_scale);
        free(quantized->damping);
        free(quantized->begin);
        free(quantized->memory);
        free(quantized);
    }
}

/* Pieces ====================================================================================== */

/* This rank's piece of a block's sites. */
static char *piece_of(const struct quantized *q, int layer, size_t *first, size_t *bytes)
{
    const int piece = team_piece(q->team);
    *first = q->begin[piece];
    *bytes = q->begin[piece + 1] - *first;
    return q->memory + (size_t)layer * *bytes;
}

/* Where a block's sites are made; what was made of them before is not there yet. */
static struct quantized_site *make(struct quantized *q, int layer)
{
    if (q->room == NULL) {
        return q->site + (size_t)layer * SITES;
    }
    q->room->of = q;
    q->room->layer = layer;
    place(q, layer, q->room->bytes, q->site);
    return q->site;
}

/* They are made: the same by every rank, which keeps its piece. */
static void keep(struct quantized *q, int layer)
{
    if (q->room) {
        size_t first, bytes;
        char *mine = piece_of(q, layer, &first, &bytes);
        memcpy(mine, q->room->bytes + first, bytes);
    }
    struct quantized_site *site = q->room ? q->site : q->site + (size_t)layer * SITES;
    for (int i = 0; i < SITES; i++) {
        site[i].fixed_scale = q->fixed_scale[layer * SITES + i];
    }
}

int quantized_open(struct error *err, struct quantized *q, int layer,
                   const struct quantized_site **sites)
{
    int status = STATUS_OK;
    if (q->room && (q->room->of != q || q->room->layer != layer)) {
        size_t first, bytes;
        struct transfer *transfer = NULL;
        const char *mine = piece_of(q, layer, &first, &bytes);
        q->room->of = NULL;
        memcpy(q->room->bytes + first, mine, bytes);
        status = q->team->gather_start(q->team, q->room->bytes, q->begin, &transfer);
        status = status == STATUS_OK ? q->team->finish(q->team, transfer) : status;
        CHECK(err, status == STATUS_OK, status, "cancelled");
        make(q, layer);
    }
    *sites = q->room ? q->site : q->site + (size_t)layer * SITES;
cleanup:
    return status;
}

struct weights quantized_weights(struct quantized *q, struct parameters *parameters)
{
    struct weights weights = weights_full(parameters);
    weights.quantized = quantized_sites(q);
    weights.sites = q->room ? &q->source : NULL;
    return weights;
}

const struct quantized_site *quantized_sites(const struct quantized *quantized)
{
    return quantized->room ? NULL : quantized->site;
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
static int transformed(struct error *err, const struct quantized *q, struct parameters *parameters,
                       const struct quantized_site *site, int i, float *w, const float **out)
{
    int status = STATUS_OK;
    const struct layout *l = q->layout;
    TRY(parameters_tensor(err, parameters, l->block[i / SITES].weight[i % SITES], out));
    if (q->quantizer.transform != TRANSFORM_NONE) {
        transform_of(q->quantizer.transform)
            ->weights(l->in[i % SITES], site->parameters, l->out[i % SITES], *out, w);
        *out = w;
    }
cleanup:
    return status;
}

static struct rounding rounding_of(const struct quantized *q, const struct quantized_site *site,
                                   int i, const float *w)
{
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

/* Everything but what GPTQ rounds, of site i. */
static int prepare_site(struct error *err, const struct calibration *calibration,
                        struct parameters *parameters, struct quantized *q,
                        const struct quantized_site *site, int i, float *w)
{
    int status = STATUS_OK;
    const struct layout *l = q->layout;
    const struct quantizer *quantizer = &q->quantizer;
    const struct transform_part *transform = transform_of(quantizer->transform);
    const int in = l->in[i % SITES], out = l->out[i % SITES];
    const float *weights;
    if (transform) {
        const float *most =
            calibration ? calibration->input_absmax[i % SITES] + (size_t)(i / SITES) * (size_t)in
                        : NULL;
        TRY(parameters_tensor(err, parameters, l->block[i / SITES].weight[i % SITES], &weights));
        transform->prepare(in, out, weights, most, (float *)site->parameters);
    }
    if (quantizer->activations == ACTIVATIONS_PER_TENSOR) {
        q->fixed_scale[i] = calibration->absmax[quantizer->transform][i] /
                            (float)((1 << (quantizer->activation_bits - 1)) - 1);
    }
    if (quantizer->weights == WEIGHTS_FULL) {
        if (transform) {
            TRY(transformed(err, q, parameters, site, i, (float *)site->weight, &weights));
        }
    } else if (quantizer->method == METHOD_ROUND) {
        TRY(transformed(err, q, parameters, site, i, w, &weights));
        const struct rounding rounding = rounding_of(q, site, i, weights);
        round_nearest(&rounding);
    }
cleanup:
    return status;
}

static int prepare(struct error *err, const struct calibration *calibration,
                   struct parameters *parameters, struct quantized *q)
{
    int status = STATUS_OK;
    float *w = weights_create(q->layout);
    CHECK(err, w, STATUS_FAILED, "out of memory to quantize size %s", q->layout->size.name);
    for (int layer = 0; layer < q->layout->size.layers; layer++) {
        const struct quantized_site *site = make(q, layer);
        for (int i = 0; i < SITES; i++) {
            TRY(prepare_site(err, calibration, parameters, q, &site[i], layer * SITES + i, w));
        }
        keep(q, layer);
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
    const struct quantized_site *site = NULL;
    float *w = weights_create(q->layout);
    CHECK(err, w, STATUS_FAILED, "out of memory to quantize size %s", q->layout->size.name);
    for (int i = first * SITES; i < (first + layers) * SITES && !q->failed; i++) {
        const float *weights;
        if (i % SITES == 0) {
            TRY(quantized_open(err, q, i / SITES, &site)); /* the transform is there */
        }
        TRY(transformed(err, q, source->parameters, &site[i % SITES], i, w, &weights));
        const struct rounding rounding = rounding_of(q, &site[i % SITES], i, weights);
        calibration_alive(source);
        CHECK(err, !source->team->cancelled(source->team), STATUS_STOPPED, "cancelled");
        TRY(round_gptq(err, calibration->algebra, calibration->gram[q->quantizer.transform][i],
                       &rounding, &q->damping[i]));
        q->failed = isnan(q->damping[i]);
        if (i % SITES == SITES - 1) {
            keep(q, i / SITES);
        }
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

/* For a block of any of them; NULL where all is here. */
static int room_for(struct error *err, const struct parameters *parameters, int count,
                    const struct quantizer *const *quantizer, struct room **room)
{
    int status = STATUS_OK;
    size_t largest = 0;
    *room = NULL;
    for (int q = 0; q < count; q++) {
        const size_t bytes = layer_bytes(parameters->layout, quantizer[q]);
        largest = bytes > largest ? bytes : largest;
    }
    if (parameters->team && count > 0) {
        TRY(create_room(err, largest, room));
    }
cleanup:
    return status;
}

int quantized_create(struct error *err, struct parameters *parameters,
                     const struct quantizer *quantizer, const struct calibration *calibration,
                     struct quantized **quantized)
{
    int status = STATUS_OK;
    struct quantized *q = NULL;
    struct room *room = NULL;
    CHECK(err, calibration || !quantizer_calibrates(quantizer), STATUS_FAILED,
          "quantizer %s needs calibration", quantizer->name);
    CHECK(err, quantizer->method != METHOD_GPTQ, STATUS_FAILED,
          "quantizer %s needs the Gram matrices of its inputs", quantizer->name);
    TRY(room_for(err, parameters, 1, &quantizer, &room));
    TRY(allocate(err, parameters, quantizer, room, &q));
    TRY(prepare(err, calibration, parameters, q));
    *quantized = q;
    q = NULL;
cleanup:
    quantized_free(q);
    leave_room(room);
    return status;
}

int quantized_create_all(struct error *err, const struct calibration_source *source, int count,
                         const struct quantizer *const *quantizer, struct quantized **quantized)
{
    int status = STATUS_OK;
    struct calibration *calibration = NULL;
    struct room *room = NULL;
    bool calibrates = false, absmax[TRANSFORMS] = {false};
    for (int q = 0; q < count; q++) {
        quantized[q] = NULL;
        calibrates |= quantizer_calibrates(quantizer[q]);
        absmax[quantizer[q]->transform] |= quantizer[q]->activations == ACTIVATIONS_PER_TENSOR;
    }
    TRY(room_for(err, source->parameters, count, quantizer, &room));
    if (calibrates) {
        TRY(calibration_create(err, source, absmax, &calibration));
    }
    for (int q = 0; q < count; q++) {
        TRY(allocate(err, source->parameters, quantizer[q], room, &quantized[q]));
        TRY(prepare(err, calibration, source->parameters, quantized[q]));
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
    leave_room(room);
    return status;
}
