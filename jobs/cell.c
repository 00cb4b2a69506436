#include "jobs/cell.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "jobs/hash.h"

/* Canonical text ============================================================================== */

struct text {
    char *bytes;
    int size;
    int length; /* of the whole text, also beyond `size` */
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    int space = text->length < text->size ? text->size - text->length : 0;
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(space ? text->bytes + text->length : NULL, (size_t)space, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? length : 0;
}

static void put_integer(struct text *text, const char *key, int64_t value)
{
    put(text, "%s=%lld\n", key, (long long)value);
}

/* 17 digits give the double back exactly; + 0.0 turns −0 into 0. */
static void put_number(struct text *text, const char *key, double value)
{
    put(text, "%s=%.17g\n", key, value + 0.0);
}

static void put_word(struct text *text, const char *key, const char *value)
{
    put(text, "%s=%s\n", key, value);
}

static void put_model(struct text *text, const struct cell *cell)
{
    put_integer(text, "size.layers", cell->size.layers);
    put_integer(text, "size.d_model", cell->size.d_model);
    put_integer(text, "size.heads", cell->size.heads);
    put_integer(text, "size.d_ff", cell->size.d_ff);
    put_integer(text, "size.context", cell->size.context);
    put_word(text, "model.block", block_name(cell->model.block));
    put_word(text, "model.position", position_name(cell->model.position));
    put_word(text, "model.activation", activation_name(cell->model.activation));
    put_integer(text, "model.bias", cell->model.bias);
    put_integer(text, "model.tied", cell->model.tied);
    put_integer(text, "model.vocabulary", cell->model.vocabulary);
}

/* Settings that the cell's schedule does not read are left out: they change nothing. */
static void put_train(struct text *text, const struct cell *cell)
{
    const struct cell_train *train = &cell->train;
    put_integer(text, "train.steps", train->steps);
    put_integer(text, "train.batch", train->batch);
    put_integer(text, "train.micro_batch", train->micro_batch);
    put_number(text, "train.learning_rate", train->learning_rate);
    put_number(text, "train.weight_decay", train->weight_decay);
    put_number(text, "train.dropout", train->dropout);
    put_number(text, "train.grad_clip", train->grad_clip);
    put_word(text, "train.precision", precision_name(train->precision));
    put_word(text, "train.schedule", schedule_name(train->schedule));
    put_number(text, "train.warmup", train->warmup);
    if (train->schedule == SCHEDULE_WSD) {
        put_number(text, "train.cooldown", train->cooldown);
    }
    if (train->schedule != SCHEDULE_CONSTANT) {
        put_number(text, "train.final_rate", train->final_rate);
    }
    put_number(text, "train.beta1", train->beta1);
    put_number(text, "train.beta2", train->beta2);
    put_number(text, "train.epsilon", train->epsilon);
    put(text, "init_seed=%llu\n", (unsigned long long)cell->init_seed);
    put(text, "data_seed=%llu\n", (unsigned long long)cell->data_seed);
}

/* By the name that follows from the facts: a name that a user chose is a label. Facts at their first values are left out. */
static void put_quantizer(struct text *text, const struct quantizer *quantizer, bool every)
{
    char name[QUANTIZER_NAME];
    quantizer_generate_name(quantizer, name);
    put(text, "evaluate.quantizer=%s weight_bits=%d activation_bits=%d activations=%d every=%d",
        name, quantizer->weight_bits, quantizer->activation_bits, (int)quantizer->activations,
        every);
    const struct {
        const char *name;
        int value;
    } facts[] = {
        {"weights", (int)quantizer->weights},     {"group", quantizer->group},
        {"transform", (int)quantizer->transform}, {"outliers", (int)quantizer->outliers},
        {"method", (int)quantizer->method},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (facts[i].value != 0) {
            put(text, " %s=%d", facts[i].name, facts[i].value);
        }
    }
    put(text, "\n");
}

static void put_evaluate(struct text *text, const struct cell *cell)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    for (int i = 0; i < evaluate->checkpoints; i++) {
        put_number(text, "evaluate.fraction", evaluate->fraction[i]);
    }
    put_integer(text, "evaluate.windows", evaluate->windows);
    for (int i = 0; i < evaluate->quantizers; i++) {
        const struct quantizer *quantizer = &evaluate->quantizer[i];
        put_quantizer(text, quantizer, evaluate->every_checkpoint[i]);
    }
    put_integer(text, "evaluate.calibration_windows", evaluate->calibration_windows);
    put(text, "evaluate.calibration_seed=%llu\n", (unsigned long long)evaluate->calibration_seed);
}

