#include "results/text.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, GAP = 2, KEY_WIDTH = 60 };

#define MINUS "\xe2\x88\x92"
#define DASH  "\xe2\x80\x94"

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0U) == 0x80U;
}

int text_width(const char *utf8)
{
    int width = 0;
    for (; *utf8 != '\0'; utf8++) {
        width += !continues(*utf8);
    }
    return width;
}

/* Bytes of the first `width` code points. */
static int prefix_bytes(const char *utf8, int width)
{
    int bytes = 0;
    while (utf8[bytes] != '\0' && (width > 0 || continues(utf8[bytes]))) {
        width -= !continues(utf8[bytes]);
        bytes++;
    }
    return bytes;
}

/* ── Numbers ── */

/* ASCII number to print: a true minus sign, also in the exponent, and none in front of a zero. */
static struct text typeset(const char *ascii, bool sign)
{
    struct text text = {""};
    bool negative = ascii[0] == '-';
    const char *digits = negative ? ascii + 1 : ascii;
    bool zero = strpbrk(digits, "123456789") == NULL;
    char *end = text.s;
    if (negative && !zero) {
        end = stpcpy(end, MINUS);
    } else if (sign && !zero) {
        end = stpcpy(end, "+");
    }
    for (; *digits != '\0' && end < text.s + sizeof text.s - 4; digits++) {
        if (*digits == '-') {
            end = stpcpy(end, MINUS);
        } else {
            *end++ = *digits;
        }
    }
    *end = '\0';
    return text;
}

/* What has no digits. */
static bool unusual(double value, struct text *text)
{
    if (isnan(value)) {
        strcpy(text->s, DASH);
    } else if (isinf(value)) {
        strcpy(text->s, value < 0 ? MINUS "\xe2\x88\x9e" : "\xe2\x88\x9e");
    }
    return !isfinite(value);
}

struct text text_fixed(double value, int decimals, bool sign)
{
    struct text text = {""};
    if (unusual(value, &text)) {
        return text;
    }
    char ascii[TEXT_NUMBER];
    if (fabs(value) < 1e7) {
        snprintf(ascii, sizeof ascii, "%.*f", decimals, value);
    } else {
        snprintf(ascii, sizeof ascii, "%.2e", value);
    }
    return typeset(ascii, sign);
}

/* Decimals that show `digits` significant digits of a magnitude. */
static int decimals_for(double magnitude, int digits)
{
    if (!(magnitude > 0)) {
        return 1;
    }
    int decimals = digits - 1 - (int)floor(log10(magnitude));
    return decimals < 0 ? 0 : decimals;
}

struct text text_significant(double value, int digits)
{
    struct text text = {""};
    if (unusual(value, &text)) {
        return text;
    }
    char ascii[TEXT_NUMBER];
    double magnitude = fabs(value);
    if (magnitude > 0 && (magnitude < 1e-6 || magnitude >= 1e7)) {
        snprintf(ascii, sizeof ascii, "%.*e", digits - 1, value);
        return typeset(ascii, false);
    }
    return text_fixed(value, magnitude > 0 ? decimals_for(magnitude, digits) : 0, false);
}

struct text text_interval(double estimate, double low, double high)
{
    struct text text = {""};
    if (unusual(estimate, &text)) {
        return text;
    }
    bool interval = !isnan(low) && !isnan(high);
    double largest = fabs(estimate);
    if (interval && isfinite(low) && isfinite(high)) {
        largest = fmax(largest, fmax(fabs(low), fabs(high)));
    }
    int decimals = decimals_for(largest, largest < 1 ? 2 : 3);
    if (decimals > 9) {
        decimals = 9;
    }
    if (interval) {
        snprintf(text.s, sizeof text.s, "%.28s [%.28s, %.28s]",
                 text_fixed(estimate, decimals, true).s, text_fixed(low, decimals, false).s,
                 text_fixed(high, decimals, false).s);
    } else {
        snprintf(text.s, sizeof text.s, "%.28s [" DASH "]", text_fixed(estimate, decimals, true).s);
    }
    return text;
}

struct text text_factor(double log_estimate, double log_low, double log_high)
{
    struct text text = {DASH};
    if (isnan(log_estimate)) {
        return text;
    }
    struct text estimate = text_significant(exp(log_estimate), 3);
    if (isnan(log_low) || isnan(log_high)) {
        snprintf(text.s, sizeof text.s, "\xc3\x97%.28s [" DASH "]", estimate.s);
    } else {
        snprintf(text.s, sizeof text.s, "\xc3\x97%.28s [%.28s, %.28s]", estimate.s,
                 text_significant(exp(log_low), 3).s, text_significant(exp(log_high), 3).s);
    }
    return text;
}

