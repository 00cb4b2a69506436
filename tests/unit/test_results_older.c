/* Files from before there were probes and tasks: read with them missing. And a study whose sizes differ in depth. */
#include "tests/unit/results_fixture.h"

#include <netcdf.h>
#include <netcdf_mem.h>

#include "results/aggregate.h"
#include "results/explain_record.h"
#include "results/seal.h"
#include "results/studyread.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Rename a variable, so that its own name is missing. */
static void hide(int file, const char *name)
{
    int id = -1;
    char other[96];
    snprintf(other, sizeof other, "other_%s", name);
    assert_int_equal(nc_inq_varid(file, name, &id), NC_NOERR);
    assert_int_equal(nc_rename_var(file, id, other), NC_NOERR);
}

static void hide_probes(int file)
{
    int hidden = 0;
    for (int i = 0; i < schema_count(); i++) {
        if (schema_optional(schema_entry(i))) {
            hide(file, schema_entry(i)->name);
            hidden++;
        }
    }
    assert_int_equal(hidden, 13 + 3 + 2 + 18 + 1);
}

static bool is_new(const char *name)
{
    const struct schema_entry *entry = schema_find(name);
    return (entry != NULL && schema_optional(entry)) || strcmp(name, "layer") == 0 ||
           strcmp(name, "site") == 0 || strcmp(name, "norm") == 0 || strcmp(name, "task") == 0 ||
           strcmp(name, "item") == 0;
}

/* Put a copy of a cell file in its place, as it was before there were probes, and without variable `lost`. */
static void make_older(const char *path, const char *lost)
{
    size_t size = 0;
    int from = -1, to = -1, dimensions = 0, variables = 0, attributes = 0;
    char *bytes = fixture_bytes(path, &size), name[NC_MAX_NAME + 1];
    NC_memio built = {0};
    assert_true(seal_holds(SEAL_CELL, bytes, size, &size));
    assert_int_equal(nc_open_mem(path, NC_NOWRITE, size, bytes, &from), NC_NOERR);
    assert_int_equal(nc_create_mem("older", NC_NETCDF4, 4096, &to), NC_NOERR);
    assert_int_equal(nc_inq(from, &dimensions, &variables, &attributes, NULL), NC_NOERR);
    for (int i = 0; i < attributes; i++) {
        assert_int_equal(nc_inq_attname(from, NC_GLOBAL, i, name), NC_NOERR);
        assert_int_equal(nc_copy_att(from, NC_GLOBAL, name, to, NC_GLOBAL), NC_NOERR);
    }
    for (int i = 0, id; i < dimensions; i++) {
        size_t length = 0;
        assert_int_equal(nc_inq_dim(from, i, name, &length), NC_NOERR);
        assert_true(is_new(name) || nc_def_dim(to, name, length, &id) == NC_NOERR);
    }
    for (int i = 0; i < variables; i++) {
        nc_type type = NC_NAT;
        assert_int_equal(nc_inq_var(from, i, name, &type, NULL, NULL, NULL), NC_NOERR);
        /* Names of quantizers are not read back, and the library does not copy strings. */
        if (!is_new(name) && strcmp(name, lost) != 0 && type != NC_STRING) {
            assert_int_equal(nc_copy_var(from, i, to), NC_NOERR);
        }
    }
    nc_close(from);
    free(bytes);
    assert_int_equal(nc_close_memio(to, &built), NC_NOERR);
    bytes = realloc(built.memory, built.size + SEAL_LENGTH);
    assert_non_null(bytes);
    size = built.size + seal_make(SEAL_CELL, bytes, built.size, bytes + built.size);
    fixture_put(path, bytes, size);
    free(bytes);
}

/* The made-up record as a file without probes gives it back. */
static struct record *without_probes(const struct cell *cell, int salt)
{
    struct record *record = fixture_record(cell, salt);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        for (size_t k = 0; schema_optional(entry) && k < schema_values(entry, cell); k++) {
            schema_numbers(entry, record)[k] = NAN;
        }
    }
    return record;
}

