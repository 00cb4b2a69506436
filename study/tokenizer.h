/*
 * Text to tokens. A tokenizer is read-only once it is open: any number of threads may encode with one at a time.
 *
 * Bytes are their own tokens. SentencePiece encodes line by line, as spm_train and spm_encode do; between two lines stands the
 * model's token for a newline (its piece "\n" or its byte <0x0A>), or nothing in a model that has none.
 */
#ifndef STUDY_TOKENIZER_H
#define STUDY_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

enum tokenizer_kind { TOKENIZER_BYTES, TOKENIZER_SENTENCEPIECE };

struct tokenizer;

/* The tokenizer of this kind; bytes need no file (path NULL). The caller owns it. STATUS_FAILED with the path when its
 * file cannot be used. */
int tokenizer_open(struct error *err, enum tokenizer_kind kind, const char *path,
                   struct tokenizer **tokenizer);
/* The same of a SentencePiece model in memory; `name` is for messages. */
int tokenizer_open_model(struct error *err, const char *name, const void *model, size_t length,
                         struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is fine */

bool tokenizer_is_bytes(const struct tokenizer *tokenizer);

/* Tokens are below it. */
int tokenizer_vocabulary(const struct tokenizer *tokenizer);

/* Encode `bytes` bytes of text, which may be anything and need no NUL at their end. *count is how many tokens they are; the first
 * `capacity` of them are written (tokens may be NULL with a capacity of 0: only count). STATUS_FAILED when out of memory. */
int tokenizer_encode(struct error *err, const struct tokenizer *tokenizer, const void *text,
                     size_t bytes, uint32_t *tokens, size_t capacity, size_t *count);

/* The same, and lengths[i] is how many bytes of the text token i stands for. They add up to `bytes` if there are tokens at all
 * and room for them; a token for nothing that is in the text (a line's leading space) has 0. */
int tokenizer_measure(struct error *err, const struct tokenizer *tokenizer, const void *text,
                      size_t bytes, uint32_t *tokens, uint32_t *lengths, size_t capacity,
                      size_t *count);

/* The text of tokens[count]: *bytes is its length, the first `capacity` bytes are written (text may be NULL with a capacity of 0). What
 * was encoded comes back whole from bytes, and of valid UTF-8 from a model of `ptqscale prepare`; a model that normalizes
 * loses what it normalizes. STATUS_FAILED when a token is not below the vocabulary. */
int tokenizer_decode(struct error *err, const struct tokenizer *tokenizer, const uint32_t *tokens,
                     size_t count, char *text, size_t capacity, size_t *bytes);

#endif
