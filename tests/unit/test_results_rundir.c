/* The run's folder: set up, refused, locked, resumed, verified. */
#include "tests/unit/results_fixture.h"

#include "results/atomic.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* All names, sizes and bytes below a folder, as one number. */
static uint64_t fingerprint;
static int fingerprint_file(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)where;
    uint64_t state = fingerprint;
    for (const char *c = path; *c != '\0'; c++) {
        state = fixture_random(&state) ^ (unsigned char)*c;
    }
    if (type == FTW_F && about->st_size > 0) {
        size_t size = 0;
        char *bytes = fixture_bytes(path, &size);
        for (size_t i = 0; i < size; i++) {
            state = fixture_random(&state) ^ (unsigned char)bytes[i];
        }
        free(bytes);
    }
    fingerprint += state; /* whatever the order of the walk */
    return 0;
}

static uint64_t folder_fingerprint(const char *folder)
{
    fingerprint = 1;
    assert_int_equal(nftw(folder, fingerprint_file, 16, FTW_PHYS), 0);
    return fingerprint;
}

static void fresh(void **state)
{
    struct fixture *f = *state;
    char path[192];
    size_t size = 0;
    struct stat about;
    struct rundir *dir = NULL;
    snprintf(f->run, sizeof f->run, "%s/a/b/run/", f->folder); /* parents too; a slash behind it */
    assert_ok(&f->err, rundir_open(&f->err, f->run, f->spec, &dir));
    assert_int_equal(rundir_cells(dir, &(const struct rundir_cell *){NULL}), 0);
    assert_true(rundir_path(dir)[strlen(rundir_path(dir)) - 1] != '/');
    rundir_close(dir);
    rundir_close(NULL);
    fixture_in_run(f, "study.yaml", path);
    char *text = fixture_bytes(path, &size);
    assert_int_equal(size, f->spec->text_length);
    assert_memory_equal(text, f->spec->text, size);
    free(text);
    fixture_in_run(f, "study.expanded.yaml", path);
    assert_true(stat(path, &about) == 0 && about.st_size > 0);
    fixture_in_run(f, "journal.log", path);
    assert_true(stat(path, &about) == 0 && about.st_size > 0);
    fixture_in_run(f, "cells", path);
    assert_true(stat(path, &about) == 0 && S_ISDIR(about.st_mode));
}

/* Events, and what they add up to: for the writer, for a reader, and when opened again. */
static void check_states(struct fixture *f, const struct rundir *dir, bool resumed)
{
    const struct rundir_cell *all = NULL, *cell;
    assert_int_equal(rundir_cells(dir, &all), 5);
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(rundir_find(dir, f->cell[i].id), &all[i]);
        assert_string_equal(all[i].id, f->cell[i].id);
    }
    assert_null(rundir_find(dir, f->cell[5].id));
    cell = &all[0];
    assert_int_equal(cell->status, CELL_DONE);
    assert_int_equal(cell->attempts, 2);
    assert_int_equal(cell->worker, 3);
    assert_string_equal(cell->host, "node two");
    assert_string_equal(cell->checksum, "0123456789abcdef");
    assert_true(cell->begun > 0 && cell->ended >= cell->begun);
    assert_true(fabs(cell->seconds - 12.5) < 1e-9);
    assert_int_equal(all[1].status, CELL_DIVERGED);
    assert_string_equal(all[1].reason, "the loss is not finite: 100% sure");
    assert_int_equal(all[2].status, CELL_FAILED);
    assert_string_equal(all[2].reason, "out of memory");
    assert_string_equal(all[2].checksum, "");
    assert_int_equal(all[3].status, resumed ? CELL_PENDING : CELL_RUNNING);
    assert_int_equal(all[3].attempts, 1);
    assert_int_equal(all[4].status, CELL_PENDING); /* given back */
}

