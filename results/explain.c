#include "results/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "results/cellfile.h"
#include "results/explain_record.h"
#include "results/explain_sites.h"
#include "results/rundir.h"
#include "results/study_cells.h"
#include "results/text.h"

/* ── Parts ── */

static int print_settings(struct error *err, FILE *out, const struct cell *cell)
{
    int status = STATUS_OK;
    char *text = NULL;
    char *rest = NULL;
    int size = cell_canonical(cell, NULL, 0) + 1;
    CHECK(err, size > 0, STATUS_FAILED, "the settings of the cell are too long");
    text = malloc((size_t)size);
    CHECK(err, text != NULL, STATUS_FAILED, "out of memory");
    cell_canonical(cell, text, size);
    fputs("\nSettings that decide the result (the id is their hash)\n", out);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        text_wrap(out, "  ", line);
    }
    text_say(out, "  ", "(total decay %s; %lld parameters with embeddings)",
             text_significant(cell->train.total_decay, 6).s,
             (long long)cell_parameters_total(cell));
cleanup:
    free(text);
    return status;
}

static int print_history(struct error *err, FILE *out, const struct rundir *dir,
                         const struct cell *cell)
{
    int status = STATUS_OK;
    char *text = NULL;
    char *rest = NULL;
    const struct rundir_cell *known = rundir_find(dir, cell->id);
    fputs("\nHistory\n", out);
    if (known == NULL) {
        text_wrap(out, "  ", "never begun");
        goto cleanup;
    }
    text_say(out, "  ", "%d attempt%s%s", known->attempts, known->attempts == 1 ? "" : "s",
             known->resumed > 0 ? ", the last one from a checkpoint" : "");
    if (known->deaths > 0) {
        text_say(out, "  ", "%d worker%s died while running it", known->deaths,
                 known->deaths == 1 ? "" : "s");
    }
    TRY(rundir_history(err, dir, cell->id, &text));
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        text_wrap(out, "  ", line);
    }
cleanup:
    free(text);
    return status;
}

/* The run's folder, its cells, and the one that is meant; the caller closes and frees them, also on failure. */
static int open_cell(struct error *err, const char *path, const char *cell_prefix,
                     struct rundir **dir, struct study_cells *study, const struct cell **cell)
{
    int status = STATUS_OK;
    TRY(rundir_open_readonly(err, path, dir));
    TRY(study_cells_read(err, path, study));
    CHECK(err, study->identified, STATUS_FAILED,
          "%s: cells cannot be told apart without the study's text: %s", path, study->why);
    TRY(study_cells_look_up(err, study, cell_prefix, cell));
cleanup:
    return status;
}

int explain_print(struct error *err, FILE *out, const char *path, const char *cell_prefix)
{
    int status = STATUS_OK;
    struct rundir *dir = NULL;
    struct record *record = NULL;
    struct study_cells study = {0};
    const struct cell *cell = NULL;
    char name[STUDY_CELL_NAME];
    char file[SPEC_PATH + 64];
    TRY(open_cell(err, path, cell_prefix, &dir, &study, &cell));

    const struct rundir_cell *known = rundir_find(dir, cell->id);
    enum cell_status state = known != NULL ? known->status : CELL_PENDING;
    text_wrap(out, "Cell:    ", study_cell_name(cell, name));
    text_wrap(out, "Id:      ", cell->id);
    text_say(out, "Size:    ", "%lld parameters without embeddings, %lld tokens",
             (long long)cell_parameters(cell), (long long)cell->tokens);
    text_say(out, "Status:  ", "%s%s%s", cell_status_name(state),
             known != NULL && known->reason[0] != '\0' ? ": " : "",
             known != NULL ? known->reason : "");
    TRY(print_settings(err, out, cell));
    TRY(print_history(err, out, dir, cell));
    if (known == NULL || known->checksum[0] == '\0') {
        fputs("\nNo record: the cell has not ended with one.\n", out);
    } else {
        rundir_cell_path(path, cell->id, file);
        TRY(cellfile_read(err, file, cell, &record));
        TRY(explain_record(err, out, cell, record));
        TRY(explain_sites_summary(err, out, cell, record));
        fputs("\n", out);
        text_wrap(out, "File:    ", file);
    }
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED,
          "the explanation cannot be written: %s", strerror(errno));
cleanup:
    record_free(record);
    study_cells_free(&study);
    rundir_close(dir);
    return status;
}

int explain_sites_print(struct error *err, FILE *out, const char *path, const char *cell_prefix,
                        const char *quantizer)
{
    int status = STATUS_OK;
    struct rundir *dir = NULL;
    struct record *record = NULL;
    struct study_cells study = {0};
    const struct cell *cell = NULL;
    char name[STUDY_CELL_NAME];
    char file[SPEC_PATH + 64];
    TRY(open_cell(err, path, cell_prefix, &dir, &study, &cell));
    const struct rundir_cell *known = rundir_find(dir, cell->id);
    CHECK(
        err, known != NULL && known->checksum[0] != '\0', STATUS_FAILED,
        "cell %s has no record: it has not ended with one; ptqscale status %s shows how far it is",
        study_cell_name(cell, name), path);
    rundir_cell_path(path, cell->id, file);
    TRY(cellfile_read(err, file, cell, &record));
    text_wrap(out, "Cell:    ", study_cell_name(cell, name));
    text_wrap(out, "Id:      ", cell->id);
    if (quantizer != NULL) {
        TRY(explain_sites_table(err, out, cell, record, quantizer));
    } else {
        TRY(explain_sites_summary(err, out, cell, record));
    }
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "the table cannot be written: %s",
          strerror(errno));
cleanup:
    record_free(record);
    study_cells_free(&study);
    rundir_close(dir);
    return status;
}
