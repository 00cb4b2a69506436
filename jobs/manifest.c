#include "jobs/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/hash.h"

enum { MOST_SPANS = 1 << 23 };

static const char format_name[] = "ptqscale tokens 1";
static const json_int_t most_tokens = (json_int_t)1 << 40; /* so that no sum overflows */

void manifest_shard_name(int shard, char name[MANIFEST_NAME])
{
    snprintf(name, MANIFEST_NAME, "tokens-%05d.bin", shard);
}

void manifest_hash(const void *bytes, size_t length, char hash[CELL_ID])
{
    hash_hex(XXH3_128bits(bytes, length), hash);
}

uint64_t manifest_tokens(const struct manifest *manifest, bool held_out)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < manifest->spans; i++) {
        tokens += manifest->span[i].held_out == held_out ? manifest->span[i].tokens : 0;
    }
    return tokens;
}

uint64_t manifest_text(const struct manifest *manifest, bool held_out)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->spans; i++) {
        bytes += manifest->span[i].held_out == held_out ? manifest->span[i].bytes : 0;
    }
    return bytes;
}

void manifest_free(struct manifest *manifest)
{
    free(manifest->shard);
    free(manifest->span);
    *manifest = (struct manifest){0};
}

/* Writing ===================================================================================== */

static json_t *shards_json(const struct manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->shards; i++) {
        char name[MANIFEST_NAME];
        manifest_shard_name(i, name);
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:s}", "file", name, "tokens",
                                        (json_int_t)m->shard[i].tokens, "hash", m->shard[i].hash));
    }
    return list;
}

static json_t *spans_json(const struct manifest *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->spans; i++) {
        const struct manifest_span *span = &m->span[i];
        json_array_append_new(list, json_pack("[s, I, I]", span->held_out ? "held_out" : "train",
                                              (json_int_t)span->tokens, (json_int_t)span->bytes));
    }
    return list;
}

int manifest_format(struct error *err, const struct manifest *m, char **text)
{
    int status = STATUS_OK;
    json_t *root = json_pack(
        "{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:o, s:o}",
        "format", format_name, "tokenizer", m->sentencepiece ? "sentencepiece" : "bytes",
        "vocabulary", m->vocabulary, "token_bytes", m->token_bytes, "tokenizer_hash",
        m->tokenizer_hash, "held_out_lengths_hash", m->lengths_hash, "cleaning", m->cleaning,
        "held_out", m->held_out, "split_seed", (json_int_t)m->split_seed, "files",
        (json_int_t)m->files, "documents", (json_int_t)m->documents, "text_bytes",
        (json_int_t)m->text_bytes, "text_hash", m->text_hash, "train_tokens",
        (json_int_t)manifest_tokens(m, false), "held_out_tokens",
        (json_int_t)manifest_tokens(m, true), "shards", shards_json(m), "spans", spans_json(m));
    char *dumped = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    CHECK(err, dumped, STATUS_FAILED, "out of memory for the manifest");
    *text = dumped;
cleanup:
    json_decref(root);
    return status;
}

/* Reading ===================================================================================== */

/* A field of an object, of the type that is wanted. */
static int field(struct error *err, const char *path, const json_t *object, const char *name,
                 json_type type, json_t **value)
{
    int status = STATUS_OK;
    *value = json_object_get(object, name);
    CHECK(err, *value && json_typeof(*value) == type, STATUS_FAILED,
          "%s: %s is missing, or no %s; prepare the text again", path, name,
          type == JSON_INTEGER  ? "whole number"
          : type == JSON_STRING ? "text"
          : type == JSON_REAL   ? "number with a decimal point"
                                : "list");
cleanup:
    return status;
}

static int integer(struct error *err, const char *path, const json_t *value, const char *name,
                   json_int_t least, json_int_t most, json_int_t *out)
{
    int status = STATUS_OK;
    *out = json_integer_value(value);
    CHECK(err, json_is_integer(value) && *out >= least && *out <= most, STATUS_FAILED,
          "%s: %s is not a whole number from %lld to %lld; prepare the text again", path, name,
          (long long)least, (long long)most);
cleanup:
    return status;
}

