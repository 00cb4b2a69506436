#include "mpi/forecast.h"

#include <math.h>
#include <stdlib.h>

/* A running cell. */
struct run {
    int interval; /* −1: it does not run */
    int *member;  /* owned */
    double end;   /* of its interval, if nobody stops it */
    double left;  /* share of the cell that was left at the interval's start */
};

struct event {
    double time;
    int cell;
};

struct clock {
    struct scheduler *scheduler;
    const struct scheduler_item *item;
    struct run *run; /* (count) */
    int *member;     /* (workers) */
    double now, restart;
    struct event *heap; /* earliest first; those of stopped cells stay in */
    int events, event_space;
    struct plan_interval *interval;
    int intervals, interval_space;
};

/* Room for one more element of `size` bytes. */
static int grow(struct error *err, void **array, int count, int *space, size_t size)
{
    int status = STATUS_OK;
    if (count == *space) {
        const int more = *space > 0 ? 2 * *space : 256;
        void *moved = realloc(*array, (size_t)more * size);
        CHECK(err, moved, STATUS_FAILED, "out of memory for the schedule");
        *array = moved;
        *space = more;
    }
cleanup:
    return status;
}

static void swap(struct event *a, struct event *b)
{
    const struct event old = *a;
    *a = *b;
    *b = old;
}

static int push(struct error *err, struct clock *c, double time, int cell)
{
    int status = STATUS_OK;
    TRY(grow(err, (void **)&c->heap, c->events, &c->event_space, sizeof *c->heap));
    int at = c->events++;
    c->heap[at] = (struct event){time, cell};
    for (; at > 0 && c->heap[(at - 1) / 2].time > c->heap[at].time; at = (at - 1) / 2) {
        swap(&c->heap[at], &c->heap[(at - 1) / 2]);
    }
cleanup:
    return status;
}

static struct event pop(struct clock *c)
{
    const struct event first = c->heap[0];
    c->heap[0] = c->heap[--c->events];
    for (int at = 0, child = 1; child < c->events; at = child, child = 2 * at + 1) {
        child += child + 1 < c->events && c->heap[child + 1].time < c->heap[child].time;
        if (c->heap[at].time <= c->heap[child].time) {
            break;
        }
        swap(&c->heap[at], &c->heap[child]);
    }
    return first;
}

/* Seconds of the whole cell on a team of `width`. */
static double seconds_on(const struct scheduler_item *item, int width)
{
    return item->seconds / pow(1 + item->gain, log2((double)width / item->width));
}

/* All that the scheduler starts now. */
static int start(struct error *err, struct clock *c)
{
    int status = STATUS_OK;
    for (;;) {
        int cell = -1, width = 0;
        TRY(scheduler_start(err, c->scheduler, c->now, &cell, &width, c->member));
        if (cell < 0) {
            break;
        }
        struct run *run = &c->run[cell];
        run->member = malloc((size_t)width * sizeof *run->member);
        CHECK(err, run->member, STATUS_FAILED, "out of memory for the schedule");
        for (int i = 0; i < width; i++) {
            run->member[i] = c->member[i];
        }
        run->end = c->now + run->left * seconds_on(&c->item[cell], width) +
                   (run->left < 1 ? c->restart : 0);
        run->interval = c->intervals;
        TRY(grow(err, (void **)&c->interval, c->intervals, &c->interval_space,
                 sizeof *c->interval));
        c->interval[c->intervals++] =
            (struct plan_interval){.cell = cell, .ranks = width, .start = c->now, .end = run->end};
        scheduler_resumed(c->scheduler, cell, 1 - run->left);
        TRY(push(err, c, run->end, cell));
    }
cleanup:
    return status;
}

/* The cell has left its workers. */
static void leave(struct clock *c, int cell)
{
    struct run *run = &c->run[cell];
    for (int i = 0; i < c->interval[run->interval].ranks; i++) {
        scheduler_ready(c->scheduler, run->member[i]);
    }
    free(run->member);
    run->member = NULL;
    run->interval = -1;
}

/* Share of the cell that is still to do. */
static double left_of(const struct clock *c, int cell)
{
    const struct run *run = &c->run[cell];
    const struct plan_interval *interval = &c->interval[run->interval];
    const double whole = seconds_on(&c->item[cell], interval->ranks);
    return fmin(run->left, fmax(0, (run->end - c->now) / whole));
}

/* Stop cells that the scheduler wants on wider teams. */
static int widen(struct error *err, struct clock *c, int count)
{
    int status = STATUS_OK;
    if (scheduler_count(c->scheduler, CELL_PENDING) > 0) {
        goto cleanup;
    }
    for (int i = 0; i < count; i++) {
        if (c->run[i].interval >= 0) {
            scheduler_progress(c->scheduler, c->now, i, 1 - left_of(c, i));
        }
    }
    for (int cell; (cell = scheduler_widen(c->scheduler, c->now, c->restart)) >= 0;) {
        struct run *run = &c->run[cell];
        run->left = left_of(c, cell);
        c->interval[run->interval].end = c->now;
        TRY(scheduler_take_back(err, c->scheduler, cell));
        leave(c, cell);
        TRY(start(err, c));
    }
cleanup:
    return status;
}

static int go(struct error *err, struct clock *c, int count)
{
    int status = STATUS_OK;
    TRY(start(err, c));
    TRY(widen(err, c, count));
    while (c->events > 0) {
        bool ended = false;
        c->now = c->heap[0].time;
        while (c->events > 0 && c->heap[0].time <= c->now) { /* all, before anything starts */
            const int cell = pop(c).cell;
            if (c->run[cell].interval >= 0 && c->run[cell].end <= c->now) { /* it was not stopped */
                TRY(scheduler_finish(err, c->scheduler, cell, CELL_DONE,
                                     c->run[cell].left < 1 ? 0 : c->item[cell].seconds));
                leave(c, cell);
                ended = true;
            }
        }
        if (ended) {
            TRY(start(err, c));
            TRY(widen(err, c, count));
        }
    }
    CHECK(err, scheduler_count(c->scheduler, CELL_DONE) == count, STATUS_FAILED,
          "a cell needs a team of %d ranks, and there are fewer workers",
          scheduler_stuck(c->scheduler));
cleanup:
    return status;
}

int forecast(struct error *err, const struct scheduler_item *item, int count, int workers,
             double restart, struct plan_interval **interval, int *intervals)
{
    int status = STATUS_OK;
    struct clock c = {.item = item, .restart = restart};
    TRY(scheduler_create(err, item, count, workers, &c.scheduler));
    c.run = calloc((size_t)count + 1, sizeof *c.run);
    c.member = malloc(((size_t)workers + 1) * sizeof *c.member);
    CHECK(err, c.run && c.member, STATUS_FAILED, "out of memory for the schedule");
    for (int i = 0; i < count; i++) {
        c.run[i] = (struct run){.interval = -1, .left = 1};
    }
    for (int i = 0; i < workers; i++) {
        scheduler_ready(c.scheduler, i);
    }
    TRY(go(err, &c, count));
    *interval = c.interval;
    *intervals = c.intervals;
    c.interval = NULL;
cleanup:
    for (int i = 0; c.run && i < count; i++) {
        free(c.run[i].member);
    }
    scheduler_free(c.scheduler);
    free(c.run);
    free(c.member);
    free(c.heap);
    free(c.interval);
    return status;
}
