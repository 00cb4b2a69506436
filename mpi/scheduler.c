#include "mpi/scheduler.h"

#include <math.h>
#include <stdlib.h>

#include "mpi/scheduler_state.h"

bool scheduler_allowed(enum cell_status from, enum cell_status to)
{
    static const bool allowed[CELL_QUARANTINED + 1][CELL_QUARANTINED + 1] = {
        [CELL_PENDING] = {[CELL_RUNNING] = true, /* started */
                          [CELL_DONE] = true,    /* the rest: known from an earlier run */
                          [CELL_DIVERGED] = true,
                          [CELL_FAILED] = true,
                          [CELL_QUARANTINED] = true},
        [CELL_RUNNING] = {[CELL_PENDING] = true, /* interrupted, or a worker is lost */
                          [CELL_DONE] = true,
                          [CELL_DIVERGED] = true,
                          [CELL_FAILED] = true,
                          [CELL_QUARANTINED] = true}, /* a worker is lost once too often */
        /* An end is an end: what is tried again begins a new run as pending. */
    };
    return from <= CELL_QUARANTINED && to <= CELL_QUARANTINED && allowed[from][to];
}

static int move(struct error *err, struct scheduler *s, int cell, enum cell_status to)
{
    int status = STATUS_OK;
    CHECK(err, cell >= 0 && cell < s->count, STATUS_FAILED, "scheduler: no cell %d", cell);
    enum cell_status from = s->status[cell];
    CHECK(err, scheduler_allowed(from, to), STATUS_FAILED,
          "scheduler: cell %d cannot go from %s to %s", cell, cell_status_name(from),
          cell_status_name(to));
    s->status[cell] = to;
    s->counts[from]--;
    s->counts[to]++;
cleanup:
    return status;
}

/* ---- create ---- */

struct sortable {
    int cell, kind, width;
    double seconds;
};

/* Widest first; of one width by kind; longer first; equal lengths in the study's order. */
static int in_order(const void *a, const void *b)
{
    const struct sortable *x = a, *y = b;
    if (x->width != y->width) {
        return y->width - x->width;
    }
    if (x->kind != y->kind) {
        return x->kind - y->kind;
    }
    if (x->seconds != y->seconds) {
        return x->seconds > y->seconds ? -1 : 1;
    }
    return x->cell - y->cell;
}

