/*
 * A text out of many files, a piece at a time: plain text files, each one document, and JSON Lines, where each line is one. All may be
 * compressed (study/input.h). A newline stands between documents.
 */
#ifndef STUDY_DOCUMENTS_H
#define STUDY_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

struct documents;

struct documents_options {
    const char *const *file; /* (files) paths, which outlive the text */
    int files;
    const char *field; /* of a JSON line's object: where the text is */
    bool clean_gcide;  /* plain files (study/text.h) */
};

/* A file is JSON Lines if its name ends in .jsonl or .ndjson, before .gz or .zst if it ends in one. All files are looked for;
 * STATUS_FAILED with the path of one that cannot be read. */
int documents_open(struct error *err, const struct documents_options *options,
                   struct documents **documents);
void documents_close(struct documents *documents); /* NULL is fine */

/*
 * The next at most `capacity` bytes; *got is 0 at the end only. STATUS_FAILED with the path when a file is empty, broken or cut
 * off, and with path and line when a line is no JSON, no UTF-8, or has no text in that field.
 */
int documents_read(struct error *err, struct documents *documents, uint8_t *text, size_t capacity,
                   size_t *got);

/* Documents that have been begun. */
uint64_t documents_count(const struct documents *documents);

#endif
