/* What becomes of cells: handed out, ended, dropped. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/memory.h"
#include "jobs/width.h"
#include "mpi/clock.h"
#include "mpi/session_state.h"

static const double longest_extra = 600; /* seconds that stopping may be expected to take */
static const double widen_every = 0.5;   /* seconds */
/* What a cell loses when it is stopped and goes on: seconds, and bytes/s at which its state is written and read. */
static const double restart_least = 0.5, restart_rate = 100e6;

double session_stop_seconds(const struct session *s)
{
    double took = fmax(rundir_stop_took(s->dir), s->aggregate_took);
    return took < longest_extra ? took : longest_extra;
}

/* ---- handing out ---- */

/* Do ranks of this team have to save memory? */
static bool must_recompute(const struct session *s, int index, int ranks)
{
    struct width width = {.ranks = ranks};
    width_fits(&s->cell[index], s->memory, &width); /* what fits neither way does its best */
    return width.recompute;
}

static void show_members(struct session *s, const struct session_next *next, const int *member)
{
    const struct cell *cell = next->cell;
    for (int i = 0; i < next->ranks; i++) {
        struct rundir_live *live = &s->live[member[i]];
        memcpy(live->id, cell->id, sizeof live->id);
        session_set_state(live, i == 0 ? "begin" : "member");
        live->leader = s->live[member[0]].worker;
        live->ranks = next->ranks;
        live->step = 0;
        live->steps = cell->train.steps;
        live->loss = NAN;
        live->tokens_per_second = 0;
        s->mate[member[i]] = i + 1 < next->ranks ? member[i + 1] : -1;
        s->since[member[i]] = clock_seconds();
    }
}

int session_next(struct error *err, struct session *s, struct session_next *next, int *member)
{
    int status = STATUS_OK;
    double now = clock_seconds();
    int index = scheduler_peek(s->scheduler, now);

    *next = (struct session_next){.cell = NULL};
    if (index < 0) {
        goto cleanup;
    }
    s->held = !deadline_allows(stop_left(&s->stop, session_stop_seconds(s)),
                               scheduler_expected(s->scheduler, index), s->cell[index].train.steps);
    if (s->held) {
        goto cleanup;
    }
    if (s->given_back) { /* perhaps this one, whose end comes before its new begin */
        TRY(session_settle(err, s));
    }
    TRY(scheduler_start(err, s->scheduler, now, &index, &next->ranks, member));
    const struct rundir_live *leader = &s->live[member[0]];
    TRY(rundir_log_begin(err, s->dir, &s->cell[index], leader->worker, leader->host, next->ranks));
    next->index = index;
    next->attempts = rundir_find(s->dir, s->cell[index].id)->attempts;
    next->recompute = must_recompute(s, index, next->ranks);
    next->cell = &s->cell[index];
    show_members(s, next, member);
    s->begun[s->begins++] = index;
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}

/* What the cell loses when it is stopped and goes on. */
static double restart_seconds(const struct session *s)
{
    double most = 0;
    for (int i = 0; i < s->cells; i++) {
        if (scheduler_status(s->scheduler, i) == CELL_RUNNING) {
            struct memory memory;
            memory_of(&s->cell[i], scheduler_width(s->scheduler, i), false, &memory);
            most = fmax(most, (memory.weights + memory.moments) * scheduler_width(s->scheduler, i));
        }
    }
    return restart_least + most / restart_rate;
}

void session_widen(struct session *s, int *cell)
{
    char label[SESSION_LABEL];
    double now = clock_seconds();
    *cell = -1;
    if (s->held || now - s->widened < widen_every) {
        return;
    }
    s->widened = now;
    *cell = scheduler_widen(s->scheduler, now, restart_seconds(s));
    if (*cell >= 0) {
        display_event(&s->display, false, "widen  %s (%.8s), now on %d ranks",
                      session_label(&s->cell[*cell], label), s->cell[*cell].id,
                      scheduler_width(s->scheduler, *cell));
    }
}

/* ---- ending ---- */