static int integer_field(struct error *err, const char *path, const json_t *object,
                         const char *name, json_int_t least, json_int_t most, json_int_t *out)
{
    int status = STATUS_OK;
    json_t *value;
    TRY(field(err, path, object, name, JSON_INTEGER, &value));
    TRY(integer(err, path, value, name, least, most, out));
cleanup:
    return status;
}

static int text_field(struct error *err, const char *path, const json_t *object, const char *name,
                      char *out, size_t size)
{
    int status = STATUS_OK;
    json_t *value;
    TRY(field(err, path, object, name, JSON_STRING, &value));
    CHECK(err, json_string_length(value) < size, STATUS_FAILED,
          "%s: %s is too long; prepare the text again", path, name);
    snprintf(out, size, "%s", json_string_value(value));
cleanup:
    return status;
}

/* "" is one, where there is nothing to hash. */
static int hash_field(struct error *err, const char *path, const json_t *object, const char *name,
                      bool wanted, char out[CELL_ID])
{
    int status = STATUS_OK;
    TRY(text_field(err, path, object, name, out, CELL_ID));
    CHECK(err,
          strlen(out) == (wanted ? CELL_ID - 1 : 0) &&
              strspn(out, "0123456789abcdef") == strlen(out),
          STATUS_FAILED, "%s: %s is no hash of 32 hex digits; prepare the text again", path, name);
cleanup:
    return status;
}

static int read_shards(struct error *err, const char *path, const json_t *root, struct manifest *m)
{
    int status = STATUS_OK;
    json_t *list, *item;
    size_t i;
    TRY(field(err, path, root, "shards", JSON_ARRAY, &list));
    const size_t count = json_array_size(list);
    CHECK(err, count > 0 && count <= MANIFEST_SHARDS, STATUS_FAILED,
          "%s: %zu shards; at least one and at most %d are possible", path, count,
          (int)MANIFEST_SHARDS);
    m->shard = calloc(count, sizeof *m->shard);
    CHECK(err, m->shard, STATUS_FAILED, "%s: out of memory", path);
    json_array_foreach(list, i, item)
    {
        char name[MANIFEST_NAME], given[MANIFEST_NAME];
        json_int_t tokens;
        manifest_shard_name((int)i, name);
        TRY(text_field(err, path, item, "file", given, sizeof given));
        CHECK(err, strcmp(name, given) == 0, STATUS_FAILED,
              "%s: shard %zu is '%s' instead of '%s'; prepare the text again", path, i, given,
              name);
        TRY(integer_field(err, path, item, "tokens", 1, most_tokens, &tokens));
        TRY(hash_field(err, path, item, "hash", true, m->shard[i].hash));
        m->shard[i].tokens = (uint64_t)tokens;
        m->shards++;
    }
cleanup:
    return status;
}

static int read_spans(struct error *err, const char *path, const json_t *root, struct manifest *m)
{
    int status = STATUS_OK;
    json_t *list, *item;
    size_t i;
    TRY(field(err, path, root, "spans", JSON_ARRAY, &list));
    CHECK(err, json_array_size(list) <= MOST_SPANS, STATUS_FAILED, "%s: %zu spans are too many",
          path, json_array_size(list));
    m->span = calloc(json_array_size(list) + 1, sizeof *m->span);
    CHECK(err, m->span, STATUS_FAILED, "%s: out of memory", path);
    json_array_foreach(list, i, item)
    {
        struct manifest_span *span = &m->span[i];
        const char *part = json_string_value(json_array_get(item, 0));
        json_int_t tokens, bytes;
        CHECK(err, part && (strcmp(part, "train") == 0 || strcmp(part, "held_out") == 0),
              STATUS_FAILED, "%s: span %zu is neither train nor held_out; prepare the text again",
              path, i);
        TRY(integer(err, path, json_array_get(item, 1), "a span's tokens", 0, most_tokens,
                    &tokens));
        TRY(integer(err, path, json_array_get(item, 2), "a span's bytes", 0, most_tokens, &bytes));
        span->held_out = part[0] == 'h';
        span->tokens = (uint64_t)tokens;
        span->bytes = (uint64_t)bytes;
        CHECK(err, i == 0 || span->held_out != m->span[i - 1].held_out, STATUS_FAILED,
              "%s: spans %zu and %zu are of one part; prepare the text again", path, i - 1, i);
        m->spans++;
    }
cleanup:
    return status;
}

