/* The SentencePiece library from C. No exception leaves these functions; `why` gets the library's reason of a failure. */
#ifndef STUDY_SENTENCEPIECE_H
#define STUDY_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SENTENCEPIECE_WHY = 512 };

struct sentencepiece_model;

/* A model from its file's bytes; NULL on failure. Any number of threads may encode with one. */
struct sentencepiece_model *sentencepiece_open(const char *model, size_t length,
                                               char why[SENTENCEPIECE_WHY]);
void sentencepiece_close(struct sentencepiece_model *sp); /* NULL is fine */

int sentencepiece_pieces(const struct sentencepiece_model *sp);

/* The token of this piece ("<0x0A>"); −1 if there is none. */
int sentencepiece_find(const struct sentencepiece_model *sp, const char *piece, size_t length);

/* The tokens of one line, as spm_encode makes them: *count is how many, the first `capacity` are written. ends[i] (NULL: not wanted)
 * is where in the line, as given, the text of token i ends. false on failure. */
bool sentencepiece_encode(const struct sentencepiece_model *sp, const char *line, size_t length,
                          uint32_t *tokens, uint32_t *ends, size_t capacity, size_t *count,
                          char why[SENTENCEPIECE_WHY]);

/* The text of `count` tokens of one line: *bytes is its length, the first `capacity` bytes are written. false on failure, also when
 * a token is none of the model's. */
bool sentencepiece_decode(const struct sentencepiece_model *sp, const uint32_t *tokens,
                          size_t count, char *text, size_t capacity, size_t *bytes,
                          char why[SENTENCEPIECE_WHY]);

/* The next line of a training text, without its newline, valid until the next call; false at the end. */
typedef bool sentencepiece_line_fn(void *context, const char **line, size_t *length);

/* Train a model: option[] are names and values by turns, as spm_train takes them, NULL at the end. *model is malloc'ed, the caller
 * frees it. false on failure. Prints nothing. */
bool sentencepiece_train(const char *const *option, sentencepiece_line_fn *next, void *context,
                         char **model, size_t *length, char why[SENTENCEPIECE_WHY]);

#ifdef __cplusplus
}
#endif

#endif
