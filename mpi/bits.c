#include "mpi/bits.h"

#include <stdlib.h>

bool bits_create(struct bits *b, int size)
{
    size_t words = (size_t)size;
    bool made = true;
    b->size = size;
    for (int level = 0; level < BITS_LEVELS; level++) {
        words = words / 64 + 1; /* one more than needed: bits_next may look there */
        b->level[level] = calloc(words, sizeof *b->level[level]);
        made = made && b->level[level] != NULL;
    }
    return made;
}

void bits_free(struct bits *b)
{
    for (int level = 0; level < BITS_LEVELS; level++) {
        free(b->level[level]);
        b->level[level] = NULL;
    }
}

void bits_set(struct bits *b, int at)
{
    for (int level = 0; level < BITS_LEVELS; level++, at /= 64) {
        b->level[level][at / 64] |= UINT64_C(1) << (at % 64);
    }
}

void bits_clear(struct bits *b, int at)
{
    for (int level = 0; level < BITS_LEVELS; level++, at /= 64) {
        b->level[level][at / 64] &= ~(UINT64_C(1) << (at % 64));
        if (b->level[level][at / 64] != 0) {
            return;
        }
    }
}

bool bits_has(const struct bits *b, int at)
{
    return b->level[0][at / 64] >> (at % 64) & 1;
}

int bits_next(const struct bits *b, int from)
{
    for (int level = 0, at = from; from < b->size && level < BITS_LEVELS;
         level++, at = at / 64 + 1) {
        uint64_t word = b->level[level][at / 64] >> (at % 64);
        if (word == 0) {
            continue;
        }
        at += __builtin_ctzll(word);
        while (level-- > 0) {
            at = 64 * at + __builtin_ctzll(b->level[level][at]);
        }
        return at;
    }
    return b->size;
}
