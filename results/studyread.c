#include "results/studyread.h"

#include <limits.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/netcdf_io.h"
#include "results/settings.h"
#include "results/variables.h"
#include "results/variables_parts.h"

enum { MOST = 1 << 24 }; /* more cells than any study of ours; larger is damage */

struct studyread {
    char path[SPEC_PATH + 64];
    bool open;
    struct variables variables;
    struct cell *cell;           /* (cells) */
    enum cell_status *status;    /* (cells) */
    char **text[VARIABLES_MOST]; /* per schema entry that is a text: (cells) */
};

/* ---- columns ---- */

/* Strings of a variable on one dimension; free with nc_free_string, then free. */
static int get_strings(struct error *err, const struct studyread *study, const char *name,
                       size_t length, char ***strings)
{
    int status = STATUS_OK;
    int id = -1;
    char **got = calloc(length + 1, sizeof *got);
    CHECK(err, got != NULL, STATUS_FAILED, "%s: out of memory for %s", study->path, name);
    TRY(netcdf_find(err, study->variables.file, study->path, name, 1, &length, &id));
    NETCDF(err, study->path, name, nc_get_var_string(study->variables.file, id, got));
    *strings = got;
    got = NULL;
cleanup:
    free(got);
    return status;
}

static void free_strings(char **strings, size_t length)
{
    if (strings != NULL) {
        nc_free_string(length, strings);
        free(strings);
    }
}

static int get_numbers(struct error *err, const struct studyread *study, const char *name,
                       size_t length, double *value)
{
    int status = STATUS_OK;
    int id = -1;
    TRY(netcdf_find(err, study->variables.file, study->path, name, 1, &length, &id));
    NETCDF(err, study->path, name, nc_get_var_double(study->variables.file, id, value));
cleanup:
    return status;
}

/* ---- settings ---- */

static int put_text(struct error *err, const struct studyread *study, const struct setting *setting,
                    const char *text, struct cell *cell)
{
    int status = STATUS_OK;
    bool known = setting_set_text(setting, cell, text == NULL ? "" : text);
    CHECK(err, known, STATUS_FAILED, "%s: %s of a cell is \"%.60s\", which is not known",
          study->path, setting->name, text == NULL ? "" : text);
cleanup:
    return status;
}

static int get_setting(struct error *err, struct studyread *study, const struct setting *setting,
                       double *number, unsigned long long *word)
{
    int status = STATUS_OK;
    size_t cells = study->variables.cells;
    char **text = NULL;
    int id = -1;
    if (setting_text(setting, study->cell) != NULL) {
        TRY(get_strings(err, study, setting->name, cells, &text));
        for (size_t i = 0; i < cells; i++) {
            TRY(put_text(err, study, setting, text[i], &study->cell[i]));
        }
    } else if (setting->type == SETTING_UINT64) {
        TRY(netcdf_find(err, study->variables.file, study->path, setting->name, 1, &cells, &id));
        NETCDF(err, study->path, setting->name,
               nc_get_var_ulonglong(study->variables.file, id, word));
        for (size_t i = 0; i < cells; i++) {
            setting_set_unsigned(setting, &study->cell[i], word[i]);
        }
    } else {
        TRY(get_numbers(err, study, setting->name, cells, number));
        for (size_t i = 0; i < cells; i++) {
            setting_set_number(setting, &study->cell[i], number[i]);
        }
    }
cleanup:
    free_strings(text, cells);
    return status;
}

