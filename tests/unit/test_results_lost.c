/* What the run's folder keeps of lost workers, stops and attempts. */
#include "tests/unit/results_fixture.h"

#include "results/journal.h"
#include "results/replay.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* The same, told by the open folder and by a fresh look at its journal. */
static void expect(struct fixture *f, struct rundir *dir, int cell, enum cell_status status,
                   int attempts, int deaths)
{
    struct rundir *reader = NULL;
    assert_ok(&f->err, rundir_open_readonly(&f->err, f->run, &reader));
    const struct rundir *told[] = {dir, reader};
    for (int i = 0; i < 2; i++) {
        const struct rundir_cell *known = rundir_find(told[i], f->cell[cell].id);
        assert_non_null(known);
        assert_int_equal(known->status, status);
        assert_int_equal(known->attempts, attempts);
        assert_int_equal(known->deaths, deaths);
    }
    rundir_close(reader);
}

static void lives_and_deaths(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    const struct cell *cell = &f->cell[0];
    assert_ok(err, rundir_log_run(err, dir, 4, f->cells, ""));

    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    assert_ok(err, rundir_log_lost(err, dir, cell->id, true, 1, "n1", "silent for 61 s"));
    expect(f, dir, 0, CELL_PENDING, 1, 1);
    assert_string_equal(rundir_find(dir, cell->id)->reason, "silent for 61 s");

    /* An idle worker's death, and that of one which had not begun the cell. */
    assert_ok(err, rundir_log_lost(err, dir, NULL, false, 2, "n1", "gone"));
    assert_ok(err, rundir_log_begin(err, dir, cell, 3, "n2", 1));
    assert_ok(err, rundir_log_lost(err, dir, cell->id, false, 3, "n2", "gone"));
    expect(f, dir, 0, CELL_PENDING, 2, 1);

    /* A whole job that is killed counts for nothing. */
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    rundir_close(dir);
    dir = fixture_open(f);
    assert_ok(err, rundir_log_run(err, dir, 4, f->cells, ""));
    expect(f, dir, 0, CELL_PENDING, 3, 1);

    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    assert_ok(err, rundir_log_resumed(err, dir, cell->id, 17));
    assert_int_equal(rundir_find(dir, cell->id)->resumed, 17);
    expect(f, dir, 0, CELL_RUNNING, 4, 0); /* it had got on: the death before was not its doing */
    assert_ok(err, rundir_log_lost(err, dir, cell->id, true, 1, "n1", "gone"));
    assert_ok(err, rundir_log_begin(err, dir, cell, 2, "n1", 1));
    assert_int_equal(rundir_find(dir, cell->id)->resumed, 0);
    assert_ok(err, rundir_log_resumed(err, dir, cell->id, 17)); /* no further than before */
    assert_ok(err, rundir_log_lost(err, dir, cell->id, true, 2, "n1", "gone"));
    expect(f, dir, 0, CELL_PENDING, 5, 2);
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    assert_ok(err, rundir_log_resumed(err, dir, cell->id, 9));
    assert_ok(err, rundir_log_lost(err, dir, cell->id, true, 1, "n1", "gone"));
    assert_ok(err, rundir_log_quarantined(err, dir, cell->id, "3 workers died"));
    expect(f, dir, 0, CELL_QUARANTINED, 6, 3);
    assert_ok(err, rundir_log_stop(err, dir, "cells failed", 0, 0, 0));
    expect(f, dir, 0, CELL_QUARANTINED, 6, 3);

    assert_ok(err, rundir_log_retry(err, dir, cell->id));
    expect(f, dir, 0, CELL_PENDING, 6, 0);
    assert_fails(err, "neither failed nor quarantined", rundir_log_retry(err, dir, cell->id));
    rundir_close(dir);
}

