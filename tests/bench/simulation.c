#include "tests/bench/simulation.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "mpi/session.h"
#include "tests/bench/simulation_state.h"

static const double quiet = 60; /* seconds after which nothing will happen any more */

struct simulation simulation_default(void)
{
    return (struct simulation){
        .workers = 1024,
        .cells = 20000,
        .cost = {0.41, 6, 13, 52}, /* 10⁹ parameters */
        .budgets = true,
        .width = {1, 1, 1, 1},
        .gain = 0.9,
        .restart = 30,
        .deaths = 0.01,
        .cell_error = 0.2,
        .kind_error = 0.3,
        .shortest = 60,
        .timeout = 60,
        .release = 1,
        .checkpoint_every = 120,
        .seed = 1,
    };
}

/* Nothing happens that a reservation cannot foresee. */
static bool foreseeable(const struct simulation *o)
{
    return o->cell_error == 0 && o->kind_error == 0 && o->deaths == 0 && o->stops == 0 &&
           o->killers == 0 && o->doublings == 0 && o->release == 0;
}

static double speed(const struct fate *fate)
{
    double times = 1;
    for (int width = fate->item.width; width < fate->width; width *= 2) {
        times *= 1 + fate->item.gain;
    }
    return times;
}

/* Seconds of the cell, on its own width, that this run has done. */
static double done(const struct state *s, const struct fate *fate)
{
    double until = fate->broken || fate->told ? fate->broke : s->now;
    return until > fate->begun ? (until - fate->begun) * speed(fate) : 0;
}

/* Starts ====================================================================================== */

static int start(struct error *err, struct state *s, int cell, int width)
{
    int status = STATUS_OK;
    struct fate *fate = &s->cell[cell];
    const int leader = s->member[0];
    bool full = width == fate->item.width || s->options->doublings > 0;

    CHECK(err, !fate->runs, STATUS_FAILED, "cell %d runs and is started", cell);
    CHECK(err, full && width >= fate->item.width && width <= fate->item.most, STATUS_FAILED,
          "cell %d needs %d workers and gets %d", cell, fate->item.width, width);
    s->result->widened += width > fate->item.width;
    double load = fate->run > 0 && fate->remaining < fate->real ? s->options->restart / 2 : 0;
    fate->run++;
    fate->width = fate->members = width;
    fate->leader = leader;
    fate->runs = true;
    fate->broken = fate->dropped = fate->told = fate->counted = fate->widens = false;
    fate->started = s->now;
    fate->begun = s->now + load;
    if (fate->run == 1) {
        s->result->mean_start += s->now / s->options->cells;
    }
    if (fate->promise < INFINITY) {
        s->result->waited = fmax(s->result->waited, s->now - fate->promised);
        s->result->late_start = fmax(s->result->late_start, s->now - fate->promise);
        fate->promise = INFINITY;
    }
    for (int i = 0; i < width; i++) {
        int w = s->member[i];
        CHECK(err, w >= 0 && w < s->options->workers && (i == 0 || w > s->member[i - 1]),
              STATUS_FAILED, "cell %d is given to worker %d", cell, w);
        struct worker *worker = &s->worker[w];
        CHECK(err, worker->cell < 0 && !worker->fenced, STATUS_FAILED,
              "cell %d is given to worker %d, which is %s, with cell %d", cell, w,
              worker->fenced ? "fenced" : "busy", worker->cell);
        worker->cell = cell;
        worker->run = fate->run;
        if (worker->silent && !fate->broken) { /* it does not even hear of it */
            fate->broken = true;
            fate->broke = s->now;
        }
    }
    double seconds = load + fate->remaining / speed(fate) * (fate->killer ? 0.5 : 1);
    TRY(events_push(
        err, &s->events,
        (struct event){s->now + seconds, fate->killer ? DIES : FINISHES, leader, cell, fate->run}));
cleanup:
    return status;
}

static int note_promise(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    double promise = 0;
    int cell = scheduler_reserved(s->scheduler, &promise);
    if (cell < 0 || isinf(promise)) {
        goto cleanup;
    }
    struct fate *fate = &s->cell[cell];
    if (isinf(fate->promise)) {
        fate->promise = promise;
        fate->promised = s->now;
        s->result->reservations++;
    }
    CHECK(err, !foreseeable(s->options) || promise <= fate->promise + 1e-9 * (1 + promise),
          STATUS_FAILED, "cell %d was to start at %.9g, and now at %.9g", cell, fate->promise,
          promise);
cleanup:
    return status;
}