static int get_settings(struct error *err, struct studyread *study)
{
    int status = STATUS_OK;
    size_t cells = study->variables.cells;
    double *number = calloc(cells + 1, sizeof *number);
    unsigned long long *word = calloc(cells + 1, sizeof *word);
    CHECK(err, number != NULL && word != NULL, STATUS_FAILED, "%s: out of memory for %zu cells",
          study->path, cells);
    for (int i = 0; i < settings_count(); i++) {
        TRY(get_setting(err, study, settings_entry(i), number, word));
    }
    TRY(get_numbers(err, study, "cell", cells, number));
    for (size_t i = 0; i < cells; i++) {
        bool fits = number[i] >= 0 && number[i] < MOST;
        CHECK(err, fits, STATUS_FAILED, "%s: cell number %g is out of range", study->path,
              number[i]);
        study->cell[i].number = (int)number[i];
    }
    TRY(get_numbers(err, study, "status", cells, number));
    for (size_t i = 0; i < cells; i++) {
        CHECK(err, number[i] >= CELL_PENDING && number[i] <= CELL_QUARANTINED, STATUS_FAILED,
              "%s: cell %s has the unknown status %g", study->path, study->cell[i].id, number[i]);
        study->status[i] = (enum cell_status)number[i];
    }
cleanup:
    free(number);
    free(word);
    return status;
}

/* ---- checkpoints, quantizers, windows: the same for all cells ---- */

/* number (count): of each word in a list such as weight_format_name. */
static int get_words(struct error *err, const struct studyread *study, const char *variable,
                     size_t count, const char *(*word)(int), int *number)
{
    int status = STATUS_OK;
    char **text = NULL;
    TRY(get_strings(err, study, variable, count, &text));
    for (size_t i = 0; i < count; i++) {
        const char *here = text[i] == NULL ? "" : text[i];
        number[i] = 0;
        while (word(number[i]) != NULL && strcmp(word(number[i]), here) != 0) {
            number[i]++;
        }
        CHECK(err, word(number[i]) != NULL, STATUS_FAILED, "%s: %s has the unknown word \"%.40s\"",
              study->path, variable, here);
    }
cleanup:
    free_strings(text, count);
    return status;
}

static int get_quantizers(struct error *err, const struct studyread *study,
                          struct cell_evaluate *evaluate)
{
    int status = STATUS_OK;
    size_t count = (size_t)evaluate->quantizers;
    double weight[CELL_QUANTIZERS], activation[CELL_QUANTIZERS], every[CELL_QUANTIZERS];
    double group[CELL_QUANTIZERS];
    int weights[CELL_QUANTIZERS], activations[CELL_QUANTIZERS], transform[CELL_QUANTIZERS];
    int outliers[CELL_QUANTIZERS], method[CELL_QUANTIZERS];
    char **name = NULL;
    if (count == 0) {
        goto cleanup;
    }
    TRY(get_strings(err, study, "quantizer", count, &name));
    TRY(get_words(err, study, "quantizer_weights", count, weight_format_name, weights));
    TRY(get_words(err, study, "quantizer_activations", count, activation_format_name, activations));
    TRY(get_words(err, study, "quantizer_transform", count, transform_name, transform));
    TRY(get_words(err, study, "quantizer_outliers", count, outliers_name, outliers));
    TRY(get_words(err, study, "quantizer_method", count, method_name, method));
    TRY(get_numbers(err, study, "quantizer_weight_bits", count, weight));
    TRY(get_numbers(err, study, "quantizer_activation_bits", count, activation));
    TRY(get_numbers(err, study, "quantizer_group", count, group));
    TRY(get_numbers(err, study, "quantizer_every_checkpoint", count, every));
    for (size_t i = 0; i < count; i++) {
        struct quantizer *quantizer = &evaluate->quantizer[i];
        snprintf(quantizer->name, sizeof quantizer->name, "%s", name[i] == NULL ? "" : name[i]);
        CHECK(err,
              weight[i] >= 0 && weight[i] <= 64 && activation[i] >= 0 && activation[i] <= 64 &&
                  group[i] >= 0 && group[i] <= QUANTIZER_MOST_GROUP,
              STATUS_FAILED, "%s: quantizer %s has %g and %g bits and groups of %g", study->path,
              quantizer->name, weight[i], activation[i], group[i]);
        quantizer->weights = (enum weight_format)weights[i];
        quantizer->weight_bits = (int)weight[i];
        quantizer->group = (int)group[i];
        quantizer->activations = (enum activation_format)activations[i];
        quantizer->activation_bits = (int)activation[i];
        quantizer->transform = (enum transform)transform[i];
        quantizer->outliers = (enum outliers)outliers[i];
        quantizer->method = (enum method)method[i];
        evaluate->every_checkpoint[i] = every[i] != 0;
    }
cleanup:
    free_strings(name, count);
    return status;
}

