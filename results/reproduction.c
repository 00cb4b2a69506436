#include "results/reproduction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "results/cellfile.h"
#include "results/compare.h"
#include "results/study_cells.h"
#include "results/studyread.h"
#include "results/text.h"

struct chosen {
    int index; /* in the file */
    const struct cell *cell;
    struct record *record;
};

struct reproduction {
    char path[SPEC_PATH + 64];
    struct studyread *study;
    const struct cell *cell; /* (cells): of the file */
    int cells;
    struct chosen *chosen; /* (count), room for all cells */
    int count;
};

int reproduction_open(struct error *err, const char *path, struct reproduction **reproduction)
{
    int status = STATUS_OK;
    char *method = NULL;
    struct reproduction *made = calloc(1, sizeof *made);
    *reproduction = NULL;
    CHECK(err, made != NULL, STATUS_FAILED, "%s: out of memory", path);
    CHECK(err, snprintf(made->path, sizeof made->path, "%s", path) < (int)sizeof made->path,
          STATUS_FAILED, "%s: the path is too long", path);
    TRY(studyread_open(err, path, &made->study));
    TRY(studyread_attribute(err, made->study, "method_version", &method));
    CHECK(err, strcmp(method, METHOD_VERSION) == 0, STATUS_FAILED,
          "%s was measured by version \"%s\" of the method; this program has version %s, whose "
          "numbers are others: use the commit that the file names",
          path, method, METHOD_VERSION);
    made->cells = studyread_cells(made->study, &made->cell);
    made->chosen = calloc((size_t)made->cells, sizeof *made->chosen);
    CHECK(err, made->chosen != NULL, STATUS_FAILED, "%s: out of memory for %d cells", path,
          made->cells);
    *reproduction = made;
    made = NULL;
cleanup:
    free(method);
    reproduction_close(made);
    return status;
}

void reproduction_close(struct reproduction *reproduction)
{
    if (reproduction == NULL) {
        return;
    }
    for (int i = 0; i < reproduction->count; i++) {
        record_free(reproduction->chosen[i].record);
    }
    free(reproduction->chosen);
    studyread_close(reproduction->study);
    free(reproduction);
}

/* ---- choosing ---- */

static bool is_finished(const struct reproduction *reproduction, int index)
{
    return cell_status_finished(studyread_status(reproduction->study, index));
}

static int add(struct error *err, struct reproduction *reproduction, int index)
{
    int status = STATUS_OK;
    struct chosen *chosen = &reproduction->chosen[reproduction->count];
    for (int i = 0; i < reproduction->count; i++) {
        if (reproduction->chosen[i].index == index) {
            goto cleanup;
        }
    }
    *chosen = (struct chosen){.index = index, .cell = &reproduction->cell[index]};
    TRY(studyread_record(err, reproduction->study, index, &chosen->record));
    reproduction->count++;
cleanup:
    return status;
}

struct lot {
    uint64_t hash;
    const char *id;
    int index;
};

static int compare_lots(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : strcmp(x->id, y->id);
}

int reproduction_choose(struct error *err, struct reproduction *reproduction, int count,
                        uint64_t seed)
{
    int status = STATUS_OK;
    int lots = 0;
    struct lot *lot = calloc((size_t)reproduction->cells, sizeof *lot);
    CHECK(err, lot != NULL, STATUS_FAILED, "out of memory for %d cells", reproduction->cells);
    for (int i = 0; i < reproduction->cells; i++) {
        if (is_finished(reproduction, i)) {
            const char *id = reproduction->cell[i].id;
            lot[lots++] = (struct lot){XXH64(id, strlen(id), seed), id, i};
        }
    }
    CHECK(err, lots > 0, STATUS_FAILED, "%s: none of its %d cells is finished", reproduction->path,
          reproduction->cells);
    qsort(lot, (size_t)lots, sizeof *lot, compare_lots);
    for (int i = 0; i < lots && i < count; i++) {
        TRY(add(err, reproduction, lot[i].index));
    }
cleanup:
    free(lot);
    return status;
}

int reproduction_take(struct error *err, struct reproduction *reproduction, const char *wanted)
{
    int status = STATUS_OK;
    const struct study_cells cells = {.cell = (struct cell *)reproduction->cell,
                                      .count = reproduction->cells};
    const struct cell *found = NULL;
    char name[STUDY_CELL_NAME];
    TRY(study_cells_look_up(err, &cells, wanted, &found));
    const int index = (int)(found - reproduction->cell);
    CHECK(err, is_finished(reproduction, index), STATUS_FAILED,
          "%s: cell %s (%s) is %s there: it has no result that could be compared",
          reproduction->path, found->id, study_cell_name(found, name),
          cell_status_name(studyread_status(reproduction->study, index)));
    TRY(add(err, reproduction, index));
cleanup:
    return status;
}

