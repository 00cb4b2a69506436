/* What is merged: studies behind the names that a user gives. Private to merge. */
#ifndef RESULTS_MERGE_INPUT_H
#define RESULTS_MERGE_INPUT_H

#include "results/studyread.h"

struct merge_input {
    char path[SPEC_PATH + 64]; /* as the user knows it */
    struct studyread *study;
    const struct cell *cell; /* (cells) */
    int cells;
};

struct merge_inputs {
    struct merge_input *input; /* (count) */
    int count;
};

/* Open all of them. `out` is the file that will be written: what has to be built meanwhile is built
 * beside it, and gone when this returns. Release with merge_inputs_close, also after a failure. */
int merge_inputs_open(struct error *err, const char *out, const char *const *given, int count,
                      struct merge_inputs *inputs);
void merge_inputs_close(struct merge_inputs *inputs);

#endif
