/* Where a corpus comes from. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/manifest.h"
#include "jobs/token_file.h"
#include "study/blocks.h"
#include "study/corpus_parts.h"
#include "study/encode.h"
#include "study/text.h"

/* Runs ======================================================================================== */

struct runs {
    struct run *run;
    size_t count, capacity;
};

/* `length` more tokens; of the same part as those before them they lengthen the run. */
static int runs_add(struct error *err, struct runs *runs, bool held_out, size_t length)
{
    int status = STATUS_OK;
    struct run *last = runs->count > 0 ? &runs->run[runs->count - 1] : NULL;
    const size_t start = last ? last->end : 0;
    if (length == 0) {
        goto cleanup;
    }
    if (last && last->held_out == held_out) {
        last->end += length;
        goto cleanup;
    }
    if (runs->count == runs->capacity) {
        runs->capacity = 2 * runs->capacity + 16;
        struct run *grown = realloc(runs->run, runs->capacity * sizeof *grown);
        CHECK(err, grown, STATUS_FAILED, "out of memory");
        runs->run = grown;
    }
    runs->run[runs->count++] =
        (struct run){.held_out = held_out, .start = start, .end = start + length};
cleanup:
    return status;
}

/* Blocks of BLOCK_LENGTH tokens; what is left at the end is no block. */
static int runs_of_blocks(struct error *err, size_t length, const struct cell_data *data,
                          struct runs *runs)
{
    int status = STATUS_OK;
    const size_t blocks = length / BLOCK_LENGTH;
    bool *held = calloc(blocks + 1, sizeof *held);
    CHECK(err, held, STATUS_FAILED, "out of memory");
    TRY(blocks_choose(err, blocks, data->held_out, data->split_seed, held));
    for (size_t i = 0; i < blocks; i++) {
        TRY(runs_add(err, runs, held[i], BLOCK_LENGTH));
    }
    TRY(runs_add(err, runs, false, length - blocks * BLOCK_LENGTH));
cleanup:
    free(held);
    return status;
}

/* What to do about too little text. */
static const char *share(const struct cell_data *data, char text[64])
{
    snprintf(text, 64, "data.held_out %g", data->held_out);
    return text;
}

/* Text ======================================================================================== */

static int check_length(struct error *err, size_t length)
{
    int status = STATUS_OK;
    CHECK(err, length / BLOCK_LENGTH >= 2, STATUS_FAILED,
          "the text has %zu bytes after cleaning; at least two blocks of 64 KiB are needed, one to "
          "train on and one to hold out; name more files in data.files",
          length);
cleanup:
    return status;
}

int corpus_create(struct error *err, uint8_t *text, size_t length, const struct cell_data *data,
                  struct corpus **corpus)
{
    int status = STATUS_OK;
    struct corpus *c = NULL;
    struct runs runs = {0};
    char hint[64];
    TRY(corpus_begin(err, 1, &c));
    c->piece[c->pieces++] = (struct piece){.tokens = text, .width = 1, .count = length};
    c->length = length;
    c->vocabulary = 256;
    c->bytes = true;
    TRY(check_length(err, length));
    TRY(runs_of_blocks(err, length, data, &runs));
    TRY(corpus_finish(err, c, runs.run, runs.count, data, share(data, hint)));
    TRY(tokenizer_open(err, TOKENIZER_BYTES, NULL, &c->tokenizer));
    c->piece[0].owned = text; /* now, and not before: else it is still the caller's */
    *corpus = c;
    c = NULL;
cleanup:
    free(runs.run);
    corpus_free(c);
    return status;
}

/* Tokens that are put one behind the other. */
struct growing {
    char *bytes;
    size_t length, capacity;
};

static int grow(struct error *err, struct growing *g, size_t more)
{
    int status = STATUS_OK;
    if (g->length + more > g->capacity) {
        const size_t capacity = (g->length + more) * 3 / 2;
        char *grown = realloc(g->bytes, capacity);
        CHECK(err, grown, STATUS_FAILED, "out of memory for %zu bytes of tokens", capacity);
        g->bytes = grown;
        g->capacity = capacity;
    }
cleanup:
    return status;
}

/* Ends of the text's blocks; the last one may be shorter than a block and is then not counted as one. */
static int cut(struct error *err, const uint8_t *text, size_t length, size_t **ends, size_t *pieces,
               size_t *blocks)
{
    int status = STATUS_OK;
    size_t *end = calloc(length / BLOCK_LENGTH + 2, sizeof *end), n = 0, at = 0;
    CHECK(err, end, STATUS_FAILED, "out of memory");
    for (; at < length; n++) {
        at += block_end(text + at, length - at);
        end[n] = at;
    }
    *blocks = n - (n > 0 && length - (n > 1 ? end[n - 2] : 0) < BLOCK_LENGTH);
    *pieces = n;
    *ends = end;
cleanup:
    return status;
}

