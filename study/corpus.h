/*
 * The text as tokens: read, cut into training and held-out parts. Read-only once loaded, shared by all
 * cells of a process. Tokens are kept as narrow as they come (bytes: one byte each), files of tokens are mapped; in windows they are
 * numbers of 32 bits, as a model takes them.
 */
#ifndef STUDY_CORPUS_H
#define STUDY_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "jobs/spec.h"
#include "study/tokenizer.h"

struct corpus;

/*
 * By data->kind: text files (plain, gzip or Zstandard) cleaned, and as bytes or encoded with the source's SentencePiece model; token
 * files; or a prepared folder. Held-out blocks are chosen by hash over the whole text, with data->guard tokens dropped on each side: of
 * 64 KiB of text, if that is to be encoded a little longer (study/blocks.h); of 65536 tokens in token files; a prepared folder has its
 * own. STATUS_FAILED when a file cannot be read, a token is not below data->vocabulary, or too little is left for training or
 * held-out windows of data->guard tokens.
 */
int corpus_load(struct error *err, const struct data_source *source, const struct cell_data *data,
                struct corpus **corpus);
/* The same from `length` bytes in memory as tokens, malloc'ed, already clean; the corpus owns them if it succeeds. */
int corpus_create(struct error *err, uint8_t *text, size_t length, const struct cell_data *data,
                  struct corpus **corpus);
void corpus_free(struct corpus *corpus); /* NULL is fine */

size_t corpus_tokens(const struct corpus *corpus); /* after cleaning */
size_t corpus_train_tokens(const struct corpus *corpus);
size_t corpus_held_out_tokens(const struct corpus *corpus);
double
corpus_unigram_entropy(const struct corpus *corpus); /* held-out CE under the training unigram */

/* What the tokens were made with; NULL for token files. The corpus owns it. */
const struct tokenizer *corpus_tokenizer(const struct corpus *corpus);

/* log probability of each token under the training unigram, add-one smoothed: (vocabulary). */
const double *corpus_unigram(const struct corpus *corpus);

/* Text number `index`, of at most CORPUS_TEXT tokens in a row, of the held-out or the training part; those of a tokenizer are decoded.
 * *text is malloc'ed, the caller frees it; NULL when there are no more. STATUS_FAILED for token files, whose text nobody knows. */
enum { CORPUS_TEXT = 1 << 20 };
int corpus_text(struct error *err, const struct corpus *corpus, bool held_out, int index,
                char **text, size_t *length);

/* The tasks that cells of this text are asked (study/tasks/tasks.h), NULL if there are none. The corpus owns them from here on. */
struct tasks;
void corpus_give_tasks(struct corpus *corpus, struct tasks *tasks);
const struct tasks *corpus_tasks(const struct corpus *corpus);

/*
 * A window is `context`+1 tokens that follow each other: inputs (context) are all but the last of them, targets (context; NULL:
 * not wanted) all but the first. Returned is its first token's place in the text.
 */

/* A training window, its start drawn by (data_seed, step, sequence). */
size_t corpus_train_window(const struct corpus *corpus, int context, uint64_t data_seed,
                           int64_t step, int sequence, uint32_t *inputs, uint32_t *targets);

/* Calibration window `index` of training text (METHOD §3), drawn by `seed`. */
size_t corpus_calibration_window(const struct corpus *corpus, int context, uint64_t seed, int index,
                                 uint32_t *inputs);

/* Held-out window `index` of `count`; windows are spread evenly over all held-out blocks, the same for every
 * cell. */
size_t corpus_held_out_window(const struct corpus *corpus, int context, int index, int count,
                              uint32_t *inputs, uint32_t *targets);

/* Bytes of text that all targets of these `count` windows stand for; NaN where nobody knows (token files). */
double corpus_held_out_bytes(const struct corpus *corpus, int context, int count);

#endif
