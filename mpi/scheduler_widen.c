/* The end of a run: idle workers for the cells that run longest. */
#include <math.h>

#include "mpi/scheduler_state.h"

/* What is saved must exceed the seconds of a restart by this factor. */
static const double margin = 2;

/* A cell that was widened runs for this many times the seconds of a restart before it is widened again. */
static const double rest = 10;

/* Idle workers that no cell on its way to a wider team is to get, or −1 where a pending cell could use them. */
static int unclaimed(const struct scheduler *s)
{
    int idle = s->idles;
    for (int c = 0; c < s->classes; c++) {
        if (s->class[c].pending > 0 && s->class[c].width <= s->living) {
            return -1;
        }
    }
    for (int i = 0; i < s->lates; i++) {
        if (s->item[s->late[i]].width <= s->living) {
            return -1;
        }
    }
    if (s->wides > 0) {
        return -1; /* soon */
    }
    for (int i = 0; i < s->counts[CELL_RUNNING]; i++) {
        const struct scheduler_team *team = &s->team[s->running[i]];
        idle -= team->target > 0 ? team->target - team->width : 0;
    }
    return idle;
}

/* May it be stopped? Not when it may kill its workers, or is to stop, or has just been restarted, or a member of it is
 * lost. */
static bool may_widen(const struct scheduler *s, int cell, double now, double restart)
{
    const struct scheduler_team *team = &s->team[cell];
    const bool rested = !team->widened || now - team->since >= rest * restart;
    return team->target == 0 && !team->suspect && rested && team->held == team->width;
}

/* Seconds that the cell still takes, NaN = not known. */
static double left_of(const struct scheduler *s, int cell, double now)
{
    return scheduler_left(s, cell, now, NAN);
}

/* The widest team that pays within so many more workers; 0 = none. */
static int wider(const struct scheduler *s, int cell, double left, double restart, int more)
{
    const int width = s->team[cell].width;
    int best = 0;
    for (int w = 2 * width; w <= s->item[cell].most && w - width <= more; w *= 2) {
        const double times = scheduler_speedup(s, cell, w) / scheduler_speedup(s, cell, width);
        best = left * (1 - 1 / times) > margin * restart ? w : best;
    }
    return best;
}

int scheduler_widen(struct scheduler *s, double now, double restart)
{
    const int idle = unclaimed(s);
    int longest = -1, like = 0;
    double most = 0;

    if (idle <= 0) {
        return -1;
    }
    for (int i = 0; i < s->counts[CELL_RUNNING]; i++) {
        const double left = left_of(s, s->running[i], now);
        if (s->team[s->running[i]].target == 0 && left > most) { /* never NaN */
            longest = s->running[i];
            most = left;
        }
    }
    /* Where the one that ends last cannot be helped, to help others would end the run no earlier. */
    if (longest < 0 || !may_widen(s, longest, now, restart)) {
        return -1;
    }
    for (int i = 0; i < s->counts[CELL_RUNNING]; i++) { /* they would be the last ones instead */
        like += s->team[s->running[i]].target == 0 && left_of(s, s->running[i], now) > most / 2;
    }
    const int width = s->team[longest].width, share = idle / like;
    const int more = share > width ? share : width < idle ? width : idle;
    const int target = wider(s, longest, most, restart, more);
    s->team[longest].target = target;
    return target > 0 ? longest : -1;
}