static int read_tokenizer(struct error *err, const char *path, const json_t *root,
                          struct manifest *m)
{
    int status = STATUS_OK;
    char name[32];
    json_int_t vocabulary, width;
    TRY(text_field(err, path, root, "tokenizer", name, sizeof name));
    m->sentencepiece = strcmp(name, "sentencepiece") == 0;
    CHECK(err, m->sentencepiece || strcmp(name, "bytes") == 0, STATUS_FAILED,
          "%s: the tokenizer '%s' is not known to this program", path, name);
    TRY(integer_field(err, path, root, "vocabulary", 2, CELL_VOCABULARY, &vocabulary));
    TRY(integer_field(err, path, root, "token_bytes", 1, 4, &width));
    CHECK(err,
          width != 3 && (m->sentencepiece ? width > 1 : width == 1 && vocabulary == 256) &&
              (width == 4 || vocabulary <= (json_int_t)1 << (8 * width)),
          STATUS_FAILED,
          "%s: %lld tokens of %lld bytes and the tokenizer '%s' do not go together; prepare the "
          "text again",
          path, (long long)vocabulary, (long long)width, name);
    m->vocabulary = (int)vocabulary;
    m->token_bytes = (int)width;
    TRY(hash_field(err, path, root, "tokenizer_hash", m->sentencepiece, m->tokenizer_hash));
    TRY(hash_field(err, path, root, "held_out_lengths_hash", m->sentencepiece, m->lengths_hash));
cleanup:
    return status;
}

static int read_all(struct error *err, const char *path, const json_t *root, struct manifest *m)
{
    int status = STATUS_OK;
    char name[64];
    json_t *fraction;
    json_int_t seed, files, documents, bytes, train, held_out;
    TRY(text_field(err, path, root, "format", name, sizeof name));
    CHECK(err, strcmp(name, format_name) == 0, STATUS_FAILED,
          "%s: the format is '%s', and this program reads '%s'; prepare the text with this version",
          path, name, format_name);
    TRY(read_tokenizer(err, path, root, m));
    TRY(text_field(err, path, root, "cleaning", m->cleaning, sizeof m->cleaning));
    TRY(field(err, path, root, "held_out", JSON_REAL, &fraction));
    m->held_out = json_real_value(fraction);
    TRY(integer_field(err, path, root, "split_seed", 0, INT64_MAX, &seed));
    TRY(integer_field(err, path, root, "files", 1, most_tokens, &files));
    TRY(integer_field(err, path, root, "documents", 1, most_tokens, &documents));
    TRY(integer_field(err, path, root, "text_bytes", 1, most_tokens, &bytes));
    TRY(hash_field(err, path, root, "text_hash", true, m->text_hash));
    TRY(integer_field(err, path, root, "train_tokens", 0, most_tokens, &train));
    TRY(integer_field(err, path, root, "held_out_tokens", 0, most_tokens, &held_out));
    m->split_seed = (uint64_t)seed;
    m->files = (uint64_t)files;
    m->documents = (uint64_t)documents;
    m->text_bytes = (uint64_t)bytes;
    TRY(read_shards(err, path, root, m));
    TRY(read_spans(err, path, root, m));
    uint64_t in_shards = 0;
    for (int i = 0; i < m->shards; i++) {
        in_shards += m->shard[i].tokens;
    }
    CHECK(err,
          manifest_tokens(m, false) == (uint64_t)train &&
              manifest_tokens(m, true) == (uint64_t)held_out &&
              (uint64_t)train + (uint64_t)held_out == in_shards,
          STATUS_FAILED,
          "%s: shards, spans and totals count different numbers of tokens; prepare the text again",
          path);
cleanup:
    return status;
}

