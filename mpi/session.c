#include "mpi/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/cost.h"
#include "mpi/clock.h"
#include "mpi/session_state.h"

static const double live_every = 2;        /* seconds */
static const double aggregate_every = 60;  /* seconds */
static const double aggregate_share = 20;  /* wait this many times what the last one took */
static const double reference_rate = 2e10; /* FLOP/s until cells have taught better */

/* Why the run stopped, in the journal: without a study.nc of its own. */
static const char stopped_unwritten[] = "study.nc not written";

static int worker_rank(const struct session *s, int worker)
{
    return s->ranks > 1 ? worker + 1 : 0;
}

/* A failure to write below the folder: for lack of space the run can go on later. */
static int storage_failure(struct error *err, const struct session *s, int status)
{
    if (status == STATUS_FAILED && executor_storage_full(rundir_path(s->dir), err)) {
        err->status = STATUS_STOPPED;
    }
    return err->status;
}

/* Cells of one kind run at one rate: same size, same precision. */
static int kind_of(const struct spec *spec, const struct cell *cell)
{
    for (int i = 0; i < spec->sizes; i++) {
        if (strcmp(spec->size[i].name, cell->size.name) == 0) {
            return 3 * i + (int)cell->train.precision;
        }
    }
    return (int)cell->train.precision;
}

static int make_scheduler(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    struct scheduler_item *item = calloc((size_t)s->cells + 1, sizeof *item);

    CHECK(err, item != NULL, STATUS_FAILED, "out of memory for %d cells", s->cells);
    for (int i = 0; i < s->cells; i++) {
        struct cost cost;
        cost_of(&s->cell[i], &cost);
        item[i].seconds = cost_seconds(&cost, reference_rate);
        item[i].kind = kind_of(s->spec, &s->cell[i]);
    }
    TRY(scheduler_create(err, item, s->cells, s->workers, &s->scheduler));
cleanup:
    free(item);
    return status;
}

/* What an earlier run has finished need not run again, if its file is whole. */
static int adopt_finished(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    for (int i = 0; i < s->cells; i++) {
        const struct rundir_cell *known = rundir_find(s->dir, s->cell[i].id);
        if (known == NULL || (known->status != CELL_DONE && known->status != CELL_DIVERGED)) {
            continue;
        }
        enum cell_status state = known->status;
        double seconds = state == CELL_DONE ? known->seconds : 0;
        bool ok = false;
        TRY(rundir_verify(err, s->dir, s->cell[i].id, &ok));
        if (ok) {
            TRY(scheduler_adopt(err, s->scheduler, i, state, seconds));
        } else {
            char label[SESSION_LABEL];
            fprintf(stderr, "ptqscale: %s (%s) is computed again\n",
                    session_label(&s->cell[i], label), s->cell[i].id);
        }
    }
cleanup:
    return status;
}

static void free_session(struct session *s)
{
    if (s) {
        scheduler_free(s->scheduler);
        rundir_close(s->dir);
        free(s->cell);
        free(s->live);
        spec_free(s->spec);
        free(s);
    }
}

int session_open(struct error *err, const char *study, const char *out, int ranks, const char *mpi,
                 struct session **session)
{
    int status = STATUS_OK;
    struct session *s = calloc(1, sizeof *s);
    const char *job = getenv("SLURM_JOB_ID");

    *session = NULL;
    CHECK(err, s != NULL, STATUS_FAILED, "out of memory");
    s->ranks = ranks;
    s->workers = ranks > 1 ? ranks - 1 : 1;
    s->started = clock_seconds();
    s->display = display_create();
    snprintf(s->provenance.mpi, sizeof s->provenance.mpi, "%s", mpi);
    snprintf(s->provenance.job_id, sizeof s->provenance.job_id, "%.200s", job ? job : "");
    snprintf(s->provenance.libraries, sizeof s->provenance.libraries, "%s", run_cell_matmul());

    TRY(spec_read(err, study, &s->spec));
    TRY(spec_fingerprint(err, s->spec));
    TRY(spec_cells(err, s->spec, &s->cell, &s->cells));
    CHECK(err, s->cells > 0, STATUS_USAGE, "%s: the study has no cells", study);
    s->live = calloc((size_t)s->workers, sizeof *s->live);
    CHECK(err, s->live != NULL, STATUS_FAILED, "out of memory for %d workers", s->workers);
    for (int w = 0; w < s->workers; w++) {
        s->live[w].worker = worker_rank(s, w);
        s->live[w].heard = clock_unix();
    }
    TRY(make_scheduler(err, s));
    TRY(rundir_open(err, out, s->spec, &s->dir));
    TRY(adopt_finished(err, s));
    *session = s;
    s = NULL;
cleanup:
    free_session(s);
    return status;
}

