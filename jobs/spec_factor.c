/* The base recipe, factors and their levels, and single cells. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/spec_read.h"

/* Factor names in the enum's order, NULL at the end. */
static const char *const FACTOR_NAMES[] = {
    "total_decay",
    "weight_decay",
    "dropout",
    "grad_clip",
    "precision",
    "learning_rate",
    "learning_rate_factor",
    "schedule",
    "tokens",
    "tokens_per_parameter",
    NULL,
};

const char *factor_name(enum factor factor)
{
    return FACTOR_NAMES[factor];
}

enum factor factor_alternative(enum factor factor)
{
    switch (factor) {
    case FACTOR_TOTAL_DECAY:
        return FACTOR_WEIGHT_DECAY;
    case FACTOR_WEIGHT_DECAY:
        return FACTOR_TOTAL_DECAY;
    case FACTOR_LEARNING_RATE:
        return FACTOR_LEARNING_RATE_FACTOR;
    case FACTOR_LEARNING_RATE_FACTOR:
        return FACTOR_LEARNING_RATE;
    case FACTOR_TOKENS:
        return FACTOR_TOKENS_PER_PARAMETER;
    case FACTOR_TOKENS_PER_PARAMETER:
        return FACTOR_TOKENS;
    default:
        return FACTOR_COUNT;
    }
}

static enum factor factor_find(const char *name)
{
    enum factor factor = 0;
    while (factor < FACTOR_COUNT && strcmp(FACTOR_NAMES[factor], name) != 0) {
        factor++;
    }
    return factor;
}

bool spec_level_is_base(const struct spec *spec, const struct level *level)
{
    if (spec->base[level->factor].text[0]) {
        return spec->base[level->factor].value == level->value;
    }
    /* "times the size's own rate" is 1 unless the base says otherwise. */
    return level->factor == FACTOR_LEARNING_RATE_FACTOR &&
           !spec->base[FACTOR_LEARNING_RATE].text[0] && level->value == 1;
}

/* Levels ====================================================================================== */

static int read_level(struct error *err, const struct yaml_field *field, enum factor factor,
                      struct level *level)
{
    static const struct yaml_range RANGES[FACTOR_COUNT] = {
        [FACTOR_TOTAL_DECAY] = {0, INFINITY, false, true},
        [FACTOR_WEIGHT_DECAY] = {0, INFINITY, false, true},
        [FACTOR_DROPOUT] = {0, 1, false, true},
        [FACTOR_GRAD_CLIP] = {0, INFINITY, true, true},
        [FACTOR_LEARNING_RATE] = {0, INFINITY, true, true},
        [FACTOR_LEARNING_RATE_FACTOR] = {0, INFINITY, true, true},
        [FACTOR_TOKENS] = {1, 0x1p53, false, false},
        [FACTOR_TOKENS_PER_PARAMETER] = {0, INFINITY, true, true},
    };
    static const char *const PRECISIONS[] = {"fp32", "bf16", "fp16", NULL};
    static const char *const SCHEDULES[] = {"cosine", "wsd", "constant", NULL};

    int status = STATUS_OK;
    int choice = 0;
    level->factor = factor;
    TRY(yaml_field_string(err, field, level->text, sizeof level->text));
    if (factor == FACTOR_PRECISION || factor == FACTOR_SCHEDULE) {
        TRY(yaml_field_choice(err, field, factor == FACTOR_PRECISION ? PRECISIONS : SCHEDULES,
                              &choice));
        level->value = choice;
    } else if (factor == FACTOR_GRAD_CLIP && strcmp(level->text, "none") == 0) {
        level->value = 0;
    } else {
        TRY(yaml_field_number(err, field, &RANGES[factor], &level->value));
        FIELD_CHECK(err, factor != FACTOR_TOKENS || level->value == floor(level->value), field,
                    "%s is no whole number of tokens; round it", field->text);
    }
cleanup:
    return status;
}