/* It has no cell from now on. */
static void let_go(struct session *s, int worker)
{
    struct rundir_live *live = &s->live[worker];
    s->busy += live->id[0] != '\0' ? clock_seconds() - s->since[worker] : 0;
    live->id[0] = '\0';
    live->leader = live->ranks = 0;
}

void session_idle(struct session *s, int worker)
{
    let_go(s, worker);
    session_set_state(&s->live[worker], "idle");
    scheduler_ready(s->scheduler, worker);
}

int session_result(struct error *err, struct session *s, int cell, int worker, bool widens,
                   const struct outcome *outcome)
{
    int status = STATUS_OK;
    const struct rundir_live *live = &s->live[worker];
    struct error failure = {0};

    CHECK(err, strcmp(s->cell[cell].id, outcome->id) == 0, STATUS_FAILED,
          "rank %d reports cell %.32s, which it was not given", live->worker, outcome->id);
    struct session_end *end = &s->end[s->ends++];
    *end = (struct session_end){.cell = cell, .widens = widens, .outcome = *outcome};
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
        TRY(scheduler_finish(err, s->scheduler, cell, end->state, resumed ? 0 : outcome->seconds));
        s->changed = true;
    } else { /* not the cell's fault: it is pending again */
        end->state = CELL_PENDING;
        TRY(scheduler_take_back(err, s->scheduler, cell));
        s->given_back = true;
    }
    CHECK(err, kind != OUTCOME_NO_CORPUS, STATUS_FAILED, "rank %d on host %s: %s", live->worker,
          live->host, outcome->reason);
    bool later = end->outcome.full || session_may_pass(end->outcome.reason);
    CHECK(err, kind != OUTCOME_NOT_STORED, later ? STATUS_STOPPED : STATUS_FAILED,
          "rank %d on host %s cannot store its result: %s%s", live->worker, live->host,
          end->outcome.reason,
          end->outcome.full ? "; make room, then run the same command again" : "");
cleanup:
    return status;
}

/* ---- losing workers ---- */

static bool is_quarantined(const struct session_loss *loss, int deaths)
{
    return loss->counted && deaths >= SESSION_DEATHS;
}

int session_lost(struct error *err, struct session *s, int cell, const struct session_loss *loss)
{
    int status = STATUS_OK;
    int deaths = 0;
    struct rundir_live *live = &s->live[loss->worker];
    const char *id = cell >= 0 ? s->cell[cell].id : NULL;
    TRY(rundir_log_lost(err, s->dir, id, loss->counted, live->worker, live->host, loss->reason));
    deaths = id != NULL ? rundir_find(s->dir, id)->deaths : 0;
cleanup:
    scheduler_retire(s->scheduler, loss->worker);
    s->lost[loss->worker] = true;
    session_show_lost(s, loss->worker, cell,
                      is_quarantined(loss, deaths) ? CELL_QUARANTINED : CELL_PENDING, deaths,
                      loss->reason);
    let_go(s, loss->worker);
    snprintf(live->state, sizeof live->state, "lost"); /* heard stays */
    s->last_live = -INFINITY; /* status tells it at once, not after a short run has ended */
    return session_storage_failure(err, rundir_path(s->dir), status);
}

int session_dropped(struct error *err, struct session *s, int cell, const struct session_loss *loss)
{
    int status = STATUS_OK;
    const char *id = s->cell[cell].id;
    const struct rundir_live *live = &s->live[loss->worker];
    const int deaths = rundir_find(s->dir, id)->deaths;
    char why[512];
    if (is_quarantined(loss, deaths)) {
        snprintf(why, sizeof why,
                 "%d workers died while they ran this cell, the last one (rank %d on %.100s): "
                 "%.200s",
                 deaths, live->worker, live->host, loss->reason);
        TRY(scheduler_finish(err, s->scheduler, cell, CELL_QUARANTINED, 0));
        TRY(rundir_log_quarantined(err, s->dir, id, why));
        s->changed = true;
    } else if (deaths > 1) { /* under suspicion: let the others finish first */
        TRY(scheduler_put_off(err, s->scheduler, cell));
    } else {
        TRY(scheduler_take_back(err, s->scheduler, cell));
    }
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}
