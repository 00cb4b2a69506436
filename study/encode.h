/* Blocks of text to tokens, in buffers that grow. */
#ifndef STUDY_ENCODE_H
#define STUDY_ENCODE_H

#include <stdbool.h>

#include "study/tokenizer.h"

/* All zero is an empty one. */
struct encode_buffer {
    uint32_t *tokens;
    uint32_t *lengths; /* bytes of text per token, if they were measured */
    size_t capacity, count;
};

/* The buffer's tokens become those of this text; lengths too, if `measure`. */
int encode_block(struct error *err, const struct tokenizer *tokenizer, const void *text,
                 size_t bytes, bool measure, struct encode_buffer *buffer);
void encode_free(struct encode_buffer *buffer);

/* Bytes that a token below this vocabulary is stored in: 2 or 4; of bytes 1. */
int encode_width(const struct tokenizer *tokenizer);

/* Write tokens of `width` bytes each to `out`. */
void encode_pack(const uint32_t *tokens, size_t count, int width, void *out);

#endif
