#include "study/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/moments.h"
#include "study/quantize.h"
#include "study/tasks/answers.h"

/* Sums over the positions of one window, (windows) each, zero where another rank works; per quantizer (Q, windows). */
struct sums {
    double *loss, *training_loss, *kl_unigram;
    double *quantized_loss, *kl, *agreement;
    double *all; /* one allocation: a team adds it up in one go */
    size_t length;
};

struct evaluation {
    const struct cell *cell;
    struct team *team;
    progress_fn *report;
    void *report_context;
    struct progress progress;
    const struct corpus *corpus;
    struct model *model;
    struct parameters *parameters;
    float *operands;         /* for model_weights; NULL for fp32 */
    struct weights training; /* in the training type */
    int active;              /* quantizers evaluated here */
    int column[CELL_QUANTIZERS];
    struct quantized *quantized[CELL_QUANTIZERS];
    float *tables;                                           /* one allocation */
    const float *tokens, *quantized_tokens[CELL_QUANTIZERS]; /* model_tokens; NULL: none */
    uint32_t *inputs, *targets;
    float *logits;   /* (N, V) of the full model */
    double *p;       /* (N, V) */
    double *log_p;   /* (N) of the target */
    double *logs;    /* (3 V) of one position */
    double *unigram; /* (V) its probabilities */
    int *best;       /* (N) most likely token */
    struct sums sums;
};

static int sums_create(struct error *err, int windows, int quantizers, struct sums *s)
{
    int status = STATUS_OK;
    const size_t w = (size_t)windows, q = (size_t)quantizers;
    s->length = 3 * w + 3 * w * q;
    s->all = calloc(s->length, sizeof *s->all);
    CHECK(err, s->all, STATUS_FAILED, "out of memory for %d windows", windows);
    s->loss = s->all;
    s->training_loss = s->loss + w;
    s->kl_unigram = s->training_loss + w;
    s->quantized_loss = s->kl_unigram + w;
    s->kl = s->quantized_loss + w * q;
    s->agreement = s->kl + w * q;
cleanup:
    return status;
}

static void alive(void *context)
{
    const struct evaluation *e = context;
    if (e->report) {
        e->report(e->report_context, &e->progress);
    }
}

/* The quantizers of this checkpoint, and what calibration says of them. */
static int quantize(struct error *err, struct evaluation *e, int index, struct record *record)
{
    int status = STATUS_OK;
    const struct cell_evaluate *ev = &e->cell->evaluate;
    const int sites = e->cell->size.layers * SITES;
    const struct quantizer *quantizer[CELL_QUANTIZERS];
    const struct calibration_source source = {.team = e->team,
                                              .model = e->model,
                                              .corpus = e->corpus,
                                              .parameters = e->parameters,
                                              .windows = ev->calibration_windows,
                                              .micro_batch = e->cell->train.micro_batch,
                                              .seed = ev->calibration_seed,
                                              .alive = alive,
                                              .context = e};
    for (int q = 0; q < ev->quantizers; q++) {
        if (index + 1 == ev->checkpoints || ev->every_checkpoint[q]) {
            quantizer[e->active] = &ev->quantizer[q];
            e->column[e->active++] = q;
        }
    }
    double *errors = malloc((size_t)(e->active + 1) * sites * sizeof *errors);
    CHECK(err, errors, STATUS_FAILED, "out of memory to evaluate size %s", e->cell->size.name);
    if (e->active == 0) {
        goto cleanup;
    }
    TRY(quantized_create_all(err, &source, e->active, quantizer, e->quantized));
    TRY(quantized_errors(err, &source, e->active, e->quantized, errors));
    for (int a = 0; a < e->active; a++) {
        const size_t at = (size_t)index * record->quantizers + e->column[a];
        const size_t bytes = (size_t)sites * sizeof(double);
        memcpy(record->site_error + at * sites, errors + (size_t)a * sites, bytes);
        memcpy(record->gptq_damping + at * sites, quantized_damping(e->quantized[a]), bytes);
        record->quantizer_outcome[at] =
            quantized_failed(e->quantized[a]) ? OUTCOME_NOT_DEFINITE : OUTCOME_MEASURED;
    }
cleanup:
    free(errors);
    return status;
}

