#include "study/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/arena.h"
#include "study/optimizer.h"

enum { TREE_LEVELS = 24 };

/* A team's gradient of one micro-batch: a unit at a time, summed over the ranks while the next one is computed. */
struct reducing {
    float *whole; /* (largest unit) */
    int unit;
    struct transfer *transfer;
};

struct trainer {
    struct team *team;
    const struct corpus *corpus;
    const struct layout *layout;
    const struct cell *cell;
    const struct kernels *kernels;
    struct shards *shards;
    struct parameters parameters;
    struct model *model;
    struct optimizer optimizer;
    float *operands;              /* for model_weights */
    struct weights weights;       /* of the step under way */
    float *gradient[TREE_LEVELS]; /* what this rank holds of it, one per open level of the tree */
    struct reducing reducing[2];
    int turn;                   /* of them */
    float *into;                /* the gradient that they go to */
    int rounds;                 /* of a step: in each, every rank has one micro-batch */
    uint32_t *inputs, *targets; /* (N) */
    float *row_loss;            /* (N) */
    double *loss;               /* (rounds) of the step under way */
    int64_t step;
    void *memory; /* of what lasts */
    void *work;   /* of what a step needs; NULL: at rest, as is the model */
};

static void carve(struct arena *a, struct trainer *t)
{
    const size_t n = t->shards->length;
    t->optimizer.master = arena_take(a, n, sizeof(float));
    t->optimizer.first = arena_take(a, n, sizeof(float));
    t->optimizer.second = arena_take(a, n, sizeof(float));
    t->optimizer.squares = arena_take(a, optimizer_chunks(t->layout), sizeof(double));
}

static void carve_work(struct arena *a, struct trainer *t)
{
    const size_t n = t->shards->length;
    const size_t rows = (size_t)t->cell->train.micro_batch * t->cell->size.context;
    const bool team = t->shards->pieces > 1;
    t->operands =
        arena_take(a, weights_floats(&t->parameters, t->cell->train.precision), sizeof(float));
    for (int level = 0; 1 << level <= t->rounds; level++) {
        t->gradient[level] = arena_take(a, n, sizeof(float));
    }
    for (int i = 0; team && i < 2; i++) {
        t->reducing[i].whole = arena_take(a, t->shards->largest, sizeof(float));
    }
    t->inputs = arena_take(a, rows, sizeof *t->inputs);
    t->targets = arena_take(a, rows, sizeof *t->targets);
    t->row_loss = arena_take(a, rows, sizeof(float));
    t->loss = arena_take(a, (size_t)t->rounds, sizeof(double));
}

/* Have the memory that a step needs. */
static int wake(struct error *err, struct trainer *t)
{
    int status = STATUS_OK;
    struct arena arena = {0};
    if (t->work) {
        return status;
    }
    carve_work(&arena, t);
    /* Zero, and not touched yet: it is free for a checkpoint while it is read. */
    t->work = calloc(1, arena.used + 64);
    CHECK(err, t->work, STATUS_FAILED, "out of memory: gradients of size %s need %.1f MiB",
          t->cell->size.name, (double)arena.used / 1048576.0);
    arena = (struct arena){.base = (char *)t->work + (64 - (uintptr_t)t->work % 64)};
    carve_work(&arena, t);
    t->reducing[0].unit = t->reducing[1].unit = -1;
    TRY(model_create(err, t->layout, t->cell->train.micro_batch,
                     t->team->recompute ? MODEL_RECOMPUTING : MODEL_TRAINING, &t->model));
cleanup:
    return status;
}

void trainer_rest(struct trainer *t)
{
    for (int i = 0; i < 2; i++) { /* nobody writes to memory that is given back */
        t->team->finish(t->team, t->reducing[i].transfer);
        t->reducing[i] = (struct reducing){.unit = -1};
    }
    model_free(t->model);
    t->model = NULL;
    free(t->work);
    t->work = NULL;
}

int trainer_create(struct error *err, struct team *team, const struct corpus *corpus,
                   const struct layout *layout, const struct cell *cell, struct trainer **trainer)
{
    int status = STATUS_OK;
    const int all = cell->train.batch / cell->train.micro_batch;
    struct arena arena = {0};
    struct trainer *t = calloc(1, sizeof *t);
    CHECK(err, t, STATUS_FAILED, "out of memory");
    t->team = team;
    CHECK(err, all % team->size == 0, STATUS_FAILED,
          "a team of %d ranks cannot share %d micro-batches evenly", team->size, all);
    t->corpus = corpus;
    t->layout = layout;
    t->cell = cell;
    t->rounds = all / team->size;
    t->kernels = kernels_get();
    TRY(shards_create(err, layout, team->size, team_piece(team), &t->shards));
    carve(&arena, t);
    t->memory = calloc(1, arena.used + 64);
    CHECK(err, t->memory, STATUS_FAILED,
          "out of memory: weights and moments of size %s need %.1f MiB", cell->size.name,
          (double)arena.used / 1048576.0);
    arena = (struct arena){.base = (char *)t->memory + (64 - (uintptr_t)t->memory % 64)};
    carve(&arena, t);
    TRY(parameters_create(err, team, t->shards, t->optimizer.master, &t->parameters));
    t->optimizer.team = team;
    t->optimizer.shards = t->shards;
    t->optimizer.kernels = t->kernels;
    t->optimizer.loss_scale = optimizer_initial_scale(cell->train.precision);
    trainer_initialize(t);
    TRY(wake(err, t)); /* what cannot run fails before anything was done */
    *trainer = t;
    t = NULL;
cleanup:
    trainer_free(t);
    return status;
}