const struct spec *session_spec(const struct session *s)
{
    return s->spec;
}

const struct cell *session_first_cell(const struct session *s)
{
    return s->cell;
}

const char *session_folder(const struct session *s)
{
    return rundir_path(s->dir);
}

bool session_finished(const struct session *s)
{
    return session_finished_cells(s) == s->cells;
}

int session_start(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    int before = session_finished_cells(s);
    char earlier[64] = "";

    s->ran = true;
    TRY(rundir_log_run(err, s->dir, s->ranks, s->cells, s->provenance.job_id));
    if (before > 0) {
        snprintf(earlier, sizeof earlier, ", %d of them finished before", before);
    }
    display_event(&s->display, true, "study %s: %d cells%s; %s, folder %s", s->spec->name, s->cells,
                  earlier, s->ranks > 1 ? "coordinator and workers" : "one process",
                  rundir_path(s->dir));
    s->last_aggregate = clock_seconds();
cleanup:
    return storage_failure(err, s, status);
}

void session_ready(struct session *s, int worker, const char *host)
{
    struct rundir_live *live = &s->live[worker];
    snprintf(live->host, sizeof live->host, "%s", host);
    live->heard = clock_unix();
}

int session_next(struct error *err, struct session *s, int worker, const struct cell **cell,
                 int *attempts)
{
    int status = STATUS_OK;
    int index = -1;
    char label[SESSION_LABEL];

    *cell = NULL;
    TRY(scheduler_next(err, s->scheduler, worker, clock_seconds(), &index));
    if (index < 0) {
        goto cleanup;
    }
    struct rundir_live *live = &s->live[worker];
    TRY(rundir_log_begin(err, s->dir, &s->cell[index], live->worker, live->host));
    *attempts = rundir_find(s->dir, s->cell[index].id)->attempts;
    memcpy(live->id, s->cell[index].id, sizeof live->id);
    live->step = 0;
    live->steps = s->cell[index].train.steps;
    live->loss = NAN;
    live->tokens_per_second = 0;
    live->heard = clock_unix();
    display_event(&s->display, false, "begin  %s (%.8s) on rank %d, %s",
                  session_label(&s->cell[index], label), live->id, live->worker, live->host);
    *cell = &s->cell[index];
cleanup:
    return storage_failure(err, s, status);
}

void session_progress(struct session *s, int worker, const struct progress *progress)
{
    struct rundir_live *live = &s->live[worker];
    live->step = progress->step;
    live->steps = progress->steps;
    live->loss = progress->loss;
    live->tokens_per_second = progress->tokens_per_second;
    live->heard = clock_unix();
    if (progress->steps > 0) {
        scheduler_progress(s->scheduler, worker, (double)progress->step / (double)progress->steps);
    }
}

int session_result(struct error *err, struct session *s, int worker, const struct outcome *outcome)
{
    int status = STATUS_OK;
    int index = scheduler_holds(s->scheduler, worker);
    struct rundir_live *live = &s->live[worker];

    CHECK(err, index >= 0 && strcmp(s->cell[index].id, outcome->id) == 0, STATUS_FAILED,
          "rank %d reports cell %.32s, which it was not given", live->worker, outcome->id);
    bool own = outcome->kind == OUTCOME_FINISHED || outcome->kind == OUTCOME_FAILED;
    enum cell_status state = outcome->kind == OUTCOME_FINISHED ? outcome->status : CELL_FAILED;
    if (own) {
        TRY(scheduler_finish(err, s->scheduler, worker, index, state, outcome->seconds));
        s->changed = true;
    } else { /* not the cell's fault: it is pending again */
        TRY(scheduler_take_back(err, s->scheduler, worker, &index));
        state = CELL_PENDING;
    }
    live->id[0] = '\0';
    live->heard = clock_unix();
    status = rundir_log_end(err, s->dir, outcome->id, state, outcome->checksum, outcome->seconds,
                            outcome->kind == OUTCOME_STOPPED ? "interrupted" : outcome->reason);
    if (status != STATUS_OK) {
        status = storage_failure(err, s, status);
        goto cleanup;
    }
    if (own) {
        session_show_end(s, index, outcome, state);
    }
    CHECK(err, outcome->kind != OUTCOME_NO_CORPUS, STATUS_FAILED, "rank %d on host %s: %s",
          live->worker, live->host, outcome->reason);
    CHECK(err, outcome->kind != OUTCOME_NOT_STORED, outcome->full ? STATUS_STOPPED : STATUS_FAILED,
          "rank %d on host %s cannot store its result: %s%s", live->worker, live->host,
          outcome->reason, outcome->full ? "; make room, then run the same command again" : "");
cleanup:
    return status;
}

