#include "jobs/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Messages ==================================================================================== */

/* Append to a text of `size` bytes, cutting what does not fit. */
static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
}

void yaml_quote(const char *bytes, size_t length, char *out, size_t size)
{
    size_t at = 0;
    out[at++] = '\'';
    size_t i = 0;
    while (i < length && at + 16 < size) {
        unsigned char byte = (unsigned char)bytes[i++];
        if (byte < 0x20 || byte == 0x7f) {
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", byte);
        } else {
            out[at++] = (char)byte;
        }
    }
    if (i < length) {
        while (i > 0 && ((unsigned char)bytes[i] & 0xc0) == 0x80) { /* not inside a character */
            i--;
            at--;
        }
        at += (size_t)snprintf(out + at, size - at, "…");
    }
    snprintf(out + at, size - at, "'");
}

static const char *scalar(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

int yaml_field_error(struct error *err, const struct yaml_field *field, const char *source,
                     int line, const char *format, ...)
{
    char message[ERROR_MESSAGE / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return error_set(err, STATUS_USAGE, source, line, "%s:%d: %s: %s", field->file->path,
                     field->line, field->name[0] ? field->name : "study file", message);
}

/* Edit distance between two short words (insertion, deletion, substitution, swap of neighbours). */
static int edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int distance[3][LONGEST + 1];
    int n = (int)strnlen(a, LONGEST + 1);
    int m = (int)strnlen(b, LONGEST + 1);
    if (n > LONGEST || m > LONGEST) {
        return LONGEST;
    }
    for (int j = 0; j <= m; j++) {
        distance[0][j] = j;
    }
    for (int i = 1; i <= n; i++) {
        int *row = distance[i % 3];
        const int *above = distance[(i + 2) % 3];
        const int *two_above = distance[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && two_above[j - 2] + 1 < best) {
                best = two_above[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return distance[n % 3][m];
}

const char *yaml_nearest(const char *text, const char *const *names)
{
    const char *nearest = NULL;
    int least = 0;
    for (int i = 0; names[i]; i++) {
        int distance = edit_distance(text, names[i]);
        int slip = (int)strlen(names[i]) / 3;
        if (distance <= slip && (!nearest || distance < least)) {
            nearest = names[i];
            least = distance;
        }
    }
    return nearest;
}

/* "did you mean 'x'?", or "known: a, b, c". */
static void suggest(const char *text, const char *const *names, char *out, size_t size)
{
    out[0] = '\0';
    const char *nearest = yaml_nearest(text, names);
    if (nearest) {
        append(out, size, "did you mean '%s'?", nearest);
        return;
    }
    append(out, size, "known: ");
    for (int i = 0; names[i]; i++) {
        append(out, size, "%s%s", i ? ", " : "", names[i]);
    }
}

/* Fields ====================================================================================== */

static void field_set(struct yaml_file *file, yaml_node_t *node, const char *name,
                      struct yaml_field *field)
{
    field->file = file;
    field->node = node;
    field->line = (int)node->start_mark.line + 1;
    snprintf(field->name, sizeof field->name, "%s", name);
    if (node->type == YAML_SCALAR_NODE) {
        yaml_quote(scalar(node), node->data.scalar.length, field->text, sizeof field->text);
    } else {
        snprintf(field->text, sizeof field->text, "%s",
                 node->type == YAML_SEQUENCE_NODE ? "a list" : "a mapping");
    }
}

void yaml_file_root(struct yaml_file *file, struct yaml_field *root)
{
    field_set(file, yaml_document_get_root_node(&file->document), "", root);
}

static yaml_node_t *node_at(const struct yaml_field *field, int index)
{
    return yaml_document_get_node(&field->file->document, index);
}

static void child_name(const struct yaml_field *field, const char *key, char *name)
{
    name[0] = '\0';
    append(name, YAML_FIELD_NAME, "%s%s%s", field->name, field->name[0] ? "." : "", key);
}

int yaml_field_pairs(const struct yaml_field *field)
{
    return (int)(field->node->data.mapping.pairs.top - field->node->data.mapping.pairs.start);
}

void yaml_field_pair(const struct yaml_field *field, int index, const char **key,
                     struct yaml_field *value)
{
    const yaml_node_pair_t *pair = &field->node->data.mapping.pairs.start[index];
    char name[YAML_FIELD_NAME];
    *key = scalar(node_at(field, pair->key));
    child_name(field, *key, name);
    field_set(field->file, node_at(field, pair->value), name, value);
}

int yaml_field_keys(struct error *err, const struct yaml_field *field, const char *const *known)
{
    int status = STATUS_OK;
    FIELD_CHECK(err, field->node->type == YAML_MAPPING_NODE, field,
                "%s is not a mapping; write it as 'key: value' lines", field->text);
    int pairs = yaml_field_pairs(field);
    for (int i = 0; i < pairs; i++) {
        struct yaml_field key;
        char suggestion[512];
        field_set(field->file, node_at(field, field->node->data.mapping.pairs.start[i].key),
                  field->name, &key);
        FIELD_CHECK(err, key.node->type == YAML_SCALAR_NODE, &key, "%s is no key; write a name",
                    key.text);
        bool found = false;
        for (int k = 0; known[k] && !found; k++) {
            found = strcmp(scalar(key.node), known[k]) == 0;
        }
        if (!found) {
            suggest(scalar(key.node), known, suggestion, sizeof suggestion);
            FIELD_FAIL(err, &key, "unknown key %s; %s", key.text, suggestion);
        }
        for (int j = 0; j < i; j++) {
            const yaml_node_t *earlier =
                node_at(field, field->node->data.mapping.pairs.start[j].key);
            FIELD_CHECK(err, strcmp(scalar(earlier), scalar(key.node)) != 0, &key,
                        "key %s was given in line %zu already; keep one of the two", key.text,
                        earlier->start_mark.line + 1);
        }
    }
cleanup:
    return status;
}

bool yaml_field_get(const struct yaml_field *field, const char *key, struct yaml_field *value)
{
    int pairs = yaml_field_pairs(field);
    for (int i = 0; i < pairs; i++) {
        const char *name;
        yaml_field_pair(field, i, &name, value);
        if (strcmp(name, key) == 0) {
            return true;
        }
    }
    return false;
}

int yaml_field_need(struct error *err, const struct yaml_field *field, const char *key,
                    const char *hint, struct yaml_field *value)
{
    int status = STATUS_OK;
    if (!yaml_field_get(field, key, value)) {
        struct yaml_field missing = *field;
        child_name(field, key, missing.name);
        FIELD_FAIL(err, &missing, "'%s' is missing; %s", key, hint);
    }
cleanup:
    return status;
}

int yaml_field_items(const struct yaml_field *field)
{
    if (field->node->type != YAML_SEQUENCE_NODE) {
        return -1;
    }
    return (int)(field->node->data.sequence.items.top - field->node->data.sequence.items.start);
}

int yaml_field_list(struct error *err, const struct yaml_field *field, int most, int *count)
{
    int status = STATUS_OK;
    int items = yaml_field_items(field);
    FIELD_CHECK(err, items >= 0, field, "%s is not a list; write it as [first, second]",
                field->text);
    FIELD_CHECK(err, items > 0, field, "the list '[]' is empty; give it an entry");
    FIELD_CHECK(err, items <= most, field, "the list has '%d' entries; at most %d are allowed",
                items, most);
    *count = items;
cleanup:
    return status;
}

void yaml_field_item(const struct yaml_field *field, int index, struct yaml_field *item)
{
    char name[YAML_FIELD_NAME] = "";
    append(name, sizeof name, "%s[%d]", field->name, index);
    field_set(field->file, node_at(field, field->node->data.sequence.items.start[index]), name,
              item);
}

/* Values ====================================================================================== */

int yaml_field_string(struct error *err, const struct yaml_field *field, char *out, size_t size)
{
    int status = STATUS_OK;
    FIELD_CHECK(err, field->node->type == YAML_SCALAR_NODE, field,
                "%s stands where one value is expected; write a single value", field->text);
    size_t length = field->node->data.scalar.length;
    FIELD_CHECK(err, length > 0, field, "the value '' is empty; write one or remove the key");
    FIELD_CHECK(err, length < size, field, "%s is longer than %zu bytes; shorten it", field->text,
                size - 1);
    FIELD_CHECK(err, strlen(scalar(field->node)) == length, field,
                "%s contains a NUL character; remove it", field->text);
    memcpy(out, scalar(field->node), length + 1);
cleanup:
    return status;
}

int yaml_field_identifier(struct error *err, const struct yaml_field *field, char *out, size_t size)
{
    static const char ALLOWED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    int status = STATUS_OK;
    TRY(yaml_field_string(err, field, out, size));
    FIELD_CHECK(
        err, out[strspn(out, ALLOWED)] == '\0' && out[0] != '.' && out[0] != '-', field,
        "%s is no name; use letters, digits, '.', '_', '+' and '-', a letter or digit first",
        field->text);
cleanup:
    return status;
}

int yaml_field_boolean(struct error *err, const struct yaml_field *field, bool *out)
{
    int status = STATUS_OK;
    char text[8] = "";
    bool plain = field->node->type == YAML_SCALAR_NODE &&
                 field->node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                 field->node->data.scalar.length < sizeof text;
    if (plain) {
        memcpy(text, scalar(field->node), field->node->data.scalar.length);
    }
    *out = strcmp(text, "true") == 0;
    FIELD_CHECK(err, *out || strcmp(text, "false") == 0, field,
                "%s is neither true nor false; write 'true' or 'false'", field->text);
cleanup:
    return status;
}

/* A number as text: plain (a quoted one is a string), made of these characters only. */
static int number_text(struct error *err, const struct yaml_field *field, const char *allowed,
                       const char *kind, char *out, size_t size)
{
    int status = STATUS_OK;
    bool number = field->node->type == YAML_SCALAR_NODE &&
                  field->node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    size_t length = number ? field->node->data.scalar.length : 0;
    const char *text = number ? scalar(field->node) : "";
    FIELD_CHECK(err, length > 0 && strspn(text, allowed) == length && strpbrk(text, "0123456789"),
                field, "%s is not %s", field->text, kind);
    FIELD_CHECK(err, length < size, field, "%s is too long for a number; at most %zu digits",
                field->text, size - 1);
    memcpy(out, text, length + 1);
cleanup:
    return status;
}

int yaml_field_integer(struct error *err, const struct yaml_field *field, int64_t low, int64_t high,
                       int64_t *out)
{
    int status = STATUS_OK;
    static const char KIND[] = "a whole number; write digits only, such as 64";
    char text[64];
    char *end;
    TRY(number_text(err, field, "+-0123456789", KIND, text, sizeof text));
    errno = 0;
    long long value = strtoll(text, &end, 10);
    FIELD_CHECK(err, *end == '\0', field, "%s is not %s", field->text, KIND);
    FIELD_CHECK(err, errno == 0 && value >= low && value <= high, field,
                "%s is out of range; give a whole number from %lld to %lld", field->text,
                (long long)low, (long long)high);
    *out = value;
cleanup:
    return status;
}

/* "above 0 and below 1" */
static void describe_range(const struct yaml_range *range, char *out, size_t size)
{
    out[0] = '\0';
    if (isfinite(range->low)) {
        append(out, size, "%s %.16g", range->low_open ? "above" : "at least", range->low);
    }
    if (isfinite(range->high)) {
        append(out, size, "%s%s %.16g", out[0] ? " and " : "",
               range->high_open ? "below" : "at most", range->high);
    }
}

int yaml_field_number(struct error *err, const struct yaml_field *field,
                      const struct yaml_range *range, double *out)
{
    int status = STATUS_OK;
    static const char KIND[] = "a number; write one such as 0.1 or 8.0e-3";
    char text[64];
    char *end;
    char allowed[128];
    TRY(number_text(err, field, "+-.eE0123456789", KIND, text, sizeof text));
    double value = strtod(text, &end);
    FIELD_CHECK(err, *end == '\0', field, "%s is not %s", field->text, KIND);
    FIELD_CHECK(err, isfinite(value), field,
                "%s is too large for a double-precision number; give a smaller one", field->text);
    bool in = (range->low_open ? value > range->low : value >= range->low) &&
              (range->high_open ? value < range->high : value <= range->high);
    describe_range(range, allowed, sizeof allowed);
    FIELD_CHECK(err, in, field, "%s is out of range; give a number %s", field->text, allowed);
    *out = value + 0.0; /* −0 becomes 0 */
cleanup:
    return status;
}

int yaml_field_choice(struct error *err, const struct yaml_field *field, const char *const *names,
                      int *index)
{
    int status = STATUS_OK;
    char text[64];
    char suggestion[512];
    TRY(yaml_field_string(err, field, text, sizeof text));
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *index = i;
            goto cleanup;
        }
    }
    suggest(text, names, suggestion, sizeof suggestion);
    FIELD_FAIL(err, field, "unknown value %s; %s", field->text, suggestion);
cleanup:
    return status;
}
