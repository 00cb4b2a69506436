/* study.nc: written from a run's folder, read back as a table. */
#include "tests/unit/results_fixture.h"

#include "results/aggregate.h"
#include "results/seal.h"
#include "results/table.h"

/* Asked at the end of a sanitized process: look for leaks? Not where the HDF5 library has failed
 * to write a file, and therefore cannot free what belongs to it. */
static int leaks_expected;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return leaks_expected;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static const struct provenance provenance = {
    .mpi = "made-up MPI 1.0", .libraries = "made-up library 2.0", .job_id = "17"};

/* Begin and end cell `index` with a made-up record. */
static void finish_cell(struct fixture *f, struct rundir *dir, int index)
{
    char path[SPEC_PATH + 64], checksum[17];
    struct record *record = fixture_record(&f->cell[index], index);
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[index], 1, "node", 1));
    rundir_cell_path(f->run, f->cell[index].id, path);
    assert_ok(&f->err, cellfile_write(&f->err, path, &f->cell[index], record, checksum));
    assert_ok(&f->err, rundir_log_end(&f->err, dir, f->cell[index].id, record->status, checksum, 1,
                                      record->reason));
    record_free(record);
}

static struct rundir *open_run(struct fixture *f)
{
    struct rundir *dir = NULL;
    assert_ok(&f->err, rundir_open(&f->err, f->run, f->spec, &dir));
    assert_ok(&f->err, rundir_log_run(&f->err, dir, 2, f->cells, "17"));
    return dir;
}

static struct table *write_and_read(struct fixture *f, struct rundir *dir)
{
    char path[192];
    struct table *table = NULL;
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, &provenance));
    snprintf(path, sizeof path, "%s/study.nc", f->run);
    assert_ok(&f->err, table_read(&f->err, path, &table));
    return table;
}

/* The numbers of one cell in the table, against its made-up record or as missing. */
static void check_numbers(const struct fixture *f, const struct table *table, int cell,
                          bool finished)
{
    struct record *record = fixture_record(&f->cell[cell], cell);
    size_t checkpoints = (size_t)table->checkpoints;
    size_t each = checkpoints * (size_t)table->quantizers;
    const struct {
        const double *got, *want;
        size_t count;
    } column[] = {
        {table->loss, record->loss, checkpoints},
        {table->kl, record->kl, each},
        {table->delta_loss, record->delta_loss, each},
        {table->relative_loss_increase, record->relative_loss_increase, each},
        {table->top1_agreement, record->top1_agreement, each},
        {table->unigram_entropy, &record->unigram_entropy, 1},
    };
    for (size_t i = 0; i < sizeof column / sizeof column[0]; i++) {
        for (size_t k = 0; k < column[i].count; k++) {
            double got = column[i].got[(size_t)cell * column[i].count + k];
            assert_true(finished ? fixture_same(got, column[i].want[k]) : isnan(got));
        }
    }
    double wall = record->wall_time_train + record->wall_time_evaluate;
    assert_true(finished ? fixture_same(table->wall_time[cell], wall)
                         : isnan(table->wall_time[cell]));
    if (finished) {
        record->isa[31] = '\0';
        assert_string_equal(table->isa[cell], record->isa);
    } else {
        assert_string_equal(table->isa[cell], "");
    }
    record_free(record);
}

