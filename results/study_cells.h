/* The cells of the study in a run's folder, from its study.expanded.yaml, for status and explain. */
#ifndef RESULTS_STUDY_CELLS_H
#define RESULTS_STUDY_CELLS_H

#include "jobs/error.h"
#include "jobs/spec.h"

struct study_cells {
    struct spec *spec;
    struct cell *cell; /* (count) */
    int count;
    int *by_id; /* (count): indices, ordered by id */
    bool
        identified; /* ids are known: the study file or the text itself gave the text's fingerprint */
    char why[ERROR_MESSAGE]; /* why not */
};

/* Read `path`/study.expanded.yaml. If it does not hold the text's fingerprint, the text is hashed; where that is not
 * possible (a login node without it) the cells come without valid ids. Release with study_cells_free. */
int study_cells_read(struct error *err, const char *path, struct study_cells *cells);
void study_cells_free(struct study_cells *cells);

/* The cell with that id; NULL: none. */
const struct cell *study_cells_find(const struct study_cells *cells, const char *id);

/* The one cell that a user means: by its id, the first digits of it (at least four), or "size/setting/seed". STATUS_USAGE when none or
 * several fit; the message lists candidates. Only `cell` and `count` are needed. */
int study_cells_look_up(struct error *err, const struct study_cells *study, const char *wanted,
                        const struct cell **found);

/* "size/setting/seed" */
enum { STUDY_CELL_NAME = CELL_NAME + CELL_LABEL + 24 };
const char *study_cell_name(const struct cell *cell, char name[STUDY_CELL_NAME]);

#endif
