/* Text files into memory, and light cleaning. */
#ifndef STUDY_TEXT_H
#define STUDY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

/* Append the bytes of a plain or gzip file (told apart by content) to *text, which grows by realloc; a newline parts it from what
 * was there. STATUS_FAILED with the path when it is missing, unreadable, empty, or a broken gzip stream. */
int text_append(struct error *err, const char *path, uint8_t **text, size_t *length);

/* The GNU Collaborative International Dictionary of English, in place; returns the new length. Drops indentation, braces around
 * cross-references, lines that only name a source ("[1913 Webster]"), and repeated blank lines. */
size_t text_clean_gcide(uint8_t *text, size_t length);

#endif
