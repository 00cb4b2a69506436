/* Reading, cleaning and splitting the text; where windows may lie. */
#include "tests/unit/study_text.h"

#include <sys/stat.h>

#include "study/text.h"

enum { BLOCK = 65536, LENGTH = 1300000, GUARD = 129, CONTEXT = 128 };

/* One text in a file of its own, loaded. */
struct setup {
    struct text_folder folder;
    struct data_source source;
    char *text;
    struct corpus *corpus;
    bool held[LENGTH / BLOCK + 1]; /* its blocks */
    int blocks, held_blocks;
};

static const struct cell_data split = {
    .cleaning = "none", .held_out = 0.25, .split_seed = 42, .guard = GUARD};

/* Windows hold the text at the place that is said; their places; inputs and targets are one token apart. */
static const char *windows_text; /* of the corpus that is read */

static size_t checked(size_t at, int context, const uint32_t *inputs, const uint32_t *targets)
{
    for (int i = 0; i < context; i++) {
        assert_int_equal(inputs[i], (uint8_t)windows_text[at + i]);
        assert_true(targets == NULL || targets[i] == (uint8_t)windows_text[at + 1 + i]);
    }
    return at;
}

static size_t held_out_at(const struct corpus *corpus, int context, int index, int count)
{
    uint32_t inputs[CONTEXT], targets[CONTEXT];
    const size_t at = corpus_held_out_window(corpus, context, index, count, inputs, targets);
    return checked(at, context, inputs, targets);
}

static size_t train_at(const struct corpus *corpus, int context, uint64_t seed, int64_t step,
                       int sequence)
{
    uint32_t inputs[CONTEXT], targets[CONTEXT];
    const size_t at = corpus_train_window(corpus, context, seed, step, sequence, inputs, targets);
    return checked(at, context, inputs, targets);
}

static size_t calibration_at(const struct corpus *corpus, int context, uint64_t seed, int index)
{
    uint32_t inputs[CONTEXT];
    const size_t at = corpus_calibration_window(corpus, context, seed, index, inputs);
    return checked(at, context, inputs, NULL);
}

/* Draws of all held-out windows show which blocks are held out. */
static void find_blocks(struct setup *s)
{
    enum { DRAWS = 200000 };
    s->blocks = LENGTH / BLOCK;
    for (int i = 0; i < DRAWS; i++) {
        const size_t at = held_out_at(s->corpus, CONTEXT, i, DRAWS);
        s->held[at / BLOCK] = true;
    }
    for (int b = 0; b < s->blocks; b++) {
        s->held_blocks += s->held[b];
    }
}

static struct setup *set_up(const struct cell_data *data)
{
    struct error err = {0};
    struct setup *s = calloc(1, sizeof *s);
    text_folder_create(&s->folder);
    s->text = text_generate(5, LENGTH);
    s->source.files = 1;
    text_write(&s->folder, "text", s->text, LENGTH, false, s->source.file[0]);
    assert_int_equal(corpus_load(&err, &s->source, data, &s->corpus), STATUS_OK);
    windows_text = s->text;
    find_blocks(s);
    return s;
}

static void tear_down(struct setup *s)
{
    corpus_free(s->corpus);
    text_folder_remove(&s->folder, s->source.files, s->source.file);
    free(s->text);
    free(s);
}

/* What METHOD §4 forbids for training: held-out blocks and the guard on both sides of each. */
static uint8_t *forbidden(const struct setup *s)
{
    uint8_t *no = calloc(LENGTH, 1);
    for (int b = 0; b < s->blocks; b++) {
        if (s->held[b]) {
            const size_t start = (size_t)b * BLOCK, end = start + BLOCK + GUARD;
            const size_t from = start > GUARD ? start - GUARD : 0;
            memset(no + from, 1, (end < LENGTH ? end : LENGTH) - from);
        }
    }
    return no;
}