static bool power_of_two(int n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static int check_items(struct error *err, const struct scheduler_item *item, int count, int *kinds)
{
    int status = STATUS_OK;
    *kinds = 1;
    for (int i = 0; i < count; i++) {
        const struct scheduler_item *x = &item[i];
        CHECK(err,
              isfinite(x->seconds) && x->seconds > 0 && x->kind >= 0 && x->kind < SCHEDULER_KINDS,
              STATUS_FAILED, "scheduler: cell %d has cost %g and kind %d", i, x->seconds, x->kind);
        CHECK(err,
              power_of_two(x->width) && power_of_two(x->most) && x->most >= x->width &&
                  x->gain >= 0 && x->gain <= 1,
              STATUS_FAILED, "scheduler: cell %d needs %d workers, can use %d, with a gain of %g",
              i, x->width, x->most, x->gain);
        *kinds = x->kind >= *kinds ? x->kind + 1 : *kinds;
    }
cleanup:
    return status;
}

/* Give each cell its place. */
static int arrange(struct error *err, struct scheduler *s)
{
    int status = STATUS_OK;
    struct sortable *sortable = calloc((size_t)s->count + 1, sizeof *sortable);
    CHECK(err, sortable != NULL, STATUS_FAILED, "scheduler: out of memory for %d cells", s->count);
    for (int i = 0; i < s->count; i++) {
        const struct scheduler_item *item = &s->item[i];
        sortable[i] = (struct sortable){i, item->kind, item->width, item->seconds};
    }
    qsort(sortable, (size_t)s->count, sizeof *sortable, in_order);
    for (int at = 0; at < s->count; at++) {
        const struct sortable *x = &sortable[at];
        s->classes += at == 0 || x->kind != x[-1].kind || x->width != x[-1].width;
    }
    s->class = calloc((size_t)s->classes + 1, sizeof *s->class);
    CHECK(err, s->class != NULL, STATUS_FAILED, "scheduler: out of memory for %d classes",
          s->classes);
    struct scheduler_class *class = s->class - 1;
    for (int at = 0; at < s->count; at++) {
        const struct sortable *x = &sortable[at];
        if (at == 0 || x->kind != x[-1].kind || x->width != x[-1].width) {
            class ++;
            *class = (struct scheduler_class){.kind = x->kind, .width = x->width, .first = at};
        }
        class->length++;
        class->pending++;
        class->seconds += x->seconds;
        s->class_of[x->cell] = (int)(class - s->class);
        s->order[at] = x->cell;
        s->mixed = s->mixed || x->width != sortable[0].width;
        s->place[x->cell] = at;
        bits_set(&s->pending, at);
    }
cleanup:
    free(sortable);
    return status;
}

int scheduler_create(struct error *err, const struct scheduler_item *item, int count, int workers,
                     struct scheduler **scheduler)
{
    int status = STATUS_OK;
    struct scheduler *s = NULL;
    int kinds = 0;

    *scheduler = NULL;
    CHECK(err, count >= 0 && workers > 0, STATUS_FAILED, "scheduler: %d cells on %d workers", count,
          workers);
    TRY(check_items(err, item, count, &kinds));

    size_t n = (size_t)count + 1;
    s = calloc(1, sizeof *s);
    CHECK(err, s != NULL, STATUS_FAILED, "scheduler: out of memory");
    s->count = count;
    s->workers = s->living = s->absents = workers;
    s->kinds = kinds;
    s->reserved.cell = -1;
    s->item = calloc(n, sizeof *s->item);
    s->status = calloc(n, sizeof *s->status); /* CELL_PENDING */
    s->team = calloc(n, sizeof *s->team);
    s->class_of = calloc(n, sizeof *s->class_of);
    s->order = calloc(n, sizeof *s->order);
    s->place = calloc(n, sizeof *s->place);
    s->kind = calloc((size_t)kinds, sizeof *s->kind);
    s->late = calloc(n, sizeof *s->late);
    s->wide = calloc(n, sizeof *s->wide);
    s->running = calloc(n, sizeof *s->running);
    s->worker = calloc((size_t)workers, sizeof *s->worker); /* WORKER_ABSENT */
    s->load = calloc((size_t)workers, sizeof *s->load);
    s->span = calloc(n, sizeof *s->span);
    bool made = bits_create(&s->pending, count);
    made = bits_create(&s->idle, workers) && made;
    CHECK(err,
          made && s->item && s->status && s->team && s->class_of && s->order && s->place &&
              s->kind && s->late && s->wide && s->running && s->worker && s->load && s->span,
          STATUS_FAILED, "scheduler: out of memory for %d cells", count);

    for (int i = 0; i < count; i++) {
        s->item[i] = item[i];
        s->team[i] = (struct scheduler_team){.width = item[i].width, .leader = -1};
    }
    TRY(arrange(err, s));
    s->counts[CELL_PENDING] = count;
    *scheduler = s;
    s = NULL;
cleanup:
    scheduler_free(s);
    return status;
}

void scheduler_free(struct scheduler *s)
{
    if (s == NULL) {
        return;
    }
    free(s->item);
    free(s->status);
    free(s->team);
    free(s->class);
    free(s->class_of);
    free(s->order);
    free(s->place);
    bits_free(&s->pending);
    free(s->kind);
    free(s->late);
    free(s->wide);
    free(s->running);
    free(s->worker);
    bits_free(&s->idle);
    free(s->load);
    free(s->span);
    free(s);
}

/* ---- workers ---- */

static bool is_member(const struct scheduler *s, const struct scheduler_worker *worker)
{
    return worker->place == WORKER_MEMBER && s->team[worker->cell].leader >= 0 &&
           s->team[worker->cell].serial == worker->serial;
}

/* Take the worker from where it is. */
static void leave(struct scheduler *s, int w)
{
    struct scheduler_worker *worker = &s->worker[w];
    if (worker->place == WORKER_ABSENT) {
        s->absents--;
        s->reserved.stale = true;
    } else if (worker->place == WORKER_IDLE) {
        bits_clear(&s->idle, w);
        s->idles--;
    } else if (is_member(s, worker)) {
        s->team[worker->cell].held--;
    } else if (worker->place == WORKER_MEMBER) {
        s->leaving--;
    }
}

void scheduler_ready(struct scheduler *s, int worker)
{
    if (worker >= 0 && worker < s->workers && s->worker[worker].place != WORKER_RETIRED) {
        leave(s, worker);
        s->worker[worker].place = WORKER_IDLE;
        bits_set(&s->idle, worker);
        s->idles++;
    }
}

void scheduler_retire(struct scheduler *s, int worker)
{
    if (worker >= 0 && worker < s->workers && s->worker[worker].place != WORKER_RETIRED) {
        leave(s, worker);
        s->worker[worker].place = WORKER_RETIRED;
        s->reserved.stale = true;
        s->living--;
    }
}

int scheduler_holds(const struct scheduler *s, int worker)
{
    return worker >= 0 && worker < s->workers && is_member(s, &s->worker[worker])
               ? s->worker[worker].cell
               : -1;
}

/* ---- cells ---- */

/* The cell is among the pending ones. */
static void enter(struct scheduler *s, int cell)
{
    struct scheduler_class *class = &s->class[s->class_of[cell]];
    bits_set(&s->pending, s->place[cell]);
    class->pending++;
    class->seconds += s->item[cell].seconds;
}

static bool remove_from(int *list, int *length, int cell)
{
    for (int i = 0; i < *length; i++) {
        if (list[i] == cell) {
            list[i] = list[--*length];
            return true;
        }
    }
    return false;
}

/* The pending cell is no longer among them, wherever it was. *suspect: it had been put off. */
static void withdraw(struct scheduler *s, int cell, bool *suspect)
{
    struct scheduler_class *class = &s->class[s->class_of[cell]];
    *suspect = false;
    if (bits_has(&s->pending, s->place[cell])) {
        bits_clear(&s->pending, s->place[cell]);
        class->pending--;
        class->seconds = class->pending > 0 ? class->seconds - s->item[cell].seconds : 0;
    } else if (!remove_from(s->wide, &s->wides, cell)) {
        *suspect = remove_from(s->late, &s->lates, cell);
    }
    s->reserved.cell = s->reserved.cell == cell ? -1 : s->reserved.cell;
}

int scheduler_adopt(struct error *err, struct scheduler *s, int cell, enum cell_status to,
                    double seconds)
{
    int status = STATUS_OK;
    bool suspect = false;
    CHECK(err, to != CELL_PENDING && to != CELL_RUNNING, STATUS_FAILED,
          "scheduler: a cell cannot be adopted as %s", cell_status_name(to));
    CHECK(err, cell >= 0 && cell < s->count && s->status[cell] == CELL_PENDING, STATUS_FAILED,
          "scheduler: cell %d is not pending and cannot be adopted", cell);
    TRY(move(err, s, cell, to));
    withdraw(s, cell, &suspect);
    if (to == CELL_DONE || to == CELL_DIVERGED) {
        scheduler_learn(s, cell, seconds);
    }
cleanup:
    return status;
}

/* The first of the `width` idle workers that lie closest together: neighbours are likely to be on one node. */
static int closest(const struct scheduler *s, int width)
{
    int first = bits_next(&s->idle, 0), last = first, best = first, least = s->workers;
    for (int i = 1; i < width; i++) {
        last = bits_next(&s->idle, last + 1);
    }
    while (last < s->workers && least >= width) {
        if (last - first < least) {
            least = last - first;
            best = first;
        }
        first = bits_next(&s->idle, first + 1);
        last = bits_next(&s->idle, last + 1);
    }
    return best;
}

int scheduler_start(struct error *err, struct scheduler *s, double now, int *cell, int *width,
                    int *member)
{
    int status = STATUS_OK;
    bool suspect = false;
    int chosen = scheduler_choose(s, now, width);
    struct scheduler_team *team = NULL;

    *cell = -1;
    if (chosen < 0) {
        goto cleanup;
    }
    TRY(move(err, s, chosen, CELL_RUNNING));
    withdraw(s, chosen, &suspect);
    s->suspects += suspect;
    team = &s->team[chosen];
    *team = (struct scheduler_team){
        .width = *width,
        .held = *width,
        .serial = team->serial + 1,
        .at = s->counts[CELL_RUNNING] - 1,
        .suspect = suspect,
        .widened = *width > s->item[chosen].width,
        .since = now,
        .heard = now,
        .fraction = team->base,
        .base = team->base,
    };
    team->due = now + scheduler_whole(s, chosen) * scheduler_factor(s, s->item[chosen].kind, 1);
    s->due += *width * team->due;
    s->busy += *width;
    s->running[team->at] = chosen;
    team->leader = closest(s, *width);
    for (int i = 0, w = team->leader; i < *width; i++) {
        member[i] = w;
        bits_clear(&s->idle, w);
        s->worker[w] = (struct scheduler_worker){WORKER_MEMBER, chosen, team->serial};
        w = bits_next(&s->idle, w);
    }
    s->idles -= *width;
    scheduler_account(s, chosen);
    *cell = chosen;
cleanup:
    return status;
}

int scheduler_peek(struct scheduler *s, double now)
{
    int width = 0;
    return scheduler_choose(s, now, &width);
}

/* The running cell runs no longer and becomes `to`. */
static int end(struct error *err, struct scheduler *s, int cell, enum cell_status to)
{
    int status = STATUS_OK;
    CHECK(err, cell >= 0 && cell < s->count && s->status[cell] == CELL_RUNNING, STATUS_FAILED,
          "scheduler: cell %d does not run and cannot end", cell);
    TRY(move(err, s, cell, to));
    struct scheduler_team *team = &s->team[cell];
    int last = s->running[s->counts[CELL_RUNNING]];
    s->running[team->at] = last;
    s->team[last].at = team->at;
    s->suspects -= team->suspect;
    s->due -= team->width * team->due;
    s->busy -= team->width;
    s->leaving += team->held;
    s->has_ended = true;
    s->reserved.stale = s->reserved.stale || team->counted != s->reserved.serial;
    team->held = 0;
    team->leader = -1;
cleanup:
    return status;
}

int scheduler_finish(struct error *err, struct scheduler *s, int cell, enum cell_status to,
                     double seconds)
{
    int status = STATUS_OK;
    CHECK(err, to != CELL_PENDING && to != CELL_RUNNING, STATUS_FAILED,
          "scheduler: a cell cannot end as %s", cell_status_name(to));
    TRY(end(err, s, cell, to));
    if (to == CELL_DONE) { /* diverged and failed cells end early and would teach too low a cost */
        scheduler_learn(s, cell, seconds);
    }
cleanup:
    return status;
}

int scheduler_take_back(struct error *err, struct scheduler *s, int cell)
{
    int status = STATUS_OK;
    TRY(end(err, s, cell, CELL_PENDING));
    struct scheduler_team *team = &s->team[cell];
    team->base = 0;
    if (team->target > 0) { /* it was saved when it stopped */
        team->width = team->target;
        team->base = team->fraction;
        s->wide[s->wides++] = cell;
    } else {
        team->width = s->item[cell].width;
        enter(s, cell);
    }
cleanup:
    return status;
}

int scheduler_put_off(struct error *err, struct scheduler *s, int cell)
{
    int status = STATUS_OK;
    TRY(end(err, s, cell, CELL_PENDING));
    s->team[cell].width = s->item[cell].width;
    s->team[cell].base = 0;
    s->late[s->lates++] = cell;
cleanup:
    return status;
}

static bool runs(const struct scheduler *s, int cell)
{
    return cell >= 0 && cell < s->count && s->status[cell] == CELL_RUNNING;
}

void scheduler_progress(struct scheduler *s, double now, int cell, double fraction)
{
    if (runs(s, cell) && fraction >= 0) {
        struct scheduler_team *team = &s->team[cell];
        team->heard = now;
        team->fraction = fraction < 1 ? fraction : 1;
        team->base = team->base < team->fraction ? team->base : team->fraction;
    }
}

void scheduler_resumed(struct scheduler *s, int cell, double fraction)
{
    if (runs(s, cell) && fraction >= 0) {
        s->team[cell].fraction = s->team[cell].base = fraction < 1 ? fraction : 1;
    }
}

enum cell_status scheduler_status(const struct scheduler *s, int cell)
{
    return s->status[cell];
}

int scheduler_count(const struct scheduler *s, enum cell_status status)
{
    return s->counts[status];
}

int scheduler_width(const struct scheduler *s, int cell)
{
    return s->team[cell].width;
}

int scheduler_leader(const struct scheduler *s, int cell)
{
    return s->team[cell].leader;
}
