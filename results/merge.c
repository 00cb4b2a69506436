#include "results/merge.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/compare.h"
#include "results/merge_input.h"
#include "results/merge_text.h"
#include "results/settings.h"
#include "results/study_cells.h"
#include "results/studyfile.h"

/* A cell of an input. */
struct copy {
    int input, index;
    int group; /* study, in order of the inputs */
};

struct merge {
    struct merge_inputs inputs;
    struct copy *copy; /* (copies): by id, and of one id in order of the inputs */
    int copies;
    struct copy *kept; /* (cells): one per cell, in the order of the file */
    int cells;
    struct cell *cell; /* (cells) */
};

static const struct cell *cell_of(const struct merge *merge, const struct copy *copy)
{
    return &merge->inputs.input[copy->input].cell[copy->index];
}

static enum cell_status status_of(const struct merge *merge, const struct copy *copy)
{
    return studyread_status(merge->inputs.input[copy->input].study, copy->index);
}

static const char *path_of(const struct merge *merge, const struct copy *copy)
{
    return merge->inputs.input[copy->input].path;
}

static bool is_compact(const struct merge *merge, const struct copy *copy)
{
    return studyread_compact(merge->inputs.input[copy->input].study);
}

/* ---- do the inputs fit together? ---- */

static void list_quantizers(const struct cell_evaluate *evaluate, char text[512])
{
    size_t used = 0;
    snprintf(text, 512, "none");
    for (int i = 0; i < evaluate->quantizers && used < 512; i++) {
        used += (size_t)snprintf(text + used, 512 - used, "%s%s", i > 0 ? ", " : "",
                                 evaluate->quantizer[i].name);
    }
}

static void list_fractions(const struct cell_evaluate *evaluate, char text[512])
{
    size_t used = 0;
    for (int i = 0; i < evaluate->checkpoints && used < 512; i++) {
        used += (size_t)snprintf(text + used, 512 - used, "%s%g", i > 0 ? ", " : "",
                                 evaluate->fraction[i]);
    }
}

static void list_tasks(const struct cell_evaluate *evaluate, char text[512])
{
    size_t used = 0;
    snprintf(text, 512, "none");
    for (int i = 0; i < evaluate->tasks && used < 512; i++) {
        const struct task *task = &evaluate->task[i];
        used += (size_t)snprintf(text + used, 512 - used, "%s%s (%d items, %s %.8s)",
                                 i > 0 ? ", " : "", task->name, task->items,
                                 task_format_name((int)task->format), task->hash);
    }
}

/* The same quantizers, in their order or in any. */
static bool same_quantizers(const struct cell_evaluate *x, const struct cell_evaluate *y,
                            bool ordered)
{
    bool same = x->quantizers == y->quantizers;
    for (int i = 0; same && i < x->quantizers; i++) {
        bool found = false;
        for (int k = ordered ? i : 0; k < (ordered ? i + 1 : y->quantizers); k++) {
            found |= strcmp(x->quantizer[i].name, y->quantizer[k].name) == 0;
        }
        same = found;
    }
    return same;
}

static bool same_tasks(const struct cell_evaluate *x, const struct cell_evaluate *y)
{
    bool same = x->tasks == y->tasks;
    for (int i = 0; same && i < x->tasks; i++) {
        const struct task *a = &x->task[i], *b = &y->task[i];
        same = strcmp(a->name, b->name) == 0 && a->format == b->format && a->items == b->items &&
               a->length == b->length && a->shots == b->shots && a->seed == b->seed &&
               strcmp(a->hash, b->hash) == 0;
    }
    return same;
}

static int check_pair(struct error *err, const struct merge_input *a, const struct merge_input *b)
{
    int status = STATUS_OK;
    const struct cell_evaluate *x = &a->cell->evaluate, *y = &b->cell->evaluate;
    char left[512], right[512];
    list_fractions(x, left);
    list_fractions(y, right);
    CHECK(err,
          x->checkpoints == y->checkpoints &&
              memcmp(x->fraction, y->fraction, (size_t)x->checkpoints * sizeof x->fraction[0]) == 0,
          STATUS_FAILED,
          "%s and %s cannot be merged: their checkpoints are at the fractions %s and %s", a->path,
          b->path, left, right);
    list_quantizers(x, left);
    list_quantizers(y, right);
    CHECK(err, same_quantizers(x, y, true), STATUS_FAILED,
          "%s and %s cannot be merged: their quantizers are %s and %s%s", a->path, b->path, left,
          right,
          same_quantizers(x, y, false)
              ? "; the same in another order: give both study files one order and run one of them "
                "again"
              : "");
    list_tasks(x, left);
    list_tasks(y, right);
    CHECK(err, same_tasks(x, y), STATUS_FAILED,
          "%s and %s cannot be merged: their tasks are %s and %s%s", a->path, b->path, left, right,
          strcmp(left, right) == 0 ? ", of other items" : "");
    CHECK(err, x->windows == y->windows, STATUS_FAILED,
          "%s and %s cannot be merged: they have %d and %d held-out windows", a->path, b->path,
          x->windows, y->windows);
cleanup:
    return status;
}

