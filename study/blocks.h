/* Blocks: what a text is split by into training and held-out parts (METHOD §4). */
#ifndef STUDY_BLOCKS_H
#define STUDY_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

/* Bytes of text, or tokens where there is no text. */
enum { BLOCK_LENGTH = 64 * 1024 };

/* Mark `fraction` of the blocks (at least one), those with the smallest hashes of (index, seed), in held[blocks]. */
int blocks_choose(struct error *err, size_t blocks, double fraction, uint64_t seed, bool *held);

/*
 * Where the block that begins at text[0] ends, if the text is to be encoded block by block: behind the first newline after
 * BLOCK_LENGTH bytes; where there is none within as many more, between two characters of UTF-8. `length` is at least 2·BLOCK_LENGTH
 * unless the text ends there.
 */
size_t block_end(const uint8_t *text, size_t length);

#endif
