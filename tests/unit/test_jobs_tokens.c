/* Token files, manifests, and studies of data that is no bytes. */
#include <sys/stat.h>

#include "jobs/manifest.h"
#include "jobs/relocate.h"
#include "jobs/token_file.h"
#include "tests/unit/jobs_fixture.h"

#define HEAD                                                                                       \
    "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"            \
    "base: {tokens: 65536}\nseeds: 1\n"

/* Token files ================================================================================= */

static void token_files(void **state)
{
    (void)state;
    static const struct {
        uint32_t header[3]; /* 0: none */
        size_t head;        /* bytes of it that are there */
        uint64_t size;
        int width; /* 0: refused */
        uint64_t tokens;
        const char *word;
    } cases[] = {
        {{0}, 12, 2000, 2, 1000, NULL},
        {{0}, 2, 2, 2, 1, NULL},
        {{0}, 12, 2001, 0, 0, "2001 bytes"},
        {{0}, 1, 1, 0, 0, "1 bytes"},
        {{0}, 0, 0, 0, 0, "empty"},
        {{20240520, 1, 100}, 12, 1224, 2, 100, NULL},
        {{20240801, 7, 100}, 12, 1424, 4, 100, NULL},
        {{20240520, 1, 100}, 12, 1222, 0, 0, "cut off"},
        {{20240520, 1, 100}, 12, 1226, 0, 0, "appended"},
        {{20240801, 7, 100}, 12, 1224, 0, 0, "cut off"},
        {{20240520, 7, 100}, 12, 1224, 0, 0, "version is 7"},
        {{20240801, 1, 100}, 12, 1424, 0, 0, "version is 1"},
        {{20240520, 1, 0}, 12, 1024, 0, 0, "1024"},
        {{20240520, 1, 0}, 12, 1026, 0, 0, "no tokens"},
        {{20240520, 0, 0}, 4, 4, 0, 0, "cut off"},
        {{20240520, 1, 0xffffffff}, 12, 1224, 0, 0, "cut off"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        struct token_file file;
        const int status =
            token_file_parse(&err, "a.bin", cases[i].header, cases[i].head, cases[i].size, &file);
        assert_int_equal(status, cases[i].width ? STATUS_OK : STATUS_FAILED);
        if (status == STATUS_OK) {
            assert_int_equal(file.width, cases[i].width);
            assert_int_equal(file.tokens, cases[i].tokens);
            assert_int_equal(file.offset, cases[i].header[0] ? 1024 : 0);
        } else if (!strstr(err.message, cases[i].word) || !strstr(err.message, "a.bin: ")) {
            fail_msg("%zu: \"%s\" is not in: %s", i, cases[i].word, err.message);
        }
    }
}

static void token_ranges(void **state)
{
    (void)state;
    enum { N = 10000 };
    uint8_t *one = calloc(N, 1);
    uint16_t *two = calloc(N, 2);
    uint32_t *four = calloc(N, 4);
    assert_int_equal(token_file_check(one, 1, N, 256), N);
    for (size_t at = 0; at < N; at += 997) {
        one[at] = 200;
        two[at] = 60000;
        four[at] = 0x80000000u;
        assert_int_equal(token_file_check(one, 1, N, 200), at);
        assert_int_equal(token_file_check(one, 1, N, 201), N);
        assert_int_equal(token_file_check(two, 2, N, 60000), at);
        assert_int_equal(token_file_check(two, 2, N, 60001), N);
        assert_int_equal(token_file_check(two, 2, N, 1 << 16), N);
        assert_int_equal(token_file_check(four, 4, N, 1 << 24), at);
        one[at] = 0;
        two[at] = 0;
        four[at] = 0;
    }
    free(one), free(two), free(four);
}

/* Manifests =================================================================================== */

static struct manifest_shard shards[] = {{100, "00112233445566778899aabbccddeeff"},
                                         {50, "ffeeddccbbaa99887766554433221100"}};
static struct manifest_span spans[] = {{false, 70, 200}, {true, 30, 90}, {false, 50, 120}};
static const struct manifest example = {.sentencepiece = true,
                                        .vocabulary = 500,
                                        .token_bytes = 2,
                                        .tokenizer_hash = "0123456789abcdef0123456789abcdef",
                                        .lengths_hash = "abcdef0123456789abcdef0123456789",
                                        .cleaning = "none",
                                        .held_out = 0.05,
                                        .split_seed = 1,
                                        .files = 2,
                                        .documents = 7,
                                        .text_bytes = 410,
                                        .text_hash = "99999999999999999999999999999999",
                                        .shards = 2,
                                        .shard = shards,
                                        .spans = 3,
                                        .span = spans};

static void manifests(void **state)
{
    (void)state;
    struct error err = {0};
    struct manifest m;
    char *text, *again;
    assert_int_equal(manifest_format(&err, &example, &text), STATUS_OK);
    if (manifest_parse(&err, "m.json", text, strlen(text), &m) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(manifest_tokens(&m, true), 30);
    assert_int_equal(manifest_tokens(&m, false), 120);
    assert_int_equal(manifest_text(&m, true), 90);
    assert_memory_equal(m.shard, shards, sizeof shards);
    assert_int_equal(m.spans, 3);
    assert_true(m.span[1].held_out && m.span[2].bytes == 120 && m.held_out == 0.05);
    assert_int_equal(manifest_format(&err, &m, &again), STATUS_OK);
    assert_string_equal(text, again);
    manifest_free(&m);
    free(text), free(again);
}

/* One change to a good manifest, and what is said about it. */
static void bad_manifests(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"\"format\": \"ptqscale tokens 1\"", "\"format\": \"other\"", "'other'"},
        {"\"vocabulary\": 500", "\"vocabulary\": -1", "vocabulary"},
        {"\"vocabulary\": 500", "\"vocabulary\": 65537", "do not go together"},
        {"\"vocabulary\": 500", "\"vocabulary\": \"500\"", "vocabulary"},
        {"\"token_bytes\": 2", "\"token_bytes\": 3", "do not go together"},
        {"\"token_bytes\": 2", "\"token_bytes\": 1", "do not go together"},
        {"\"tokenizer\": \"sentencepiece\"", "\"tokenizer\": \"magic\"", "magic"},
        {"\"tokenizer\": \"sentencepiece\"", "\"tokenizer\": \"bytes\"", "do not go together"},
        {"tokens-00001.bin", "../../etc/passwd", "shard 1"},
        {"\"tokens\": 100", "\"tokens\": 101", "different numbers"},
        {"\"tokens\": 100", "\"tokens\": 0", "tokens"},
        {"\"train_tokens\": 120", "\"train_tokens\": 121", "different numbers"},
        {"   70,", "   71,", "different numbers"},
        {"\"train\"", "\"test\"", "neither train nor held_out"},
        {"\"held_out\",\n   30", "\"train\",\n   30", "one part"},
        {"   70,", "   -70,", "a span's tokens"},
        {"00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeefg", "hash"},
        {"00112233445566778899aabbccddeeff", "00", "hash"},
        {"\"shards\"", "\"shard\"", "shards"},
        {"\"held_out\": 0.05", "\"held_out\": \"0.05", "m.json:"},
        {"\"files\": 2", "\"files\": 2, \"files\": 3", "duplicate"},
    };
    struct error err = {0};
    struct manifest m;
    char *text;
    assert_int_equal(manifest_format(&err, &example, &text), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char changed[4096];
        const char *at = strstr(text, cases[i][0]);
        if (at == NULL) {
            fail_msg("%s is not in %s", cases[i][0], text);
        }
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, cases[i][1],
                 at + strlen(cases[i][0]));
        error_clear(&err);
        assert_int_equal(manifest_parse(&err, "m.json", changed, strlen(changed), &m),
                         STATUS_FAILED);
        if (!strstr(err.message, cases[i][2]) || strncmp(err.message, "m.json:", 7) != 0) {
            fail_msg("\"%s\" is not in: %s", cases[i][2], err.message);
        }
        assert_null(m.shard);
    }
    for (size_t length = 0; length < strlen(text) - 1; length += 1 + length / 16) {
        assert_int_equal(manifest_parse(NULL, "m.json", text, length, &m), STATUS_FAILED);
    }
    free(text);
}

