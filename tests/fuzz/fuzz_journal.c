/*
 * Journals: the bytes as they are, and once more with every line's check made right, so that what
 * stands behind the check is reached. What is readable can be opened for appending, continued, and
 * then read to the same state.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <xxhash.h>

#include "results/journal.h"
#include "results/journal_line.h"
#include "results/replay.h"

enum { CHECK_DIGITS = 16 };

/* A line that was parsed can be written, and then parses to the same. */
static void rewrite(const struct journal_line *line)
{
    char text[JOURNAL_LINE];
    struct journal_line again;
    int length = journal_line_format(line, text);
    FUZZ_FACT(length > 0 && length <= JOURNAL_LINE && text[length - 1] == '\n');
    FUZZ_FACT(journal_line_check(text, (size_t)length - 1));
    FUZZ_FACT(journal_line_parse(text, (size_t)length - 1, &again) == NULL);
    FUZZ_FACT(again.sequence == line->sequence && again.time == line->time);
    FUZZ_FACT(strcmp(again.event, line->event) == 0 && again.pairs == line->pairs);
    for (int i = 0; i < line->pairs; i++) {
        FUZZ_FACT(strcmp(again.key[i], line->key[i]) == 0);
        FUZZ_FACT(strcmp(again.value[i], line->value[i]) == 0);
    }
}

static int take(struct error *err, void *replay, const struct journal_line *line)
{
    /* Decoded bytes may need more room when they are encoded again. */
    int longest = 100;
    for (int i = 0; i < line->pairs; i++) {
        longest += (int)strlen(line->key[i]) + 3 * (int)strlen(line->value[i]) + 2;
    }
    if (longest < JOURNAL_LINE) {
        rewrite(line);
    }
    return replay_event(err, replay, line);
}

static void compare(const struct replay *a, const struct replay *b)
{
    FUZZ_FACT(strcmp(a->study, b->study) == 0 && a->cells == b->cells);
    for (int i = 0; i < a->cells; i++) {
        const struct rundir_cell *x = &a->cell[i], *y = &b->cell[i];
        FUZZ_FACT(strcmp(x->id, y->id) == 0 && x->status == y->status);
        FUZZ_FACT(x->attempts == y->attempts && strcmp(x->checksum, y->checksum) == 0);
        FUZZ_FACT(replay_find(a, x->id) == i);
    }
}

static void read_journal(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct replay read = {0}, opened = {0}, continued = {0};
    struct journal *journal = NULL;
    const char *path = fuzz_file(0, data, size);
    int status = journal_read(&err, path, take, &read);
    FUZZ_FACT(status == STATUS_OK || (status == STATUS_FAILED && strlen(err.message) > 20));
    error_clear(&err);
    FUZZ_FACT(journal_open(&err, path, replay_event, &opened, &journal) == status);
    if (journal != NULL) {
        struct journal_line line = {.event = "stop"};
        compare(&read, &opened);
        journal_pair(&line, "why", "100 % = \x01");
        FUZZ_FACT(journal_append(&err, journal, &line) == STATUS_OK);
        if (opened.study[0] != '\0') {
            FUZZ_FACT(journal_read(&err, path, replay_event, &continued) == STATUS_OK);
            replay_stop(&opened);
            compare(&opened, &continued);
        }
        journal_close(journal);
    }
    replay_free(&read);
    replay_free(&opened);
    replay_free(&continued);
}

/* Make the check of each line right. */
static void seal(char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline == NULL ? size : (size_t)(newline - text);
        if (end > at + CHECK_DIGITS && text[at + CHECK_DIGITS] == ' ') {
            char check[CHECK_DIGITS + 1];
            size_t body = at + CHECK_DIGITS + 1;
            snprintf(check, sizeof check, "%016llx",
                     (unsigned long long)XXH64(text + body, end - body, 0));
            memcpy(text + at, check, CHECK_DIGITS);
        }
        at = end + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *sealed = malloc(size + 1);
    FUZZ_FACT(sealed != NULL);
    read_journal(data, size);
    memcpy(sealed, data, size);
    seal(sealed, size);
    if (memcmp(sealed, data, size) != 0) {
        read_journal((const uint8_t *)sealed, size);
    }
    free(sealed);
    return 0;
}
