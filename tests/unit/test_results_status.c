/* `status` and `explain` of a run's folder. */
#include "tests/unit/results_fixture.h"

#include <time.h>

#include "results/explain.h"
#include "results/status.h"
#include "results/study_cells.h"
#include "results/text.h"

/* The fixture's study on a text of our own, so that ids follow from a text that is there. */
static void use_own_text(struct fixture *fixture)
{
    struct data_source *source = &fixture->spec->source;
    source->files = 1;
    snprintf(source->file[0], sizeof source->file[0], "%s/text.txt", fixture->folder);
    fixture_put(source->file[0], "A text.\n", 8);
    assert_ok(&fixture->err, spec_fingerprint(&fixture->err, fixture->spec));
    free(fixture->cell);
    assert_ok(&fixture->err,
              spec_cells(&fixture->err, fixture->spec, &fixture->cell, &fixture->cells));
    assert_true(fixture->cells >= 4);
}

static char *status_text(struct fixture *fixture)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(&fixture->err, status_print(&fixture->err, out, fixture->run));
    fclose(out);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_message("%s\n", text);
        fail_msg("\"%s\" is not in the text above", part);
    }
}

static void assert_readable(const char *text)
{
    assert_null(strstr(text, "nan"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char *copy = strndup(line, strcspn(line, "\n"));
        if (text_width(copy) > TEXT_COLUMNS) {
            fail_msg("%d columns: %s", text_width(copy), copy);
        }
        free(copy);
    }
}

/* Begin and end cell `index` with a record of made-up numbers. */
static void finish(struct fixture *fixture, struct rundir *dir, int index, enum cell_status ended,
                   double seconds, const char *reason)
{
    struct error *err = &fixture->err;
    const struct cell *cell = &fixture->cell[index];
    char path[SPEC_PATH + 64], checksum[17] = "";
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "node1", 1));
    if (ended == CELL_DONE || ended == CELL_DIVERGED) {
        struct record *record = fixture_record(cell, ended == CELL_DONE ? 2 : 1);
        rundir_cell_path(fixture->run, cell->id, path);
        assert_ok(err, cellfile_write(err, path, cell, record, checksum));
        record_free(record);
    }
    assert_ok(err, rundir_log_end(err, dir, cell->id, ended, checksum, seconds, reason));
}

static void test_status(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct rundir *dir = NULL;
    char expected[256], name[STUDY_CELL_NAME];
    use_own_text(fixture);
    assert_ok(err, rundir_open(err, fixture->run, fixture->spec, &dir));

    char *text = status_text(fixture);
    assert_readable(text);
    assert_has(text, "no worker has been heard of");
    snprintf(expected, sizeof expected, "%d = 0 done + 0 running + %d waiting", fixture->cells,
             fixture->cells);
    assert_has(text, expected);
    assert_has(text, "no estimate before the first cell is done");
    free(text);

    finish(fixture, dir, 0, CELL_DONE, 12.5, "");
    finish(fixture, dir, 1, CELL_FAILED, 1, "out of memory: 3 GiB wanted");
    finish(fixture, dir, 2, CELL_DIVERGED, 2, "loss is not finite at step 7");
    assert_ok(err, rundir_log_begin(err, dir, &fixture->cell[3], 2, "node2", 1));
    struct rundir_live live[2] = {
        {.worker = 1, .host = "node1", .heard = (int64_t)time(NULL) - 1},
        {.worker = 2,
         .host = "node2",
         .step = 10,
         .steps = 40,
         .loss = 3.25,
         .tokens_per_second = 12345,
         .heard = (int64_t)time(NULL) - 3},
    };
    memcpy(live[1].id, fixture->cell[3].id, CELL_ID);
    assert_ok(err, rundir_write_live(err, dir, live, 2));

    text = status_text(fixture);
    assert_readable(text);
    assert_has(text, "active, last heard of");
    snprintf(expected, sizeof expected,
             "%d = 1 done + 1 running + %d waiting + 1 diverged + 1 failed + 0 quarantined",
             fixture->cells, fixture->cells - 4);
    assert_has(text, expected);
    assert_has(text, "with 2 workers (from the pace of 1 cells)");
    assert_has(text, "10/40");
    assert_has(text, "3.250");
    assert_has(text, "12345");
    assert_has(text, study_cell_name(&fixture->cell[3], name));
    assert_has(text, "idle");
    assert_has(text, "out of memory: 3 GiB wanted");
    assert_has(text, "loss is not finite at step 7");
    free(text);

    /* silent for long: the cell that ran will be taken up again */
    live[0].heard = live[1].heard = (int64_t)time(NULL) - 7200;
    assert_ok(err, rundir_write_live(err, dir, live, 2));
    text = status_text(fixture);
    assert_readable(text);
    assert_has(text, "not active (last heard of 2 h 00 min ago)");
    snprintf(expected, sizeof expected, "1 done + 0 running + %d waiting", fixture->cells - 3);
    assert_has(text, expected);
    assert_has(text, "of one worker's time");
    free(text);

    for (int i = 3; i < fixture->cells; i++) {
        finish(fixture, dir, i, CELL_DONE, 5, "");
    }
    text = status_text(fixture);
    assert_has(text, "Run:     finished");
    free(text);
    rundir_close(dir);
}

static void test_status_refuses(void **state)
{
    struct fixture *fixture = *state;
    FILE *out = fopen("/dev/null", "w");
    assert_fails(&fixture->err, fixture->run, status_print(&fixture->err, out, fixture->run));
    assert_fails(&fixture->err, fixture->folder, status_print(&fixture->err, out, fixture->folder));
    assert_int_equal(explain_print(&fixture->err, out, fixture->folder, "abcd"), STATUS_FAILED);
    fclose(out);
}

