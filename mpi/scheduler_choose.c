/* Whose turn it is: order, reservation, backfilling. */
#include <math.h>
#include <stdlib.h>

#include "mpi/scheduler_state.h"

/* Workers that are about to come, new ones and members whose cell has ended, are waited for this long. */
static const double patience = 10;

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

/* Does a come before b, both pending? */
static bool before(const struct scheduler *s, const struct candidate *a, const struct candidate *b)
{
    if (a->cell < 0 || b->cell < 0) {
        return b->cell < 0;
    }
    int x = s->item[a->cell].width, y = s->item[b->cell].width;
    if (x != y) {
        return x > y;
    }
    return a->seconds > b->seconds || (a->seconds == b->seconds && a->cell < b->cell);
}

static struct candidate first_in_order(const struct scheduler *s)
{
    struct candidate best = none;
    for (int c = 0; c < s->classes; c++) { /* widest first */
        const struct scheduler_class *class = &s->class[c];
        if (best.cell >= 0 && class->width < s->item[best.cell].width) {
            break;
        }
        if (fits(class, s->living)) {
            struct candidate top = from_place(s, c, class->first);
            best = before(s, &top, &best) ? top : best;
        }
    }
    return best;
}

/* The suspect to start before all others, or −1. Put off, a long cell would run alone at the end: its turn comes
 * when the others take no longer than it on all workers. But the workers that it and its like can kill must not be
 * missed by the others, of which the widest needs `others` workers (0: there are none). */
static int due_suspect(const struct scheduler *s, int others)
{
    int longest = -1;
    double seconds = 0, pending = 0;
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
    for (int c = 0; c < s->classes; c++) {
        const struct scheduler_class *class = &s->class[c];
        pending += class->seconds * class->width * scheduler_factor(s, class->kind, 1);
    }
    bool spare = s->living - s->suspects - s->lates >= others;
    return spare && seconds * s->living >= pending ? longest : -1;
}

/* The cell whose turn it is, whether it fits onto the idle workers or not; −1 = none. */
static int head(const struct scheduler *s)
{
    if (s->reserved >= 0 && s->team[s->reserved].width <= s->living) {
        return s->reserved; /* it has waited, and others have gone first on the strength of that */
    }
    for (int i = 0; i < s->wides; i++) {
        if (s->item[s->wide[i]].width <= s->living) {
            return s->wide[i];
        }
    }
    struct candidate best = first_in_order(s);
    int suspect = due_suspect(s, best.cell < 0 ? 0 : s->item[best.cell].width);
    return suspect >= 0 ? suspect : best.cell;
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

static int earlier(const void *a, const void *b)
{
    double x = ((const struct scheduler_span *)a)->seconds;
    double y = ((const struct scheduler_span *)b)->seconds;
    return x < y ? -1 : x > y;
}

/* Seconds until `width` workers are idle; INFINITY = not known. *spare: how many more there are then. */
static double reserve(struct scheduler *s, double now, int width, int *spare)
{
    double guess = scheduler_guess(s, now);
    int there = s->idles + coming(s, now), count = 0;
    double seconds = 0;

    for (int i = 0; there < width && i < s->counts[CELL_RUNNING]; i++) {
        int cell = s->running[i];
        s->span[count++] = (struct scheduler_span){
            scheduler_left(s, cell, now, isnan(guess) ? 1 : guess), s->team[cell].held};
    }
    qsort(s->span, (size_t)count, sizeof *s->span, earlier);
    int at = 0;
    for (; at < count && (there < width || s->span[at].seconds <= seconds); at++) {
        there += s->span[at].width;
        seconds = s->span[at].seconds;
    }
    *spare = there - width;
    return there < width ? INFINITY : seconds;
}

/* The first place of a class whose cell is expected to take no more than `seconds`. */
static int short_enough(const struct scheduler *s, const struct scheduler_class *class,
                        double seconds)
{
    double factor = scheduler_factor(s, class->kind, 1);
    int low = class->first, high = class->first + class->length;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->item[s->order[middle]].seconds * factor <= seconds) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* The first cell in order that ends within `seconds`, or takes no more than `spare` workers. */
static int backfill(const struct scheduler *s, double seconds, int spare)
{
    struct candidate best = none;
    for (int c = 0; c < s->classes; c++) {
        const struct scheduler_class *class = &s->class[c];
        if (best.cell >= 0 && class->width < s->item[best.cell].width) {
            break;
        }
        if (fits(class, s->idles)) {
            int place = class->width <= spare ? class->first : short_enough(s, class, seconds);
            struct candidate top = from_place(s, c, place);
            best = before(s, &top, &best) ? top : best;
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
    s->now = now;
    *width = 0;
    if (s->idles == 0) {
        return -1;
    }
    int cell = head(s), spare = 0;
    if (cell < 0) {
        return -1;
    }
    settle_width(s, cell, now);
    if (s->team[cell].width > s->idles) {
        double seconds = reserve(s, now, s->team[cell].width, &spare);
        s->reserved = cell;
        s->reserved_start = now + seconds;
        cell = backfill(s, seconds, spare);
    }
    *width = cell >= 0 ? s->team[cell].width : 0;
    return cell;
}

int scheduler_reserved(const struct scheduler *s, double *start)
{
    *start = s->reserved_start;
    return s->reserved;
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
