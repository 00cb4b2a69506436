/* The schema, records, and cell files: whole, damaged, and where none can be written. */
#include "tests/unit/results_fixture.h"

#include "results/settings.h"

/* Every byte of struct record belongs to exactly one schema entry, but for the four sizes and
 * padding. */
static void schema_covers_record(void **state)
{
    (void)state;
    static unsigned char owners[sizeof(struct record)];
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        assert_true(entry->offset + entry->size <= sizeof(struct record));
        for (size_t k = 0; k < entry->size; k++) {
            owners[entry->offset + k]++;
        }
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(entry->name, schema_entry(j)->name);
        }
        assert_ptr_equal(schema_find(entry->name), entry);
        assert_true(entry->units[0] != '\0' && entry->long_name[0] != '\0');
        assert_true(entry->comment[0] != '\0');
        assert_true(entry->ancillary == NULL || schema_find(entry->ancillary) != NULL);
    }
    size_t sizes = offsetof(struct record, checkpoints);
    for (size_t k = sizes; k < sizes + 6 * sizeof(int); k++) {
        assert_int_equal(owners[k]++, 0);
    }
    size_t gap = 0;
    for (size_t k = 0; k < sizeof(struct record); k++) {
        gap = owners[k] == 0 ? gap + 1 : 0;
        assert_true(owners[k] <= 1);
        assert_true(gap < sizeof(double)); /* padding at most */
    }
}

static void settings_are_distinct(void **state)
{
    (void)state;
    for (int i = 0; i < settings_count(); i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(settings_entry(i)->name, settings_entry(j)->name);
        }
        assert_null(schema_find(settings_entry(i)->name));
    }
}

static void new_record_is_missing(void **state)
{
    struct fixture *f = *state;
    struct record *record = NULL;
    assert_ok(&f->err, record_create(&f->err, f->cell, &record));
    assert_int_equal(record->checkpoints, f->cell->evaluate.checkpoints);
    assert_int_equal(record->quantizers, f->cell->evaluate.quantizers);
    assert_int_equal(record->windows, f->cell->evaluate.windows);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            assert_string_equal(schema_text(entry, record), "");
        } else if (entry->type != SCHEMA_STATUS) {
            for (size_t k = 0; k < schema_values(entry, f->cell); k++) {
                assert_true(isnan(schema_numbers(entry, record)[k]));
            }
        }
    }
    record_free(record);
    record_free(NULL);
    struct cell large = *f->cell;
    large.evaluate.windows = INT_MAX;
    assert_fails(&f->err, "windows", record_create(&f->err, &large, &record));
}

static void round_trip(void **state)
{
    struct fixture *f = *state;
    char path[128], checksum[17], again[17];
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    for (int salt = 0; salt < 3; salt++) {
        struct record *record = fixture_record(f->cell, salt), *read = NULL;
        record->loss[0] = INFINITY; /* infinite is not missing */
        assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, checksum));
        assert_ok(&f->err, cellfile_checksum(&f->err, path, again));
        assert_string_equal(checksum, again);
        assert_int_equal(fixture_entries(f->folder), 1);
        assert_ok(&f->err, cellfile_read(&f->err, path, f->cell, &read));
        fixture_assert_same(f->cell, record, read);
        record_free(record);
        record_free(read);
    }
}

/* A study without quantizers or windows still has files. */
static void empty_dimensions(void **state)
{
    struct fixture *f = *state;
    char path[128], checksum[17];
    struct cell bare = *f->cell;
    bare.evaluate.quantizers = 0;
    bare.evaluate.windows = 0;
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    struct record *record = fixture_record(&bare, 0), *read = NULL;
    assert_ok(&f->err, cellfile_write(&f->err, path, &bare, record, checksum));
    assert_ok(&f->err, cellfile_read(&f->err, path, &bare, &read));
    fixture_assert_same(&bare, record, read);
    record_free(record);
    record_free(read);
}

