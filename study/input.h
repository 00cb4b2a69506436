/* Bytes of a file as they were before it was compressed: plain, gzip or Zstandard, told apart by content. */
#ifndef STUDY_INPUT_H
#define STUDY_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

struct input;

/* STATUS_FAILED with the path when it is missing or cannot be read. The path must outlive it. */
int input_open(struct error *err, const char *path, struct input **input);
void input_close(struct input *input); /* NULL is fine */

/* The next at most `capacity` bytes; *got is 0 at the end only. STATUS_FAILED with the path and the place when the
 * compressed stream is broken or cut off. */
int input_read(struct error *err, struct input *input, void *bytes, size_t capacity, size_t *got);

#endif