static void states(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f), *reader = NULL;
    const struct cell *cell = f->cell;
    assert_ok(err, rundir_log_run(err, dir, 2, f->cells, "17"));
    assert_ok(err, rundir_log_begin(err, dir, &cell[0], 1, "node one", 1));
    assert_int_equal(rundir_find(dir, cell[0].id)->status, CELL_RUNNING);
    assert_ok(err, rundir_log_stop(err, dir, "interrupted", 0, 0, 0));
    assert_int_equal(rundir_find(dir, cell[0].id)->status, CELL_PENDING);
    assert_ok(err, rundir_log_run(err, dir, 4, f->cells, NULL));
    assert_ok(err, rundir_log_begin(err, dir, &cell[0], 3, "node two", 1));
    for (int i = 1; i < 5; i++) {
        assert_ok(err, rundir_log_begin(err, dir, &cell[i], i, "n", 1));
    }
    assert_ok(err, rundir_log_end(err, dir, cell[0].id, CELL_DONE, "0123456789abcdef", 12.5, NULL));
    assert_ok(err, rundir_log_end(err, dir, cell[1].id, CELL_DIVERGED, "fedcba9876543210", 1,
                                  "the loss is not finite: 100% sure"));
    assert_ok(err, rundir_log_end(err, dir, cell[2].id, CELL_FAILED, "", 1, "out of memory"));
    assert_ok(err, rundir_log_end(err, dir, cell[4].id, CELL_PENDING, NULL, NAN, NULL));
    check_states(f, dir, false);
    assert_ok(err, rundir_open_readonly(err, f->run, &reader));
    check_states(f, reader, false);
    assert_fails(err, "reading", rundir_log_stop(err, reader, "finished", 0, 0, 0));
    /* An end without what it needs is refused, and leaves no trace. */
    assert_fails(err, cell[3].id, rundir_log_end(err, dir, cell[3].id, CELL_DONE, NULL, 1, NULL));
    assert_fails(err, cell[3].id, rundir_log_end(err, dir, cell[3].id, CELL_RUNNING, "", 1, NULL));
    rundir_close(reader);
    rundir_close(dir);
    dir = fixture_open(f);
    check_states(f, dir, true);
    rundir_close(dir);
}

static void many_cells(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct cell cell = f->cell[0];
    for (int i = 0; i < 300; i++) {
        snprintf(cell.id, sizeof cell.id, "%032d", i);
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, &cell, i, "n", 1));
    }
    for (int i = 0; i < 300; i++) {
        snprintf(cell.id, sizeof cell.id, "%032d", i);
        assert_int_equal(rundir_find(dir, cell.id)->worker, i);
    }
    rundir_close(dir);
}

static void history(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    char *text = NULL;
    assert_ok(&f->err, rundir_log_run(&f->err, dir, 2, 9, "17"));
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[0], 1, "node one", 1));
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[1], 2, "x", 1));
    assert_ok(&f->err, rundir_log_stop(&f->err, dir, "finished", 0, 0, 0));
    assert_ok(&f->err, rundir_history(&f->err, dir, f->cell[0].id, &text));
    assert_non_null(strstr(text, " begin attempt=1 worker=1 host=\"node one\""));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
    free(text);
    assert_ok(&f->err, rundir_history(&f->err, dir, NULL, &text));
    assert_non_null(strstr(text, " study "));
    assert_non_null(strstr(text, " run ranks=2 cells=9 job=17 "));
    assert_non_null(strstr(text, " stop why=finished\n"));
    assert_null(strstr(text, "begin"));
    free(text);
    rundir_close(dir);
}

static void study_changed(void **state)
{
    struct fixture *f = *state;
    char path[192], *text = NULL;
    size_t size = 0;
    struct rundir *dir = fixture_open(f);
    rundir_close(dir);
    fixture_in_run(f, "journal.log", path);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    dir = fixture_open(f); /* the same text: no event */
    rundir_close(dir);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    f->spec->text[0] = f->spec->text[0] == '#' ? '\n' : '#';
    dir = fixture_open(f);
    assert_ok(&f->err, rundir_history(&f->err, dir, NULL, &text));
    assert_non_null(strstr(strstr(text, " study ") + 1, " study "));
    free(text);
    rundir_close(dir);
    fixture_in_run(f, "study.yaml", path);
    text = fixture_bytes(path, &size);
    assert_memory_equal(text, f->spec->text, size);
    free(text);
    assert_int_equal(unlink(path), 0); /* lost: written again */
    rundir_close(fixture_open(f));
    assert_int_equal(access(path, F_OK), 0);
}

