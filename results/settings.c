#include "results/settings.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct cell, member)

static const struct setting settings[] = {
    {"cell_id", SETTING_TEXT, "cell id", "hash of all that decides the cell's result", AT(id)},
    {"size", SETTING_TEXT, "name of the model size", "METHOD §1", AT(size.name)},
    {"setting", SETTING_TEXT, "name of the recipe: base, or what differs from it", "METHOD §0, 6",
     AT(setting)},
    {"base", SETTING_FLAG, "the cell has the base recipe", "METHOD §0", AT(base)},
    {"seed", SETTING_UINT64, "seed of the study", "METHOD §2: sets init_seed and data_seed",
     AT(seed)},
    {"init_seed", SETTING_UINT64, "seed of initialization and dropout", "METHOD §2", AT(init_seed)},
    {"data_seed", SETTING_UINT64, "seed of the order of training sequences", "METHOD §2",
     AT(data_seed)},
    {"layers", SETTING_INT, "blocks", "METHOD §1", AT(size.layers)},
    {"d_model", SETTING_INT, "width of the residual stream", "METHOD §1", AT(size.d_model)},
    {"heads", SETTING_INT, "attention heads", "METHOD §1", AT(size.heads)},
    {"d_ff", SETTING_INT, "hidden width of the FFN", "METHOD §1", AT(size.d_ff)},
    {"context", SETTING_INT, "tokens per sequence", "METHOD §1", AT(size.context)},
    {"parameters", SETTING_PARAMETERS, "non-embedding parameters",
     "METHOD §1: blocks and the final LayerNorm", 0},
    {"parameters_total", SETTING_PARAMETERS_TOTAL, "all parameters", "METHOD §1", 0},
    {"block", SETTING_BLOCK, "parallel or sequential block", "METHOD §1", AT(model.block)},
    {"position", SETTING_POSITION, "position encoding", "METHOD §1", AT(model.position)},
    {"activation", SETTING_ACTIVATION, "activation of the FFN", "METHOD §1", AT(model.activation)},
    {"bias", SETTING_FLAG, "linear layers have biases", "METHOD §1", AT(model.bias)},
    {"tied", SETTING_FLAG, "the head shares the embedding matrix", "METHOD §1", AT(model.tied)},
    {"vocabulary", SETTING_INT, "size of the vocabulary", "METHOD §1; bytes have 256",
     AT(model.vocabulary)},
    {"train_tokens", SETTING_INT64, "training tokens of the whole run",
     "METHOD §2: steps x batch x context", AT(tokens)},
    {"steps", SETTING_INT64, "optimizer steps of the whole run", "METHOD §2", AT(train.steps)},
    {"batch", SETTING_INT, "sequences per optimizer step", "METHOD §2", AT(train.batch)},
    {"micro_batch", SETTING_INT, "sequences per micro-batch",
     "METHOD §2: leaf of the gradient's summation tree", AT(train.micro_batch)},
    {"learning_rate", SETTING_DOUBLE, "peak learning rate", "METHOD §2", AT(train.learning_rate)},
    {"total_decay", SETTING_DOUBLE, "total weight decay",
     "METHOD §2: weight_decay times the sum of the learning rates", AT(train.total_decay)},
    {"weight_decay", SETTING_DOUBLE, "decoupled weight decay of a step", "METHOD §2",
     AT(train.weight_decay)},
    {"dropout", SETTING_DOUBLE, "residual dropout probability", "METHOD §2", AT(train.dropout)},
    {"grad_clip", SETTING_DOUBLE, "largest global gradient norm",
     "METHOD §2; 0 = no clipping (a number, so that group-by keeps it)", AT(train.grad_clip)},
    {"precision", SETTING_PRECISION, "training precision", "METHOD §2", AT(train.precision)},
    {"schedule", SETTING_SCHEDULE, "learning-rate schedule", "METHOD §2", AT(train.schedule)},
    {"warmup", SETTING_DOUBLE, "fraction of the steps with rising learning rate", "METHOD §2",
     AT(train.warmup)},
    {"cooldown", SETTING_DOUBLE, "fraction of the steps with falling learning rate",
     "METHOD §2: schedule wsd only", AT(train.cooldown)},
    {"final_rate", SETTING_DOUBLE, "last learning rate as a fraction of the peak",
     "METHOD §2: schedules cosine and wsd", AT(train.final_rate)},
    {"beta1", SETTING_DOUBLE, "AdamW beta 1", "METHOD §2", AT(train.beta1)},
    {"beta2", SETTING_DOUBLE, "AdamW beta 2", "METHOD §2", AT(train.beta2)},
    {"epsilon", SETTING_DOUBLE, "AdamW epsilon", "METHOD §2", AT(train.epsilon)},
};

