/*
 * A folder of tokens that `ptqscale prepare` has made:
 *
 *     manifest.json              all that is in the folder, with hashes; written last
 *     tokens-00000.bin …         the tokens, nothing else: 1, 2 or 4 bytes each, little-endian
 *     tokenizer.model            the SentencePiece model; not for bytes
 *     held-out-lengths.bin       how many bytes of text each held-out token stands for, 4 bytes each, in their
 *                                order; not for bytes
 *
 * The tokens of all shards in a row fall into spans, runs of training text and of held-out text by turns. A hash is XXH3-128 in
 * hex. No date, path or host is in the manifest: the same text and options give the same one.
 */
#ifndef JOBS_MANIFEST_H
#define JOBS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"

enum { MANIFEST_NAME = 64, MANIFEST_SHARDS = 100000 };

#define MANIFEST_FILE    "manifest.json"
#define MANIFEST_MODEL   "tokenizer.model"
#define MANIFEST_LENGTHS "held-out-lengths.bin"

struct manifest_shard {
    uint64_t tokens;
    char hash[CELL_ID];
};

struct manifest_span {
    bool held_out;
    uint64_t tokens, bytes; /* bytes: of text */
};

struct manifest {
    bool sentencepiece; /* else bytes */
    int vocabulary;
    int token_bytes;              /* 1, 2, 4 */
    char tokenizer_hash[CELL_ID]; /* "" for bytes, and so is the next */
    char lengths_hash[CELL_ID];
    char cleaning[16];
    double held_out;
    uint64_t split_seed;
    uint64_t files, documents, text_bytes;
    char text_hash[CELL_ID];
    int shards;
    struct manifest_shard *shard; /* owned */
    size_t spans;
    struct manifest_span *span; /* owned */
};

/* "tokens-00000.bin" */
void manifest_shard_name(int shard, char name[MANIFEST_NAME]);

/* As JSON; malloc'ed, the caller frees it. STATUS_FAILED when out of memory. */
int manifest_format(struct error *err, const struct manifest *manifest, char **text);

/* Read one back; `path` is for messages. STATUS_FAILED, with the line or the field, when it is not one. Free it with manifest_free. */
int manifest_parse(struct error *err, const char *path, const char *text, size_t length,
                   struct manifest *manifest);
void manifest_free(struct manifest *manifest); /* all zero is fine */

/* Read folder/manifest.json; `hash` (NULL: not wanted) is that of its bytes. STATUS_FAILED when it is missing or wrong. */
int manifest_read(struct error *err, const char *folder, struct manifest *manifest,
                  char hash[CELL_ID]);

/* Every file that it names is there, and has the length and the hash that it says. STATUS_FAILED with the first that has not. */
int manifest_verify(struct error *err, const char *folder, const struct manifest *manifest);

uint64_t manifest_tokens(const struct manifest *manifest, bool held_out);
uint64_t manifest_text(const struct manifest *manifest, bool held_out); /* bytes */

/* XXH3-128 as hex. */
void manifest_hash(const void *bytes, size_t length, char hash[CELL_ID]);

#endif
