#include "study/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/optimizer.h"

enum { TREE_LEVELS = 24 };

struct trainer {
    struct team *team;
    const struct corpus *corpus;
    const struct layout *layout;
    const struct cell *cell;
    const struct kernels *kernels;
    struct model *model;
    struct optimizer optimizer;
    float *operands;              /* for model_weights; NULL for fp32 */
    struct weights weights;       /* of the step under way */
    float *gradient[TREE_LEVELS]; /* one per open level of the tree */
    int micro_batches;            /* of this rank */
    uint8_t *inputs, *targets;    /* (N) */
    float *row_loss;              /* (N) */
    int64_t step;
    void *memory;
};

static void carve(struct arena *a, struct trainer *t)
{
    const size_t n = t->layout->length;
    const size_t rows = (size_t)t->cell->train.micro_batch * t->cell->size.context;
    t->optimizer.master = arena_take(a, n, sizeof(float));
    t->optimizer.first = arena_take(a, n, sizeof(float));
    t->optimizer.second = arena_take(a, n, sizeof(float));
    t->operands =
        t->cell->train.precision == PRECISION_FP32 ? NULL : arena_take(a, n, sizeof(float));
    for (int level = 0; 1 << level <= t->micro_batches; level++) {
        t->gradient[level] = arena_take(a, n, sizeof(float));
    }
    t->inputs = arena_take(a, rows, 1);
    t->targets = arena_take(a, rows, 1);
    t->row_loss = arena_take(a, rows, sizeof(float));
}

int trainer_create(struct error *err, struct team *team, const struct corpus *corpus,
                   const struct layout *layout, const struct cell *cell, struct trainer **trainer)
{
    int status = STATUS_OK;
    const int all = cell->train.batch / cell->train.micro_batch;
    struct arena arena = {0};
    struct trainer *t = calloc(1, sizeof *t);
    CHECK(err, t, STATUS_FAILED, "out of memory");
    CHECK(err, all % team->size == 0, STATUS_FAILED,
          "a team of %d ranks cannot share %d micro-batches evenly", team->size, all);
    t->team = team;
    t->corpus = corpus;
    t->layout = layout;
    t->cell = cell;
    t->micro_batches = all / team->size;
    t->kernels = kernels_get();
    carve(&arena, t);
    /* Zero, and not touched yet: what gradients will take is free for a checkpoint while it is read. */
    t->memory = calloc(1, arena.used + 64);
    CHECK(err, t->memory, STATUS_FAILED,
          "out of memory: weights, moments and gradients of size %s need %.1f MiB", cell->size.name,
          (double)arena.used / 1048576.0);
    arena = (struct arena){.base = (char *)t->memory + (64 - (uintptr_t)t->memory % 64)};
    carve(&arena, t);
    TRY(model_create(err, layout, cell->train.micro_batch, true, &t->model));
    t->optimizer.layout = layout;
    t->optimizer.kernels = t->kernels;
    t->optimizer.loss_scale = optimizer_initial_scale(cell->train.precision);
    layout_initialize(layout, cell->init_seed, t->optimizer.master);
    *trainer = t;
    t = NULL;
cleanup:
    trainer_free(t);
    return status;
}

void trainer_free(struct trainer *trainer)
{
    if (trainer) {
        model_free(trainer->model);
        free(trainer->memory);
        free(trainer);
    }
}

/* Summed loss and gradient of one micro-batch. */
static int micro_batch(struct error *err, struct trainer *t, int index, float *gradient,
                       double *loss)
{
    int status = STATUS_OK;
    const struct cell *cell = t->cell;
    const int context = cell->size.context, sequences = cell->train.micro_batch;
    const int first = index * sequences, rows = sequences * context;
    const struct dropout dropout = {.p = cell->train.dropout,
                                    .seed = cell->init_seed,
                                    .step = (uint32_t)t->step,
                                    .sequence = (uint32_t)first};
    const double tokens = (double)cell->train.batch * context;
    const float *logits;
    for (int s = 0; s < sequences; s++) {
        const uint8_t *window =
            corpus_train_window(t->corpus, context, cell->data_seed, t->step, first + s);
        memcpy(t->inputs + (size_t)s * context, window, (size_t)context);
        memcpy(t->targets + (size_t)s * context, window + 1, (size_t)context);
    }
    TRY(model_forward(err, t->model, &t->weights, cell->train.precision, &dropout, t->inputs,
                      sequences, NULL, NULL, &logits));
    TRY(model_backward(err, t->model, &t->weights, cell->train.precision, &dropout, t->inputs,
                       t->targets, (float)(t->optimizer.loss_scale / tokens), t->row_loss,
                       gradient));
    *loss = 0;
    for (int r = 0; r < rows; r++) {
        *loss += t->row_loss[r];
    }
cleanup:
    return status;
}

