#include "study/parameters.h"

#include <stdlib.h>
#include <string.h>

#include "study/arena.h"

enum { NO_UNIT = -1 };

static void carve(struct arena *a, const struct shards *shards, struct parameters *p)
{
    for (int i = 0; i < 2; i++) {
        p->slot[i].whole = arena_take(a, shards->largest, sizeof(float));
    }
}

static size_t slots_bytes(const struct shards *shards)
{
    struct arena a = {0};
    struct parameters p;
    carve(&a, shards, &p);
    return a.used;
}

int parameters_create(struct error *err, struct team *team, const struct shards *shards,
                      const float *own, struct parameters *parameters)
{
    int status = STATUS_OK;
    struct arena arena = {0};
    *parameters = (struct parameters){.layout = shards->layout, .own = own};
    if (team->size == 1) {
        return status;
    }
    parameters->memory = aligned_alloc(64, slots_bytes(shards));
    CHECK(err, parameters->memory, STATUS_FAILED, "out of memory: two gathered units need %.1f MiB",
          (double)slots_bytes(shards) / 1048576.0);
    arena.base = parameters->memory;
    carve(&arena, shards, parameters);
    parameters->team = team;
    parameters->shards = shards;
    parameters->slot[0].unit = parameters->slot[1].unit = NO_UNIT;
cleanup:
    return status;
}

static int finish(struct error *err, struct parameters *p, struct parameters_slot *slot)
{
    int status = STATUS_OK;
    struct transfer *transfer = slot->transfer;
    slot->transfer = NULL;
    if (transfer) {
        status = p->team->finish(p->team, transfer);
        CHECK(err, status == STATUS_OK, status, "cancelled");
    }
cleanup:
    if (status != STATUS_OK) {
        slot->unit = NO_UNIT;
    }
    return status;
}

int parameters_changed(struct error *err, struct parameters *p)
{
    int status = STATUS_OK;
    for (int i = 0; p->team && i < 2; i++) {
        TRY(finish(err, p, &p->slot[i]));
        p->slot[i].unit = NO_UNIT;
    }
cleanup:
    return status;
}

void parameters_free(struct parameters *p)
{
    for (int i = 0; p->team && i < 2; i++) {
        finish(NULL, p, &p->slot[i]);
    }
    free(p->memory);
    *p = (struct parameters){.own = NULL};
}

static int start(struct error *err, struct parameters *p, struct parameters_slot *slot, int unit)
{
    int status = STATUS_OK;
    size_t first;
    const size_t own = shards_own(p->shards, unit, &first);
    TRY(finish(err, p, slot));
    slot->unit = unit;
    memcpy(slot->whole + first, p->own + p->shards->at[unit], own * sizeof(float));
    status =
        p->team->gather_start(p->team, slot->whole, shards_bytes(p->shards, unit), &slot->transfer);
    CHECK(err, status == STATUS_OK, status, "cancelled");
cleanup:
    if (status != STATUS_OK) {
        slot->unit = NO_UNIT;
    }
    return status;
}

int parameters_open(struct error *err, struct parameters *p, int unit, int next,
                    const float **whole)
{
    int status = STATUS_OK;
    if (p->team == NULL) {
        *whole = p->own + p->layout->unit[unit].offset;
        return status;
    }
    /* What is here stays; else the place of the one that was opened before the last. */
    struct parameters_slot *here = &p->slot[p->slot[1].unit == unit];
    struct parameters_slot *other = here == &p->slot[0] ? &p->slot[1] : &p->slot[0];
    if (here->unit != unit) {
        TRY(start(err, p, here, unit));
    }
    TRY(finish(err, p, here));
    if (next != NO_UNIT && next != unit && other->unit != next) {
        TRY(start(err, p, other, next));
    }
    *whole = here->whole;
cleanup:
    return status;
}

int parameters_tensor(struct error *err, struct parameters *p, int tensor, const float **weights)
{
    int status = STATUS_OK;
    const struct tensor *t = &p->layout->tensor[tensor];
    TRY(parameters_open(err, p, t->unit, NO_UNIT, weights));
    *weights += t->offset - p->layout->unit[t->unit].offset;
cleanup:
    return status;
}