void trainer_initialize(struct trainer *t)
{
    const size_t size = t->shards->length * sizeof(float);
    memset(t->optimizer.master, 0, size);
    memset(t->optimizer.first, 0, size);
    memset(t->optimizer.second, 0, size);
    for (int i = 0; i < t->shards->spans; i++) {
        const struct span *span = &t->shards->span[i];
        layout_initialize_part(t->layout, t->cell->init_seed, span->tensor, span->first,
                               span->count, t->optimizer.master + span->at);
    }
}

void trainer_free(struct trainer *trainer)
{
    if (trainer) {
        trainer_rest(trainer);
        parameters_free(&trainer->parameters);
        shards_free(trainer->shards);
        free(trainer->memory);
        free(trainer);
    }
}

/* Take what the ranks have summed up: this rank's piece of the unit. */
static int take(struct error *err, struct trainer *t, struct reducing *r)
{
    int status = STATUS_OK;
    struct transfer *transfer = r->transfer;
    r->transfer = NULL;
    if (r->unit >= 0) {
        size_t first;
        const size_t own = shards_own(t->shards, r->unit, &first);
        status = t->team->finish(t->team, transfer);
        CHECK(err, status == STATUS_OK, status, "cancelled");
        memcpy(t->into + t->shards->at[r->unit], r->whole + first, own * sizeof *t->into);
    }
cleanup:
    r->unit = -1;
    return status;
}

static int on_open(struct error *err, void *state, int unit, float **gradient)
{
    int status = STATUS_OK;
    struct trainer *t = state;
    struct reducing *r = &t->reducing[t->turn];
    (void)unit;
    TRY(take(err, t, r));
    *gradient = r->whole;
cleanup:
    return status;
}

static int on_close(struct error *err, void *state, int unit)
{
    int status = STATUS_OK;
    struct trainer *t = state;
    struct reducing *r = &t->reducing[t->turn];
    t->turn = 1 - t->turn;
    status = t->team->reduce_start(t->team, r->whole, shards_floats(t->shards, unit), &r->transfer);
    CHECK(err, status == STATUS_OK, status, "cancelled");
    r->unit = unit;
cleanup:
    return status;
}

/* Gradient of this rank's micro-batch, in a team summed over those of all ranks. */
static int backward(struct error *err, struct trainer *t, const struct dropout *dropout,
                    float scale, float *gradient)
{
    int status = STATUS_OK;
    const struct gradient_sink sink = {.state = t, .open = on_open, .close = on_close};
    const enum precision precision = t->cell->train.precision;
    if (t->team->size == 1) {
        return model_backward(err, t->model, &t->weights, precision, dropout, t->inputs, t->targets,
                              scale, t->row_loss, gradient);
    }
    t->into = gradient;
    TRY(model_backward_units(err, t->model, &t->weights, precision, dropout, t->inputs, t->targets,
                             scale, t->row_loss, &sink));
    TRY(take(err, t, &t->reducing[t->turn])); /* in the order in which they began */
    TRY(take(err, t, &t->reducing[1 - t->turn]));
cleanup:
    return status;
}

/* Gradient of one round: of P consecutive micro-batches, which P ranks share out. The loss stays with each. */
static int micro_batches(struct error *err, struct trainer *t, int round, float *gradient)
{
    int status = STATUS_OK;
    const struct cell *cell = t->cell;
    const int context = cell->size.context, sequences = cell->train.micro_batch;
    const int first = (round * t->team->size + t->team->rank) * sequences;
    const int rows = sequences * context;
    const struct dropout dropout = {.p = cell->train.dropout,
                                    .seed = cell->init_seed,
                                    .step = (uint32_t)t->step,
                                    .sequence = (uint32_t)first};
    const double tokens = (double)cell->train.batch * context;
    const float *logits;
    for (int s = 0; s < sequences; s++) {
        corpus_train_window(t->corpus, context, cell->data_seed, t->step, first + s,
                            t->inputs + (size_t)s * context, t->targets + (size_t)s * context);
    }
    TRY(model_forward(err, t->model, &t->weights, cell->train.precision, &dropout, t->inputs,
                      sequences, NULL, NULL, &logits));
    TRY(backward(err, t, &dropout, (float)(t->optimizer.loss_scale / tokens), gradient));
    t->loss[round] = 0;
    for (int r = 0; r < rows; r++) {
        t->loss[round] += t->row_loss[r];
    }
cleanup:
    return status;
}