/* To go on with more ranks is no new attempt, whoever reads the journal; anything else is. */
static void teams(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    const struct cell *cell = &f->cell[0];
    char *text = NULL;
    assert_ok(err, rundir_log_run(err, dir, 9, f->cells, ""));
    assert_ok(err, rundir_log_begin(err, dir, cell, 3, "n1", 2));
    assert_int_equal(rundir_find(dir, cell->id)->ranks, 2);
    assert_int_equal(rundir_find(dir, cell->id)->worker, 3);
    assert_ok(err, rundir_log_end(err, dir, cell->id, CELL_PENDING, NULL, 1, RUNDIR_WIDENED));
    assert_true(rundir_find(dir, cell->id)->widened);
    rundir_close(dir);
    dir = fixture_open(f);
    assert_true(rundir_find(dir, cell->id)->widened);
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 8));
    expect(f, dir, 0, CELL_RUNNING, 1, 0);
    assert_int_equal(rundir_find(dir, cell->id)->ranks, 8);
    assert_ok(err, rundir_log_end(err, dir, cell->id, CELL_PENDING, NULL, 1, "interrupted"));
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    expect(f, dir, 0, CELL_RUNNING, 2, 0);
    assert_int_equal(rundir_find(dir, cell->id)->ranks, 1);
    assert_ok(err, rundir_log_stop(err, dir, "interrupted", 1, 30.5, 40));
    assert_ok(err, rundir_history(err, dir, NULL, &text));
    assert_non_null(strstr(text, "took=1.000 busy=30.500 had=40.000"));
    free(text);
    rundir_close(dir);

    struct replay replay = {0};
    struct journal_line study = {.event = "study"}, begin = {.event = "begin"};
    journal_pair(&study, "format", REPLAY_FORMAT);
    journal_pair(&study, "name", f->spec->name);
    journal_pair(&begin, "cell", "abc");
    journal_pair(&begin, "worker", "1");
    journal_pair(&begin, "attempt", "1");
    assert_ok(err, replay_event(err, &replay, &study));
    assert_ok(err, replay_event(err, &replay, &begin));
    journal_pair(&begin, "ranks", "0");
    assert_fails(err, "a team of 0 ranks", replay_event(err, &replay, &begin));
    replay_free(&replay);
}

static void stops(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    assert_null(rundir_stopped(dir));
    assert_true(rundir_stop_took(dir) == 0);
    assert_ok(err, rundir_log_run(err, dir, 4, f->cells, ""));
    assert_ok(err, rundir_log_stop(err, dir, "deadline", 12.5, 0, 0));
    assert_string_equal(rundir_stopped(dir), "deadline");
    rundir_close(dir);
    dir = fixture_open(f);
    assert_string_equal(rundir_stopped(dir), "deadline");
    assert_true(rundir_stop_took(dir) == 12.5);
    assert_ok(err, rundir_log_run(err, dir, 4, f->cells, ""));
    assert_null(rundir_stopped(dir));
    assert_ok(err, rundir_log_stop(err, dir, "finished", 0, 0, 0));
    assert_true(rundir_stop_took(dir) == 12.5); /* nothing was stopped this time */

    assert_false(rundir_stop_wanted(dir));
    char path[192];
    fixture_in_run(f, "stop", path);
    fixture_put(path, "", 0);
    assert_true(rundir_stop_wanted(dir));
    assert_ok(err, rundir_clear_stop(err, dir));
    assert_ok(err, rundir_clear_stop(err, dir));
    assert_false(rundir_stop_wanted(dir));
    rundir_close(dir);
}

static void exit_status_file(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    char path[192], *text = NULL;
    size_t size = 0;
    fixture_in_run(f, "exit-status", path);
    assert_ok(err, rundir_leave_status(err, f->run, 3)); /* no folder: nowhere to leave it */
    assert_int_equal(access(f->run, F_OK), -1);
    struct rundir *dir = fixture_open(f);
    assert_ok(err, rundir_leave_status(err, f->run, 3)); /* in use: somebody else's to say */
    assert_int_equal(access(path, F_OK), -1);
    rundir_close(dir);
    assert_ok(err, rundir_leave_status(err, f->run, 3));
    text = fixture_bytes(path, &size);
    assert_string_equal(text, "3\n");
    free(text);
    dir = fixture_open(f);
    assert_ok(err, rundir_clear_status(err, dir));
    assert_int_equal(access(path, F_OK), -1);
    rundir_close(dir);
}

