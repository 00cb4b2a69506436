/*
 * Several runs in one study.nc: the shards of a study, runs of it on other clusters, other studies
 * with the same checkpoints, quantizers and windows.
 *
 * A cell is known by its id. Of copies of a cell that are all finished, one is kept, and they have
 * to agree in every value that belongs to the result (results/schema.h: SCHEMA_RESULT), bit for bit;
 * a finished one beats one that is not; of unfinished ones, a failed one beats one that has not run.
 * Cells are in the order of their study; studies, in the order of the inputs.
 */
#ifndef RESULTS_MERGE_H
#define RESULTS_MERGE_H

#include <stdbool.h>

#include "jobs/error.h"

struct merge_summary {
    int files;      /* studies read */
    int cells;      /* in the merged file */
    int finished;   /* of them: done or diverged */
    int duplicates; /* copies left out because the cell was there already */
    bool compact;   /* the merged file is */
};

/*
 * Merge `input[inputs]` into the file `out`, atomically. An input is a study.nc, the folder of a run
 * (its journal and cells count, should its study.nc be older), or a folder of shards (shard-1, …).
 *
 * `compact`: leave out the values of single windows and items (results/schema.h: schema_detail). It is implied when no
 * input has them; where only some inputs do, cells of the others lack them, and of two copies of a cell the one that has them is kept.
 *
 * STATUS_USAGE when `out` is a folder or some other file. STATUS_FAILED, and `out` is as it was, when
 * an input cannot be read; when two differ in checkpoints, quantizers, windows or method (the
 * message says in what); when copies of a cell do not agree (it names the cell, the variable, both
 * values and both inputs); when two cells that are not the same have the same size, setting and
 * seed, so that no report could tell them apart.
 */
int merge_write(struct error *err, const char *out, const char *const *input, int inputs,
                bool compact, struct merge_summary *summary);

#endif
