/* Text files in a temporary folder, and a small cell to train on them, for the tests of study/. */
#ifndef TESTS_UNIT_STUDY_TEXT_H
#define TESTS_UNIT_STUDY_TEXT_H

#include <stdio.h>
#include <unistd.h>

#include <zlib.h>

#include "study/corpus.h"
#include "tests/unit/study_fixture.h"

/* A folder of this process; text_folder_remove removes it with its files. */
struct text_folder {
    char path[64];
};

static inline void text_folder_create(struct text_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "test_study_XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static inline void text_folder_remove(const struct text_folder *folder, int files,
                                      char (*file)[SPEC_PATH])
{
    for (int i = 0; i < files; i++) {
        unlink(file[i]);
    }
    assert_int_equal(rmdir(folder->path), 0);
}

/* `length` bytes of repeatable pseudo-English: 300 words of 2 to 9 letters, the n-th with a frequency near 1/n, in
 * lines. */
static inline char *text_generate(uint64_t seed, size_t length)
{
    enum { WORDS = 300 };
    char word[WORDS][12], *text = malloc(length + 1);
    uint64_t spelling = 4711;
    assert_non_null(text);
    for (int w = 0; w < WORDS; w++) {
        const int letters = 2 + (int)(fixture_bits(&spelling) % 8);
        for (int i = 0; i < letters; i++) {
            const char *from = i % 2 ? "aeiou" : "bcdfghlmnprstvw";
            word[w][i] = from[fixture_bits(&spelling) % strlen(from)];
        }
        word[w][letters] = 0;
    }
    for (size_t at = 0, column = 0; at < length;) {
        const double u = (double)(fixture_bits(&seed) >> 11) * 0x1p-53;
        const char *next = word[(int)pow(WORDS, u) - 1];
        for (; *next && at < length; column++) {
            text[at++] = *next++;
        }
        if (at < length) {
            text[at++] = column > 60 ? '\n' : ' ';
            column = column > 60 ? 0 : column + 1;
        }
    }
    text[length] = 0;
    return text;
}

/* Write `length` bytes to folder/name, compressed or not; the path goes to `path`. */
static inline void text_write(const struct text_folder *folder, const char *name, const void *text,
                              size_t length, bool compressed, char path[SPEC_PATH])
{
    snprintf(path, SPEC_PATH, "%s/%s", folder->path, name);
    if (compressed) {
        gzFile file = gzopen(path, "wb1");
        assert_non_null(file);
        assert_int_equal(length == 0 ? 0 : gzwrite(file, text, (unsigned)length), length);
        assert_int_equal(gzclose(file), Z_OK);
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A corpus of these bytes, through a file that is gone afterwards. */
static inline struct corpus *text_corpus_from(const char *text, size_t length,
                                              const struct cell_data *data)
{
    struct error err = {0};
    struct text_folder folder;
    struct corpus *corpus = NULL;
    struct data_source *source = calloc(1, sizeof *source);
    text_folder_create(&folder);
    source->files = 1;
    text_write(&folder, "text", text, length, false, source->file[0]);
    if (corpus_load(&err, source, data, &corpus) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    text_folder_remove(&folder, 1, source->file);
    free(source);
    return corpus;
}

/* `length` bytes of pseudo-English. */
static inline struct corpus *text_corpus(size_t length, const struct cell_data *data)
{
    char *text = text_generate(1, length);
    struct corpus *corpus = text_corpus_from(text, length, data);
    free(text);
    return corpus;
}

/* `length` times the same byte. */
static inline struct corpus *text_corpus_of(char byte, size_t length, const struct cell_data *data)
{
    char *text = malloc(length);
    assert_non_null(text);
    memset(text, byte, length);
    struct corpus *corpus = text_corpus_from(text, length, data);
    free(text);
    return corpus;
}

/* 2 layers of width 16, 4 micro-batches of 2 sequences of 16 tokens a step. */
static inline struct cell text_cell(int64_t steps, enum precision precision)
{
    struct cell cell = {
        .id = "cell",
        .base = true,
        .seed = 1,
        .init_seed = 11,
        .data_seed = 12,
        .size = {.name = "tiny", .layers = 2, .d_model = 16, .heads = 2, .d_ff = 32, .context = 16},
        .model = {.block = BLOCK_PARALLEL,
                  .position = POSITION_ROTARY,
                  .activation = ACTIVATION_GELU,
                  .bias = true,
                  .vocabulary = 256},
        .train = {.steps = steps,
                  .batch = 8,
                  .micro_batch = 2,
                  .learning_rate = 2e-2,
                  .decay_is_total = true,
                  .total_decay = 0.1,
                  .grad_clip = 1,
                  .precision = precision,
                  .schedule = SCHEDULE_COSINE,
                  .warmup = 0.1,
                  .final_rate = 0.1,
                  .beta1 = 0.9,
                  .beta2 = 0.95,
                  .epsilon = 1e-8},
        .data = {.cleaning = "none", .held_out = 0.2, .split_seed = 3, .guard = 17},
    };
    cell.tokens = steps * cell.train.batch * cell.size.context;
    cell_complete_decay(&cell);
    return cell;
}

#endif