/* Of quantizer a; full precision: a < 0. */
static struct weights weights_of(const struct evaluation *e, int a)
{
    struct weights weights =
        a < 0 ? weights_full(e->parameters) : quantized_weights(e->quantized[a], e->parameters);
    weights.tokens = a < 0 ? e->tokens : e->quantized_tokens[a];
    return weights;
}

/* What the first block makes of each token, once for all windows, where these have many more positions: whatever the team's size, since a row
 * of a product may depend on where it stands. */
static int tabulate(struct error *err, struct evaluation *e)
{
    int status = STATUS_OK;
    const struct layout *l = model_layout(e->model);
    const struct cell_evaluate *ev = &e->cell->evaluate;
    size_t floats = model_token_floats(l, NULL);
    if (l->model.vocabulary > (int64_t)ev->windows * l->size.context / 4) {
        return status;
    }
    for (int a = 0; a < e->active; a++) {
        floats += model_token_floats(l, &ev->quantizer[e->column[a]]);
    }
    e->tables = malloc((floats + 1) * sizeof *e->tables);
    CHECK(err, e->tables, STATUS_FAILED, "out of memory to evaluate size %s", l->size.name);
    float *table = e->tables;
    for (int a = -1; a < e->active; a++) {
        const struct weights weights = weights_of(e, a);
        const size_t here = model_token_floats(l, a < 0 ? NULL : &ev->quantizer[e->column[a]]);
        if (here > 0 && (a < 0 || !quantized_failed(e->quantized[a]))) {
            TRY(model_tokens(err, e->model, &weights, table));
            *(a < 0 ? &e->tokens : &e->quantized_tokens[a]) = table;
        }
        table += here;
    }
cleanup:
    return status;
}

static int prepare(struct error *err, struct evaluation *e, int index, struct record *record)
{
    int status = STATUS_OK;
    const struct cell *cell = e->cell;
    const struct cell_evaluate *ev = &cell->evaluate;
    const size_t rows = (size_t)cell->train.micro_batch * cell->size.context;
    const size_t vocabulary = (size_t)cell->model.vocabulary;
    TRY(quantize(err, e, index, record));
    TRY(tabulate(err, e));
    e->inputs = malloc(rows * sizeof *e->inputs);
    e->targets = malloc(rows * sizeof *e->targets);
    e->logits = malloc(rows * vocabulary * sizeof *e->logits);
    e->p = malloc(rows * vocabulary * sizeof *e->p);
    e->log_p = malloc(rows * sizeof *e->log_p);
    e->logs = malloc(3 * vocabulary * sizeof *e->logs);
    e->unigram = malloc(vocabulary * sizeof *e->unigram);
    e->best = malloc(rows * sizeof *e->best);
    CHECK(err,
          e->inputs && e->targets && e->logits && e->p && e->log_p && e->logs && e->unigram &&
              e->best,
          STATUS_FAILED, "out of memory to evaluate size %s", cell->size.name);
    const size_t floats = weights_floats(e->parameters, cell->train.precision);
    if (floats > 0) {
        e->operands = malloc(floats * sizeof *e->operands);
        CHECK(err, e->operands, STATUS_FAILED, "out of memory to evaluate size %s",
              cell->size.name);
    }
    model_kernels(e->model)->exponentials(vocabulary, corpus_unigram(e->corpus), e->unigram);
    e->training = model_weights(e->model, cell->train.precision, e->parameters, e->operands);
    TRY(sums_create(err, ev->windows, e->active, &e->sums));
cleanup:
    return status;
}

static void release(struct evaluation *e)
{
    for (int i = 0; i < CELL_QUANTIZERS; i++) {
        quantized_free(e->quantized[i]);
    }
    free(e->operands);
    free(e->tables);
    free(e->inputs);
    free(e->targets);
    free(e->logits);
    free(e->p);
    free(e->log_p);
    free(e->logs);
    free(e->unigram);
    free(e->best);
    free(e->sums.all);
}

static int forward(struct error *err, struct evaluation *e, int count, enum precision precision,
                   const struct weights *weights, const float **logits)
{
    const struct dropout none = {0};
    if (count <= 0) { /* this rank has nothing left, its team-mates have */
        return model_attend(err, e->model, weights, NULL, NULL);
    }
    return model_forward(err, e->model, weights, precision, &none, e->inputs, count, NULL, NULL,
                         logits);
}

