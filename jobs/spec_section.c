/* The sections model, train and evaluate of a study file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/spec_read.h"

/* Typed reads of optional keys: an absent key leaves *out as it is ============================== */

static int optional_integer(struct error *err, const struct yaml_field *section, const char *key,
                            int64_t low, int64_t high, int64_t *out)
{
    struct yaml_field field;
    return yaml_field_get(section, key, &field) ? yaml_field_integer(err, &field, low, high, out)
                                                : STATUS_OK;
}

static int optional_int(struct error *err, const struct yaml_field *section, const char *key,
                        int low, int high, int *out)
{
    int64_t value = *out;
    int status = optional_integer(err, section, key, low, high, &value);
    *out = (int)value;
    return status;
}

static int optional_seed(struct error *err, const struct yaml_field *section, const char *key,
                         uint64_t *out)
{
    int64_t value = (int64_t)*out;
    int status = optional_integer(err, section, key, 0, INT64_MAX, &value);
    *out = (uint64_t)value;
    return status;
}

static int optional_number(struct error *err, const struct yaml_field *section, const char *key,
                           struct yaml_range range, double *out)
{
    struct yaml_field field;
    return yaml_field_get(section, key, &field) ? yaml_field_number(err, &field, &range, out)
                                                : STATUS_OK;
}

static int optional_choice(struct error *err, const struct yaml_field *section, const char *key,
                           const char *const *names, int *out)
{
    struct yaml_field field;
    return yaml_field_get(section, key, &field) ? yaml_field_choice(err, &field, names, out)
                                                : STATUS_OK;
}

static int optional_boolean(struct error *err, const struct yaml_field *section, const char *key,
                            bool *out)
{
    struct yaml_field field;
    return yaml_field_get(section, key, &field) ? yaml_field_boolean(err, &field, out) : STATUS_OK;
}

/* model ======================================================================================= */

int spec_read_model(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {"block", "position", "activation", "bias", "tied", NULL};
    static const char *const BLOCKS[] = {"parallel", "sequential", NULL};
    static const char *const POSITIONS[] = {"rotary", "learned", NULL};
    static const char *const ACTIVATIONS[] = {"gelu", "relu", "swiglu", NULL};

    int status = STATUS_OK;
    struct yaml_field model;
    int block = BLOCK_PARALLEL, position = POSITION_ROTARY, activation = ACTIVATION_GELU;
    spec->model.bias = true;
    spec->model.tied = false;
    if (yaml_field_get(root, "model", &model)) {
        TRY(yaml_field_keys(err, &model, KEYS));
        TRY(optional_choice(err, &model, "block", BLOCKS, &block));
        TRY(optional_choice(err, &model, "position", POSITIONS, &position));
        TRY(optional_choice(err, &model, "activation", ACTIVATIONS, &activation));
        TRY(optional_boolean(err, &model, "bias", &spec->model.bias));
        TRY(optional_boolean(err, &model, "tied", &spec->model.tied));
    }
    spec->model.block = (enum block)block;
    spec->model.position = (enum position)position;
    spec->model.activation = (enum activation)activation;
cleanup:
    return status;
}

/* train ======================================================================================= */

static int read_batches(struct error *err, const struct yaml_field *train, struct spec *spec)
{
    int status = STATUS_OK;
    TRY(optional_integer(err, train, "batch_tokens", 1, INT32_MAX, &spec->batch_tokens));
    spec->micro_batch_tokens = spec->batch_tokens;
    TRY(optional_integer(err, train, "micro_batch_tokens", 1, INT32_MAX,
                         &spec->micro_batch_tokens));

    struct yaml_field field = *train;
    yaml_field_get(train, "micro_batch_tokens", &field);
    int64_t parts = spec->batch_tokens / spec->micro_batch_tokens;
    bool whole = spec->batch_tokens % spec->micro_batch_tokens == 0;
    FIELD_CHECK(err, whole && (parts & (parts - 1)) == 0, &field,
                "'%lld' does not cut batch_tokens %lld into a power of two of micro-batches; give "
                "batch_tokens divided by 1, 2, 4, ...",
                (long long)spec->micro_batch_tokens, (long long)spec->batch_tokens);
cleanup:
    return status;
}

