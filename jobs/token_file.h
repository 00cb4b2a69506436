/*
 * Files of tokens, as others write them (little-endian):
 *
 *     nanoGPT     nothing but tokens of 2 bytes
 *     llm.c       a header of 256 numbers of 4 bytes: magic, version, number of tokens, zeros; then the tokens
 *                 magic 20240520, version 1: of 2 bytes; magic 20240801, version 7: of 4 bytes
 */
#ifndef JOBS_TOKEN_FILE_H
#define JOBS_TOKEN_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/error.h"

enum { TOKEN_FILE_HEADER = 1024 };

struct token_file {
    int width;       /* bytes of a token: 2 or 4 */
    uint64_t offset; /* bytes in front of the first one */
    uint64_t tokens; /* > 0 */
};

/* What a file of `size` bytes is, from its first bytes head[length]: TOKEN_FILE_HEADER of them, or all there are. STATUS_FAILED
 * when its length does not fit its header, or is odd. */
int token_file_parse(struct error *err, const char *path, const void *head, size_t length,
                     uint64_t size, struct token_file *file);

/* The same of a file on disk. */
int token_file_examine(struct error *err, const char *path, struct token_file *file);

/* The place of the first of tokens[count], each of `width` bytes (1, 2, 4), that is not below the vocabulary; `count` if there is
 * none. */
size_t token_file_check(const void *tokens, int width, size_t count, uint32_t vocabulary);

/* STATUS_FAILED with the place of the token: number `index` of the file. */
int token_file_refuse(struct error *err, const char *path, const struct token_file *file,
                      uint64_t index, uint32_t token, int vocabulary);

#endif
