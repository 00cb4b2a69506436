/*
 * Task files as they are published, by format (METHOD §4). Texts are put together as lm-evaluation-harness does, so that scores mean
 * what they mean there. Plain or gzip.
 *
 *     hellaswag   JSON lines: activity_label, ctx_a, ctx_b, endings[4], label
 *     piqa        JSON lines: goal, sol1, sol2; and a file with one label, 0 or 1, per line
 *     winogrande  JSON lines: sentence with one _, option1, option2, answer "1" or "2"
 *     copa        XML (items with p, a1, a2), or SuperGLUE's JSON lines: premise, choice1, choice2, question, label
 *     lambada     OpenAI's JSON lines: text
 *     blimp       JSON lines: sentence_good, sentence_bad
 *     storycloze  CSV with a header: InputSentence1 … 4, RandomFifthSentenceQuiz1, 2, AnswerRightEnding
 *     arc_easy    JSON lines: question {stem, choices [{text, label}]}, answerKey
 */
#ifndef STUDY_TASKS_READ_H
#define STUDY_TASKS_READ_H

#include "jobs/spec.h"
#include "study/tasks/items.h"

/* The items of a file format. STATUS_FAILED with file, line, field, what stands there and what to do when a record is not of that form,
 * text is not UTF-8, or labels are not as many as records. The caller frees the items, also after a failure. */
int task_read(struct error *err, enum task_format format, const struct task_source *source,
              struct task_items *items);

/* Count the items of the study's task files, all of which must be well-formed, and hash their bytes, into spec->evaluate.task. Files whose
 * hash is pinned in the study are only compared with it. STATUS_FAILED when a file is missing, malformed or another one. */
int task_identify(struct error *err, struct spec *spec);

/* XXH3-128 of the bytes of the task's files. */
int task_hash(struct error *err, const struct task_source *source, char hash[TASK_HASH]);

#endif
