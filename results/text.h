/*
 * Text for a terminal: numbers, wrapped paragraphs and aligned tables of at most TEXT_COLUMNS
 * columns. Strings are UTF-8; widths count code points, so that −, ×, ± and names with accents stay
 * aligned.
 */
#ifndef RESULTS_TEXT_H
#define RESULTS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "jobs/error.h"

enum { TEXT_COLUMNS = 100, TEXT_CELL = 256, TEXT_NUMBER = 96 };

/* A formatted number, returned by value so that it can stand inside an argument list. */
struct text {
    char s[TEXT_NUMBER];
};

/* Code points in a UTF-8 string. */
int text_width(const char *utf8);

/* ── Numbers ── NaN is "—", infinity "∞", minus U+2212; never "-0.0". */

/* `decimals` digits behind the point; `sign`: a plus in front of what is above 0. */
struct text text_fixed(double value, int decimals, bool sign);

/* `digits` significant digits without exponent where 1e-6 ≤ |value| < 1e7, with one elsewhere. */
struct text text_significant(double value, int digits);

/* "+7.1 [3.0, 11.9]", all three with the same number of decimals: three significant digits of the
 * largest, at least two. Without an interval (NaN ends) "+7.1 [—]"; without an estimate "—". */
struct text text_interval(double estimate, double low, double high);

/* A ratio given as logarithms, with its interval: "×1.73 [1.55, 1.94]", each with
 * three significant digits. */
struct text text_factor(double log_estimate, double log_low, double log_high);

/* A share of 1 with its interval, in percent: "61 % [55, 67]". */
struct text text_share(double estimate, double low, double high);

/* A relative change given as a difference of logarithms, in percent: 100·(exp(x) − 1). */
double text_percent(double log_ratio);

/* "12 s", "3 min 05 s", "2 h 07 min", "4 d 03 h". */
struct text text_seconds(double seconds);

#define TEXT_PLUSMINUS "\xc2\xb1"

/* "524 k", "24.8 k", "7.00" */
struct text text_count(double count);

/* ── Paragraphs ── */

/* `text` in lines of at most TEXT_COLUMNS: the first starts with `lead`, the others with as many blanks. A
 * line break in `text` starts a new line; other control characters become blanks. */
void text_wrap(FILE *out, const char *lead, const char *text);

/* text_wrap of a formatted text (at most 4,095 bytes). */
void text_say(FILE *out, const char *lead, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ── Tables ── */

struct text_table;

/* A table with one letter per column, 'l' or 'r' (alignment), and `head` heading rows. */
int text_table_open(struct error *err, const char *alignment, int head, struct text_table **table);
void text_table_free(struct text_table *table); /* NULL is fine */

/* Fill the next entry, row by row from the left, heading rows first. Lack of memory is remembered and told
 * by text_table_print. Control characters become '?'. */
void text_table_add(struct text_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One heading row, or several: all entries of an array of texts. */
void text_table_add_head(struct text_table *table, const char *const *head, size_t count);
#define TEXT_ADD_HEAD(table, head)                                                                 \
    text_table_add_head((table), (head), sizeof(head) / sizeof((head)[0]))

/* `rows` heading rows of `count` entries each, without the columns whose bit is set in `without`. */
void text_table_add_heads(struct text_table *table, const char *const *head, int rows, int count,
                          unsigned without);

/* Print it, indented by two blanks. Columns that do not fit beside each other are printed below in a
 * second panel (and so on), each with the first `keys` columns again; an entry wider than a panel ends
 * in "…". Prints nothing if there is no row below the heading. */
int text_table_print(struct error *err, FILE *out, const struct text_table *table, int keys);

#endif
