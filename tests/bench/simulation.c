#include "tests/bench/simulation.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "mpi/scheduler.h"
#include "mpi/session.h"

enum { SIZES = 4, PRECISIONS = 2, KINDS = SIZES * PRECISIONS };
enum happening { FINISHES, DIES, IS_FENCED, WAKES };

struct event {
    double time;
    enum happening what;
    int worker;
    int cell; /* FINISHES and WAKES: which */
};

struct worker {
    double begun; /* its cell */
    bool silent;  /* dead or hung; the scheduler learns of it when it is fenced */
    bool fenced, hangs;
    int cell;  /* what it really works on; −1 = nothing */
    int ended; /* hung: the cell that it will report when it wakes up */
};

struct fate {
    double real;      /* seconds, whole */
    double remaining; /* from the last checkpoint */
    bool killer;
    int worker; /* live worker that runs it; −1 = none */
    int losses, finished;
};

struct state {
    const struct simulation *options;
    struct simulation_result *result;
    struct scheduler *scheduler;
    struct worker *worker;
    struct fate *cell;
    int *member;
    struct event *heap;
    int events, room;
    uint64_t random;
    double now;
};

static double unit(uint64_t *state) /* in (0, 1) */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static int below(uint64_t *state, int n)
{
    return (int)(unit(state) * n);
}

static double log_normal(uint64_t *state, double sigma)
{
    double radius = sqrt(-2 * log(unit(state)));
    return exp(sigma * radius * cos(6.283185307179586 * unit(state)));
}

struct simulation simulation_default(void)
{
    return (struct simulation){
        .workers = 1024,
        .cells = 20000,
        .deaths = 0.01,
        .cell_error = 0.2,
        .kind_error = 0.3,
        .shortest = 60,
        .timeout = 60,
        .checkpoint_every = 120,
        .seed = 1,
    };
}

/* Events, the earliest first ================================================================== */

static int push(struct error *err, struct state *s, struct event event)
{
    int status = STATUS_OK;
    if (s->events == s->room) {
        int room = s->room > 0 ? 2 * s->room : 1024;
        struct event *heap = realloc(s->heap, (size_t)room * sizeof *heap);
        CHECK(err, heap != NULL, STATUS_FAILED, "out of memory for %d events", room);
        s->heap = heap;
        s->room = room;
    }
    int at = s->events++;
    for (; at > 0 && event.time < s->heap[(at - 1) / 2].time; at = (at - 1) / 2) {
        s->heap[at] = s->heap[(at - 1) / 2];
    }
    s->heap[at] = event;
cleanup:
    return status;
}

