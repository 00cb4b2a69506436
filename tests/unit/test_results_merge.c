/* Several runs in one study.nc: shards, copies, other studies; and what cannot be merged. */
#include "tests/unit/report_fixture.h"
#include "tests/unit/results_fixture.h"

#include "results/aggregate.h"
#include "results/merge.h"
#include "results/studyread.h"
#include "results/table.h"

enum { PATH = 192 };

static int setup(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    struct fixture *f = *state;
    /* As after a run: then the cells are known without the text. */
    snprintf(f->spec->data.fingerprint, CELL_ID, "%s", "0123456789abcdef0123456789abcdef");
    free(f->cell);
    return spec_cells(&f->err, f->spec, &f->cell, &f->cells) == STATUS_OK ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

static const char *in(const struct fixture *f, const char *name, char path[PATH])
{
    snprintf(path, PATH, "%s/%s", f->folder, name);
    return path;
}

/* Begin and end cell `index` of cells with its made-up record. */
static void finish(struct fixture *f, struct rundir *dir, const struct cell *cell, int salt)
{
    char path[SPEC_PATH + 64], checksum[17];
    struct record *record = fixture_record(cell, salt);
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
    rundir_cell_path(rundir_path(dir), cell->id, path);
    assert_ok(&f->err, cellfile_write(&f->err, path, cell, record, checksum));
    assert_ok(&f->err,
              rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, record->reason));
    record_free(record);
}

/* A run of f->spec in folder `name` with study.nc; cells for which finished[number] is ' ' are left out,
 * 'F' has failed, others are finished. */
static void make_run(struct fixture *f, const char *name, const char *finished)
{
    char path[PATH];
    struct rundir *dir = NULL;
    struct cell *cells = NULL;
    int count = 0;
    assert_ok(&f->err, spec_cells(&f->err, f->spec, &cells, &count));
    assert_ok(&f->err, rundir_open(&f->err, in(f, name, path), f->spec, &dir));
    assert_ok(&f->err, rundir_log_run(&f->err, dir, 2, count, name));
    for (int i = 0; i < count; i++) {
        char what = finished[cells[i].number];
        if (what == 'F') {
            assert_ok(&f->err, rundir_log_begin(&f->err, dir, &cells[i], 1, "node", 1));
            assert_ok(&f->err, rundir_log_end(&f->err, dir, cells[i].id, CELL_FAILED, NULL, 1,
                                              "made-up failure"));
        } else if (what != ' ') {
            finish(f, dir, &cells[i], cells[i].number);
        }
    }
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, cells, count, NULL));
    rundir_close(dir);
    free(cells);
}

static const char all[] = "000000000000";

static void merge(struct fixture *f, const char *out, const char *const *input, int inputs,
                  struct merge_summary *summary)
{
    char path[PATH], given[8][PATH];
    const char *list[8];
    for (int i = 0; i < inputs; i++) {
        list[i] = in(f, input[i], given[i]);
    }
    assert_ok(&f->err, merge_write(&f->err, in(f, out, path), list, inputs, false, summary));
}

/* Both files hold the same cells and records, in the same order. */
static void assert_same_study(struct fixture *f, const char *a, const char *b)
{
    char path[PATH];
    struct studyread *x = NULL, *y = NULL;
    const struct cell *left = NULL, *right = NULL;
    assert_ok(&f->err, studyread_open(&f->err, in(f, a, path), &x));
    assert_ok(&f->err, studyread_open(&f->err, in(f, b, path), &y));
    int cells = studyread_cells(x, &left);
    assert_int_equal(cells, studyread_cells(y, &right));
    for (int i = 0; i < cells; i++) {
        struct record *mine = NULL, *other = NULL;
        assert_memory_equal(&left[i], &right[i], sizeof left[i]);
        assert_int_equal(studyread_status(x, i), studyread_status(y, i));
        assert_ok(&f->err, studyread_record(&f->err, x, i, &mine));
        assert_ok(&f->err, studyread_record(&f->err, y, i, &other));
        fixture_assert_same(&left[i], mine, other);
        record_free(mine);
        record_free(other);
    }
    studyread_close(x);
    studyread_close(y);
}

