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

/* ── What a user types ── */

enum { ID_DIGITS = 4, CANDIDATES = 12, LIST = 1400 };

static bool is_id_prefix(const char *text)
{
    size_t length = strspn(text, "0123456789abcdefABCDEF");
    return length >= ID_DIGITS && text[length] == '\0';
}

static bool fits(const struct cell *cell, const char *wanted)
{
    char name[STUDY_CELL_NAME];
    return (is_id_prefix(wanted) && strncasecmp(cell->id, wanted, strlen(wanted)) == 0) ||
           strcmp(study_cell_name(cell, name), wanted) == 0;
}

/* Does a cell come to mind for what was typed? Any part of its name, or the beginning of its id. */
static bool resembles(const struct cell *cell, const char *wanted)
{
    char name[STUDY_CELL_NAME];
    return strstr(study_cell_name(cell, name), wanted) != NULL ||
           strncasecmp(cell->id, wanted, strlen(wanted)) == 0;
}

typedef bool candidate_fn(const struct cell *cell, const char *wanted);

/* "\n  1a2b3c4d… size/setting/seed" of each candidate. */
static int list_candidates(const struct study_cells *study, candidate_fn *is_candidate,
                           const char *wanted, char list[LIST])
{
    int count = 0;
    list[0] = '\0';
    for (int i = 0; i < study->count; i++) {
        if (is_candidate != NULL && !is_candidate(&study->cell[i], wanted)) {
            continue;
        }
        size_t used = strlen(list);
        char name[STUDY_CELL_NAME];
        if (count < CANDIDATES) {
            snprintf(list + used, LIST - used, "\n  %.12s  %.80s", study->cell[i].id,
                     study_cell_name(&study->cell[i], name));
        } else if (count == CANDIDATES) {
            snprintf(list + used, LIST - used, "\n  ...");
        }
        count++;
    }
    return count;
}

int study_cells_look_up(struct error *err, const struct study_cells *study, const char *wanted,
                        const struct cell **found)
{
    int status = STATUS_OK;
    char list[LIST];
    int count = 0;
    *found = NULL;
    for (int i = 0; i < study->count; i++) {
        if (fits(&study->cell[i], wanted)) {
            *found = &study->cell[i];
            count++;
        }
    }
    if (count == 1) {
        goto cleanup;
    }
    if (count > 1) {
        list_candidates(study, fits, wanted, list);
        FAIL(err, STATUS_USAGE, "\"%.80s\" fits %d cells; give more digits of the id:%s", wanted,
             count, list);
    }
    if (wanted[0] == '\0' || list_candidates(study, resembles, wanted, list) == 0) {
        list_candidates(study, NULL, wanted, list);
    }
    FAIL(err, STATUS_USAGE,
         "\"%.80s\" is no cell of this study; give at least %d hex digits of an id, or "
         "size/setting/seed, such as:%s",
         wanted, ID_DIGITS, list);
cleanup:
    return status;
}
