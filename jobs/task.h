/*
 * What a study asks its models beside the loss (METHOD §4, tasks): which items, and how they are made or where they are
 * from. Plain bytes; paths are in struct data_source.
 */
#ifndef JOBS_TASK_H
#define JOBS_TASK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CELL_TASKS = 16, /* most tasks in a study */
    TASK_NAME = 32,  /* longest name, with the NUL */
    TASK_HASH = 33,  /* 32 hex digits and the NUL */
    TASK_MOST_ITEMS = 1 << 17,
    TASK_MOST_SHOTS = 64,
    TASK_DEFAULT_ITEMS = 500, /* of a task made from the held-out text */
    TASK_LEAST_LENGTH = 48,   /* bytes: a shorter passage has no room for two sentences */
};

/* The first three are made from the held-out text, the others read from files as they are published. */
enum task_format {
    TASK_CLOZE,
    TASK_CONTINUATION,
    TASK_PAIRS,
    TASK_HELLASWAG,
    TASK_PIQA,
    TASK_WINOGRANDE,
    TASK_COPA,
    TASK_LAMBADA,
    TASK_BLIMP,
    TASK_STORYCLOZE,
    TASK_ARC_EASY,
};

struct task {
    char name[TASK_NAME]; /* a label, not part of the id */
    enum task_format format;
    int items; /* made: how many; of a file: its first so many, 0 = all, while they are not counted */
    int length;    /* made: most bytes of an item; 0 for a file */
    int shots;     /* examples in front of an item, others of the same file */
    uint64_t seed; /* chooses what is made, and the examples */
    char hash
        [TASK_HASH]; /* XXH3-128 of the file's bytes, then of the label file's; "" while unknown, and for made tasks */
};

bool task_is_made(enum task_format format);
/* Is the answer one word that greedy decoding must give, rather than one of several? */
bool task_is_last_word(enum task_format format);
/* Does the format come with a file of labels? */
bool task_has_labels(enum task_format format);

const char *task_format_name(int format); /* "blimp"; NULL beyond the last */

/* Continuations of one item: what is scored for each. The same for all items of a format; arc_easy has at most that many. */
int task_choices(enum task_format format);

#endif
