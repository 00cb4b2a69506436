/* The sizes of a study file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/spec_read.h"

enum {
    MOST_LAYERS = 4096,
    MOST_WIDTH = 1 << 17,
    MOST_HIDDEN = 1 << 20,
    MOST_CONTEXT = 1 << 15, /* half a held-out block */
    MOST_RANKS = 1 << 16,
};

static int read_dimension(struct error *err, const struct yaml_field *size, const char *key,
                          int most, int *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t value = 0;
    TRY(yaml_field_need(err, size, key, "a size needs layers, d_model, heads and context", &field));
    TRY(yaml_field_integer(err, &field, 1, most, &value));
    *out = (int)value;
cleanup:
    return status;
}

/* 4·d_model; SwiGLU has three matrices instead of two, hence 8/3·d_model, up to a multiple of 8. */
static int default_hidden(const struct cell_size *size, enum activation activation)
{
    return activation == ACTIVATION_SWIGLU ? (8 * size->d_model + 23) / 24 * 8 : 4 * size->d_model;
}

static int read_name(struct error *err, const struct yaml_field *field, const struct spec *spec,
                     struct cell_size *size)
{
    int status = STATUS_OK;
    struct yaml_field name = *field;
    if (yaml_field_get(field, "name", &name)) {
        TRY(yaml_field_identifier(err, &name, size->name, sizeof size->name));
    } else {
        name = *field;
        snprintf(size->name, sizeof size->name, "%dx%d", size->layers, size->d_model);
    }
    for (const struct cell_size *other = spec->size; other < size; other++) {
        FIELD_CHECK(err, strcmp(other->name, size->name) != 0, &name,
                    "a size '%s' was given already; give each its own name", size->name);
    }
cleanup:
    return status;
}

static int check_heads(struct error *err, const struct yaml_field *field, const struct spec *spec,
                       const struct cell_size *size)
{
    int status = STATUS_OK;
    struct yaml_field heads;
    yaml_field_get(field, "heads", &heads);
    FIELD_CHECK(err, size->d_model % size->heads == 0, &heads,
                "%s heads do not divide d_model %d; give a divisor of it", heads.text,
                size->d_model);
    int width = size->d_model / size->heads;
    FIELD_CHECK(
        err, spec->model.position != POSITION_ROTARY || width % 2 == 0, &heads,
        "%s heads of d_model %d have an odd width of %d, and rotary positions turn pairs; give "
        "another number of heads or position: learned",
        heads.text, size->d_model, width);
cleanup:
    return status;
}

static int check_context(struct error *err, const struct yaml_field *field, const struct spec *spec,
                         const struct cell_size *size)
{
    int status = STATUS_OK;
    struct yaml_field context;
    yaml_field_get(field, "context", &context);
    FIELD_CHECK(err, spec->batch_tokens % size->context == 0, &context,
                "%s does not divide train.batch_tokens %lld; change one of the two", context.text,
                (long long)spec->batch_tokens);
    FIELD_CHECK(err, spec->micro_batch_tokens % size->context == 0, &context,
                "%s does not divide train.micro_batch_tokens %lld; change one of the two",
                context.text, (long long)spec->micro_batch_tokens);
cleanup:
    return status;
}

static int read_learning_rate(struct error *err, const struct yaml_field *field,
                              const struct spec *spec, double *rate)
{
    static const struct yaml_range POSITIVE = {0, INFINITY, true, true};
    int status = STATUS_OK;
    struct yaml_field value;
    if (spec->base[FACTOR_LEARNING_RATE].text[0] &&
        !yaml_field_get(field, "learning_rate", &value)) {
        goto cleanup;
    }
    TRY(yaml_field_need(err, field, "learning_rate",
                        "give the size's best rate, or set base.learning_rate", &value));
    TRY(yaml_field_number(err, &value, &POSITIVE, rate));
cleanup:
    return status;
}

/* A team shares out whole micro-batches, and adds up what they give in a binary tree. */
static int read_ranks(struct error *err, const struct yaml_field *field, const struct spec *spec,
                      int *ranks)
{
    int status = STATUS_OK;
    struct yaml_field value;
    int64_t number = 0;
    const int64_t parts = spec->batch_tokens / spec->micro_batch_tokens;
    if (!yaml_field_get(field, "ranks_per_cell", &value)) {
        goto cleanup;
    }
    TRY(yaml_field_integer(err, &value, 1, MOST_RANKS, &number));
    FIELD_CHECK(err, (number & (number - 1)) == 0, &value,
                "%s is not a power of two; give 1, 2, 4, ...", value.text);
    FIELD_CHECK(err, number <= parts, &value,
                "%s ranks share %lld micro-batch%s per step; give at most %lld, or smaller "
                "train.micro_batch_tokens",
                value.text, (long long)parts, parts == 1 ? "" : "es", (long long)parts);
    *ranks = (int)number;
cleanup:
    return status;
}

static int read_size(struct error *err, const struct yaml_field *field, struct spec *spec)
{
    static const char *const KEYS[] = {"name",          "layers",         "d_model",
                                       "heads",         "d_ff",           "context",
                                       "learning_rate", "ranks_per_cell", NULL};
    int status = STATUS_OK;
    struct cell_size *size = &spec->size[spec->sizes];
    struct yaml_field hidden;
    TRY(yaml_field_keys(err, field, KEYS));
    TRY(read_dimension(err, field, "layers", MOST_LAYERS, &size->layers));
    TRY(read_dimension(err, field, "d_model", MOST_WIDTH, &size->d_model));
    TRY(read_dimension(err, field, "heads", MOST_WIDTH, &size->heads));
    TRY(read_dimension(err, field, "context", MOST_CONTEXT, &size->context));
    size->d_ff = default_hidden(size, spec->model.activation);
    if (yaml_field_get(field, "d_ff", &hidden)) {
        TRY(read_dimension(err, field, "d_ff", MOST_HIDDEN, &size->d_ff));
    }
    TRY(check_heads(err, field, spec, size));
    TRY(check_context(err, field, spec, size));
    TRY(read_name(err, field, spec, size));
    TRY(read_learning_rate(err, field, spec, &spec->size_learning_rate[spec->sizes]));
    TRY(read_ranks(err, field, spec, &spec->size_ranks[spec->sizes]));
    spec->sizes++;
cleanup:
    return status;
}

int spec_read_sizes(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    int count = 0;
    struct yaml_field sizes, item;
    TRY(yaml_field_need(err, root, "sizes", "list the model sizes", &sizes));
    TRY(yaml_field_list(err, &sizes, SPEC_SIZES, &count));
    for (int i = 0; i < count; i++) {
        yaml_field_item(&sizes, i, &item);
        TRY(read_size(err, &item, spec));
    }
cleanup:
    return status;
}
