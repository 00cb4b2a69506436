#include "study/cutter.h"

#include <stdlib.h>
#include <string.h>

#include "study/blocks.h"

enum { ROOM = 16 * BLOCK_LENGTH, AHEAD = 2 * BLOCK_LENGTH + 4 };

struct cutter {
    struct documents *documents;
    bool end; /* of the documents */
    size_t at, filled;
    uint8_t text[ROOM];
};

int cutter_open(struct error *err, const struct documents_options *options, struct cutter **cutter)
{
    int status = STATUS_OK;
    struct cutter *c = calloc(1, sizeof *c);
    CHECK(err, c, STATUS_FAILED, "out of memory");
    TRY(documents_open(err, options, &c->documents));
    *cutter = c;
    c = NULL;
cleanup:
    cutter_close(c);
    return status;
}

void cutter_close(struct cutter *cutter)
{
    if (cutter) {
        documents_close(cutter->documents);
        free(cutter);
    }
}

int cutter_next(struct error *err, struct cutter *c, const uint8_t **text, size_t *length)
{
    int status = STATUS_OK;
    if (c->filled - c->at < AHEAD && !c->end) {
        memmove(c->text, c->text + c->at, c->filled - c->at);
        c->filled -= c->at;
        c->at = 0;
        while (c->filled < ROOM && !c->end) {
            size_t got;
            TRY(documents_read(err, c->documents, c->text + c->filled, ROOM - c->filled, &got));
            c->filled += got;
            c->end = got == 0;
        }
    }
    *text = c->text + c->at;
    *length = block_end(*text, c->filled - c->at);
    c->at += *length;
cleanup:
    return status;
}

uint64_t cutter_documents(const struct cutter *cutter)
{
    return documents_count(cutter->documents);
}
