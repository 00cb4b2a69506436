#include "study/run_cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "study/evaluate.h"
#include "study/gemm.h"
#include "study/probe.h"
#include "study/state.h"
#include "study/train.h"

struct run {
    struct team *team;
    const struct corpus *corpus;
    const struct cell *cell;
    struct layout *layout;
    struct trainer *trainer;
    struct record *record;
    const struct checkpoint_store *store;
    progress_fn *report;
    void *report_context;
    int trace_points;
    double trace_losses[RECORD_TRACE], trace_norms[RECORD_TRACE], trace_counts[RECORD_TRACE];
    int next; /* evaluation checkpoint to come */
    /* The last checkpoint: the state that it holds, and when it was saved or last tried. */
    int64_t saved_step;
    int saved_next;
    double saved_at;
    bool save_failed; /* the last time */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Start the process's memory high-water mark anew, where the kernel can. */
static void peak_memory_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

/* Bytes; NaN where the kernel does not say. */
static double peak_memory(void)
{
    double kib = NAN;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %lf", &kib) == 1) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib * 1024;
}

static void utc(char text[STATE_STARTED])
{
    const time_t seconds = time(NULL);
    struct tm parts;
    strftime(text, STATE_STARTED, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
}

/* Steps fall into at most RECORD_TRACE even intervals; loss and norm are means over an interval. */
static void trace(struct run *run, const struct train_step *step)
{
    struct record *r = run->record;
    const int64_t at = trainer_steps(run->trainer) - 1;
    const int i = (int)(at * run->trace_points / run->cell->train.steps);
    run->trace_losses[i] += step->loss;
    run->trace_counts[i]++;
    r->trace_step[i] = (double)(at + 1);
    r->trace_loss[i] = run->trace_losses[i] / run->trace_counts[i];
    if (isfinite(step->grad_norm)) {
        run->trace_norms[i] += step->grad_norm;
        r->trace_grad_norm[i] = run->trace_norms[i] / run->trace_counts[i];
    }
    r->trace_learning_rate[i] = step->learning_rate;
    r->trace_loss_scale[i] = step->loss_scale;
    r->final_train_loss = r->trace_loss[i];
}

static int checkpoint(struct error *err, struct run *run, int index)
{
    struct record *r = run->record;
    const double start = now();
    struct parameters *parameters = trainer_parameters(run->trainer);
    const int64_t step = trainer_steps(run->trainer);
    struct model *inference = NULL;
    double probing = 0;
    int status = STATUS_OK;
    r->training_fraction[index] = run->cell->evaluate.fraction[index];
    r->step[index] = (double)step;
    r->tokens[index] = (double)step * run->cell->train.batch * run->cell->size.context;
    trainer_rest(run->trainer);
    TRY(model_create(err, run->layout, run->cell->train.micro_batch, MODEL_INFERENCE, &inference));
    TRY(evaluate(err, run->team, run->corpus, run->cell, inference, parameters, index, run->report,
                 run->report_context, r));
    probing = now();
    TRY(probe(err, run->team, run->corpus, run->cell, inference, parameters, index, r));
    r->probe_wall_time += now() - probing; /* after a failure it is all done again */
    r->wall_time_evaluate += now() - start;
cleanup:
    model_free(inference);
    return status;
}

static void diverged(struct run *run, const struct train_step *step)
{
    struct record *r = run->record;
    r->status = CELL_DIVERGED;
    snprintf(r->reason, sizeof r->reason, "%s is not finite at step %lld of %lld",
             isfinite(step->loss) ? "gradient" : "loss", (long long)trainer_steps(run->trainer),
             (long long)run->cell->train.steps);
}

static void tell(const struct run *run, const char *phase, double loss)
{
    const struct progress progress = {.step = trainer_steps(run->trainer),
                                      .steps = run->cell->train.steps,
                                      .loss = loss,
                                      .tokens_per_second = run->record->tokens_per_second,
                                      .phase = phase};
    if (run->report) {
        run->report(run->report_context, &progress);
    }
}

/* Checkpoints ================================================================================= */

/* Of all ranks. */
static int highest_peak(struct error *err, struct run *run, double *bytes)
{
    int status = STATUS_OK;
    const int ranks = run->team->size;
    double *peak = calloc((size_t)ranks, sizeof *peak);
    CHECK(err, peak, STATUS_FAILED, "out of memory");
    peak[run->team->rank] = peak_memory();
    TRY(run->team->sum_double(run->team, peak, (size_t)ranks));
    for (int r = 0; r < ranks; r++) {
        *bytes = fmax(*bytes, peak[r]);
    }
cleanup:
    free(peak);
    return status;
}

/* Has it failed anywhere? `here` is this rank's status. */
static int all_well(struct error *err, struct team *team, int here)
{
    int status = STATUS_OK;
    double failures = here != STATUS_OK;
    TRY(team->sum_double(team, &failures, 1));
    CHECK(err, here == STATUS_OK, here, "a checkpoint cannot be saved"); /* it has said why */
    CHECK(err, failures == 0, STATUS_FAILED, "%g ranks of the team could not save their pieces",
          failures);
cleanup:
    return status;
}

/* Each rank keeps its piece of the weights; when all are safe, rank 0 keeps the state, and they count. */
static int save_team(struct error *err, struct run *run, const struct state *state,
                     const struct trainer_state *trainer, const double *numbers)
{
    int status = STATUS_OK;
    struct checkpoint_part part[STATE_PARTS];
    struct state_piece piece;
    char name[STATE_NAME];
    const struct shards *shards = trainer_shards(run->trainer);
    state_piece_identify(state, shards->piece, shards->length, &piece);
    state_piece_parts(&piece, trainer->master, trainer->first, trainer->second, part);
    state_piece_name(state->step, shards->piece, shards->pieces, name);
    TRY(all_well(err, run->team,
                 run->store->save(err, run->store->context, name, part, STATE_PIECE_PARTS)));
    const int parts = state_parts_of_team(state, numbers, part);
    TRY(all_well(err, run->team,
                 run->team->rank == 0
                     ? run->store->save(err, run->store->context, "state", part, parts)
                     : STATUS_OK));
    if (run->team->rank == 0) {
        state_piece_name(state->step, -1, 0, name);
        run->store->tidy(run->store->context, name);
    }
cleanup:
    return status;
}

static int save_alone(struct error *err, struct run *run, const struct state *state,
                      const struct trainer_state *trainer, const double *numbers)
{
    int status = STATUS_OK;
    struct checkpoint_part part[STATE_PARTS];
    state_parts(state, numbers, trainer->master, trainer->first, trainer->second, part);
    TRY(run->store->save(err, run->store->context, "state", part, STATE_PARTS));
    run->store->tidy(run->store->context, NULL); /* of a team that had this cell before */
cleanup:
    return status;
}

/* Keep the state as of the last whole step and evaluation. Collective. */
static int save(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    struct trainer_state trainer;
    struct state *state = malloc(sizeof *state);
    double *numbers = malloc(record_numbers(run->cell) * sizeof *numbers);
    CHECK(err, state && numbers, STATUS_FAILED, "out of memory");
    trainer_get_state(run->trainer, &trainer);
    TRY(highest_peak(err, run, &run->record->peak_memory));
    record_get_numbers(run->cell, run->record, numbers);
    state_identify(run->cell, run->layout->length, state);
    memcpy(state->started, run->record->started, sizeof state->started);
    state->pieces = run->team->size;
    state->step = trainer.step;
    state->updates = trainer.updates;
    state->skipped = trainer.skipped;
    state->good_steps = trainer.good_steps;
    state->loss_scale = trainer.loss_scale;
    state->next = run->next;
    memcpy(state->trace_loss, run->trace_losses, sizeof state->trace_loss);
    memcpy(state->trace_norm, run->trace_norms, sizeof state->trace_norm);
    memcpy(state->trace_count, run->trace_counts, sizeof state->trace_count);
    TRY(run->team->size > 1 ? save_team(err, run, state, &trainer, numbers)
                            : save_alone(err, run, state, &trainer, numbers));
    run->saved_step = trainer.step;
    run->saved_next = run->next;
cleanup:
    free(state);
    free(numbers);
    return status;
}

/* A checkpoint if one is due by the clock of rank 0. The one before is good when this one fails, and there will be another. */
static int save_when_due(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    struct error failure = {0};
    double due = run->team->rank == 0 && run->store && run->store->every > 0 &&
                 now() - run->saved_at >= run->store->every;
    TRY(run->team->sum_double(run->team, &due, 1));
    if (due == 0) {
        goto cleanup;
    }
    const bool failed = save(&failure, run) != STATUS_OK;
    CHECK(err, !run->team->broken, STATUS_STOPPED, "cancelled");
    if (failed && !run->save_failed) {
        fprintf(stderr,
                "ptqscale: warning: cell %s goes on without a checkpoint of step %lld: %s\n",
                run->cell->id, (long long)trainer_steps(run->trainer), failure.message);
    }
    run->save_failed = failed;
    run->saved_at = now();
cleanup:
    return status;
}

/* The team was asked to stop: nothing that was done may be lost. But if it has lost a member, nothing can be saved. */
static int save_at_stop(struct error *err, struct run *run)
{
    int status = STATUS_STOPPED;
    struct error failure = {0};
    const int64_t step = trainer_steps(run->trainer);
    if (!run->store || run->team->broken ||
        (run->saved_step == step && run->saved_next == run->next)) {
        return status;
    }
    if (save(&failure, run) != STATUS_OK && !run->team->broken) {
        error_clear(err); /* it said "cancelled" */
        FAIL(err, STATUS_FAILED,
             "stopped at step %lld of %lld, and what was done since step %lld is lost: %s",
             (long long)step, (long long)run->cell->train.steps, (long long)run->saved_step,
             failure.message);
    }
cleanup:
    return status;
}

/* What this rank needs of the weights that a team has kept in pieces. */
static int load_pieces(struct error *err, struct run *run, const struct state *state)
{
    int status = STATUS_OK;
    void *bytes = NULL;
    for (int piece = 0; piece < (int)state->pieces; piece++) {
        struct state_piece expected;
        char name[STATE_NAME];
        size_t length = 0, floats = 0;
        const void *buffers;
        if (!trainer_needs_piece(run->trainer, piece, (int)state->pieces)) {
            continue;
        }
        TRY(trainer_piece_floats(err, run->trainer, piece, (int)state->pieces, &floats));
        state_piece_name(state->step, piece, (int)state->pieces, name);
        state_piece_identify(state, piece, floats, &expected);
        TRY(run->store->load(err, run->store->context, name, &bytes, &length));
        CHECK(err, bytes, STATUS_FAILED, "a piece of its weights is missing: %s", name);
        TRY(state_piece_parse(err, &expected, bytes, length, &buffers));
        TRY(trainer_set_piece(err, run->trainer, piece, (int)state->pieces, buffers));
        free(bytes);
        bytes = NULL;
    }
cleanup:
    free(bytes);
    return status;
}

static int load_weights(struct error *err, struct run *run, const struct state_view *view)
{
    return view->master ? trainer_set_piece(err, run->trainer, 0, 1, view->master)
                        : load_pieces(err, run, &view->state);
}

static void restore(struct run *run, const struct state_view *view)
{
    const struct state *state = &view->state;
    const struct trainer_state trainer = {.step = state->step,
                                          .updates = state->updates,
                                          .skipped = state->skipped,
                                          .good_steps = state->good_steps,
                                          .loss_scale = state->loss_scale};
    trainer_set_state(run->trainer, &trainer);
    record_set_numbers(run->cell, run->record, view->numbers);
    memcpy(run->record->started, state->started, sizeof state->started);
    memcpy(run->trace_losses, state->trace_loss, sizeof run->trace_losses);
    memcpy(run->trace_norms, state->trace_norm, sizeof run->trace_norms);
    memcpy(run->trace_counts, state->trace_count, sizeof run->trace_counts);
    run->next = run->saved_next = (int)state->next;
    run->saved_step = state->step;
}

/* Do all ranks have the same number? */
static int agree(struct team *team, double number, bool *agreed)
{
    int status = STATUS_OK;
    double sum[2] = {number, number * number};
    TRY(team->sum_double(team, sum, 2));
    *agreed = team->size * sum[1] == sum[0] * sum[0];
cleanup:
    return status;
}

/* Go on from what the store has, if that can be used; on all ranks or on none. */
static int resume(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    struct error reason = {0};
    struct state_view view = {.state.step = 0};
    void *bytes = NULL;
    size_t length = 0;
    bool agreed = true;
    TRY(run->store->load(err, run->store->context, "state", &bytes, &length));
    const bool there = bytes != NULL;
    bool usable = there && state_parse(&reason, run->cell, run->layout->length, bytes, length,
                                       &view) == STATUS_OK;
    TRY(agree(run->team, usable ? (double)view.state.step : 0, &agreed));
    if (usable && agreed) {
        usable = load_weights(&reason, run, &view) == STATUS_OK;
        TRY(agree(run->team, usable, &agreed));
    }
    if (usable && agreed) {
        restore(run, &view);
        tell(run, "resume", run->record->final_train_loss);
    } else if (there) {
        trainer_initialize(run->trainer);
        if (run->team->rank == 0 || reason.status != STATUS_OK) {
            fprintf(stderr,
                    "ptqscale: warning: the checkpoint of cell %s cannot be used, the cell starts "
                    "anew: %s\n",
                    run->cell->id, usable ? "it cannot be used by every rank" : reason.message);
        }
    }
cleanup:
    free(bytes);
    return status;
}

/* Training ==================================================================================== */

/* The evaluations that fall on the step just done. */
static int evaluate_due(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    const struct cell *cell = run->cell;
    while (run->next < cell->evaluate.checkpoints &&
           cell_checkpoint_step(cell, run->next) == trainer_steps(run->trainer)) {
        TRY(checkpoint(err, run, run->next));
        run->next++;
    }
cleanup:
    return status;
}

static int train(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    struct record *r = run->record;
    const double step_tokens = (double)run->cell->train.batch * run->cell->size.context;
    run->saved_at = now();
    TRY(evaluate_due(err, run)); /* a state may have been saved before it */
    while (run->next < run->cell->evaluate.checkpoints) {
        struct train_step step;
        const double start = now(), waited = run->team->waited;
        TRY(trainer_step(err, run->trainer, &step));
        r->wall_time_train += now() - start;
        r->wall_time_wait += run->team->waited - waited;
        trace(run, &step);
        r->tokens_per_second =
            (double)trainer_steps(run->trainer) * step_tokens / r->wall_time_train;
        tell(run, "train", step.loss);
        if (step.diverged) {
            diverged(run, &step);
            break;
        }
        TRY(save_when_due(err, run));
        TRY(evaluate_due(err, run));
    }
cleanup:
    if (status == STATUS_STOPPED) {
        status = save_at_stop(err, run);
    }
    return status;
}

int run_cell(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, const struct checkpoint_store *store, progress_fn *report,
             void *report_context, struct record **record)
{
    int status = STATUS_OK;
    struct run run = {.team = team,
                      .corpus = corpus,
                      .cell = cell,
                      .store = store,
                      .report = team->rank == 0 ? report : NULL,
                      .report_context = report_context,
                      .trace_points =
                          cell->train.steps < RECORD_TRACE ? (int)cell->train.steps : RECORD_TRACE};
    *record = NULL;
    peak_memory_reset();
    TRY(record_create(err, cell, &run.record));
    utc(run.record->started);
    run.record->wall_time_train = run.record->wall_time_evaluate = 0;
    run.record->wall_time_wait = 0;
    run.record->probe_wall_time = 0;
    TRY(layout_create(err, &cell->size, &cell->model, &run.layout));
    TRY(trainer_create(err, team, corpus, run.layout, cell, &run.trainer));
    if (store) {
        TRY(resume(err, &run));
    }
    run.record->status = CELL_DONE;
    run.record->unigram_entropy = corpus_unigram_entropy(corpus);
    run.record->calibration_windows = cell->evaluate.calibration_windows;
    run.record->team_size = team->size;
    snprintf(run.record->isa, sizeof run.record->isa, "%s", run_cell_isa());
    snprintf(run.record->matmul, sizeof run.record->matmul, "%s", run_cell_matmul());
    TRY(train(err, &run));
    run.record->skipped_steps = (double)trainer_skipped(run.trainer);
    run.record->final_loss_scale = trainer_loss_scale(run.trainer);
    TRY(highest_peak(err, &run, &run.record->peak_memory));
    if (team->rank == 0) {
        *record = run.record;
        run.record = NULL;
    }
cleanup:
    trainer_free(run.trainer);
    layout_free(run.layout);
    record_free(run.record);
    return status;
}

const char *run_cell_isa(void)
{
    return kernels_get()->name;
}

const char *run_cell_matmul(void)
{
    return gemm_name();
}
