/* Global attributes of a merged study.nc. Private to merge. */
#ifndef RESULTS_MERGE_TEXT_H
#define RESULTS_MERGE_TEXT_H

#include "results/merge_input.h"
#include "results/studyfile.h"

/* Fail unless all inputs were measured by the same method. */
int merge_check_method(struct error *err, const struct merge_inputs *inputs);

/* What the inputs agree in stays; where they differ, all they say is joined. The history tells of
 * the merge and of every input. */
int merge_put_texts(struct error *err, struct studyfile *file, const struct merge_inputs *inputs,
                    const struct cell *cells, int count);

#endif
