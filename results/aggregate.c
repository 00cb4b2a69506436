#include "results/aggregate.h"

#include <errno.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "jobs/version.h"
#include "results/atomic.h"
#include "results/cellfile_checked.h"
#include "results/journal.h"
#include "results/netcdf_io.h"
#include "results/rundir_jobs.h"
#include "results/settings.h"
#include "results/variables.h"

enum { TEXTS_AT_ONCE = 256 }; /* cells whose texts are written together */

/* ---- settings: variables on the dimension `cell` ---- */

static nc_type setting_disk_type(enum setting_type type)
{
    switch (type) {
    case SETTING_INT:
        return NC_INT;
    case SETTING_INT64:
    case SETTING_PARAMETERS:
    case SETTING_PARAMETERS_TOTAL:
        return NC_INT64;
    case SETTING_UINT64:
        return NC_UINT64;
    case SETTING_DOUBLE:
        return NC_DOUBLE;
    case SETTING_FLAG:
        return NC_BYTE;
    default:
        return NC_STRING;
    }
}

static int define_settings(struct error *err, struct variables *study, int *id)
{
    int status = STATUS_OK;
    int cell = -1;
    struct netcdf_variable number = {
        .name = "cell",
        .type = NC_INT,
        .rank = 1,
        .dimension = {study->cell_dimension},
        .units = "1",
        .long_name = "number of the cell in the study",
        .comment = "sizes outermost, then settings, then seeds; cell_id names it for good",
        .content = "coordinate",
    };
    TRY(netcdf_define(err, study->file, study->path, &number, &cell));
    for (int i = 0; i < settings_count(); i++) {
        const struct setting *setting = settings_entry(i);
        struct netcdf_variable variable = {
            .name = setting->name,
            .type = setting_disk_type(setting->type),
            .rank = 1,
            .dimension = {study->cell_dimension},
            .chunk = {study->cells < 8192 ? study->cells : 8192},
            .units = "1",
            .long_name = setting->long_name,
            .comment = setting->comment,
            .content = "coordinate",
        };
        TRY(netcdf_define(err, study->file, study->path, &variable, &id[i]));
        if (setting->type == SETTING_FLAG) {
            TRY(netcdf_put_flags(err, study->file, study->path, id[i], 2, "no yes"));
        }
    }
cleanup:
    return status;
}

static int put_settings(struct error *err, const struct variables *study, const struct cell *cells,
                        const int *id)
{
    int status = STATUS_OK;
    void *column = malloc(study->cells * sizeof(double) + sizeof(double));
    CHECK(err, column != NULL, STATUS_FAILED, "%s: out of memory for %zu cells", study->path,
          study->cells);
    double *number = column;
    unsigned long long *word = column;
    const char **text = column;
    for (int i = 0; i < settings_count(); i++) {
        const struct setting *setting = settings_entry(i);
        bool is_text = setting_text(setting, &cells[0]) != NULL;
        for (size_t c = 0; c < study->cells; c++) {
            if (is_text) {
                text[c] = setting_text(setting, &cells[c]);
            } else if (setting->type == SETTING_UINT64) {
                word[c] = setting_unsigned(setting, &cells[c]);
            } else {
                number[c] = setting_number(setting, &cells[c]);
            }
        }
        int code = is_text ? nc_put_var_string(study->file, id[i], text)
                   : setting->type == SETTING_UINT64
                       ? nc_put_var_ulonglong(study->file, id[i], word)
                       : nc_put_var_double(study->file, id[i], number);
        NETCDF(err, study->path, setting->name, code);
    }
cleanup:
    free(column);
    return status;
}

/* Names of the coordinates on `cell`, blanks between them. */
static void coordinate_names(char *names, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < settings_count() && used < size; i++) {
        used += (size_t)snprintf(names + used, size - used, "%s%s", i > 0 ? " " : "",
                                 settings_entry(i)->name);
    }
}

/* ---- global attributes ---- */

static void study_id(const struct spec *spec, const struct cell *cells, int count, char id[128])
{
    unsigned long long hash = 0;
    for (int i = 0; i < count; i++) {
        hash = XXH64(cells[i].id, strlen(cells[i].id), hash);
    }
    snprintf(id, 128, "%s-%016llx", spec->name, hash);
}

