/*
 * The quantizers of a study file: names of METHOD §3, or mappings,
 *
 *     {weights: int4, group: 64, activations: int8, activation_scale: token, transform: none, outliers: none,
 *      method: gptq, name: mine}
 *
 * in which all but one of `weights` and `activations` may be left out.
 */
#include <stdio.h>
#include <string.h>

#include "jobs/spec_read.h"

/* One entry ================================================================================== */

/* "int2" … "int8" and the other formats; index 0 … 6 are the integers. */
enum { WIDTHS = 7, LEAST_WIDTH = 2 };

static int read_weights(struct error *err, const struct yaml_field *entry, struct quantizer *out)
{
    static const char *const NAMES[] = {"int2", "int3", "int4",  "int5", "int6", "int7",
                                        "int8", "nf4",  "mxfp4", "fp8",  "full", NULL};
    static const struct {
        enum weight_format format;
        int bits;
    } OTHERS[] = {{WEIGHTS_NF4, 4}, {WEIGHTS_MXFP4, 4}, {WEIGHTS_FP8, 8}, {WEIGHTS_FULL, 0}};
    int status = STATUS_OK;
    struct yaml_field field;
    int index = WIDTHS + 3; /* full */
    if (yaml_field_get(entry, "weights", &field)) {
        TRY(yaml_field_choice(err, &field, NAMES, &index));
    }
    out->weights = index < WIDTHS ? WEIGHTS_INT : OTHERS[index - WIDTHS].format;
    out->weight_bits = index < WIDTHS ? index + LEAST_WIDTH : OTHERS[index - WIDTHS].bits;
cleanup:
    return status;
}

static int read_group(struct error *err, const struct yaml_field *entry, struct quantizer *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t group = 0;
    out->group = quantizer_default_group(out->weights);
    if (!yaml_field_get(entry, "group", &field)) {
        goto cleanup;
    }
    TRY(yaml_field_integer(err, &field, 1, QUANTIZER_MOST_GROUP, &group));
    FIELD_CHECK(err, out->weights != WEIGHTS_FULL, &field,
                "%s groups weights that stay full; leave group out, or give weights", field.text);
    FIELD_CHECK(err, out->weights != WEIGHTS_MXFP4 || group == out->group, &field,
                "%s is no block of MXFP4, whose blocks are 32 inputs; leave group out", field.text);
    out->group = (int)group;
cleanup:
    return status;
}

static int read_activations(struct error *err, const struct yaml_field *entry,
                            struct quantizer *out)
{
    static const char *const NAMES[] = {"int2", "int3", "int4", "int5", "int6",
                                        "int7", "int8", "fp8",  "full", NULL};
    static const char *const SCALES[] = {"token", "tensor", NULL};
    int status = STATUS_OK;
    struct yaml_field field;
    int index = WIDTHS + 1, scale = 0;
    if (yaml_field_get(entry, "activations", &field)) {
        TRY(yaml_field_choice(err, &field, NAMES, &index));
    }
    out->activations = index < WIDTHS    ? ACTIVATIONS_PER_TOKEN
                       : index == WIDTHS ? ACTIVATIONS_FP8
                                         : ACTIVATIONS_FULL;
    out->activation_bits = index < WIDTHS ? index + LEAST_WIDTH : index == WIDTHS ? 8 : 0;
    if (yaml_field_get(entry, "activation_scale", &field)) {
        TRY(yaml_field_choice(err, &field, SCALES, &scale));
        FIELD_CHECK(err, scale == 0 || out->activations == ACTIVATIONS_PER_TOKEN, &field,
                    "%s is for integer activations; give activations: int8, or leave it out",
                    field.text);
        out->activations = scale == 1 ? ACTIVATIONS_PER_TENSOR : out->activations;
    }
    FIELD_CHECK(err, out->weights != WEIGHTS_FULL || out->activations != ACTIVATIONS_FULL, entry,
                "%s quantizes nothing; give weights or activations", entry->text);
cleanup:
    return status;
}

static int read_method(struct error *err, const struct yaml_field *entry, struct quantizer *out)
{
    static const char *const TRANSFORMS[] = {"none", "smooth", "hadamard", NULL};
    static const char *const OUTLIERS[] = {"none", "absolute", "std", NULL};
    static const char *const METHODS[] = {"round", "gptq", NULL};
    int status = STATUS_OK;
    struct yaml_field field;
    int transform = 0, outliers = 0, method = 0;
    if (yaml_field_get(entry, "transform", &field)) {
        TRY(yaml_field_choice(err, &field, TRANSFORMS, &transform));
    }
    if (yaml_field_get(entry, "method", &field)) {
        TRY(yaml_field_choice(err, &field, METHODS, &method));
        FIELD_CHECK(err, method == 0 || out->weights != WEIGHTS_FULL, &field,
                    "%s is a way to round weights, which stay full here; give weights", field.text);
    }
    if (yaml_field_get(entry, "outliers", &field)) {
        TRY(yaml_field_choice(err, &field, OUTLIERS, &outliers));
        FIELD_CHECK(err,
                    outliers == 0 || (quantizer_is_integer(out) && transform == 0 &&
                                      out->activations == ACTIVATIONS_PER_TOKEN && method == 0),
                    &field,
                    "%s needs integer weights without groups and integer activations per token, "
                    "rounded as they are; leave outliers, or group, transform and method out",
                    field.text);
    }
    out->transform = (enum transform)transform;
    out->outliers = (enum outliers)outliers;
    out->method = (enum method)method;
cleanup:
    return status;
}