/* Full precision of `count` windows from `first`: loss, distance from the unigram, and logits and p kept for the quantizers. */
static int full(struct error *err, struct evaluation *e, int first, int count)
{
    int status = STATUS_OK;
    const struct kernels *k = model_kernels(e->model);
    const int context = e->cell->size.context, v = e->cell->model.vocabulary;
    const double *unigram = corpus_unigram(e->corpus);
    const float *logits;
    const struct weights weights = weights_of(e, -1);
    TRY(forward(err, e, count, PRECISION_FP32, &weights, &logits));
    if (count > 0) {
        memcpy(e->logits, logits, (size_t)count * context * v * sizeof *logits);
    }
    for (int r = 0; r < count * context; r++) {
        double *log_p = e->logs;
        const int w = first + r / context;
        e->best[r] = k->log_softmax(v, logits + (size_t)r * v, log_p);
        e->log_p[r] = log_p[e->targets[r]];
        e->sums.loss[w] -= e->log_p[r];
        k->exponentials((size_t)v, log_p, e->p + (size_t)r * v);
        e->sums.kl_unigram[w] += k->kl(v, log_p, unigram, e->p + (size_t)r * v, e->unigram);
    }
    if (e->operands == NULL) {
        if (count > 0) {
            memcpy(e->sums.training_loss + first, e->sums.loss + first,
                   (size_t)count * sizeof *e->sums.loss);
        }
        goto cleanup;
    }
    TRY(forward(err, e, count, e->cell->train.precision, &e->training, &logits));
    for (int r = 0; r < count * context; r++) {
        k->log_softmax(v, logits + (size_t)r * v, e->logs);
        e->sums.training_loss[first + r / context] -= e->logs[e->targets[r]];
    }
cleanup:
    return status;
}

static int quantized(struct error *err, struct evaluation *e, int first, int count, int active)
{
    int status = STATUS_OK;
    const struct kernels *k = model_kernels(e->model);
    const int context = e->cell->size.context, v = e->cell->model.vocabulary;
    const size_t at = (size_t)active * e->cell->evaluate.windows + first;
    const float *logits;
    const struct weights weights = weights_of(e, active);
    TRY(forward(err, e, count, PRECISION_FP32, &weights, &logits));
    for (int r = 0; r < count * context; r++) {
        const size_t w = at + r / context;
        const size_t row = (size_t)r * v;
        double gain, kl;
        const int best = k->divergence(v, logits + row, e->logits + row, e->p + row,
                                       (int)e->targets[r], e->logs, &gain, &kl);
        e->sums.quantized_loss[w] -= e->log_p[r] + gain;
        e->sums.kl[w] += kl;
        e->sums.agreement[w] += best == e->best[r];
    }
cleanup:
    return status;
}

/* Window sums to the record's means. */
static void conclude(struct evaluation *e, int index, struct record *r)
{
    const int windows = e->cell->evaluate.windows, context = e->cell->size.context;
    const size_t w = (size_t)windows;
    double *loss = r->window_loss + index * w;
    for (size_t i = 0; i < e->sums.length; i++) {
        e->sums.all[i] /= context;
    }
    memcpy(loss, e->sums.loss, w * sizeof *loss);
    r->loss[index] = moments_mean(loss, windows);
    r->loss_se[index] = moments_standard_error(loss, windows);
    /* Nats per token to bits per byte. */
    const double scale =
        (double)windows * context / (log(2) * corpus_held_out_bytes(e->corpus, context, windows));
    r->bits_per_byte[index] = r->loss[index] * scale;
    r->loss_in_training_precision[index] = moments_mean(e->sums.training_loss, windows);
    r->kl_unigram[index] = moments_mean(e->sums.kl_unigram, windows);
    for (int a = 0; a < e->active; a++) {
        const size_t at = (size_t)index * r->quantizers + e->column[a];
        if (quantized_failed(e->quantized[a])) {
            continue; /* not measured */
        }
        double *quantized_loss = r->window_quantized_loss + at * w, *kl = r->window_kl + at * w;
        memcpy(quantized_loss, e->sums.quantized_loss + a * w, w * sizeof *kl);
        memcpy(kl, e->sums.kl + a * w, w * sizeof *kl);
        r->quantized_loss[at] = moments_mean(quantized_loss, windows);
        r->quantized_bits_per_byte[at] = r->quantized_loss[at] * scale;
        r->quantized_loss_se[at] = moments_standard_error(quantized_loss, windows);
        r->kl[at] = moments_mean(kl, windows);
        r->kl_se[at] = moments_standard_error(kl, windows);
        r->log_kl[at] = r->kl[at] > 0 ? log(r->kl[at]) : NAN;
        r->kl_over_unigram[at] = r->kl[at] / r->kl_unigram[index];
        r->top1_agreement[at] = moments_mean(e->sums.agreement + a * w, windows);
        r->relative_loss_increase[at] = r->quantized_loss[at] / r->loss[index] - 1;
        double *delta = e->sums.quantized_loss + a * w; /* its values are in the record now */
        for (size_t i = 0; i < w; i++) {
            delta[i] -= loss[i];
        }
        r->delta_loss[at] = moments_mean(delta, windows);
        r->delta_loss_se[at] = moments_standard_error(delta, windows);
    }
}

