#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "mpi/signals.h"
#include "results/atomic.h"
#include "results/staging.h"
#include "study/prepare.h"

static const char description[] =
    "Turns text into a folder of tokens, once, for any number of studies: data: {prepared: DIR}\n"
    "in a study file names it. A manifest in it has the hash of every file; a run refuses a\n"
    "folder in which one is missing or changed. Same text and options, same folder, however\n"
    "many threads there were.\n"
    "\n"
    "    FILE                   text: plain, .gz or .zst; one document each, or JSON Lines\n"
    "                           (.jsonl, .ndjson, also compressed): one document a line\n"
    "\n"
    "Tokens are bytes unless --tokenizer names a SentencePiece model, or --train-vocabulary\n"
    "makes one from the training part of the text.\n";

enum { MEBIBYTE = 1 << 20 };

struct prepare_command {
    struct prepare_options options;
    struct prepare_training training;
    const char *out, *tokenizer, *type, *cleaning;
    int jobs, split_seed, train_mebibytes, shard_mebitokens;
};

static int check(struct error *err, struct prepare_command *c)
{
    int status = STATUS_OK;
    CHECK(err, c->out != NULL, STATUS_USAGE,
          "prepare: where to? give --out DIR (ptqscale prepare --help)");
    CHECK(err, c->tokenizer == NULL || c->training.vocabulary == 0, STATUS_USAGE,
          "prepare: --tokenizer and --train-vocabulary exclude each other");
    CHECK(err, strcmp(c->type, "unigram") == 0 || strcmp(c->type, "bpe") == 0, STATUS_USAGE,
          "prepare: --model-type: \"%s\" is neither unigram nor bpe", c->type);
    CHECK(err, strcmp(c->cleaning, "none") == 0 || strcmp(c->cleaning, "gcide") == 0, STATUS_USAGE,
          "prepare: --cleaning: \"%s\" is neither none nor gcide", c->cleaning);
    CHECK(err, c->options.held_out <= 0.5, STATUS_USAGE,
          "prepare: --held-out: %g is more than half of the text", c->options.held_out);
    c->options.jobs = c->jobs;
    c->options.split_seed = (uint64_t)c->split_seed;
    c->options.shard_tokens = (uint64_t)c->shard_mebitokens * MEBIBYTE;
    c->options.text.clean_gcide = strcmp(c->cleaning, "gcide") == 0;
    c->training.type = c->type;
    c->training.bytes = (size_t)c->train_mebibytes * MEBIBYTE;
cleanup:
    return status;
}

/* The folder's name must be free before hours are spent, not only after. */
static int check_out(struct error *err, const char *out)
{
    int status = STATUS_OK;
    struct staging *staging = NULL;
    TRY(staging_open(err, out, &staging));
cleanup:
    staging_discard(staging);
    return status;
}

/* The model's bytes, read or trained; for bytes none. */
static int get_tokenizer(struct error *err, const struct prepare_command *c,
                         const struct survey *survey, char **model, size_t *length,
                         struct tokenizer **tokenizer)
{
    int status = STATUS_OK;
    if (c->tokenizer == NULL && c->training.vocabulary == 0) {
        TRY(tokenizer_open(err, TOKENIZER_BYTES, NULL, tokenizer));
        goto cleanup;
    }
    if (c->tokenizer != NULL) {
        TRY(atomic_read(err, c->tokenizer, model, length));
    } else {
        fprintf(stderr, "ptqscale: training a vocabulary of %d pieces\n", c->training.vocabulary);
        TRY(prepare_train(err, &c->options, survey, &c->training, model, length));
    }
    TRY(tokenizer_open_model(err, c->tokenizer ? c->tokenizer : "the trained model", *model,
                             *length, tokenizer));
cleanup:
    return status;
}

static int on_write(struct error *err, void *context, const char *name, const void *bytes,
                    size_t length)
{
    return staging_write(err, context, name, bytes, length);
}

static bool on_cancelled(void *context)
{
    (void)context;
    return signals_take() != 0;
}