/* A study without tasks has the ids that it had before there were any. What a task does not read is left out. */
static void put_tasks(struct text *text, const struct cell *cell)
{
    for (int i = 0; i < cell->evaluate.tasks; i++) {
        const struct task *task = &cell->evaluate.task[i];
        put(text, "evaluate.task=%s items=%d", task_format_name((int)task->format), task->items);
        if (task_is_made(task->format)) {
            put(text, " length=%d", task->length);
        } else {
            put(text, " hash=%s shots=%d", task->hash, task->shots);
        }
        if (task_is_made(task->format) || task->shots > 0) {
            put(text, " seed=%llu", (unsigned long long)task->seed);
        }
        put(text, "\n");
    }
}

static void put_data(struct text *text, const struct cell *cell)
{
    const struct cell_data *data = &cell->data;
    put_word(text, "data.fingerprint", data->fingerprint);
    put_word(text, "data.cleaning", data->cleaning);
    put_number(text, "data.held_out", data->held_out);
    put(text, "data.split_seed=%llu\n", (unsigned long long)data->split_seed);
    put_integer(text, "data.guard", data->guard);
    if (data->kind != DATA_BYTES) { /* which came first: their cells keep their ids */
        put_word(text, "data.kind", data_kind_name(data->kind));
    }
}

int cell_canonical(const struct cell *cell, char *bytes, int size)
{
    struct text text = {bytes, size, 0};
    put_word(&text, "method", METHOD_VERSION);
    put_model(&text, cell);
    put_train(&text, cell);
    put_evaluate(&text, cell);
    put_tasks(&text, cell);
    put_data(&text, cell);
    return text.length;
}

void cell_identify(struct cell *cell)
{
    /* Room for the longest text: every quantizer and task (< 192 bytes) and checkpoint (< 48 bytes), and 2 KiB. */
    char text[(CELL_QUANTIZERS + CELL_TASKS) * 192 + CELL_CHECKPOINTS * 48 + 2048];
    int length = cell_canonical(cell, text, sizeof text);
    hash_hex(XXH3_128bits(text, (size_t)length), cell->id);
}

/* Parameters ================================================================================== */

int64_t cell_parameters(const struct cell *cell)
{
    int64_t d = cell->size.d_model;
    int64_t ff = cell->size.d_ff;
    int64_t ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    int64_t norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;

    int64_t matrices = 3 * d * d + d * d + ff_in * d + d * ff; /* qkv, attn_out, ffn_in, ffn_out */
    int64_t biases = cell->model.bias ? 3 * d + d + ff_in + d : 0;
    return cell->size.layers * (norms * 2 * d + matrices + biases) + 2 * d;
}

int64_t cell_parameters_total(const struct cell *cell)
{
    int64_t d = cell->size.d_model;
    int64_t embedding = cell->model.vocabulary * d;
    int64_t positions = cell->model.position == POSITION_LEARNED ? cell->size.context * d : 0;
    int64_t head = cell->model.tied ? 0 : embedding; /* the head has no bias */
    return cell_parameters(cell) + embedding + positions + head;
}

/* Learning rate and decay ===================================================================== */

/* Steps of warm-up, of the middle, and of wsd's cooldown; they add up to train->steps. */
struct phases {
    int64_t warmup, middle, cooldown;
};