/* The sum over micro-batches first … first + count − 1 (a power of two) as a balanced tree, into gradient[level]. */
static int tree_sum(struct error *err, struct trainer *t, int first, int count, int level,
                    double *loss)
{
    int status = STATUS_OK;
    double right = 0;
    if (count == 1) {
        CHECK(err, !t->team->cancelled(t->team), STATUS_STOPPED, "cancelled");
        return micro_batch(err, t, first, t->gradient[level], loss);
    }
    TRY(tree_sum(err, t, first, count / 2, level, loss));
    TRY(tree_sum(err, t, first + count / 2, count / 2, level + 1, &right));
    t->kernels->add(t->layout->length, t->gradient[level + 1], t->gradient[level]);
    *loss += right;
cleanup:
    return status;
}

/* gradient[n] becomes the sum over ranks, on every rank. */
static int sum_gradient(struct team *team, size_t n, float *gradient)
{
    enum { MOST = 1024 };
    int status = STATUS_OK;
    size_t floats[MOST + 1], bytes[MOST + 1];
    struct transfer *transfer = NULL;
    for (int k = 0; k <= team->size && k <= MOST; k++) {
        floats[k] = n * (size_t)k / (size_t)team->size;
        bytes[k] = floats[k] * sizeof *gradient;
    }
    TRY(team->reduce_start(team, gradient, floats, &transfer));
    TRY(team->finish(team, transfer));
    TRY(team->gather_start(team, gradient, bytes, &transfer));
    TRY(team->finish(team, transfer));
cleanup:
    return status;
}

int trainer_step(struct error *err, struct trainer *t, struct train_step *result)
{
    int status = STATUS_OK;
    const struct cell *cell = t->cell;
    double loss = 0;
    t->weights = model_weights(t->model, cell->train.precision, t->optimizer.master, t->operands);
    TRY(tree_sum(err, t, t->team->rank * t->micro_batches, t->micro_batches, 0, &loss));
    TRY(sum_gradient(t->team, t->layout->length, t->gradient[0]));
    TRY(t->team->sum_double(t->team, &loss, 1));

    *result = (struct train_step){
        .loss = loss / ((double)cell->train.batch * cell->size.context),
        .learning_rate = cell_learning_rate(cell, t->step),
        .loss_scale = t->optimizer.loss_scale,
        .grad_norm = NAN,
    };
    result->diverged = !isfinite(result->loss);
    if (!result->diverged) {
        struct update u =
            optimizer_step(&t->optimizer, &cell->train, result->learning_rate, t->gradient[0]);
        result->grad_norm = u.grad_norm;
        result->skipped = u.skipped;
        result->diverged = u.diverged;
    }
    t->step++;
cleanup:
    return status;
}

void trainer_get_state(const struct trainer *t, struct trainer_state *state)
{
    *state = (struct trainer_state){
        .step = t->step,
        .updates = t->optimizer.updates,
        .skipped = t->optimizer.skipped,
        .good_steps = t->optimizer.good_steps,
        .loss_scale = t->optimizer.loss_scale,
        .master = t->optimizer.master,
        .first = t->optimizer.first,
        .second = t->optimizer.second,
    };
}

void trainer_set_state(struct trainer *t, const struct trainer_state *state)
{
    const size_t size = t->layout->length * sizeof(float);
    t->step = state->step;
    t->optimizer.updates = state->updates;
    t->optimizer.skipped = state->skipped;
    t->optimizer.good_steps = (int)state->good_steps;
    t->optimizer.loss_scale = state->loss_scale;
    memcpy(t->optimizer.master, state->master, size);
    memcpy(t->optimizer.first, state->first, size);
    memcpy(t->optimizer.second, state->second, size);
}

int64_t trainer_steps(const struct trainer *trainer)
{
    return trainer->step;
}

int64_t trainer_skipped(const struct trainer *trainer)
{
    return trainer->optimizer.skipped;
}

double trainer_loss_scale(const struct trainer *trainer)
{
    return trainer->optimizer.loss_scale;
}

const float *trainer_master(const struct trainer *trainer)
{
    return trainer->optimizer.master;
}