static int get_task_seeds(struct error *err, const struct studyread *study, size_t count,
                          unsigned long long seed[CELL_TASKS])
{
    int status = STATUS_OK;
    int id = -1;
    TRY(netcdf_find(err, study->variables.file, study->path, "task_seed", 1, &count, &id));
    NETCDF(err, study->path, "task_seed", nc_get_var_ulonglong(study->variables.file, id, seed));
cleanup:
    return status;
}

static int get_tasks(struct error *err, const struct studyread *study,
                     struct cell_evaluate *evaluate)
{
    int status = STATUS_OK;
    const size_t count = (size_t)evaluate->tasks;
    double items[CELL_TASKS], length[CELL_TASKS], shots[CELL_TASKS];
    unsigned long long seed[CELL_TASKS];
    int format[CELL_TASKS];
    char **name = NULL, **hash = NULL;
    if (count == 0) {
        goto cleanup;
    }
    TRY(get_strings(err, study, "task", count, &name));
    TRY(get_strings(err, study, "task_hash", count, &hash));
    TRY(get_words(err, study, "task_format", count, task_format_name, format));
    TRY(get_numbers(err, study, "task_items", count, items));
    TRY(get_numbers(err, study, "task_length", count, length));
    TRY(get_numbers(err, study, "task_shots", count, shots));
    TRY(get_task_seeds(err, study, count, seed));
    for (size_t i = 0; i < count; i++) {
        struct task *task = &evaluate->task[i];
        *task = (struct task){.format = (enum task_format)format[i], .seed = seed[i]};
        snprintf(task->name, sizeof task->name, "%s", name[i] == NULL ? "" : name[i]);
        snprintf(task->hash, sizeof task->hash, "%s", hash[i] == NULL ? "" : hash[i]);
        CHECK(err,
              items[i] > 0 && items[i] <= TASK_MOST_ITEMS && length[i] >= 0 &&
                  length[i] <= INT_MAX && shots[i] >= 0 && shots[i] <= TASK_MOST_SHOTS,
              STATUS_FAILED, "%s: task %s has %g items of %g bytes and %g examples", study->path,
              task->name, items[i], length[i], shots[i]);
        task->items = (int)items[i];
        task->length = (int)length[i];
        task->shots = (int)shots[i];
    }
cleanup:
    free_strings(name, count);
    free_strings(hash, count);
    return status;
}

/* Length of a dimension that a study may lack; 0 then. */
static int get_length(struct error *err, const struct studyread *study, const char *name,
                      size_t most, int *length)
{
    int status = STATUS_OK;
    int dimension = -1;
    size_t has = 0;
    if (nc_inq_dimid(study->variables.file, name, &dimension) == NC_NOERR) {
        TRY(netcdf_length(err, study->variables.file, study->path, name, &has));
    }
    CHECK(err, has <= most, STATUS_FAILED, "%s: %zu as length of %s is out of range", study->path,
          has, name);
    *length = (int)has;
cleanup:
    return status;
}

static int get_evaluate(struct error *err, const struct studyread *study,
                        struct cell_evaluate *evaluate)
{
    int status = STATUS_OK;
    TRY(get_length(err, study, "checkpoint", CELL_CHECKPOINTS, &evaluate->checkpoints));
    TRY(get_length(err, study, "quantizer", CELL_QUANTIZERS, &evaluate->quantizers));
    TRY(get_length(err, study, "window", MOST, &evaluate->windows));
    CHECK(err, evaluate->checkpoints > 0, STATUS_FAILED, "%s: there are no checkpoints in it",
          study->path);
    TRY(get_numbers(err, study, "training_fraction", (size_t)evaluate->checkpoints,
                    evaluate->fraction));
    TRY(get_quantizers(err, study, evaluate));
    TRY(get_length(err, study, "task", CELL_TASKS, &evaluate->tasks));
    TRY(get_tasks(err, study, evaluate));
cleanup:
    return status;
}