static char *attribute(struct fixture *f, const char *file, const char *name)
{
    char path[PATH], *text = NULL;
    struct studyread *study = NULL;
    assert_ok(&f->err, studyread_open(&f->err, in(f, file, path), &study));
    assert_ok(&f->err, studyread_attribute(&f->err, study, name, &text));
    studyread_close(study);
    return text;
}

static void assert_attribute(struct fixture *f, const char *file, const char *name,
                             const char *contains)
{
    char *text = attribute(f, file, name);
    if (strstr(text, contains) == NULL) {
        fail_msg("%s: \"%s\" is not in \"%s\"", name, contains, text);
    }
    free(text);
}

/* A study.nc gives back the cells and records that it was made of. */
static void reading(void **state)
{
    struct fixture *f = *state;
    char path[PATH];
    struct studyread *study = NULL;
    const struct cell *read = NULL;
    make_run(f, "a", "0000 F0000000000");
    assert_ok(&f->err, studyread_open(&f->err, in(f, "a/study.nc", path), &study));
    assert_int_equal(studyread_cells(study, &read), f->cells);
    for (int i = 0; i < f->cells; i++) {
        const struct cell *cell = &f->cell[i];
        struct record *record = NULL;
        assert_string_equal(read[i].id, cell->id);
        assert_string_equal(read[i].setting, cell->setting);
        assert_int_equal(read[i].number, i);
        assert_int_equal(read[i].base, cell->base);
        assert_int_equal(read[i].seed, cell->seed);
        assert_int_equal(read[i].tokens, cell->tokens);
        assert_memory_equal(&read[i].size, &cell->size, sizeof cell->size);
        assert_memory_equal(&read[i].model, &cell->model, sizeof cell->model);
        assert_true(read[i].train.learning_rate == cell->train.learning_rate);
        assert_true(read[i].train.total_decay == cell->train.total_decay);
        assert_int_equal(read[i].train.precision, cell->train.precision);
        assert_int_equal(cell_parameters(&read[i]), cell_parameters(cell));
        assert_int_equal(read[i].evaluate.windows, cell->evaluate.windows);
        assert_ok(&f->err, studyread_record(&f->err, study, i, &record));
        if (i == 4 || i == 5) {
            assert_int_equal(record->status, i == 4 ? CELL_PENDING : CELL_FAILED);
            assert_true(isnan(record->loss[0]));
        } else {
            struct record *made = fixture_record(cell, i);
            memcpy(made->training_fraction, cell->evaluate.fraction, /* the study's */
                   (size_t)made->checkpoints * sizeof *made->training_fraction);
            fixture_assert_same(cell, record, made);
            record_free(made);
        }
        record_free(record);
    }
    studyread_close(study);
}