/* A record counts once it is accepted; what was not accepted is swept away. */
static void attempts(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    const struct cell *cell = &f->cell[0];
    char first[SPEC_PATH + 64], second[SPEC_PATH + 64], final[SPEC_PATH + 64], checksum[17];
    struct record *record = fixture_record(cell, 2);
    rundir_cell_temporary(f->run, cell->id, 1, 1, first);
    rundir_cell_temporary(f->run, cell->id, 3, 2, second);
    rundir_cell_path(f->run, cell->id, final);
    assert_string_not_equal(first, second);
    assert_ok(err, rundir_log_begin(err, dir, cell, 1, "n1", 1));
    assert_ok(err, rundir_log_lost(err, dir, cell->id, true, 1, "n1", "silent"));
    assert_ok(err, rundir_log_begin(err, dir, cell, 3, "n1", 1));
    assert_fails(err, "cannot put the file in place", rundir_accept(err, dir, cell->id, 3, 2));
    assert_ok(err, cellfile_write(err, second, cell, record, checksum));
    assert_ok(err, rundir_accept(err, dir, cell->id, 3, 2));
    assert_ok(err, rundir_settle(err, dir));
    assert_ok(err, rundir_log_end(err, dir, cell->id, CELL_DONE, checksum, 1, ""));
    bool ok = false;
    assert_ok(err, rundir_verify(err, dir, cell->id, &ok));
    assert_true(ok);

    /* The first worker wakes up and writes its own: it replaces nothing. */
    assert_ok(err, cellfile_write(err, first, cell, record, checksum));
    assert_ok(err, rundir_verify(err, dir, cell->id, &ok));
    assert_true(ok);
    rundir_close(dir);
    dir = fixture_open(f);
    assert_int_equal(access(first, F_OK), -1);
    assert_int_equal(access(final, F_OK), 0);
    assert_ok(err, rundir_verify(err, dir, cell->id, &ok));
    assert_true(ok);
    rundir_close(dir);
    record_free(record);
}

/* A run that was killed between accepting a record and saying so. */
static void recovered(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    char path[2][SPEC_PATH + 64], checksum[2][17];
    enum cell_status found = CELL_RUNNING;
    for (int i = 0; i < 2; i++) {
        struct record *record = fixture_record(&f->cell[i], 2);
        rundir_cell_temporary(f->run, f->cell[i].id, 1, 1, path[i]);
        assert_ok(err, rundir_log_begin(err, dir, &f->cell[i], 1, "n1", 1));
        assert_ok(err, cellfile_write(err, path[i], &f->cell[i], record, checksum[i]));
        assert_ok(err, rundir_accept(err, dir, f->cell[i].id, 1, 1));
        rundir_cell_path(f->run, f->cell[i].id, path[i]);
        record_free(record);
    }
    rundir_close(dir);
    assert_int_equal(truncate(path[1], 1000), 0);

    dir = fixture_open(f);
    assert_ok(err, rundir_recover(err, dir, &f->cell[0], &found));
    assert_int_equal(found, CELL_DONE);
    expect(f, dir, 0, CELL_DONE, 1, 0);
    bool ok = false;
    assert_ok(err, rundir_verify(err, dir, f->cell[0].id, &ok));
    assert_true(ok);
    assert_ok(err, rundir_recover(err, dir, &f->cell[1], &found)); /* not whole */
    assert_int_equal(found, CELL_PENDING);
    assert_int_equal(rundir_find(dir, f->cell[1].id)->status, CELL_PENDING);
    assert_ok(err, rundir_recover(err, dir, &f->cell[2], &found)); /* no file */
    assert_int_equal(found, CELL_PENDING);
    rundir_close(dir);
}