static int check_inputs(struct error *err, const struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    for (int i = 1; i < inputs->count; i++) {
        TRY(check_pair(err, &inputs->input[0], &inputs->input[i]));
    }
    TRY(merge_check_method(err, inputs));
cleanup:
    return status;
}

/* ---- copies of a cell ---- */

static int by_id(const void *a, const void *b, void *context)
{
    const struct copy *x = a, *y = b;
    int order = strcmp(cell_of(context, x)->id, cell_of(context, y)->id);
    return order != 0 ? order : x->input != y->input ? x->input - y->input : x->index - y->index;
}

/* Studies of the same name are one. */
static int group_of(struct error *err, const struct merge *merge, char **names, int input,
                    int *group)
{
    int status = STATUS_OK;
    TRY(studyread_attribute(err, merge->inputs.input[input].study, "study_name", &names[input]));
    *group = 0;
    while (strcmp(names[*group], names[input]) != 0) {
        (*group)++;
    }
cleanup:
    return status;
}

static int list_copies(struct error *err, struct merge *merge)
{
    int status = STATUS_OK;
    int64_t total = 0;
    char **names = calloc((size_t)merge->inputs.count + 1, sizeof *names);
    CHECK(err, names != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i < merge->inputs.count; i++) {
        total += merge->inputs.input[i].cells;
    }
    CHECK(err, total < INT32_MAX, STATUS_FAILED, "%lld cells are too many for one file",
          (long long)total);
    merge->copy = calloc((size_t)total + 1, sizeof *merge->copy);
    merge->kept = calloc((size_t)total + 1, sizeof *merge->kept);
    CHECK(err, merge->copy != NULL && merge->kept != NULL, STATUS_FAILED,
          "out of memory for %lld cells", (long long)total);
    for (int i = 0; i < merge->inputs.count; i++) {
        int group = 0;
        TRY(group_of(err, merge, names, i, &group));
        for (int k = 0; k < merge->inputs.input[i].cells; k++) {
            merge->copy[merge->copies++] = (struct copy){.input = i, .index = k, .group = group};
        }
    }
    qsort_r(merge->copy, (size_t)merge->copies, sizeof *merge->copy, by_id, merge);
cleanup:
    for (int i = 0; names != NULL && i < merge->inputs.count; i++) {
        free(names[i]);
    }
    free(names);
    return status;
}

/* The first value in which two records of a cell differ, "" if there is none. */
static void find_difference(const struct cell *cell, const struct record *a, const struct record *b,
                            char text[DIFFERENCE_TEXT])
{
    struct difference difference;
    text[0] = '\0';
    for (int i = 0; i < schema_count() && text[0] == '\0'; i++) {
        if (schema_entry(i)->role == SCHEMA_RESULT &&
            compare_entry(schema_entry(i), cell, a, b, &difference) == COMPARISON_DIFFERENT) {
            memcpy(text, difference.text, sizeof difference.text);
        }
    }
}

static int check_agreement(struct error *err, const struct merge *merge, const struct copy *first,
                           const struct copy *second)
{
    int status = STATUS_OK;
    struct record *a = NULL, *b = NULL;
    const struct cell *cell = cell_of(merge, first);
    char difference[DIFFERENCE_TEXT], name[STUDY_CELL_NAME], hint[600] = "";
    TRY(studyread_record(err, merge->inputs.input[first->input].study, first->index, &a));
    TRY(studyread_record(err, merge->inputs.input[second->input].study, second->index, &b));
    find_difference(cell, a, b, difference);
    if (strcmp(a->isa, b->isa) != 0 || strcmp(a->matmul, b->matmul) != 0) {
        snprintf(
            hint, sizeof hint,
            "; they were computed with %.60s (%.120s) and %.60s (%.120s), and bits are the same "
            "only within one instruction set and library",
            a->isa, a->matmul, b->isa, b->matmul);
    }
    CHECK(err, difference[0] == '\0', STATUS_FAILED,
          "cell %s (%s) is finished in %s and in %s, with different values: %s%s. Leave one of the "
          "two out, or find out which is wrong",
          cell->id, study_cell_name(cell, name), path_of(merge, first), path_of(merge, second),
          difference, hint);
cleanup:
    record_free(a);
    record_free(b);
    return status;
}