static char *data_files(const struct spec *spec)
{
    size_t size = 1;
    for (int i = 0; i < spec->source.files; i++) {
        size += strlen(spec->source.file[i]) + 2;
    }
    char *files = calloc(size, 1);
    for (int i = 0; files != NULL && i < spec->source.files; i++) {
        strcat(files, i > 0 ? ", " : "");
        strcat(files, spec->source.file[i]);
    }
    return files;
}

static int put_globals(struct error *err, const struct variables *study, const struct rundir *dir,
                       const struct spec *spec, const struct provenance *provenance)
{
    int status = STATUS_OK;
    char *history = NULL, *expanded = NULL, *files = data_files(spec);
    char now[32], id[128], source[256], libraries[RECORD_TEXT + 64];
    static const struct provenance serial;
    provenance = provenance == NULL ? &serial : provenance;
    journal_time((int64_t)time(NULL), now);
    study_id(spec, study->cell, (int)study->cells, id);
    const char *netcdf = nc_inq_libvers(); /* "4.9.0 of …" */
    snprintf(libraries, sizeof libraries, "%s%snetCDF %.*s", provenance->libraries,
             provenance->libraries[0] ? "; " : "", (int)strcspn(netcdf, " "), netcdf);
    snprintf(source, sizeof source, "ptqscale %s, commit %s", version_string(), version_commit());
    CHECK(err, files != NULL, STATUS_FAILED, "%s: out of memory", study->path);
    TRY(rundir_history(err, dir, NULL, &history));
    TRY(spec_expanded(err, spec, &expanded));
    const char *jobs = rundir_jobs(dir);
    const char *const text[][2] = {
        {"Conventions", "CF-1.10, ACDD-1.3"},
        {"title", spec->title[0] != '\0' ? spec->title : spec->name},
        {"summary",
         "Degradation of small language models by post-training quantization, for a grid of "
         "model sizes, pre-training recipes and seeds. Each cell is one training run; at fixed "
         "fractions of it the model is quantized and compared with itself on held-out text. "
         "log_kl is the primary response; METHOD in comments names the section that defines a "
         "variable."},
        {"keywords", "post-training quantization, language model, scaling, weight decay, dropout, "
                     "gradient clipping, half precision, KL divergence"},
        {"id", id},
        {"source", source},
        {"history", history},
        {"date_created", now},
        {"processing_level", "model output with derived statistics"},
        {"product_version", version_string()},
        {"study_name", spec->name},
        {"study_design", design_name(spec->design)},
        {"study_note", spec->note},
        {"study_path", spec->path},
        {"study_file", spec->text},
        {"study_expanded", expanded},
        {"method_version", METHOD_VERSION},
        {"version", version_string()},
        {"commit", version_commit()},
        {"compiler", version_compiler()},
        {"libraries", libraries},
        {"mpi", provenance->mpi},
        {"job_ids", jobs[0] != '\0' ? jobs : provenance->job_id},
        {"corpus_fingerprint", study->cell->data.fingerprint},
        {"corpus_files", files},
        {"corpus_cleaning", study->cell->data.cleaning},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(netcdf_put_text(err, study->file, study->path, NC_GLOBAL, text[i][0], text[i][1]));
    }
cleanup:
    free(history);
    free(expanded);
    free(files);
    return status;
}

/* ---- cells ---- */

/* One study, one set of checkpoints, quantizers and windows. */
static int check_cells(struct error *err, const struct cell *cells, int count)
{
    int status = STATUS_OK;
    CHECK(err, count > 0, STATUS_FAILED, "a study without cells has no study.nc");
    const struct cell_evaluate *first = &cells[0].evaluate;
    for (int i = 1; i < count; i++) {
        const struct cell_evaluate *evaluate = &cells[i].evaluate;
        bool same = evaluate->checkpoints == first->checkpoints &&
                    evaluate->quantizers == first->quantizers &&
                    evaluate->windows == first->windows &&
                    memcmp(evaluate->fraction, first->fraction,
                           (size_t)first->checkpoints * sizeof first->fraction[0]) == 0;
        for (int q = 0; same && q < first->quantizers; q++) {
            same = strcmp(evaluate->quantizer[q].name, first->quantizer[q].name) == 0;
        }
        CHECK(err, same, STATUS_FAILED,
              "cells %s and %s differ in checkpoints, quantizers or windows: they are not of one "
              "study",
              cells[0].id, cells[i].id);
    }
cleanup:
    return status;
}