int settings_count(void)
{
    return (int)(sizeof settings / sizeof settings[0]);
}

const struct setting *settings_entry(int index)
{
    return &settings[index];
}

double setting_number(const struct setting *setting, const struct cell *cell)
{
    const void *field = (const char *)cell + setting->offset;
    switch (setting->type) {
    case SETTING_INT:
        return *(const int *)field;
    case SETTING_INT64:
        return (double)*(const int64_t *)field;
    case SETTING_DOUBLE:
        return *(const double *)field;
    case SETTING_FLAG:
        return *(const bool *)field ? 1 : 0;
    case SETTING_PARAMETERS:
        return (double)cell_parameters(cell);
    case SETTING_PARAMETERS_TOTAL:
        return (double)cell_parameters_total(cell);
    default:
        return 0;
    }
}

uint64_t setting_unsigned(const struct setting *setting, const struct cell *cell)
{
    return *(const uint64_t *)(const void *)((const char *)cell + setting->offset);
}

const char *setting_text(const struct setting *setting, const struct cell *cell)
{
    const void *field = (const char *)cell + setting->offset;
    switch (setting->type) {
    case SETTING_TEXT:
        return field;
    case SETTING_BLOCK:
        return block_name(*(const enum block *)field);
    case SETTING_POSITION:
        return position_name(*(const enum position *)field);
    case SETTING_ACTIVATION:
        return activation_name(*(const enum activation *)field);
    case SETTING_PRECISION:
        return precision_name(*(const enum precision *)field);
    case SETTING_SCHEDULE:
        return schedule_name(*(const enum schedule *)field);
    default:
        return NULL;
    }
}

/* ---- the way back ---- */

/* Any double as a whole number within the bounds: a damaged file may hold what does not fit. */
static int64_t whole(double value, double least, double most)
{
    return value >= least && value <= most ? (int64_t)value : 0;
}

void setting_set_number(const struct setting *setting, struct cell *cell, double value)
{
    void *field = (char *)cell + setting->offset;
    switch (setting->type) {
    case SETTING_INT:
        *(int *)field = (int)whole(value, INT32_MIN, INT32_MAX);
        break;
    case SETTING_INT64:
        *(int64_t *)field = whole(value, -0x1p62, 0x1p62);
        break;
    case SETTING_DOUBLE:
        *(double *)field = value;
        break;
    case SETTING_FLAG:
        *(bool *)field = value != 0;
        break;
    default:
        break;
    }
}

void setting_set_unsigned(const struct setting *setting, struct cell *cell, uint64_t value)
{
    *(uint64_t *)(void *)((char *)cell + setting->offset) = value;
}

/* Room for a text setting in struct cell. */
static size_t text_size(const struct setting *setting)
{
    static const struct {
        size_t offset, size;
    } texts[] = {
        {AT(id), CELL_ID},
        {AT(size.name), CELL_NAME},
        {AT(setting), CELL_LABEL},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].offset == setting->offset) {
            return texts[i].size;
        }
    }
    return 0;
}

bool setting_set_text(const struct setting *setting, struct cell *cell, const char *text)
{
    void *field = (char *)cell + setting->offset;
    if (setting->type == SETTING_TEXT) {
        snprintf(field, text_size(setting), "%s", text);
        return true;
    }
    static const struct {
        enum setting_type type;
        int count;
    } enumerations[] = {
        {SETTING_BLOCK, BLOCK_SEQUENTIAL + 1},       {SETTING_POSITION, POSITION_LEARNED + 1},
        {SETTING_ACTIVATION, ACTIVATION_SWIGLU + 1}, {SETTING_PRECISION, PRECISION_FP16 + 1},
        {SETTING_SCHEDULE, SCHEDULE_CONSTANT + 1},
    };
    for (size_t i = 0; i < sizeof enumerations / sizeof enumerations[0]; i++) {
        for (int value = 0; enumerations[i].type == setting->type && value < enumerations[i].count;
             value++) {
            *(unsigned *)field = (unsigned)value; /* enumerations of ours have this type */
            if (strcmp(setting_text(setting, cell), text) == 0) {
                return true;
            }
        }
    }
    return false;
}