/* Studies ===================================================================================== */

/* The kind and the vocabulary are part of what a cell is; the study as understood gives the same cells. */
static void kinds(void **state)
{
    (void)state;
    static const char *const texts[] = {
        HEAD "data: {files: [/a]}\n",
        HEAD "data: {files: [/a], tokenizer: bytes, vocabulary: 256}\n", /* the same */
        HEAD
        "data: {files: [/a], tokenizer: sentencepiece, tokenizer_model: /m, vocabulary: 256}\n",
        HEAD "data: {shards: [/a], vocabulary: 256}\n",
        HEAD "data: {shards: [/a], vocabulary: 50257}\n",
        HEAD "data: {prepared: /a, vocabulary: 256}\n",
    };
    enum { STUDIES = sizeof texts / sizeof texts[0] };
    static const int vocabulary[STUDIES] = {256, 256, 256, 256, 50257, 256};
    char id[STUDIES][CELL_ID];
    for (int i = 0; i < STUDIES; i++) {
        struct error err = {0};
        struct spec *spec = fixture_study(texts[i]);
        struct cell *cell = fixture_cells(texts[i], &(int){0});
        char *expanded = NULL;
        assert_int_equal(cell->model.vocabulary, vocabulary[i]);
        assert_int_equal(cell_parameters_total(cell) - cell_parameters(cell),
                         2 * 16 * vocabulary[i]);
        strcpy(id[i], cell->id);
        for (int k = 0; k < i; k++) {
            assert_true((strcmp(id[i], id[k]) == 0) == (i == 1));
        }
        assert_int_equal(spec_expanded(&err, spec, &expanded), STATUS_OK);
        struct cell *again = fixture_cells(expanded, &(int){0});
        assert_string_equal(again->id, cell->id);
        assert_int_equal(again->data.kind, cell->data.kind);
        free(again), free(cell), free(expanded);
        spec_free(spec);
    }
}