static void whole_study(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = open_run(f);
    for (int i = 0; i < f->cells; i++) {
        finish_cell(f, dir, i);
    }
    struct table *table = write_and_read(f, dir);
    assert_int_equal(table->cells, f->cells);
    assert_int_equal(table->checkpoints, f->cell->evaluate.checkpoints);
    assert_int_equal(table->quantizers, f->cell->evaluate.quantizers);
    assert_string_equal(table->name, f->spec->name);
    assert_string_equal(table->title, f->spec->title);
    assert_string_equal(table->note, f->spec->note);
    assert_string_equal(table->design, design_name(f->spec->design));
    assert_int_equal(strlen(table->date), 20);
    assert_true(table->version[0] != '\0' && table->commit[0] != '\0');
    for (int c = 0; c < table->checkpoints; c++) {
        assert_true(table->training_fraction[c] == f->cell->evaluate.fraction[c]);
    }
    for (int q = 0; q < table->quantizers; q++) {
        assert_string_equal(table->quantizer[q], f->cell->evaluate.quantizer[q].name);
    }
    for (int i = 0; i < f->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        assert_string_equal(cell->id, f->cell[i].id);
        assert_string_equal(cell->size, f->cell[i].size.name);
        assert_string_equal(cell->setting, f->cell[i].setting);
        assert_int_equal(cell->base, f->cell[i].base);
        assert_true(cell->seed == f->cell[i].seed);
        assert_true(cell->tokens == (double)f->cell[i].tokens);
        assert_true(cell->parameters == (double)cell_parameters(&f->cell[i]));
        assert_int_equal(cell->status, i % 2 == 0 ? CELL_DONE : CELL_DIVERGED);
        check_numbers(f, table, i, true);
    }
    table_free(table);
    table_free(NULL);
    rundir_close(dir);
}

/* Some cells finished, one failed, one running, the rest pending. */
static void partial_study(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = open_run(f);
    finish_cell(f, dir, 1);
    finish_cell(f, dir, f->cells - 1);
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[2], 1, "node", 1));
    assert_ok(&f->err, rundir_log_end(&f->err, dir, f->cell[2].id, CELL_FAILED, NULL, 1, "memory"));
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[3], 1, "node", 1));
    for (int again = 0; again < 2; again++) { /* the second replaces the first */
        struct table *table = write_and_read(f, dir);
        for (int i = 0; i < f->cells; i++) {
            bool finished = i == 1 || i == f->cells - 1;
            check_numbers(f, table, i, finished);
            assert_int_equal(table->cell[i].status, finished
                                                        ? (i % 2 == 0 ? CELL_DONE : CELL_DIVERGED)
                                                    : i == 2 ? CELL_FAILED
                                                    : i == 3 ? CELL_RUNNING
                                                             : CELL_PENDING);
        }
        table_free(table);
        assert_int_equal(fixture_entries(f->run), 6); /* and no temporary file */
    }
    rundir_close(dir);
}

/* More cells than a chunk holds, and seeds that need all 64 bits. */
static void large_seeds(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = open_run(f);
    f->cell[0].seed = UINT64_MAX;
    f->cell[1].seed = (1ULL << 53) + 1;
    struct table *table = write_and_read(f, dir);
    assert_true(table->cell[0].seed == UINT64_MAX);
    assert_true(table->cell[1].seed == (1ULL << 53) + 1);
    table_free(table);
    rundir_close(dir);
}

/* A finished cell whose file is damaged, exchanged or gone: named, and the old study.nc stays. */
static void damaged_cell(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = open_run(f);
    char path[SPEC_PATH + 64], study[192], before[17], after[17], checksum[17];
    finish_cell(f, dir, 0);
    finish_cell(f, dir, 1);
    table_free(write_and_read(f, dir));
    snprintf(study, sizeof study, "%s/study.nc", f->run);
    rundir_cell_path(f->run, f->cell[1].id, path);
    assert_ok(&f->err, cellfile_checksum(&f->err, study, before));
    struct record *other = fixture_record(&f->cell[1], 5);
    assert_ok(&f->err, cellfile_write(&f->err, path, &f->cell[1], other, checksum));
    record_free(other);
    assert_fails(&f->err, path,
                 aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, &provenance));
    assert_int_equal(truncate(path, 3000), 0);
    assert_fails(&f->err, path,
                 aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, &provenance));
    assert_int_equal(unlink(path), 0);
    assert_fails(&f->err, path,
                 aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, &provenance));
    assert_ok(&f->err, cellfile_checksum(&f->err, study, after));
    assert_string_equal(before, after);
    assert_int_equal(fixture_entries(f->run), 6);
    assert_fails(&f->err, "without cells",
                 aggregate_write(&f->err, dir, f->spec, f->cell, 0, &provenance));
    rundir_close(dir);
}

