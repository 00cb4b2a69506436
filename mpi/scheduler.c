#include "mpi/scheduler.h"

#include <math.h>
#include <stdlib.h>

/* Enough of a running cell is done to extrapolate from it. */
static const double least_fraction = 0.02;

struct kind {
    int first, length;        /* its heap: heap[first … first + length) */
    double pending;           /* sum of the seconds in it */
    double expected, elapsed; /* sums over finished cells */
};

struct holder {
    int cell;     /* −1 = idle */
    bool suspect; /* the cell was put off before */
    bool retired;
    double since;
    double fraction;
};

struct scheduler {
    int count, workers, kinds;
    struct scheduler_item *item;
    enum cell_status *status;
    int *heap; /* pending cells, one max-heap per kind, end to end */
    struct kind *kind;
    struct holder *holder;
    int counts[CELL_QUARANTINED + 1];
    int *late; /* (count): pending cells that were put off */
    int lates;
    int suspects;             /* running cells that were put off before */
    int living;               /* workers that are not retired */
    double expected, elapsed; /* sums over all kinds */
    double *scratch;          /* (count + workers), for scheduler_eta */
};

bool scheduler_allowed(enum cell_status from, enum cell_status to)
{
    static const bool allowed[CELL_QUARANTINED + 1][CELL_QUARANTINED + 1] = {
        [CELL_PENDING] = {[CELL_RUNNING] = true, /* handed out */
                          [CELL_DONE] = true,    /* the rest: known from an earlier run */
                          [CELL_DIVERGED] = true,
                          [CELL_FAILED] = true,
                          [CELL_QUARANTINED] = true},
        [CELL_RUNNING] = {[CELL_PENDING] = true, /* interrupted, or its worker is lost */
                          [CELL_DONE] = true,
                          [CELL_DIVERGED] = true,
                          [CELL_FAILED] = true,
                          [CELL_QUARANTINED] = true}, /* its worker is lost once too often */
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

/* Longer first; equal lengths in the study's order. */
static bool before(const struct scheduler *s, int a, int b)
{
    double x = s->item[a].seconds, y = s->item[b].seconds;
    return x > y || (x == y && a < b);
}

static void sift_down(const struct scheduler *s, int *heap, int length, int at)
{
    for (;;) {
        int best = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < length; child++) {
            if (before(s, heap[child], heap[best])) {
                best = child;
            }
        }
        if (best == at) {
            return;
        }
        int swap = heap[at];
        heap[at] = heap[best];
        heap[best] = swap;
        at = best;
    }
}

static void push(struct scheduler *s, int cell)
{
    struct kind *kind = &s->kind[s->item[cell].kind];
    int *heap = s->heap + kind->first;
    int at = kind->length++;
    for (; at > 0 && before(s, cell, heap[(at - 1) / 2]); at = (at - 1) / 2) {
        heap[at] = heap[(at - 1) / 2];
    }
    heap[at] = cell;
    kind->pending += s->item[cell].seconds;
}

/* Take position `at` out of a kind's heap. */
static void pull(struct scheduler *s, struct kind *kind, int at)
{
    int *heap = s->heap + kind->first;
    int last = heap[--kind->length];
    kind->pending = kind->length > 0 ? kind->pending - s->item[heap[at]].seconds : 0;
    if (at == kind->length) {
        return;
    }
    for (; at > 0 && before(s, last, heap[(at - 1) / 2]); at = (at - 1) / 2) {
        heap[at] = heap[(at - 1) / 2];
    }
    heap[at] = last;
    sift_down(s, heap, kind->length, at);
}

int scheduler_create(struct error *err, const struct scheduler_item *item, int count, int workers,
                     struct scheduler **scheduler)
{
    int status = STATUS_OK;
    struct scheduler *s = NULL;

    *scheduler = NULL;
    CHECK(err, count >= 0 && workers > 0, STATUS_FAILED, "scheduler: %d cells on %d workers", count,
          workers);
    int kinds = 1;
    for (int i = 0; i < count; i++) {
        CHECK(err,
              isfinite(item[i].seconds) && item[i].seconds > 0 && item[i].kind >= 0 &&
                  item[i].kind < SCHEDULER_KINDS,
              STATUS_FAILED, "scheduler: cell %d has cost %g and kind %d", i, item[i].seconds,
              item[i].kind);
        kinds = item[i].kind >= kinds ? item[i].kind + 1 : kinds;
    }

    size_t n = (size_t)count + 1;
    s = calloc(1, sizeof *s);
    CHECK(err, s != NULL, STATUS_FAILED, "scheduler: out of memory");
    s->count = count;
    s->workers = s->living = workers;
    s->kinds = kinds;
    s->item = calloc(n, sizeof *s->item);
    s->status = calloc(n, sizeof *s->status); /* CELL_PENDING */
    s->heap = calloc(n, sizeof *s->heap);
    s->late = calloc(n, sizeof *s->late);
    s->kind = calloc((size_t)kinds, sizeof *s->kind);
    s->holder = calloc((size_t)workers, sizeof *s->holder);
    s->scratch = calloc(n + (size_t)workers, sizeof *s->scratch);
    CHECK(err, s->item && s->status && s->heap && s->late && s->kind && s->holder && s->scratch,
          STATUS_FAILED, "scheduler: out of memory for %d cells", count);

    for (int i = 0; i < count; i++) {
        s->item[i] = item[i];
        s->kind[item[i].kind].length++;
    }
    for (int k = 0, first = 0; k < kinds; k++) {
        s->kind[k].first = first;
        first += s->kind[k].length;
        s->kind[k].length = 0;
    }
    for (int i = 0; i < count; i++) {
        push(s, i);
    }
    for (int w = 0; w < workers; w++) {
        s->holder[w].cell = -1;
    }
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
    free(s->heap);
    free(s->late);
    free(s->kind);
    free(s->holder);
    free(s->scratch);
    free(s);
}

static void learn(struct scheduler *s, int cell, double seconds)
{
    if (!isfinite(seconds) || seconds <= 0) {
        return;
    }
    struct kind *kind = &s->kind[s->item[cell].kind];
    kind->expected += s->item[cell].seconds;
    kind->elapsed += seconds;
    s->expected += s->item[cell].seconds;
    s->elapsed += seconds;
}

/* Real seconds per expected second; `unknown` while nothing has finished. */
static double factor(const struct scheduler *s, const struct kind *kind, double unknown)
{
    if (kind->expected > 0) {
        return kind->elapsed / kind->expected;
    }
    return s->expected > 0 ? s->elapsed / s->expected : unknown;
}

int scheduler_adopt(struct error *err, struct scheduler *s, int cell, enum cell_status to,
                    double seconds)
{
    int status = STATUS_OK;
    CHECK(err, to != CELL_PENDING && to != CELL_RUNNING, STATUS_FAILED,
          "scheduler: a cell cannot be adopted as %s", cell_status_name(to));
    CHECK(err, cell >= 0 && cell < s->count && s->status[cell] == CELL_PENDING, STATUS_FAILED,
          "scheduler: cell %d is not pending and cannot be adopted", cell);
    TRY(move(err, s, cell, to));
    struct kind *kind = &s->kind[s->item[cell].kind];
    const int *heap = s->heap + kind->first;
    for (int at = 0; at < kind->length; at++) { /* linear, but only when a run is opened */
        if (heap[at] == cell) {
            pull(s, kind, at);
            break;
        }
    }
    if (to == CELL_DONE || to == CELL_DIVERGED) {
        learn(s, cell, seconds);
    }
cleanup:
    return status;
}

static int holder_of(struct error *err, struct scheduler *s, int worker, struct holder **holder)
{
    int status = STATUS_OK;
    CHECK(err, worker >= 0 && worker < s->workers, STATUS_FAILED, "scheduler: no worker %d",
          worker);
    *holder = &s->holder[worker];
cleanup:
    return status;
}

/* The kind whose longest cell is expected to take longest; NULL = none is pending. */
static struct kind *longest_kind(const struct scheduler *s)
{
    struct kind *best = NULL;
    double longest = 0;
    for (int k = 0; k < s->kinds; k++) {
        struct kind *kind = &s->kind[k];
        if (kind->length == 0) {
            continue;
        }
        int top = s->heap[kind->first];
        double seconds = s->item[top].seconds * factor(s, kind, 1);
        if (best == NULL || seconds > longest ||
            (seconds == longest && top < s->heap[best->first])) {
            best = kind;
            longest = seconds;
        }
    }
    return best;
}

/* Position in `late` of the cell to hand out before all others, or −1. Put off, a long cell would
 * run alone at the end: its turn comes when the others take no longer than it on all workers. But
 * there must be more workers than it and its like can kill, or the others would not be done. */
static int due_suspect(const struct scheduler *s, bool others)
{
    int longest = -1;
    double seconds = 0, pending = 0;
    for (int at = 0; at < s->lates; at++) {
        double expected = scheduler_expected(s, s->late[at]);
        if (expected > seconds) {
            longest = at;
            seconds = expected;
        }
    }
    if (longest < 0 || !others) {
        return longest;
    }
    for (int k = 0; k < s->kinds; k++) {
        pending += s->kind[k].pending * factor(s, &s->kind[k], 1);
    }
    return s->living > s->suspects + s->lates && seconds * s->living >= pending ? longest : -1;
}

int scheduler_peek(const struct scheduler *s)
{
    const struct kind *best = longest_kind(s);
    int suspect = due_suspect(s, best != NULL);
    return suspect >= 0 ? s->late[suspect] : best != NULL ? s->heap[best->first] : -1;
}

int scheduler_next(struct error *err, struct scheduler *s, int worker, double now, int *cell)
{
    int status = STATUS_OK;
    struct holder *holder = NULL;

    *cell = -1;
    TRY(holder_of(err, s, worker, &holder));
    CHECK(err, holder->cell < 0 && !holder->retired, STATUS_FAILED,
          "scheduler: worker %d asks while it %s cell %d", worker,
          holder->retired ? "is retired, after" : "holds", holder->cell);
    struct kind *best = longest_kind(s);
    int suspect = due_suspect(s, best != NULL);
    if (best == NULL && suspect < 0) {
        goto cleanup;
    }
    int chosen = suspect >= 0 ? s->late[suspect] : s->heap[best->first];
    TRY(move(err, s, chosen, CELL_RUNNING));
    if (suspect < 0) {
        pull(s, best, 0);
    } else {
        s->late[suspect] = s->late[--s->lates];
        s->suspects++;
    }
    *holder = (struct holder){.cell = chosen, .suspect = suspect >= 0, .since = now};
    *cell = chosen;
cleanup:
    return status;
}

static void drop(struct scheduler *s, struct holder *holder)
{
    s->suspects -= holder->suspect;
    holder->suspect = false;
    holder->cell = -1;
}

int scheduler_finish(struct error *err, struct scheduler *s, int worker, int cell,
                     enum cell_status to, double seconds)
{
    int status = STATUS_OK;
    struct holder *holder = NULL;

    TRY(holder_of(err, s, worker, &holder));
    CHECK(err, cell >= 0 && holder->cell == cell, STATUS_FAILED,
          "scheduler: worker %d ends cell %d, but holds %d", worker, cell, holder->cell);
    CHECK(err, to != CELL_PENDING, STATUS_FAILED, "scheduler: a cell cannot end as pending");
    TRY(move(err, s, cell, to));
    drop(s, holder);
    if (to == CELL_DONE) { /* diverged and failed cells end early and would teach too low a cost */
        learn(s, cell, seconds);
    }
cleanup:
    return status;
}

/* The worker's cell becomes pending; *cell = −1 if it holds none. */
static int give_back(struct error *err, struct scheduler *s, int worker, int *cell)
{
    int status = STATUS_OK;
    struct holder *holder = NULL;

    *cell = -1;
    TRY(holder_of(err, s, worker, &holder));
    if (holder->cell >= 0) {
        TRY(move(err, s, holder->cell, CELL_PENDING));
        *cell = holder->cell;
        drop(s, holder);
    }
cleanup:
    return status;
}

int scheduler_take_back(struct error *err, struct scheduler *s, int worker, int *cell)
{
    int status = give_back(err, s, worker, cell);
    if (*cell >= 0) {
        push(s, *cell);
    }
    return status;
}

int scheduler_put_off(struct error *err, struct scheduler *s, int worker, int *cell)
{
    int status = give_back(err, s, worker, cell);
    if (*cell >= 0) {
        s->late[s->lates++] = *cell;
    }
    return status;
}

void scheduler_retire(struct scheduler *s, int worker)
{
    if (worker >= 0 && worker < s->workers && !s->holder[worker].retired) {
        s->holder[worker].retired = true;
        s->living--;
    }
}

void scheduler_progress(struct scheduler *s, int worker, double fraction)
{
    if (worker >= 0 && worker < s->workers && s->holder[worker].cell >= 0 && fraction >= 0) {
        s->holder[worker].fraction = fraction < 1 ? fraction : 1;
    }
}

int scheduler_holds(const struct scheduler *s, int worker)
{
    return worker >= 0 && worker < s->workers ? s->holder[worker].cell : -1;
}

enum cell_status scheduler_status(const struct scheduler *s, int cell)
{
    return s->status[cell];
}

int scheduler_count(const struct scheduler *s, enum cell_status status)
{
    return s->counts[status];
}

double scheduler_expected(const struct scheduler *s, int cell)
{
    return s->item[cell].seconds * factor(s, &s->kind[s->item[cell].kind], 1);
}

/* Before any cell has finished: the factor that the running ones point to, else NaN. */
static double factor_of_running(const struct scheduler *s, double now)
{
    double expected = 0, elapsed = 0;
    for (int w = 0; w < s->workers; w++) {
        const struct holder *holder = &s->holder[w];
        if (holder->cell >= 0 && holder->fraction >= least_fraction) {
            expected += s->item[holder->cell].seconds * holder->fraction;
            elapsed += now - holder->since;
        }
    }
    return expected > 0 ? elapsed / expected : NAN;
}

static int longer_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* Restore a min-heap of times after times[at] has grown. */
static void sift_time(double *times, int length, int at)
{
    for (;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < length; child++) {
            if (times[child] < times[least]) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        double swap = times[at];
        times[at] = times[least];
        times[least] = swap;
        at = least;
    }
}

double scheduler_eta(struct scheduler *s, double now)
{
    double guess = s->expected > 0 ? NAN : factor_of_running(s, now);
    double *pending = s->scratch, *load = s->scratch + s->count;
    double last = 0;
    int count = 0, living = 0;

    for (int w = 0; w < s->workers; w++) {
        const struct holder *holder = &s->holder[w];
        if (holder->retired) {
            continue;
        }
        load[living] = 0;
        if (holder->cell >= 0) {
            const struct scheduler_item *item = &s->item[holder->cell];
            double elapsed = now - holder->since, fraction = holder->fraction;
            double left = fraction >= least_fraction
                              ? elapsed * (1 - fraction) / fraction
                              : item->seconds * factor(s, &s->kind[item->kind], guess) - elapsed;
            load[living] = left < 0 ? 0 : left;
        }
        last = load[living] > last || isnan(load[living]) ? load[living] : last;
        living++;
    }
    for (int k = 0; k < s->kinds; k++) {
        const struct kind *kind = &s->kind[k];
        double rate = factor(s, kind, guess);
        for (int at = 0; at < kind->length; at++) {
            pending[count++] = s->item[s->heap[kind->first + at]].seconds * rate;
        }
    }
    for (int i = 0; i < s->lates; i++) {
        const struct scheduler_item *item = &s->item[s->late[i]];
        pending[count++] = item->seconds * factor(s, &s->kind[item->kind], guess);
    }
    if (count > 0 && living == 0) {
        return NAN;
    }
    if (isnan(last) || (count > 0 && isnan(pending[0]))) {
        return NAN;
    }
    qsort(pending, (size_t)count, sizeof *pending, longer_first);
    for (int w = living / 2; w >= 0; w--) {
        sift_time(load, living, w);
    }
    for (int i = 0; i < count; i++) {
        load[0] += pending[i];
        last = load[0] > last ? load[0] : last;
        sift_time(load, living, 0);
    }
    return last;
}
