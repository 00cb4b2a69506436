/* Damaged study files: spec_read may refuse them, but must not crash, hang or leak. */
#include "tests/unit/jobs_fixture.h"

enum { ROUNDS = 20000, LONGEST = 1 << 16 };

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* Pieces of YAML and of numbers that byte noise would rarely hit. */
static const char *const PIECES[] = {
    "[",          "]",
    "{",          "}",
    ": ",         "- ",
    "&a ",        "*a",
    "!!int ",     "'",
    "\"",         "|\n",
    ">\n",        "---\n",
    "...\n",      "# ",
    "? ",         "1e308",
    "-1",         "0",
    "1e-320",     "9007199254740993",
    "null",       "~",
    "\t",         "\\x00",
    "\xff",       "\xc3",
    "list",       "fractional",
    "factorial",  "seeds: 256\n",
    "cells:",     "%YAML 1.2\n",
    "<<: ",       "[1, 2, 3, 4, 5, 6, 7, 8]",
    "2147483647", "4096",
    "131072",
};

static char *load(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(LONGEST);
    assert_non_null(text);
    *length = fread(text, 1, LONGEST / 2, file);
    assert_true(*length > 100 && *length < LONGEST / 2);
    fclose(file);
    return text;
}

static void splice(char *text, size_t *length, const char *piece)
{
    size_t size = strlen(piece);
    size_t at = random_below(*length + 1);
    memmove(text + at + size, text + at, *length - at);
    memcpy(text + at, piece, size);
    *length += size;
}

static void mutate(char *text, size_t *length)
{
    for (uint64_t changes = 1 + random_below(4); changes > 0 && *length > 0; changes--) {
        size_t at = random_below(*length);
        switch (random_below(6)) {
        case 0:
            text[at] = (char)random_below(256);
            break;
        case 1:
            text[at] = (char)(text[at] ^ (1 << random_below(8)));
            break;
        case 2: { /* cut a part out */
            size_t size = random_below(*length - at < 40 ? *length - at : 40);
            memmove(text + at, text + at + size, *length - at - size);
            *length -= size;
            break;
        }
        case 3:
            if (random_below(4) == 0) {
                *length = at;
            }
            break;
        default:
            splice(text, length, PIECES[random_below(sizeof PIECES / sizeof PIECES[0])]);
        }
    }
}

/* An accepted text must give cells or a clean error, and its expansion must be accepted again. */
static void follow(const struct spec *spec)
{
    struct error err = {0};
    struct cell *cells = NULL;
    struct spec *again = NULL;
    char *text = NULL;
    int count = 0;
    assert_int_equal(spec_expanded(&err, spec, &text), STATUS_OK);
    int status = spec_cells(&err, spec, &cells, &count);
    assert_true(status == STATUS_OK ? count > 0 : err.message[0] != '\0');
    error_clear(&err);
    if (fixture_read(&err, text, strlen(text), &again) != STATUS_OK) {
        fail_msg("%s in\n%s", err.message, text);
    }
    spec_free(again);
    free(cells);
    free(text);
}

static void fuzz(const char *path, int rounds, int *accepted, int *refused)
{
    size_t length, mutated;
    char *text = load(path, &length);
    char *copy = malloc(LONGEST);
    assert_non_null(copy);
    for (int i = 0; i < rounds; i++) {
        struct error err = {0};
        struct spec *spec = NULL;
        memcpy(copy, text, length);
        mutated = length;
        mutate(copy, &mutated);
        int status = fixture_read(&err, copy, mutated, &spec);
        if (status == STATUS_OK) {
            ++*accepted;
            follow(spec);
            spec_free(spec);
        } else {
            ++*refused;
            assert_int_equal(status, STATUS_USAGE);
            assert_null(spec);
            assert_true(strlen(err.message) > 20);
        }
    }
    free(copy);
    free(text);
}

static void mutations(void **state)
{
    (void)state;
    int accepted = 0, refused = 0;
    fuzz(PTQSCALE_SOURCE_DIR "/jobs/quick.yaml", ROUNDS / 2, &accepted, &refused);
    fuzz(PTQSCALE_SOURCE_DIR "/jobs/smoke.yaml", ROUNDS / 2, &accepted, &refused);
    assert_true(accepted > ROUNDS / 20); /* comments and values changed: both outcomes are met */
    assert_true(refused > ROUNDS / 20);
}

static void truncations(void **state)
{
    (void)state;
    size_t length;
    char *text = load(PTQSCALE_SOURCE_DIR "/jobs/smoke.yaml", &length);
    for (size_t n = 0; n < length; n++) {
        struct error err = {0};
        struct spec *spec = NULL;
        int status = fixture_read(&err, text, n, &spec);
        assert_true(status == STATUS_USAGE || status == STATUS_OK);
        spec_free(spec);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutations),
        cmocka_unit_test(truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
