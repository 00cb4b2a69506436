/*
 * Tasks made from the held-out text (METHOD §4), so that a study without downloads has tasks on which a small model is above
 * chance. White space in an item is one blank. Every item fits into task->length bytes.
 *
 *     cloze         a passage of one paragraph without its last word, which has three letters or more and occurs in it before, and four
 *                   words: that one, and three of the same length that are not in it but end other passages behind the same word. Each of
 *                   the four is the answer equally often. Chance 1/4.
 *     continuation  a passage, and four sentences of equal length: the one that follows, and three from elsewhere. Chance 1/4.
 *     pairs         a sentence, and the same with two of its words swapped. Chance 1/2.
 *
 * What is taken of all that the text offers depends on the seed only.
 */
#ifndef STUDY_TASKS_MAKE_H
#define STUDY_TASKS_MAKE_H

#include "jobs/task.h"
#include "study/corpus.h"
#include "study/tasks/items.h"

/* task->items items. STATUS_FAILED when the text has less. The caller frees them, also after a failure. */
int task_make(struct error *err, const struct task *task, const struct corpus *corpus,
              struct task_items *items);

#endif