static int read_described(struct error *err, const struct yaml_field *entry, struct quantizer *out)
{
    static const char *const KEYS[] = {"name",        "weights",          "group",
                                       "activations", "transform",        "outliers",
                                       "method",      "activation_scale", NULL};
    int status = STATUS_OK;
    struct yaml_field field;
    TRY(yaml_field_keys(err, entry, KEYS));
    TRY(read_weights(err, entry, out));
    TRY(read_group(err, entry, out));
    TRY(read_activations(err, entry, out));
    TRY(read_method(err, entry, out));
    quantizer_generate_name(out, out->name);
    if (yaml_field_get(entry, "name", &field)) {
        TRY(yaml_field_identifier(err, &field, out->name, sizeof out->name));
        const struct quantizer *known = quantizer_find(out->name);
        FIELD_CHECK(err, known == NULL || quantizer_same(known, out), &field,
                    "%s is the name of another quantizer; choose another name", field.text);
    }
cleanup:
    return status;
}

static int read_named(struct error *err, const struct yaml_field *entry, struct quantizer *out)
{
    int status = STATUS_OK;
    const char *names[CELL_QUANTIZERS + 1] = {NULL};
    int chosen = 0;
    for (int i = 0; i < CELL_QUANTIZERS && quantizer_at(i); i++) {
        names[i] = quantizer_at(i)->name;
    }
    TRY(yaml_field_choice(err, entry, names, &chosen));
    *out = *quantizer_at(chosen);
cleanup:
    return status;
}

/* The lists ================================================================================== */

static int read_quantizers(struct error *err, const struct yaml_field *root,
                           struct cell_evaluate *out)
{
    int status = STATUS_OK;
    struct yaml_field list;
    bool given = yaml_field_get(root, "quantizers", &list);
    out->quantizers = QUANTIZER_DEFAULTS;
    if (given) {
        TRY(yaml_field_list(err, &list, CELL_QUANTIZERS, &out->quantizers));
    }
    for (int i = 0; i < out->quantizers; i++) {
        struct yaml_field item;
        struct quantizer *here = &out->quantizer[i];
        out->every_checkpoint[i] = true;
        if (!given) {
            *here = *quantizer_at(i);
            continue;
        }
        yaml_field_item(&list, i, &item);
        memset(here, 0, sizeof *here);
        if (item.node->type == YAML_MAPPING_NODE) {
            TRY(read_described(err, &item, here));
        } else {
            TRY(read_named(err, &item, here));
        }
        for (int j = 0; j < i; j++) {
            const struct quantizer *there = &out->quantizer[j];
            FIELD_CHECK(err, !quantizer_same(here, there) && strcmp(here->name, there->name) != 0,
                        &item, "quantizer '%s' was given already; keep one of the two", here->name);
        }
    }
cleanup:
    return status;
}

static int read_early_quantizers(struct error *err, const struct yaml_field *evaluate,
                                 struct cell_evaluate *out)
{
    int status = STATUS_OK;
    const char *names[CELL_QUANTIZERS + 1] = {NULL};
    int count = 0;
    struct yaml_field list;
    if (!yaml_field_get(evaluate, "early_quantizers", &list)) {
        goto cleanup;
    }
    for (int i = 0; i < out->quantizers; i++) {
        names[i] = out->quantizer[i].name;
        out->every_checkpoint[i] = false;
    }
    if (yaml_field_items(&list) == 0) { /* [] = only at the end */
        goto cleanup;
    }
    TRY(yaml_field_list(err, &list, CELL_QUANTIZERS, &count));
    for (int i = 0; i < count; i++) {
        struct yaml_field item;
        int chosen = 0;
        yaml_field_item(&list, i, &item);
        TRY(yaml_field_choice(err, &item, names, &chosen));
        FIELD_CHECK(err, !out->every_checkpoint[chosen], &item,
                    "quantizer %s was given already; keep one of the two", item.text);
        out->every_checkpoint[chosen] = true;
    }
cleanup:
    return status;
}

int spec_read_quantizers(struct error *err, const struct yaml_field *root,
                         const struct yaml_field *evaluate, struct cell_evaluate *out)
{
    int status = STATUS_OK;
    TRY(read_quantizers(err, root, out));
    if (evaluate) {
        TRY(read_early_quantizers(err, evaluate, out));
    }
cleanup:
    return status;
}