static int write_aggregate(struct error *err, struct session *s)
{
    double begun = clock_seconds();
    int status = aggregate_write(err, s->dir, s->spec, s->cell, s->cells, &s->provenance);
    s->last_aggregate = clock_seconds();
    s->aggregate_took = s->last_aggregate - begun;
    if (status == STATUS_OK) {
        s->changed = false;
        s->aggregate_warned = false;
    }
    return status;
}

/* What is shown or can be rebuilt does not end a run when it cannot be written: say so once. */
static void warn_once(struct session *s, bool *warned, const struct error *failure)
{
    if (!*warned) {
        display_clear(&s->display);
        fprintf(stderr, "ptqscale: warning: %s\n", failure->message);
        *warned = true;
    }
}

void session_tick(struct session *s)
{
    struct error failure = {0};
    double now = clock_seconds();

    if (display_due(&s->display)) {
        session_show_state(s);
    }
    if (now - s->last_live >= live_every) {
        s->last_live = now;
        if (rundir_write_live(&failure, s->dir, s->live, s->workers) != STATUS_OK) {
            warn_once(s, &s->live_warned, &failure);
        }
    }
    double wait = aggregate_share * s->aggregate_took;
    if (s->changed &&
        now - s->last_aggregate >= (wait > aggregate_every ? wait : aggregate_every)) {
        error_clear(&failure);
        if (write_aggregate(&failure, s) != STATUS_OK) {
            warn_once(s, &s->aggregate_warned, &failure);
        }
    }
}

/* Is study.nc missing, or did something happen after the last run has written it? Every run that
 * ends in order writes it and then the event "stop"; a changed study file is an event, too. */
static int aggregate_is_stale(struct error *err, const struct session *s, bool *stale)
{
    int status = STATUS_OK;
    char path[SPEC_PATH + 64];
    char *events = NULL;

    *stale = true;
    snprintf(path, sizeof path, "%s/study.nc", rundir_path(s->dir));
    if (access(path, F_OK) != 0) {
        goto cleanup;
    }
    TRY(rundir_history(err, s->dir, NULL, &events));
    size_t length = strlen(events);
    if (length > 0 && events[length - 1] == '\n') {
        events[length - 1] = '\0';
    }
    const char *newline = strrchr(events, '\n'), *last = newline ? newline + 1 : events;
    *stale = strstr(last, " stop ") == NULL || strstr(last, stopped_unwritten) != NULL;
cleanup:
    free(events);
    return status;
}

/* study.nc and the run's last event. A failure goes to `err` unless that has one already. */
static void end_run(struct error *err, struct session *s, bool interrupted)
{
    struct error failure = {0};
    int status = STATUS_OK;
    bool stale = s->changed;
    const char *why = err->status != STATUS_OK ? "failed"
                      : interrupted            ? "interrupted"
                      : session_finished(s)    ? "finished"
                                               : "cells failed";
    if (!stale) {
        TRY(aggregate_is_stale(&failure, s, &stale));
    }
    if (stale && write_aggregate(&failure, s) != STATUS_OK) {
        status = failure.status;
        why = stopped_unwritten;
    }
    if (stale || s->ran) {
        rundir_write_live(NULL, s->dir, s->live, 0); /* advisory */
        int logged = rundir_log_stop(&failure, s->dir, why);
        status = status == STATUS_OK ? logged : status;
    }
cleanup:
    if (status != STATUS_OK) {
        storage_failure(&failure, s, status);
        if (err->status == STATUS_OK) {
            *err = failure;
        } else if (strcmp(err->message, failure.message) != 0) {
            fprintf(stderr, "ptqscale: %s\n", failure.message);
        }
    }
}

int session_close(struct error *err, struct session *s, bool interrupted)
{
    bool finished = session_finished(s);
    int failed = scheduler_count(s->scheduler, CELL_FAILED);

    display_clear(&s->display);
    if (err->status == STATUS_OK && !finished && !interrupted) {
        session_show_failed(s);
    }
    end_run(err, s, interrupted);
    if (err->status == STATUS_OK && finished) {
        session_show_summary(s);
    } else if (err->status == STATUS_OK && interrupted) {
        error_set(err, STATUS_STOPPED, __FILE__, __LINE__,
                  "stopped by a signal with %d of %d cells finished; the same command goes on from "
                  "there",
                  session_finished_cells(s), s->cells);
    } else if (err->status == STATUS_OK) {
        error_set(
            err, STATUS_FAILED, __FILE__, __LINE__,
            "%d of %d cells failed (see above, or ptqscale explain %s CELL); the same command "
            "tries them again",
            failed, s->cells, rundir_path(s->dir));
    }
    free_session(s);
    return err->status;
}
