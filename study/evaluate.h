/* Held-out evaluation of one checkpoint in full precision and under every quantizer (METHOD §4). */
#ifndef STUDY_EVALUATE_H
#define STUDY_EVALUATE_H

#include "results/record.h"
#include "study/corpus.h"
#include "study/model.h"
#include "study/run_cell.h"
#include "study/team.h"

/* Fill checkpoint `index` of the record from the fp32 weights. `model` is an inference model for micro-batches of the cell. Windows are
 * shared out over the team; the result does not depend on its size. Collective over team; every rank gets the whole result.
 * `report` may be NULL. */
int evaluate(struct error *err, struct team *team, const struct corpus *corpus,
             const struct cell *cell, struct model *model, struct parameters *parameters, int index,
             progress_fn *report, void *report_context, struct record *record);

#endif
