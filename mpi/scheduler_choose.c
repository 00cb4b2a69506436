/* Whose turn it is: order, reservation, backfilling. */
#include <math.h>
#include <stdlib.h>

#include "mpi/scheduler_state.h"

/* Workers that are about to come, new ones and members whose cell has ended, are waited for this long. */
static const double patience = 10;

/* A cell is urgent when it takes longer than this share of what all that is left takes on all workers. */
static const double urgent_share = 0.9;

/* A cell that did not start when it was expected to is expected after this share of the time that it has waited. */
static const double late_share = 0.1;

/* A cell that might start: its class, or none (−1) where it comes from a list. */
struct candidate {
    int cell, class;
    double seconds;
};

static const struct candidate none = {-1, -1, 0};

static bool fits(const struct scheduler_class *class, int workers)
{
    return class->pending > 0 && class->width <= workers;
}

/* The longest pending cell of a class from this place on. */
static struct candidate from_place(const struct scheduler *s, int c, int place)
{
    const struct scheduler_class *class = &s->class[c];
    int at = bits_next(&s->pending, place);
    if (at >= class->first + class->length) {
        return none;
    }
    int cell = s->order[at];
    return (struct candidate){cell, c, scheduler_expected(s, cell)};
}

/*
 * Does a come before b, both pending? Widest first: teams of one width replace each other without a gap, and narrow
 * cells fill those that there are. But what takes as long as all the rest together must not wait for that, and goes
 * first, the longest first. Found by simulation (build/simulate --mixture): longest first and largest area first cost
 * more gaps.
 */
static bool before(const struct scheduler *s, const struct candidate *a, const struct candidate *b,
                   double urgent)
{
    if (a->cell < 0 || b->cell < 0) {
        return b->cell < 0;
    }
    const int x = s->item[a->cell].width, y = s->item[b->cell].width;
    const bool first = a->seconds >= urgent, second = b->seconds >= urgent;
    if (first != second) {
        return first;
    }
    if (!first && x != y) {
        return x > y;
    }
    return a->seconds > b->seconds || (a->seconds == b->seconds && a->cell < b->cell);
}

/* Seconds that all pending cells, but those that are too wide, take on all living workers. */
static double pending_seconds(const struct scheduler *s)
{
    double area = 0;
    for (int c = 0; c < s->classes; c++) {
        const struct scheduler_class *class = &s->class[c];
        if (class->width <= s->living) {
            area += class->seconds * class->width * scheduler_factor(s, class->kind, 1);
        }
    }
    return area / s->living;
}

/* A cell that takes longer is urgent. */
static double urgency(const struct scheduler *s, double now)
{
    const double running = (s->due - now * s->busy) / s->living;
    return urgent_share * (pending_seconds(s) + fmax(running, 0));
}

static struct candidate first_in_order(const struct scheduler *s, double urgent)
{
    struct candidate best = none;
    for (int c = 0; c < s->classes; c++) {
        const struct scheduler_class *class = &s->class[c];
        if (fits(class, s->living)) {
            struct candidate top = from_place(s, c, class->first);
            best = before(s, &top, &best, urgent) ? top : best;
        }
    }
    return best;
}

/* The suspect to start before all others, or −1. Put off, a long cell would run alone at the end: its turn comes
 * when the others take no longer than it on all workers. But the workers that it and its like can kill must not be
 * missed by the others, of which the first needs `others` workers (0: there are none). */
static int due_suspect(const struct scheduler *s, int others)
{
    int longest = -1;
    double seconds = 0;
    for (int i = 0; i < s->lates; i++) {
        double expected = scheduler_expected(s, s->late[i]);
        if (expected > seconds && s->item[s->late[i]].width <= s->living) {
            longest = s->late[i];
            seconds = expected;
        }
    }
    if (longest < 0 || others == 0) {
        return longest;
    }
    bool spare = s->living - s->suspects - s->lates >= others;
    return spare && seconds >= pending_seconds(s) ? longest : -1;
}

/* The cell whose turn it is, whether it fits onto the idle workers or not; −1 = none. */
static int head(const struct scheduler *s, double urgent)
{
    const int reserved = s->reserved.cell;
    if (reserved >= 0 && s->item[reserved].width <= s->living) {
        return reserved; /* it has waited, and others have gone first on the strength of that */
    }
    for (int i = 0; i < s->wides; i++) {
        if (s->item[s->wide[i]].width <= s->living) {
            return s->wide[i];
        }
    }
    struct candidate best = first_in_order(s, urgent);
    int suspect = due_suspect(s, best.cell < 0 ? 0 : s->item[best.cell].width);
    return suspect >= 0 ? suspect : best.cell;
}

/* Later, by more than rounding? */
static bool is_past(double a, double b)
{
    return a > b + 1e-9 * fabs(b);
}

/* Workers that are about to be idle. */
static int coming(const struct scheduler *s, double now)
{
    return (now <= s->ended + patience ? s->leaving : 0) +
           (now <= s->origin + patience ? s->absents : 0);
}

