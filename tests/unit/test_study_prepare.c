/* Documents, blocks, and the folder of tokens that is made of them. */
#include <zstd.h>

#include "results/staging.h"
#include "study/blocks.h"
#include "study/cutter.h"
#include "study/prepare.h"
#include "study/text.h"
#include "tests/unit/study_text.h"

enum { LENGTH = 1200000 };

struct setup {
    struct text_folder folder;
    char *text; /* pseudo-English, with characters of several bytes */
    char path[SPEC_PATH];
};

/* Some letters become longer characters, some lines empty, some spaces many. */
static char *varied(size_t length)
{
    char *plain = text_generate(9, length), *text = malloc(length + 8);
    uint64_t seed = 3;
    size_t out = 0;
    for (size_t i = 0; plain[i] && out < length; i++) {
        const uint64_t dice = fixture_bits(&seed) % 200;
        const char *put = dice == 0   ? "\xc3\xa9"
                          : dice == 1 ? "\xe2\x82\xac"
                          : dice == 2 ? "\n\n"
                          : dice == 3 ? "   "
                          : dice == 4 ? "\xf0\x9f\x99\x82"
                                      : NULL;
        if (put == NULL) {
            text[out++] = plain[i];
            continue;
        }
        memcpy(text + out, put, strlen(put));
        out += strlen(put);
    }
    memset(text + length, 0, 8);
    text[length - 1] = text[length - 2] = text[length - 3] = text[length - 4] = 'x';
    free(plain);
    return text;
}

static void *setup_create(void)
{
    struct setup *s = calloc(1, sizeof *s);
    text_folder_create(&s->folder);
    s->text = varied(LENGTH);
    text_write(&s->folder, "text", s->text, LENGTH, false, s->path);
    return s;
}

static int set_up(void **state)
{
    *state = setup_create();
    return 0;
}

static int tear_down(void **state)
{
    struct setup *s = *state;
    unlink(s->path);
    text_folder_remove(&s->folder, 0, NULL);
    free(s->text);
    free(s);
    return 0;
}

