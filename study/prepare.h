/*
 * `ptqscale prepare`: text to a folder of tokens (jobs/manifest.h). The text is read in passes: one counts its blocks
 * (study/blocks.h) and chooses the held-out ones, one collects a sample to train a tokenizer on, and the last one encodes, in threads, a
 * block at a time. What is written does not depend on how many threads there are.
 */
#ifndef STUDY_PREPARE_H
#define STUDY_PREPARE_H

#include "jobs/manifest.h"
#include "study/documents.h"
#include "study/tokenizer.h"

struct prepare_options {
    struct documents_options text;
    double held_out; /* fraction of the blocks */
    uint64_t split_seed;
    int jobs;              /* threads that encode, ≥ 1 */
    uint64_t shard_tokens; /* a shard ends behind the block that reaches so many */
};

struct prepare_training {
    int vocabulary;
    const char *type; /* "unigram", "bpe" */
    size_t bytes;     /* of training text, at most; blocks of it are taken evenly */
};

/* What the first pass finds. */
struct survey {
    size_t pieces; /* blocks, and what is left at the end */
    size_t blocks;
    bool *held_out; /* (pieces), owned */
    uint64_t bytes, train_bytes, documents;
    char hash[CELL_ID];
};

/* Where the files go. */
struct prepare_sink {
    void *context;
    /* Append to file `name` of the folder. */
    int (*write)(struct error *err, void *context, const char *name, const void *bytes,
                 size_t length);
    bool (*cancelled)(void *context);
};

/* STATUS_FAILED when the text cannot be read (study/documents.h) or has less than two blocks. Free with prepare_survey_free. */
int prepare_survey(struct error *err, const struct prepare_options *options, struct survey *survey);
void prepare_survey_free(struct survey *survey);

/* Train a SentencePiece model on lines of the training blocks, as spm_train does with the options of prepare_train_options. The caller
 * frees *model. STATUS_FAILED with the library's reason. */
int prepare_train(struct error *err, const struct prepare_options *options,
                  const struct survey *survey, const struct prepare_training *training,
                  char **model, size_t *length);

/* Encode everything into the sink, the manifest last. `model` is the tokenizer's file; bytes: length 0. On success *manifest is what
 * was written. STATUS_STOPPED when cancelled; STATUS_FAILED, also when the text has changed since the survey. */
int prepare_tokens(struct error *err, const struct prepare_options *options,
                   const struct survey *survey, const struct tokenizer *tokenizer,
                   const char *model, size_t length, const struct prepare_sink *sink,
                   struct manifest *manifest);

/* Names and values by turns, NULL at the end: all but model type and vocabulary size. */
extern const char *const prepare_train_options[];

#endif
