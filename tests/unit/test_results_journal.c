/* The journal: what is valid, what is cut off, what is refused. */
#include "tests/unit/results_fixture.h"

#include <time.h>

#include "results/journal.h"

enum { LINES = 12 };

/* What a reader has seen. */
struct seen {
    int lines;
    int64_t sequence;
    char last[JOURNAL_EVENT];
    char value[256];
};

static int see(struct error *err, void *context, const struct journal_line *line)
{
    (void)err;
    struct seen *seen = context;
    seen->lines++;
    seen->sequence = line->sequence;
    snprintf(seen->last, sizeof seen->last, "%s", line->event);
    const char *value = journal_value(line, "note");
    snprintf(seen->value, sizeof seen->value, "%s", value == NULL ? "" : value);
    return STATUS_OK;
}

/* A journal of LINES events at `path`. */
static void make_journal(struct fixture *f, char path[128])
{
    struct journal *journal = NULL;
    snprintf(path, 128, "%s/journal.log", f->folder);
    assert_ok(&f->err, journal_open(&f->err, path, NULL, NULL, &journal));
    for (int i = 0; i < LINES; i++) {
        char number[16];
        struct journal_line line = {.event = "step"};
        snprintf(number, sizeof number, "%d", i);
        journal_pair(&line, "number", number);
        journal_pair(&line, "note", "dropout=0.1 100% \n\xc3\xa9");
        assert_ok(&f->err, journal_append(&f->err, journal, &line));
        assert_int_equal(line.sequence, i + 1);
    }
    assert_ok(&f->err, journal_sync(&f->err, journal));
    journal_close(journal);
}

static void reads_what_was_written(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct seen seen = {0};
    struct journal *journal = NULL;
    make_journal(f, path);
    assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
    assert_int_equal(seen.lines, LINES);
    assert_string_equal(seen.value, "dropout=0.1 100% \n\xc3\xa9");
    /* Opened again it goes on counting. */
    assert_ok(&f->err, journal_open(&f->err, path, NULL, NULL, &journal));
    struct journal_line line = {.event = "more"};
    assert_ok(&f->err, journal_append(&f->err, journal, &line));
    assert_ok(&f->err, journal_sync(&f->err, journal));
    journal_close(journal);
    seen = (struct seen){0};
    assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
    assert_int_equal(seen.sequence, LINES + 1);
    assert_string_equal(seen.last, "more");
}

static void encoding(void **state)
{
    (void)state;
    char all[256], coded[1024];
    for (int i = 1; i < 256; i++) {
        all[i - 1] = (char)i;
    }
    all[255] = '\0';
    int length = journal_encode(all, coded, sizeof coded);
    assert_int_equal(length, (int)strlen(coded));
    for (int i = 0; i < length; i++) {
        assert_true(coded[i] > ' ' && coded[i] < 127 && coded[i] != '=');
    }
    assert_int_equal(journal_decode(coded), 0);
    assert_string_equal(coded, all);
    assert_int_equal(journal_encode(all, coded, 100), -1);
    assert_int_equal(journal_encode("abc", coded, 3), -1);
    static const char *const bad[] = {"%", "%4", "%4g", "%00", "a%", "%%41", "%4A"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[8];
        snprintf(text, sizeof text, "%s", bad[i]);
        assert_int_equal(journal_decode(text), -1);
    }
}

static void times(void **state)
{
    (void)state;
    char text[32];
    journal_time(1738367999, text);
    assert_string_equal(text, "2025-01-31T23:59:59Z");
    journal_time(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
}

/* Cut anywhere in the last three lines: whole lines stay, the rest is cut off and said, and the
 * next event fits. */
static void torn_tail(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t size = 0, ends[LINES + 1] = {0};
    make_journal(f, path);
    char *bytes = fixture_bytes(path, &size);
    for (size_t i = 0, line = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            ends[++line] = i + 1;
        }
    }
    for (size_t length = ends[LINES - 3]; length <= size; length++) {
        int whole = LINES - 3;
        while (whole < LINES && ends[whole + 1] <= length) {
            whole++;
        }
        struct seen seen = {0};
        struct journal *journal = NULL;
        char *said = NULL;
        fixture_put(path, bytes, length);
        assert_ok(&f->err, journal_read(&f->err, path, see, &seen)); /* readers change nothing */
        assert_int_equal(seen.lines, whole);
        struct stat about;
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(about.st_size, length);
        seen = (struct seen){0};
        FIXTURE_STDERR(f, said,
                       assert_ok(&f->err, journal_open(&f->err, path, see, &seen, &journal)));
        assert_int_equal(seen.lines, whole);
        if (length > ends[whole]) {
            char offset[64];
            snprintf(offset, sizeof offset, "offset %zu", ends[whole]);
            assert_non_null(strstr(said, offset));
            assert_non_null(strstr(said, path));
        } else {
            assert_string_equal(said, "");
        }
        free(said);
        struct journal_line line = {.event = "next"};
        assert_ok(&f->err, journal_append(&f->err, journal, &line));
        assert_int_equal(line.sequence, whole + 1);
        journal_close(journal);
        seen = (struct seen){0};
        assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
        assert_int_equal(seen.lines, whole + 1);
        assert_string_equal(seen.last, "next");
    }
    free(bytes);
}