static int encode_text(struct error *err, struct corpus *c, const uint8_t *text, size_t length,
                       const struct cell_data *data, struct runs *runs)
{
    int status = STATUS_OK;
    const size_t width = (size_t)encode_width(c->tokenizer);
    struct growing tokens = {0}, lengths = {0};
    struct encode_buffer buffer = {0};
    size_t *end = NULL, pieces = 0, blocks = 0, start = 0;
    bool *held = NULL;
    TRY(cut(err, text, length, &end, &pieces, &blocks));
    held = calloc(pieces, sizeof *held);
    CHECK(err, held, STATUS_FAILED, "out of memory");
    TRY(blocks_choose(err, blocks, data->held_out, data->split_seed, held));
    for (size_t i = 0; i < pieces; start = end[i++]) {
        TRY(encode_block(err, c->tokenizer, text + start, end[i] - start, held[i], &buffer));
        TRY(grow(err, &tokens, buffer.count * width));
        encode_pack(buffer.tokens, buffer.count, (int)width, tokens.bytes + tokens.length);
        tokens.length += buffer.count * width;
        if (held[i]) {
            const size_t more = buffer.count * sizeof *buffer.lengths;
            TRY(grow(err, &lengths, more));
            memcpy(lengths.bytes + lengths.length, buffer.lengths, more);
            lengths.length += more;
        }
        TRY(runs_add(err, runs, held[i], buffer.count));
    }
    c->length = tokens.length / width;
    c->piece[c->pieces++] = (struct piece){
        .tokens = tokens.bytes, .width = (int)width, .count = c->length, .owned = tokens.bytes};
    c->length_piece.owned = lengths.bytes;
    c->lengths = (const uint32_t *)(void *)lengths.bytes;
    tokens.bytes = lengths.bytes = NULL;
cleanup:
    encode_free(&buffer);
    free(tokens.bytes);
    free(lengths.bytes);
    free(held);
    free(end);
    return status;
}

static int load_text(struct error *err, const struct data_source *source,
                     const struct cell_data *data, struct corpus **corpus)
{
    int status = STATUS_OK;
    uint8_t *text = NULL;
    size_t length = 0;
    struct corpus *c = NULL;
    struct runs runs = {0};
    char hint[64];
    for (int i = 0; i < source->files; i++) {
        TRY(text_append(err, source->file[i], &text, &length));
    }
    if (strcmp(data->cleaning, "gcide") == 0) {
        length = text_clean_gcide(text, 0, length);
    }
    if (data->kind == DATA_BYTES) {
        TRY(corpus_create(err, text, length, data, corpus));
        text = NULL;
        goto cleanup;
    }
    TRY(check_length(err, length));
    TRY(corpus_begin(err, 1, &c));
    TRY(tokenizer_open(err, TOKENIZER_SENTENCEPIECE, source->tokenizer, &c->tokenizer));
    c->vocabulary = tokenizer_vocabulary(c->tokenizer);
    CHECK(err, data->vocabulary == 0 || data->vocabulary == c->vocabulary, STATUS_FAILED,
          "%s: has %d pieces here, and had %d when the run began", source->tokenizer, c->vocabulary,
          data->vocabulary);
    TRY(encode_text(err, c, text, length, data, &runs));
    TRY(corpus_finish(err, c, runs.run, runs.count, data, share(data, hint)));
    *corpus = c;
    c = NULL;
cleanup:
    free(runs.run);
    free(text);
    corpus_free(c);
    return status;
}

/* Files of tokens ============================================================================= */

/* `tokens` tokens of `width` bytes behind the first `offset` bytes of a file that must have at least so many. */
static int map(struct error *err, const char *path, int width, size_t offset, size_t tokens,
               struct piece *piece)
{
    int status = STATUS_OK;
    struct stat about;
    const size_t length = offset + tokens * (size_t)width;
    void *mapped = MAP_FAILED;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, file >= 0 && fstat(file, &about) == 0, STATUS_FAILED, "%s: cannot read: %s", path,
          strerror(errno));
    CHECK(err, (uint64_t)about.st_size >= length, STATUS_FAILED,
          "%s: is shorter here than when the run began (%lld bytes instead of %zu)", path,
          (long long)about.st_size, length);
    mapped = mmap(NULL, length, PROT_READ, MAP_SHARED, file, 0);
    CHECK(err, mapped != MAP_FAILED, STATUS_FAILED, "%s: cannot map: %s", path, strerror(errno));
    *piece = (struct piece){.tokens = (const char *)mapped + offset,
                            .width = width,
                            .count = tokens,
                            .mapped = mapped,
                            .mapped_length = length,
                            .path = path,
                            .offset = offset};
