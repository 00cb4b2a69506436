#include "mpi/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/clock.h"
#include "mpi/session_state.h"
#include "results/checkpoint.h"

static const double live_every = 1;      /* seconds */
static const double beat_every = 8;      /* seconds */
static const double commit_share = 4;    /* wait this many times what the last one took */
static const double longest_extra = 600; /* seconds that stopping may be expected to take */

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
           scheduler_count(s->scheduler, CELL_RUNNING) == 0;
}

static bool may_pass(const char *message)
{
    return strcasestr(message, "input/output error") != NULL;
}

int session_storage_failure(struct error *err, const char *folder, int status)
{
    if (status == STATUS_FAILED && (executor_storage_full(folder, err) || may_pass(err->message))) {
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

static void set_state(struct rundir_live *live, const char *state)
{
    snprintf(live->state, sizeof live->state, "%s", state);
    live->heard = clock_unix();
}

/* ---- workers ---- */

void session_ready(struct session *s, int worker, const char *host)
{
    struct rundir_live *live = &s->live[worker];
    snprintf(live->host, sizeof live->host, "%s", host);
    set_state(live, "idle");
    scheduler_ready(s->scheduler, worker);
}

void session_heard(struct session *s, int worker)
{
    s->live[worker].heard = clock_unix();
}

int session_progress(struct error *err, struct session *s, int worker,
                     const struct progress *progress)
{
    int status = STATUS_OK;
    struct rundir_live *live = &s->live[worker];
    int index = scheduler_holds(s->scheduler, worker);
    if (index < 0) {
        goto cleanup;
    }
    if (strcmp(progress->phase, "resume") == 0) {
        char label[SESSION_LABEL];
        TRY(rundir_log_resumed(err, s->dir, s->cell[index].id, progress->step));
        display_event(&s->display, false, "resume %s (%.8s) at step %lld of %lld",
                      session_label(&s->cell[index], label), s->cell[index].id,
                      (long long)progress->step, (long long)progress->steps);
    }
    set_state(live, progress->phase);
    live->step = progress->step;
    live->steps = progress->steps;
    live->loss = progress->loss;
    live->tokens_per_second = progress->tokens_per_second;
    if (progress->steps > 0) {
        const double done = (double)progress->step / (double)progress->steps;
        if (strcmp(progress->phase, "resume") == 0) {
            scheduler_resumed(s->scheduler, index, done);
        }
        scheduler_progress(s->scheduler, clock_seconds(), index, done);
    }
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}

int session_lost(struct error *err, struct session *s, int worker, bool counted, const char *reason)
{
    int status = STATUS_OK;
    int index = scheduler_holds(s->scheduler, worker), deaths = 0;
    struct rundir_live *live = &s->live[worker];
    enum cell_status state = CELL_PENDING;
    const char *id = index >= 0 ? s->cell[index].id : NULL;
    char why[512];

    TRY(rundir_log_lost(err, s->dir, id, counted, live->worker, live->host, reason));
    if (index >= 0) {
        deaths = rundir_find(s->dir, id)->deaths;
        if (counted && deaths >= SESSION_DEATHS) {
            snprintf(why, sizeof why,
                     "%d workers died while they ran this cell, the last one (rank %d on %.100s): "
                     "%.200s",
                     deaths, live->worker, live->host, reason);
            state = CELL_QUARANTINED;
            TRY(scheduler_finish(err, s->scheduler, index, state, 0));
            TRY(rundir_log_quarantined(err, s->dir, id, why));
            s->changed = true;
        } else if (deaths > 1) { /* under suspicion: let the others finish first */
            TRY(scheduler_put_off(err, s->scheduler, index));
        } else {
            TRY(scheduler_take_back(err, s->scheduler, index));
        }
    }
cleanup:
    scheduler_retire(s->scheduler, worker);
    session_show_lost(s, worker, index, state, deaths, reason);
    snprintf(live->state, sizeof live->state, "lost"); /* heard stays */
    live->id[0] = '\0';
    return session_storage_failure(err, rundir_path(s->dir), status);
}

/* ---- cells ---- */

/* The results so far go into the journal, behind the files that they vouch for. */
static int settle(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    TRY(rundir_settle(err, s->dir));
    for (; s->logged < s->ends; s->logged++) {
        const struct session_end *end = &s->end[s->logged];
        const struct outcome *outcome = &end->outcome;
        TRY(rundir_log_end(err, s->dir, outcome->id, end->state, outcome->checksum,
                           outcome->seconds,
                           outcome->kind == OUTCOME_STOPPED ? "interrupted" : outcome->reason));
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
    TRY(settle(err, s));
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

/* Seconds that a stop is known to take. */
static double extra(const struct session *s)
{
    double took = fmax(rundir_stop_took(s->dir), s->aggregate_took);
    return took < longest_extra ? took : longest_extra;
}

int session_next(struct error *err, struct session *s, const struct cell **cell, int *attempts,
                 int *width, int *member)
{
    int status = STATUS_OK;
    double now = clock_seconds();
    int index = scheduler_peek(s->scheduler, now);

    *cell = NULL;
    if (index < 0) {
        goto cleanup;
    }
    s->held = !deadline_allows(stop_left(&s->stop, extra(s)),
                               scheduler_expected(s->scheduler, index), s->cell[index].train.steps);
    if (s->held) {
        goto cleanup;
    }
    if (s->given_back) { /* perhaps this one, whose end comes before its new begin */
        TRY(settle(err, s));
    }
    TRY(scheduler_start(err, s->scheduler, now, &index, width, member));
    struct rundir_live *live = &s->live[member[0]];
    TRY(rundir_log_begin(err, s->dir, &s->cell[index], live->worker, live->host));
    *attempts = rundir_find(s->dir, s->cell[index].id)->attempts;
    memcpy(live->id, s->cell[index].id, sizeof live->id);
    set_state(live, "begin");
    live->step = 0;
    live->steps = s->cell[index].train.steps;
    live->loss = NAN;
    live->tokens_per_second = 0;
    s->begun[s->begins++] = index;
    *cell = &s->cell[index];
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}

int session_result(struct error *err, struct session *s, int worker, const struct outcome *outcome)
{
    int status = STATUS_OK;
    int index = scheduler_holds(s->scheduler, worker);
    struct rundir_live *live = &s->live[worker];
    struct error failure = {0};

    CHECK(err, index >= 0 && strcmp(s->cell[index].id, outcome->id) == 0, STATUS_FAILED,
          "rank %d reports cell %.32s, which it was not given", live->worker, outcome->id);
    struct session_end *end = &s->end[s->ends++];
    *end = (struct session_end){.cell = index, .outcome = *outcome};
    if (outcome->kind == OUTCOME_FINISHED &&
        rundir_accept(&failure, s->dir, outcome->id, live->worker,
                      rundir_find(s->dir, outcome->id)->attempts) != STATUS_OK) {
        end->outcome.kind = OUTCOME_NOT_STORED;
        end->outcome.full = executor_storage_full(rundir_path(s->dir), &failure);
        snprintf(end->outcome.reason, sizeof end->outcome.reason, "%.500s", failure.message);
    }
    const enum outcome_kind kind = end->outcome.kind;
    if (kind == OUTCOME_FINISHED || kind == OUTCOME_FAILED) {
        end->state = kind == OUTCOME_FINISHED ? outcome->status : CELL_FAILED;
        /* What went on from a checkpoint does not teach what a whole cell takes. */
        bool resumed = rundir_find(s->dir, outcome->id)->resumed > 0;
        TRY(scheduler_finish(err, s->scheduler, index, end->state, resumed ? 0 : outcome->seconds));
        s->changed = true;
    } else { /* not the cell's fault: it is pending again */
        end->state = CELL_PENDING;
        TRY(scheduler_take_back(err, s->scheduler, index));
        s->given_back = true;
    }
    scheduler_ready(s->scheduler, worker);
    live->id[0] = '\0';
    set_state(live, "idle");
    CHECK(err, kind != OUTCOME_NO_CORPUS, STATUS_FAILED, "rank %d on host %s: %s", live->worker,
          live->host, outcome->reason);
    bool later = end->outcome.full || may_pass(end->outcome.reason);
    CHECK(err, kind != OUTCOME_NOT_STORED, later ? STATUS_STOPPED : STATUS_FAILED,
          "rank %d on host %s cannot store its result: %s%s", live->worker, live->host,
          end->outcome.reason,
          end->outcome.full ? "; make room, then run the same command again" : "");
cleanup:
    return status;
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
    stop_poll(&s->stop, s->dir, extra(s));
    *now = s->stop.now;
    return s->stop.cause != STOP_NONE;
}

void session_stop(struct session *s, enum stop_cause cause)
{
    stop_ask(&s->stop, cause);
}
