/* One reader per published format (study/tasks/read.h says what stands in each). Private to the readers. */
#ifndef STUDY_TASKS_FORMATS_H
#define STUDY_TASKS_FORMATS_H

#include "jobs/spec.h"
#include "study/tasks/items.h"

typedef int task_reader(struct error *err, const struct task_source *source,
                        struct task_items *items);

task_reader read_hellaswag, read_piqa, read_winogrande, read_copa, read_lambada, read_blimp,
    read_storycloze, read_arc;

/* Add one COPA question; `asks` is "cause" or "effect". */
int copa_add(struct error *err, struct task_items *items, struct task_text premise, bool cause,
             const struct task_text choice[2], int gold);

/* COPA as first published: XML. */
int read_copa_xml(struct error *err, const char *path, struct task_items *items);

#endif
