#include "results/study_cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b, void *cells)
{
    const struct cell *cell = cells;
    return strcmp(cell[*(const int *)a].id, cell[*(const int *)b].id);
}

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
    cells->by_id = calloc((size_t)cells->count + 1, sizeof *cells->by_id);
    CHECK(err, cells->by_id != NULL, STATUS_FAILED, "out of memory for %d cells", cells->count);
    for (int i = 0; i < cells->count; i++) {
        cells->by_id[i] = i;
    }
    qsort_r(cells->by_id, (size_t)cells->count, sizeof *cells->by_id, by_id, cells->cell);
cleanup:
    if (status != STATUS_OK) {
        study_cells_free(cells);
    }
    return status;
}

void study_cells_free(struct study_cells *cells)
{
    free(cells->by_id);
    spec_free(cells->spec);
    free(cells->cell);
    *cells = (struct study_cells){0};
}

const struct cell *study_cells_find(const struct study_cells *cells, const char *id)
{
    int low = 0, high = cells->identified ? cells->count : 0;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct cell *cell = &cells->cell[cells->by_id[middle]];
        int order = strcmp(id, cell->id);
        if (order == 0) {
            return cell;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
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