/* Every bit of every byte: before the last line refused with its number; in the last line cut
 * off. */
static void flipped_bytes(void **state)
{
    struct fixture *f = *state;
    char path[128], where[192];
    size_t size = 0, last = 0;
    make_journal(f, path);
    char *bytes = fixture_bytes(path, &size);
    for (size_t i = 0; i + 1 < size; i++) {
        last = bytes[i] == '\n' ? i + 1 : last;
    }
    int number = 1;
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit += at < last - 200 ? 3 : 1) {
            struct seen seen = {0};
            char original = bytes[at];
            bytes[at] = (char)(original ^ 1 << bit);
            fixture_put(path, bytes, size);
            if (at < last || bytes[at] == '\n') {
                snprintf(where, sizeof where, "%s:%d:", path, number);
                assert_fails(&f->err, where, journal_read(&f->err, path, see, &seen));
                struct journal *journal = NULL;
                assert_fails(&f->err, where, journal_open(&f->err, path, see, &seen, &journal));
            } else {
                assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
                assert_int_equal(seen.lines, LINES - 1);
            }
            bytes[at] = original;
        }
        number += bytes[at] == '\n';
    }
    free(bytes);
}

/* Lines that are valid each, in the wrong order or number. */
static void sequence(void **state)
{
    struct fixture *f = *state;
    char path[128], where[192];
    size_t size = 0;
    make_journal(f, path);
    char *bytes = fixture_bytes(path, &size);
    char *third = strchr(strchr(bytes, '\n') + 1, '\n') + 1, *fourth = strchr(third, '\n') + 1;
    char *changed = malloc(2 * size);
    size_t head = (size_t)(third - bytes), line = (size_t)(fourth - third);
    memcpy(changed, bytes, head); /* without the third */
    memcpy(changed + head, fourth, size - head - line);
    fixture_put(path, changed, size - line);
    snprintf(where, sizeof where, "%s:3:", path);
    assert_fails(&f->err, where, journal_read(&f->err, path, NULL, NULL));
    memcpy(changed + head, third, line); /* the third twice */
    memcpy(changed + head + line, third, size - head);
    fixture_put(path, changed, size + line);
    snprintf(where, sizeof where, "%s:4:", path);
    assert_fails(&f->err, where, journal_read(&f->err, path, NULL, NULL));
    fixture_put(path, fourth, size - head - line); /* the beginning is missing */
    snprintf(where, sizeof where, "%s:1:", path);
    assert_fails(&f->err, where, journal_read(&f->err, path, NULL, NULL));
    free(changed);
    free(bytes);
}

static int refuse(struct error *err, void *context, const struct journal_line *line)
{
    return line->sequence == *(const int *)context
               ? error_set(err, STATUS_FAILED, __FILE__, __LINE__, "not that one")
               : STATUS_OK;
}

static void reader_refuses(void **state)
{
    struct fixture *f = *state;
    char path[128], where[192];
    int fifth = 5;
    make_journal(f, path);
    snprintf(where, sizeof where, "%s:5: not that one", path);
    assert_fails(&f->err, where, journal_read(&f->err, path, refuse, &fifth));
}