static void test_blocks(void **state)
{
    (void)state;
    struct setup *s = set_up(&split);
    uint8_t *no = forbidden(s);
    size_t train = 0;
    assert_int_equal(s->held_blocks, lround(0.25 * s->blocks));
    assert_false(s->held[s->blocks]); /* the last, shorter piece is no block */
    assert_int_equal(corpus_tokens(s->corpus), LENGTH);
    assert_int_equal(corpus_held_out_tokens(s->corpus), (size_t)s->held_blocks * BLOCK);
    for (size_t i = 0; i < LENGTH; i++) {
        train += !no[i];
    }
    assert_int_equal(corpus_train_tokens(s->corpus), train);
    free(no);
    tear_down(s);
}

/* Windows of any context lie in the held-out blocks whole, evenly spread, in order. */
static void test_held_out_windows(void **state)
{
    (void)state;
    static const int contexts[] = {1, 16, CONTEXT};
    enum { COUNT = 1024 };
    struct setup *s = set_up(&split);
    for (int c = 0; c < 3; c++) {
        int seen[LENGTH / BLOCK + 1] = {0};
        size_t before = 0;
        for (int i = 0; i < COUNT; i++) {
            const size_t first = held_out_at(s->corpus, contexts[c], i, COUNT);
            const size_t last = first + (size_t)contexts[c];
            assert_true(s->held[first / BLOCK] && s->held[last / BLOCK]);
            assert_true(i == 0 || first > before);
            before = first;
            seen[first / BLOCK]++;
        }
        for (int b = 0; b < s->blocks; b++) {
            const double share = (double)COUNT / s->held_blocks;
            assert_true(s->held[b] ? fabs(seen[b] - share) < 0.05 * share + 2 : seen[b] == 0);
        }
        /* Each stands in the middle of its share: one alone is the second of three. */
        assert_int_equal(held_out_at(s->corpus, contexts[c], 0, 1),
                         held_out_at(s->corpus, contexts[c], 1, 3));
    }
    tear_down(s);
}

/* 200,000 training draws and calibration draws keep off the held-out text and its guard, and reach nearly all
 * else. */
static void test_training_windows(void **state)
{
    (void)state;
    enum { STEPS = 10000, SEQUENCES = 20 };
    struct setup *s = set_up(&split);
    uint8_t *no = forbidden(s), *seen = calloc(LENGTH, 1);
    for (int step = 0; step < STEPS; step++) {
        for (int q = 0; q < SEQUENCES; q++) {
            const int context = q % 2 ? CONTEXT : 16;
            const size_t at = train_at(s->corpus, context, 77, step, q);
            assert_true(at + (size_t)context < LENGTH);
            assert_null(memchr(no + at, 1, (size_t)context + 1));
            memset(seen + at, 1, (size_t)context + 1);
        }
    }
    size_t reached = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        reached += seen[i];
    }
    assert_true(reached > 0.99 * (double)corpus_train_tokens(s->corpus));
    for (int i = 0; i < 20000; i++) {
        const size_t at = calibration_at(s->corpus, CONTEXT, 9, i);
        assert_true(at + CONTEXT < LENGTH);
        assert_null(memchr(no + at, 1, CONTEXT + 1));
    }
    free(no);
    free(seen);
    tear_down(s);
}

