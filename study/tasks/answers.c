#include "study/tasks/answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "study/moments.h"

/* One model =================================================================================== */

int answers_create(struct error *err, const struct task_set *set, const struct scoring *scoring,
                   struct task_answers *answers)
{
    int status = STATUS_OK;
    struct task_answers *a = answers;
    double sum = 0;
    *a = (struct task_answers){.items = set->items, .perplexity = NAN};
    a->correct = malloc(2 * (size_t)set->items * sizeof *a->correct + 1);
    CHECK(err, a->correct, STATUS_FAILED, "out of memory for %d answers", set->items);
    a->correct_norm = a->correct + set->items;
    for (int i = 0; i < set->items; i++) {
        const int first = set->first[i], choices = set->first[i + 1] - first;
        int best = 0, best_norm = 0;
        for (int c = 1; c < choices; c++) {
            const double here = scoring_log_p(scoring, first + c);
            best = here > scoring_log_p(scoring, first + best) ? c : best;
            best_norm =
                here / set->request[first + c].bytes > scoring_log_p(scoring, first + best_norm) /
                                                           set->request[first + best_norm].bytes
                    ? c
                    : best_norm;
        }
        sum += scoring_log_p(scoring, first);
        a->correct[i] = choices > 1 ? best == set->gold[i] : scoring_greedy(scoring, first);
        a->correct_norm[i] = choices > 1 ? best_norm == set->gold[i] : a->correct[i];
    }
    if (task_is_last_word(set->task.format)) {
        a->perplexity = exp(-sum / set->items);
    }
cleanup:
    return status;
}

void answers_free(struct task_answers *answers)
{
    free(answers->correct);
    *answers = (struct task_answers){0};
}

/* Two models ================================================================================== */

void answers_drop(const struct task_answers *full, const struct task_answers *quantized,
                  double chance, double *drop, double *error)
{
    const int n = full->items;
    const double above = moments_mean(full->correct, n) - chance;
    const double kept = (moments_mean(quantized->correct, n) - chance) /
                        above; /* ratio of two means of the same items */
    double squares = 0;
    *drop = *error = NAN;
    if (!(above > 0)) {
        return;
    }
    *drop = 100 * (1 - kept);
    for (int i = 0; i < n; i++) { /* residuals of the ratio; their mean is 0 */
        const double residual =
            (quantized->correct[i] - chance) - kept * (full->correct[i] - chance);
        squares += residual * residual;
    }
    *error = n > 1 ? 100 * sqrt(squares / (n - 1) / n) / above : NAN;
}

static void put_full(const struct task_set *set, const struct scoring *scoring,
                     const struct task_answers *full, int index, int task, struct record *r)
{
    const size_t at = (size_t)index * r->tasks + task;
    r->accuracy[at] = moments_mean(full->correct, full->items);
    r->accuracy_se[at] = moments_standard_error(full->correct, full->items);
    r->accuracy_norm[at] = moments_mean(full->correct_norm, full->items);
    r->accuracy_norm_se[at] = moments_standard_error(full->correct_norm, full->items);
    r->task_perplexity[at] = full->perplexity;
    r->task_chance[task] = set->chance;
    r->task_truncated[task] = scoring_truncated(scoring, set);
    if (index + 1 == r->checkpoints) {
        memcpy(r->item_correct + (size_t)task * r->items, full->correct,
               (size_t)full->items * sizeof *full->correct);
    }
}

static void put_quantized(const struct task_set *set, const struct task_answers *full,
                          const struct task_answers *quantized, int index, int column, int task,
                          struct record *r)
{
    const size_t at = ((size_t)index * r->quantizers + column) * r->tasks + task;
    const int n = full->items;
    double lost = 0, gained = 0;
    for (int i = 0; i < n; i++) {
        lost += full->correct[i] > quantized->correct[i];
        gained += full->correct[i] < quantized->correct[i];
    }
    r->quantized_accuracy[at] = moments_mean(quantized->correct, n);
    r->quantized_accuracy_norm[at] = moments_mean(quantized->correct_norm, n);
    r->quantized_task_perplexity[at] = quantized->perplexity;
    r->discordant_lost[at] = lost;
    r->discordant_gained[at] = gained;
    answers_drop(full, quantized, 0, &r->accuracy_drop[at], &r->accuracy_drop_se[at]);
    answers_drop(full, quantized, set->chance, &r->accuracy_drop_above_chance[at],
                 &r->accuracy_drop_above_chance_se[at]);
    if (index + 1 == r->checkpoints) {
        memcpy(r->quantized_item_correct + ((size_t)column * r->tasks + task) * r->items,
               quantized->correct, (size_t)n * sizeof *quantized->correct);
    }
}

/* One checkpoint ============================================================================== */

static int ask(struct error *err, const struct task_models *m, const struct task_set *set,
               const struct weights *weights, struct scoring *scoring, struct task_answers *answers)
{
    int status = STATUS_OK;
    TRY(scoring_run(err, m->team, m->model, weights, m->batch, m->alive, m->context, scoring));
    TRY(answers_create(err, set, scoring, answers));
cleanup:
    return status;
}

static int evaluate_task(struct error *err, const struct task_models *m, const struct task_set *set,
                         int index, int task, struct record *record)
{
    int status = STATUS_OK;
    struct scoring scoring = {0};
    struct task_answers full = {0}, quantized = {0};
    TRY(scoring_create(err, set, model_layout(m->model)->size.context, &scoring));
    TRY(ask(err, m, set, &m->full, &scoring, &full));
    put_full(set, &scoring, &full, index, task, record);
    for (int a = 0; a < m->active; a++) {
        if (!m->missing[a]) {
            answers_free(&quantized);
            TRY(ask(err, m, set, &m->quantized[a], &scoring, &quantized));
            put_quantized(set, &full, &quantized, index, m->column[a], task, record);
        }
    }
cleanup:
    answers_free(&full);
    answers_free(&quantized);
    scoring_free(&scoring);
    return status;
}

int answers_evaluate(struct error *err, const struct tasks *tasks, const struct task_models *models,
                     int index, struct record *record)
{
    int status = STATUS_OK;
    for (int i = 0; i < tasks->count; i++) {
        TRY(evaluate_task(err, models, &tasks->set[i], index, i, record));
    }
cleanup:
    return status;
}