/* All text of the files, read `step` bytes at a time. */
static char *read_all(const struct documents_options *options, size_t step, size_t *length,
                      uint64_t *documents)
{
    struct error err = {0};
    struct documents *d;
    char *all = malloc(4 * LENGTH);
    *length = 0;
    assert_int_equal(documents_open(&err, options, &d), STATUS_OK);
    for (size_t got = 1; got > 0; *length += got) {
        assert_true(*length + step <= 4 * LENGTH);
        if (documents_read(&err, d, (uint8_t *)all + *length, step, &got) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
    }
    *documents = documents_count(d);
    documents_close(d);
    return all;
}

static void test_documents(void **state)
{
    const struct setup *s = *state;
    static const char json[] = "{\"text\": \"one \\u20ac\\n\", \"id\": 7}\n\n"
                               "  {\"id\": 8, \"text\": \"\"}\r\n{\"text\": \"a\\u0000b\"}";
    static const char want[] = "\none \xe2\x82\xac\n\n\na\0b";
    char path[4][SPEC_PATH], packed[8192];
    const char *file[5];
    const size_t json_length = strlen(json);
    text_write(&s->folder, "plain.gz", s->text, LENGTH, true, path[0]);
    text_write(&s->folder, "lines.jsonl", json, json_length, false, path[1]);
    text_write(&s->folder, "lines.ndjson.gz", json, json_length, true, path[2]);
    const size_t n = ZSTD_compress(packed, sizeof packed, json, json_length, 3);
    text_write(&s->folder, "lines.jsonl.zst", packed, n, false, path[3]);
    for (int i = 0; i < 4; i++) {
        file[i] = path[i];
    }
    file[4] = s->path;
    const struct documents_options options = {.file = file, .files = 5, .field = "text"};
    static const size_t steps[] = {1 << 20, 4096, 7};
    for (int i = 0; i < 3; i++) {
        size_t length, at = LENGTH;
        uint64_t documents;
        char *all = read_all(&options, steps[i], &length, &documents);
        assert_int_equal(documents, 2 + 3 * 3);
        assert_int_equal(length, 2 * LENGTH + 3 * (sizeof want - 1) + 1);
        assert_memory_equal(all, s->text, LENGTH);
        for (int k = 0; k < 3; k++, at += sizeof want - 1) {
            assert_memory_equal(all + at, want, sizeof want - 1);
        }
        assert_int_equal(all[at], '\n');
        assert_memory_equal(all + at + 1, s->text, LENGTH);
        free(all);
    }
    for (int i = 0; i < 4; i++) {
        unlink(path[i]);
    }
}

/* Cleaned line by line is cleaned as a whole. */
static void test_documents_cleaned(void **state)
{
    struct setup *s = *state;
    static const char *const dirt[] = {"   [1913 Webster]\n", "\n\n", "   {Ant  bear} x\n", "\t\n"};
    char *text = malloc(LENGTH), path[SPEC_PATH];
    uint64_t seed = 5, documents;
    size_t length = 0, got;
    for (size_t at = 0; length < LENGTH - 200;) {
        const size_t n = 1 + fixture_bits(&seed) % 90;
        memcpy(text + length, s->text + at, n);
        at += n;
        length += n;
        const char *put = dirt[fixture_bits(&seed) % 4];
        memcpy(text + length, put, strlen(put));
        length += strlen(put);
    }
    text_write(&s->folder, "dirty", text, length, false, path);
    const char *file[] = {path};
    const struct documents_options options = {
        .file = file, .files = 1, .field = "text", .clean_gcide = true};
    char *all = read_all(&options, 999, &got, &documents);
    length = text_clean_gcide((uint8_t *)text, 0, length);
    assert_int_equal(got, length);
    assert_memory_equal(all, text, length);
    unlink(path);
    free(all), free(text);
}

static void test_blocks(void **state)
{
    const struct setup *s = *state;
    const uint8_t *text = (const uint8_t *)s->text;
    uint8_t *odd = malloc(3 * BLOCK_LENGTH);
    for (size_t at = 0, end; at < LENGTH; at = end) {
        end = at + block_end(text + at, LENGTH - at);
        assert_true(end == LENGTH ||
                    (end - at > BLOCK_LENGTH && end - at <= BLOCK_LENGTH + 200 &&
                     text[end - 1] == '\n' &&
                     memchr(text + at + BLOCK_LENGTH, '\n', end - 1 - at - BLOCK_LENGTH) == NULL));
    }
    assert_int_equal(block_end(text, 5), 5);
    assert_int_equal(block_end(text, BLOCK_LENGTH), BLOCK_LENGTH);
    for (int shift = 0; shift < 3; shift++) { /* no newline: between characters */
        for (size_t i = 0; i < 3 * BLOCK_LENGTH; i++) {
            odd[i] = "\xe2\x82\xac"[(i + (size_t)shift) % 3];
        }
        const size_t end = block_end(odd, 3 * BLOCK_LENGTH);
        assert_true(end <= 2 * BLOCK_LENGTH && end > 2 * BLOCK_LENGTH - 3 && odd[end] == 0xe2);
    }
    memset(odd, 0x80, 3 * BLOCK_LENGTH); /* no UTF-8 at all */
    assert_int_equal(block_end(odd, 3 * BLOCK_LENGTH), 2 * BLOCK_LENGTH - 3);
    free(odd);
}

/* Folders ===================================================================================== */

struct folder {
    struct staging *staging;
    int writes, stop_after;
};

static int on_write(struct error *err, void *context, const char *name, const void *bytes,
                    size_t length)
{
    struct folder *f = context;
    f->writes++;
    return staging_write(err, f->staging, name, bytes, length);
}

static bool on_cancelled(void *context)
{
    const struct folder *f = context;
    return f->stop_after > 0 && f->writes >= f->stop_after;
}

static struct prepare_options options_of(const char *const *file, int jobs)
{
    return (struct prepare_options){.text = {.file = file, .files = 1, .field = "text"},
                                    .held_out = 0.25,
                                    .split_seed = 7,
                                    .jobs = jobs,
                                    .shard_tokens = 150000};
}

/* Prepare s's text into `name` of its folder; its path goes to `path`. */
static void prepare(const struct setup *s, const char *name, int jobs, const struct tokenizer *t,
                    const char *model, size_t length, struct manifest *manifest,
                    char path[SPEC_PATH])
{
    struct error err = {0};
    struct survey survey;
    struct folder folder = {0};
    const char *file[] = {s->path};
    const struct prepare_options options = options_of(file, jobs);
    const struct prepare_sink sink = {
        .context = &folder, .write = on_write, .cancelled = on_cancelled};
    snprintf(path, SPEC_PATH, "%s/%s", s->folder.path, name);
    assert_int_equal(prepare_survey(&err, &options, &survey), STATUS_OK);
    assert_int_equal(staging_open(&err, path, &folder.staging), STATUS_OK);
    if (prepare_tokens(&err, &options, &survey, t, model, length, &sink, manifest) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(staging_commit(&err, folder.staging), STATUS_OK);
    prepare_survey_free(&survey);
}

static void remove_folder(const char *path, const struct manifest *m)
{
    static const char *const names[] = {MANIFEST_FILE, MANIFEST_MODEL, MANIFEST_LENGTHS};
    char file[SPEC_PATH + MANIFEST_NAME + 1], name[MANIFEST_NAME];
    for (int i = 0; i < m->shards + 3; i++) {
        manifest_shard_name(i - 3, name);
        snprintf(file, sizeof file, "%s/%s", path, i < 3 ? names[i] : name);
        unlink(file);
    }
    assert_int_equal(rmdir(path), 0);
}

static void train(const struct setup *s, int vocabulary, char **model, size_t *length)
{
    struct error err = {0};
    struct survey survey;
    const char *file[] = {s->path};
    const struct prepare_options options = options_of(file, 1);
    const struct prepare_training training = {
        .vocabulary = vocabulary, .type = "unigram", .bytes = 300000};
    assert_int_equal(prepare_survey(&err, &options, &survey), STATUS_OK);
    if (prepare_train(&err, &options, &survey, &training, model, length) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    prepare_survey_free(&survey);
}

static struct corpus *load(struct data_source *source, struct cell_data *data)
{
    struct error err = {0};
    struct corpus *corpus = NULL;
    if (corpus_load(&err, source, data, &corpus) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return corpus;
}

/* Both corpora give the same windows. */
static void assert_same_corpus(const struct corpus *a, const struct corpus *b)
{
    enum { CONTEXT = 64, COUNT = 400 };
    uint32_t x[CONTEXT], y[CONTEXT], u[CONTEXT], v[CONTEXT];
    assert_int_equal(corpus_tokens(a), corpus_tokens(b));
    assert_int_equal(corpus_held_out_tokens(a), corpus_held_out_tokens(b));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(corpus_held_out_window(a, CONTEXT, i, COUNT, x, u),
                         corpus_held_out_window(b, CONTEXT, i, COUNT, y, v));
        assert_memory_equal(x, y, sizeof x);
        assert_memory_equal(u, v, sizeof u);
        assert_memory_equal(x + 1, u, sizeof x - sizeof *x);
    }
    assert_true(corpus_held_out_bytes(a, CONTEXT, COUNT) ==
                corpus_held_out_bytes(b, CONTEXT, COUNT));
    assert_true(corpus_unigram_entropy(a) == corpus_unigram_entropy(b));
}

/* What prepare trains loses no byte of the text: spaces in a row, characters that are in no piece, newlines. */
static void check_lossless(const struct setup *s, const struct tokenizer *tokenizer)
{
    struct error err = {0};
    uint32_t *tokens = malloc(LENGTH * sizeof *tokens);
    char *back = malloc(LENGTH);
    size_t count, bytes;
    for (size_t at = 0, n = 1; at + n <= LENGTH; at += n, n = n * 3 / 2 + 1) {
        assert_int_equal(tokenizer_encode(&err, tokenizer, s->text + at, n, tokens, LENGTH, &count),
                         STATUS_OK);
        assert_int_equal(tokenizer_decode(&err, tokenizer, tokens, count, back, LENGTH, &bytes),
                         STATUS_OK);
        const bool whole = ((unsigned char)s->text[at] & 0xc0) != 0x80 &&
                           ((unsigned char)s->text[at + n] & 0xc0) != 0x80;
        assert_true(bytes == n || !whole); /* no character was cut */
        if (whole) {
            assert_memory_equal(back, s->text + at, n);
        }
    }
    free(tokens), free(back);
}

/* The number of threads shows nowhere; what a run reads there is what it makes of the text itself; lengths are exact. */
static void test_folders(void **state)
{
    struct setup *s = *state;
    enum { FOLDERS = 3, CONTEXT = 64 };
    static const int jobs[FOLDERS] = {1, 2, 5};
    struct error err = {0};
    struct manifest manifest[FOLDERS];
    struct tokenizer *tokenizer;
    struct data_source *source = calloc(2, sizeof *source);
    struct cell_data data[2] = {{.kind = DATA_PREPARED, .guard = 65},
                                {.kind = DATA_SENTENCEPIECE,
                                 .guard = 65,
                                 .cleaning = "none",
                                 .held_out = 0.25,
                                 .split_seed = 7}};
    char *model, hash[FOLDERS][CELL_ID], path[FOLDERS][SPEC_PATH];
    size_t length;
    train(s, 400, &model, &length);
    assert_int_equal(tokenizer_open_model(&err, "model", model, length, &tokenizer), STATUS_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 400);
    check_lossless(s, tokenizer);
    for (int i = 0; i < FOLDERS; i++) {
        char name[16];
        struct manifest again;
        snprintf(name, sizeof name, "jobs%d", jobs[i]);
        prepare(s, name, jobs[i], tokenizer, model, length, &manifest[i], path[i]);
        assert_int_equal(manifest_read(&err, path[i], &again, hash[i]), STATUS_OK);
        assert_int_equal(manifest_verify(&err, path[i], &again), STATUS_OK);
        assert_true(again.shards >= 3);
        assert_string_equal(hash[i], hash[0]);
        assert_int_equal(manifest_text(&again, true) + manifest_text(&again, false), LENGTH);
        manifest_free(&again);
    }
    snprintf(source[0].file[0], SPEC_PATH, "%s", path[0]);
    snprintf(source[1].file[0], SPEC_PATH, "%s", s->path);
    snprintf(source[1].tokenizer, SPEC_PATH, "%.900s/" MANIFEST_MODEL, path[0]);
    source[0].files = source[1].files = 1;
    struct corpus *prepared = load(&source[0], &data[0]), *direct = load(&source[1], &data[1]);
    assert_same_corpus(prepared, direct);
    const double bytes = corpus_held_out_bytes(direct, CONTEXT, 1000);
    assert_true(bytes > 1000.0 * CONTEXT && bytes < 1000.0 * CONTEXT * 4);

    /* A folder that is not the one that the run began with. */
    struct corpus *none = NULL;
    memset(data[0].fingerprint, 'a', CELL_ID - 1);
    assert_int_equal(corpus_load(&err, &source[0], &data[0], &none), STATUS_FAILED);
    assert_non_null(strstr(err.message, "not the one that the run began with"));

    corpus_free(prepared), corpus_free(direct);
    tokenizer_close(tokenizer);
    for (int i = 0; i < FOLDERS; i++) {
        remove_folder(path[i], &manifest[i]);
        manifest_free(&manifest[i]);
    }
    free(model), free(source);
}

/* Bytes: every byte of the text is there, in its order. */
static void test_byte_folder(void **state)
{
    struct setup *s = *state;
    struct error err = {0};
    struct manifest m;
    struct tokenizer *tokenizer;
    char path[SPEC_PATH], file[SPEC_PATH + MANIFEST_NAME + 1], name[MANIFEST_NAME];
    char *all = malloc(LENGTH);
    size_t at = 0;
    assert_int_equal(tokenizer_open(&err, TOKENIZER_BYTES, NULL, &tokenizer), STATUS_OK);
    prepare(s, "bytes", 2, tokenizer, NULL, 0, &m, path);
    for (int i = 0; i < m.shards; i++) {
        manifest_shard_name(i, name);
        snprintf(file, sizeof file, "%s/%s", path, name);
        FILE *shard = fopen(file, "rb");
        assert_non_null(shard);
        at += fread(all + at, 1, LENGTH - at, shard);
        fclose(shard);
    }
    assert_int_equal(at, LENGTH);
    assert_memory_equal(all, s->text, LENGTH);
    tokenizer_close(tokenizer);
    remove_folder(path, &m);
    manifest_free(&m);
    free(all);
}

/* Stopped, or not to be finished: nothing stays. */
static void test_nothing_half_written(void **state)
{
    struct setup *s = *state;
    struct error err = {0};
    struct survey survey;
    struct manifest m;
    struct tokenizer *tokenizer;
    struct folder folder = {.stop_after = 3};
    const char *file[] = {s->path};
    const struct prepare_options options = options_of(file, 2);
    const struct prepare_sink sink = {
        .context = &folder, .write = on_write, .cancelled = on_cancelled};
    char path[SPEC_PATH];
    snprintf(path, sizeof path, "%s/stopped", s->folder.path);
    assert_int_equal(tokenizer_open(&err, TOKENIZER_BYTES, NULL, &tokenizer), STATUS_OK);
    assert_int_equal(prepare_survey(&err, &options, &survey), STATUS_OK);
    assert_int_equal(staging_open(&err, path, &folder.staging), STATUS_OK);
    assert_int_equal(prepare_tokens(&err, &options, &survey, tokenizer, NULL, 0, &sink, &m),
                     STATUS_STOPPED);
    staging_discard(folder.staging);

    /* The text changes between the two passes. */
    error_clear(&err);
    folder = (struct folder){0};
    s->text[1000] ^= 1;
    text_write(&s->folder, "text", s->text, LENGTH, false, s->path);
    assert_int_equal(staging_open(&err, path, &folder.staging), STATUS_OK);
    assert_int_equal(prepare_tokens(&err, &options, &survey, tokenizer, NULL, 0, &sink, &m),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "has changed"));
    staging_discard(folder.staging);
    prepare_survey_free(&survey);
    tokenizer_close(tokenizer);
    assert_int_not_equal(access(path, F_OK), 0); /* and tear_down finds the folder empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_documents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_documents_cleaned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_byte_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_half_written, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