static struct phases phases_of(const struct cell_train *train)
{
    struct phases phases = {0};
    double steps = (double)train->steps;
    phases.warmup = llround(train->warmup * steps);
    if (phases.warmup > train->steps) {
        phases.warmup = train->steps;
    }
    if (train->schedule == SCHEDULE_WSD) {
        phases.cooldown = llround(train->cooldown * steps);
        if (phases.cooldown > train->steps - phases.warmup) {
            phases.cooldown = train->steps - phases.warmup;
        }
    }
    phases.middle = train->steps - phases.warmup - phases.cooldown;
    return phases;
}

/*
 * With w warm-up steps, step s = 0 … w−1 has peak·(s+1)/w: linear from 0 before the first step to the peak.
 * After it, with n steps left and t = (s−w+1)/n in (0, 1], cosine has
 * peak·(f + (1−f)·(1 + cos πt)/2), f = final_rate. wsd stays at the peak and ends with c cooldown steps,
 * peak·(1 − (1−f)·t), t = 1/c … 1. constant stays at the peak.
 */
double cell_learning_rate(const struct cell *cell, int64_t step)
{
    const struct cell_train *train = &cell->train;
    struct phases phases = phases_of(train);
    double peak = train->learning_rate;
    double final = train->final_rate;

    if (step < phases.warmup) {
        return peak * (double)(step + 1) / (double)phases.warmup;
    }
    step -= phases.warmup;
    if (train->schedule == SCHEDULE_COSINE) {
        double t = (double)(step + 1) / (double)phases.middle;
        return peak * (final + (1 - final) * 0.5 * (1 + cos(M_PI * t)));
    }
    if (step < phases.middle) {
        return peak;
    }
    step -= phases.middle;
    return peak * (1 - (1 - final) * (double)(step + 1) / (double)phases.cooldown);
}

/*
 * Σ cell_learning_rate(step) over all steps, in closed form, so that it (and with it the cell's id) does not
 * depend on the math library's cosine: Σ_{s<w} (s+1)/w = (w+1)/2 and Σ_{k=1…n} cos(πk/n) = −1.
 */
static double learning_rate_sum(const struct cell_train *train)
{
    struct phases phases = phases_of(train);
    double final = train->final_rate;
    double n = (double)phases.middle;
    double c = (double)phases.cooldown;

    double sum = phases.warmup > 0 ? ((double)phases.warmup + 1) / 2 : 0;
    if (train->schedule == SCHEDULE_COSINE) {
        sum += n > 0 ? final * n + (1 - final) * (n - 1) / 2 : 0;
    } else {
        sum += n;
        sum += c > 0 ? c - (1 - final) * (c + 1) / 2 : 0;
    }
    return train->learning_rate * sum;
}

void cell_complete_decay(struct cell *cell)
{
    struct cell_train *train = &cell->train;
    double sum = learning_rate_sum(train);
    if (train->decay_is_total) {
        train->weight_decay = train->total_decay / sum;
    } else {
        train->total_decay = train->weight_decay * sum;
    }
}

int64_t cell_checkpoint_step(const struct cell *cell, int index)
{
    int64_t step = llround(cell->evaluate.fraction[index] * (double)cell->train.steps);
    if (step < 1) {
        return 1;
    }
    return step < cell->train.steps ? step : cell->train.steps;
}

/* Names ======================================================================================= */

const char *block_name(enum block block)
{
    static const char *const NAMES[] = {"parallel", "sequential"};
    return NAMES[block];
}

const char *position_name(enum position position)
{
    static const char *const NAMES[] = {"rotary", "learned"};
    return NAMES[position];
}

const char *activation_name(enum activation activation)
{
    static const char *const NAMES[] = {"gelu", "relu", "swiglu"};
    return NAMES[activation];
}

const char *precision_name(enum precision precision)
{
    static const char *const NAMES[] = {"fp32", "bf16", "fp16"};
    return NAMES[precision];
}

const char *schedule_name(enum schedule schedule)
{
    static const char *const NAMES[] = {"cosine", "wsd", "constant"};
    return NAMES[schedule];
}

const char *data_kind_name(enum data_kind kind)
{
    static const char *const NAMES[] = {"bytes", "sentencepiece", "shards", "prepared"};
    return NAMES[kind];
}
