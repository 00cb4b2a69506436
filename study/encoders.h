/* Threads that encode blocks of text; results come in the order in which the blocks went in. */
#ifndef STUDY_ENCODERS_H
#define STUDY_ENCODERS_H

#include "study/encode.h"

struct encoders;

/* One block, encoded. */
struct encoded_block {
    size_t bytes; /* of text */
    size_t count; /* tokens */
    const void *tokens;
    const uint32_t *lengths; /* (count) bytes of text per token; NULL unless it was measured */
};

/* `threads` threads, whose tokens are of `width` bytes. The tokenizer must outlive them. */
int encoders_create(struct error *err, const struct tokenizer *tokenizer, int width, int threads,
                    struct encoders **encoders);
void encoders_free(struct encoders *encoders); /* NULL is fine; waits for the threads */

/* Is there room for one more block? If not, encoders_take comes first. */
bool encoders_have_room(const struct encoders *encoders);

/* Copies the text. */
int encoders_give(struct error *err, struct encoders *encoders, const void *text, size_t bytes,
                  bool measure);

/* Wait for the oldest block; valid until room is asked for again. *block is NULL when all have been taken. */
int encoders_take(struct error *err, struct encoders *encoders, const struct encoded_block **block);

#endif