/* Equal keys give equal windows; each part of the key gives others. Training starts are spread evenly. */
static void test_draws(void **state)
{
    (void)state;
    struct setup *s = set_up(&split);
    const struct corpus *c = s->corpus;
    enum { N = 2000 };
    int same[5] = {0};
    double mean = 0;
    for (int i = 0; i < N; i++) {
        const int step = i / 8, q = i % 8;
        const size_t at = train_at(c, CONTEXT, 5, step, q);
        assert_int_equal(at, train_at(c, CONTEXT, 5, step, q));
        same[0] += at == train_at(c, CONTEXT, 6, step, q);
        same[1] += at == train_at(c, CONTEXT, 5, step + 1, q);
        same[2] += at == train_at(c, CONTEXT, 5, step, q + 1);
        same[3] += at == train_at(c, CONTEXT, 5, step + (1ll << 32), q);
        same[4] += at == calibration_at(c, CONTEXT, 5, i);
        mean += (double)at / N;
    }
    for (int i = 0; i < 5; i++) {
        assert_true(same[i] <= 1); /* by chance once in hundreds of runs */
    }
    double centre = 0;
    size_t bytes = 0;
    uint8_t *no = forbidden(s);
    for (size_t i = 0; i < LENGTH; i++) {
        centre += no[i] ? 0 : (double)i;
        bytes += !no[i];
    }
    centre /= (double)bytes;
    assert_true(fabs(mean - centre) < 5 * LENGTH / sqrt(12.0 * N));
    free(no);
    tear_down(s);
}

/* The split depends on the text's length and split_seed alone. */
static void test_split_seed(void **state)
{
    (void)state;
    struct cell_data other = split;
    other.split_seed = 43;
    struct setup *a = set_up(&split), *b = set_up(&split), *c = set_up(&other);
    assert_memory_equal(a->held, b->held, sizeof a->held);
    assert_true(memcmp(a->held, c->held, sizeof a->held) != 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(held_out_at(a->corpus, CONTEXT, i, 100),
                         held_out_at(b->corpus, CONTEXT, i, 100));
    }
    tear_down(a), tear_down(b), tear_down(c);
}

static void test_unigram(void **state)
{
    (void)state;
    struct setup *s = set_up(&split);
    uint8_t *no = forbidden(s);
    double train[256] = {0}, held[256] = {0}, trained = 0, entropy = 0, total = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        const uint8_t byte = (uint8_t)s->text[i];
        train[byte] += !no[i];
        trained += !no[i];
        held[byte] += s->held[i / BLOCK];
    }
    for (int b = 0; b < 256; b++) {
        const double log_p = log((train[b] + 1) / (trained + 256));
        assert_true(fabs(corpus_unigram(s->corpus)[b] - log_p) < 1e-12);
        entropy -= held[b] / ((double)s->held_blocks * BLOCK) * log_p;
        total += exp(corpus_unigram(s->corpus)[b]);
    }
    assert_true(fabs(corpus_unigram_entropy(s->corpus) - entropy) < 1e-12);
    assert_true(fabs(total - 1) < 1e-12);
    assert_true(entropy > 2 && entropy < 3.2); /* about twenty letters and the space */
    free(no);
    tear_down(s);
}

/* Files, plain and compressed, follow each other with a newline between. */
static void test_several_files(void **state)
{
    (void)state;
    struct error err = {0};
    struct text_folder folder;
    struct data_source source = {.files = 3};
    struct corpus *corpus = NULL;
    char *text = text_generate(6, LENGTH), *joined = malloc(LENGTH + 2);
    const size_t cut[4] = {0, 100001, 650000, LENGTH};
    size_t length = 0;
    text_folder_create(&folder);
    for (int i = 0; i < 3; i++) {
        char name[16];
        const size_t n = cut[i + 1] - cut[i];
        snprintf(name, sizeof name, "%d", i);
        text_write(&folder, name, text + cut[i], n, i != 1, source.file[i]);
        if (i > 0) {
            joined[length++] = '\n';
        }
        memcpy(joined + length, text + cut[i], n);
        length += n;
    }
    assert_int_equal(corpus_load(&err, &source, &split, &corpus), STATUS_OK);
    assert_int_equal(corpus_tokens(corpus), length);
    windows_text = joined;
    for (int i = 0; i < 1000; i++) {
        train_at(corpus, CONTEXT, 1, 0, i), held_out_at(corpus, CONTEXT, i, 1000);
    }
    corpus_free(corpus);
    text_folder_remove(&folder, 3, source.file);
    free(text), free(joined);
}

/* Errors ====================================================================================== */

