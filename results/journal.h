/*
 * The journal of a run: an append-only text file, one line per event, durable before the event
 * counts.
 *
 *     line  = check SP sequence SP time SP event *( SP key "=" value ) LF
 *     check = 16 lower-case hex digits: XXH64 (seed 0) of all bytes of the line behind the first SP
 *             and before the LF
 *     sequence = 1, 2, 3, … without gap; time = UTC as 2025-01-31T23:59:59Z
 *     event, key = letters, digits, "_"; value = bytes, where "%", SP, "=", control characters and
 *             bytes above 126 are written as "%" and two hex digits
 *
 * A journal is valid if every line is. One exception: an interrupted append leaves a torn tail,
 * that is, a last line without LF or with a wrong check. Opened for writing, the tail is cut off
 * with a warning that names its offset; opened for reading, it is ignored. A tail that contains
 * a whole valid line was not torn but altered. Any other damage (wrong check before the last
 * line, a gap or repetition in the sequence, a line that cannot be parsed) is refused:
 * STATUS_FAILED with file and line.
 *
 * An event is one write() to an O_APPEND descriptor, then journal_sync(); several events may
 * share one sync. A write that fails is taken back, so that the next one does not stand behind a
 * torn line.
 */
#ifndef RESULTS_JOURNAL_H
#define RESULTS_JOURNAL_H

#include <stdint.h>

#include "jobs/error.h"

enum {
    JOURNAL_PAIRS = 16,  /* most key=value pairs of a line */
    JOURNAL_EVENT = 32,  /* longest event name, with the NUL */
    JOURNAL_LINE = 8192, /* longest line, with its LF */
};

struct journal_line {
    int64_t sequence;
    int64_t time; /* Unix seconds */
    const char *event;
    int pairs;
    const char *key[JOURNAL_PAIRS];
    const char *value[JOURNAL_PAIRS]; /* decoded */
};

/* Called for each line in order; the line's text lives during the call only. A failure stops the
 * reading and gets file and line put in front. */
typedef int journal_fn(struct error *err, void *context, const struct journal_line *line);

/* The value of `key`, or NULL. */
const char *journal_value(const struct journal_line *line, const char *key);

/* Append a pair to a line that is being built; the strings must live until journal_append. */
void journal_pair(struct journal_line *line, const char *key, const char *value);

/* Read all valid lines; a torn tail is ignored. `fn` may be NULL: only check. */
int journal_read(struct error *err, const char *path, journal_fn *fn, void *context);

struct journal;

/* Open for appending, created if missing; reads as journal_read does and cuts a torn tail. The
 * caller holds the run folder's lock. */
int journal_open(struct error *err, const char *path, journal_fn *fn, void *context,
                 struct journal **journal);
void journal_close(struct journal *journal); /* NULL is fine */

/* Append one line; fills in line->sequence and line->time. Not durable before journal_sync. */
int journal_append(struct error *err, struct journal *journal, struct journal_line *line);
int journal_sync(struct error *err, struct journal *journal);

/* "2025-01-31T23:59:59Z" of Unix seconds. */
void journal_time(int64_t seconds, char text[32]);

/* value → its encoding into out[size]; returns the length, or -1 if it does not fit. */
int journal_encode(const char *value, char *out, int size);

/* Decode in place. Returns 0, or -1 on a malformed escape. */
int journal_decode(char *text);

#endif
