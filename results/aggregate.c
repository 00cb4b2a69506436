#include "results/aggregate.h"

#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs/version.h"
#include "results/analysis.h"
#include "results/cellfile_checked.h"
#include "results/journal.h"
#include "results/rundir_jobs.h"
#include "results/spending.h"
#include "results/studyfile.h"

/* ---- global attributes ---- */

static char *data_files(const struct spec *spec)
{
    size_t size = 1;
    for (int i = 0; i < spec->source.files; i++) {
        size += strlen(spec->source.file[i]) + 2;
    }
    char *files = calloc(size, 1);
    for (int i = 0; files != NULL && i < spec->source.files; i++) {
        strcat(files, i > 0 ? ", " : "");
        strcat(files, spec_path_written(spec, spec->source.file[i]));
    }
    return files;
}

/* How far adaptive replication has come, for the level of the report's intervals (results/table.h). */
static int put_looks(struct error *err, const struct studyfile *study, const struct rundir *dir,
                     const struct spec_looks *plan)
{
    int status = STATUS_OK;
    struct spending spending[SPEC_LOOKS];
    const struct look *look = NULL;
    const int looks = rundir_looks(dir, &look);
    char planned[SPEC_LOOKS_TEXT], seeds[16], level[40], spent[40];
    if (plan->count == 0) {
        goto cleanup;
    }
    spending_plan(plan, ANALYSIS_ALPHA, spending);
    look = looks > 0 ? &look[looks - 1] : NULL;
    snprintf(seeds, sizeof seeds, "%d", look != NULL ? look->seeds : 0);
    snprintf(level, sizeof level, "%.17g", look != NULL ? look->level : spending[0].level);
    snprintf(spent, sizeof spent, "%.17g", look != NULL ? look->spent : 0);
    const char *const text[][2] = {
        {"looks_planned", spec_looks_text(plan, planned)},
        {"looks_seeds", seeds},
        {"looks_level", level},
        {"looks_spent", spent},
        {"looks_decision", look != NULL ? look_decision_name(look->decision) : "none yet"},
        {"looks_undecided", look != NULL ? look->undecided : ""},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(studyfile_text(err, study, text[i][0], text[i][1]));
    }
cleanup:
    return status;
}

static int put_globals(struct error *err, const struct studyfile *study, const struct rundir *dir,
                       const struct spec *spec, const struct cell *cells, int count,
                       const struct provenance *provenance)
{
    int status = STATUS_OK;
    char *history = NULL, *expanded = NULL, *files = data_files(spec);
    char now[32], id[STUDYFILE_ID], source[256], libraries[RECORD_TEXT + 64];
    static const struct provenance serial;
    provenance = provenance == NULL ? &serial : provenance;
    journal_time((int64_t)time(NULL), now);
    studyfile_id(spec->name, cells, count, id);
    const char *netcdf = nc_inq_libvers(); /* "4.9.0 of …" */
    snprintf(libraries, sizeof libraries, "%s%snetCDF %.*s", provenance->libraries,
             provenance->libraries[0] ? "; " : "", (int)strcspn(netcdf, " "), netcdf);
    snprintf(source, sizeof source, "ptqscale %s, commit %s", version_string(), version_commit());
    CHECK(err, files != NULL, STATUS_FAILED, "%s: out of memory", rundir_path(dir));
    TRY(rundir_history(err, dir, NULL, &history));
    TRY(spec_published(err, spec, &expanded));
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
        {"corpus_fingerprint", cells->data.fingerprint},
        {"corpus_files", files},
        {"corpus_cleaning", cells->data.cleaning},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(studyfile_text(err, study, text[i][0], text[i][1]));
    }
    TRY(put_looks(err, study, dir, &spec->looks));
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
                    evaluate->windows == first->windows && evaluate->tasks == first->tasks &&
                    memcmp(evaluate->fraction, first->fraction,
                           (size_t)first->checkpoints * sizeof first->fraction[0]) == 0;
        for (int q = 0; same && q < first->quantizers; q++) {
            same = strcmp(evaluate->quantizer[q].name, first->quantizer[q].name) == 0;
        }
        for (int t = 0; same && t < first->tasks; t++) {
            same = strcmp(evaluate->task[t].name, first->task[t].name) == 0 &&
                   evaluate->task[t].items == first->task[t].items;
        }
        CHECK(err, same, STATUS_FAILED,
              "cells %s and %s differ in checkpoints, quantizers, windows or tasks: they are not "
              "of one "
              "study",
              cells[0].id, cells[i].id);
    }
cleanup:
    return status;
}

/* A cell without a file: what the journal knows of it. */
static int put_unfinished(struct error *err, struct studyfile *study, const struct cell *cell,
                          const struct rundir_cell *known)
{
    int status = STATUS_OK;
    struct record *blank = NULL;
    TRY(record_create(err, cell, &blank));
    if (known != NULL) {
        blank->status = known->status;
        blank->attempts = known->attempts;
        snprintf(blank->reason, sizeof blank->reason, "%s", known->reason);
        snprintf(blank->host, sizeof blank->host, "%s", known->host);
    }
    TRY(studyfile_put(err, study, blank, true));
cleanup:
    record_free(blank);
    return status;
}

static int put_cells(struct error *err, struct studyfile *study, const struct rundir *dir,
                     const struct cell *cells, int count)
{
    int status = STATUS_OK;
    struct record *record = NULL;
    char path[SPEC_PATH + 64];
    for (int i = 0; i < count; i++) {
        if (i % RUNDIR_CELLS_PER_BEAT ==
            0) { /* thousands of cells take longer than a lease lasts */
            TRY(rundir_beat(err, dir));
        }
        const struct rundir_cell *known = rundir_find(dir, cells[i].id);
        if (known == NULL || !cell_status_finished(known->status)) {
            TRY(put_unfinished(err, study, &cells[i], known));
            continue;
        }
        rundir_cell_path(rundir_path(dir), cells[i].id, path);
        TRY(cellfile_read_checked(err, path, &cells[i], known->checksum, &record));
        TRY(studyfile_put(err, study, record, false));
        record_free(record);
        record = NULL;
    }
cleanup:
    record_free(record);
    return status;
}

int aggregate_write_file(struct error *err, const struct rundir *dir, const char *path,
                         const struct spec *spec, const struct cell *cells, int count,
                         const struct provenance *provenance)
{
    int status = STATUS_OK;
    struct studyfile *study = NULL;
    TRY(check_cells(err, cells, count));
    TRY(studyfile_create(err, path, cells, count, &study));
    TRY(put_globals(err, study, dir, spec, cells, count, provenance));
    TRY(studyfile_define(err, study));
    TRY(put_cells(err, study, dir, cells, count));
    status = studyfile_commit(err, study);
    study = NULL;
cleanup:
    studyfile_discard(study);
    return status;
}

int aggregate_write(struct error *err, struct rundir *dir, const struct spec *spec,
                    const struct cell *cells, int count, const struct provenance *provenance)
{
    int status = STATUS_OK;
    char path[SPEC_PATH + 64];
    snprintf(path, sizeof path, "%s/study.nc", rundir_path(dir));
    TRY(aggregate_write_file(err, dir, path, spec, cells, count, provenance));
cleanup:
    return status;
}
