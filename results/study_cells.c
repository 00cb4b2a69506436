#include "results/study_cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int study_cells_read(struct error *err, const char *path, struct study_cells *cells)
{
    int status = STATUS_OK;
    struct error reason = {0};
    char file[SPEC_PATH + 64];
    *cells = (struct study_cells){.identified = true};
    CHECK(err, snprintf(file, sizeof file, "%s/study.expanded.yaml", path) < (int)sizeof file,
          STATUS_FAILED, "%s: the path is too long", path);
    TRY(spec_read(err, file, &cells->spec));
    if (cells->spec->data.fingerprint[0] == '\0' &&
        spec_fingerprint(&reason, cells->spec) != STATUS_OK) {
        cells->identified = false;
        memcpy(cells->why, reason.message, sizeof cells->why);
    }
    TRY(spec_cells(err, cells->spec, &cells->cell, &cells->count));
cleanup:
    if (status != STATUS_OK) {
        study_cells_free(cells);
    }
    return status;
}

void study_cells_free(struct study_cells *cells)
{
    spec_free(cells->spec);
    free(cells->cell);
    *cells = (struct study_cells){0};
}

const struct cell *study_cells_find(const struct study_cells *cells, const char *id)
{
    for (int i = 0; i < cells->count && cells->identified; i++) {
        if (strcmp(cells->cell[i].id, id) == 0) {
            return &cells->cell[i];
        }
    }
    return NULL;
}

const char *study_cell_name(const struct cell *cell, char name[STUDY_CELL_NAME])
{
    snprintf(name, STUDY_CELL_NAME, "%s/%s/%llu", cell->size.name, cell->setting,
             (unsigned long long)cell->seed);
    return name;
}