static void other_cell(void **state)
{
    struct fixture *f = *state;
    char path[128], checksum[17];
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    struct record *record = fixture_record(f->cell, 0), *read = NULL;
    assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, checksum));
    assert_fails(&f->err, f->cell[1].id, cellfile_read(&f->err, path, &f->cell[1], &read));
    struct cell other = *f->cell; /* the id right, the dimensions not */
    other.evaluate.windows++;
    assert_fails(&f->err, "dimensions", cellfile_read(&f->err, path, &other, &read));
    other.evaluate.windows--;
    assert_fails(&f->err, "no.nc", cellfile_read(&f->err, "/nowhere/no.nc", f->cell, &read));
    record->status = CELL_FAILED;
    assert_fails(&f->err, "failed", cellfile_write(&f->err, path, f->cell, record, checksum));
    record->status = CELL_DONE;
    record->windows++;
    assert_fails(&f->err, "record", cellfile_write(&f->err, path, f->cell, record, checksum));
    record_free(record);
}

/* Cut at many lengths and with flipped bits: each time an error that names the file. */
static void damage(void **state)
{
    struct fixture *f = *state;
    char path[128], bad[128], checksum[17];
    uint64_t random = 1;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    snprintf(bad, sizeof bad, "%s/bad.nc", f->folder);
    struct record *record = fixture_record(f->cell, 0), *read = NULL;
    assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, checksum));
    record_free(record);
    char *bytes = fixture_bytes(path, &size);
    for (int i = 0; i < 150; i++) {
        size_t length = i < 50    ? (size_t)i
                        : i < 100 ? size - (size_t)(i - 49)
                                  : fixture_random(&random) % size;
        fixture_put(bad, bytes, length);
        assert_fails(&f->err, "bad.nc", cellfile_read(&f->err, bad, f->cell, &read));
    }
    for (int i = 0; i < 300; i++) {
        size_t at = fixture_random(&random) % size;
        char flip = (char)(1 << fixture_random(&random) % 8);
        bytes[at] ^= flip;
        fixture_put(bad, bytes, size);
        assert_fails(&f->err, "bad.nc", cellfile_read(&f->err, bad, f->cell, &read));
        assert_ok(&f->err, cellfile_checksum(&f->err, bad, path));
        assert_string_not_equal(path, checksum);
        bytes[at] ^= flip;
    }
    fixture_put(bad, bytes, size);
    assert_ok(&f->err, cellfile_read(&f->err, bad, f->cell, &read));
    record_free(read);
    free(bytes);
}

/* Where it cannot be written, nothing appears and nothing changes. */
static void unwritable(void **state)
{
    struct fixture *f = *state;
    char path[128], checksum[17], before[17], after[17];
    struct record *record = fixture_record(f->cell, 0);
    snprintf(path, sizeof path, "%s/none/cell.nc", f->folder);
    assert_fails(&f->err, path, cellfile_write(&f->err, path, f->cell, record, checksum));
    snprintf(path, sizeof path, "%s/cell.nc", f->folder);
    assert_ok(&f->err, cellfile_write(&f->err, path, f->cell, record, before));
    /* A child whose files may not grow beyond 1 KiB stands for a disk that is full. */
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit small = {1024, 1024};
        setrlimit(RLIMIT_FSIZE, &small);
        int status = cellfile_write(&f->err, path, f->cell, record, checksum);
        _exit(status == STATUS_FAILED && strstr(f->err.message, "cell.nc") != NULL ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_ok(&f->err, cellfile_checksum(&f->err, path, after));
    assert_string_equal(before, after);
    assert_int_equal(fixture_entries(f->folder), 1);
    record_free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_covers_record),
        cmocka_unit_test(settings_are_distinct),
        cmocka_unit_test_setup_teardown(new_record_is_missing, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(round_trip, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(empty_dimensions, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(other_cell, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(damage, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(unwritable, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