/* A folder belongs to one shard: another one's study.nc would leave out what is finished here. */
static void shards(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = NULL;
    f->spec->shard = (struct shard){1, 2};
    rundir_close(fixture_open(f));
    f->spec->shard = (struct shard){2, 2};
    assert_fails(&f->err, "holds the run of shard 1/2, and this is shard 2/2",
                 rundir_open(&f->err, f->run, f->spec, &dir));
    f->spec->shard = (struct shard){1, 2};
    rundir_close(fixture_open(f));
    f->spec->shard = (struct shard){0}; /* all of it takes the shard in */
    rundir_close(fixture_open(f));
    f->spec->shard = (struct shard){1, 2};
    assert_fails(&f->err, "holds the run of the whole study, and this is shard 1/2",
                 rundir_open(&f->err, f->run, f->spec, &dir));
    f->spec->shard = (struct shard){0};
}

/* Many events, one fsync; nothing is lost when the folder is closed after it. */
static void batches(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    rundir_batch(dir, true);
    for (int i = 0; i < f->cells; i++) {
        assert_ok(err, rundir_log_begin(err, dir, &f->cell[i], 1, "n1", 1));
    }
    assert_ok(err, rundir_sync(err, dir));
    assert_ok(err, rundir_sync(err, dir));
    for (int i = 0; i < f->cells; i++) {
        expect(f, dir, i, CELL_RUNNING, 1, 0);
    }
    rundir_close(dir);
}

/* A journal of the first format: read, and taken on under the new one. */
static void older_format(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct journal *journal = NULL;
    struct rundir *dir = fixture_open(f);
    char path[192], hash[17], *text = NULL;
    snprintf(hash, sizeof hash, "%016d", 0);
    rundir_close(dir);
    fixture_in_run(f, "journal.log", path);
    assert_int_equal(unlink(path), 0);
    assert_ok(err, journal_open(err, path, NULL, NULL, &journal));
    struct journal_line study = {.event = "study"}, begin = {.event = "begin"};
    journal_pair(&study, "format", "1");
    journal_pair(&study, "name", f->spec->name);
    journal_pair(&study, "text", hash);
    journal_pair(&begin, "cell", f->cell[0].id);
    journal_pair(&begin, "attempt", "1");
    journal_pair(&begin, "worker", "1");
    assert_ok(err, journal_append(err, journal, &study));
    assert_ok(err, journal_append(err, journal, &begin));
    journal_close(journal);

    struct rundir *reader = NULL;
    assert_ok(err, rundir_open_readonly(err, f->run, &reader));
    assert_int_equal(rundir_find(reader, f->cell[0].id)->attempts, 1);
    rundir_close(reader);
    dir = fixture_open(f);
    assert_ok(err, rundir_history(err, dir, NULL, &text));
    assert_non_null(strstr(text, "study format=1 "));
    assert_non_null(strstr(text, "study format=" REPLAY_FORMAT " "));
    free(text);
    rundir_close(dir);
}

static void refuses_malformed_events(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    static const char *const wrong[][5] = {
        {"lost", "cell", "", "reason", "x"},
        {"resumed", "cell", "abc", "step", "many"},
        {"quarantined", "cell", "abc", "deaths", "-7"},
        {"quarantined", "reason", "x", "deaths", "3"},
        {"retry", "cell", "abc", "reason", "never begun"},
        {"study", "format", "4", "name", "x"},
        {"vanished", "cell", "abc", "reason", "x"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct replay replay = {0};
        struct journal_line study = {.event = "study"}, line = {.event = wrong[i][0]};
        journal_pair(&study, "format", REPLAY_FORMAT);
        journal_pair(&study, "name", f->spec->name);
        assert_ok(&err, replay_event(&err, &replay, &study));
        journal_pair(&line, wrong[i][1], wrong[i][2]);
        journal_pair(&line, wrong[i][3], wrong[i][4]);
        assert_int_equal(replay_event(&err, &replay, &line), STATUS_FAILED);
        error_clear(&err);
        replay_free(&replay);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lives_and_deaths),
        TEST(teams),
        TEST(stops),
        TEST(exit_status_file),
        TEST(attempts),
        TEST(recovered),
        TEST(shards),
        TEST(batches),
        TEST(older_format),
        TEST(refuses_malformed_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