/* Loading fails, and the message names the file (path NULL: speaks of `word` alone). */
static void check_error(const struct data_source *source, const struct cell_data *data,
                        const char *path, const char *word)
{
    struct error err = {0};
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_load(&err, source, data, &corpus), STATUS_FAILED);
    assert_int_equal(err.status, STATUS_FAILED);
    assert_null(corpus);
    if ((path && !strstr(err.message, path)) || !strstr(err.message, word)) {
        fail_msg("'%s' does not name %s and '%s'", err.message, path ? path : "anything", word);
    }
}

static void test_bad_files(void **state)
{
    (void)state;
    struct text_folder folder;
    struct data_source source = {.files = 2};
    char *text = text_generate(7, LENGTH), gz[SPEC_PATH], folder_path[SPEC_PATH];
    text_folder_create(&folder);
    text_write(&folder, "good", text, LENGTH, false, source.file[0]);
    char *second = source.file[1];

    snprintf(second, SPEC_PATH, "%s/none", folder.path);
    check_error(&source, &split, second, "No such file");

    text_write(&folder, "empty", text, 0, false, second);
    check_error(&source, &split, second, "empty");
    unlink(second);
    text_write(&folder, "empty.gz", text, 0, true, second);
    check_error(&source, &split, second, "empty");
    unlink(second);

    snprintf(folder_path, sizeof folder_path, "%s/folder", folder.path);
    assert_int_equal(mkdir(folder_path, 0700), 0);
    snprintf(second, SPEC_PATH, "%s", folder_path);
    check_error(&source, &split, folder_path, "irectory");
    assert_int_equal(rmdir(folder_path), 0);

    /* A gzip file cut anywhere, or with a byte changed. */
    text_write(&folder, "whole.gz", text, LENGTH, true, gz);
    FILE *file = fopen(gz, "rb");
    assert_non_null(file);
    uint8_t *bytes = malloc(LENGTH);
    const size_t n = fread(bytes, 1, LENGTH, file);
    fclose(file);
    assert_true(n > 1000 && n < LENGTH);
    static const double cuts[] = {0.0001, 0.1, 0.5, 0.999};
    for (int i = 0; i < 4; i++) {
        text_write(&folder, "cut.gz", bytes, 4 + (size_t)(cuts[i] * (double)(n - 5)), false,
                   second);
        check_error(&source, &split, second, "");
        unlink(second);
    }
    text_write(&folder, "cut.gz", bytes, n - 1, false, second);
    check_error(&source, &split, second, "");
    unlink(second);
    bytes[n / 2] ^= 0x10;
    text_write(&folder, "changed.gz", bytes, n, false, second);
    check_error(&source, &split, second, "");
    unlink(second);
    free(text), free(bytes);
    unlink(gz);
    text_folder_remove(&folder, 1, source.file);
}

static void test_too_small(void **state)
{
    (void)state;
    struct text_folder folder;
    struct data_source source = {.files = 1};
    struct error err = {0};
    struct corpus *corpus = NULL;
    char *text = text_generate(8, LENGTH);
    text_folder_create(&folder);
    text_write(&folder, "text", text, 2 * BLOCK - 1, false, source.file[0]);
    check_error(&source, &split, NULL, "131071 bytes");
    text_write(&folder, "text", text, 1, false, source.file[0]);
    check_error(&source, &split, NULL, "1 bytes");
    /* Two blocks: one to train on, one to hold out. */
    text_write(&folder, "text", text, 2 * BLOCK, false, source.file[0]);
    assert_int_equal(corpus_load(&err, &source, &split, &corpus), STATUS_OK);
    assert_int_equal(corpus_held_out_tokens(corpus), BLOCK);
    assert_int_equal(corpus_train_tokens(corpus), BLOCK - GUARD);
    corpus_free(corpus);
    /* Everything held out; a guard that eats what is left, and one that is longer than several blocks. */
    struct cell_data data = split;
    data.held_out = 1;
    check_error(&source, &data, NULL, "no training text");
    data = split;
    data.guard = BLOCK - 1;
    check_error(&source, &data, NULL, "no training text");
    text_write(&folder, "text", text, LENGTH, false, source.file[0]);
    data.guard = 5 * BLOCK;
    check_error(&source, &data, NULL, "");
    text_folder_remove(&folder, 1, source.file);
    free(text);
}