static int serve_idle(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    for (;;) {
        int cell = -1, width = 0;
        double promise = 0;
        TRY(scheduler_start(err, s->scheduler, s->now, &cell, &width, s->member));
        TRY(note_promise(err, s));
        if (cell < 0) {
            break;
        }
        s->result->backfilled += scheduler_reserved(s->scheduler, &promise) >= 0;
        TRY(start(err, s, cell, width));
    }
cleanup:
    return status;
}

/* What happens ================================================================================ */

static bool is_over(const struct state *s, const struct event *event)
{
    const struct fate *fate = &s->cell[event->cell];
    return !fate->runs || fate->run != event->run || fate->broken;
}

/* The living members of a run stop working on it, one after the other. */
static int dismiss(struct error *err, struct state *s, int cell)
{
    int status = STATUS_OK;
    for (int w = 0; w < s->options->workers; w++) {
        const struct worker *worker = &s->worker[w];
        if (worker->cell == cell && worker->run == s->cell[cell].run && !worker->silent) {
            double wait = s->options->release * random_unit(&s->random);
            TRY(events_push(err, &s->events,
                            (struct event){s->now + wait, IS_LEFT, w, cell, worker->run}));
        }
    }
cleanup:
    return status;
}

static void end_run(struct state *s, struct fate *fate)
{
    fate->runs = false;
    s->result->busy += fate->width * (s->now - fate->begun);
}

/* Nobody works on it any longer, as far as is known (session_lost in mpi/session.c). */
static int give_back(struct error *err, struct state *s, int cell)
{
    int status = STATUS_OK;
    struct fate *fate = &s->cell[cell];
    double saved = done(s, fate);
    if (fate->broken) {
        double every = s->options->checkpoint_every * speed(fate);
        double kept = every > 0 ? floor(saved / every) * every : 0;
        s->result->lost += (saved - kept) / speed(fate) * fate->width;
        saved = kept;
        s->result->taken_back++;
    } else {
        s->result->stopped++;
    }
    fate->remaining -= saved;
    end_run(s, fate);
    if (fate->counted && fate->losses == SESSION_DEATHS) {
        TRY(scheduler_finish(err, s->scheduler, cell, CELL_QUARANTINED, 0));
        s->result->makespan = s->now;
    } else if (fate->counted && fate->losses > 1) {
        TRY(scheduler_put_off(err, s->scheduler, cell));
    } else {
        TRY(scheduler_take_back(err, s->scheduler, cell));
    }
cleanup:
    return status;
}

static int lose_member(struct error *err, struct state *s, int cell)
{
    return --s->cell[cell].members == 0 && s->cell[cell].dropped ? give_back(err, s, cell)
                                                                 : STATUS_OK;
}

static int on_finish(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct fate *fate = &s->cell[event->cell];
    if (is_over(s, event) || fate->told) {
        goto cleanup;
    }
    CHECK(err, fate->finished++ == 0, STATUS_FAILED, "cell %d finishes twice", event->cell);
    bool resumed = fate->remaining < fate->real; /* teaches nothing (mpi/session.c) */
    TRY(scheduler_finish(err, s->scheduler, event->cell, CELL_DONE,
                         resumed ? 0 : s->now - fate->begun));
    end_run(s, fate);
    s->result->makespan = s->now;
    TRY(dismiss(err, s, event->cell));
cleanup:
    return status;
}

static int on_saved(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    if (!is_over(s, event)) {
        s->cell[event->cell].dropped = true;
        TRY(dismiss(err, s, event->cell));
    }
cleanup:
    return status;
}

static int on_left(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    if (worker->silent) {
        goto cleanup;
    }
    int cell = worker->cell;
    worker->cell = -1;
    scheduler_ready(s->scheduler, event->worker);
    if (cell >= 0 && s->cell[cell].runs && s->cell[cell].run == event->run) {
        TRY(lose_member(err, s, cell));
    }
cleanup:
    return status;
}

