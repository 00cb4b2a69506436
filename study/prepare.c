#include "study/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/hash.h"
#include "study/blocks.h"
#include "study/cutter.h"
#include "study/encoders.h"

/* Survey ====================================================================================== */

void prepare_survey_free(struct survey *survey)
{
    free(survey->held_out);
    *survey = (struct survey){0};
}

/* Lengths of all pieces, in the order of the text. */
static int measure_pieces(struct error *err, const struct prepare_options *options,
                          struct survey *s, uint32_t **lengths)
{
    int status = STATUS_OK;
    struct cutter *cutter = NULL;
    size_t capacity = 0;
    XXH3_state_t *state = XXH3_createState();
    CHECK(err, state, STATUS_FAILED, "out of memory");
    XXH3_128bits_reset(state);
    TRY(cutter_open(err, &options->text, &cutter));
    for (;;) {
        const uint8_t *text;
        size_t length;
        TRY(cutter_next(err, cutter, &text, &length));
        if (length == 0) {
            break;
        }
        if (s->pieces == capacity) {
            capacity = 2 * capacity + 1024;
            uint32_t *grown = realloc(*lengths, capacity * sizeof *grown);
            CHECK(err, grown, STATUS_FAILED, "out of memory");
            *lengths = grown;
        }
        XXH3_128bits_update(state, text, length);
        (*lengths)[s->pieces++] = (uint32_t)length;
        s->bytes += length;
    }
    s->documents = cutter_documents(cutter);
    hash_hex(XXH3_128bits_digest(state), s->hash);
cleanup:
    cutter_close(cutter);
    XXH3_freeState(state);
    return status;
}

int prepare_survey(struct error *err, const struct prepare_options *options, struct survey *survey)
{
    int status = STATUS_OK;
    uint32_t *lengths = NULL;
    *survey = (struct survey){0};
    TRY(measure_pieces(err, options, survey, &lengths));
    survey->blocks = survey->pieces;
    if (survey->pieces > 0 && lengths[survey->pieces - 1] < BLOCK_LENGTH) {
        survey->blocks--;
    }
    CHECK(err, survey->blocks >= 2, STATUS_FAILED,
          "the text has %llu bytes; at least two blocks of 64 KiB are needed, one to train on and "
          "one to hold out; name more files",
          (unsigned long long)survey->bytes);
    survey->held_out = calloc(survey->pieces, sizeof *survey->held_out);
    CHECK(err, survey->held_out, STATUS_FAILED, "out of memory");
    TRY(blocks_choose(err, survey->blocks, options->held_out, options->split_seed,
                      survey->held_out));
    for (size_t i = 0; i < survey->pieces; i++) {
        survey->train_bytes += survey->held_out[i] ? 0 : lengths[i];
    }
cleanup:
    free(lengths);
    if (status != STATUS_OK) {
        prepare_survey_free(survey);
    }
    return status;
}

/* Writing ===================================================================================== */

struct writer {
    const struct prepare_options *options;
    const struct prepare_sink *sink;
    struct manifest *manifest;
    XXH3_state_t *shard, *lengths; /* hashes under way */
    size_t spans, shards;          /* room for them in the manifest */
};

static void end_shard(struct writer *w)
{
    struct manifest *m = w->manifest;
    if (m->shards > 0) {
        hash_hex(XXH3_128bits_digest(w->shard), m->shard[m->shards - 1].hash);
    }
    XXH3_128bits_reset(w->shard);
}

static int write_tokens(struct error *err, struct writer *w, const struct encoded_block *block)
{
    int status = STATUS_OK;
    char name[MANIFEST_NAME];
    struct manifest *m = w->manifest;
    const size_t length = block->count * (size_t)m->token_bytes;
    if (m->shards == 0 || m->shard[m->shards - 1].tokens >= w->options->shard_tokens) {
        end_shard(w);
        CHECK(err, m->shards < MANIFEST_SHARDS, STATUS_FAILED,
              "more than %d shards; make them larger", (int)MANIFEST_SHARDS);
        if ((size_t)m->shards == w->shards) {
            w->shards = 2 * w->shards + 16;
            struct manifest_shard *grown = realloc(m->shard, w->shards * sizeof *grown);
            CHECK(err, grown, STATUS_FAILED, "out of memory");
            m->shard = grown;
        }
        m->shard[m->shards++] = (struct manifest_shard){.tokens = 0};
    }
    manifest_shard_name(m->shards - 1, name);
    TRY(w->sink->write(err, w->sink->context, name, block->tokens, length));
    XXH3_128bits_update(w->shard, block->tokens, length);
    m->shard[m->shards - 1].tokens += block->count;
cleanup:
    return status;
}

static int write_block(struct error *err, struct writer *w, const struct encoded_block *block,
                       bool held_out)
{
    int status = STATUS_OK;
    struct manifest *m = w->manifest;
    if (m->spans == 0 || m->span[m->spans - 1].held_out != held_out) {
        if (m->spans == w->spans) {
            w->spans = 2 * w->spans + 64;
            struct manifest_span *grown = realloc(m->span, w->spans * sizeof *grown);
            CHECK(err, grown, STATUS_FAILED, "out of memory");
            m->span = grown;
        }
        m->span[m->spans++] = (struct manifest_span){.held_out = held_out};
    }
    m->span[m->spans - 1].tokens += block->count;
    m->span[m->spans - 1].bytes += block->bytes;
    if (block->count > 0) {
        TRY(write_tokens(err, w, block));
    }
    if (block->lengths) {
        const size_t length = block->count * sizeof *block->lengths;
        TRY(w->sink->write(err, w->sink->context, MANIFEST_LENGTHS, block->lengths, length));
        XXH3_128bits_update(w->lengths, block->lengths, length);
    }
cleanup:
    return status;
}

