#include "study/documents.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "study/input.h"
#include "study/text.h"

enum { RAW = 1 << 18, CLEAN_CONTEXT = 2 };

/* Bytes that grow. */
struct bytes {
    uint8_t *at;
    size_t length, capacity;
};

struct documents {
    struct documents_options options;
    int next; /* file */
    struct input *input;
    const char *path; /* of the file that is read */
    bool json, empty;
    uint64_t line, count;
    uint8_t raw[RAW]; /* of the file, from raw_at to raw_end */
    size_t raw_at, raw_end;
    struct bytes one;   /* line */
    struct bytes ready; /* text, from ready_at */
    size_t ready_at;
};

static int append(struct error *err, struct bytes *b, const void *from, size_t length)
{
    int status = STATUS_OK;
    if (b->length + length > b->capacity) {
        const size_t capacity = (b->length + length) * 3 / 2 + 64;
        uint8_t *grown = realloc(b->at, capacity);
        CHECK(err, grown, STATUS_FAILED, "out of memory for a text of %zu bytes", capacity);
        b->at = grown;
        b->capacity = capacity;
    }
    if (length > 0) {
        memcpy(b->at + b->length, from, length);
    }
    b->length += length;
cleanup:
    return status;
}

static bool ends_in(const char *name, size_t length, const char *end)
{
    const size_t n = strlen(end);
    return length > n && memcmp(name + length - n, end, n) == 0;
}

static bool is_json(const char *path)
{
    size_t n = strlen(path);
    n -= ends_in(path, n, ".gz") ? 3 : ends_in(path, n, ".zst") ? 4 : 0;
    return ends_in(path, n, ".jsonl") || ends_in(path, n, ".ndjson");
}

int documents_open(struct error *err, const struct documents_options *options,
                   struct documents **documents)
{
    int status = STATUS_OK;
    struct documents *d = calloc(1, sizeof *d);
    CHECK(err, d, STATUS_FAILED, "out of memory");
    d->options = *options;
    for (int i = 0; i < options->files; i++) {
        CHECK(err, access(options->file[i], R_OK) == 0, STATUS_FAILED,
              "%s: cannot read the text: %s", options->file[i], strerror(errno));
    }
    *documents = d;
    d = NULL;
cleanup:
    documents_close(d);
    return status;
}

void documents_close(struct documents *documents)
{
    if (documents) {
        input_close(documents->input);
        free(documents->one.at);
        free(documents->ready.at);
        free(documents);
    }
}

uint64_t documents_count(const struct documents *documents)
{
    return documents->count;
}

static int begin_document(struct error *err, struct documents *d)
{
    return d->count++ > 0 ? append(err, &d->ready, "\n", 1) : STATUS_OK;
}

static int open_next(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    d->path = d->options.file[d->next++];
    TRY(input_open(err, d->path, &d->input));
    d->json = is_json(d->path);
    d->line = 0;
    d->empty = true;
    d->raw_at = d->raw_end = 0;
    if (!d->json) {
        TRY(begin_document(err, d));
    }
cleanup:
    return status;
}

static int close_file(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    input_close(d->input);
    d->input = NULL;
    CHECK(err, !d->empty, STATUS_FAILED, "%s: the file is empty", d->path);
cleanup:
    return status;
}

/* The next line with its newline into d->one; none: length 0. */
static int read_line(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    for (d->one.length = 0;;) {
        if (d->raw_at == d->raw_end) {
            d->raw_at = 0;
            TRY(input_read(err, d->input, d->raw, RAW, &d->raw_end));
            if (d->raw_end == 0) {
                break;
            }
        }
        const uint8_t *from = d->raw + d->raw_at;
        const uint8_t *newline = memchr(from, '\n', d->raw_end - d->raw_at);
        const size_t n = newline ? (size_t)(newline - from) + 1 : d->raw_end - d->raw_at;
        TRY(append(err, &d->one, from, n));
        d->raw_at += n;
        if (newline) {
            break;
        }
    }
    d->line += d->one.length > 0;
    d->empty &= d->one.length == 0;
cleanup:
    return status;
}

static int produce_json(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    json_error_t why;
    json_t *object = NULL;
    TRY(read_line(err, d));
    if (d->one.length == 0) {
        return close_file(err, d);
    }
    const char *line = (const char *)d->one.at;
    size_t blank = 0;
    while (blank < d->one.length && strchr(" \t\r\n", line[blank]) && line[blank]) {
        blank++;
    }
    if (blank == d->one.length) {
        goto cleanup;
    }
    object = json_loadb(line, d->one.length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    CHECK(err, object, STATUS_FAILED, "%s:%llu: byte %d: %s", d->path, (unsigned long long)d->line,
          why.position, why.text);
    const json_t *text = json_object_get(object, d->options.field);
    CHECK(err, json_is_string(text), STATUS_FAILED,
          "%s:%llu: the object has no text in its field \"%s\"; --field NAME says which one has it",
          d->path, (unsigned long long)d->line, d->options.field);
    TRY(begin_document(err, d));
    TRY(append(err, &d->ready, json_string_value(text), json_string_length(text)));
cleanup:
    json_decref(object);
    return status;
}

/* Line by line; the cleaner wants to see the last bytes of what it cleaned before. */
static int produce_clean(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    TRY(read_line(err, d));
    if (d->one.length == 0) {
        return close_file(err, d);
    }
    TRY(append(err, &d->ready, d->one.at, d->one.length));
    d->ready.length =
        text_clean_gcide(d->ready.at, d->ready.length - d->one.length, d->ready.length);
cleanup:
    return status;
}

static int produce_plain(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    size_t got;
    TRY(input_read(err, d->input, d->raw, RAW, &got));
    if (got == 0) {
        return close_file(err, d);
    }
    d->empty = false;
    TRY(append(err, &d->ready, d->raw, got));
cleanup:
    return status;
}

/* More text, until there is some or the files are at their end. */
static int produce(struct error *err, struct documents *d)
{
    int status = STATUS_OK;
    const size_t keep = d->ready.length < CLEAN_CONTEXT ? d->ready.length : CLEAN_CONTEXT;
    if (keep > 0) {
        memmove(d->ready.at, d->ready.at + d->ready.length - keep, keep);
    }
    d->ready.length = d->ready_at = keep;
    while (d->ready.length == d->ready_at && (d->input || d->next < d->options.files)) {
        if (d->input == NULL) {
            TRY(open_next(err, d));
        } else if (d->json) {
            TRY(produce_json(err, d));
        } else {
            TRY(d->options.clean_gcide ? produce_clean(err, d) : produce_plain(err, d));
        }
    }
cleanup:
    return status;
}

int documents_read(struct error *err, struct documents *d, uint8_t *text, size_t capacity,
                   size_t *got)
{
    int status = STATUS_OK;
    *got = 0;
    while (*got < capacity) {
        if (d->ready_at == d->ready.length) {
            TRY(produce(err, d));
            if (d->ready_at == d->ready.length) {
                break;
            }
        }
        const size_t left = d->ready.length - d->ready_at, room = capacity - *got;
        const size_t n = left < room ? left : room;
        memcpy(text + *got, d->ready.at + d->ready_at, n);
        d->ready_at += n;
        *got += n;
    }
cleanup:
    return status;
}
