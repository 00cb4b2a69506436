/* SentencePiece through the library and by its programs (Debian: sentencepiece): the same models, the same tokens. */
#include "study/encode.h"
#include "study/prepare.h"
#include "study/sentencepiece.h"
#include "tests/unit/study_text.h"

enum { LENGTH = 400000, COMMAND = 4096 };

struct setup {
    struct text_folder folder;
    char *text;
    char path[SPEC_PATH];
    bool programs; /* are there */
};

/* Lines with accents, emoji, digits, tabs, spaces at both ends and in a row; empty ones; bytes that are no UTF-8. */
static char *odd_text(void)
{
    static const char *const odd[] = {"\xc3\xa9t\xc3\xa9",
                                      "\xe6\xbc\xa2\xe5\xad\x97",
                                      "1234.5",
                                      "\t",
                                      "  ",
                                      "\xf0\x9f\x99\x82",
                                      "\xff\xfe",
                                      "<unk>",
                                      "\xe2\x96\x81",
                                      "\xef\xac\x81",
                                      "</s>"};
    char *plain = text_generate(21, LENGTH), *text = malloc(LENGTH + 1);
    uint64_t seed = 8;
    size_t out = 0;
    for (size_t i = 0; out < LENGTH - 16; i++) {
        text[out++] = plain[i];
        const uint64_t dice = fixture_bits(&seed) % 40;
        if ((plain[i] == ' ' || plain[i] == '\n') && dice < sizeof odd / sizeof odd[0]) {
            out += (size_t)sprintf(text + out, "%s", odd[dice]);
        } else if (plain[i] == '\n' && dice > 36) {
            text[out++] = '\n';
        }
    }
    text[out++] = '\n';
    text[out] = 0;
    free(plain);
    return text;
}