/* Two spellings of one setting side by side. */
static int refuse_alternative(struct error *err, const struct yaml_field *mapping, const char *key,
                              const struct yaml_field *value)
{
    int status = STATUS_OK;
    struct yaml_field other;
    enum factor factor = factor_find(key);
    enum factor alternative = factor < FACTOR_COUNT ? factor_alternative(factor) : FACTOR_COUNT;
    if (alternative < factor && yaml_field_get(mapping, FACTOR_NAMES[alternative], &other)) {
        FIELD_FAIL(err, value, "'%s' and '%s' (line %d) set the same thing; keep one of the two",
                   key, FACTOR_NAMES[alternative], other.line);
    }
cleanup:
    return status;
}

/* Base recipe ================================================================================= */

static void set_default(struct spec *spec, enum factor factor, double value, const char *text)
{
    enum factor other = factor_alternative(factor);
    if (!spec->base[factor].text[0] && (other == FACTOR_COUNT || !spec->base[other].text[0])) {
        struct level *level = &spec->base[factor];
        level->factor = factor;
        level->value = value;
        snprintf(level->text, sizeof level->text, "%s", text);
    }
}

int spec_read_base(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field base, value;
    TRY(yaml_field_need(err, root, "base", "give the base recipe, at least its tokens", &base));
    TRY(yaml_field_keys(err, &base, FACTOR_NAMES));
    int pairs = yaml_field_pairs(&base);
    for (int i = 0; i < pairs; i++) {
        const char *key;
        yaml_field_pair(&base, i, &key, &value);
        TRY(refuse_alternative(err, &base, key, &value));
        enum factor factor = factor_find(key);
        TRY(read_level(err, &value, factor, &spec->base[factor]));
    }
    if (!spec->base[FACTOR_TOKENS_PER_PARAMETER].text[0]) {
        TRY(yaml_field_need(err, &base, "tokens",
                            "give the training tokens of a run, or tokens_per_parameter", &value));
    }
    set_default(spec, FACTOR_TOTAL_DECAY, 0.5, "0.5");
    set_default(spec, FACTOR_DROPOUT, 0, "0");
    set_default(spec, FACTOR_GRAD_CLIP, 1, "1.0");
    set_default(spec, FACTOR_PRECISION, PRECISION_BF16, "bf16");
    set_default(spec, FACTOR_SCHEDULE, SCHEDULE_COSINE, "cosine");
cleanup:
    return status;
}

/* Factors ===================================================================================== */

/* A rate relative to the size's own needs every size to have one. */
static int check_size_rates(struct error *err, const struct spec *spec,
                            const struct yaml_field *field, const struct level *level)
{
    int status = STATUS_OK;
    for (int i = 0; level->factor == FACTOR_LEARNING_RATE_FACTOR && i < spec->sizes; i++) {
        FIELD_CHECK(err, spec->size_learning_rate[i] > 0, field,
                    "%s multiplies a size's own learning rate, and size '%s' has none; give it one",
                    field->text, spec->size[i].name);
    }
cleanup:
    return status;
}

static int read_factor(struct error *err, const struct yaml_field *field, enum factor factor,
                       struct spec *spec)
{
    int status = STATUS_OK;
    int count = 0;
    int index = spec->factors;
    FIELD_CHECK(err, yaml_field_items(field) != 0, field,
                "empty factor '[]'; give %s a level or remove it", factor_name(factor));
    TRY(yaml_field_list(err, field, SPEC_LEVELS, &count));
    for (int i = 0; i < count; i++) {
        struct yaml_field item;
        struct level *level = &spec->level[index][i];
        yaml_field_item(field, i, &item);
        TRY(read_level(err, &item, factor, level));
        TRY(check_size_rates(err, spec, &item, level));
        for (int j = 0; j < i; j++) {
            FIELD_CHECK(err, spec->level[index][j].value != level->value, &item,
                        "level %s was given already; keep one of the two", item.text);
        }
    }
    spec->factor[index] = factor;
    spec->levels[index] = count;
    spec->factors++;
cleanup:
    return status;
}

/* METHOD §6: the half fraction 2^(5−1) needs five two-level factors. */
static int check_fractional(struct error *err, const struct yaml_field *factors,
                            const struct spec *spec)
{
    int status = STATUS_OK;
    FIELD_CHECK(
        err, spec->factors == 5, factors,
        "design fractional is the half fraction 2^(5-1) and '%d' factors are given; give five",
        spec->factors);
    for (int f = 0; f < spec->factors; f++) {
        struct yaml_field field;
        int levels = 0;
        for (int i = 0; i < spec->levels[f]; i++) {
            levels += !spec_level_is_base(spec, &spec->level[f][i]);
        }
        yaml_field_get(factors, factor_name(spec->factor[f]), &field);
        FIELD_CHECK(err, levels == 1, &field,
                    "design fractional needs exactly one level other than the base's, and '%d' are "
                    "given; give one",
                    levels);
    }
cleanup:
    return status;
}

