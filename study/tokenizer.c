#include "study/tokenizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "study/sentencepiece.h"

struct tokenizer {
    enum tokenizer_kind kind;
    int vocabulary;
    struct sentencepiece_model *pieces;
    int newline; /* the token; −1: none */
};

static int open_bytes(struct error *err, struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    struct tokenizer *t = calloc(1, sizeof *t);
    CHECK(err, t, STATUS_FAILED, "out of memory");
    t->kind = TOKENIZER_BYTES;
    t->vocabulary = 256;
    *tokenizer = t;
cleanup:
    return status;
}

int tokenizer_open_model(struct error *err, const char *name, const void *model, size_t length,
                         struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    char why[SENTENCEPIECE_WHY] = "";
    struct tokenizer *t = calloc(1, sizeof *t);
    CHECK(err, t, STATUS_FAILED, "out of memory");
    t->kind = TOKENIZER_SENTENCEPIECE;
    t->pieces = sentencepiece_open(model, length, why);
    CHECK(
        err, t->pieces, STATUS_FAILED,
        "%s: cannot be read as a SentencePiece model (%s); spm_train and ptqscale prepare make one",
        name, why);
    t->vocabulary = sentencepiece_pieces(t->pieces);
    t->newline = sentencepiece_find(t->pieces, "\n", 1);
    if (t->newline < 0) {
        t->newline = sentencepiece_find(t->pieces, "<0x0A>", 6);
    }
    *tokenizer = t;
    t = NULL;
cleanup:
    tokenizer_close(t);
    return status;
}

static int open_file(struct error *err, const char *path, struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    struct stat about = {0};
    void *model = MAP_FAILED;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, file >= 0 && fstat(file, &about) == 0, STATUS_FAILED,
          "%s: cannot read the SentencePiece model: %s", path, strerror(errno));
    CHECK(err, S_ISREG(about.st_mode) && about.st_size > 0, STATUS_FAILED,
          "%s: is empty or no file; name a SentencePiece model", path);
    model = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    CHECK(err, model != MAP_FAILED, STATUS_FAILED, "%s: cannot read the SentencePiece model: %s",
          path, strerror(errno));
    TRY(tokenizer_open_model(err, path, model, (size_t)about.st_size, tokenizer));
cleanup:
    if (model != MAP_FAILED) {
        munmap(model, (size_t)about.st_size);
    }
    if (file >= 0) {
        close(file);
    }
    return status;
}

int tokenizer_open(struct error *err, enum tokenizer_kind kind, const char *path,
                   struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    CHECK(err, (kind == TOKENIZER_BYTES) == (path == NULL), STATUS_FAILED,
          "%s: bytes have no tokenizer file, SentencePiece has one",
          path ? path : "SentencePiece tokenizer");
    TRY(path ? open_file(err, path, tokenizer) : open_bytes(err, tokenizer));
cleanup:
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer) {
        sentencepiece_close(tokenizer->pieces);
        free(tokenizer);
    }
}

bool tokenizer_is_bytes(const struct tokenizer *tokenizer)
{
    return tokenizer->kind == TOKENIZER_BYTES;
}

int tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

/* What has been encoded so far. */
struct encoded {
    uint32_t *tokens, *lengths; /* lengths may be NULL */
    size_t capacity, count;
    size_t pending; /* bytes that no token stands for yet */
};

/* The text between one token and the next belongs to the one behind which it stands; at the beginning, to the first. */
static void give_rest(struct encoded *e, size_t bytes)
{
    if (e->lengths && e->count > 0 && e->count <= e->capacity) {
        e->lengths[e->count - 1] += (uint32_t)bytes;
    } else {
        e->pending += bytes;
    }
}

static int encode_line(struct error *err, const struct tokenizer *t, const char *line,
                       size_t length, struct encoded *e)
{
    int status = STATUS_OK;
    char why[SENTENCEPIECE_WHY] = "";
    const size_t first = e->count, room = first < e->capacity ? e->capacity - first : 0;
    size_t count = 0;
    CHECK(err,
          sentencepiece_encode(t->pieces, line, length, room ? e->tokens + first : NULL,
                               e->lengths ? (room ? e->lengths + first : e->lengths) : NULL, room,
                               &count, why),
          STATUS_FAILED, "SentencePiece cannot encode a line of %zu bytes: %s", length, why);
    e->count += count;
    if (e->lengths) {
        size_t end = 0;
        for (size_t i = 0; i < count && i < room; i++) { /* ends to lengths */
            const size_t here = e->lengths[first + i];
            e->lengths[first + i] = (uint32_t)(here - end + e->pending);
            e->pending = 0;
            end = here;
        }
        give_rest(e, length - end);
    }
cleanup:
    return status;
}