/* What does not fit into the format is refused before anything is written. */
static void unfit_lines(void **state)
{
    struct fixture *f = *state;
    char path[128], *large = malloc(JOURNAL_LINE);
    struct journal *journal = NULL;
    struct seen seen = {0};
    make_journal(f, path);
    memset(large, ' ', JOURNAL_LINE - 1);
    large[JOURNAL_LINE - 1] = '\0';
    assert_ok(&f->err, journal_open(&f->err, path, NULL, NULL, &journal));
    struct journal_line line = {.event = "big"};
    journal_pair(&line, "note", large);
    assert_fails(&f->err, "big", journal_append(&f->err, journal, &line));
    line = (struct journal_line){.event = "two words"};
    assert_fails(&f->err, "two words", journal_append(&f->err, journal, &line));
    line = (struct journal_line){.event = "many"};
    for (int i = 0; i <= JOURNAL_PAIRS; i++) {
        journal_pair(&line, "note", "x");
    }
    assert_fails(&f->err, "many", journal_append(&f->err, journal, &line));
    line = (struct journal_line){.event = "fine"};
    assert_ok(&f->err, journal_append(&f->err, journal, &line));
    journal_close(journal);
    assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
    assert_int_equal(seen.lines, LINES + 1);
    free(large);
}

/* A write that stops in the middle (a full disk) is taken back; later events stand on whole
 * lines. */
static void failed_write(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t size = 0;
    make_journal(f, path);
    free(fixture_bytes(path, &size));
    pid_t child = fork();
    if (child == 0) {
        struct journal *journal = NULL;
        struct rlimit small = {size + 20, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};
        struct journal_line line = {.event = "torn"}, after = {.event = "after"};
        signal(SIGXFSZ, SIG_IGN);
        int failed = journal_open(&f->err, path, NULL, NULL, &journal) != STATUS_OK;
        setrlimit(RLIMIT_FSIZE, &small);
        failed |= journal_append(&f->err, journal, &line) != STATUS_FAILED;
        setrlimit(RLIMIT_FSIZE, &large);
        failed |= journal_append(NULL, journal, &after) != STATUS_OK;
        failed |= journal_sync(NULL, journal) != STATUS_OK;
        _exit(failed);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    struct seen seen = {0};
    assert_ok(&f->err, journal_read(&f->err, path, see, &seen));
    assert_int_equal(seen.lines, LINES + 1);
    assert_string_equal(seen.last, "after");
}

/* One change of a kind that damage makes. Returns the new size. */
static size_t mutate(char *bytes, size_t size, size_t room, uint64_t *random)
{
    size_t at = fixture_random(random) % (size + 1), other = fixture_random(random) % (size + 1);
    size_t length = fixture_random(random) % 64;
    switch (fixture_random(random) % 6) {
    case 0: /* flip */
        bytes[at % size] ^= (char)(1 << fixture_random(random) % 8);
        break;
    case 1: /* any byte */
        bytes[at % size] = (char)fixture_random(random);
        break;
    case 2: /* cut */
        size = at;
        break;
    case 3: /* delete */
        length = length < size - at ? length : size - at;
        memmove(bytes + at, bytes + at + length, size - at - length);
        size -= length;
        break;
    case 4: /* insert a copy */
        length = length < size - other ? length : size - other;
        length = length < room - size ? length : room - size;
        memmove(bytes + at + length, bytes + at, size - at);
        memmove(bytes + at, bytes + other, length);
        size += length;
        break;
    default: /* zeros, as after a power failure */
        length = length < size - at ? length : size - at;
        memset(bytes + at, 0, length);
        break;
    }
    return size;
}

/* Damage of all kinds for two seconds at most: a clear refusal, or a whole prefix of what was
 * written. */
static void fuzz(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t size = 0;
    uint64_t random = 20241124;
    make_journal(f, path);
    char *bytes = fixture_bytes(path, &size);
    char *changed = malloc(2 * size);
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    int refused = 0, read = 0;
    for (int i = 0; i < 20000; i++) {
        struct seen seen = {0};
        size_t length = size;
        memcpy(changed, bytes, size);
        for (uint64_t k = fixture_random(&random) % 3 + 1; k > 0 && length > 0; k--) {
            length = mutate(changed, length, 2 * size, &random);
        }
        fixture_put(path, changed, length);
        error_clear(&f->err);
        if (journal_read(&f->err, path, see, &seen) != STATUS_OK) {
            assert_non_null(strstr(f->err.message, path));
            refused++;
        } else {
            assert_true(seen.lines <= LINES && seen.sequence == seen.lines);
            read++;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begun.tv_sec >= 2) {
            break;
        }
    }
    assert_true(refused > 0 && read > 0);
    free(changed);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_was_written), cmocka_unit_test(encoding),
        cmocka_unit_test(times),      TEST(torn_tail),
        TEST(flipped_bytes),          TEST(sequence),
        TEST(reader_refuses),         TEST(unfit_lines),
        TEST(failed_write),           TEST(fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
