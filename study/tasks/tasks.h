/*
 * The tasks of a study as token sequences, ready to be scored: loaded once, read-only, the same for all its cells.
 *
 * As in lm-evaluation-harness, what is scored is each continuation given its context: blanks at the context's end belong to the
 * continuation, and the two are encoded together. Where a model of the harness gets its begin-of-text token before an empty context,
 * ours gets a line end, with which the texts that it learned from begin; where no token is one, the first token is given. `shots` examples of the same file, each whole, go in front with
 * blank lines between.
 */
#ifndef STUDY_TASKS_TASKS_H
#define STUDY_TASKS_TASKS_H

#include "jobs/spec.h"
#include "study/corpus.h"
#include "study/tasks/items.h"
#include "study/tokenizer.h"

/* One continuation. */
struct task_request {
    const uint32_t *token;     /* (context + continuation) */
    int context, continuation; /* tokens; at least one each */
    int bytes;                 /* of the answer, for acc_norm */
};

struct task_set {
    struct task task;
    int items;
    int *first;                   /* (items + 1) of its requests; the last is how many there are */
    int *gold;                    /* (items) */
    struct task_request *request; /* (first[items]) */
    uint32_t *token;              /* all of them */
    double chance; /* mean over items of 1 / choices; 0 for one word, which can be anything */
};

struct tasks {
    int count;
    struct task_set *set; /* (count) */
};

/* Make or read all tasks of `evaluate`, which names the files in `source`, in tokens of the corpus. STATUS_FAILED when a file is missing,
 * malformed, or not the one whose hash the cells have; when the text gives too few items; when nobody knows what text the corpus's tokens
 * stand for; out of memory. */
int tasks_load(struct error *err, const struct data_source *source,
               const struct cell_evaluate *evaluate, const struct corpus *corpus,
               struct tasks **tasks);
void tasks_free(struct tasks *tasks); /* NULL is fine */

/* Encode the first items[count] of a task, which may stand for a longer list that examples are drawn from. The set is owned by the
 * caller (task_set_free), also after a failure. */
int task_set_create(struct error *err, const struct task *task, const struct task_items *items,
                    const struct tokenizer *tokenizer, struct task_set *set);
void task_set_free(struct task_set *set);

#endif
