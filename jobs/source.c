/* Identity of the study's text or tokens. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/hash.h"
#include "jobs/manifest.h"
#include "jobs/spec.h"
#include "jobs/token_file.h"

enum { CHUNK = 1 << 18 };

static const char text_hint[] =
    "the study's data.files names it. ./jobs/fetch-corpus.sh fetches the dictionary "
    "text; any text file of yours (plain or .gz) will do as well";

/* Sees the bytes of a file as they are read. */
typedef int see_fn(struct error *err, void *context, const char *path, const void *bytes,
                   size_t length);

/* Feed the bytes of `path`, then their number as 8 bytes, so that where one file ends is part of the hash. */
static int hash_file(struct error *err, const char *path, const char *hint, char *buffer,
                     XXH3_state_t *state, see_fn *see, void *context)
{
    int status = STATUS_OK;
    struct stat info;
    uint64_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, file >= 0, STATUS_FAILED, "%s: %s; %s", path, strerror(errno), hint);
    CHECK(err, fstat(file, &info) == 0 && !S_ISDIR(info.st_mode), STATUS_FAILED,
          "%s: is a folder; list the files themselves in the study's data section", path);
    for (;;) {
        size_t got = 0;
        while (got < CHUNK) { /* whole chunks, so that no token is cut */
            const ssize_t more = read(file, buffer + got, CHUNK - got);
            CHECK(err, more >= 0 || errno == EINTR, STATUS_FAILED,
                  "%s: cannot read: %s; check the file and its disk", path, strerror(errno));
            if (more == 0) {
                break;
            }
            got += more > 0 ? (size_t)more : 0;
        }
        if (got == 0) {
            break;
        }
        XXH3_128bits_update(state, buffer, got);
        length += got;
        if (see) {
            TRY(see(err, context, path, buffer, got));
        }
    }
    CHECK(err, length > 0, STATUS_FAILED, "%s: the file is empty; fetch it again", path);
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) { /* little-endian on every machine */
        bytes[i] = (unsigned char)(length >> (8 * i));
    }
    XXH3_128bits_update(state, bytes, sizeof bytes);
cleanup:
    if (file >= 0) {
        close(file);
    }
    return status;
}

/* Token files ================================================================================= */

struct seen {
    struct token_file file;
    uint64_t at; /* bytes that have been seen */
    int vocabulary;
};

static int see_tokens(struct error *err, void *context, const char *path, const void *bytes,
                      size_t length)
{
    int status = STATUS_OK;
    struct seen *seen = context;
    const size_t skip = seen->at == 0 ? (size_t)seen->file.offset : 0; /* of the first chunk */
    const size_t width = (size_t)seen->file.width;
    const size_t count = length > skip ? (length - skip) / width : 0;
    const char *tokens = (const char *)bytes + skip;
    const size_t bad = token_file_check(tokens, (int)width, count, (uint32_t)seen->vocabulary);
    if (bad < count) {
        uint32_t token = 0;
        memcpy(&token, tokens + bad * width, width);
        TRY(token_file_refuse(err, path, &seen->file,
                              (seen->at + skip - seen->file.offset) / width + bad, token,
                              seen->vocabulary));
    }
    seen->at += length;
cleanup:
    return status;
}

static int hash_shards(struct error *err, const struct spec *spec, char *buffer,
                       XXH3_state_t *state)
{
    int status = STATUS_OK;
    for (int i = 0; i < spec->source.files; i++) {
        struct seen seen = {.vocabulary = spec->data.vocabulary};
        TRY(token_file_examine(err, spec->source.file[i], &seen.file));
        TRY(hash_file(err, spec->source.file[i], "the study's data.shards names it", buffer, state,
                      see_tokens, &seen));
    }
cleanup:
    return status;
}

/* The SentencePiece model ===================================================================== */

struct model {
    char *bytes;
    size_t length;
};

static int see_model(struct error *err, void *context, const char *path, const void *bytes,
                     size_t length)
{
    int status = STATUS_OK;
    struct model *model = context;
    char *grown = realloc(model->bytes, model->length + length);
    CHECK(err, grown, STATUS_FAILED, "%s: out of memory", path);
    memcpy(grown + model->length, bytes, length);
    model->bytes = grown;
    model->length += length;
cleanup:
    return status;
}

