#include "study/shards.h"

#include <stdlib.h>

/* The first cut of the unit at or behind `wanted`. */
static size_t cut_at(const struct layout *l, int unit, size_t wanted)
{
    const struct unit *u = &l->unit[unit];
    for (int i = 0; i < l->tensors; i++) {
        const struct tensor *t = &l->tensor[i];
        if (t->unit != unit) {
            continue;
        }
        const size_t begin = t->offset - u->offset;
        if (wanted <= begin) {
            return begin;
        }
        const size_t chunks = (wanted - begin + SHARDS_CHUNK - 1) / SHARDS_CHUNK;
        if (chunks * SHARDS_CHUNK < tensor_elements(t)) {
            return begin + chunks * SHARDS_CHUNK;
        }
    }
    return u->length;
}

static void cut(struct shards *s, int unit)
{
    const size_t length = s->layout->unit[unit].length, pieces = (size_t)s->pieces;
    size_t *floats = s->floats + (size_t)unit * (pieces + 1);
    for (size_t k = 0; k <= pieces; k++) {
        /* The same cut for the same fraction, whatever the number of pieces. */
        const size_t wanted = (size_t)((unsigned __int128)length * k / pieces);
        floats[k] = k == 0 ? 0 : k == pieces ? length : cut_at(s->layout, unit, wanted);
        s->bytes[(size_t)unit * (pieces + 1) + k] = floats[k] * sizeof(float);
    }
}

/* The tensor's part of the rank's piece, if there is one. */
static void add_span(struct shards *s, int tensor)
{
    const struct tensor *t = &s->layout->tensor[tensor];
    const size_t begin = t->offset - s->layout->unit[t->unit].offset, n = tensor_elements(t);
    size_t first;
    const size_t count = shards_own(s, t->unit, &first), end = first + count;
    const size_t low = begin > first ? begin : first, high = begin + n < end ? begin + n : end;
    if (low < high) {
        s->span[s->spans++] = (struct span){.tensor = tensor,
                                            .first = low - begin,
                                            .count = high - low,
                                            .at = s->at[t->unit] + low - first};
    }
}

int shards_create(struct error *err, const struct layout *layout, int pieces, int piece,
                  struct shards **shards)
{
    int status = STATUS_OK;
    const size_t units = (size_t)layout->units, cuts = units * ((size_t)pieces + 1);
    struct shards *s = calloc(1, sizeof *s);
    CHECK(err, s, STATUS_FAILED, "out of memory");
    s->layout = layout;
    s->pieces = pieces;
    s->piece = piece;
    s->floats = malloc(cuts * sizeof *s->floats);
    s->bytes = malloc(cuts * sizeof *s->bytes);
    s->at = malloc(units * sizeof *s->at);
    s->span = malloc((size_t)layout->tensors * sizeof *s->span);
    CHECK(err, s->floats && s->bytes && s->at && s->span, STATUS_FAILED, "out of memory");
    for (int u = 0; u < layout->units; u++) {
        size_t first;
        cut(s, u);
        s->at[u] = s->length;
        s->length += shards_own(s, u, &first);
        s->largest = layout->unit[u].length > s->largest ? layout->unit[u].length : s->largest;
    }
    for (int i = 0; i < layout->tensors; i++) {
        add_span(s, i);
    }
    *shards = s;
    s = NULL;
cleanup:
    shards_free(s);
    return status;
}

void shards_free(struct shards *shards)
{
    if (shards) {
        free(shards->floats);
        free(shards->bytes);
        free(shards->at);
        free(shards->span);
        free(shards);
    }
}