/* Cleaning ==================================================================================== */

static const char dirty[] =
    "\n"
    "   \n"
    "Aardvark \\Aard\"vark`\\, n. [D., earth-pig.] (Zool.)\n"
    "   An edentate mammal of  the genus {Orycteropus}, somewhat\n"
    "\tresembling a pig. See {Ant bear}.   \n"
    "   [1913 Webster]\n"
    "\n"
    "\n"
    "   [WordNet 1.5 +PJC]  \n"
    "\n"
    "   [a] not a source [b]\n"
    "   [This bracket is far too long to be the name of a source, so stay]\n"
    "{a} {b}\n"
    "the end";
static const char clean[] = "Aardvark \\Aard\"vark`\\, n. [D., earth-pig.] (Zool.)\n"
                            "An edentate mammal of the genus Orycteropus, somewhat\n"
                            "resembling a pig. See Ant bear.\n"
                            "\n"
                            "[a] not a source [b]\n"
                            "[This bracket is far too long to be the name of a source, so stay]\n"
                            "a b\n"
                            "the end";

static void test_cleaning(void **state)
{
    (void)state;
    uint8_t text[sizeof dirty];
    memcpy(text, dirty, sizeof dirty);
    const size_t n = text_clean_gcide(text, 0, sizeof dirty - 1);
    if (n != sizeof clean - 1 || memcmp(text, clean, n) != 0) {
        fail_msg("'%.*s'", (int)n, (char *)text);
    }
    /* Clean text stays as it is. */
    assert_int_equal(text_clean_gcide(text, 0, n), n);
    assert_memory_equal(text, clean, n);
    assert_int_equal(text_clean_gcide(text, 0, 0), 0);
}

/* The corpus cleans when it is asked to, and not otherwise. */
static void test_corpus_cleaning(void **state)
{
    (void)state;
    struct text_folder folder;
    struct data_source source = {.files = 1};
    const size_t n = sizeof dirty - 1, copies = 1000;
    char *text = malloc(copies * n);
    for (size_t i = 0; i < copies; i++) {
        memcpy(text + i * n, dirty, n);
    }
    text_folder_create(&folder);
    text_write(&folder, "text", text, copies * n, true, source.file[0]);
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct corpus *corpus = NULL;
        struct cell_data data = split;
        snprintf(data.cleaning, sizeof data.cleaning, "%s", i ? "gcide" : "none");
        assert_int_equal(corpus_load(&err, &source, &data, &corpus), STATUS_OK);
        assert_true(i ? corpus_tokens(corpus) < copies * n * 4 / 5
                      : corpus_tokens(corpus) == copies * n);
        for (int w = 0; w < 1000; w++) {
            uint32_t inputs[CONTEXT];
            uint8_t window[CONTEXT];
            corpus_train_window(corpus, CONTEXT, 1, 0, w, inputs, NULL);
            for (int t = 0; t < CONTEXT; t++) {
                window[t] = (uint8_t)inputs[t];
            }
            assert_true(!i ||
                        (!memmem(window, CONTEXT, "[1913 W", 7) && !memchr(window, '{', CONTEXT)));
        }
        corpus_free(corpus);
    }
    text_folder_remove(&folder, 1, source.file);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),           cmocka_unit_test(test_held_out_windows),
        cmocka_unit_test(test_training_windows), cmocka_unit_test(test_draws),
        cmocka_unit_test(test_split_seed),       cmocka_unit_test(test_unigram),
        cmocka_unit_test(test_several_files),    cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_too_small),        cmocka_unit_test(test_cleaning),
        cmocka_unit_test(test_corpus_cleaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