/* A disk that is full (here: files that may not grow) leaves the old study.nc; once there is
 * space, the same process writes the new one, and ends as it should. */
static void full_disk(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = open_run(f);
    char study[192], before[17], after[17];
    finish_cell(f, dir, 0);
    table_free(write_and_read(f, dir));
    snprintf(study, sizeof study, "%s/study.nc", f->run);
    assert_ok(&f->err, cellfile_checksum(&f->err, study, before));
    rundir_close(dir); /* its lease is this process's */
    pid_t child = fork();
    if (child == 0) {
        dir = open_run(f);
        struct rlimit small = {20000, RLIM_INFINITY}, large = {RLIM_INFINITY, RLIM_INFINITY};
        leaks_expected = 1;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        int failed = aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, &provenance) !=
                         STATUS_FAILED ||
                     strstr(f->err.message, study) == NULL ||
                     cellfile_checksum(NULL, study, after) != STATUS_OK ||
                     strcmp(before, after) != 0 || fixture_entries(f->run) != 6;
        setrlimit(RLIMIT_FSIZE, &large);
        failed |= aggregate_write(NULL, dir, f->spec, f->cell, f->cells, &provenance) != STATUS_OK;
        if (failed) {
            _exit(1);
        }
        exit(0); /* with all clean-up functions: none may crash */
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    struct table *table = NULL;
    assert_ok(&f->err, table_read(&f->err, study, &table));
    table_free(table);
    assert_int_equal(fixture_entries(f->run), 6);
}

static void not_a_study(void **state)
{
    struct fixture *f = *state;
    char path[192], checksum[17];
    struct table *table = NULL;
    snprintf(path, sizeof path, "%s/x.nc", f->folder);
    assert_fails(&f->err, "x.nc", table_read(&f->err, path, &table));
    fixture_put(path, "not NetCDF at all", 17);
    assert_fails(&f->err, "x.nc", table_read(&f->err, path, &table));
    struct record *record = fixture_record(f->cell, 0); /* NetCDF, but of one cell */
    assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, checksum));
    record_free(record);
    assert_fails(&f->err, "study_name", table_read(&f->err, path, &table));
    /* A study.nc cut anywhere is an error, never a crash. */
    struct rundir *dir = open_run(f);
    finish_cell(f, dir, 0);
    table_free(write_and_read(f, dir));
    rundir_close(dir);
    size_t size = 0;
    snprintf(path, sizeof path, "%s/study.nc", f->run);
    char *bytes = fixture_bytes(path, &size);
    snprintf(path, sizeof path, "%s/x.nc", f->folder);
    for (size_t i = 0; i < 40; i++) {
        fixture_put(path, bytes, size * i / 40);
        assert_fails(&f->err, "x.nc", table_read(&f->err, path, &table));
    }
    /* Nor does one flipped bit anywhere, the seal at its end included. */
    for (size_t i = 0; i < 200; i++) {
        const size_t at = (size * i + size / 2) / 200;
        bytes[at] ^= 16;
        fixture_put(path, bytes, size);
        assert_fails(&f->err, "x.nc: the file is damaged", table_read(&f->err, path, &table));
        bytes[at] ^= 16;
    }
    bytes[size - 2] ^= 1;
    fixture_put(path, bytes, size);
    assert_fails(&f->err, "x.nc: the file is damaged", table_read(&f->err, path, &table));
    /* Another program's rewriting takes the seal away; that is no damage. */
    const char *seal = memmem(bytes, size, SEAL_STUDY " XXH64 ", sizeof SEAL_STUDY " XXH64 " - 1);
    assert_non_null(seal);
    fixture_put(path, bytes, (size_t)(seal - bytes));
    assert_ok(&f->err, table_read(&f->err, path, &table));
    table_free(table);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_study),  TEST(partial_study), TEST(large_seeds),
        TEST(damaged_cell), TEST(full_disk),     TEST(not_a_study),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
