/* The error of each site's output on calibration inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/quantize.h"

/* Squared norms are kept per group of windows and added up in the groups' order, so that it does not matter who had which. */
struct comparison {
    const struct calibration_source *source;
    int count, sites, groups;
    int group;                          /* the present one */
    struct quantized *const *quantized; /* (count) */
    double *norm;                       /* (groups, sites) of the full output */
    double *difference;                 /* (groups, count, sites) */
    float *full, *other;                /* (N, widest output) */
    struct error *err;
    int status;
};

/* The difference that a quantizer makes here. Ranks that have no rows only open what the others open. */
static int compare_one(struct comparison *c, int q, int layer, enum site site, size_t n,
                       const float *x)
{
    int status = STATUS_OK;
    const struct quantized_site *sites;
    const int at = layer * SITES + (int)site;
    TRY(quantized_open(c->err, c->quantized[q], layer, &sites));
    if (n == 0) {
        goto cleanup;
    }
    TRY(model_site(c->err, c->source->model, layer, site, &sites[site], x, c->other));
    c->difference[((size_t)c->group * c->count + q) * c->sites + at] =
        model_kernels(c->source->model)->squared_distance(n, c->other, c->full);
cleanup:
    return status;
}

static void compare(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct comparison *c = context;
    const int at = layer * SITES + (int)site;
    const size_t n = (size_t)rows * model_layout(c->source->model)->out[site];
    (void)in;
    if (at == 0) {
        c->group += c->group < 0 ? 1 + c->source->team->rank : c->source->team->size;
    }
    if (n > 0 && c->status == STATUS_OK) {
        c->status = model_site(c->err, c->source->model, layer, site, NULL, x, c->full);
        c->norm[c->group * c->sites + at] =
            model_kernels(c->source->model)->squared_sum(n, c->full);
    }
    for (int q = 0; q < c->count && c->status == STATUS_OK; q++) {
        if (!quantized_failed(c->quantized[q])) {
            c->status = compare_one(c, q, layer, site, n, x);
        }
    }
}

int quantized_errors(struct error *err, const struct calibration_source *source, int count,
                     struct quantized *const *quantized, double *error)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(source->model);
    const size_t rows = (size_t)source->micro_batch * l->size.context;
    size_t widest = 0;
    for (int i = 0; i < SITES; i++) {
        widest = (size_t)l->out[i] > widest ? (size_t)l->out[i] : widest;
    }
    struct comparison c = {.source = source,
                           .count = count,
                           .sites = l->size.layers * SITES,
                           .groups =
                               (source->windows + source->micro_batch - 1) / source->micro_batch,
                           .group = -1,
                           .quantized = quantized,
                           .err = err,
                           .status = STATUS_OK};
    const size_t norms = (size_t)c.groups * c.sites * (size_t)(count + 1);
    c.norm = calloc(norms + 1, sizeof *c.norm);
    c.full = malloc(rows * widest * sizeof *c.full);
    c.other = malloc(rows * widest * sizeof *c.other);
    CHECK(err, c.norm && c.full && c.other, STATUS_FAILED,
          "out of memory to compare the outputs of size %s", l->size.name);
    c.difference = c.norm + (size_t)c.groups * c.sites;
    TRY(calibration_windows(err, source, false, compare, &c));
    TRY(c.status);
    TRY(source->team->sum_double(source->team, c.norm, norms));
    for (int q = 0; q < count; q++) {
        for (int at = 0; at < c.sites; at++) {
            double norm = 0, difference = 0;
            for (int g = 0; g < c.groups; g++) {
                norm += c.norm[g * c.sites + at];
                difference += c.difference[((size_t)g * count + q) * c.sites + at];
            }
            error[q * c.sites + at] =
                quantized_failed(quantized[q]) ? NAN : sqrt(difference / norm);
        }
    }
cleanup:
    free(c.norm);
    free(c.full);
    free(c.other);
    return status;
}