/* A number of a protobuf message; false when it is cut off. */
static bool varint(const struct model *m, size_t *at, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && *at < m->length; shift += 7) {
        const unsigned char byte = (unsigned char)m->bytes[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* How many pieces a model has: it is a protobuf message whose field 1 is repeated, one for each. −1 if it is none. */
static int count_pieces(const struct model *m)
{
    int pieces = 0;
    for (size_t at = 0; at < m->length;) {
        uint64_t tag, length = 0;
        if (!varint(m, &at, &tag)) {
            return -1;
        }
        const int type = (int)(tag & 7);
        if (type == 0 || type == 2 ? !varint(m, &at, &length) : type != 1 && type != 5) {
            return -1;
        }
        const uint64_t skip = type == 2 ? length : type == 1 ? 8 : type == 5 ? 4 : 0;
        if (skip > m->length - at || pieces == CELL_VOCABULARY) {
            return -1;
        }
        at += skip;
        pieces += tag == (1 << 3 | 2);
    }
    return pieces;
}

static int hash_text(struct error *err, const struct spec *spec, char *buffer, XXH3_state_t *state,
                     int *vocabulary)
{
    int status = STATUS_OK;
    struct model model = {0};
    for (int i = 0; i < spec->source.files; i++) {
        TRY(hash_file(err, spec->source.file[i], text_hint, buffer, state, NULL, NULL));
    }
    if (spec->data.kind == DATA_SENTENCEPIECE) {
        TRY(hash_file(err, spec->source.tokenizer, "the study's data.tokenizer_model names it",
                      buffer, state, see_model, &model));
        *vocabulary = count_pieces(&model);
        CHECK(err, *vocabulary > 1, STATUS_FAILED,
              "%s: is no SentencePiece model; spm_train and ptqscale prepare make one",
              spec->source.tokenizer);
    }
cleanup:
    free(model.bytes);
    return status;
}

/* ============================================================================================= */

static int hash_prepared(struct error *err, const struct spec *spec, int *vocabulary,
                         char found[CELL_ID])
{
    int status = STATUS_OK;
    struct manifest manifest = {0};
    TRY(manifest_read(err, spec->source.file[0], &manifest, found));
    TRY(manifest_verify(err, spec->source.file[0], &manifest));
    *vocabulary = manifest.vocabulary;
cleanup:
    manifest_free(&manifest);
    return status;
}

int spec_fingerprint(struct error *err, struct spec *spec)
{
    int status = STATUS_OK;
    char *buffer = malloc(CHUNK), found[CELL_ID];
    XXH3_state_t *state = XXH3_createState();
    int vocabulary = spec->data.vocabulary;
    CHECK(err, buffer && state, STATUS_FAILED, "%s: out of memory", spec->path);
    XXH3_128bits_reset(state);
    if (spec->data.kind == DATA_PREPARED) {
        TRY(hash_prepared(err, spec, &vocabulary, found));
    } else {
        TRY(spec->data.kind == DATA_SHARDS ? hash_shards(err, spec, buffer, state)
                                           : hash_text(err, spec, buffer, state, &vocabulary));
        hash_hex(XXH3_128bits_digest(state), found);
    }
    CHECK(err, spec->data.fingerprint[0] == '\0' || strcmp(spec->data.fingerprint, found) == 0,
          STATUS_FAILED,
          "%s: data.fingerprint: the study is pinned to the text %s, but %s%s has %s; get the same "
          "text, or take the line out to run on this one",
          spec->path, spec->data.fingerprint, spec->source.file[0],
          spec->source.files > 1 ? " …" : "", found);
    CHECK(err, spec->data.vocabulary == 0 || spec->data.vocabulary == vocabulary, STATUS_FAILED,
          "%s: data.vocabulary: the study says %d tokens, but the tokenizer of %s has %d; take the "
          "line out, or get the tokenizer that is meant",
          spec->path, spec->data.vocabulary, spec->source.file[0], vocabulary);
    memcpy(spec->data.fingerprint, found, sizeof found);
    spec->data.vocabulary = spec->model.vocabulary = vocabulary;
cleanup:
    XXH3_freeState(state);
    free(buffer);
    return status;
}

/* Sizes ======================================================================================= */

/* Uncompressed bytes of a gzip file's (last) member as its trailer has them, else the file's own length. */
static double text_bytes(const char *path)
{
    unsigned char magic[2], size[4];
    struct stat info;
    double bytes = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode)) {
        bytes = (double)info.st_size;
        if (info.st_size >= 18 && pread(file, magic, 2, 0) == 2 && magic[0] == 0x1f &&
            magic[1] == 0x8b && pread(file, size, 4, info.st_size - 4) == 4) {
            bytes = size[0] + 256.0 * size[1] + 65536.0 * size[2] + 16777216.0 * size[3];
        }
    }
    if (file >= 0) {
        close(file);
    }
    return bytes;
}

/* The shards are numbered without a gap. */
static double prepared_bytes(const char *folder)
{
    double bytes = 0;
    for (int i = 0; i < MANIFEST_SHARDS; i++) {
        char name[MANIFEST_NAME], path[SPEC_PATH + MANIFEST_NAME + 1];
        struct stat info;
        manifest_shard_name(i, name);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (stat(path, &info) != 0) {
            break;
        }
        bytes += (double)info.st_size;
    }
    return bytes;
}

double source_disk_bytes(const struct data_source *source, enum data_kind kind)
{
    double bytes = kind == DATA_PREPARED ? prepared_bytes(source->file[0]) : 0;
    for (int i = 0; kind != DATA_PREPARED && i < source->files; i++) {
        struct stat info;
        bytes += stat(source->file[i], &info) == 0 ? (double)info.st_size : 0;
    }
    return bytes;
}

double spec_text_bytes(const struct spec *spec)
{
    double bytes = 0;
    if (spec->data.kind == DATA_SHARDS || spec->data.kind == DATA_PREPARED) {
        return 0; /* mapped: the kernel keeps of it what there is room for, once per node */
    }
    for (int i = 0; i < spec->source.files; i++) {
        bytes += text_bytes(spec->source.file[i]);
    }
    /* While text is encoded its tokens are there too, of 2 bytes or of 4; few stand for less than 2 bytes of it. */
    return spec->data.kind == DATA_SENTENCEPIECE ? 2 * bytes : bytes;
}

const char *source_path(const struct data_source *source, int index)
{
    if (index < source->files) {
        return source->file[index];
    }
    index -= source->files;
    if (source->tokenizer[0] && index-- == 0) {
        return source->tokenizer;
    }
    for (int i = 0; i < source->tasks; i++) {
        const struct task_source *task = &source->task[i];
        if (task->path[0] && index-- == 0) {
            return task->path;
        }
        if (task->labels[0] && index-- == 0) {
            return task->labels;
        }
    }
    return NULL;
}