/* What is not pinned in the study file, and cannot be read, is asked for. */
static void unknown_vocabulary(void **state)
{
    (void)state;
    static const char *const texts[] = {
        HEAD "data: {prepared: /none}\n",
        HEAD "data: {files: [/a], tokenizer: sentencepiece, tokenizer_model: /none}\n",
    };
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct spec *spec = fixture_study(texts[i]);
        struct cell *cells;
        int count;
        assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_FAILED);
        assert_non_null(strstr(err.message, "/none"));
        assert_non_null(strstr(err.message, "data.vocabulary"));
        spec_free(spec);
    }
}

static void relocated(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {HEAD "data: {tokenizer: sentencepiece, tokenizer_model: m.model, vocabulary: 9, files: "
              "[a, b]}\n",
         "/m.model\", vocabulary: 9, files: [\"/"},
        {HEAD "data: {files: [a, b], vocabulary: 9, tokenizer: sentencepiece, tokenizer_model: "
              "m.model}\n",
         "/m.model\"}"},
        {HEAD "data: {shards: [a.bin, b.bin], vocabulary: 9}\n", "/b.bin\"], vocabulary: 9}"},
        {HEAD "data: {prepared: some/folder}\n", "/some/folder\"}"},
    };
    for (int i = 0; i < 4; i++) {
        struct error err = {0};
        struct spec *spec = fixture_study(texts[i][0]);
        char *text = NULL;
        if (spec_relocated(&err, spec, &text) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
        if (strstr(text, texts[i][1]) == NULL) {
            fail_msg("\"%s\" is not in:\n%s", texts[i][1], text);
        }
        spec_free(spec);
        free(text);
    }
}

static void write_bytes(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A model is a protobuf message; its field 1 is counted. Its bytes are part of the fingerprint. */
static void sentencepiece_vocabulary(void **state)
{
    (void)state;
    static const char model[] = "\x0a\x01x\x12\x02yy\x0a\x00\x18\x96\x01\x0a\x02zz\x25zzzz";
    static const char other[] = "\x0a\x01x\x12\x02yz\x0a\x00\x18\x96\x01\x0a\x02zz\x25zzzz";
    static const char study[] = HEAD "data: {files: [tokens-text.txt], tokenizer: sentencepiece, "
                                     "tokenizer_model: tokens.model}\n";
    static const char path[] = "tokens-study.yaml";
    char first[CELL_ID] = "";
    struct error err = {0};
    struct spec *spec;
    write_bytes("tokens-text.txt", "text", 4);
    write_bytes(path, study, sizeof study - 1);
    for (int i = 0; i < 3; i++) {
        write_bytes("tokens.model", i == 1 ? other : model, sizeof model - 1);
        assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
        if (spec_fingerprint(&err, spec) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(spec->data.vocabulary, 3);
        assert_true(i == 0 || (strcmp(first, spec->data.fingerprint) == 0) == (i == 2));
        memcpy(first, spec->data.fingerprint, i == 0 ? CELL_ID : 0);
        spec_free(spec);
    }
    for (size_t cut = 1; cut < sizeof model - 1; cut++) {
        write_bytes("tokens.model", model, cut);
        error_clear(&err);
        assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
        if (spec_fingerprint(&err, spec) == STATUS_OK) {
            assert_in_range(spec->data.vocabulary, 2, 3); /* cut between two fields */
        } else {
            assert_non_null(strstr(err.message, "tokens.model"));
        }
        spec_free(spec);
    }
    unlink("tokens-text.txt"), unlink("tokens.model"), unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_files), cmocka_unit_test(token_ranges),
        cmocka_unit_test(manifests),   cmocka_unit_test(bad_manifests),
        cmocka_unit_test(kinds),       cmocka_unit_test(unknown_vocabulary),
        cmocka_unit_test(relocated),   cmocka_unit_test(sentencepiece_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