static int set_up(void **state)
{
    struct setup *s = calloc(1, sizeof *s);
    text_folder_create(&s->folder);
    s->text = odd_text();
    text_write(&s->folder, "text", s->text, strlen(s->text), false, s->path);
    s->programs = system("command -v spm_train >/dev/null && command -v spm_encode >/dev/null && "
                         "command -v spm_export_vocab >/dev/null") == 0;
    *state = s;
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

/* What a command prints. */
static char *output_of(const char *command)
{
    char *all = malloc(1 << 24);
    FILE *pipe = popen(command, "r");
    assert_non_null(all);
    assert_non_null(pipe);
    const size_t n = fread(all, 1, (1 << 24) - 1, pipe);
    all[n] = 0;
    assert_int_equal(pclose(pipe), 0);
    return all;
}

static bool next_line(void *context, const char **line, size_t *length)
{
    const char **at = context, *end = strchr(*at, '\n');
    if (end == NULL) {
        return false;
    }
    *line = *at;
    *length = (size_t)(end - *at);
    *at = end + 1;
    return true;
}

static void train_by_library(const struct setup *s, const char *type, const char *const *more,
                             const char *name)
{
    char why[SENTENCEPIECE_WHY] = "", path[SPEC_PATH], *model = NULL;
    const char *option[32] = {"vocab_size", "400", "model_type", type}, *text = s->text;
    size_t length = 0;
    for (int i = 0; more[i]; i++) {
        option[4 + i] = more[i];
    }
    if (!sentencepiece_train(option, next_line, &text, &model, &length, why)) {
        fail_msg("%s", why);
    }
    text_write(&s->folder, name, model, length, false, path);
    free(model);
}

static void train_by_program(const struct setup *s, const char *type, const char *const *more,
                             const char *name)
{
    char command[COMMAND];
    int n = snprintf(command, sizeof command,
                     "spm_train --input=%s --model_prefix=%s/%s --vocab_size=400 --model_type=%s",
                     s->path, s->folder.path, name, type);
    for (int i = 0; more[i]; i += 2) {
        n += snprintf(command + n, sizeof command - (size_t)n, " --%s=%s", more[i], more[i + 1]);
    }
    snprintf(command + n, sizeof command - (size_t)n, " >/dev/null 2>&1");
    assert_int_equal(system(command), 0);
}

/* Pieces with their scores. */
static char *vocabulary_of(const struct setup *s, const char *model)
{
    char command[COMMAND];
    snprintf(command, sizeof command, "spm_export_vocab --model=%s/%s", s->folder.path, model);
    return output_of(command);
}

/* The tokens of the whole text by a model of ours, against spm_encode's of its lines, newline tokens between. */
static void check_encoding(const struct setup *s, const char *model)
{
    struct error err = {0};
    struct tokenizer *tokenizer;
    struct encode_buffer buffer = {0};
    char path[SPEC_PATH], command[COMMAND];
    snprintf(path, sizeof path, "%s/%s", s->folder.path, model);
    snprintf(command, sizeof command,
             "spm_encode --model=%s --output_format=id --input=%s 2>/dev/null", path, s->path);
    assert_int_equal(tokenizer_open(&err, TOKENIZER_SENTENCEPIECE, path, &tokenizer), STATUS_OK);
    assert_int_equal(encode_block(&err, tokenizer, s->text, strlen(s->text), true, &buffer),
                     STATUS_OK);
    uint32_t newline[4];
    size_t newlines, at = 0, bytes = 0, lines = 0;
    assert_int_equal(tokenizer_encode(&err, tokenizer, "\n", 1, newline, 4, &newlines), STATUS_OK);
    assert_true(newlines <= 1);
    char *ids = output_of(command), *id = ids;
    while (*id) {
        char *end;
        if (*id == '\n') {
            assert_true(newlines == 0 || (at < buffer.count && buffer.tokens[at++] == newline[0]));
            lines++;
            id++;
            continue;
        }
        const unsigned long token = strtoul(id, &end, 10);
        assert_true(at < buffer.count && buffer.tokens[at++] == token);
        id = end + (*end == ' ');
    }
    assert_true(lines > 4000);
    assert_int_equal(at, buffer.count);
    for (size_t i = 0; i < buffer.count; i++) {
        bytes += buffer.lengths[i];
    }
    assert_int_equal(bytes, strlen(s->text));
    free(ids);
    encode_free(&buffer);
    tokenizer_close(tokenizer);
}

static void remove_model(const struct setup *s, const char *name)
{
    char path[SPEC_PATH];
    snprintf(path, sizeof path, "%s/%s", s->folder.path, name);
    unlink(path);
}

static void check_agreement(const struct setup *s, const char *type, const char *const *options)
{
    if (!s->programs) {
        skip();
    }
    train_by_library(s, type, options, "library.model");
    train_by_program(s, type, options, "program");
    char *ours = vocabulary_of(s, "library.model"), *theirs = vocabulary_of(s, "program.model");
    assert_string_equal(ours, theirs);
    check_encoding(s, "library.model");
    check_encoding(s, "program.model");
    free(ours), free(theirs);
    remove_model(s, "library.model");
    remove_model(s, "program.model");
    remove_model(s, "program.vocab");
}

static void test_unigram(void **state)
{
    check_agreement(*state, "unigram", prepare_train_options);
}

static void test_bpe(void **state)
{
    check_agreement(*state, "bpe", prepare_train_options);
}

/* A model as spm_train makes it by default: it normalizes, and knows neither newlines nor every byte. */
static void test_defaults(void **state)
{
    static const char *const options[] = {NULL};
    check_agreement(*state, "unigram", options);
}

/* Every part of a line counts once: also what a normalizing model drops, and what is encoded in pieces. */
static void test_lengths(void **state)
{
    const struct setup *s = *state;
    static const char *const none[] = {NULL};
    static const char text[] = "  two  spaces \n\n\n\tand \xef\xac\x81ne\n   \nend  ";
    struct error err = {0};
    struct tokenizer *tokenizer;
    char path[SPEC_PATH];
    for (int kind = 0; kind < 2; kind++) {
        train_by_library(s, "unigram", kind ? none : prepare_train_options, "m.model");
        snprintf(path, sizeof path, "%s/m.model", s->folder.path);
        assert_int_equal(tokenizer_open(&err, TOKENIZER_SENTENCEPIECE, path, &tokenizer),
                         STATUS_OK);
        for (size_t from = 0; from < sizeof text; from++) {
            for (size_t n = 0; from + n < sizeof text; n++) {
                uint32_t tokens[200], lengths[200], again[200];
                size_t count, counted, bytes = 0;
                assert_int_equal(tokenizer_measure(&err, tokenizer, text + from, n, tokens, lengths,
                                                   200, &count),
                                 STATUS_OK);
                assert_int_equal(
                    tokenizer_encode(&err, tokenizer, text + from, n, again, 200, &counted),
                    STATUS_OK);
                assert_int_equal(count, counted);
                assert_memory_equal(tokens, again, count * sizeof *tokens);
                for (size_t i = 0; i < count; i++) {
                    bytes += lengths[i];
                }
                assert_true(bytes == n || count == 0);
                assert_int_equal(
                    tokenizer_encode(&err, tokenizer, text + from, n, again, count / 2, &counted),
                    STATUS_OK); /* no room for all */
                assert_int_equal(counted, count);
            }
        }
        tokenizer_close(tokenizer);
        unlink(path);
    }
}

static void test_bad_models(void **state)
{
    const struct setup *s = *state;
    struct error err = {0};
    struct tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_open(&err, TOKENIZER_SENTENCEPIECE, s->path, &tokenizer),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, s->path));
    error_clear(&err);
    assert_int_equal(tokenizer_open(&err, TOKENIZER_SENTENCEPIECE, "/none", &tokenizer),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "/none: "));
    error_clear(&err);
    assert_int_equal(tokenizer_open(&err, TOKENIZER_SENTENCEPIECE, NULL, &tokenizer),
                     STATUS_FAILED);
    assert_null(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unigram),    cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_bad_models),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
