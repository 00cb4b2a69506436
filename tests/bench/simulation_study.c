/* What is simulated: random numbers, the queue of events, the cells of a study. */
#include <math.h>
#include <stdlib.h>

#include "tests/bench/simulation_state.h"

enum { PRECISIONS = 2, KINDS = SIMULATION_SIZES * PRECISIONS };

double random_unit(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

int random_below(uint64_t *state, int n)
{
    return (int)(random_unit(state) * n);
}

double random_log_normal(uint64_t *state, double sigma)
{
    double radius = sqrt(-2 * log(random_unit(state)));
    return exp(sigma * radius * cos(6.283185307179586 * random_unit(state)));
}

/* Events ====================================================================================== */

int events_push(struct error *err, struct events *events, struct event event)
{
    int status = STATUS_OK;
    if (events->count == events->room) {
        int room = events->room > 0 ? 2 * events->room : 1024;
        struct event *heap = realloc(events->heap, (size_t)room * sizeof *heap);
        CHECK(err, heap != NULL, STATUS_FAILED, "out of memory for %d events", room);
        events->heap = heap;
        events->room = room;
    }
    struct event *heap = events->heap;
    int at = events->count++;
    for (; at > 0 && event.time < heap[(at - 1) / 2].time; at = (at - 1) / 2) {
        heap[at] = heap[(at - 1) / 2];
    }
    heap[at] = event;
cleanup:
    return status;
}

struct event events_pop(struct events *events)
{
    struct event *heap = events->heap;
    struct event first = heap[0], last = heap[--events->count];
    int at = 0;
    for (int child; (child = 2 * at + 1) < events->count; at = child) {
        child += child + 1 < events->count && heap[child + 1].time < heap[child].time;
        if (last.time <= heap[child].time) {
            break;
        }
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* Cells ======================================================================================= */

/* As a study lists them: sizes outermost. */
static struct scheduler_item grid_item(struct state *s, int i)
{
    static const double budget[] = {0.5, 1, 2};
    const struct simulation *o = s->options;
    int size = (int)((int64_t)i * SIMULATION_SIZES / o->cells);
    int kind = size * PRECISIONS + random_below(&s->random, PRECISIONS);
    double seconds = o->shortest * o->cost[size] / o->cost[0];
    seconds *= o->budgets ? budget[random_below(&s->random, 3)] : 1;
    return (struct scheduler_item){seconds / o->width[size], kind, o->width[size], 0, o->gain};
}

static struct scheduler_item mixed_item(struct state *s)
{
    const struct simulation *o = s->options;
    int width = o->width[random_below(&s->random, SIMULATION_SIZES)];
    double seconds = o->shortest * pow(10, 1.5 * random_unit(&s->random));
    int kind = random_below(&s->random, KINDS);
    return (struct scheduler_item){seconds, kind, width, 0, o->gain};
}

/* Cells of this width or wider, of which only so many run at a time. */
static double nested_bound(const struct state *s, int width)
{
    double seconds = 0;
    int together = s->options->workers / width;
    for (int i = 0; i < s->options->cells; i++) {
        const struct fate *fate = &s->cell[i];
        if (!fate->killer && fate->item.width >= width) {
            seconds += fate->real * (fate->item.width / width);
        }
    }
    return together > 0 ? seconds / together : 0;
}

int simulation_prepare(struct error *err, struct state *s)
{
    int status = STATUS_OK;
    const struct simulation *o = s->options;
    double factor[KINDS];
    struct scheduler_item *item = calloc((size_t)o->cells, sizeof *item);
    CHECK(err, item != NULL, STATUS_FAILED, "out of memory for %d cells", o->cells);
    for (int k = 0; k < KINDS; k++) {
        factor[k] = random_log_normal(&s->random, o->kind_error);
    }
    for (int i = 0; i < o->cells; i++) {
        item[i] = o->mixture ? mixed_item(s) : grid_item(s, i);
        item[i].most = item[i].width << o->doublings;
        double real =
            item[i].seconds * factor[item[i].kind] * random_log_normal(&s->random, o->cell_error);
        s->cell[i] =
            (struct fate){.item = item[i], .real = real, .remaining = real, .promise = INFINITY};
    }
    for (int k = 0; k < o->killers; k++) {
        s->cell[random_below(&s->random, o->cells)].killer = true;
    }
    for (int i = 0; i < o->cells; i++) {
        if (!s->cell[i].killer && item[i].width <= o->workers) {
            s->result->work += s->cell[i].real * item[i].width;
            s->result->longest = fmax(s->result->longest, s->cell[i].real);
        }
    }
    s->result->bound = fmax(s->result->work / o->workers, s->result->longest);
    s->result->nested = s->result->bound;
    for (int width = 2; width <= o->workers; width *= 2) {
        s->result->nested = fmax(s->result->nested, nested_bound(s, width));
    }
    TRY(scheduler_create(err, item, o->cells, o->workers, &s->scheduler));
cleanup:
    free(item);
    return status;
}
