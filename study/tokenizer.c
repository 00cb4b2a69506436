#include "study/tokenizer.h"

#include <stdlib.h>

struct tokenizer {
    enum tokenizer_kind kind;
    int vocabulary;
};

int tokenizer_open(struct error *err, enum tokenizer_kind kind, const char *path,
                   struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    struct tokenizer *t = calloc(1, sizeof *t);
    CHECK(err, t, STATUS_FAILED, "out of memory");
    CHECK(err, kind == TOKENIZER_BYTES && path == NULL, STATUS_FAILED,
          "%s: the byte tokenizer has no file", path ? path : "tokenizer");
    t->kind = kind;
    t->vocabulary = 256;
    *tokenizer = t;
    t = NULL;
cleanup:
    tokenizer_close(t);
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    free(tokenizer);
}

int tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

int tokenizer_encode(struct error *err, const struct tokenizer *tokenizer, const void *text,
                     size_t bytes, uint32_t *tokens, size_t capacity, size_t *count)
{
    const uint8_t *byte = text;
    const size_t n = bytes < capacity ? bytes : capacity;
    (void)err, (void)tokenizer;
    for (size_t i = 0; i < n; i++) {
        tokens[i] = byte[i];
    }
    *count = bytes;
    return STATUS_OK;
}
