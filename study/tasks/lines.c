#include "study/tasks/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/text.h"

int lines_open(struct error *err, const char *path, struct lines *lines)
{
    int status = STATUS_OK;
    *lines = (struct lines){.path = path};
    TRY(text_append(err, path, &lines->bytes, &lines->length));
    if (lines->length >= 3 && memcmp(lines->bytes, "\xef\xbb\xbf", 3) == 0) {
        lines->at = 3;
    }
cleanup:
    return status;
}

void lines_close(struct lines *lines)
{
    free(lines->bytes);
    *lines = (struct lines){0};
}

bool lines_next(struct lines *lines)
{
    if (lines->at == lines->length) {
        return false;
    }
    const uint8_t *start = lines->bytes + lines->at;
    const uint8_t *end = memchr(start, '\n', lines->length - lines->at);
    lines->text = (struct task_text){(const char *)start,
                                     end ? (size_t)(end - start) + 1 : lines->length - lines->at};
    lines->at += lines->text.length;
    lines->line++;
    return true;
}

bool lines_next_filled(struct lines *lines)
{
    while (lines_next(lines)) {
        if (text_trim(lines->text).length > 0) {
            return true;
        }
    }
    return false;
}

int lines_error(struct error *err, const struct lines *lines, const char *source, int at,
                const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set(err, STATUS_FAILED, source, at, "%s:%d: %s", lines->path, lines->line,
                     message);
}

const char *lines_quote(struct task_text text, char quote[LINES_QUOTE])
{
    size_t used = 1;
    quote[0] = '\'';
    for (size_t i = 0; i < text.length; i++) {
        const unsigned char c = (unsigned char)text.bytes[i];
        const bool plain = c >= 0x20 && c < 0x7f;
        if (used + 10 > LINES_QUOTE) {
            used += (size_t)snprintf(quote + used, LINES_QUOTE - used, "...");
            break;
        }
        used += (size_t)snprintf(quote + used, LINES_QUOTE - used, plain ? "%c" : "\\x%02x", c);
    }
    snprintf(quote + used, LINES_QUOTE - used, "'");
    return quote;
}

int lines_check_utf8(struct error *err, const struct lines *lines, struct task_text text)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE];
    json_t *checked = json_stringn(text.bytes, text.length); /* takes nothing else */
    LINE_CHECK(err, checked != NULL, lines,
               "%s is not UTF-8; convert the file (iconv -t UTF-8), or get it again",
               lines_quote(text, quote));
cleanup:
    json_decref(checked);
    return status;
}

int lines_json(struct error *err, struct lines *lines, json_t **record)
{
    int status = STATUS_OK;
    json_error_t why;
    char quote[LINES_QUOTE];
    *record = NULL;
    if (!lines_next_filled(lines)) {
        return STATUS_OK;
    }
    *record = json_loadb(lines->text.bytes, lines->text.length, JSON_REJECT_DUPLICATES, &why);
    LINE_CHECK(err, *record != NULL, lines,
               "JSON: %s, in column %d of %s; each line must be one whole JSON object: is the file "
               "cut off, not UTF-8, or of another format?",
               why.text, why.column, lines_quote(text_trim(lines->text), quote));
    LINE_CHECK(err, json_is_object(*record), lines,
               "JSON: %s is no object; each line must be one, {...}",
               lines_quote(text_trim(lines->text), quote));
cleanup:
    if (status != STATUS_OK) {
        json_decref(*record);
        *record = NULL;
    }
    return status;
}

int lines_rest(struct error *err, struct lines *lines, lines_add_fn *add, struct task_items *items)
{
    int status = STATUS_OK;
    json_t *record = NULL;
    for (;;) {
        TRY(lines_json(err, lines, &record));
        if (record == NULL) {
            break;
        }
        TRY(add(err, lines, record, items));
        json_decref(record);
        record = NULL;
    }
cleanup:
    json_decref(record);
    return status;
}

int lines_each(struct error *err, const char *path, lines_add_fn *add, struct task_items *items)
{
    int status = STATUS_OK;
    struct lines lines = {0};
    TRY(lines_open(err, path, &lines));
    TRY(lines_rest(err, &lines, add, items));
cleanup:
    lines_close(&lines);
    return status;
}

static int find(struct error *err, const struct lines *lines, const json_t *record, const char *key,
                const json_t **value)
{
    int status = STATUS_OK;
    *value = json_object_get(record, key);
    LINE_CHECK(err, *value != NULL, lines,
               "%s: missing; is this the file of the task's format, of a part whose answers are "
               "published?",
               key);
cleanup:
    return status;
}

/* A value as it stands in the file, shortened. */
static const char *shown(const json_t *value, char quote[LINES_QUOTE])
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    lines_quote(text_of(text ? text : "?"), quote);
    free(text);
    return quote;
}

int lines_member_or_empty(struct error *err, const struct lines *lines, const json_t *record,
                          const char *key, struct task_text *text)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE];
    const json_t *value;
    TRY(find(err, lines, record, key, &value));
    LINE_CHECK(err, json_is_string(value), lines, "%s: %s is no text; put it in double quotes", key,
               shown(value, quote));
    *text = (struct task_text){json_string_value(value), json_string_length(value)};
    LINE_CHECK(err, text->length <= TASK_LONGEST_TEXT, lines,
               "%s: a text of %zu bytes; at most %d are read", key, text->length,
               (int)TASK_LONGEST_TEXT);
cleanup:
    return status;
}

int lines_member(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, struct task_text *text)
{
    int status = STATUS_OK;
    TRY(lines_member_or_empty(err, lines, record, key, text));
    LINE_CHECK(err, text_trim(*text).length > 0, lines,
               "%s: the text is empty; leave the record out, or get the file again", key);
cleanup:
    return status;
}

int lines_number(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, int low, int high, int *number)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE], *end = NULL;
    const json_t *value;
    TRY(find(err, lines, record, key, &value));
    const char *text = json_string_value(value);
    const bool digits = text != NULL && text[0] >= '0' && text[0] <= '9';
    long long x = digits                   ? strtoll(text, &end, 10)
                  : json_is_integer(value) ? json_integer_value(value)
                                           : -1;
    LINE_CHECK(err, (json_is_integer(value) || (digits && *end == '\0')) && x >= low && x <= high,
               lines,
               "%s: %s is no number from %d to %d; answers are not published for every part of a "
               "data set: take one with "
               "answers",
               key, shown(value, quote), low, high);
    *number = (int)x;
cleanup:
    return status;
}

int lines_list(struct error *err, const struct lines *lines, const json_t *record, const char *key,
               size_t least, size_t most, const json_t **list)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE];
    TRY(find(err, lines, record, key, list));
    LINE_CHECK(
        err,
        json_is_array(*list) && json_array_size(*list) >= least && json_array_size(*list) <= most,
        lines, "%s: %s is no list of %zu to %zu entries", key, shown(*list, quote), least, most);
cleanup:
    return status;
}

int lines_object(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, const json_t **object)
{
    int status = STATUS_OK;
    char quote[LINES_QUOTE];
    TRY(find(err, lines, record, key, object));
    LINE_CHECK(err, json_is_object(*object), lines, "%s: %s is no object, {...}", key,
               shown(*object, quote));
cleanup:
    return status;
}