cleanup:
    if (file >= 0) {
        close(file);
    }
    return status;
}

static int load_shards(struct error *err, const struct data_source *source,
                       const struct cell_data *data, struct corpus **corpus)
{
    int status = STATUS_OK;
    struct corpus *c = NULL;
    struct runs runs = {0};
    char hint[64];
    TRY(corpus_begin(err, source->files, &c));
    c->vocabulary = data->vocabulary;
    for (int i = 0; i < source->files; i++) {
        struct token_file file;
        TRY(token_file_examine(err, source->file[i], &file));
        TRY(map(err, source->file[i], file.width, (size_t)file.offset, (size_t)file.tokens,
                &c->piece[i]));
        c->pieces++;
        c->length += (size_t)file.tokens;
    }
    CHECK(err, c->length / BLOCK_LENGTH >= 2, STATUS_FAILED,
          "the token files have %zu tokens; at least two blocks of 65536 are needed, one to train "
          "on and one to hold out; name more files in data.shards",
          c->length);
    TRY(runs_of_blocks(err, c->length, data, &runs));
    TRY(corpus_finish(err, c, runs.run, runs.count, data, share(data, hint)));
    *corpus = c;
    c = NULL;
cleanup:
    free(runs.run);
    corpus_free(c);
    return status;
}

static int open_prepared(struct error *err, const char *folder, const struct manifest *m,
                         struct corpus *c)
{
    int status = STATUS_OK;
    char path[SPEC_PATH + MANIFEST_NAME];
    c->vocabulary = m->vocabulary;
    c->bytes = !m->sentencepiece;
    if (m->sentencepiece) {
        const size_t held = (size_t)manifest_tokens(m, true);
        snprintf(path, sizeof path, "%s/%s", folder, MANIFEST_MODEL);
        TRY(tokenizer_open(err, TOKENIZER_SENTENCEPIECE, path, &c->tokenizer));
        CHECK(err, tokenizer_vocabulary(c->tokenizer) == m->vocabulary, STATUS_FAILED,
              "%s: has %d pieces, and the manifest says %d; prepare the text again", path,
              tokenizer_vocabulary(c->tokenizer), m->vocabulary);
        snprintf(path, sizeof path, "%s/%s", folder, MANIFEST_LENGTHS);
        if (held > 0) {
            TRY(map(err, path, 4, 0, held, &c->length_piece));
            c->lengths = c->length_piece.tokens;
        }
    } else {
        TRY(tokenizer_open(err, TOKENIZER_BYTES, NULL, &c->tokenizer));
    }
    for (int i = 0; i < m->shards; i++) {
        char name[MANIFEST_NAME];
        manifest_shard_name(i, name);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        TRY(map(err, path, m->token_bytes, 0, (size_t)m->shard[i].tokens, &c->piece[i]));
        c->piece[i].path = NULL; /* all are of one folder, and were hashed when the run began */
        c->pieces++;
        c->length += (size_t)m->shard[i].tokens;
    }
cleanup:
    return status;
}

static int load_prepared(struct error *err, const struct data_source *source,
                         const struct cell_data *data, struct corpus **corpus)
{
    int status = STATUS_OK;
    struct corpus *c = NULL;
    struct manifest m = {0};
    struct runs runs = {0};
    char hash[CELL_ID];
    TRY(manifest_read(err, source->file[0], &m, hash));
    CHECK(err, data->fingerprint[0] == '\0' || strcmp(hash, data->fingerprint) == 0, STATUS_FAILED,
          "%s/" MANIFEST_FILE ": is not the one that the run began with (its hash is %s instead "
          "of %s)",
          source->file[0], hash, data->fingerprint);
    TRY(corpus_begin(err, m.shards, &c));
    TRY(open_prepared(err, source->file[0], &m, c));
    for (size_t i = 0; i < m.spans; i++) {
        TRY(runs_add(err, &runs, m.span[i].held_out, (size_t)m.span[i].tokens));
    }
    TRY(corpus_finish(err, c, runs.run, runs.count, data, "prepare more text, or hold out less"));
    *corpus = c;
    c = NULL;
cleanup:
    manifest_free(&m);
    free(runs.run);
    corpus_free(c);
    return status;
}

int corpus_load(struct error *err, const struct data_source *source, const struct cell_data *data,
                struct corpus **corpus)
{
    switch (data->kind) {
    case DATA_SHARDS:
        return load_shards(err, source, data, corpus);
    case DATA_PREPARED:
        return load_prepared(err, source, data, corpus);
    default:
        return load_text(err, source, data, corpus);
    }
}
