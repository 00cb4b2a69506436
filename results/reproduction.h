/*
 * Is a study.nc reproduced? Some of its finished cells are chosen, computed again by who knows how to (mpi/), and compared
 * bit for bit, as stored, in everything that belongs to the result (METHOD §2; results/schema.h: SCHEMA_RESULT).
 *
 *     reproduction_open ─ reproduction_take … or reproduction_choose ─ reproduction_match ─ reproduction_compare …
 */
#ifndef RESULTS_REPRODUCTION_H
#define RESULTS_REPRODUCTION_H

#include <stdio.h>

#include "jobs/spec.h"
#include "results/record.h"

struct reproduction;

/* A cell that was chosen. */
struct reproduction_cell {
    const struct cell
        *cell;      /* as the study file has it, once it is matched; before, as study.nc has it */
    double seconds; /* wall time of the first run, times its ranks; NaN: not in the file */
    const char *isa, *matmul; /* of the first run */
};

/* STATUS_FAILED when `path` is no study.nc of this method. Close also after a failure; NULL is fine. */
int reproduction_open(struct error *err, const char *path, struct reproduction **reproduction);
void reproduction_close(struct reproduction *reproduction);

/* Choose `count` finished cells at random, without replacement: the first ones in the order of XXH64(id, seed), which depends on
 * nothing else. All of them if there are fewer; STATUS_FAILED if there is none. */
int reproduction_choose(struct error *err, struct reproduction *reproduction, int count,
                        uint64_t seed);

/* Choose the one that `wanted` means (results/study_cells.h). STATUS_FAILED if it is not finished. */
int reproduction_take(struct error *err, struct reproduction *reproduction, const char *wanted);

/* How many are chosen, and which (0 …). */
int reproduction_count(const struct reproduction *reproduction);
struct reproduction_cell reproduction_at(const struct reproduction *reproduction, int index);

/* Find the chosen cells among those of a study file, whose text has been hashed (spec_fingerprint). STATUS_FAILED when
 * the text is another one, or a cell is not there. cells[count] must outlive the reproduction. */
int reproduction_match(struct error *err, struct reproduction *reproduction,
                       const struct spec *spec, const struct cell *cells, int count);

/* Compare with the cell file that the second run of cell `index` has left; print what differs, or how much is the same. */
int reproduction_compare(struct error *err, const struct reproduction *reproduction, int index,
                         const char *file, FILE *out, bool *same);

#endif
