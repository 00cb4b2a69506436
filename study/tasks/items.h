/*
 * Items of a task as text: what is asked, and the answers to choose from. Readers of published files and the makers of
 * tasks from held-out text fill them; study/tasks/tasks.h turns them into tokens.
 */
#ifndef STUDY_TASKS_ITEMS_H
#define STUDY_TASKS_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"

enum { TASK_MOST_CHOICES = 8, TASK_LONGEST_TEXT = 1 << 20 };

/* Bytes, not ended by a NUL. */
struct task_text {
    const char *bytes;
    size_t length;
};

/* The probability that is asked for is that of `continuation` after `context`; WinoGrande's choices differ in the context. */
struct task_choice {
    struct task_text context, continuation;
    int bytes; /* of the answer alone, without a blank before it: for acc_norm */
};

struct task_item {
    int choices; /* 1: the answer has to be what greedy decoding gives */
    int gold;    /* 0 … choices−1 */
    struct task_choice choice[TASK_MOST_CHOICES];
};

struct task_items {
    int count, capacity;
    struct task_item *item;
    struct pool *pool; /* texts */
};

/* All bytes zero is the empty list. Frees the texts, too. */
void items_free(struct task_items *items);

/* Append a copy; its texts must be of this list (items_text) or outlive it. */
int items_add(struct error *err, struct task_items *items, const struct task_item *item);

/* A text that lives as long as the list, from parts one behind the other; `into` may be one of the parts. */
int items_text(struct error *err, struct task_items *items, int parts, const struct task_text *part,
               struct task_text *into);

/* One context and `choices` answers, a blank before each: how lm-evaluation-harness asks. Texts are copied. */
int items_add_choices(struct error *err, struct task_items *items, struct task_text context,
                      int choices, const struct task_text *answer, int gold);

struct task_text text_of(const char *string); /* NUL-terminated */

/* Without blanks, tabs and line ends around it. */
struct task_text text_trim(struct task_text text);
/* Blanks as text_trim knows them: ' ' and \t to \r. */
bool text_is_space(char c);
bool text_same(struct task_text a, struct task_text b);

#endif
