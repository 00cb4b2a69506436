#include "study/blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct ranked {
    uint64_t hash;
    size_t block;
};

static int by_hash(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->block < y->block ? -1 : 1);
}

int blocks_choose(struct error *err, size_t blocks, double fraction, uint64_t seed, bool *held)
{
    int status = STATUS_OK;
    size_t count = (size_t)llround(fraction * (double)blocks);
    struct ranked *rank = malloc(blocks * sizeof *rank);
    CHECK(err, rank, STATUS_FAILED, "out of memory");
    for (size_t i = 0; i < blocks; i++) {
        uint64_t index = i;
        rank[i] = (struct ranked){.hash = XXH64(&index, sizeof index, seed), .block = i};
    }
    qsort(rank, blocks, sizeof *rank, by_hash);
    for (size_t i = 0; i < (count > 0 ? count : 1); i++) {
        held[rank[i].block] = true;
    }
cleanup:
    free(rank);
    return status;
}

size_t block_end(const uint8_t *text, size_t length)
{
    const size_t most = length < 2 * BLOCK_LENGTH ? length : 2 * BLOCK_LENGTH;
    if (length <= BLOCK_LENGTH) {
        return length;
    }
    const uint8_t *newline = memchr(text + BLOCK_LENGTH, '\n', most - BLOCK_LENGTH);
    if (newline) {
        return (size_t)(newline - text) + 1;
    }
    if (most == length) {
        return length;
    }
    size_t end = most;
    while (end > most - 3 && (text[end] & 0xc0) == 0x80) { /* within a character */
        end--;
    }
    return end;
}
