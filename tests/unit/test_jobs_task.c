/* Tasks of a study file: what is read, what it costs, and that studies without them are what they were. */
#include "tests/unit/jobs_fixture.h"

#include "jobs/cost.h"
#include "jobs/relocate.h"

#define TASKS                                                                                      \
    "base: {tokens: 65536}\n"                                                                      \
    "tasks:\n"                                                                                     \
    "  - cloze\n"                                                                                  \
    "  - {name: near, format: continuation, items: 40, length: 64, seed: 7}\n"                     \
    "  - {name: piqa, path: valid.jsonl, labels: /data/labels.lst, shots: 2, items: 30}\n"         \
    "  - {name: blimp, path: b.jsonl}\n"

static void reading(void **state)
{
    (void)state;
    struct spec *spec = fixture_study(FIXTURE_STUDY TASKS);
    const struct task *task = spec->evaluate.task;
    assert_int_equal(spec->evaluate.tasks, 4);
    assert_int_equal(spec->source.tasks, 4);
    assert_string_equal(task[0].name, "cloze");
    assert_int_equal(task[0].items, TASK_DEFAULT_ITEMS);
    assert_int_equal(task[0].length, TASK_LEAST_LENGTH); /* the context is shorter */
    assert_true(task[0].format == TASK_CLOZE && task[0].seed == 1);
    assert_string_equal(task[1].name, "near");
    assert_true(task[1].format == TASK_CONTINUATION && task[1].items == 40 &&
                task[1].length == 64 && task[1].seed == 7);
    assert_true(task[2].format == TASK_PIQA && task[2].shots == 2 && task[2].items == 30 &&
                task[2].length == 0);
    assert_string_equal(spec->source.task[2].path + strlen(spec->source.task[2].path) - 11,
                        "valid.jsonl");
    assert_string_equal(spec->source.task[2].labels, "/data/labels.lst");
    assert_true(task[3].format == TASK_BLIMP && task[3].items == 0 && task[3].hash[0] == '\0');
    spec_free(spec);
}

/* The expanded study gives the same cells, also once files are known. */
static void expansion(void **state)
{
    (void)state;
    struct error err = {0};
    struct spec *spec = fixture_study(FIXTURE_STUDY TASKS);
    for (int known = 0; known < 2; known++) {
        char *text = NULL;
        struct cell *cells = NULL, *again = NULL;
        int count = 0, recount = 0;
        if (known) {
            strcpy(spec->evaluate.task[2].hash, "0123456789abcdef0123456789abcdef");
            strcpy(spec->evaluate.task[3].hash, "fedcba9876543210fedcba9876543210");
            spec->evaluate.task[3].items = 1000;
        }
        assert_int_equal(spec_expanded(&err, spec, &text), STATUS_OK);
        struct spec *back = fixture_study(text);
        assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
        assert_int_equal(spec_cells(&err, back, &again, &recount), STATUS_OK);
        assert_int_equal(count, recount);
        assert_string_equal(cells[0].id, again[0].id);
        assert_string_equal(spec->evaluate.task[3].hash, back->evaluate.task[3].hash);
        free(text);
        free(cells);
        free(again);
        spec_free(back);
    }
    spec_free(spec);
}

#define CHANGED(change)                                                                            \
    do {                                                                                           \
        struct cell other = cell;                                                                  \
        other.change;                                                                              \
        cell_identify(&other);                                                                     \
        assert_string_not_equal(other.id, cell.id);                                                \
    } while (0)
#define UNCHANGED(change)                                                                          \
    do {                                                                                           \
        struct cell other = cell;                                                                  \
        change;                                                                                    \
        cell_identify(&other);                                                                     \
        assert_string_equal(other.id, cell.id);                                                    \
    } while (0)

static void identity(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(FIXTURE_STUDY TASKS);
    CHANGED(evaluate.tasks = 3);
    CHANGED(evaluate.task[0].items = 499);
    CHANGED(evaluate.task[0].length++);
    CHANGED(evaluate.task[0].seed++);
    CHANGED(evaluate.task[0].format = TASK_PAIRS);
    CHANGED(evaluate.task[2].shots = 3);
    CHANGED(evaluate.task[2].seed++); /* chooses the examples */
    CHANGED(evaluate.task[3].hash[0] = 'a');
    UNCHANGED(strcpy(other.evaluate.task[0].name, "mine"));
    UNCHANGED(other.evaluate.task[3].seed++); /* there are no examples */
    UNCHANGED(other.evaluate.task[3].length++);
}

/* The ids that cells had before there were tasks. */
static void older_ids(void **state)
{
    (void)state;
    static const struct {
        const char *study, *id;
    } first[] = {
        {"quick", "9a17fcc3fa5a9d3db7bcdf3a09a24d43"},
        {"smoke", "d96fae4c36857039f27601f77c6a5c6c"},
        {"learning-rate", "20bb447b6e77c6796b3fcc82ff41c99f"},
    };
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        struct error err = {0};
        struct spec *spec = NULL;
        struct cell *cells = NULL;
        int count = 0;
        char path[512];
        snprintf(path, sizeof path, PTQSCALE_SOURCE_DIR "/jobs/%s.yaml", first[i].study);
        assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
        spec->data.fingerprint[0] = '\0'; /* whatever text is there */
        assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
        assert_string_equal(cells[0].id, first[i].id);
        free(cells);
        spec_free(spec);
    }
}

/* One sequence per continuation, for each model: 500·4 + 40·4 + 30·2. */
static void costs(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(
        FIXTURE_STUDY
        "base: {tokens: 65536, precision: fp32}\nquantizers: [w8a8]\n"
        "evaluate: {fractions: [0.5, 1.0], windows: 100}\n"
        "tasks: [cloze, {name: continuation, items: 40}, {name: piqa, path: a, labels: "
        "b, items: 30}]\n");
    struct cell without = cell, windows = cell;
    struct cost with, none, more;
    without.evaluate.tasks = windows.evaluate.tasks = 0;
    windows.evaluate.windows += 2220;
    cost_of(&cell, &with);
    cost_of(&without, &none);
    cost_of(&windows, &more);
    assert_near(with.evaluate_flops, more.evaluate_flops, 1e-9 * with.evaluate_flops);
    assert_true(with.evaluate_flops > none.evaluate_flops);
    assert_true(with.train_flops == none.train_flops);
}

/* In another folder paths mean the same; what is absolute stays as it is. */
static void relocation(void **state)
{
    (void)state;
    struct error err = {0};
    char *text = NULL;
    struct spec *spec = fixture_study(FIXTURE_STUDY TASKS);
    if (spec_relocated(&err, spec, &text) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_non_null(strstr(text, "path: \"/"));
    assert_non_null(strstr(text, "valid.jsonl\", labels: /data/labels.lst"));
    assert_non_null(strstr(text, "b.jsonl\"}"));
    assert_non_null(strstr(text, "  - cloze\n"));
    free(text);
    spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reading),  cmocka_unit_test(expansion),
                                       cmocka_unit_test(identity), cmocka_unit_test(older_ids),
                                       cmocka_unit_test(costs),    cmocka_unit_test(relocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