static void cell_file(void **state)
{
    struct fixture *f = *state;
    char path[128], checksum[17];
    struct record *record = fixture_record(f->cell, 0), *read = NULL;
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, checksum));
    record_free(record);
    make_older(path, "");
    assert_ok(&f->err, cellfile_read(&f->err, path, f->cell, &read));
    record = without_probes(f->cell, 0);
    fixture_assert_same(f->cell, record, read);
    /* No table of probes then, and no table of nothing. */
    FILE *out = tmpfile();
    assert_non_null(out);
    assert_ok(&f->err, explain_probes(&f->err, out, read));
    assert_int_equal(ftell(out), 0);
    fclose(out);
    record_free(read);
    record_free(record);
    /* Other variables are needed. */
    make_older(path, "kl");
    assert_fails(&f->err, "\"kl\" is missing", cellfile_read(&f->err, path, f->cell, &read));
}

/* The made-up record as a study.nc gives it back: fractions belong to the study. */
static void assert_read(const struct studyread *study, const struct cell *cell, int index,
                        struct record *record)
{
    struct error err = {0};
    struct record *read = NULL;
    memcpy(record->training_fraction, cell->evaluate.fraction,
           (size_t)record->checkpoints * sizeof cell->evaluate.fraction[0]);
    assert_ok(&err, studyread_record(&err, study, index, &read));
    assert_int_equal(read->layers, cell->size.layers);
    fixture_assert_same(cell, record, read);
    record_free(record);
    record_free(read);
}

/* A study.nc of all cells with made-up records. */
static void make_study(struct fixture *f, char path[192])
{
    struct rundir *dir = NULL;
    char file[SPEC_PATH + 64], checksum[17];
    assert_ok(&f->err, rundir_open(&f->err, f->run, f->spec, &dir));
    for (int i = 0; i < f->cells; i++) {
        const struct cell *cell = &f->cell[i];
        struct record *record = fixture_record(cell, i);
        rundir_cell_path(f->run, cell->id, file);
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
        assert_ok(&f->err, cellfile_write(&f->err, file, cell, record, checksum));
        assert_ok(&f->err, rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, ""));
        record_free(record);
    }
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    rundir_close(dir);
    snprintf(path, 192, "%s/study.nc", f->run);
}

/* The deepest decides the length of `layer`; each cell gets back what it had. */
static void depths(void **state)
{
    struct fixture *f = *state;
    char path[192];
    struct studyread *study = NULL;
    int file = -1, dimension = -1, id = -1;
    size_t layers = 0;
    for (int i = 0; i < f->cells; i++) {
        f->cell[i].size.layers = i % 3 == 1 ? 5 : i % 3 + 1;
    }
    make_study(f, path);
    assert_ok(&f->err, studyread_open(&f->err, path, &study));
    for (int i = 0; i < f->cells; i++) {
        assert_read(study, &f->cell[i], i, fixture_record(&f->cell[i], i));
    }
    studyread_close(study);
    assert_int_equal(nc_open(path, NC_NOWRITE, &file), NC_NOERR);
    assert_int_equal(nc_inq_dimid(file, "layer", &dimension), NC_NOERR);
    assert_int_equal(nc_inq_dimlen(file, dimension, &layers), NC_NOERR);
    assert_int_equal(layers, 5);
    /* Cell 0 has one block; behind it there is nothing. */
    double value[5 * RECORD_SITES];
    const size_t start[] = {0, 1, 0, 0}, count[] = {1, 1, 5, RECORD_SITES};
    assert_int_equal(nc_inq_varid(file, "probe_input_std", &id), NC_NOERR);
    assert_int_equal(nc_get_vara_double(file, id, start, count, value), NC_NOERR);
    for (int k = RECORD_SITES; k < 5 * RECORD_SITES; k++) {
        assert_true(value[k] == NC_FILL_DOUBLE);
    }
    assert_true(value[0] != NC_FILL_DOUBLE || value[1] != NC_FILL_DOUBLE);
    nc_close(file);
}

static void study_file(void **state)
{
    struct fixture *f = *state;
    char path[192];
    struct studyread *study = NULL;
    int file = -1;
    make_study(f, path);
    assert_int_equal(nc_open(path, NC_WRITE, &file), NC_NOERR);
    hide_probes(file);
    assert_int_equal(nc_close(file), NC_NOERR);
    assert_ok(&f->err, studyread_open(&f->err, path, &study));
    for (int i = 0; i < f->cells; i++) {
        assert_read(study, &f->cell[i], i, without_probes(&f->cell[i], i));
    }
    studyread_close(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(cell_file), TEST(depths), TEST(study_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