static void foreign_folder(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"thesis.tex", "study.yaml", "journal.log", "lock", "cells"};
    struct rundir *dir = NULL;
    char path[192];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mkdir(f->run, 0700), 0);
        fixture_in_run(f, names[i], path);
        fixture_put(path, "not ours\n", 9);
        uint64_t before = folder_fingerprint(f->run);
        assert_fails(&f->err, f->run, rundir_open(&f->err, f->run, f->spec, &dir));
        assert_int_equal(folder_fingerprint(f->run), before);
        assert_fails(&f->err, f->run, rundir_open_readonly(&f->err, f->run, &dir));
        assert_int_equal(folder_fingerprint(f->run), before);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(f->run), 0);
    }
    /* An empty folder is no run's, but it may become one. */
    assert_int_equal(mkdir(f->run, 0700), 0);
    assert_fails(&f->err, "journal", rundir_open_readonly(&f->err, f->run, &dir));
    rundir_close(fixture_open(f));
    fixture_in_run(f, "notes.txt", path);
    fixture_put(path, "mine", 4);
    rundir_close(fixture_open(f)); /* a user's notes in a run's folder are welcome */
    snprintf(path, sizeof path, "%s/file", f->folder);
    fixture_put(path, "x", 1);
    assert_fails(&f->err, "file", rundir_open(&f->err, path, f->spec, &dir));
    assert_fails(&f->err, "file", rundir_open_readonly(&f->err, path, &dir));
    assert_fails(&f->err, "gone", rundir_open_readonly(&f->err, "/nowhere/gone", &dir));
    assert_fails(&f->err, "empty", rundir_open(&f->err, "", f->spec, &dir));
}

/* Killed while it was being set up: the next run completes it. Without its journal but with
 * cells: refused. */
static void interrupted_setup(void **state)
{
    struct fixture *f = *state;
    char path[192], cell[192];
    struct rundir *dir = NULL;
    static const char *const lost[] = {"journal.log", "study.yaml", "study.expanded.yaml"};
    rundir_close(fixture_open(f));
    for (int i = 0; i < 3; i++) {
        fixture_in_run(f, lost[i], path);
        assert_int_equal(unlink(path), 0);
        rundir_close(fixture_open(f));
        assert_int_equal(access(path, F_OK), 0);
    }
    fixture_in_run(f, "journal.log", path);
    assert_int_equal(truncate(path, 20), 0);
    char *said = NULL;
    FIXTURE_STDERR(f, said, rundir_close(fixture_open(f)));
    assert_non_null(strstr(said, "torn"));
    free(said);
    assert_int_equal(unlink(path), 0);
    fixture_in_run(f, "cells/0123.nc", cell);
    fixture_put(cell, "result", 6);
    uint64_t before = folder_fingerprint(f->run);
    assert_fails(&f->err, "0123.nc", rundir_open(&f->err, f->run, f->spec, &dir));
    assert_int_equal(folder_fingerprint(f->run), before);
}

static void other_study(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = NULL;
    rundir_close(fixture_open(f));
    uint64_t before = folder_fingerprint(f->run);
    snprintf(f->spec->name, sizeof f->spec->name, "another");
    assert_fails(&f->err, "smoke", rundir_open(&f->err, f->run, f->spec, &dir));
    assert_fails(&f->err, "another", rundir_open(&f->err, f->run, f->spec, &dir));
    assert_int_equal(folder_fingerprint(f->run), before);
}

static void damaged_journal(void **state)
{
    struct fixture *f = *state;
    char path[192];
    size_t size = 0;
    struct rundir *dir = fixture_open(f);
    assert_ok(&f->err, rundir_log_run(&f->err, dir, 2, 9, NULL));
    rundir_close(dir);
    fixture_in_run(f, "journal.log", path);
    char *bytes = fixture_bytes(path, &size);
    bytes[30] ^= 1;
    fixture_put(path, bytes, size);
    free(bytes);
    uint64_t before = folder_fingerprint(f->run);
    assert_fails(&f->err, "journal.log:1:", rundir_open(&f->err, f->run, f->spec, &dir));
    assert_fails(&f->err, "journal.log:1:", rundir_open_readonly(&f->err, f->run, &dir));
    assert_int_equal(folder_fingerprint(f->run), before);
}

