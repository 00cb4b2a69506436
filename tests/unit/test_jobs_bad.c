/* Every wrong study file is refused with the line, the field, the offending text and advice. */
#include <glob.h>

#include "tests/unit/jobs_fixture.h"

static void expect_part(const char *file, const char *message, const char *part)
{
    if (!strstr(message, part)) {
        fail_msg("%s: \"%s\" is not in the message: %s", file, part, message);
    }
}

/* The first line of each file: # expect: LINE | FIELD | TEXT | ADVICE */
static void check_file(const char *path)
{
    char line[512], where[1200];
    struct error err = {0};
    struct spec *spec = NULL;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    assert_true(strncmp(line, "# expect: ", 10) == 0);

    char *part[4];
    char *at = line + 10;
    for (int i = 0; i < 4; i++) {
        part[i] = at;
        at = strstr(at, " | ");
        if (i < 3) {
            assert_non_null(at);
            *at = '\0';
            at += 3;
        }
    }
    assert_int_equal(spec_read(&err, path, &spec), STATUS_USAGE);
    assert_null(spec);
    assert_int_equal(err.status, STATUS_USAGE);
    snprintf(where, sizeof where, "%s:%s: %s: ", path, part[0], part[1]);
    if (strncmp(err.message, where, strlen(where)) != 0) {
        fail_msg("the message does not begin with \"%s\": %s", where, err.message);
    }
    expect_part(path, err.message, part[2]);
    expect_part(path, err.message, part[3]);
}

static void bad_files(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob(PTQSCALE_SOURCE_DIR "/tests/data/bad/*.yaml", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 115);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        check_file(files.gl_pathv[i]);
    }
    globfree(&files);
}

/* What a text editor would not keep: `expected` is in the message. */
static void refuse(const char *text, size_t length, const char *expected)
{
    struct error err = {0};
    struct spec *spec = NULL;
    assert_int_equal(fixture_read(&err, text, length, &spec), STATUS_USAGE);
    assert_null(spec);
    expect_part("text", err.message, "/proc/self/fd/");
    expect_part("text", err.message, expected);
    for (const char *c = err.message; *c; c++) {
        assert_true((unsigned char)*c >= 0x20);
    }
}

static void bytes(void **state)
{
    (void)state;
    refuse("", 0, ":1: study file: the file is empty; start from jobs/quick.yaml");
    refuse("# nothing\n\n", 11, ":1: study file: the file is empty");
    refuse("---\n", 4, "study file: '' is not a mapping");
    refuse("\x7f"
           "ELF\x02\x01\x01\0\0\0",
           10, ":1: YAML syntax: ");
    refuse("name: a\ntitle: \"b\0c\"\n", 20, ":2: YAML syntax: control characters are not allowed");
    refuse("name: a\n\ntitle: \xff\xfe\n", 19, ":3: YAML syntax: ");
    refuse("name: \"a\\0b\"\n", 13, ":1: name: 'a\\x00b' contains a NUL character");
    refuse("\xff\xfe", 2, "study file");
}

static void sizes(void **state)
{
    (void)state;
    enum { LONG = (1 << 20) + 16 };
    char *text = malloc(LONG);
    assert_non_null(text);
    memset(text, '#', LONG);
    refuse(text, LONG, ":1: study file: longer than 1048576 bytes");
    memset(text, '[', LONG);
    refuse(text, 1 << 20, "nested too deeply");
    static const char HEAD[] = "base: {tokens: 1}\nsizes: [";
    size_t length = sizeof HEAD - 1;
    memcpy(text, HEAD, length);
    while (length < (1 << 20) - 2) { /* half a million entries */
        memcpy(text + length, "1,", 2);
        length += 2;
    }
    text[length++] = ']';
    refuse(text, length, "at most 32 are allowed");
    free(text);
}

static void unreadable(void **state)
{
    (void)state;
    struct error err = {0};
    struct spec *spec = NULL;
    assert_int_equal(spec_read(&err, "/nonexistent/study.yaml", &spec), STATUS_FAILED);
    expect_part("missing", err.message, "/nonexistent/study.yaml: No such file");
    assert_null(spec);
    error_clear(&err);
    assert_int_equal(spec_read(&err, "/tmp", &spec), STATUS_FAILED);
    expect_part("folder", err.message, "/tmp: is a folder; give the path of a study file");
    assert_int_equal(spec_read(NULL, "/tmp", &spec), STATUS_FAILED);
}

/* Errors that only whole cells show. */
static void refuse_cells(const char *text, const char *field, const char *offence)
{
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    int count = 0;
    if (fixture_read(&err, text, strlen(text), &spec) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_USAGE);
    assert_null(cells);
    expect_part("cells", err.message, field);
    expect_part("cells", err.message, offence);
    spec_free(spec);
}

static void cells(void **state)
{
    (void)state;
    refuse_cells(FIXTURE_STUDY "base: {tokens: 2048, weight_decay: 0.1}\n"
                               "evaluate: {fractions: [0.5, 1.0]}\n",
                 "evaluate.fractions", "'0.5' and '1' are the same step of the 1 of size 2x16");
    refuse_cells(FIXTURE_STUDY "base: {tokens_per_parameter: 1.0e+300}\n", "tokens",
                 "e+303' tokens");
    refuse_cells(FIXTURE_STUDY "base: {tokens: 2048, total_decay: 0.5}\n"
                               "train: {warmup: 0, final_learning_rate: 0}\n"
                               "evaluate: {fractions: [1.0]}\n",
                 "tokens", "'1' steps whose learning rates do not add up");
    refuse_cells(FIXTURE_STUDY
                 "base: {tokens: 65536}\nfactors: {learning_rate_factor: [1.0e-323]}\n",
                 "sizes", "learning rate '0'");
    refuse_cells(
        FIXTURE_STUDY
        "base: {tokens: 65536}\ndesign: factorial\nfactors:\n"
        "  total_decay: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]\n"
        "  dropout: [.1, .2, .3, .4, .5, .6, .7, .8, .11, .12, .13, .14, .15, .16, .17, .18]\n"
        "  grad_clip: [11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17]\n"
        "  learning_rate: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]\n",
        "factors", "more than '65536' settings");
    refuse_cells(FIXTURE_STUDY "base: {tokens: 65536}\ndesign: factorial\nfactors:\n"
                               "  total_decay: [1.0000000000000000000000000001]\n"
                               "  dropout: [0.10000000000000000000000000001]\n"
                               "  grad_clip: [2.0000000000000000000000000001]\n"
                               "  learning_rate_factor: [2.00000000000000000000000000]\n"
                               "  tokens_per_parameter: [20.000000000000000000000000]\n",
                 "factors", "is longer than 191 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files),  cmocka_unit_test(bytes), cmocka_unit_test(sizes),
        cmocka_unit_test(unreadable), cmocka_unit_test(cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