/* Take encoded blocks until there is room for one more; `all`: until there is none left. */
static int drain(struct error *err, struct writer *w, const struct survey *survey,
                 struct encoders *encoders, bool all, size_t *written)
{
    int status = STATUS_OK;
    const struct encoded_block *block;
    while (all || !encoders_have_room(encoders)) {
        TRY(encoders_take(err, encoders, &block));
        if (block == NULL) {
            break;
        }
        TRY(write_block(err, w, block, survey->held_out[*written]));
        (*written)++;
    }
cleanup:
    return status;
}

static int encode_all(struct error *err, struct writer *w, const struct survey *survey,
                      const struct tokenizer *tokenizer)
{
    int status = STATUS_OK;
    const bool bytes = tokenizer_is_bytes(tokenizer);
    struct cutter *cutter = NULL;
    struct encoders *encoders = NULL;
    XXH3_state_t *state = XXH3_createState();
    size_t pieces = 0, written = 0;
    char hash[CELL_ID];
    CHECK(err, state, STATUS_FAILED, "out of memory");
    XXH3_128bits_reset(state);
    TRY(cutter_open(err, &w->options->text, &cutter));
    if (!bytes) {
        TRY(encoders_create(err, tokenizer, w->manifest->token_bytes, w->options->jobs, &encoders));
    }
    for (;; pieces++) {
        const uint8_t *text;
        size_t length;
        CHECK(err, !w->sink->cancelled(w->sink->context), STATUS_STOPPED, "interrupted");
        TRY(cutter_next(err, cutter, &text, &length));
        if (length == 0) {
            break;
        }
        CHECK(err, pieces < survey->pieces, STATUS_FAILED, "the text grows while it is read");
        const bool held_out = survey->held_out[pieces];
        XXH3_128bits_update(state, text, length);
        if (bytes) {
            const struct encoded_block block = {.bytes = length, .count = length, .tokens = text};
            TRY(write_block(err, w, &block, held_out));
            continue;
        }
        TRY(drain(err, w, survey, encoders, false, &written));
        TRY(encoders_give(err, encoders, text, length, held_out));
    }
    if (!bytes) {
        TRY(drain(err, w, survey, encoders, true, &written));
    }
    hash_hex(XXH3_128bits_digest(state), hash);
    CHECK(err, strcmp(hash, survey->hash) == 0, STATUS_FAILED,
          "the text has changed while it was read; give the command again");
cleanup:
    encoders_free(encoders);
    cutter_close(cutter);
    XXH3_freeState(state);
    return status;
}

static int finish(struct error *err, struct writer *w, const char *model, size_t length)
{
    int status = STATUS_OK;
    struct manifest *m = w->manifest;
    char *text = NULL;
    end_shard(w);
    CHECK(err, manifest_tokens(m, true) > 0 && manifest_tokens(m, false) > 0, STATUS_FAILED,
          "the tokenizer makes no tokens of this text; check that it fits the language");
    if (length > 0) {
        hash_hex(XXH3_128bits_digest(w->lengths), m->lengths_hash);
        manifest_hash(model, length, m->tokenizer_hash);
        TRY(w->sink->write(err, w->sink->context, MANIFEST_MODEL, model, length));
    }
    TRY(manifest_format(err, m, &text));
    TRY(w->sink->write(err, w->sink->context, MANIFEST_FILE, text, strlen(text)));
cleanup:
    free(text);
    return status;
}

int prepare_tokens(struct error *err, const struct prepare_options *options,
                   const struct survey *survey, const struct tokenizer *tokenizer,
                   const char *model, size_t length, const struct prepare_sink *sink,
                   struct manifest *manifest)
{
    int status = STATUS_OK;
    struct writer writer = {.options = options,
                            .sink = sink,
                            .manifest = manifest,
                            .shard = XXH3_createState(),
                            .lengths = XXH3_createState()};
    *manifest = (struct manifest){.sentencepiece = !tokenizer_is_bytes(tokenizer),
                                  .vocabulary = tokenizer_vocabulary(tokenizer),
                                  .token_bytes = encode_width(tokenizer),
                                  .held_out = options->held_out,
                                  .split_seed = options->split_seed,
                                  .files = (uint64_t)options->text.files,
                                  .documents = survey->documents,
                                  .text_bytes = survey->bytes};
    snprintf(manifest->cleaning, sizeof manifest->cleaning, "%s",
             options->text.clean_gcide ? "gcide" : "none");
    memcpy(manifest->text_hash, survey->hash, sizeof manifest->text_hash);
    CHECK(err, writer.shard && writer.lengths, STATUS_FAILED, "out of memory");
    XXH3_128bits_reset(writer.shard);
    XXH3_128bits_reset(writer.lengths);
    TRY(encode_all(err, &writer, survey, tokenizer));
    TRY(finish(err, &writer, model, length));
cleanup:
    XXH3_freeState(writer.shard);
    XXH3_freeState(writer.lengths);
    if (status != STATUS_OK) {
        manifest_free(manifest);
    }
    return status;
}