static int write_folder(struct error *err, const struct prepare_command *c,
                        const struct survey *survey, const struct tokenizer *tokenizer,
                        const char *model, size_t length, struct manifest *manifest)
{
    int status = STATUS_OK;
    struct staging *staging = NULL;
    signals_block(); /* from here on there is something to be removed */
    TRY(staging_open(err, c->out, &staging));
    const struct prepare_sink sink = {
        .context = staging, .write = on_write, .cancelled = on_cancelled};
    TRY(prepare_tokens(err, &c->options, survey, tokenizer, model, length, &sink, manifest));
    status = staging_commit(err, staging);
    staging = NULL;
cleanup:
    staging_discard(staging);
    if (status == STATUS_STOPPED) { /* nothing is kept that could be gone on from */
        error_clear(err);
        status = error_set(err, STATUS_FAILED, __FILE__, __LINE__, "interrupted; %s was not made",
                           c->out);
    }
    return status;
}

static void print_summary(const struct prepare_command *c, const struct manifest *m)
{
    const unsigned long long train = manifest_tokens(m, false), held = manifest_tokens(m, true);
    printf("%s: %llu bytes of text in %llu %s as %llu tokens (%.3f bytes each), vocabulary %d\n",
           c->out, (unsigned long long)m->text_bytes, (unsigned long long)m->documents,
           m->documents == 1 ? "document" : "documents", train + held,
           (double)m->text_bytes / (double)(train + held), m->vocabulary);
    printf("to train on %llu tokens, held out %llu; %d %s\n", train, held, m->shards,
           m->shards == 1 ? "shard" : "shards");
    printf("in a study file: data: {prepared: %s}\n", c->out);
}

int command_prepare(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct prepare_command c = {.options = {.text = {.field = "text"}, .held_out = 0.05},
                                .type = "unigram",
                                .cleaning = "none",
                                .jobs = cores > 0 && cores < 256 ? (int)cores : 1,
                                .split_seed = 1,
                                .train_mebibytes = 64,
                                .shard_mebitokens = 128};
    struct survey survey = {0};
    struct manifest manifest = {0};
    struct tokenizer *tokenizer = NULL;
    char *model = NULL;
    size_t length = 0;
    const char **file = calloc((size_t)argc + 1, sizeof *file);
    const struct cli_option option[] = {
        {"out", "DIR", "folder to make", CLI_TEXT, &c.out, 0},
        {"tokenizer", "MODEL", "a SentencePiece model to encode with", CLI_TEXT, &c.tokenizer, 0},
        {"train-vocabulary", "N", "train a SentencePiece model of N pieces", CLI_INTEGER,
         &c.training.vocabulary, 2},
        {"model-type", "TYPE", "of the trained model: unigram (default) or bpe", CLI_TEXT, &c.type,
         0},
        {"train-mebibytes", "N", "most training text that it is trained on (default 64)",
         CLI_INTEGER, &c.train_mebibytes, 1},
        {"field", "NAME", "field of a JSON line with the text (default text)", CLI_TEXT,
         &c.options.text.field, 0},
        {"cleaning", "WHAT", "of plain files: none (default) or gcide", CLI_TEXT, &c.cleaning, 0},
        {"held-out", "F", "fraction held out for evaluation (default 0.05)", CLI_NUMBER,
         &c.options.held_out, 0},
        {"split-seed", "S", "chooses the blocks held out (default 1)", CLI_INTEGER, &c.split_seed,
         0},
        {"shard-mebitokens", "N", "tokens of a shard, in units of 2^20 (default 128)", CLI_INTEGER,
         &c.shard_mebitokens, 1},
        {"jobs", "N", "threads that encode (default: one per core)", CLI_INTEGER, &c.jobs, 1},
    };
    const struct cli cli = {
        .command = "prepare",
        .arguments = "--out DIR [--tokenizer MODEL | --train-vocabulary N] FILE ...",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
        .more = true,
    };

    CHECK(err, file != NULL, STATUS_FAILED, "out of memory");
    TRY(cli_parse(err, &cli, argc, argv, file, &helped));
    if (helped) {
        goto cleanup;
    }
    TRY(check(err, &c));
    c.options.text.file = file;
    while (file[c.options.text.files] != NULL) {
        c.options.text.files++;
    }
    TRY(check_out(err, c.out));
    TRY(prepare_survey(err, &c.options, &survey));
    TRY(get_tokenizer(err, &c, &survey, &model, &length, &tokenizer));
    TRY(write_folder(err, &c, &survey, tokenizer, model, length, &manifest));
    print_summary(&c, &manifest);
cleanup:
    tokenizer_close(tokenizer);
    manifest_free(&manifest);
    prepare_survey_free(&survey);
    free(model);
    free(file);
    return status;
}