/* The merged shards are the unsharded run, whatever the order of the inputs. */
static void shards(void **state)
{
    struct fixture *f = *state;
    enum { SHARDS = 4 };
    char name[32];
    struct merge_summary summary;
    make_run(f, "whole", all);
    char *whole = attribute(f, "whole/study.nc", "study_expanded");
    char *id = attribute(f, "whole/study.nc", "id");
    for (int i = 1; i <= SHARDS; i++) {
        f->spec->shard = (struct shard){i, SHARDS};
        snprintf(name, sizeof name, "array/shard-%d", i);
        make_run(f, name, all);
    }
    static const char *const backwards[] = {"array/shard-4/study.nc", "array/shard-3",
                                            "array/shard-2/study.nc", "array/shard-1"};
    merge(f, "out.nc", backwards, SHARDS, &summary);
    assert_int_equal(summary.files, SHARDS);
    assert_int_equal(summary.cells, f->cells);
    assert_int_equal(summary.finished, f->cells);
    assert_int_equal(summary.duplicates, 0);
    assert_same_study(f, "out.nc", "whole/study.nc");
    char *expanded = attribute(f, "out.nc", "study_expanded");
    assert_string_equal(expanded, whole);
    assert_attribute(f, "out.nc", "id", id);
    assert_attribute(f, "out.nc", "history", " merged by ptqscale ");
    assert_attribute(f, "out.nc", "history", "job=array/shard-3");
    assert_attribute(f, "out.nc", "job_ids", "array/shard-1");

    static const char *const folder[] = {"array"}, *const partly[] = {"array/shard-2"},
                             *const rest[] = {"some.nc", "array/shard-1", "array/shard-3",
                                              "array/shard-4"};
    merge(f, "folder.nc", folder, 1, &summary);
    assert_same_study(f, "folder.nc", "whole/study.nc");
    merge(f, "some.nc", partly, 1, &summary); /* then into itself */
    assert_int_equal(summary.cells, f->cells / SHARDS);
    merge(f, "some.nc", rest, 4, &summary);
    assert_same_study(f, "some.nc", "whole/study.nc");
    free(whole);
    free(expanded);
    free(id);

    char path[PATH], *text = NULL;
    size_t size = 0;
    struct table *table = NULL;
    assert_ok(&f->err, table_read(&f->err, in(f, "out.nc", path), &table));
    FILE *out = open_memstream(&text, &size);
    assert_ok(&f->err, fixture_report(&f->err, out, table, NULL, false));
    fclose(out);
    assert_non_null(strstr(text, "6 done + 6 diverged") != NULL ? text : strstr(text, "Cells:"));
    free(text);
    table_free(table);
}

static void copies(void **state)
{
    struct fixture *f = *state;
    struct merge_summary summary;
    static const char *const two[] = {"a", "b"}, *const back[] = {"b", "a"};
    make_run(f, "a", "0000    00FF");
    make_run(f, "b", "000 F  00  0");
    make_run(f, "both", "0000F  000F0");
    merge(f, "out.nc", two, 2, &summary);
    assert_int_equal(summary.cells, f->cells);
    assert_int_equal(summary.duplicates, f->cells);
    assert_int_equal(summary.finished, 8);
    assert_same_study(f, "out.nc", "both/study.nc");
    merge(f, "out.nc", back, 2, &summary);
    assert_same_study(f, "out.nc", "both/study.nc");
}

/* A copy from before there were probes does not contradict one that has them. */
static void missing_probes(void **state)
{
    struct fixture *f = *state;
    char a[PATH], b[PATH], out[PATH], path[SPEC_PATH + 64], checksum[17];
    struct merge_summary summary;
    struct rundir *dir = NULL;
    const struct cell *cell = &f->cell[1];
    struct record *record = fixture_record(cell, cell->number);
    make_run(f, "a", all);
    make_run(f, "b", "            ");
    const char *const inputs[] = {in(f, "a", a), in(f, "b", b)};
    in(f, "out.nc", out);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        for (size_t k = 0; schema_optional(entry) && k < schema_values(entry, cell); k++) {
            schema_numbers(entry, record)[k] = NAN;
        }
    }
    assert_ok(&f->err, rundir_open(&f->err, b, f->spec, &dir));
    assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
    rundir_cell_path(b, cell->id, path);
    assert_ok(&f->err, cellfile_write(&f->err, path, cell, record, checksum));
    assert_ok(&f->err, rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, ""));
    record_free(record);
    rundir_close(dir);
    assert_ok(&f->err, merge_write(&f->err, out, inputs, 2, false, &summary));
    assert_int_equal(summary.finished, f->cells);
}

