/* The section data of a study file. */
#include <stdio.h>
#include <string.h>

#include "jobs/spec_read.h"

int spec_read_path(struct error *err, const struct yaml_field *field, const struct spec *spec,
                   bool folder_wanted, char out[SPEC_PATH])
{
    int status = STATUS_OK;
    char path[SPEC_PATH];
    TRY(yaml_field_string(err, field, path, sizeof path));
    const char *slash = strrchr(spec->path, '/');
    int folder = slash && path[0] != '/' ? (int)(slash - spec->path) + 1 : 0;
    FIELD_CHECK(err, folder + strlen(path) < SPEC_PATH, field,
                "%s is too long a path; at most %d bytes", field->text, SPEC_PATH - 1);
    memcpy(out, spec->path, (size_t)folder);
    strcpy(out + folder, path);
    FIELD_CHECK(err, folder_wanted || path[strlen(path) - 1] != '/', field,
                "%s is a folder; list the files themselves", field->text);
cleanup:
    return status;
}

const char *spec_path_written(const struct spec *spec, const char *path)
{
    const char *slash = strrchr(spec->path, '/');
    const size_t folder = slash ? (size_t)(slash - spec->path) + 1 : 0;
    return path + (strncmp(path, spec->path, folder) == 0 ? folder : 0);
}

static int read_fingerprint(struct error *err, const struct yaml_field *data, char out[CELL_ID])
{
    int status = STATUS_OK;
    struct yaml_field field;
    char text[CELL_ID + 1];
    if (!yaml_field_get(data, "fingerprint", &field)) {
        return STATUS_OK;
    }
    TRY(yaml_field_string(err, &field, text, sizeof text));
    FIELD_CHECK(err, strlen(text) == CELL_ID - 1 && strspn(text, "0123456789abcdef") == CELL_ID - 1,
                &field, "%s is not 32 hex digits; copy the fingerprint that `ptqscale plan` prints",
                field.text);
    memcpy(out, text, CELL_ID);
cleanup:
    return status;
}

static int read_paths(struct error *err, const struct yaml_field *list, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field item;
    TRY(yaml_field_list(err, list, SPEC_FILES, &spec->source.files));
    for (int i = 0; i < spec->source.files; i++) {
        yaml_field_item(list, i, &item);
        TRY(spec_read_path(err, &item, spec, false, spec->source.file[i]));
        for (int j = 0; j < i; j++) {
            FIELD_CHECK(err, strcmp(spec->source.file[i], spec->source.file[j]) != 0, &item,
                        "file %s was given already; keep one of the two", item.text);
        }
    }
cleanup:
    return status;
}

/* Fail if `key` is there, which means nothing for this kind of data. */
static int refuse(struct error *err, const struct yaml_field *data, const char *key,
                  const char *why)
{
    int status = STATUS_OK;
    struct yaml_field field;
    FIELD_CHECK(err, !yaml_field_get(data, key, &field), &field, "%s; take it out", why);
cleanup:
    return status;
}

/* Text files, and what makes tokens of them. */
static int read_text(struct error *err, const struct yaml_field *data,
                     const struct yaml_field *files, struct spec *spec)
{
    static const char *const CLEANINGS[] = {"none", "gcide", NULL};
    static const char *const TOKENIZERS[] = {"bytes", "sentencepiece", NULL};
    int status = STATUS_OK, cleaning = 0, tokenizer = 0;
    struct yaml_field field;
    TRY(read_paths(err, files, spec));
    if (yaml_field_get(data, "cleaning", &field)) {
        TRY(yaml_field_choice(err, &field, CLEANINGS, &cleaning));
    }
    snprintf(spec->data.cleaning, sizeof spec->data.cleaning, "%s", CLEANINGS[cleaning]);
    if (yaml_field_get(data, "tokenizer", &field)) {
        TRY(yaml_field_choice(err, &field, TOKENIZERS, &tokenizer));
    }
    spec->data.kind = tokenizer ? DATA_SENTENCEPIECE : DATA_BYTES;
    if (tokenizer) {
        TRY(yaml_field_need(err, data, "tokenizer_model",
                            "name the SentencePiece model (spm_train and ptqscale prepare make "
                            "one), or say tokenizer: bytes",
                            &field));
        TRY(spec_read_path(err, &field, spec, false, spec->source.tokenizer));
    } else {
        TRY(refuse(err, data, "tokenizer_model", "it goes with tokenizer: sentencepiece"));
        spec->data.vocabulary = 256;
    }
cleanup:
    return status;
}