/* Choose one of the copies[count] of a cell. */
static int choose(struct error *err, const struct merge *merge, const struct copy *copies,
                  int count, struct copy *kept)
{
    int status = STATUS_OK;
    const struct copy *best = &copies[0];
    for (int i = 1; i < count; i++) {
        enum cell_status has = status_of(merge, best), is = status_of(merge, &copies[i]);
        if (cell_status_finished(has) && cell_status_finished(is)) {
            TRY(check_agreement(err, merge, best, &copies[i]));
            if (is_compact(merge, best) && !is_compact(merge, &copies[i])) {
                best = &copies[i];
            }
        } else if (cell_status_finished(is) || (!cell_status_finished(has) && is > has)) {
            best = &copies[i];
        }
    }
    *kept = *best;
    kept->group = copies[0].group; /* its place is where it was seen first */
cleanup:
    return status;
}

static int keep_one_each(struct error *err, struct merge *merge)
{
    int status = STATUS_OK;
    for (int i = 0; i < merge->copies;) {
        int count = 1;
        const char *id = cell_of(merge, &merge->copy[i])->id;
        while (i + count < merge->copies &&
               strcmp(cell_of(merge, &merge->copy[i + count])->id, id) == 0) {
            count++;
        }
        TRY(choose(err, merge, &merge->copy[i], count, &merge->kept[merge->cells++]));
        i += count;
    }
cleanup:
    return status;
}

/* ---- the order of the file ---- */

static int by_place(const void *a, const void *b, void *context)
{
    const struct copy *x = a, *y = b;
    int number = cell_of(context, x)->number - cell_of(context, y)->number;
    return x->group != y->group   ? x->group - y->group
           : number != 0          ? number
           : x->input != y->input ? x->input - y->input
                                  : x->index - y->index;
}

static int place_cells(struct error *err, struct merge *merge)
{
    int status = STATUS_OK;
    bool ascending = true;
    qsort_r(merge->kept, (size_t)merge->cells, sizeof *merge->kept, by_place, merge);
    merge->cell = calloc((size_t)merge->cells + 1, sizeof *merge->cell);
    CHECK(err, merge->cell != NULL, STATUS_FAILED, "out of memory for %d cells", merge->cells);
    for (int i = 0; i < merge->cells; i++) {
        merge->cell[i] = *cell_of(merge, &merge->kept[i]);
        ascending = ascending && (i == 0 || merge->cell[i].number > merge->cell[i - 1].number);
    }
    for (int i = 0; i < merge->cells && !ascending; i++) { /* of more than one study */
        merge->cell[i].number = i;
    }
    /* A quantizer is at every checkpoint of the file if it is in every input. */
    for (int q = 0; q < merge->cell->evaluate.quantizers; q++) {
        for (int i = 0; i < merge->inputs.count; i++) {
            merge->cell->evaluate.every_checkpoint[q] &=
                merge->inputs.input[i].cell->evaluate.every_checkpoint[q];
        }
    }
cleanup:
    return status;
}

/* ---- can a report tell the cells apart? ---- */

static int by_label(const void *a, const void *b)
{
    const struct cell *x = *(const struct cell *const *)a, *y = *(const struct cell *const *)b;
    int size = strcmp(x->size.name, y->size.name);
    int64_t parameters = cell_parameters(x) - cell_parameters(y);
    int setting = x->base || y->base ? y->base - x->base : strcmp(x->setting, y->setting);
    return size != 0         ? size
           : parameters != 0 ? (parameters > 0) - (parameters < 0)
           : setting != 0    ? setting
                             : (x->seed > y->seed) - (x->seed < y->seed);
}

/* The first setting in which two cells differ that look alike. */
static void find_other_setting(const struct cell *a, const struct cell *b, char text[512])
{
    snprintf(text, 512, "they differ in text, evaluation or calibration");
    for (int i = 0; i < settings_count(); i++) {
        const struct setting *setting = settings_entry(i);
        const char *x = setting_text(setting, a), *y = setting_text(setting, b);
        if (setting->type == SETTING_TEXT) {
            continue; /* ids and labels */
        }
        if (x != NULL && strcmp(x, y) != 0) {
            snprintf(text, 512, "%s is %s and %s", setting->name, x, y);
            return;
        }
        double left = setting_number(setting, a), right = setting_number(setting, b);
        if (x == NULL && left != right) {
            snprintf(text, 512, "%s is %.9g and %.9g", setting->name, left, right);
            return;
        }
    }
}

