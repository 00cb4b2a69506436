/* From scores to accuracies: what one model answers, and how a quantized one differs from it (METHOD §4). */
#ifndef STUDY_TASKS_ANSWERS_H
#define STUDY_TASKS_ANSWERS_H

#include "study/tasks/score.h"

#include "results/record.h"

/* Per item 1 where the model is right, else 0. An item of several answers: the one of the largest log p, and per byte, is the right one (the
 * first of equals); of one: greedy decoding gives it. */
struct task_answers {
    int items;
    double *correct, *correct_norm; /* (items) */
    double perplexity;              /* exp(−mean log p) of one-word tasks, else NaN */
};

int answers_create(struct error *err, const struct task_set *set, const struct scoring *scoring,
                   struct task_answers *answers);
void answers_free(struct task_answers *answers);

/* 100·(acc − acc_q)/(acc − chance) and its standard error by the delta method over paired items; NaN where acc is not above `chance`. */
void answers_drop(const struct task_answers *full, const struct task_answers *quantized,
                  double chance, double *drop, double *error);

/* The models that are asked at a checkpoint, and what else asking takes. */
struct task_models {
    struct team *team;
    struct model *model;
    struct weights full;
    int batch;                                 /* sequences of a forward pass */
    int active;                                /* quantizers */
    const int *column;                         /* (active) of them in the record */
    struct weights quantized[CELL_QUANTIZERS]; /* (active) */
    bool missing[CELL_QUANTIZERS];             /* (active): that one could not be made */
    void (*alive)(void *context);              /* may be NULL; called after each batch */
    void *context;
};

/* Ask the full-precision model and the quantizers all tasks, and fill checkpoint `index` of the record. Collective over the team. */
int answers_evaluate(struct error *err, const struct tasks *tasks, const struct task_models *models,
                     int index, struct record *record);

#endif
