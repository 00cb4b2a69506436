/*
 * Speed of `ptqscale prepare` on text of yours: bytes, and SentencePiece with one thread and with many.
 *
 *     bench_tokens FOLDER THREADS FILE ...      FOLDER: made, and removed, on the disk that is measured
 *
 * MB are 10^6 bytes of text. bytes_disk is all that prepare does: both passes over the text, hashing, writing and fsync; bytes leaves
 * out the disk. The vocabulary of 4,096 pieces is trained on 2 MiB of the text first, which is not measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "results/staging.h"
#include "study/prepare.h"

enum { ROUNDS = 3 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int on_write(struct error *err, void *context, const char *name, const void *bytes,
                    size_t length)
{
    return context ? staging_write(err, context, name, bytes, length) : STATUS_OK;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* Megabytes per second. */
static int measure(struct error *err, const struct prepare_options *options,
                   const struct tokenizer *tokenizer, const char *model, size_t length,
                   struct staging *staging, double *rate)
{
    int status = STATUS_OK;
    struct survey survey = {0};
    struct manifest manifest = {0};
    const struct prepare_sink sink = {.context = staging, .write = on_write, .cancelled = never};
    const double begun = seconds();
    TRY(prepare_survey(err, options, &survey));
    TRY(prepare_tokens(err, options, &survey, tokenizer, model, length, &sink, &manifest));
    if (staging) {
        TRY(staging_commit(err, staging));
    }
    *rate = (double)survey.bytes / (seconds() - begun) / 1e6;
cleanup:
    prepare_survey_free(&survey);
    manifest_free(&manifest);
    return status;
}

static int bench_bytes(struct error *err, const struct prepare_options *options, const char *folder,
                       const struct tokenizer *bytes)
{
    int status = STATUS_OK;
    for (int round = 0; round < ROUNDS; round++) {
        struct staging *staging = NULL;
        char command[8192];
        double memory, disk;
        TRY(measure(err, options, bytes, NULL, 0, NULL, &memory));
        TRY(staging_open(err, folder, &staging));
        TRY(measure(err, options, bytes, NULL, 0, staging, &disk));
        snprintf(command, sizeof command, "rm -r -- '%s'", folder);
        CHECK(err, system(command) == 0, STATUS_FAILED, "%s: cannot be removed", folder);
        printf("bytes %.0f MB/s\nbytes_disk %.0f MB/s\n", memory, disk);
    }
cleanup:
    return status;
}

static int bench_pieces(struct error *err, struct prepare_options *options, int threads)
{
    int status = STATUS_OK;
    const struct prepare_training training = {
        .vocabulary = 4096, .type = "unigram", .bytes = 2 << 20};
    struct survey survey = {0};
    struct tokenizer *tokenizer = NULL;
    char *model = NULL;
    size_t length = 0;
    TRY(prepare_survey(err, options, &survey));
    TRY(prepare_train(err, options, &survey, &training, &model, &length));
    TRY(tokenizer_open_model(err, "the model", model, length, &tokenizer));
    for (int round = 0; round < ROUNDS; round++) {
        double one, many;
        options->jobs = 1;
        TRY(measure(err, options, tokenizer, model, length, NULL, &one));
        options->jobs = threads;
        TRY(measure(err, options, tokenizer, model, length, NULL, &many));
        printf("sentencepiece_1 %.2f MB/s\nsentencepiece_%d %.2f MB/s\nscaling %.2f\n", one,
               threads, many, many / one);
    }
cleanup:
    tokenizer_close(tokenizer);
    prepare_survey_free(&survey);
    free(model);
    return status;
}

int main(int argc, char **argv)
{
    int status = STATUS_OK;
    struct error error = {0}, *err = &error;
    struct tokenizer *bytes = NULL;
    CHECK(err, argc >= 4 && atoi(argv[2]) > 0, STATUS_USAGE,
          "usage: bench_tokens FOLDER THREADS FILE ...");
    struct prepare_options options = {
        .text = {.file = (const char *const *)argv + 3, .files = argc - 3, .field = "text"},
        .held_out = 0.05,
        .split_seed = 1,
        .jobs = 1,
        .shard_tokens = 1 << 27};
    TRY(tokenizer_open(err, TOKENIZER_BYTES, NULL, &bytes));
    TRY(bench_bytes(err, &options, argv[1], bytes));
    TRY(bench_pieces(err, &options, atoi(argv[2])));
cleanup:
    tokenizer_close(bytes);
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_tokens: %s\n", error.message);
    }
    return status;
}