static int check_labels(struct error *err, const struct merge *merge)
{
    int status = STATUS_OK;
    char name[STUDY_CELL_NAME], difference[512];
    const struct cell **cell = calloc((size_t)merge->cells + 1, sizeof *cell);
    CHECK(err, cell != NULL, STATUS_FAILED, "out of memory for %d cells", merge->cells);
    for (int i = 0; i < merge->cells; i++) {
        cell[i] = &merge->cell[i];
    }
    qsort(cell, (size_t)merge->cells, sizeof *cell, by_label);
    for (int i = 1; i < merge->cells; i++) {
        if (by_label(&cell[i - 1], &cell[i]) != 0) {
            continue;
        }
        find_other_setting(cell[i - 1], cell[i], difference);
        FAIL(err, STATUS_FAILED,
             "cells %s and %s are both called %s but are not the same: %s. No report could tell "
             "them apart; give sizes or settings of the two studies different names, or keep two "
             "files",
             cell[i - 1]->id, cell[i]->id, study_cell_name(cell[i], name), difference);
    }
cleanup:
    free(cell);
    return status;
}

/* ---- writing ---- */

/* Is `out` free, or a study.nc that may be replaced? */
static int check_out(struct error *err, const char *out)
{
    int status = STATUS_OK;
    struct stat about;
    struct error reason = {0};
    struct studyread *study = NULL;
    const char *slash = strrchr(out, '/');
    char folder[ATOMIC_PATH] = ".";
    CHECK(err, strlen(out) < sizeof folder, STATUS_USAGE, "merge: %s: the path is too long", out);
    if (slash != NULL) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - out) + 1, out);
    }
    CHECK(err, access(folder, W_OK | X_OK) == 0, STATUS_FAILED, "%s: cannot write into %s: %s%s",
          out, folder, strerror(errno), atomic_hint(errno));
    if (stat(out, &about) != 0) {
        goto cleanup;
    }
    CHECK(err, !S_ISDIR(about.st_mode), STATUS_USAGE,
          "merge: %s is a folder; the first argument is the file to write: merge OUT.nc %s …", out,
          out);
    CHECK(err, studyread_open(&reason, out, &study) == STATUS_OK, STATUS_USAGE,
          "merge: %s exists and is no study.nc that could be replaced (%s); give another name", out,
          reason.message);
cleanup:
    studyread_close(study);
    return status;
}

static int write_cells(struct error *err, const struct merge *merge, struct studyfile *file)
{
    int status = STATUS_OK;
    struct record *record = NULL;
    for (int i = 0; i < merge->cells; i++) {
        const struct copy *copy = &merge->kept[i];
        TRY(studyread_record(err, merge->inputs.input[copy->input].study, copy->index, &record));
        TRY(studyfile_put(err, file, record, !cell_status_finished(record->status)));
        record_free(record);
        record = NULL;
    }
cleanup:
    record_free(record);
    return status;
}

static bool all_compact(const struct merge_inputs *inputs)
{
    bool all = true;
    for (int i = 0; i < inputs->count; i++) {
        all = all && studyread_compact(inputs->input[i].study);
    }
    return all;
}

int merge_write(struct error *err, const char *out, const char *const *input, int inputs,
                bool compact, struct merge_summary *summary)
{
    int status = STATUS_OK;
    struct merge merge = {0};
    struct studyfile *file = NULL;
    *summary = (struct merge_summary){0};
    CHECK(err, inputs > 0, STATUS_USAGE, "merge: there is nothing to merge");
    TRY(check_out(err, out));
    TRY(merge_inputs_open(err, out, input, inputs, &merge.inputs));
    TRY(check_inputs(err, &merge.inputs));
    TRY(list_copies(err, &merge));
    TRY(keep_one_each(err, &merge));
    TRY(place_cells(err, &merge));
    TRY(check_labels(err, &merge));
    TRY(studyfile_create(err, out, merge.cell, merge.cells, &file));
    summary->compact = compact || all_compact(&merge.inputs);
    if (summary->compact) {
        studyfile_compact(file);
    }
    TRY(merge_put_texts(err, file, &merge.inputs, merge.cell, merge.cells));
    TRY(studyfile_define(err, file));
    TRY(write_cells(err, &merge, file));
    status = studyfile_commit(err, file);
    file = NULL;
    summary->files = merge.inputs.count;
    summary->cells = merge.cells;
    summary->duplicates = merge.copies - merge.cells;
    for (int i = 0; i < merge.cells; i++) {
        summary->finished += cell_status_finished(status_of(&merge, &merge.kept[i]));
    }
cleanup:
    studyfile_discard(file);
    merge_inputs_close(&merge.inputs);
    free(merge.copy);
    free(merge.kept);
    free(merge.cell);
    return status;
}