int spec_read_train(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {"batch_tokens",
                                       "micro_batch_tokens",
                                       "warmup",
                                       "cooldown",
                                       "final_learning_rate",
                                       "beta1",
                                       "beta2",
                                       "epsilon",
                                       NULL};
    static const struct yaml_range FRACTION = {0, 1, false, false};
    static const struct yaml_range BELOW_ONE = {0, 1, false, true};
    static const struct yaml_range POSITIVE = {0, INFINITY, true, true};

    int status = STATUS_OK;
    struct yaml_field train, field;
    struct cell_train *out = &spec->train;
    spec->batch_tokens = 2048;
    spec->micro_batch_tokens = spec->batch_tokens;
    out->warmup = 0.05;
    out->cooldown = 0.2;
    out->final_rate = 0.1;
    out->beta1 = 0.9;
    out->beta2 = 0.95;
    out->epsilon = 1e-8;
    if (!yaml_field_get(root, "train", &train)) {
        goto cleanup;
    }
    TRY(yaml_field_keys(err, &train, KEYS));
    TRY(read_batches(err, &train, spec));
    TRY(optional_number(err, &train, "warmup", BELOW_ONE, &out->warmup));
    TRY(optional_number(err, &train, "cooldown", FRACTION, &out->cooldown));
    TRY(optional_number(err, &train, "final_learning_rate", FRACTION, &out->final_rate));
    TRY(optional_number(err, &train, "beta1", BELOW_ONE, &out->beta1));
    TRY(optional_number(err, &train, "beta2", BELOW_ONE, &out->beta2));
    TRY(optional_number(err, &train, "epsilon", POSITIVE, &out->epsilon));
    field = train;
    if (!yaml_field_get(&train, "cooldown", &field)) {
        yaml_field_get(&train, "warmup", &field);
    }
    FIELD_CHECK(err, out->warmup + out->cooldown <= 1, &field,
                "warmup %g and cooldown %g are more than the whole run; make '%s' smaller",
                out->warmup, out->cooldown, field.name);
cleanup:
    return status;
}

/* evaluate ==================================================================================== */

static int read_fractions(struct error *err, const struct yaml_field *evaluate,
                          struct cell_evaluate *out)
{
    static const struct yaml_range FRACTION = {0, 1, true, false};
    int status = STATUS_OK;
    struct yaml_field list, item;
    if (!yaml_field_get(evaluate, "fractions", &list)) {
        goto cleanup;
    }
    TRY(yaml_field_list(err, &list, CELL_CHECKPOINTS, &out->checkpoints));
    for (int i = 0; i < out->checkpoints; i++) {
        yaml_field_item(&list, i, &item);
        TRY(yaml_field_number(err, &item, &FRACTION, &out->fraction[i]));
        FIELD_CHECK(err, i == 0 || out->fraction[i] > out->fraction[i - 1], &item,
                    "%s is not above the fraction before it; sort the list", item.text);
    }
    FIELD_CHECK(err, out->fraction[out->checkpoints - 1] == 1, &item,
                "the last fraction is %s and the end of the run is 1; end the list with 1.0",
                item.text);
cleanup:
    return status;
}

int spec_read_evaluate(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {"fractions",        "windows",
                                       "early_quantizers", "calibration_windows",
                                       "calibration_seed", NULL};
    enum { MOST_WINDOWS = 1 << 20 };

    int status = STATUS_OK;
    struct yaml_field evaluate;
    struct cell_evaluate *out = &spec->evaluate;
    out->checkpoints = 3;
    out->fraction[0] = 0.25;
    out->fraction[1] = 0.5;
    out->fraction[2] = 1;
    out->windows = 1024;
    out->calibration_windows = 64;
    out->calibration_seed = 1;
    bool given = yaml_field_get(root, "evaluate", &evaluate);
    if (given) {
        TRY(yaml_field_keys(err, &evaluate, KEYS));
        TRY(read_fractions(err, &evaluate, out));
        TRY(optional_int(err, &evaluate, "windows", 1, MOST_WINDOWS, &out->windows));
        TRY(optional_int(err, &evaluate, "calibration_windows", 1, MOST_WINDOWS,
                         &out->calibration_windows));
        TRY(optional_seed(err, &evaluate, "calibration_seed", &out->calibration_seed));
    }
    TRY(spec_read_quantizers(err, root, given ? &evaluate : NULL, out));
cleanup:
    return status;
}
