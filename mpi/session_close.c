/* study.nc, and a session's end. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mpi/clock.h"
#include "mpi/session_state.h"
#include "results/seal.h"

static const double aggregate_every = 60; /* seconds */
static const double aggregate_share = 20; /* wait this many times what the last one took */

/* Why the run stopped, in the journal: without a study.nc of its own. */
static const char stopped_unwritten[] = "study.nc not written";

static int write_aggregate(struct error *err, struct session *s)
{
    double begun = clock_seconds();
    int status = s->no_aggregate
                     ? STATUS_OK
                     : aggregate_write(err, s->dir, s->spec, s->cell, s->cells, &s->provenance);
    s->last_aggregate = clock_seconds();
    s->aggregate_took = s->last_aggregate - begun;
    if (status == STATUS_OK) {
        s->changed = false;
        s->aggregate_warned = false;
    }
    return status;
}

void session_keep_aggregate(struct session *s)
{
    struct error failure = {0};
    double wait = aggregate_share * s->aggregate_took;
    if (s->changed &&
        clock_seconds() - s->last_aggregate >= (wait > aggregate_every ? wait : aggregate_every)) {
        if (write_aggregate(&failure, s) != STATUS_OK) {
            session_warn_once(s, &s->aggregate_warned, &failure);
        }
    }
}

/* Is study.nc missing or damaged, or did something happen after the last run has written it? Every run that
 * ends in order writes it and then the event "stop"; a changed study file is an event, too. */
static bool aggregate_is_stale(const struct session *s)
{
    char path[SPEC_PATH + 64];
    const char *why = rundir_stopped(s->dir);
    snprintf(path, sizeof path, "%s/study.nc", rundir_path(s->dir));
    return access(path, F_OK) != 0 || seal_check(NULL, path, SEAL_STUDY) != STATUS_OK ||
           why == NULL || strcmp(why, stopped_unwritten) == 0;
}

static const char *why_it_ends(const struct error *err, const struct session *s)
{
    if (err->status != STATUS_OK) {
        return "failed";
    }
    if (session_finished(s)) {
        return session_given_up(s) > 0 ? "cells failed" : "finished";
    }
    return s->stop.cause != STOP_NONE ? stop_why(s->stop.cause) : "cells failed";
}

/* Results, study.nc and the run's last event. A failure goes to `err` unless that has one already. */
static void end_run(struct error *err, struct session *s)
{
    struct error failure = {0};
    const char *why = why_it_ends(err, s);
    bool ordered = s->stop.cause != STOP_NONE && s->stop.cause != STOP_NO_WORKERS &&
                   s->stop.cause != STOP_FEW_WORKERS && !s->stop.now;
    int status = session_commit(&failure, s);
    bool stale = s->changed || aggregate_is_stale(s);

    if (stale && (s->stop.now || write_aggregate(&failure, s) != STATUS_OK)) {
        status = status == STATUS_OK ? failure.status : status;
        why = stopped_unwritten;
    }
    if (stale || s->ran) {
        rundir_write_live(NULL, s->dir, s->live, 0); /* advisory */
        int logged =
            rundir_log_stop(&failure, s->dir, why, ordered ? clock_seconds() - s->stop.since : 0,
                            s->busy, s->began > 0 ? s->workers * (clock_seconds() - s->began) : 0);
        logged = logged == STATUS_OK ? rundir_sync(&failure, s->dir) : logged;
        status = status == STATUS_OK ? logged : status;
    }
    if (status != STATUS_OK) {
        session_storage_failure(&failure, rundir_path(s->dir), status);
        if (err->status == STATUS_OK) {
            *err = failure;
        } else if (strcmp(err->message, failure.message) != 0) {
            fprintf(stderr, "ptqscale: %s\n", failure.message);
        }
    }
}

static void say_stopped(struct error *err, const struct session *s)
{
    char by[SPEC_PATH + 64] = "";
    switch (s->stop.cause) {
    case STOP_SIGNAL:
        snprintf(by, sizeof by, "stopped by a signal");
        break;
    case STOP_FILE:
        snprintf(by, sizeof by, "stopped by the file %s/stop", rundir_path(s->dir));
        break;
    case STOP_DEADLINE:
        snprintf(by, sizeof by, "stopped before the deadline");
        break;
    case STOP_NO_WORKERS:
        snprintf(by, sizeof by, "all workers are lost (see above)");
        break;
    case STOP_FEW_WORKERS:
        snprintf(by, sizeof by,
                 "a cell needs %d workers, of which there are not enough left (see above)",
                 scheduler_stuck(s->scheduler));
        break;
    case STOP_NONE:
        snprintf(by, sizeof by, "stopped");
        break;
    }
    error_set(err, STATUS_STOPPED, __FILE__, __LINE__,
              "%s%s with %d of %d cells finished; the same command goes on from there", by,
              s->stop.now ? " at once" : "", session_finished_cells(s), s->cells);
}

static void say_given_up(struct error *err, const struct session *s)
{
    int failed = scheduler_count(s->scheduler, CELL_FAILED);
    int quarantined = scheduler_count(s->scheduler, CELL_QUARANTINED);
    char some[64] = "", others[64] = "";
    if (failed > 0) {
        snprintf(some, sizeof some, "%d of %d cells failed", failed, s->cells);
    }
    if (quarantined > 0) {
        snprintf(others, sizeof others, "%s%d of %d cells are quarantined",
                 failed > 0 ? " and " : "", quarantined, s->cells);
    }
    error_set(err, STATUS_FAILED, __FILE__, __LINE__,
              "%s%s (see above, or ptqscale explain %s CELL); the same command with --retry-failed "
              "tries them again",
              some, others, rundir_path(s->dir));
}

int session_close(struct error *err, struct session *s)
{
    bool ended = session_finished(s);

    display_clear(&s->display);
    if (s->held && !ended) {
        stop_ask(&s->stop, STOP_DEADLINE);
    }
    if (scheduler_stuck(s->scheduler) > 0) {
        stop_ask(&s->stop, STOP_FEW_WORKERS);
    }
    if (err->status == STATUS_OK && ended) {
        session_show_failed(s);
    }
    if (!s->taken_over) {
        end_run(err, s);
    }
    if (err->status == STATUS_OK && ended && session_given_up(s) == 0) {
        session_show_summary(s);
    } else if (err->status == STATUS_OK && ended) {
        say_given_up(err, s);
    } else if (err->status == STATUS_OK) {
        say_stopped(err, s);
    }
    char folder[SPEC_PATH];
    snprintf(folder, sizeof folder, "%s", rundir_path(s->dir));
    session_free(s); /* the folder is free */
    struct error failure = {0};
    if (rundir_leave_status(&failure, folder, err->status) != STATUS_OK) {
        fprintf(stderr, "ptqscale: warning: %s\n", failure.message);
    }
    return err->status;
}