struct text text_share(double estimate, double low, double high)
{
    struct text text;
    snprintf(text.s, sizeof text.s, "%.24s %% [%.24s, %.24s]",
             text_fixed(100 * estimate, 0, false).s, text_fixed(100 * low, 0, false).s,
             text_fixed(100 * high, 0, false).s);
    return text;
}

double text_percent(double log_ratio)
{
    return 100 * expm1(log_ratio);
}

struct text text_seconds(double seconds)
{
    struct text text = {""};
    if (unusual(seconds, &text)) {
        return text;
    }
    long long s = seconds < 0 ? 0 : seconds < 1e15 ? llround(seconds) : (long long)1e15;
    if (s < 60) {
        snprintf(text.s, sizeof text.s, "%lld s", s);
    } else if (s < 3600) {
        snprintf(text.s, sizeof text.s, "%lld min %02lld s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(text.s, sizeof text.s, "%lld h %02lld min", s / 3600, s / 60 % 60);
    } else {
        snprintf(text.s, sizeof text.s, "%lld d %02lld h", s / 86400, s / 3600 % 24);
    }
    return text;
}

struct text text_count(double count)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    struct text text = {""};
    if (unusual(count, &text)) {
        return text;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (fabs(count) >= units[i].unit) {
            snprintf(text.s, sizeof text.s, "%.40s %s",
                     text_significant(count / units[i].unit, 3).s, units[i].name);
            return text;
        }
    }
    return text_significant(count, 3);
}

/* ── Paragraphs ── */

void text_wrap(FILE *out, const char *lead, const char *text)
{
    int indent = text_width(lead);
    fputs(lead, out);
    int column = indent;
    bool fresh = true; /* nothing on this line yet */
    while (*text != '\0') {
        if (*text == '\n') {
            if (text[1] != '\0') {
                fprintf(out, "\n%*s", indent, "");
            }
            column = indent;
            fresh = true;
            text++;
            continue;
        }
        if ((unsigned char)*text <= ' ' || *text == 0x7f) {
            text++;
            continue;
        }
        int bytes = 0;
        int width = 0;
        while ((unsigned char)text[bytes] > ' ' && text[bytes] != 0x7f) {
            width += !continues(text[bytes]);
            bytes++;
        }
        if (!fresh && column + 1 + width > TEXT_COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            fresh = true;
        }
        if (width > TEXT_COLUMNS - indent) { /* one very long word */
            width = TEXT_COLUMNS - indent;
            bytes = prefix_bytes(text, width);
        }
        fprintf(out, "%s%.*s", fresh ? "" : " ", bytes, text);
        column += width + !fresh;
        fresh = false;
        text += bytes;
    }
    fputc('\n', out);
}

void text_say(FILE *out, const char *lead, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_wrap(out, lead, text);
}

/* ── Tables ── */

struct text_table {
    int columns, head;
    int entries, capacity;
    bool no_memory;
    char (*entry)[TEXT_CELL];
    char alignment[];
};

int text_table_open(struct error *err, const char *alignment, int head, struct text_table **table)
{
    int status = STATUS_OK;
    *table = NULL;
    size_t columns = strlen(alignment);
    CHECK(err, columns > 0 && head >= 0, STATUS_FAILED, "a table needs columns");
    struct text_table *made = calloc(1, sizeof *made + columns + 1);
    CHECK(err, made != NULL, STATUS_FAILED, "out of memory for a table");
    memcpy(made->alignment, alignment, columns + 1);
    made->columns = (int)columns;
    made->head = head;
    *table = made;
cleanup:
    return status;
}

void text_table_free(struct text_table *table)
{
    if (table != NULL) {
        free(table->entry);
        free(table);
    }
}

