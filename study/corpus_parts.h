/* The inside of a corpus: made by corpus_load.c, read by corpus.c. */
#ifndef STUDY_CORPUS_PARTS_H
#define STUDY_CORPUS_PARTS_H

#include <stdbool.h>

#include "study/corpus.h"

/* Tokens in a row, in memory of ours or in a mapped file. */
struct piece {
    const void *tokens;
    int width;    /* bytes of a token: 1, 2, 4 */
    size_t count; /* tokens */
    void *owned;  /* to be freed; NULL: none */
    void *mapped; /* to be unmapped; NULL: none */
    size_t mapped_length;
    const char *path; /* of the mapped file, for messages while the corpus is loaded */
    size_t offset;    /* of the tokens in it */
};

/* A run of tokens of one part, over all pieces in a row. */
struct run {
    bool held_out;
    size_t start, end;
};

struct span {
    size_t start, length;
    int piece;
    size_t place;   /* of its first token in the piece */
    size_t lengths; /* held-out text: of its first token in the corpus's lengths */
};

/* Disjoint spans of the tokens; a window lies in one of them. */
struct part {
    int spans;
    struct span *span;
    size_t tokens;
};

struct corpus {
    int pieces;
    struct piece *piece;
    size_t length; /* tokens of all pieces */
    struct part train, held_out;
    int vocabulary;
    double *unigram; /* (vocabulary) log probabilities */
    double unigram_entropy;
    bool bytes; /* tokens are bytes of text */
    const uint32_t
        *lengths; /* bytes of text of each held-out token; NULL: one each, or not known */
    struct piece length_piece;   /* what owns them */
    struct tokenizer *tokenizer; /* NULL: not known */
    struct tasks *tasks;         /* owned; or NULL */
};

/* An empty corpus with room for `pieces`. */
int corpus_begin(struct error *err, int pieces, struct corpus **corpus);

/* Its pieces, vocabulary and lengths are there: form the parts from the runs, with `guard` tokens dropped beside held-out ones, and
 * count. STATUS_FAILED when a token is not below the vocabulary, or too little is left; `hint` says what to do about that. */
int corpus_finish(struct error *err, struct corpus *corpus, const struct run *run, size_t runs,
                  const struct cell_data *data, const char *hint);

#endif