int manifest_parse(struct error *err, const char *path, const char *text, size_t length,
                   struct manifest *manifest)
{
    int status = STATUS_OK;
    json_error_t why;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    *manifest = (struct manifest){0};
    CHECK(err, root, STATUS_FAILED, "%s:%d: %s; prepare the text again", path, why.line, why.text);
    CHECK(err, json_is_object(root), STATUS_FAILED, "%s: is no manifest; prepare the text again",
          path);
    TRY(read_all(err, path, root, manifest));
cleanup:
    json_decref(root);
    if (status != STATUS_OK) {
        manifest_free(manifest);
    }
    return status;
}

/* Files ======================================================================================= */

/* The bytes of a file; length 0: *bytes is NULL. To be given to munmap. */
static int map(struct error *err, const char *path, const char *hint, void **bytes, size_t *length)
{
    int status = STATUS_OK;
    struct stat about;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    *bytes = NULL;
    *length = 0;
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: %s; %s", path, strerror(errno), hint);
    CHECK(err, fstat(fd, &about) == 0 && S_ISREG(about.st_mode), STATUS_FAILED,
          "%s: is no file; %s", path, hint);
    if (about.st_size > 0) {
        void *mapped = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        CHECK(err, mapped != MAP_FAILED, STATUS_FAILED, "%s: %s", path, strerror(errno));
        *bytes = mapped;
        *length = (size_t)about.st_size;
    }
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static int join(struct error *err, const char *folder, const char *name, char path[4096])
{
    int status = STATUS_OK;
    CHECK(err, snprintf(path, 4096, "%s/%s", folder, name) < 4096, STATUS_FAILED,
          "%s: the path is too long", folder);
cleanup:
    return status;
}

int manifest_read(struct error *err, const char *folder, struct manifest *manifest,
                  char hash[CELL_ID])
{
    int status = STATUS_OK;
    char path[4096];
    void *bytes = NULL;
    size_t length = 0;
    *manifest = (struct manifest){0};
    TRY(join(err, folder, MANIFEST_FILE, path));
    TRY(map(err, path, "data.prepared is a folder that ptqscale prepare has made", &bytes,
            &length));
    TRY(manifest_parse(err, path, length > 0 ? bytes : "", length, manifest));
    if (hash) {
        manifest_hash(bytes, length, hash);
    }
cleanup:
    if (bytes) {
        munmap(bytes, length);
    }
    return status;
}

static int verify(struct error *err, const char *folder, const char *name, const char *hash,
                  uint64_t size)
{
    int status = STATUS_OK;
    char path[4096], found[CELL_ID];
    void *bytes = NULL;
    size_t length = 0;
    TRY(join(err, folder, name, path));
    TRY(map(err, path, "the manifest beside it names it; prepare the text again", &bytes, &length));
    CHECK(err, size == UINT64_MAX || length == size, STATUS_FAILED,
          "%s: has %zu bytes, and the manifest says %llu; it was cut off or changed: prepare the "
          "text again",
          path, length, (unsigned long long)size);
    manifest_hash(bytes, length, found);
    CHECK(err, strcmp(found, hash) == 0, STATUS_FAILED,
          "%s: was changed since it was made, or is of another folder (hash %s, and the manifest "
          "says %s); prepare the text again",
          path, found, hash);
cleanup:
    if (bytes) {
        munmap(bytes, length);
    }
    return status;
}

int manifest_verify(struct error *err, const char *folder, const struct manifest *m)
{
    int status = STATUS_OK;
    if (m->sentencepiece) {
        TRY(verify(err, folder, MANIFEST_MODEL, m->tokenizer_hash, UINT64_MAX));
        TRY(verify(err, folder, MANIFEST_LENGTHS, m->lengths_hash, 4 * manifest_tokens(m, true)));
    }
    for (int i = 0; i < m->shards; i++) {
        char name[MANIFEST_NAME];
        manifest_shard_name(i, name);
        TRY(verify(err, folder, name, m->shard[i].hash,
                   m->shard[i].tokens * (unsigned)m->token_bytes));
    }
cleanup:
    return status;
}