static struct event pop(struct state *s)
{
    struct event first = s->heap[0], last = s->heap[--s->events];
    int at = 0;
    for (int child; (child = 2 * at + 1) < s->events; at = child) {
        child += child + 1 < s->events && s->heap[child + 1].time < s->heap[child].time;
        if (last.time <= s->heap[child].time) {
            break;
        }
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return first;
}

/* What happens ================================================================================ */

static int serve_idle(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    for (;;) {
        int cell = -1, width = 0, w = -1;
        TRY(scheduler_start(err, s->scheduler, s->now, &cell, &width, s->member));
        if (cell < 0) {
            break;
        }
        w = s->member[0];
        struct worker *worker = &s->worker[w];
        if (worker->silent) { /* a silent worker does not even hear of it */
            continue;
        }
        struct fate *fate = &s->cell[cell];
        CHECK(err, fate->worker < 0, STATUS_FAILED, "cell %d runs on worker %d and is given to %d",
              cell, fate->worker, w);
        fate->worker = w;
        worker->cell = cell;
        worker->begun = s->now;
        double seconds = fate->killer ? 0.5 * fate->remaining : fate->remaining;
        TRY(push(err, s,
                 (struct event){s->now + seconds, fate->killer ? DIES : FINISHES, w, cell}));
    }
cleanup:
    return status;
}

static int on_finish(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    struct fate *fate = &s->cell[event->cell];
    if (worker->silent) {
        goto cleanup; /* died or hung before */
    }
    CHECK(err, fate->finished++ == 0, STATUS_FAILED, "cell %d finishes twice", event->cell);
    fate->worker = worker->cell = -1;
    bool resumed = fate->remaining < fate->real; /* teaches nothing (mpi/session.c) */
    TRY(scheduler_finish(err, s->scheduler, event->cell, CELL_DONE,
                         resumed ? 0 : s->now - worker->begun));
    s->result->makespan = s->now;
    scheduler_ready(s->scheduler, event->worker);
cleanup:
    return status;
}

static int on_death(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    if (worker->silent) {
        goto cleanup;
    }
    worker->silent = true;
    worker->ended = worker->cell;
    s->result->deaths++;
    s->result->hangs += worker->hangs;
    if (worker->cell >= 0) {
        struct fate *fate = &s->cell[worker->cell];
        double done = s->now - worker->begun;
        double saved =
            s->options->checkpoint_every > 0
                ? floor(done / s->options->checkpoint_every) * s->options->checkpoint_every
                : 0;
        fate->remaining -= saved;
        fate->worker = worker->cell = -1;
        s->result->lost += done - saved;
    }
    TRY(push(err, s, (struct event){s->now + s->options->timeout, IS_FENCED, event->worker, -1}));
    if (worker->hangs) {
        double wakes = s->now + s->options->timeout * (1 + 2 * unit(&s->random));
        TRY(push(err, s, (struct event){wakes, WAKES, event->worker, worker->ended}));
    }
cleanup:
    return status;
}

/* As the coordinator does it (session_lost in mpi/session.c). */
static int on_fence(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    struct worker *worker = &s->worker[event->worker];
    int held = scheduler_holds(s->scheduler, event->worker);
    worker->fenced = true;
    if (held < 0) {
        goto cleanup;
    }
    struct fate *fate = &s->cell[held];
    bool counted = worker->ended == held; /* it had begun it */
    fate->losses += counted;
    if (counted && fate->losses == SESSION_DEATHS) {
        TRY(scheduler_finish(err, s->scheduler, held, CELL_QUARANTINED, 0));
        s->result->makespan = s->now;
        goto cleanup;
    }
    TRY(fate->losses > 1 ? scheduler_put_off(err, s->scheduler, held)
                         : scheduler_take_back(err, s->scheduler, held));
    s->result->taken_back++;
cleanup:
    scheduler_retire(s->scheduler, event->worker);
    return status;
}

static int on_wake(struct error *err, struct state *s, const struct event *event)
{
    int status = STATUS_OK;
    if (event->cell < 0) {
        goto cleanup;
    }
    s->result->late++;
    CHECK(err, scheduler_holds(s->scheduler, event->worker) < 0, STATUS_FAILED,
          "a fenced worker still holds cell %d", event->cell);
cleanup:
    return status;
}

/* From begin to end =========================================================================== */

static int prepare_cells(struct error *err, struct state *s)
{
    static const double parameters[SIZES] = {0.41, 6, 13, 52}; /* 10⁹ */
    static const double budget[] = {0.5, 1, 2};
    int status = STATUS_OK;
    const struct simulation *o = s->options;
    double factor[KINDS];
    struct scheduler_item *item = calloc((size_t)o->cells, sizeof *item);
    CHECK(err, item != NULL, STATUS_FAILED, "out of memory for %d cells", o->cells);
    for (int k = 0; k < KINDS; k++) {
        factor[k] = log_normal(&s->random, o->kind_error);
    }
    for (int i = 0; i < o->cells; i++) { /* as a study lists them: sizes outermost */
        int size = (int)((int64_t)i * SIZES / o->cells);
        item[i].width = item[i].most = 1;
        item[i].kind = size * PRECISIONS + below(&s->random, PRECISIONS);
        item[i].seconds =
            o->shortest * parameters[size] / parameters[0] * budget[below(&s->random, 3)];
        double real =
            item[i].seconds * factor[item[i].kind] * log_normal(&s->random, o->cell_error);
        s->cell[i] = (struct fate){.real = real, .remaining = real, .worker = -1};
    }
    for (int k = 0; k < o->killers; k++) {
        s->cell[below(&s->random, o->cells)].killer = true;
    }
    for (int i = 0; i < o->cells; i++) {
        if (!s->cell[i].killer) {
            s->result->work += s->cell[i].real;
            s->result->longest = fmax(s->result->longest, s->cell[i].real);
        }
    }
    s->result->bound = fmax(s->result->work / o->workers, s->result->longest);
    TRY(scheduler_create(err, item, o->cells, o->workers, &s->scheduler));
cleanup:
    free(item);
    return status;
}

static int prepare_workers(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    const struct simulation *o = s->options;
    int deaths = (int)lround(o->deaths * o->workers);
    for (int w = 0; w < o->workers; w++) {
        s->worker[w] = (struct worker){.cell = -1, .ended = -1};
        scheduler_ready(s->scheduler, w);
    }
    for (int w = 0; w < o->workers && deaths > 0; w++) { /* a random subset of that many */
        if (unit(&s->random) * (o->workers - w) < deaths) {
            deaths--;
            s->worker[w].hangs = unit(&s->random) < o->hangs;
            TRY(push(err, s, (struct event){s->result->bound * unit(&s->random), DIES, w, -1}));
        }
    }
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
        [FINISHES] = on_finish, [DIES] = on_death, [IS_FENCED] = on_fence, [WAKES] = on_wake};
    for (;;) {
        TRY(serve_idle(err, s));
        if (unfinished(s) == 0) {
            break;
        }
        CHECK(err, s->events > 0, STATUS_FAILED, "%d cells are left and no worker", unfinished(s));
        struct event event = pop(s);
        CHECK(err, event.time >= s->now, STATUS_FAILED, "time runs backwards");
        s->now = event.time;
        TRY(handle[event.what](err, s, &event));
    }
cleanup:
    return status;
}

static int check_ends(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    for (int i = 0; i < s->options->cells; i++) {
        const struct fate *fate = &s->cell[i];
        enum cell_status is = scheduler_status(s->scheduler, i);
        bool given_up = fate->losses == SESSION_DEATHS;
        CHECK(err, is == (given_up ? CELL_QUARANTINED : CELL_DONE) && fate->finished == !given_up,
              STATUS_FAILED, "cell %d is %s after %d finishes and %d deaths", i,
              cell_status_name(is), fate->finished, fate->losses);
        CHECK(err, !fate->killer || given_up, STATUS_FAILED, "cell %d kills and is %s", i,
              cell_status_name(is));
        s->result->unlucky += given_up && !fate->killer;
    }
    s->result->done = scheduler_count(s->scheduler, CELL_DONE);
    s->result->quarantined = scheduler_count(s->scheduler, CELL_QUARANTINED);
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
    TRY(prepare_cells(err, &s));
    TRY(prepare_workers(err, &s));
    TRY(run(err, &s));
    TRY(check_ends(err, &s));
    result->seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
cleanup:
    scheduler_free(s.scheduler);
    free(s.worker);
    free(s.member);
    free(s.cell);
    free(s.heap);
    return status;
}
