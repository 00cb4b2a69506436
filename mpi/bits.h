/* A set of small numbers: which cells are pending, which workers are idle. The next one from any place on is found
 * in a few steps, whatever the size. */
#ifndef PTQSCALE_MPI_BITS_H
#define PTQSCALE_MPI_BITS_H

#include <stdbool.h>
#include <stdint.h>

enum { BITS_LEVELS = 4 }; /* 64⁴ numbers */

struct bits {
    int size;
    uint64_t *level[BITS_LEVELS]; /* a bit says that a word of the level below is not 0 */
};

/* The empty subset of 0 … size − 1. false: no memory; free it in any case. */
bool bits_create(struct bits *bits, int size);
void bits_free(struct bits *bits);

void bits_set(struct bits *bits, int at);
void bits_clear(struct bits *bits, int at);
bool bits_has(const struct bits *bits, int at);

/* The least member ≥ from; `size` if there is none. */
int bits_next(const struct bits *bits, int from);

#endif
