#include "mpi/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/clock.h"
#include "mpi/session_state.h"
#include "results/checkpoint.h"

static const double live_every = 1;   /* seconds */
static const double beat_every = 8;   /* seconds */
static const double commit_share = 4; /* wait this many times what the last one took */

const struct spec *session_spec(const struct session *s)
{
    return s->spec;
}

const struct spec_run *session_pace(const struct session *s)
{
    return &s->pace;
}

const struct cell *session_first_cell(const struct session *s)
{
    return s->cell;
}

const char *session_folder(const struct session *s)
{
    return rundir_path(s->dir);
}

bool session_exhausted(const struct session *s)
{
    return s->held || scheduler_count(s->scheduler, CELL_PENDING) == 0 ||
           scheduler_stuck(s->scheduler) > 0;
}

bool session_finished(const struct session *s)
{
    return scheduler_count(s->scheduler, CELL_PENDING) == 0 &&
           scheduler_count(s->scheduler, CELL_RUNNING) == 0 && !session_look_due(s);
}

bool session_may_pass(const char *message)
{
    return strcasestr(message, "input/output error") != NULL;
}

int session_storage_failure(struct error *err, const char *folder, int status)
{
    if (status == STATUS_FAILED &&
        (executor_storage_full(folder, err) || session_may_pass(err->message))) {
        err->status = STATUS_STOPPED;
    }
    return err->status;
}

void session_drop_checkpoint(const struct session *s, const char *id)
{
    struct error failure = {0};
    if (checkpoint_remove(&failure, rundir_path(s->dir), id) != STATUS_OK) {
        fprintf(stderr, "ptqscale: warning: %s\n", failure.message);
    }
}

void session_set_state(struct rundir_live *live, const char *state)
{
    snprintf(live->state, sizeof live->state, "%s", state);
    live->heard = clock_unix();
}

/* ---- workers ---- */

void session_ready(struct session *s, int worker, const char *host)
{
    struct rundir_live *live = &s->live[worker];
    snprintf(live->host, sizeof live->host, "%s", host);
    session_set_state(live, "idle");
    scheduler_ready(s->scheduler, worker);
}

void session_heard(struct session *s, int worker)
{
    s->live[worker].heard = clock_unix();
}

int session_progress(struct error *err, struct session *s, int cell,
                     const struct progress *progress)
{
    int status = STATUS_OK;
    const char *id = s->cell[cell].id;
    const bool resumes = strcmp(progress->phase, "resume") == 0;
    const double done = progress->steps > 0 ? (double)progress->step / (double)progress->steps : 0;
    if (resumes) {
        char label[SESSION_LABEL];
        TRY(rundir_log_resumed(err, s->dir, id, progress->step));
        display_event(&s->display, false, "resume %s (%.8s) at step %lld of %lld",
                      session_label(&s->cell[cell], label), id, (long long)progress->step,
                      (long long)progress->steps);
        scheduler_resumed(s->scheduler, cell, done);
    }
    scheduler_progress(s->scheduler, clock_seconds(), cell, done);
    const int leader = scheduler_leader(s->scheduler, cell);
    session_set_state(&s->live[leader], progress->phase);
    for (int w = leader; w >= 0 && strcmp(s->live[w].id, id) == 0; w = s->mate[w]) {
        struct rundir_live *live = &s->live[w];
        live->step = progress->step;
        live->steps = progress->steps;
        live->loss = progress->loss;
        live->tokens_per_second = progress->tokens_per_second;
    }
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}

/* ---- what is durable ---- */

int session_settle(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    TRY(rundir_settle(err, s->dir));
    for (; s->logged < s->ends; s->logged++) {
        const struct session_end *end = &s->end[s->logged];
        const struct outcome *outcome = &end->outcome;
        TRY(rundir_log_end(err, s->dir, outcome->id, end->state, outcome->checksum,
                           outcome->seconds,
                           outcome->kind != OUTCOME_STOPPED ? outcome->reason
                           : end->widens                    ? RUNDIR_WIDENED
                                                            : "interrupted"));
    }
    s->given_back = false;
cleanup:
    return status;
}

bool session_commit_due(const struct session *s)
{
    return s->ends >= SESSION_BATCH || s->begins >= SESSION_BATCH ||
           clock_seconds() - s->committed >= commit_share * s->commit_took;
}

int session_commit(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    double begun = clock_seconds();
    TRY(session_settle(err, s));
    TRY(rundir_sync(err, s->dir));
    s->committed = clock_seconds();
    s->commit_took = s->committed - begun;
    for (int i = 0; i < s->ends; i++) {
        const struct session_end *end = &s->end[i];
        if (end->outcome.kind == OUTCOME_FINISHED) { /* and recorded: only now is it not needed */
            session_drop_checkpoint(s, end->outcome.id);
        }
        if (end->state != CELL_PENDING) {
            session_show_end(s, end);
        }
    }
    for (int i = 0; i < s->begins; i++) {
        session_show_begin(s, s->begun[i]);
    }
    s->ends = s->logged = s->begins = 0;
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}

/* ---- in between ---- */

void session_warn_once(struct session *s, bool *warned, const struct error *failure)
{
    if (!*warned) {
        display_clear(&s->display);
        fprintf(stderr, "ptqscale: warning: %s\n", failure->message);
        *warned = true;
    }
}

int session_tick(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    struct error failure = {0};
    double now = clock_seconds();

    if (now - s->last_beat >= beat_every) {
        s->last_beat = now;
        s->taken_over = rundir_beat(err, s->dir) != STATUS_OK;
        CHECK(err, !s->taken_over, STATUS_FAILED,
              "the folder was taken over"); /* err says by whom */
    }
    if (display_due(&s->display)) {
        session_show_state(s);
    }
    if (now - s->last_live >= live_every) {
        s->last_live = now;
        if (rundir_write_live(&failure, s->dir, s->live, s->workers) != STATUS_OK) {
            session_warn_once(s, &s->live_warned, &failure);
        }
    }
    session_keep_aggregate(s);
cleanup:
    return status;
}

bool session_stop_wanted(struct session *s, bool *now)
{
    stop_poll(&s->stop, s->dir, session_stop_seconds(s));
    *now = s->stop.now;
    return s->stop.cause != STOP_NONE;
}

void session_stop(struct session *s, enum stop_cause cause)
{
    stop_ask(&s->stop, cause);
}