static int read_vocabulary(struct error *err, const struct yaml_field *data, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t vocabulary = 0;
    if (spec->data.kind == DATA_SHARDS) {
        TRY(yaml_field_need(err, data, "vocabulary",
                            "say how many tokens there are, e.g. 50257 for GPT-2's", &field));
    } else if (!yaml_field_get(data, "vocabulary", &field)) {
        goto cleanup;
    }
    TRY(yaml_field_integer(err, &field, 2, CELL_VOCABULARY, &vocabulary));
    FIELD_CHECK(err, spec->data.kind != DATA_BYTES || vocabulary == 256, &field,
                "%s: there are 256 bytes; take it out", field.text);
    spec->data.vocabulary = (int)vocabulary;
cleanup:
    return status;
}

static int read_source(struct error *err, const struct yaml_field *data, struct spec *spec)
{
    static const char *const SOURCES[] = {"files", "shards", "prepared"};
    static const char TEXT[] = "token files hold no text";
    int status = STATUS_OK, given = 0, which = 0;
    struct yaml_field field, source;
    for (int i = 0; i < 3; i++) {
        if (yaml_field_get(data, SOURCES[i], &field)) {
            FIELD_CHECK(err, given++ == 0, &field, "%s is given too; keep one of the two",
                        SOURCES[which]);
            source = field;
            which = i;
        }
    }
    if (given == 0) {
        TRY(yaml_field_need(err, data, "files",
                            "name the text files to train on (or token files as shards, or a "
                            "folder that ptqscale prepare has made as prepared)",
                            &source));
    }
    if (which == 0) {
        TRY(read_text(err, data, &source, spec));
        goto cleanup;
    }
    TRY(refuse(err, data, "cleaning", TEXT));
    TRY(refuse(err, data, "tokenizer", TEXT));
    TRY(refuse(err, data, "tokenizer_model", TEXT));
    strcpy(spec->data.cleaning, "none");
    if (which == 1) {
        spec->data.kind = DATA_SHARDS;
        TRY(read_paths(err, &source, spec));
        goto cleanup;
    }
    spec->data.kind = DATA_PREPARED;
    TRY(spec_read_path(err, &source, spec, true, spec->source.file[0]));
    spec->source.files = 1;
cleanup:
    return status;
}

static int read_split(struct error *err, const struct yaml_field *data, struct spec *spec)
{
    static const struct yaml_range HELD_OUT = {0, 0.5, true, false};
    static const char SPLIT[] = "prepared text has been split; ptqscale prepare takes it";
    int status = STATUS_OK;
    struct yaml_field field;
    int64_t seed = 1;
    if (spec->data.kind == DATA_PREPARED) {
        TRY(refuse(err, data, "held_out", SPLIT));
        TRY(refuse(err, data, "split_seed", SPLIT));
        goto cleanup;
    }
    spec->data.held_out = 0.05;
    if (yaml_field_get(data, "held_out", &field)) {
        TRY(yaml_field_number(err, &field, &HELD_OUT, &spec->data.held_out));
    }
    if (yaml_field_get(data, "split_seed", &field)) {
        TRY(yaml_field_integer(err, &field, 0, INT64_MAX, &seed));
    }
    spec->data.split_seed = (uint64_t)seed;
cleanup:
    return status;
}

int spec_read_data(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    static const char *const KEYS[] = {"files",      "cleaning",    "tokenizer", "tokenizer_model",
                                       "shards",     "vocabulary",  "prepared",  "held_out",
                                       "split_seed", "fingerprint", NULL};
    int status = STATUS_OK;
    struct yaml_field data;
    TRY(yaml_field_need(err, root, "data", "give the text to train on as data: {files: [...]}",
                        &data));
    TRY(yaml_field_keys(err, &data, KEYS));
    TRY(read_source(err, &data, spec));
    TRY(read_vocabulary(err, &data, spec));
    TRY(read_split(err, &data, spec));
    TRY(read_fingerprint(err, &data, spec->data.fingerprint));
    spec->model.vocabulary = spec->data.vocabulary;

    /* A held-out window is context + 1 tokens (the last one is only predicted), and so is the gap. */
    for (int i = 0; i < spec->sizes; i++) {
        if (spec->data.guard < spec->size[i].context + 1) {
            spec->data.guard = spec->size[i].context + 1;
        }
    }
cleanup:
    return status;
}