static char *explain_text(struct fixture *fixture, const char *wanted)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_ok(&fixture->err, explain_print(&fixture->err, out, fixture->run, wanted));
    fclose(out);
    return text;
}

static void test_explain(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct rundir *dir = NULL;
    char name[STUDY_CELL_NAME];
    use_own_text(fixture);
    assert_ok(err, rundir_open(err, fixture->run, fixture->spec, &dir));
    finish(fixture, dir, 0, CELL_DONE, 12.5, "");
    finish(fixture, dir, 1, CELL_FAILED, 1, "out of memory: 3 GiB wanted");
    rundir_close(dir);

    const struct cell *cell = &fixture->cell[0];
    char *text = explain_text(fixture, study_cell_name(cell, name));
    assert_readable(text);
    assert_has(text, cell->id);
    assert_has(text, "Status:  done");
    assert_has(text, "train.learning_rate=");
    assert_has(text, "attempt=1");
    assert_has(text, "Checkpoint 1: quantizers");
    assert_has(text, "unigram entropy, nats per token");
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        assert_has(text, cell->evaluate.quantizer[q].name);
    }
    /* a number of the record, as it is printed */
    struct record *record = fixture_record(cell, 2);
    for (int k = 0; k < record->checkpoints; k++) {
        if (isfinite(record->loss_in_training_precision[k])) {
            assert_has(text, text_significant(record->loss_in_training_precision[k], 5).s);
        }
    }
    record_free(record);

    char prefix[CELL_ID] = "";
    memcpy(prefix, cell->id, 12);
    char *same = explain_text(fixture, prefix);
    assert_string_equal(same, text);
    free(same);
    free(text);

    text = explain_text(fixture, fixture->cell[1].id);
    assert_readable(text);
    assert_has(text, "Status:  failed: out of memory: 3 GiB wanted");
    assert_has(text, "No record");
    free(text);

    text = explain_text(fixture, fixture->cell[2].id);
    assert_has(text, "never begun");
    free(text);
}

static void test_explain_candidates(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct rundir *dir = NULL;
    char name[STUDY_CELL_NAME];
    use_own_text(fixture);
    assert_ok(err, rundir_open(err, fixture->run, fixture->spec, &dir));
    rundir_close(dir);
    FILE *out = fopen("/dev/null", "w");
    static const char *const unknown[] = {
        "", "abc", "gggg", "no/such/cell", "base", "0123456789abcdef0123456789abcdef0"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        error_clear(err);
        assert_int_equal(explain_print(err, out, fixture->run, unknown[i]), STATUS_USAGE);
        assert_has(err->message, "is no cell of this study");
        assert_has(err->message, study_cell_name(&fixture->cell[0], name));
    }
    error_clear(err);
    fclose(out);
}

/* With so many cells some share their first four digits. */
static void test_explain_ambiguous(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct rundir *dir = NULL;
    const struct cell *one = NULL, *other = NULL;
    for (fixture->spec->seeds = 0; fixture->spec->seeds < SPEC_SEEDS; fixture->spec->seeds++) {
        fixture->spec->seed[fixture->spec->seeds] = (uint64_t)fixture->spec->seeds + 1;
    }
    use_own_text(fixture);
    for (int i = 0; i < fixture->cells && other == NULL; i++) {
        for (int k = 0; k < i && other == NULL; k++) {
            if (strncmp(fixture->cell[i].id, fixture->cell[k].id, 4) == 0) {
                one = &fixture->cell[i];
                other = &fixture->cell[k];
            }
        }
    }
    assert_non_null(other);
    assert_ok(err, rundir_open(err, fixture->run, fixture->spec, &dir));
    rundir_close(dir);
    char prefix[5] = "", name[STUDY_CELL_NAME];
    memcpy(prefix, one->id, 4);
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(explain_print(err, out, fixture->run, prefix), STATUS_USAGE);
    fclose(out);
    assert_has(err->message, "give more digits of the id");
    assert_has(err->message, study_cell_name(one, name));
    assert_has(err->message, study_cell_name(other, name));
    error_clear(err);
}

/* A login node without the text: ids cannot be worked out, and both commands say so. */
static void test_text_is_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    struct error *err = &fixture->err;
    struct rundir *dir = NULL;
    use_own_text(fixture);
    fixture->spec->data.fingerprint[0] = '\0';
    assert_ok(err, rundir_open(err, fixture->run, fixture->spec, &dir));
    finish(fixture, dir, 0, CELL_DONE, 12.5, "");
    finish(fixture, dir, 1, CELL_FAILED, 1, "out of memory: 3 GiB wanted");
    rundir_close(dir);
    assert_int_equal(unlink(fixture->spec->source.file[0]), 0);

    char *text = status_text(fixture);
    char expected[128];
    assert_readable(text);
    snprintf(expected, sizeof expected, "%d = 1 done + 0 running + %d waiting", fixture->cells,
             fixture->cells - 2);
    assert_has(text, expected);
    assert_has(text, "cells are known by id only");
    assert_has(text, "out of memory: 3 GiB wanted");
    free(text);
    FILE *out = fopen("/dev/null", "w");
    assert_fails(err, "without the study's text",
                 explain_print(err, out, fixture->run, fixture->cell[0].id));
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_status_refuses, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_explain, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_explain_candidates, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_explain_ambiguous, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_text_is_elsewhere, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