int reproduction_count(const struct reproduction *reproduction)
{
    return reproduction->count;
}

struct reproduction_cell reproduction_at(const struct reproduction *reproduction, int index)
{
    const struct chosen *chosen = &reproduction->chosen[index];
    const struct record *record = chosen->record;
    const double ranks = record->team_size >= 1 ? record->team_size : 1;
    return (struct reproduction_cell){
        .cell = chosen->cell,
        .seconds = (record->wall_time_train + record->wall_time_evaluate) * ranks,
        .isa = record->isa,
        .matmul = record->matmul,
    };
}

/* ---- the study file ---- */

/* Of a merged file the attribute lists all texts. */
static int check_text(struct error *err, const struct reproduction *reproduction,
                      const struct spec *spec)
{
    int status = STATUS_OK;
    char *fingerprint = NULL;
    TRY(studyread_attribute(err, reproduction->study, "corpus_fingerprint", &fingerprint));
    CHECK(
        err, strstr(fingerprint, spec->data.fingerprint) != NULL, STATUS_FAILED,
        "%s was measured on another text than that of %s: its fingerprint is %s, not %s; the text "
        "has to be the same, byte for byte",
        reproduction->path, spec->path, fingerprint, spec->data.fingerprint);
cleanup:
    free(fingerprint);
    return status;
}

static const struct cell *find(const struct cell *cells, int count, const char *id)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(cells[i].id, id) == 0) {
            return &cells[i];
        }
    }
    return NULL;
}

int reproduction_match(struct error *err, struct reproduction *reproduction,
                       const struct spec *spec, const struct cell *cells, int count)
{
    int status = STATUS_OK;
    char name[STUDY_CELL_NAME];
    TRY(check_text(err, reproduction, spec));
    for (int i = 0; i < reproduction->count; i++) {
        struct chosen *chosen = &reproduction->chosen[i];
        const struct cell *cell = find(cells, count, chosen->cell->id);
        CHECK(err, cell != NULL, STATUS_FAILED,
              "%s has cell %s (%s), but %s has no cell with that id among its %d: some of what "
              "decides "
              "its result is set differently there. The study file that made it is in the "
              "attribute study_file: ncdump -h %s",
              reproduction->path, chosen->cell->id, study_cell_name(chosen->cell, name), spec->path,
              count, reproduction->path);
        chosen->cell = cell;
    }
cleanup:
    return status;
}

/* ---- comparing ---- */

int reproduction_compare(struct error *err, const struct reproduction *reproduction, int index,
                         const char *file, FILE *out, bool *same)
{
    int status = STATUS_OK;
    const struct chosen *chosen = &reproduction->chosen[index];
    struct record *again = NULL; /* out of a file, like the first: rounded as it is stored */
    size_t values = 0;
    int variables = 0, differing = 0;
    char absent[512] = "";
    TRY(cellfile_read(err, file, chosen->cell, &again));
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        struct difference difference;
        if (entry->role != SCHEMA_RESULT) {
            continue;
        }
        const enum comparison comparison =
            compare_entry(entry, chosen->cell, chosen->record, again, &difference);
        if (comparison == COMPARISON_FIRST_LACKS) {
            const size_t used = strlen(absent);
            snprintf(absent + used, sizeof absent - used, "%s%s",
                     used == 0 ? "; not in the file: " : ", ", entry->name);
            continue;
        }
        variables += difference.values > 0;
        values += difference.values;
        if (comparison == COMPARISON_SECOND_LACKS) {
            differing++;
            text_say(out, "    ", "%s is in the file, and was not measured now", entry->name);
        } else if (comparison == COMPARISON_DIFFERENT) {
            differing++;
            text_say(out, "    ", "%s: %zu of %zu values differ; in the file and now, %s",
                     entry->name, difference.differing, difference.values, difference.text);
        }
    }
    *same = differing == 0;
    text_say(out, "    ", "%s: %zu values of %d variables%s", *same ? "the same" : "DIFFERENT",
             values, variables, absent);
cleanup:
    record_free(again);
    return status;
}