/* A widened cell takes what there is. */
static void settle_width(struct scheduler *s, int cell, double now)
{
    struct scheduler_team *team = &s->team[cell];
    while (team->width > s->item[cell].width && team->width > s->idles + coming(s, now)) {
        team->width /= 2;
    }
}

/* Restore a min-heap of spans after span[at] has grown. */
static void sift(struct scheduler_span *span, int length, int at)
{
    const struct scheduler_span moved = span[at];
    for (int child; (child = 2 * at + 1) < length; at = child) {
        child += child + 1 < length && span[child + 1].seconds < span[child].seconds;
        if (moved.seconds <= span[child].seconds) {
            break;
        }
        span[at] = span[child];
    }
    span[at] = moved;
}

/* When will the cell have workers enough, and how many more will there be? */
static void reserve(struct scheduler *s, double now, int cell)
{
    struct scheduler_reservation *r = &s->reserved;
    const double guess = s->expected > 0 ? NAN : scheduler_guess(s);
    const int width = s->team[cell].width;
    int there = s->idles + coming(s, now), count = 0;
    double seconds = 0, least = 0;

    if (r->cell != cell) {
        r->since = now;
    } else if (is_past(now, r->start)) { /* the estimates were wrong: do not ask again at once */
        least = late_share * (now - r->since);
    }
    r->cell = cell;
    r->stale = false;
    r->serial++;
    for (int i = 0; there < width && i < s->counts[CELL_RUNNING]; i++) {
        const int other = s->running[i];
        const double left = scheduler_left(s, other, now, isnan(guess) ? 1 : guess);
        s->span[count++] = (struct scheduler_span){left, s->team[other].held, other};
    }
    for (int at = count / 2; at >= 0 && count > 0; at--) {
        sift(s->span, count, at);
    }
    while (count > 0 && (there < width || !is_past(s->span[0].seconds, seconds))) {
        there += s->span[0].width;
        seconds = s->span[0].seconds;
        s->team[s->span[0].cell].counted = r->serial;
        s->span[0] = s->span[--count];
        sift(s->span, count, 0);
    }
    r->spare = there - width;
    r->start = there < width ? INFINITY : now + fmax(seconds, least);
}

void scheduler_account(struct scheduler *s, int cell)
{
    struct scheduler_team *team = &s->team[cell];
    if (s->reserved.cell < 0) {
        return;
    }
    if (is_past(team->due, s->reserved.start)) {
        s->reserved.spare -= team->width;
    } else {
        team->counted = s->reserved.serial;
    }
}

/* The first place of a class whose cell is expected to take no more than `seconds`. */
static int short_enough(const struct scheduler *s, const struct scheduler_class *class,
                        double seconds)
{
    double factor = scheduler_factor(s, class->kind, 1);
    int low = class->first, high = class->first + class->length;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (!is_past(s->item[s->order[middle]].seconds * factor, seconds)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* The first cell in order that ends within `seconds`, or takes no more than `spare` workers. */
static int backfill(const struct scheduler *s, double seconds, int spare, double urgent)
{
    struct candidate best = none;
    for (int c = 0; c < s->classes; c++) {
        const struct scheduler_class *class = &s->class[c];
        if (fits(class, s->idles)) {
            int place = class->width <= spare ? class->first : short_enough(s, class, seconds);
            struct candidate top = from_place(s, c, place);
            best = before(s, &top, &best, urgent) ? top : best;
        }
    }
    return best.cell;
}

int scheduler_choose(struct scheduler *s, double now, int *width)
{
    if (!s->begun) {
        s->begun = true;
        s->origin = s->ended = now;
    }
    s->ended = s->has_ended ? now : s->ended;
    s->has_ended = false;
    *width = 0;
    if (s->idles == 0) {
        return -1;
    }
    const double urgent = s->mixed ? urgency(s, now) : INFINITY;
    int cell = head(s, urgent);
    if (cell < 0) {
        return -1;
    }
    settle_width(s, cell, now);
    if (s->team[cell].width > s->idles) {
        if (s->reserved.cell != cell || s->reserved.stale || is_past(now, s->reserved.start)) {
            reserve(s, now, cell);
        }
        cell = backfill(s, s->reserved.start - now, s->reserved.spare, urgent);
    }
    *width = cell >= 0 ? s->team[cell].width : 0;
    return cell;
}

int scheduler_reserved(const struct scheduler *s, double *start)
{
    *start = s->reserved.start;
    return s->reserved.cell;
}

int scheduler_stuck(const struct scheduler *s)
{
    int least = 0;
    if (s->counts[CELL_RUNNING] > 0) {
        return 0;
    }
    for (int c = 0; c < s->classes; c++) {
        least = s->class[c].pending > 0 ? s->class[c].width : least; /* widest first */
    }
    for (int i = 0; i < s->lates + s->wides; i++) {
        int cell = i < s->lates ? s->late[i] : s->wide[i - s->lates];
        least = least == 0 || s->item[cell].width < least ? s->item[cell].width : least;
    }
    return least > s->living ? least : 0;
}
