/*
 * Log-likelihoods of continuations under a model. Each forward pass has the same shape, `batch` sequences of the model's context, filled up
 * with token 0; an item's rows depend on that item alone, so that its score is the same in any batch, order and team.
 *
 * A request of more tokens than the context loses its first ones, as in lm-evaluation-harness. A continuation that is itself longer than the
 * context, which the harness refuses, is read as it reads whole documents (rolling windows): as many windows as it takes, the last one with all the
 * tokens before it that fit.
 */
#ifndef STUDY_TASKS_SCORE_H
#define STUDY_TASKS_SCORE_H

#include "study/model.h"
#include "study/tasks/tasks.h"
#include "study/team.h"

/* A part of a request that one sequence is enough for: its inputs are token[from … from + length − 1], and what is scored are the last `scored` of
 * the tokens that follow each of them. */
struct task_window {
    const struct task_request *request;
    int from, length, scored;
};

struct scoring {
    int context;
    int windows;
    struct task_window *window;
    int *first; /* (requests + 1) of the windows */
    int requests;
    double *log_p,
        *greedy; /* (windows): sum of log probabilities; 1 if greedy decoding gives each scored token, else 0 */
};

/* The windows of all requests of a task for sequences of `context`. Free with scoring_free, also after a failure. */
int scoring_create(struct error *err, const struct task_set *set, int context,
                   struct scoring *scoring);
void scoring_free(struct scoring *scoring);

/* Items of the task that do not fit a sequence of `context`: that lost tokens, or took several windows. */
int scoring_truncated(const struct scoring *scoring, const struct task_set *set);

/* Score all windows with `weights` in fp32. `batch`: sequences of a forward pass, at most as many as the model has. `alive` may be NULL; it is
 * called after each. Collective over team, whose ranks share the batches; every rank gets all scores. STATUS_STOPPED when the team was
 * cancelled. */
int scoring_run(struct error *err, struct team *team, struct model *model,
                const struct weights *weights, int batch, void (*alive)(void *context),
                void *context, struct scoring *scoring);

/* Of one request: Σ log p of its continuation, in nats; is it what greedy decoding gives? */
double scoring_log_p(const struct scoring *scoring, int request);
bool scoring_greedy(const struct scoring *scoring, int request);

#endif
