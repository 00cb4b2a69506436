/*
 * Who holds what of a model's parameters in a team (ZeRO-3, 1910.02054): each unit of the layout is cut into as many pieces as
 * the team has ranks, and a rank holds its piece (team_piece) of every unit, one behind the other. Cuts lie between chunks of a
 * tensor, so that sums over chunks do not see them (METHOD §2), and the pieces of a larger team lie within those of a smaller
 * one. Some may be empty. A team of one holds everything, as it lies in the layout's buffer.
 */
#ifndef STUDY_SHARDS_H
#define STUDY_SHARDS_H

#include "study/layout.h"

enum { SHARDS_CHUNK = 4096 }; /* floats */

/* Elements of one tensor that lie in a piece. */
struct span {
    int tensor;
    size_t first, count; /* in the tensor; first is a multiple of SHARDS_CHUNK */
    size_t at;           /* in the buffers of what the rank holds */
};

struct shards {
    const struct layout *layout;
    int pieces, piece;
    size_t *floats, *bytes; /* (units, pieces + 1): where pieces begin within their unit */
    size_t *at;     /* (units): where the piece of each unit begins in what the rank holds */
    size_t length;  /* floats that the rank holds */
    size_t largest; /* floats of the largest unit */
    int spans;
    struct span *span; /* in the layout's order */
};

/* The layout must outlive the result. `piece` of `pieces` (a power of two). */
int shards_create(struct error *err, const struct layout *layout, int pieces, int piece,
                  struct shards **shards);
void shards_free(struct shards *shards); /* NULL is fine */

static inline const size_t *shards_floats(const struct shards *s, int unit)
{
    return s->floats + (size_t)unit * ((size_t)s->pieces + 1);
}
static inline const size_t *shards_bytes(const struct shards *s, int unit)
{
    return s->bytes + (size_t)unit * ((size_t)s->pieces + 1);
}
/* Floats of the rank's piece of a unit, and where in the unit it begins. */
static inline size_t shards_own(const struct shards *s, int unit, size_t *first)
{
    const size_t *floats = shards_floats(s, unit);
    *first = floats[s->piece];
    return floats[s->piece + 1] - floats[s->piece];
}

#endif