static int on_death(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    if (worker->silent || (event->cell >= 0 && (is_over(s, event) || s->cell[event->cell].told))) {
        goto cleanup;
    }
    worker->silent = true;
    s->result->deaths++;
    s->result->hangs += worker->hangs;
    struct fate *fate = worker->cell >= 0 ? &s->cell[worker->cell] : NULL;
    if (fate != NULL && fate->runs && fate->run == worker->run) {
        if (!fate->counted && !fate->dropped) { /* it had begun: once per team */
            fate->counted = true;
            fate->losses++;
        }
        if (!fate->broken && !fate->dropped) {
            fate->broke = fate->told ? fate->broke : s->now;
            fate->broken = true;
        }
    }
    TRY(events_push(err, &s->events,
                    (struct event){s->now + s->options->timeout, IS_FENCED, event->worker, -1, 0}));
    if (worker->hangs) {
        double wakes = s->now + s->options->timeout * (1 + 2 * random_unit(&s->random));
        TRY(events_push(err, &s->events, (struct event){wakes, WAKES, event->worker, -1, 0}));
    }
cleanup:
    return status;
}

static int on_fence(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    int held = scheduler_holds(s->scheduler, event->worker);
    worker->fenced = true;
    scheduler_retire(s->scheduler, event->worker);
    if (held < 0) {
        goto cleanup;
    }
    CHECK(err, held == worker->cell && s->cell[held].runs && s->cell[held].run == worker->run,
          STATUS_FAILED, "worker %d works on cell %d and is said to hold %d", event->worker,
          worker->cell, held);
    if (!s->cell[held].dropped) {
        s->cell[held].dropped = true;
        TRY(dismiss(err, s, held));
    }
    TRY(lose_member(err, s, held));
cleanup:
    return status;
}

static int on_wake(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    s->result->late += s->worker[event->worker].cell >= 0;
    CHECK(err, scheduler_holds(s->scheduler, event->worker) < 0, STATUS_FAILED,
          "fenced worker %d still holds a cell", event->worker);
cleanup:
    return status;
}

static int ask_to_stop(struct error *err, struct state *s, int cell)
{
    int status = STATUS_OK;
    struct fate *fate = &s->cell[cell];
    if (fate->told) {
        goto cleanup;
    }
    if (!fate->broken) {
        fate->told = true;
        fate->broke = s->now;
    }
    TRY(events_push(
        err, &s->events,
        (struct event){s->now + s->options->restart / 2, SAVES, fate->leader, cell, fate->run}));
cleanup:
    return status;
}

static int on_news(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    for (int w = 0; w < s->options->workers; w++) {
        int cell = s->worker[w].cell;
        if (cell < 0 || s->cell[cell].leader != w ||
            is_over(s, &(struct event){.cell = cell, .run = s->worker[w].run})) {
            continue;
        }
        const struct fate *fate = &s->cell[cell];
        scheduler_progress(s->scheduler, s->now, cell,
                           1 - (fate->remaining - done(s, fate)) / fate->real);
        if (s->left_to_stop > 0 && !fate->told && random_unit(&s->random) < 0.02) {
            s->left_to_stop--;
            TRY(ask_to_stop(err, s, cell));
        }
    }
    for (int cell; (cell = scheduler_widen(s->scheduler, s->now, s->options->restart)) >= 0;) {
        struct fate *fate = &s->cell[cell];
        CHECK(err, fate->runs && !fate->widens, STATUS_FAILED, "cell %d is to be widened, and %s",
              cell, fate->runs ? "was told before" : "does not run");
        CHECK(err,
              fate->width == fate->item.width || s->now - fate->started >= 5 * s->options->restart,
              STATUS_FAILED, "cell %d is widened twice in %g s", cell, s->now - fate->started);
        fate->widens = true;
        TRY(ask_to_stop(err, s, cell));
    }
    if (s->events.count > 0 || s->now - s->last < quiet) {
        TRY(events_push(err, &s->events,
                        (struct event){event->time + s->news_every, TELLS, -1, -1, 0}));
    }
cleanup:
    return status;
}

/* From begin to end =========================================================================== */