/* Copies that differ are an error, unless in how they were made. */
static void conflicts(void **state)
{
    struct fixture *f = *state;
    char a[PATH], b[PATH], out[PATH], before[17], after[17], path[SPEC_PATH + 64], checksum[17];
    struct merge_summary summary;
    make_run(f, "a", all);
    make_run(f, "b", "            ");
    const char *const inputs[] = {in(f, "a", a), in(f, "b", b)};
    merge(f, "out.nc", (const char *const[]){"a"}, 1, &summary);
    in(f, "out.nc", out);
    assert_ok(&f->err, cellfile_checksum(&f->err, out, before));
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        const struct cell *cell = &f->cell[i % f->cells];
        struct rundir *dir = NULL;
        struct record *record = fixture_record(cell, cell->number);
        if (entry->type == SCHEMA_STATUS) {
            record->status = record->status == CELL_DONE ? CELL_DIVERGED : CELL_DONE;
        } else if (entry->type == SCHEMA_TEXT) {
            schema_text(entry, record)[0] ^= 1;
        } else {
            double *last = schema_numbers(entry, record) + schema_values(entry, cell) - 1;
            *last = isnan(*last) ? 1 : NAN;
        }
        if (entry->role == SCHEMA_STUDY_WIDE || (i > 2 && i % 3 != 0)) { /* a sample, to be quick */
            record_free(record);
            continue;
        }
        assert_ok(&f->err, rundir_open(&f->err, b, f->spec, &dir));
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
        rundir_cell_path(b, cell->id, path);
        assert_ok(&f->err, cellfile_write(&f->err, path, cell, record, checksum));
        assert_ok(&f->err, rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, ""));
        /* No aggregate: the folder's study.nc is older than its cells. */
        if (entry->role == SCHEMA_RESULT) {
            assert_int_equal(merge_write(&f->err, out, inputs, 2, false, &summary), STATUS_FAILED);
            assert_non_null(strstr(f->err.message, cell->id));
            assert_non_null(strstr(f->err.message, entry->name));
            assert_non_null(strstr(f->err.message, a));
            assert_non_null(strstr(f->err.message, b));
            error_clear(&f->err);
        } else {
            assert_ok(&f->err, merge_write(&f->err, out, inputs, 2, false, &summary));
            assert_ok(&f->err, cellfile_checksum(&f->err, out, before));
        }
        assert_ok(&f->err, cellfile_checksum(&f->err, out, after));
        assert_string_equal(before, after);
        record_free(record);
        record = fixture_record(cell, cell->number); /* as it was */
        assert_ok(&f->err, cellfile_write(&f->err, path, cell, record, checksum));
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, cell, 1, "node", 1));
        assert_ok(&f->err, rundir_log_end(&f->err, dir, cell->id, record->status, checksum, 1, ""));
        record_free(record);
        rundir_close(dir);
    }
    assert_int_equal(fixture_entries(f->folder), 3); /* a, b, out.nc: nothing is left behind */
}

static void respec(struct fixture *f, const char *name, uint64_t first_seed)
{
    snprintf(f->spec->name, sizeof f->spec->name, "%s", name);
    for (int i = 0; i < f->spec->seeds; i++) {
        f->spec->seed[i] = first_seed + (uint64_t)i;
    }
}

/* Two studies that fit together: one behind the other, with numbers that ascend. */
static void other_studies(void **state)
{
    struct fixture *f = *state;
    char path[PATH];
    struct merge_summary summary;
    struct studyread *study = NULL;
    const struct cell *cell = NULL;
    respec(f, "first", 1);
    make_run(f, "a", all);
    respec(f, "second", 11);
    make_run(f, "b", all);
    merge(f, "out.nc", (const char *const[]){"b", "a"}, 2, &summary);
    assert_int_equal(summary.cells, 2 * f->cells);
    assert_ok(&f->err, studyread_open(&f->err, in(f, "out.nc", path), &study));
    assert_int_equal(studyread_cells(study, &cell), 2 * f->cells);
    for (int i = 0; i < 2 * f->cells; i++) {
        assert_int_equal(cell[i].number, i);
        assert_int_equal(cell[i].seed > 10, i < f->cells);
    }
    studyread_close(study);
    assert_attribute(f, "out.nc", "study_name", "second+first");
    assert_attribute(f, "out.nc", "study_expanded", "name: \"first\"");
    assert_attribute(f, "out.nc", "study_expanded", "name: \"second\"");
}