/* The sum over rounds first … first + count − 1 (a power of two) as a balanced tree, into gradient[level]. Its leaves
 * are sums over the team, which are trees themselves: together the fixed tree over all micro-batches. */
static int tree_sum(struct error *err, struct trainer *t, int first, int count, int level)
{
    int status = STATUS_OK;
    if (count == 1) {
        CHECK(err, !t->team->cancelled(t->team), STATUS_STOPPED, "cancelled");
        return micro_batches(err, t, first, t->gradient[level]);
    }
    TRY(tree_sum(err, t, first, count / 2, level));
    TRY(tree_sum(err, t, first + count / 2, count / 2, level + 1));
    t->kernels->add(t->shards->length, t->gradient[level + 1], t->gradient[level]);
cleanup:
    return status;
}

/* The same tree over the rounds' losses. */
static double tree_of(const double *x, int count)
{
    return count == 1 ? x[0] : tree_of(x, count / 2) + tree_of(x + count / 2, count / 2);
}

int trainer_step(struct error *err, struct trainer *t, struct train_step *result)
{
    int status = STATUS_OK;
    const struct cell *cell = t->cell;
    if (t->team->size > 1) { /* a rank alone stops between two micro-batches */
        TRY(team_check(err, t->team));
    }
    TRY(wake(err, t));
    t->weights = model_weights(t->model, cell->train.precision, &t->parameters, t->operands);
    TRY(tree_sum(err, t, 0, t->rounds, 0));
    TRY(t->team->sum_double(t->team, t->loss, (size_t)t->rounds));

    *result = (struct train_step){
        .loss = tree_of(t->loss, t->rounds) / ((double)cell->train.batch * cell->size.context),
        .learning_rate = cell_learning_rate(cell, t->step),
        .loss_scale = t->optimizer.loss_scale,
        .grad_norm = NAN,
    };
    result->diverged = !isfinite(result->loss);
    if (!result->diverged) {
        struct update u;
        TRY(parameters_changed(err, &t->parameters));
        TRY(optimizer_step(&t->optimizer, &cell->train, result->learning_rate, t->gradient[0], &u));
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
    t->step = state->step;
    t->optimizer.updates = state->updates;
    t->optimizer.skipped = state->skipped;
    t->optimizer.good_steps = (int)state->good_steps;
    t->optimizer.loss_scale = state->loss_scale;
}

bool trainer_needs_piece(const struct trainer *t, int piece, int pieces)
{
    /* Pieces are nested: piece i of 2P lies in piece i/2 of P. */
    const int mine = t->shards->piece, all = t->shards->pieces;
    return pieces <= all ? mine / (all / pieces) == piece : piece / (pieces / all) == mine;
}

int trainer_piece_floats(struct error *err, const struct trainer *t, int piece, int pieces,
                         size_t *floats)
{
    int status = STATUS_OK;
    struct shards *theirs = NULL;
    TRY(shards_create(err, t->layout, pieces, piece, &theirs));
    *floats = theirs->length;
cleanup:
    shards_free(theirs);
    return status;
}

int trainer_set_piece(struct error *err, struct trainer *t, int piece, int pieces,
                      const void *buffers)
{
    int status = STATUS_OK;
    struct shards *theirs = NULL;
    float *const to[] = {t->optimizer.master, t->optimizer.first, t->optimizer.second};
    TRY(shards_create(err, t->layout, pieces, piece, &theirs));
    for (int u = 0; u < t->layout->units; u++) {
        size_t here, there;
        const size_t own = shards_own(t->shards, u, &here), count = shards_own(theirs, u, &there);
        const size_t low = here > there ? here : there;
        const size_t high = here + own < there + count ? here + own : there + count;
        for (int i = 0; i < 3 && low < high; i++) {
            const size_t from = (size_t)i * theirs->length + theirs->at[u] + low - there;
            memcpy(to[i] + t->shards->at[u] + low - here,
                   (const char *)buffers + from * sizeof(float), (high - low) * sizeof(float));
        }
    }
cleanup:
    shards_free(theirs);
    return status;
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

struct parameters *trainer_parameters(struct trainer *trainer)
{
    return &trainer->parameters;
}

const struct shards *trainer_shards(const struct trainer *trainer)
{
    return trainer->shards;
}
