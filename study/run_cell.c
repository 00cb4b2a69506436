#include "study/run_cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "study/evaluate.h"
#include "study/gemm.h"
#include "study/train.h"

struct run {
    struct team *team;
    const struct corpus *corpus;
    const struct cell *cell;
    struct layout *layout;
    struct trainer *trainer;
    struct model *inference;
    struct record *record;
    progress_fn *report;
    void *report_context;
    int trace_points;
    double trace_losses[RECORD_TRACE], trace_norms[RECORD_TRACE], trace_counts[RECORD_TRACE];
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
    const int64_t step = trainer_steps(run->trainer);
    r->training_fraction[index] = run->cell->evaluate.fraction[index];
    r->step[index] = (double)step;
    r->tokens[index] = (double)step * run->cell->train.batch * run->cell->size.context;
    int status = evaluate(err, run->team, run->corpus, run->cell, run->inference,
                          trainer_master(run->trainer), index, run->report, run->report_context, r);
    r->wall_time_evaluate += now() - start;
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

static int train(struct error *err, struct run *run)
{
    int status = STATUS_OK;
    const struct cell *cell = run->cell;
    struct record *r = run->record;
    struct progress progress = {.steps = cell->train.steps, .phase = "train"};
    const double step_tokens = (double)cell->train.batch * cell->size.context;
    int next = 0;
    r->wall_time_train = r->wall_time_evaluate = 0;
    while (next < cell->evaluate.checkpoints) {
        struct train_step step;
        const double start = now();
        TRY(trainer_step(err, run->trainer, &step));
        r->wall_time_train += now() - start;
        trace(run, &step);
        progress.step = trainer_steps(run->trainer);
        progress.loss = step.loss;
        r->tokens_per_second = (double)progress.step * step_tokens / r->wall_time_train;
        progress.tokens_per_second = r->tokens_per_second;
        if (run->report) {
            run->report(run->report_context, &progress);
        }
        if (step.diverged) {
            diverged(run, &step);
            break;
        }
        while (next < cell->evaluate.checkpoints &&
               cell_checkpoint_step(cell, next) == progress.step) {
            TRY(checkpoint(err, run, next++));
        }
    }
cleanup:
    return status;
}

int run_cell(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, progress_fn *report, void *report_context,
             struct record **record)
{
    int status = STATUS_OK;
    struct run run = {.team = team,
                      .corpus = corpus,
                      .cell = cell,
                      .report = team->rank == 0 ? report : NULL,
                      .report_context = report_context,
                      .trace_points =
                          cell->train.steps < RECORD_TRACE ? (int)cell->train.steps : RECORD_TRACE};
    *record = NULL;
    peak_memory_reset();
    TRY(record_create(err, cell, &run.record));
    run.record->status = CELL_DONE;
    run.record->unigram_entropy = corpus_unigram_entropy(corpus);
    run.record->calibration_windows = cell->evaluate.calibration_windows;
    run.record->team_size = team->size;
    snprintf(run.record->isa, sizeof run.record->isa, "%s", run_cell_isa());
    snprintf(run.record->matmul, sizeof run.record->matmul, "%s", run_cell_matmul());
    TRY(layout_create(err, &cell->size, &cell->model, &run.layout));
    TRY(trainer_create(err, team, corpus, run.layout, cell, &run.trainer));
    TRY(model_create(err, run.layout, cell->train.micro_batch, false, &run.inference));
    TRY(train(err, &run));
    run.record->skipped_steps = (double)trainer_skipped(run.trainer);
    run.record->final_loss_scale = trainer_loss_scale(run.trainer);
    run.record->peak_memory = peak_memory();
    if (team->rank == 0) {
        *record = run.record;
        run.record = NULL;
    }
cleanup:
    model_free(run.inference);
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