/* ---- opening ---- */

static int get_texts(struct error *err, struct studyread *study)
{
    int status = STATUS_OK;
    for (int i = 0; i < schema_count(); i++) {
        if (schema_entry(i)->type == SCHEMA_TEXT) {
            TRY(get_strings(err, study, schema_entry(i)->name, study->variables.cells,
                            &study->text[i]));
        }
    }
cleanup:
    return status;
}

int studyread_open(struct error *err, const char *path, struct studyread **study)
{
    int status = STATUS_OK;
    struct cell_evaluate evaluate = {0};
    char *name = NULL;
    struct studyread *read = calloc(1, sizeof *read);
    CHECK(err, read != NULL, STATUS_FAILED, "%s: out of memory", path);
    CHECK(err, snprintf(read->path, sizeof read->path, "%s", path) < (int)sizeof read->path,
          STATUS_FAILED, "%s: the path is too long", path);
    read->variables.path = read->path;
    TRY(netcdf_open(err, path, &read->variables.file));
    read->open = true;
    TRY(studyread_attribute(err, read, "study_name", &name));
    CHECK(err, name[0] != '\0', STATUS_FAILED,
          "%s: the attribute \"study_name\" is missing: not a study.nc of this program", path);
    TRY(netcdf_length(err, read->variables.file, path, "cell", &read->variables.cells));
    size_t cells = read->variables.cells;
    CHECK(err, cells > 0 && cells <= MOST, STATUS_FAILED, "%s: %zu cells are out of range", path,
          cells);
    read->cell = calloc(cells, sizeof *read->cell);
    read->status = calloc(cells, sizeof *read->status);
    CHECK(err, read->cell != NULL && read->status != NULL, STATUS_FAILED,
          "%s: out of memory for %zu cells", path, cells);
    TRY(get_evaluate(err, read, &evaluate));
    for (size_t i = 0; i < cells; i++) {
        read->cell[i].evaluate = evaluate;
    }
    TRY(get_settings(err, read));
    read->variables.cell = read->cell;
    TRY(variables_find(err, &read->variables));
    TRY(get_texts(err, read));
    *study = read;
    read = NULL;
cleanup:
    free(name);
    studyread_close(read);
    return status;
}

void studyread_close(struct studyread *study)
{
    if (study == NULL) {
        return;
    }
    for (int i = 0; i < VARIABLES_MOST; i++) {
        free_strings(study->text[i], study->variables.cells);
    }
    if (study->open) {
        nc_close(study->variables.file);
    }
    free(study->cell);
    free(study->status);
    free(study);
}

/* ---- reading ---- */

int studyread_cells(const struct studyread *study, const struct cell **cells)
{
    *cells = study->cell;
    return (int)study->variables.cells;
}

enum cell_status studyread_status(const struct studyread *study, int index)
{
    return study->status[index];
}

bool studyread_compact(const struct studyread *study)
{
    bool has = false;
    for (int i = 0; i < schema_count(); i++) {
        has = has || (schema_detail(schema_entry(i)) && study->variables.id[i] >= 0);
    }
    return !has;
}

int studyread_record(struct error *err, const struct studyread *study, int index,
                     struct record **record)
{
    int status = STATUS_OK;
    struct record *read = NULL;
    TRY(record_create(err, &study->cell[index], &read));
    TRY(variables_get_numbers(err, &study->variables, (size_t)index, read));
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            const char *text = study->text[i][index];
            snprintf(schema_text(entry, read), entry->size, "%s", text == NULL ? "" : text);
        }
    }
    *record = read;
    read = NULL;
cleanup:
    record_free(read);
    return status;
}

int studyread_attribute(struct error *err, const struct studyread *study, const char *name,
                        char **text)
{
    int status = STATUS_OK;
    TRY(netcdf_read_text(err, study->variables.file, study->path, name, text));
    *text = *text != NULL ? *text : calloc(1, 1); /* a missing one is empty */
    CHECK(err, *text != NULL, STATUS_FAILED, "%s: out of memory for attribute \"%s\"", study->path,
          name);
cleanup:
    return status;
}