/* A cell without a file: what the journal knows of it. */
static int put_unfinished(struct error *err, const struct variables *study,
                          struct variables_texts *texts, size_t index,
                          const struct rundir_cell *known)
{
    int status = STATUS_OK;
    struct record *blank = NULL;
    TRY(record_create(err, study->cell, &blank));
    if (known != NULL) {
        blank->status = known->status;
        blank->attempts = known->attempts;
        snprintf(blank->reason, sizeof blank->reason, "%s", known->reason);
        snprintf(blank->host, sizeof blank->host, "%s", known->host);
    }
    TRY(variables_put(err, study, index, blank, true));
    TRY(variables_texts_add(err, study, texts, index, blank));
cleanup:
    record_free(blank);
    return status;
}

static int put_cells(struct error *err, const struct variables *study, const struct rundir *dir,
                     const struct cell *cells)
{
    int status = STATUS_OK;
    struct record *record = NULL;
    struct variables_texts *texts = NULL;
    char path[SPEC_PATH + 64];
    TRY(variables_texts_create(err, TEXTS_AT_ONCE, &texts));
    for (size_t i = 0; i < study->cells; i++) {
        const struct rundir_cell *known = rundir_find(dir, cells[i].id);
        if (known == NULL || (known->status != CELL_DONE && known->status != CELL_DIVERGED)) {
            TRY(put_unfinished(err, study, texts, i, known));
            continue;
        }
        rundir_cell_path(rundir_path(dir), cells[i].id, path);
        TRY(cellfile_read_checked(err, path, &cells[i], known->checksum, &record));
        TRY(variables_put(err, study, i, record, false));
        TRY(variables_texts_add(err, study, texts, i, record));
        record_free(record);
        record = NULL;
    }
    TRY(variables_texts_flush(err, study, texts));
cleanup:
    variables_texts_free(texts);
    record_free(record);
    return status;
}

int aggregate_write(struct error *err, struct rundir *dir, const struct spec *spec,
                    const struct cell *cells, int count, const struct provenance *provenance)
{
    int status = STATUS_OK;
    bool open = false;
    char path[ATOMIC_PATH], temporary[ATOMIC_PATH] = "", coordinates[1024];
    int *setting_id = calloc((size_t)settings_count(), sizeof *setting_id);
    struct variables study = {
        .path = path, .cell = cells, .cells = (size_t)(count > 0 ? count : 0)};
    CHECK(err, setting_id != NULL, STATUS_FAILED, "%s: out of memory", rundir_path(dir));
    TRY(check_cells(err, cells, count));
    snprintf(path, sizeof path, "%s/study.nc", rundir_path(dir));
    TRY(atomic_temporary(err, path, temporary));
    coordinate_names(coordinates, sizeof coordinates);
    netcdf_prepare();
    NETCDF(err, path, "creating a temporary file beside it",
           nc_create(temporary, NC_NETCDF4 | NC_CLOBBER, &study.file));
    open = true;
    TRY(put_globals(err, &study, dir, spec, provenance));
    TRY(variables_define_dimensions(err, &study));
    TRY(define_settings(err, &study, setting_id));
    TRY(variables_define(err, &study, coordinates));
    NETCDF(err, path, "writing the header", nc_enddef(study.file));
    TRY(variables_put_coordinates(err, &study));
    TRY(put_settings(err, &study, cells, setting_id));
    TRY(put_cells(err, &study, dir, cells));
    open = false;
    NETCDF(err, path, "closing", nc_close(study.file));
    TRY(atomic_commit(err, temporary, path));
    temporary[0] = '\0';
cleanup:
    if (open) {
        nc_close(study.file);
    }
    if (temporary[0] != '\0') {
        /* After a failed write the HDF5 layer may keep the file open: give its space back first. */
        if (truncate(temporary, 0) == 0 || errno == ENOENT) {
            unlink(temporary);
        }
    }
    free(setting_id);
    return status;
}