void text_table_add(struct text_table *table, const char *format, ...)
{
    if (table->entries == table->capacity) {
        int capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        void *grown = table->capacity > INT_MAX / 4
                          ? NULL
                          : realloc(table->entry, (size_t)capacity * sizeof *table->entry);
        if (grown == NULL) {
            table->no_memory = true;
            return;
        }
        table->entry = grown;
        table->capacity = capacity;
    }
    char *entry = table->entry[table->entries++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(entry, TEXT_CELL, format, arguments);
    va_end(arguments);
    for (; *entry != '\0'; entry++) {
        if ((unsigned char)*entry < ' ' || *entry == 0x7f) {
            *entry = '?';
        }
    }
}

static const char *entry_at(const struct text_table *table, int row, int column)
{
    int index = row * table->columns + column;
    return index < table->entries ? table->entry[index] : "";
}

/* A line under construction; entries of one panel fit (TEXT_COLUMNS code points of 4 bytes). */
struct line {
    int used;
    char text[4 * TEXT_COLUMNS + TEXT_CELL];
};

__attribute__((format(printf, 2, 3))) static void line_add(struct line *line, const char *format,
                                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof line->text - (size_t)line->used;
    int wanted = vsnprintf(line->text + line->used, room, format, arguments);
    va_end(arguments);
    line->used += wanted < (int)room ? wanted : (int)room - 1;
}

static void line_print(FILE *out, struct line *line)
{
    while (line->used > 0 && line->text[line->used - 1] == ' ') {
        line->used--;
    }
    fprintf(out, "%.*s\n", line->used, line->text);
}

/* One entry in a field of `width`. */
static void add_entry(struct line *line, const char *entry, int width, char alignment)
{
    int own = text_width(entry);
    if (own > width) {
        line_add(line, "%.*s\xe2\x80\xa6", prefix_bytes(entry, width - 1), entry);
        return;
    }
    int before = alignment == 'r' ? width - own : 0;
    line_add(line, "%*s%s%*s", before, "", entry, width - own - before, "");
}

static void print_rule(FILE *out, int width)
{
    fprintf(out, "%*s", INDENT, "");
    for (int i = 0; i < width; i++) {
        fputs("\xe2\x94\x80", out); /* ─ */
    }
    fputc('\n', out);
}

/* The key columns and columns [from, to). */
static void print_panel(FILE *out, const struct text_table *table, const int *width, int keys,
                        int from, int to)
{
    int rows = (table->entries + table->columns - 1) / table->columns;
    int total = -GAP;
    for (int column = 0; column < to; column++) {
        total += column < keys || column >= from ? width[column] + GAP : 0;
    }
    for (int row = 0; row < rows; row++) {
        if (row == table->head && row > 0) {
            print_rule(out, total);
        }
        struct line line = {0};
        line_add(&line, "%*s", INDENT, "");
        for (int column = 0; column < to; column++) {
            if (column < keys || column >= from) {
                line_add(&line, "%*s", column == 0 ? 0 : GAP, "");
                add_entry(&line, entry_at(table, row, column), width[column],
                          table->alignment[column]);
            }
        }
        line_print(out, &line);
    }
}

/* Narrow the widest key columns until all take at most KEY_WIDTH. Returns what they take with their gaps. */
static int fit_keys(int *width, int keys)
{
    int total = 0;
    for (int column = 0; column < keys; column++) {
        total += width[column];
    }
    for (; total > KEY_WIDTH; total--) {
        int widest = 0;
        for (int column = 1; column < keys; column++) {
            widest = width[column] > width[widest] ? column : widest;
        }
        width[widest]--;
    }
    return total + keys * GAP;
}

void text_table_add_head(struct text_table *table, const char *const *head, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_table_add(table, "%s", head[i]);
    }
}

void text_table_add_heads(struct text_table *table, const char *const *head, int rows, int count,
                          unsigned without)
{
    for (int i = 0; i < rows * count; i++) {
        if ((without & 1U << i % count) == 0) {
            text_table_add(table, "%s", head[i]);
        }
    }
}

int text_table_print(struct error *err, FILE *out, const struct text_table *table, int keys)
{
    int status = STATUS_OK;
    int *width = NULL;
    CHECK(err, !table->no_memory, STATUS_FAILED, "out of memory for a table");
    int rows = (table->entries + table->columns - 1) / table->columns;
    if (rows <= table->head) {
        goto cleanup;
    }
    width = calloc((size_t)table->columns, sizeof *width);
    CHECK(err, width != NULL, STATUS_FAILED, "out of memory for a table");
    for (int column = 0; column < table->columns; column++) {
        for (int row = 0; row < rows; row++) {
            int own = text_width(entry_at(table, row, column));
            width[column] = own > width[column] ? own : width[column];
        }
    }
    int room = TEXT_COLUMNS - INDENT - fit_keys(width, keys);
    for (int from = keys; from < table->columns;) {
        int used = -GAP;
        int to = from;
        while (to < table->columns) {
            width[to] = width[to] > room ? room : width[to];
            if (to > from && used + GAP + width[to] > room) {
                break;
            }
            used += GAP + width[to];
            to++;
        }
        if (from > keys) {
            fputc('\n', out);
        }
        print_panel(out, table, width, keys, from, to);
        from = to;
    }
cleanup:
    free(width);
    return status;
}