static void put_newline(const struct tokenizer *t, struct encoded *e)
{
    if (t->newline < 0) {
        give_rest(e, 1);
        return;
    }
    if (e->count < e->capacity) {
        e->tokens[e->count] = (uint32_t)t->newline;
        if (e->lengths) {
            e->lengths[e->count] = (uint32_t)(1 + e->pending);
            e->pending = 0;
        }
    }
    e->count++;
}

static int encode(struct error *err, const struct tokenizer *t, const char *text, size_t bytes,
                  struct encoded *e)
{
    int status = STATUS_OK;
    if (t->kind == TOKENIZER_BYTES) {
        const size_t n = bytes < e->capacity ? bytes : e->capacity;
        for (size_t i = 0; i < n; i++) {
            e->tokens[i] = (uint8_t)text[i];
        }
        for (size_t i = 0; e->lengths && i < n; i++) {
            e->lengths[i] = 1;
        }
        e->count = bytes;
        goto cleanup;
    }
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        const size_t stop = end ? (size_t)(end - text) : bytes;
        if (stop > at) {
            TRY(encode_line(err, t, text + at, stop - at, e));
        }
        if (end) {
            put_newline(t, e);
        }
        at = stop + 1;
    }
cleanup:
    return status;
}

int tokenizer_encode(struct error *err, const struct tokenizer *tokenizer, const void *text,
                     size_t bytes, uint32_t *tokens, size_t capacity, size_t *count)
{
    return tokenizer_measure(err, tokenizer, text, bytes, tokens, NULL, capacity, count);
}

int tokenizer_measure(struct error *err, const struct tokenizer *tokenizer, const void *text,
                      size_t bytes, uint32_t *tokens, uint32_t *lengths, size_t capacity,
                      size_t *count)
{
    struct encoded e = {.tokens = tokens, .lengths = lengths, .capacity = capacity};
    const int status = encode(err, tokenizer, text, bytes, &e);
    *count = e.count;
    return status;
}

/* Text that has been decoded so far. */
static void put_text(const char *from, size_t n, char *text, size_t capacity, size_t *bytes)
{
    const size_t room = *bytes < capacity ? capacity - *bytes : 0;
    if (room > 0) {
        memcpy(text + *bytes, from, n < room ? n : room);
    }
    *bytes += n;
}

int tokenizer_decode(struct error *err, const struct tokenizer *t, const uint32_t *tokens,
                     size_t count, char *text, size_t capacity, size_t *bytes)
{
    int status = STATUS_OK;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(err, tokens[i] < (uint32_t)t->vocabulary, STATUS_FAILED,
              "token %u is not below the vocabulary of %d", tokens[i], t->vocabulary);
    }
    for (size_t at = 0; at < count;) { /* line by line, as it was encoded; a byte is a line here */
        char why[SENTENCEPIECE_WHY] = "";
        size_t end = at, n = 0;
        if (t->kind == TOKENIZER_BYTES) {
            const char byte = (char)tokens[at++];
            put_text(&byte, 1, text, capacity, bytes);
            continue;
        }
        while (end < count && (t->newline < 0 || tokens[end] != (uint32_t)t->newline)) {
            end++;
        }
        if (end > at) {
            char *here = *bytes < capacity ? text + *bytes : NULL;
            CHECK(err,
                  sentencepiece_decode(t->pieces, tokens + at, end - at, here,
                                       here ? capacity - *bytes : 0, &n, why),
                  STATUS_FAILED, "SentencePiece cannot decode %zu tokens: %s", end - at, why);
            *bytes += n;
        }
        if (end < count) {
            put_text("\n", 1, text, capacity, bytes);
        }
        at = end + 1;
    }
cleanup:
    return status;
}
