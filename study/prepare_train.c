/* A SentencePiece model for the text that is prepared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/cutter.h"
#include "study/prepare.h"
#include "study/sentencepiece.h"

/* No byte of the text may be lost: nothing is normalized away, and what is in no piece becomes bytes. The number of threads is part
 * of the result, so it is not the user's. */
const char *const prepare_train_options[] = {
    "byte_fallback",
    "true",
    "normalization_rule_name",
    "identity",
    "remove_extra_whitespaces",
    "false",
    "max_sentence_length",
    "65536",
    "num_threads",
    "16",
    NULL,
};

struct sample {
    char *text;
    size_t length, capacity, at;
};

/* Training blocks, evenly, of at most `most` bytes. */
static int collect(struct error *err, const struct prepare_options *options,
                   const struct survey *survey, size_t most, struct sample *sample)
{
    int status = STATUS_OK;
    struct cutter *cutter = NULL;
    uint64_t seen = 0; /* bytes of training text before the block */
    TRY(cutter_open(err, &options->text, &cutter));
    for (size_t i = 0; i < survey->pieces; i++) {
        const uint8_t *text;
        size_t length;
        TRY(cutter_next(err, cutter, &text, &length));
        CHECK(err, length > 0, STATUS_FAILED, "the text shrinks while it is read");
        if (survey->held_out[i]) {
            continue;
        }
        /* So much of the text up to the block's end is due, and that is not there yet. */
        const double share = (double)most / (double)survey->train_bytes;
        const bool wanted =
            survey->train_bytes <= most ||
            (sample->length + length <= most &&
             (double)sample->length + (double)length / 2 <= share * (double)(seen + length));
        seen += length;
        if (!wanted) {
            continue;
        }
        if (sample->length + length > sample->capacity) {
            const size_t capacity = (sample->length + length) * 3 / 2;
            char *grown = realloc(sample->text, capacity);
            CHECK(err, grown, STATUS_FAILED, "out of memory for a sample of %zu bytes", capacity);
            sample->text = grown;
            sample->capacity = capacity;
        }
        memcpy(sample->text + sample->length, text, length);
        sample->length += length;
    }
    CHECK(err, sample->length > 0, STATUS_FAILED,
          "no block of the text fits into the sample that the tokenizer is trained on; make it "
          "larger");
cleanup:
    cutter_close(cutter);
    return status;
}

/* A line per call, as spm_train reads them. */
static bool next_line(void *context, const char **line, size_t *length)
{
    struct sample *s = context;
    if (s->at >= s->length) {
        return false;
    }
    const char *from = s->text + s->at;
    const char *newline = memchr(from, '\n', s->length - s->at);
    *line = from;
    *length = newline ? (size_t)(newline - from) : s->length - s->at;
    s->at += *length + 1;
    return true;
}

int prepare_train(struct error *err, const struct prepare_options *options,
                  const struct survey *survey, const struct prepare_training *training,
                  char **model, size_t *length)
{
    enum { OPTIONS = sizeof prepare_train_options / sizeof prepare_train_options[0] };
    int status = STATUS_OK;
    struct sample sample = {0};
    char vocabulary[16], why[SENTENCEPIECE_WHY] = "";
    const char *option[OPTIONS + 4] = {"vocab_size", vocabulary, "model_type", training->type};
    snprintf(vocabulary, sizeof vocabulary, "%d", training->vocabulary);
    memcpy(option + 4, prepare_train_options, sizeof prepare_train_options);
    TRY(collect(err, options, survey, training->bytes, &sample));
    CHECK(err, sentencepiece_train(option, next_line, &sample, model, length, why), STATUS_FAILED,
          "SentencePiece cannot train a vocabulary of %d on %zu bytes of training text: %s",
          training->vocabulary, sample.length, why);
cleanup:
    free(sample.text);
    return status;
}
