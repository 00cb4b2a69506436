#include "results/studyfile.h"

#include <errno.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "results/analysis_file.h"
#include "results/atomic.h"
#include "results/netcdf_io.h"
#include "results/seal.h"
#include "results/settings.h"
#include "results/variables.h"

enum { TEXTS_AT_ONCE = 256 }; /* cells whose texts are written together */

struct studyfile {
    struct variables variables;
    char path[ATOMIC_PATH], temporary[ATOMIC_PATH]; /* temporary "": there is none */
    bool open;
    struct variables_texts *texts;
    size_t next; /* cell */
};

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

static int put_settings(struct error *err, const struct variables *study, const int *id)
{
    int status = STATUS_OK;
    const struct cell *cells = study->cell;
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

/* ---- the file ---- */

int studyfile_create(struct error *err, const char *path, const struct cell *cells, int count,
                     struct studyfile **file)
{
    int status = STATUS_OK;
    struct studyfile *made = calloc(1, sizeof *made);
    CHECK(err, made != NULL, STATUS_FAILED, "%s: out of memory", path);
    made->variables.path = made->path;
    made->variables.cell = cells;
    made->variables.cells = (size_t)count;
    CHECK(err, snprintf(made->path, sizeof made->path, "%s", path) < ATOMIC_PATH, STATUS_FAILED,
          "%s: the path is too long", path);
    TRY(atomic_temporary(err, path, made->temporary));
    TRY(variables_texts_create(err, TEXTS_AT_ONCE, &made->texts));
    netcdf_prepare();
    NETCDF(err, path, "creating a temporary file beside it",
           nc_create(made->temporary, NC_NETCDF4 | NC_CLOBBER, &made->variables.file));
    made->open = true;
    *file = made;
    made = NULL;
cleanup:
    studyfile_discard(made);
    return status;
}

void studyfile_compact(struct studyfile *file)
{
    file->variables.compact = true;
}

int studyfile_text(struct error *err, const struct studyfile *file, const char *name,
                   const char *value)
{
    return netcdf_put_text(err, file->variables.file, file->path, NC_GLOBAL, name, value);
}

void studyfile_id(const char *name, const struct cell *cells, int count, char id[STUDYFILE_ID])
{
    unsigned long long hash = 0;
    for (int i = 0; i < count; i++) {
        hash = XXH64(cells[i].id, strlen(cells[i].id), hash);
    }
    snprintf(id, STUDYFILE_ID, "%.300s-%016llx", name, hash);
}

int studyfile_define(struct error *err, struct studyfile *file)
{
    int status = STATUS_OK;
    struct variables *study = &file->variables;
    char coordinates[1024];
    int *setting = calloc((size_t)settings_count(), sizeof *setting);
    CHECK(err, setting != NULL, STATUS_FAILED, "%s: out of memory", file->path);
    coordinate_names(coordinates, sizeof coordinates);
    if (study->compact) {
        TRY(studyfile_text(err, file, "compact",
                           "values of single held-out windows and of single items of tasks are "
                           "left out (ptqscale merge --compact)"));
    }
    TRY(variables_define_dimensions(err, study));
    TRY(define_settings(err, study, setting));
    TRY(variables_define(err, study, coordinates));
    NETCDF(err, file->path, "writing the header", nc_enddef(study->file));
    TRY(variables_put_coordinates(err, study));
    TRY(put_settings(err, study, setting));
cleanup:
    free(setting);
    return status;
}

int studyfile_put(struct error *err, struct studyfile *file, const struct record *record,
                  bool scalars_only)
{
    int status = STATUS_OK;
    TRY(variables_put(err, &file->variables, file->next, record, scalars_only));
    TRY(variables_texts_add(err, &file->variables, file->texts, file->next, record));
    file->next++;
cleanup:
    return status;
}

int studyfile_commit(struct error *err, struct studyfile *file)
{
    int status = STATUS_OK;
    TRY(variables_texts_flush(err, &file->variables, file->texts));
    file->open = false;
    NETCDF(err, file->path, "closing", nc_close(file->variables.file));
    TRY(analysis_file_complete(err, file->temporary));
    TRY(seal_file(err, file->temporary, SEAL_STUDY));
    TRY(atomic_commit(err, file->temporary, file->path));
    file->temporary[0] = '\0';
cleanup:
    studyfile_discard(file);
    return status;
}

void studyfile_discard(struct studyfile *file)
{
    if (file == NULL) {
        return;
    }
    if (file->open) {
        nc_close(file->variables.file);
    }
    if (file->temporary[0] != '\0') {
        /* After a failed write the HDF5 layer may keep the file open: give its space back first. */
        if (truncate(file->temporary, 0) == 0 || errno == ENOENT) {
            unlink(file->temporary);
        }
    }
    variables_texts_free(file->texts);
    free(file);
}
