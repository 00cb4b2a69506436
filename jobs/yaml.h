/*
 * libyaml's document tree with typed reads. A field is a node that knows its place, so that each error reads
 *
 *     FILE:LINE: FIELD: what is wrong with 'TEXT'; what to do
 *
 * All failures are STATUS_USAGE. Anchors, aliases, explicit tags and more than one document are refused.
 */
#ifndef JOBS_YAML_H
#define JOBS_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "jobs/error.h"

struct yaml_file {
    const char *path; /* for messages */
    yaml_document_t document;
    bool loaded;
};

enum { YAML_FIELD_NAME = 128, YAML_FIELD_TEXT = 80 };

struct yaml_field {
    struct yaml_file *file;
    yaml_node_t *node;          /* owned by the file */
    int line;                   /* from 1 */
    char name[YAML_FIELD_NAME]; /* "sizes[0].heads"; "" for the root */
    char text
        [YAML_FIELD_TEXT]; /* for messages: 'TEXT' printable and shortened, "a list", "a mapping" */
};

/* Allowed numbers; infinite bounds are not mentioned in the message. */
struct yaml_range {
    double low, high;
    bool low_open, high_open; /* the bound itself is not allowed */
};

/* Parse `text`; `path` must outlive the file. Close it also after a failure. */
int yaml_file_open(struct error *err, const char *path, const char *text, size_t length,
                   struct yaml_file *file);
void yaml_file_close(struct yaml_file *file);
void yaml_file_root(struct yaml_file *file, struct yaml_field *root);

/* Record "FILE:LINE: FIELD: message". */
int yaml_field_error(struct error *err, const struct yaml_field *field, const char *source,
                     int line, const char *format, ...) __attribute__((format(printf, 5, 6)));

#define FIELD_FAIL(err, field, ...)                                                                \
    do {                                                                                           \
        status = yaml_field_error((err), (field), __FILE__, __LINE__, __VA_ARGS__);                \
        goto cleanup;                                                                              \
    } while (0)

#define FIELD_CHECK(err, condition, field, ...)                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            FIELD_FAIL((err), (field), __VA_ARGS__);                                               \
        }                                                                                          \
    } while (0)

/* Fail unless the field is a mapping whose keys are all among `known` (NULL at the end) and occur once. */
int yaml_field_keys(struct error *err, const struct yaml_field *field, const char *const *known);

/* The value of `key`; false when it is absent. `field` must be a mapping. */
bool yaml_field_get(const struct yaml_field *field, const char *key, struct yaml_field *value);

/* The value of `key`, or fail: "missing; HINT". */
int yaml_field_need(struct error *err, const struct yaml_field *field, const char *key,
                    const char *hint, struct yaml_field *value);

/* The i-th pair of a mapping whose keys are scalars (yaml_field_keys). `key` points into the document. */
int yaml_field_pairs(const struct yaml_field *field);
void yaml_field_pair(const struct yaml_field *field, int index, const char **key,
                     struct yaml_field *value);

/* Length of a list, or fail when the field is no list, empty, or longer than `most`. */
int yaml_field_list(struct error *err, const struct yaml_field *field, int most, int *count);
void yaml_field_item(const struct yaml_field *field, int index, struct yaml_field *item);

/* Entries of a list; −1 when the field is no list. */
int yaml_field_items(const struct yaml_field *field);

/* The scalar as written, or fail when it is none, empty, or longer than size − 1 bytes. */
int yaml_field_string(struct error *err, const struct yaml_field *field, char *out, size_t size);

/* Like a string, but only letters, digits and . _ + - (a name that goes into labels and file names). */
int yaml_field_identifier(struct error *err, const struct yaml_field *field, char *out,
                          size_t size);

int yaml_field_boolean(struct error *err, const struct yaml_field *field, bool *out);
int yaml_field_integer(struct error *err, const struct yaml_field *field, int64_t low, int64_t high,
                       int64_t *out);
int yaml_field_number(struct error *err, const struct yaml_field *field,
                      const struct yaml_range *range, double *out);

/* Index of the scalar in `names` (NULL at the end), or fail with the nearest one. */
int yaml_field_choice(struct error *err, const struct yaml_field *field, const char *const *names,
                      int *index);

/* 'TEXT' with unprintable bytes as \xNN, cut with an ellipsis. UTF-8 passes: libyaml has checked it. */
void yaml_quote(const char *bytes, size_t length, char *out, size_t size);

/* The entry of `names` nearest to `text` if it is near enough to be a slip of the pen, else NULL. */
const char *yaml_nearest(const char *text, const char *const *names);

#endif