static void misfits(void **state)
{
    struct fixture *f = *state;
    char out[PATH], a[PATH], b[PATH];
    struct merge_summary summary;
    struct spec kept;
    const char *const inputs[] = {in(f, "a", a), in(f, "b", b)};
    in(f, "out.nc", out);
    make_run(f, "a", all);
    memcpy(&kept, f->spec, sizeof kept);
    static const char *const says[] = {"held-out windows", "quantizers", "fractions",
                                       "the same in another order", "learning_rate is"};
    for (int i = 0; i < 5; i++) {
        memcpy(f->spec, &kept, sizeof kept);
        switch (i) {
        case 0:
            f->spec->evaluate.windows++;
            break;
        case 1:
            f->spec->evaluate.quantizers--;
            break;
        case 2:
            f->spec->evaluate.fraction[0] = 0.25;
            break;
        case 3:
            assert_true(kept.evaluate.quantizers > 1);
            f->spec->evaluate.quantizer[0] = kept.evaluate.quantizer[1];
            f->spec->evaluate.quantizer[1] = kept.evaluate.quantizer[0];
            break;
        default:
            for (int s = 0; s < f->spec->sizes; s++) {
                f->spec->size_learning_rate[s] *= 2;
            }
            break;
        }
        make_run(f, "b", "            ");
        assert_fails(&f->err, says[i], merge_write(&f->err, out, inputs, 2, false, &summary));
        assert_fails(&f->err, i < 4 ? b : "not the same",
                     merge_write(&f->err, out, inputs, 2, false, &summary));
        nftw(b, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
    assert_int_not_equal(access(out, F_OK), 0);
}

static void wrong_files(void **state)
{
    struct fixture *f = *state;
    char out[PATH], a[PATH], b[PATH], checksum[17];
    struct merge_summary summary;
    const char *const inputs[] = {in(f, "a", a)}, *const gone[] = {in(f, "gone", b)};
    make_run(f, "a", all);
    /* merge A B, without OUT.nc */
    assert_int_equal(merge_write(&f->err, a, inputs, 1, false, &summary), STATUS_USAGE);
    assert_non_null(strstr(f->err.message, "OUT.nc"));
    error_clear(&f->err);
    fixture_put(in(f, "notes.txt", out), "my notes", 8);
    assert_int_equal(merge_write(&f->err, out, inputs, 1, false, &summary), STATUS_USAGE);
    assert_non_null(strstr(f->err.message, "notes.txt"));
    error_clear(&f->err);
    in(f, "out.nc", out);
    assert_fails(&f->err, "gone", merge_write(&f->err, out, gone, 1, false, &summary));
    assert_fails(&f->err, "no journal",
                 merge_write(&f->err, out, (const char *const[]){f->folder}, 1, false, &summary));
    in(f, "cell.nc", b);
    struct record *record = fixture_record(f->cell, 0);
    assert_ok(&f->err, cellfile_write(&f->err, b, f->cell, record, checksum));
    record_free(record);
    assert_fails(&f->err, "study_name",
                 merge_write(&f->err, out, (const char *const[]){b}, 1, false, &summary));
    assert_fails(&f->err, "No such file",
                 merge_write(&f->err, in(f, "no/where.nc", b), inputs, 1, false, &summary));
    /* Cut anywhere it is an error, never a crash. */
    size_t size = 0;
    in(f, "a/study.nc", b);
    char *bytes = fixture_bytes(b, &size);
    in(f, "cut.nc", b);
    for (size_t i = 0; i < 40; i++) {
        fixture_put(b, bytes, size * i / 40);
        error_clear(&f->err);
        assert_int_equal(merge_write(&f->err, out, (const char *const[]){b}, 1, false, &summary),
                         STATUS_FAILED);
    }
    assert_int_not_equal(access(out, F_OK), 0);
    free(bytes);
}

static void merge_compact(struct fixture *f, const char *out, const char *a, const char *b,
                          bool compact, struct merge_summary *summary)
{
    char path[PATH], left[PATH], right[PATH];
    const char *const inputs[] = {in(f, a, left), in(f, b, right)};
    assert_ok(&f->err, merge_write(&f->err, in(f, out, path), inputs, 2, compact, summary));
}

/* Every value of `a` is in `b`; of those of single windows and items, every one or none. */
static void assert_details(struct fixture *f, const char *a, const char *b, bool kept)
{
    char path[PATH];
    struct studyread *x = NULL, *y = NULL;
    const struct cell *cell = NULL;
    assert_ok(&f->err, studyread_open(&f->err, in(f, a, path), &x));
    assert_ok(&f->err, studyread_open(&f->err, in(f, b, path), &y));
    assert_false(studyread_compact(x));
    assert_int_equal(studyread_compact(y), !kept);
    const int cells = studyread_cells(x, &cell);
    for (int i = 0; i < cells; i++) {
        struct record *full = NULL, *other = NULL;
        assert_ok(&f->err, studyread_record(&f->err, x, i, &full));
        assert_ok(&f->err, studyread_record(&f->err, y, i, &other));
        for (int e = 0; e < schema_count() && !kept; e++) {
            const struct schema_entry *entry = schema_entry(e);
            for (size_t k = 0; schema_detail(entry) && k < schema_values(entry, cell); k++) {
                assert_true(isnan(schema_numbers(entry, other)[k]));
                schema_numbers(entry, full)[k] = NAN;
            }
        }
        fixture_assert_same(cell, full, other);
        record_free(full);
        record_free(other);
    }
    studyread_close(x);
    studyread_close(y);
}

/* A compact file lacks what single windows and items gave, and nothing else; it can be merged on. */
static void compact(void **state)
{
    struct fixture *f = *state;
    struct merge_summary summary;
    char small[PATH], large[PATH];
    struct stat left, right;
    make_run(f, "a", "00000000    ");
    make_run(f, "b", "    00000000");
    merge_compact(f, "full.nc", "a", "b", false, &summary);
    assert_false(summary.compact);
    merge_compact(f, "compact.nc", "a", "b", true, &summary);
    assert_true(summary.compact);
    assert_int_equal(summary.finished, f->cells);
    assert_details(f, "full.nc", "compact.nc", false);
    assert_int_equal(stat(in(f, "full.nc", large), &left), 0);
    assert_int_equal(stat(in(f, "compact.nc", small), &right), 0);
    assert_true(right.st_size < left.st_size);
    assert_attribute(f, "compact.nc", "compact", "left out");
    /* Compact inputs give a compact file; of two copies of a cell the fuller one is kept, in either order. */
    merge_compact(f, "again.nc", "compact.nc", "compact.nc", false, &summary);
    assert_true(summary.compact);
    assert_details(f, "full.nc", "again.nc", false);
    merge_compact(f, "first.nc", "compact.nc", "full.nc", false, &summary);
    assert_false(summary.compact);
    assert_details(f, "full.nc", "first.nc", true);
    merge_compact(f, "last.nc", "full.nc", "compact.nc", false, &summary);
    assert_details(f, "full.nc", "last.nc", true);
    struct table *table = NULL;
    assert_ok(&f->err, table_read(&f->err, small, &table));
    assert_int_equal(table->cells, f->cells);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reading),   TEST(shards),         TEST(copies),
        TEST(conflicts), TEST(missing_probes), TEST(other_studies),
        TEST(misfits),   TEST(wrong_files),    TEST(compact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
