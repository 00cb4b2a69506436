#include "study/encode.h"

#include <stdlib.h>
#include <string.h>

static int reserve(struct error *err, size_t capacity, bool measure, struct encode_buffer *b)
{
    int status = STATUS_OK;
    if (capacity > b->capacity) {
        encode_free(b);
        b->tokens = malloc(capacity * sizeof *b->tokens);
        CHECK(err, b->tokens, STATUS_FAILED, "out of memory for %zu tokens", capacity);
        b->capacity = capacity;
    }
    if (measure && b->lengths == NULL) {
        b->lengths = malloc(b->capacity * sizeof *b->lengths);
        CHECK(err, b->lengths, STATUS_FAILED, "out of memory for %zu tokens", capacity);
    }
cleanup:
    return status;
}

int encode_block(struct error *err, const struct tokenizer *tokenizer, const void *text,
                 size_t bytes, bool measure, struct encode_buffer *b)
{
    int status = STATUS_OK;
    TRY(reserve(err, bytes + 64, measure, b));
    do { /* a model that normalizes may make more tokens than there are bytes */
        TRY(reserve(err, b->count, measure, b));
        TRY(tokenizer_measure(err, tokenizer, text, bytes, b->tokens, measure ? b->lengths : NULL,
                              b->capacity, &b->count));
    } while (b->count > b->capacity);
cleanup:
    return status;
}

void encode_free(struct encode_buffer *buffer)
{
    free(buffer->tokens);
    free(buffer->lengths);
    *buffer = (struct encode_buffer){.count = buffer->count};
}

int encode_width(const struct tokenizer *tokenizer)
{
    const int vocabulary = tokenizer_vocabulary(tokenizer);
    return tokenizer_is_bytes(tokenizer) ? 1 : vocabulary <= 1 << 16 ? 2 : 4;
}

void encode_pack(const uint32_t *tokens, size_t count, int width, void *out)
{
    if (width == 1) {
        for (size_t i = 0; i < count; i++) {
            ((uint8_t *)out)[i] = (uint8_t)tokens[i];
        }
    } else if (width == 2) {
        for (size_t i = 0; i < count; i++) {
            ((uint16_t *)out)[i] = (uint16_t)tokens[i];
        }
    } else {
        memcpy(out, tokens, count * sizeof *tokens);
    }
}
