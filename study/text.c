#include "study/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "study/input.h"

int text_append(struct error *err, const char *path, uint8_t **text, size_t *length)
{
    int status = STATUS_OK;
    size_t capacity = *length, start = *length;
    struct input *input = NULL;
    TRY(input_open(err, path, &input));
    for (size_t got = 1; got > 0; *length += got) {
        enum { STEP = 1 << 18 };
        if (capacity < *length + STEP + 1) {
            capacity = (*length + STEP + 1) * 3 / 2;
            uint8_t *grown = realloc(*text, capacity);
            CHECK(err, grown, STATUS_FAILED, "%s: out of memory after %zu bytes", path, *length);
            *text = grown;
        }
        if (start > 0 && start == *length) {
            (*text)[(*length)++] = '\n';
            start++;
        }
        TRY(input_read(err, input, *text + *length, STEP, &got));
    }
    CHECK(err, *length > start, STATUS_FAILED, "%s: the file is empty", path);
cleanup:
    input_close(input);
    return status;
}

/* "[1913 Webster]", "[PJC]", "[WordNet 1.5]": a line that is nothing but a short bracket. */
static bool is_source_tag(const uint8_t *line, size_t n)
{
    return n >= 2 && n <= 48 && line[0] == '[' && line[n - 1] == ']' &&
           memchr(line + 1, ']', n - 2) == NULL;
}

size_t text_clean_gcide(uint8_t *text, size_t cleaned, size_t length)
{
    size_t out = cleaned;
    for (size_t at = cleaned; at < length;) {
        const uint8_t *end = memchr(text + at, '\n', length - at);
        size_t stop = end ? (size_t)(end - text) : length, next = stop + 1;
        while (at < stop && (text[at] == ' ' || text[at] == '\t')) {
            at++;
        }
        while (stop > at && (text[stop - 1] == ' ' || text[stop - 1] == '\t')) {
            stop--;
        }
        const bool blank = at == stop,
                   after_blank = out >= 2 && text[out - 1] == '\n' && text[out - 2] == '\n';
        if (!(blank && (after_blank || out == 0)) && !is_source_tag(text + at, stop - at)) {
            for (; at < stop; at++) {
                const bool double_space = text[at] == ' ' && out > 0 && text[out - 1] == ' ';
                if (text[at] != '{' && text[at] != '}' && !double_space) {
                    text[out++] = text[at];
                }
            }
            if (end) {
                text[out++] = '\n';
            }
        }
        at = next;
    }
    return out;
}