/* The tasks, of the models that have read the windows. */
static int ask_tasks(struct error *err, struct evaluation *e, int index, struct record *record)
{
    int status = STATUS_OK;
    const struct tasks *tasks = corpus_tasks(e->corpus);
    struct task_models models = {.team = e->team,
                                 .model = e->model,
                                 .full = weights_of(e, -1),
                                 .batch = e->cell->train.micro_batch,
                                 .active = e->active,
                                 .column = e->column,
                                 .alive = alive,
                                 .context = e};
    const int expected = e->cell->evaluate.tasks;
    e->progress.loss = record->loss[index];
    CHECK(err, expected == 0 || (tasks != NULL && tasks->count == expected), STATUS_FAILED,
          "cell %s has %d tasks, which are not loaded", e->cell->id, expected);
    for (int a = 0; a < e->active; a++) {
        models.missing[a] = quantized_failed(e->quantized[a]);
        models.quantized[a] = models.missing[a] ? models.full : weights_of(e, a);
    }
    if (expected > 0) {
        TRY(answers_evaluate(err, tasks, &models, index, record));
    }
cleanup:
    return status;
}

int evaluate(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, struct model *model, struct parameters *parameters, int index,
             progress_fn *report, void *report_context, struct record *record)
{
    int status = STATUS_OK;
    const int context = cell->size.context, group = cell->train.micro_batch;
    const int windows = cell->evaluate.windows;
    struct evaluation e = {.cell = cell,
                           .team = team,
                           .corpus = corpus,
                           .model = model,
                           .parameters = parameters,
                           .report = report,
                           .report_context = report_context,
                           .progress = {.step = cell_checkpoint_step(cell, index),
                                        .steps = cell->train.steps,
                                        .loss = isfinite(record->final_train_loss)
                                                    ? record->final_train_loss
                                                    : 0, /* until there is a better one */
                                        .phase = "evaluate"}};
    TRY(prepare(err, &e, index, record));
    /* Groups of windows go round the team; their shapes do not depend on its size. */
    for (int round = 0; round * team->size * group < windows; round++) {
        const int first = (round * team->size + team->rank) * group;
        const int count = windows - first < group ? windows - first : group;
        TRY(team_check(err, team));
        for (int i = 0; i < count; i++) {
            corpus_held_out_window(corpus, context, first + i, windows,
                                   e.inputs + (size_t)i * context, e.targets + (size_t)i * context);
        }
        TRY(full(err, &e, first, count));
        for (int a = 0; a < e.active; a++) {
            if (!quantized_failed(e.quantized[a])) {
                TRY(quantized(err, &e, first, count, a));
            }
        }
        if (count > 0) {
            e.progress.loss = e.sums.loss[first] / context;
        }
        alive(&e);
    }
    /* Each window was summed by one rank; adding the others' zeros changes nothing. */
    TRY(team->sum_double(team, e.sums.all, e.sums.length));
    conclude(&e, index, record);
    TRY(ask_tasks(err, &e, index, record));
    e.progress.loss = record->loss[index];
    alive(&e);
cleanup:
    release(&e);
    return status;
}