static int prepare_workers(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    const struct simulation *o = s->options;
    int deaths = (int)lround(o->deaths * o->workers);
    for (int w = 0; w < o->workers; w++) {
        s->worker[w] = (struct worker){.cell = -1};
        TRY(events_push(err, &s->events,
                        (struct event){o->release * random_unit(&s->random), IS_LEFT, w, -1, 0}));
    }
    for (int w = 0; w < o->workers && deaths > 0; w++) { /* a random subset of that many */
        if (random_unit(&s->random) * (o->workers - w) < deaths) {
            deaths--;
            s->worker[w].hangs = random_unit(&s->random) < o->hangs;
            double when = s->result->bound * random_unit(&s->random);
            TRY(events_push(err, &s->events, (struct event){when, DIES, w, -1, 0}));
        }
    }
    s->news_every = fmax(s->result->bound / 300, 1);
    s->left_to_stop = (int)lround(o->stops * o->cells);
    TRY(events_push(err, &s->events, (struct event){s->news_every, TELLS, -1, -1, 0}));
cleanup:
    return status;
}

static int unfinished(const struct state *s)
{
    return scheduler_count(s->scheduler, CELL_PENDING) +
           scheduler_count(s->scheduler, CELL_RUNNING);
}

static int run(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    static int (*const handle[])(struct error *, struct state *, const struct event *) = {
        [FINISHES] = on_finish, [SAVES] = on_saved, [IS_LEFT] = on_left, [DIES] = on_death,
        [IS_FENCED] = on_fence, [WAKES] = on_wake,  [TELLS] = on_news};
    while (unfinished(s) > 0 && scheduler_stuck(s->scheduler) == 0) {
        CHECK(err, s->events.count > 0, STATUS_FAILED,
              "%d cells are left, %d running, and nothing happens", unfinished(s),
              scheduler_count(s->scheduler, CELL_RUNNING));
        struct event event = events_pop(&s->events);
        CHECK(err, event.time >= s->now, STATUS_FAILED, "time runs backwards");
        s->now = event.time;
        s->last = event.what == TELLS ? s->last : s->now;
        TRY(handle[event.what](err, s, &event));
        TRY(serve_idle(err, s));
    }
cleanup:
    return status;
}

static int check_ends(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    int living = 0;
    for (int w = 0; w < s->options->workers; w++) {
        living += !s->worker[w].fenced;
    }
    for (int i = 0; i < s->options->cells; i++) {
        const struct fate *fate = &s->cell[i];
        enum cell_status is = scheduler_status(s->scheduler, i);
        bool given_up = fate->losses == SESSION_DEATHS && !fate->finished;
        bool stuck = is == CELL_PENDING && fate->item.width > living;
        CHECK(err,
              stuck ||
                  (is == (given_up ? CELL_QUARANTINED : CELL_DONE) && fate->finished == !given_up),
              STATUS_FAILED, "cell %d is %s after %d finishes and %d deaths, with %d workers left",
              i, cell_status_name(is), fate->finished, fate->losses, living);
        CHECK(err, !fate->killer || given_up || stuck, STATUS_FAILED, "cell %d kills and is %s", i,
              cell_status_name(is));
        s->result->unlucky += given_up && !fate->killer;
        s->result->stuck += stuck;
    }
    s->result->done = scheduler_count(s->scheduler, CELL_DONE);
    s->result->quarantined = scheduler_count(s->scheduler, CELL_QUARANTINED);
    s->result->busy /= s->options->workers * s->result->makespan;
cleanup:
    return status;
}

int simulation_run(struct error *err, const struct simulation *options,
                   struct simulation_result *result)
{
    int status = STATUS_OK;
    struct state s = {.options = options, .result = result, .random = options->seed};
    clock_t begun = clock();

    *result = (struct simulation_result){0};
    CHECK(err, options->workers > 0 && options->cells > 0, STATUS_USAGE,
          "at least one worker and one cell are needed");
    s.worker = calloc((size_t)options->workers, sizeof *s.worker);
    s.member = calloc((size_t)options->workers, sizeof *s.member);
    s.cell = calloc((size_t)options->cells, sizeof *s.cell);
    CHECK(err, s.worker && s.member && s.cell, STATUS_FAILED, "out of memory");
    TRY(simulation_prepare(err, &s));
    TRY(prepare_workers(err, &s));
    TRY(run(err, &s));
    TRY(check_ends(err, &s));
    result->seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
cleanup:
    scheduler_free(s.scheduler);
    free(s.worker);
    free(s.member);
    free(s.cell);
    free(s.events.heap);
    return status;
}
