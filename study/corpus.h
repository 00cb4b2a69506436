/*
 * The text: read, cleaned, cut into training and held-out parts. Read-only once loaded, shared by all
 * cells of a process. Tokens are bytes (vocabulary 256).
 */
#ifndef STUDY_CORPUS_H
#define STUDY_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "jobs/spec.h"

struct corpus;

/* Read the files (plain or gzip, by content), clean them, split off the held-out blocks (64 KiB each, chosen by
 * hash over the whole text, with data->guard bytes dropped on each side). STATUS_FAILED when a file
 * cannot be read, or too little is left for training or held-out windows of data->guard tokens. */
int corpus_load(struct error *err, const struct data_source *source, const struct cell_data *data,
                struct corpus **corpus);
/* The same from `length` bytes in memory, malloc'ed, already clean; the corpus owns them if it succeeds. */
int corpus_create(struct error *err, uint8_t *text, size_t length, const struct cell_data *data,
                  struct corpus **corpus);
void corpus_free(struct corpus *corpus); /* NULL is fine */

size_t corpus_bytes(const struct corpus *corpus); /* after cleaning */
size_t corpus_train_bytes(const struct corpus *corpus);
size_t corpus_held_out_bytes(const struct corpus *corpus);
double
corpus_unigram_entropy(const struct corpus *corpus); /* held-out CE under the training unigram */

/* log probability of each byte under the training unigram, add-one smoothed: [256]. */
const double *corpus_unigram(const struct corpus *corpus);

/* A training window: `context`+1 bytes, start drawn by (data_seed, step, sequence). The pointer is into
 * the corpus. */
const uint8_t *corpus_train_window(const struct corpus *corpus, int context, uint64_t data_seed,
                                   int64_t step, int sequence);

/* Calibration window `index` of training text (METHOD §3), drawn by `seed`. */
const uint8_t *corpus_calibration_window(const struct corpus *corpus, int context, uint64_t seed,
                                         int index);

/* Held-out window `index` of `count`: `context`+1 bytes; windows are spread evenly over all held-out
 * blocks, the same for every cell. */
const uint8_t *corpus_held_out_window(const struct corpus *corpus, int context, int index,
                                      int count);

#endif
