/* Text files into memory, and light cleaning. */
#ifndef STUDY_TEXT_H
#define STUDY_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

/* Append the bytes of a file (plain, gzip or Zstandard, told apart by content) to *text, which grows by realloc; a newline parts it from
 * what was there. STATUS_FAILED with the path when it is missing, unreadable, empty, or a broken stream. */
int text_append(struct error *err, const char *path, uint8_t **text, size_t *length);

/* The GNU Collaborative International Dictionary of English, in place; returns the new length. Drops indentation, braces around
 * cross-references, lines that only name a source ("[1913 Webster]"), and repeated blank lines. The first `cleaned` bytes are clean
 * already (at least the last two of them are needed, if there were some): whole lines may so be cleaned one by one. */
size_t text_clean_gcide(uint8_t *text, size_t cleaned, size_t length);

#endif
