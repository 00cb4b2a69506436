/* Tasks in a report and in explain, and McNemar's test. */
#include "tests/unit/report_fixture.h"
#include "tests/unit/results_fixture.h"

#include "results/aggregate.h"
#include "results/explain_record.h"
#include "results/mcnemar.h"
#include "results/table.h"

static void mcnemar(void **state)
{
    (void)state;
    assert_true(fabs(mcnemar_p(5, 1) - 2 * 7.0 / 64) < 1e-12);
    assert_true(fabs(mcnemar_p(1, 5) - 2 * 7.0 / 64) < 1e-12);
    assert_true(fabs(mcnemar_p(10, 0) - 2.0 / 1024) < 1e-12);
    assert_true(mcnemar_p(3, 3) == 1 && mcnemar_p(0, 0) == 1);
    assert_true(isnan(mcnemar_p(NAN, 1)) && isnan(mcnemar_p(1, NAN)) && isnan(mcnemar_p(-1, 4)));
}

/* Numbers of a task that can be told apart. */
static struct record *answered(const struct cell *cell)
{
    struct record *r = fixture_record(cell, 2); /* done */
    const int last = r->checkpoints - 1;
    r->accuracy[last * 2] = 0.625;
    r->accuracy_se[last * 2] = 0.015;
    r->task_chance[0] = 0.25;
    const size_t at = ((size_t)last * r->quantizers + 0) * 2;
    r->accuracy_drop[at] = 12.5;
    r->accuracy_drop_se[at] = 1.5;
    r->accuracy_drop_above_chance[at] = 20.5;
    r->accuracy_drop_above_chance_se[at] = 2.5;
    r->discordant_lost[at] = 7;
    r->discordant_gained[at] = 3;
    r->quantized_accuracy[at] = 0.5;
    return r;
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in\n%s", part, text);
    }
}

static void in_report(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct table *table = NULL;
    char path[192], file[SPEC_PATH + 64], checksum[17], *text = NULL;
    size_t size = 0;
    for (int i = 0; i < f->cells; i++) {
        struct record *record = answered(&f->cell[i]);
        rundir_cell_path(f->run, f->cell[i].id, file);
        assert_ok(&f->err, rundir_log_begin(&f->err, dir, &f->cell[i], 1, "node", 1));
        assert_ok(&f->err, cellfile_write(&f->err, file, &f->cell[i], record, checksum));
        assert_ok(&f->err, rundir_log_end(&f->err, dir, f->cell[i].id, CELL_DONE, checksum, 1, ""));
        record_free(record);
    }
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    rundir_close(dir);
    fixture_in_run(f, "study.nc", path);
    assert_ok(&f->err, table_read(&f->err, path, &table));
    assert_int_equal(table->tasks, 2);
    assert_string_equal(table->task[1], "second");
    assert_true(table->task_items[0] == 5 && table->task_items[1] == 3);
    FILE *out = open_memstream(&text, &size);
    assert_ok(&f->err, fixture_report(&f->err, out, table, NULL, false));
    fclose(out);
    expect(text, "Tasks: base recipe");
    expect(text, "62.5 \xc2\xb1 1.5"); /* accuracy, whatever the number of cells */
    expect(text, "12.5 \xc2\xb1 1.5"); /* drop */
    expect(text, "20.5 \xc2\xb1 2.5");
    free(text);
    table_free(table);
}

static void in_explain(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t size = 0;
    struct record *record = answered(f->cell);
    FILE *out = open_memstream(&text, &size);
    assert_ok(&f->err, explain_tasks(&f->err, out, f->cell, record));
    fclose(out);
    expect(text, "first");
    expect(text, "12.5 \xc2\xb1 1.5");
    expect(text, "0.34"); /* p of 7 and 3 */
    free(text);
    record_free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar),
        cmocka_unit_test_setup_teardown(in_report, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(in_explain, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