/* As an ordinary user, whoever runs the test. */
static void unwritable(void **state)
{
    struct fixture *f = *state;
    char below[192];
    assert_int_equal(chmod(f->folder, 0755), 0);
    assert_int_equal(mkdir(f->run, 0755), 0);
    assert_int_equal(chmod(f->run, 0555), 0);
    fixture_in_run(f, "deeper/run", below);
    pid_t child = fork();
    if (child == 0) {
        struct rundir *dir = NULL;
        struct error err = {0};
        int failed = geteuid() == 0 && setuid(65534) != 0;
        failed |= rundir_open(&err, f->run, f->spec, &dir) != STATUS_FAILED ||
                  strstr(err.message, "Permission denied") == NULL ||
                  strstr(err.message, f->run) == NULL;
        error_clear(&err);
        failed |= rundir_open(&err, below, f->spec, &dir) != STATUS_FAILED ||
                  strstr(err.message, "Permission denied") == NULL;
        _exit(failed);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(fixture_entries(f->run), 0);
}

/* A child holds the folder until it is killed. */
static void one_writer(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = NULL;
    char pid[32], byte = 0;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        byte = rundir_open(NULL, f->run, f->spec, &dir) == STATUS_OK ? 'y' : 'n';
        _exit(write(ready[1], &byte, 1) == 1 ? pause() : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    snprintf(pid, sizeof pid, "pid %ld", (long)child);
    uint64_t before = folder_fingerprint(f->run);
    assert_fails(&f->err, "another run", rundir_open(&f->err, f->run, f->spec, &dir));
    assert_fails(&f->err, pid, rundir_open(&f->err, f->run, f->spec, &dir));
    assert_int_equal(folder_fingerprint(f->run), before);
    assert_ok(&f->err, rundir_open_readonly(&f->err, f->run, &dir)); /* readers may */
    rundir_close(dir);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    dir = fixture_open(f);
    /* In one process too. */
    struct rundir *second = NULL;
    assert_fails(&f->err, "another run", rundir_open(&f->err, f->run, f->spec, &second));
    rundir_close(dir);
    rundir_close(fixture_open(f));
    close(ready[0]);
    close(ready[1]);
}

static void verify(void **state)
{
    struct fixture *f = *state;
    struct error *err = &f->err;
    struct rundir *dir = fixture_open(f);
    const char *id = f->cell[0].id;
    char path[SPEC_PATH + 64], aside[SPEC_PATH + 96], checksum[17], *said = NULL;
    bool ok = true;
    rundir_cell_path(f->run, id, path);
    assert_ok(err, rundir_verify(err, dir, id, &ok)); /* never begun */
    assert_false(ok);
    struct record *record = fixture_record(f->cell, 0);
    for (int damage = 0; damage < 3; damage++) {
        assert_ok(err, rundir_log_begin(err, dir, f->cell, 1, "n", 1));
        assert_ok(err, rundir_verify(err, dir, id, &ok));
        assert_false(ok);
        assert_ok(err, cellfile_write(err, path, f->cell, record, checksum));
        assert_ok(err, rundir_log_end(err, dir, id, CELL_DONE, checksum, 1, NULL));
        assert_ok(err, rundir_verify(err, dir, id, &ok));
        assert_true(ok);
        if (damage == 0) {
            assert_int_equal(truncate(path, 1000), 0);
        } else if (damage == 1) {
            assert_int_equal(unlink(path), 0);
        } else {
            size_t size = 0;
            char *bytes = fixture_bytes(path, &size);
            bytes[size / 2] ^= 4;
            fixture_put(path, bytes, size);
            free(bytes);
        }
        FIXTURE_STDERR(f, said, assert_ok(err, rundir_verify(err, dir, id, &ok)));
        assert_false(ok);
        assert_non_null(strstr(said, path));
        free(said);
        assert_int_not_equal(access(path, F_OK), 0);
        snprintf(aside, sizeof aside, "%s.damaged", path);
        assert_int_equal(access(aside, F_OK), damage == 1 ? -1 : 0);
        unlink(aside);
        assert_int_equal(rundir_find(dir, id)->status, CELL_PENDING);
    }
    rundir_close(dir);
    dir = fixture_open(f); /* remembered */
    assert_int_equal(rundir_find(dir, id)->status, CELL_PENDING);
    assert_int_equal(rundir_find(dir, id)->attempts, 3);
    rundir_close(dir);
    record_free(record);
}

static void left_overs(void **state)
{
    struct fixture *f = *state;
    char temporary[192], mine[192], cell[192];
    rundir_close(fixture_open(f));
    fixture_in_run(f, ".ptqscale-tmp.node-1.1234.study.nc", temporary);
    fixture_in_run(f, "cells/.ptqscale-tmp.node-1.1234.0123.nc", cell);
    fixture_in_run(f, ".ptqscale-tmp.notes", mine);
    fixture_put(temporary, "half", 4);
    fixture_put(cell, "half", 4);
    fixture_put(mine, "whole", 5);
    rundir_close(fixture_open(f));
    assert_int_not_equal(access(temporary, F_OK), 0);
    assert_int_not_equal(access(cell, F_OK), 0);
    assert_int_equal(access(mine, F_OK), 0);
    char name[ATOMIC_PATH];
    assert_ok(&f->err, atomic_temporary(&f->err, "/some/folder/study.nc", name));
    assert_true(atomic_is_temporary(strrchr(name, '/') + 1));
    assert_memory_equal(name, "/some/folder/", 13);
    assert_false(atomic_is_temporary("study.nc"));
    assert_false(atomic_is_temporary(".ptqscale-tmp..12.x"));
    assert_false(atomic_is_temporary(".ptqscale-tmp.host.12."));
}

static void live(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct rundir_live *read = NULL;
    int count = -1;
    char path[192];
    assert_ok(&f->err, rundir_read_live(&f->err, f->run, &read, &count));
    assert_int_equal(count, 0);
    free(read);
    struct rundir_live written[2] = {
        {.worker = 1,
         .host = "node one",
         .state = "train it",
         .step = 5,
         .steps = 9,
         .loss = NAN,
         .heard = 1738367999},
        {.worker = 2, .loss = 2.5, .tokens_per_second = 1e6, .leader = 1, .ranks = 4},
    };
    snprintf(written[0].id, CELL_ID, "%s", f->cell[0].id);
    assert_ok(&f->err, rundir_write_live(&f->err, dir, written, 2));
    assert_ok(&f->err, rundir_read_live(&f->err, f->run, &read, &count));
    assert_int_equal(count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read[i].worker, written[i].worker);
        assert_string_equal(read[i].host, written[i].host);
        assert_string_equal(read[i].state, written[i].state);
        assert_string_equal(read[i].id, written[i].id);
        assert_int_equal(read[i].step, written[i].step);
        assert_int_equal(read[i].steps, written[i].steps);
        assert_int_equal(read[i].heard, written[i].heard);
        assert_true(fixture_same(read[i].loss, written[i].loss));
        assert_true(fixture_same(read[i].tokens_per_second, written[i].tokens_per_second));
        assert_int_equal(read[i].leader, written[i].leader);
        assert_int_equal(read[i].ranks, written[i].ranks);
    }
    free(read);
    rundir_close(dir);
    fixture_in_run(f, "live", path);
    fixture_put(path, "ptqscale live 2\n1 a b c\n", 24);
    assert_fails(&f->err, "live:2", rundir_read_live(&f->err, f->run, &read, &count));
    const char *earlier = "ptqscale live 2\n1 h train - 1 2 nan 3 4\n"; /* no teams yet */
    fixture_put(path, earlier, strlen(earlier));
    assert_ok(&f->err, rundir_read_live(&f->err, f->run, &read, &count));
    assert_int_equal(count, 1);
    assert_int_equal(read[0].heard, 4);
    assert_int_equal(read[0].ranks, 0);
    free(read);
    fixture_put(path, "", 0);
    assert_fails(&f->err, "live:1", rundir_read_live(&f->err, f->run, &read, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fresh),           TEST(states),         TEST(many_cells),        TEST(history),
        TEST(study_changed),   TEST(foreign_folder), TEST(interrupted_setup), TEST(other_study),
        TEST(damaged_journal), TEST(unwritable),     TEST(one_writer),        TEST(verify),
        TEST(left_overs),      TEST(live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
