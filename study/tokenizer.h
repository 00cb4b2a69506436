/*
 * Text to tokens. A tokenizer is read-only once it is open: any number of threads may encode with one at a time.
 */
#ifndef STUDY_TOKENIZER_H
#define STUDY_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

enum tokenizer_kind { TOKENIZER_BYTES };

struct tokenizer;

/* The tokenizer of this kind; bytes need no file (path NULL). The caller owns it. STATUS_FAILED with the path when its
 * file cannot be used. */
int tokenizer_open(struct error *err, enum tokenizer_kind kind, const char *path,
                   struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is fine */

/* Tokens are below it. */
int tokenizer_vocabulary(const struct tokenizer *tokenizer);

/* Encode `bytes` bytes of text, which may be anything and need no NUL at their end. *count is how many tokens they are; the first
 * `capacity` of them are written (tokens may be NULL with a capacity of 0: only count). STATUS_FAILED when out of memory. */
int tokenizer_encode(struct error *err, const struct tokenizer *tokenizer, const void *text,
                     size_t bytes, uint32_t *tokens, size_t capacity, size_t *count);

#endif
