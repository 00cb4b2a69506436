/* A text file line by line, and JSON records one per line. Private to the readers of task files. */
#ifndef STUDY_TASKS_LINES_H
#define STUDY_TASKS_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "study/tasks/items.h"

struct lines {
    const char *path;      /* for messages; not owned */
    int line;              /* number of the current one, from 1 */
    struct task_text text; /* of it, with its line end */
    uint8_t *bytes;
    size_t length, at;
};

/* Read the whole file (plain or gzip), without a byte order mark. Close it also after a failure. */
int lines_open(struct error *err, const char *path, struct lines *lines);
void lines_close(struct lines *lines);

/* The next line; false at the end. */
bool lines_next(struct lines *lines);

/* The same, but blank lines are passed over. */
bool lines_next_filled(struct lines *lines);

/* Record "FILE:LINE: message" and return STATUS_FAILED. */
int lines_error(struct error *err, const struct lines *lines, const char *source, int at,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

#define LINE_CHECK(err, condition, lines, ...)                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            status = lines_error((err), (lines), __FILE__, __LINE__, __VA_ARGS__);                 \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

/* The first bytes of a text for a message, in single quotes, what is not printable as \xNN. */
enum { LINES_QUOTE = 64 };
const char *lines_quote(struct task_text text, char quote[LINES_QUOTE]);

/* Fail unless the text is UTF-8. */
int lines_check_utf8(struct error *err, const struct lines *lines, struct task_text text);

/* The next record, a JSON object; *record = NULL at the end. The caller gives it back with json_decref. */
int lines_json(struct error *err, struct lines *lines, json_t **record);

/* What a format makes of a record. */
typedef int lines_add_fn(struct error *err, const struct lines *lines, const json_t *record,
                         struct task_items *items);

/* All records of the file, one after the other; or those that are left. */
int lines_each(struct error *err, const char *path, lines_add_fn *add, struct task_items *items);
int lines_rest(struct error *err, struct lines *lines, lines_add_fn *add, struct task_items *items);

/* A member that is a text, not empty; it lives as long as the record. */
int lines_member(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, struct task_text *text);

/* The same, but it may be empty. */
int lines_member_or_empty(struct error *err, const struct lines *lines, const json_t *record,
                          const char *key, struct task_text *text);

/* A whole number from low to high, also as a text of digits. */
int lines_number(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, int low, int high, int *number);

/* A member that is a list of `least` to `most` entries, or an object. */
int lines_list(struct error *err, const struct lines *lines, const json_t *record, const char *key,
               size_t least, size_t most, const json_t **list);
int lines_object(struct error *err, const struct lines *lines, const json_t *record,
                 const char *key, const json_t **object);

#endif
