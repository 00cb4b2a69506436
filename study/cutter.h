/* A text in blocks (study/blocks.h), one at a time. */
#ifndef STUDY_CUTTER_H
#define STUDY_CUTTER_H

#include "study/documents.h"

struct cutter;

int cutter_open(struct error *err, const struct documents_options *options, struct cutter **cutter);
void cutter_close(struct cutter *cutter); /* NULL is fine */

/* The next block, valid until the next call; at the end *length is 0. Failures are those of documents_read. */
int cutter_next(struct error *err, struct cutter *cutter, const uint8_t **text, size_t *length);

uint64_t cutter_documents(const struct cutter *cutter);

#endif
