/* What a scheduler expects: rates that it has learned, what is left of a cell, of all. */
#include <math.h>
#include <stdlib.h>

#include "mpi/scheduler_state.h"

/* Enough of a running cell is done to extrapolate from it. */
static const double least_fraction = 0.02;

void scheduler_learn(struct scheduler *s, int cell, double seconds)
{
    if (!isfinite(seconds) || seconds <= 0) {
        return;
    }
    struct scheduler_kind *kind = &s->kind[s->item[cell].kind];
    double expected = s->item[cell].seconds / scheduler_speedup(s, cell, s->team[cell].width);
    kind->expected += expected;
    kind->elapsed += seconds;
    s->expected += expected;
    s->elapsed += seconds;
}

double scheduler_factor(const struct scheduler *s, int k, double unknown)
{
    const struct scheduler_kind *kind = &s->kind[k];
    if (kind->expected > 0) {
        return kind->elapsed / kind->expected;
    }
    return s->expected > 0 ? s->elapsed / s->expected : unknown;
}

double scheduler_speedup(const struct scheduler *s, int cell, int width)
{
    double times = 1;
    for (int w = s->item[cell].width; w < width; w *= 2) {
        times *= 1 + s->item[cell].gain;
    }
    return times;
}

double scheduler_expected(const struct scheduler *s, int cell)
{
    return s->item[cell].seconds * scheduler_factor(s, s->item[cell].kind, 1);
}

double scheduler_whole(const struct scheduler *s, int cell)
{
    const struct scheduler_team *team = &s->team[cell];
    return s->item[cell].seconds * (1 - team->base) / scheduler_speedup(s, cell, team->width);
}

double scheduler_guess(const struct scheduler *s)
{
    double expected = 0, elapsed = 0;
    for (int i = 0; i < s->counts[CELL_RUNNING]; i++) {
        int cell = s->running[i];
        const struct scheduler_team *team = &s->team[cell];
        double done = team->fraction - team->base;
        if (done >= least_fraction) {
            expected += scheduler_whole(s, cell) * done / (1 - team->base);
            elapsed += team->heard - team->since;
        }
    }
    return expected > 0 ? elapsed / expected : NAN;
}

double scheduler_left(const struct scheduler *s, int cell, double now, double guess)
{
    const struct scheduler_team *team = &s->team[cell];
    double done = team->fraction - team->base;
    double end = done >= least_fraction
                     ? team->heard + (team->heard - team->since) * (1 - team->fraction) / done
                     : team->since + scheduler_whole(s, cell) *
                                         scheduler_factor(s, s->item[cell].kind, guess);
    double left = end - now;
    return left < 0 ? 0 : left;
}

/* ---- all ---- */

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

/* Take a heap's least time out. */
static double pop_time(double *times, int *length)
{
    double least = times[0];
    times[0] = times[--*length];
    sift_time(times, *length, 0);
    return least;
}

static void push_time(double *times, int *length, double time)
{
    int at = (*length)++;
    for (; at > 0 && time < times[(at - 1) / 2]; at = (at - 1) / 2) {
        times[at] = times[(at - 1) / 2];
    }
    times[at] = time;
}

static int widest_first(const void *a, const void *b)
{
    const struct scheduler_span *x = a, *y = b;
    if (x->width != y->width) {
        return y->width - x->width;
    }
    return x->seconds > y->seconds ? -1 : x->seconds < y->seconds;
}

/* When the living workers are done with what they do now; returns the last of them, or NaN. */
static double loads(struct scheduler *s, double now, double guess)
{
    double last = 0;
    int count = 0;
    for (int i = 0; i < s->counts[CELL_RUNNING]; i++) {
        int cell = s->running[i];
        double left = scheduler_left(s, cell, now, guess);
        for (int w = 0; w < s->team[cell].held; w++) {
            s->load[count++] = left;
        }
        last = left > last || isnan(left) ? left : last;
    }
    while (count < s->living) {
        s->load[count++] = 0;
    }
    return last;
}

static struct scheduler_span span_of(const struct scheduler *s, int cell, double guess)
{
    return (struct scheduler_span){scheduler_whole(s, cell) *
                                       scheduler_factor(s, s->item[cell].kind, guess),
                                   s->team[cell].width, cell};
}

static int spans(struct scheduler *s, double guess)
{
    int count = 0;
    for (int at = bits_next(&s->pending, 0); at < s->count; at = bits_next(&s->pending, at + 1)) {
        s->span[count++] = span_of(s, s->order[at], guess);
    }
    for (int i = 0; i < s->lates; i++) {
        s->span[count++] = span_of(s, s->late[i], guess);
    }
    for (int i = 0; i < s->wides; i++) {
        s->span[count++] = span_of(s, s->wide[i], guess);
    }
    return count;
}

double scheduler_eta(struct scheduler *s, double now)
{
    double guess = s->expected > 0 ? NAN : scheduler_guess(s);
    double last = loads(s, now, guess);
    int count = spans(s, guess), length = s->living;

    if (isnan(last) || (count > 0 && isnan(s->span[0].seconds))) {
        return NAN;
    }
    qsort(s->span, (size_t)count, sizeof *s->span, widest_first);
    if (count > 0 && s->span[0].width > s->living) {
        return NAN;
    }
    for (int w = length / 2; w >= 0; w--) {
        sift_time(s->load, length, w);
    }
    for (int i = 0; i < count; i++) {
        double end = 0;
        for (int w = 0; w < s->span[i].width; w++) {
            end = pop_time(s->load, &length);
        }
        end += s->span[i].seconds;
        for (int w = 0; w < s->span[i].width; w++) {
            push_time(s->load, &length, end);
        }
        last = end > last ? end : last;
    }
    return last;
}