static int read_crossed(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field factors, value;
    if (spec->design == DESIGN_ONE_AT_A_TIME && !yaml_field_get(root, "factors", &factors)) {
        goto cleanup; /* the base recipe alone */
    }
    TRY(yaml_field_need(err, root, "factors", "give the levels of each factor", &factors));
    TRY(yaml_field_keys(err, &factors, FACTOR_NAMES));
    int pairs = yaml_field_pairs(&factors);
    for (int i = 0; i < pairs; i++) {
        const char *key;
        yaml_field_pair(&factors, i, &key, &value);
        if (spec->design != DESIGN_ONE_AT_A_TIME) {
            TRY(refuse_alternative(err, &factors, key, &value));
        }
        TRY(read_factor(err, &value, factor_find(key), spec));
    }
    if (spec->design == DESIGN_FRACTIONAL) {
        TRY(check_fractional(err, &factors, spec));
    }
cleanup:
    return status;
}

/* Single cells: all of design list, in addition to any other ================================== */

static int read_cell_size(struct error *err, const struct yaml_field *cell, const struct spec *spec,
                          int *size)
{
    int status = STATUS_OK;
    const char *names[SPEC_SIZES + 1] = {NULL};
    struct yaml_field value;
    *size = -1;
    for (int i = 0; i < spec->sizes; i++) {
        names[i] = spec->size[i].name;
    }
    if (yaml_field_get(cell, "size", &value)) {
        TRY(yaml_field_choice(err, &value, names, size));
    }
cleanup:
    return status;
}

static int read_cell(struct error *err, const struct yaml_field *cell, const struct spec *spec,
                     struct spec_setting *setting)
{
    int status = STATUS_OK;
    const char *known[FACTOR_COUNT + 2] = {"size"};
    memcpy(known + 1, FACTOR_NAMES, sizeof FACTOR_NAMES);
    TRY(yaml_field_keys(err, cell, known));
    TRY(read_cell_size(err, cell, spec, &setting->size));
    int pairs = yaml_field_pairs(cell);
    for (int i = 0; i < pairs; i++) {
        const char *key;
        struct yaml_field value;
        yaml_field_pair(cell, i, &key, &value);
        enum factor factor = factor_find(key);
        if (factor == FACTOR_COUNT) { /* size */
            continue;
        }
        TRY(refuse_alternative(err, cell, key, &value));
        struct level *level = &setting->level[setting->levels];
        TRY(read_level(err, &value, factor, level));
        TRY(check_size_rates(err, spec, &value, level));
        setting->levels++;
    }
cleanup:
    return status;
}

static int read_cells(struct error *err, const struct yaml_field *cells, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field value;
    int count = 0;
    TRY(yaml_field_list(err, cells, SPEC_LIST, &count));
    spec->setting = calloc((size_t)count, sizeof *spec->setting);
    CHECK(err, spec->setting, STATUS_FAILED, "%s: out of memory", spec->path);
    for (int i = 0; i < count; i++) {
        yaml_field_item(cells, i, &value);
        TRY(read_cell(err, &value, spec, &spec->setting[i]));
        spec->settings++;
    }
cleanup:
    return status;
}

int spec_read_factors(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field cells, value;
    if (spec->design != DESIGN_LIST) {
        TRY(read_crossed(err, root, spec));
        if (yaml_field_get(root, "cells", &cells)) {
            TRY(read_cells(err, &cells, spec));
        }
        goto cleanup;
    }
    if (yaml_field_get(root, "factors", &value)) {
        FIELD_FAIL(err, &value, "'factors' has no meaning in design 'list'; write the cells out");
    }
    TRY(yaml_field_need(err, root, "cells", "list the cells; {} is the base recipe", &cells));
    TRY(read_cells(err, &cells, spec));
cleanup:
    return status;
}
