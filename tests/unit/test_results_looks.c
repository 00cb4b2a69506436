/* Adaptive replication: what a look decides, what the journal and study.nc keep of it, and the level that follows. */
#include "tests/unit/results_fixture.h"

#include "results/aggregate.h"
#include "results/analysis.h"
#include "results/merge.h"
#include "results/replay.h"
#include "results/spending.h"
#include "results/status.h"
#include "tests/unit/table_fixture.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static const struct spec_looks plan = {.count = 3, .seeds = {2, 3, 4}, .first = 1};

static const struct look first = {.seeds = 2,
                                  .decision = LOOK_MORE,
                                  .next = 3,
                                  .asked = 2,
                                  .undecided = "H1, H3a",
                                  .level = 1e-4,
                                  .spent = 1.25e-4};

static int plan_looks(void **state)
{
    const int status = fixture_setup(state);
    if (status == 0) {
        ((struct fixture *)*state)->spec->looks = plan;
    }
    return status;
}

#define TEST_PLANNED(name) cmocka_unit_test_setup_teardown(name, plan_looks, fixture_teardown)

/* ---- what a look decides ---- */

/* Two sizes, the base and dropout 0.1; log KL of dropout is `effect` higher, give or take `noise` by seed. */
static struct table *dropout_study(int seeds, double effect, double noise)
{
    static const double pattern[] = {1, -1, 0.5, -0.5};
    struct table *table = fixture_table(2, 2, seeds, 1, 1);
    for (int i = 0; i < table->cells; i++) {
        const bool base = table->cell[i].base;
        table->cell[i].dropout = base ? 0 : 0.1;
        const double y = base ? -5 : -5 + effect + noise * pattern[i % seeds % 4];
        fixture_set(table, i, 0, 0, 3, exp(y), 0.01);
    }
    return table;
}

static struct look take(int seeds, double effect, double noise)
{
    struct error err = {0};
    struct look look;
    struct table *table = dropout_study(seeds, effect, noise);
    assert_ok(&err, look_take(&err, table, &plan, seeds, &look));
    table_free(table);
    return look;
}

static void decisions(void **state)
{
    (void)state;
    struct spending spending[SPEC_LOOKS];
    char text[LOOK_TEXT];
    spending_plan(&plan, ANALYSIS_ALPHA, spending);

    struct look look =
        take(2, 0.5, 0.1); /* t about 10 with 2 df: the first look may spend 7.6e-5 */
    assert_int_equal(look.decision, LOOK_MORE);
    assert_int_equal(look.next, 3);
    assert_int_equal(look.asked, 1);
    assert_string_equal(look.undecided, "H2");
    assert_true(look.level == spending[0].level && look.spent == spending[0].spent);
    assert_string_equal(look_text(&look, text), "2 seeds: H2 undecided; 1 more seed");

    look = take(4, 0.5, 0.1); /* the same effect is clear to the last */
    assert_int_equal(look.decision, LOOK_DECIDED);
    assert_int_equal(look.next, 4);
    assert_string_equal(look.undecided, "");
    assert_true(look.level == spending[2].level);
    assert_string_equal(look_text(&look, text), "4 seeds: every verdict is decided; no more seeds");

    look = take(3, 0.5, 1e-4);
    assert_int_equal(look.decision, LOOK_DECIDED);
    assert_int_equal(look.next, 3);
    look = take(3, 0, 1e-4); /* negligible is decided, too */
    assert_int_equal(look.decision, LOOK_DECIDED);

    look = take(4, 0, 0.5);
    assert_int_equal(look.decision, LOOK_LAST);
    assert_int_equal(look.next, 4);
    assert_string_equal(look_text(&look, text), "4 seeds: H2 undecided; it was the last look");

    struct error err = {0};
    struct table *table = dropout_study(5, 0, 0);
    assert_fails(&err, "no look is planned at 5 seeds", look_take(&err, table, &plan, 5, &look));
    for (int i = 0; i < table->cells; i++) { /* nothing that a claim is about */
        table->cell[i].dropout = 0;
        table->cell[i].schedule = table->cell[i].base ? SCHEDULE_COSINE : SCHEDULE_WSD;
    }
    assert_ok(&err,
              look_take(&err, table, &(struct spec_looks){.count = 2, .seeds = {5, 9}}, 5, &look));
    assert_int_equal(look.asked, 0);
    assert_int_equal(look.decision, LOOK_DECIDED);
    assert_string_equal(look_text(&look, text),
                        "5 seeds: there is no verdict to decide; no more seeds");
    table_free(table);
    assert_int_equal(look_next(&plan, 2), 3);
    assert_int_equal(look_next(&plan, 4), 0);
}

/* ---- the folder ---- */

static void assert_looks(const struct rundir *dir, const struct look *want, int count)
{
    const struct look *look = NULL;
    assert_int_equal(rundir_looks(dir, &look), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(look[i].seeds, want[i].seeds);
        assert_int_equal(look[i].decision, want[i].decision);
        assert_int_equal(look[i].next, want[i].next);
        assert_int_equal(look[i].asked, want[i].asked);
        assert_string_equal(look[i].undecided, want[i].undecided);
        assert_true(look[i].level == want[i].level && look[i].spent == want[i].spent);
    }
}

/* The folder's study.expanded.yaml holds the text. */
static bool expanded_has(const struct fixture *f, const char *text)
{
    char path[192];
    size_t size = 0;
    fixture_in_run(f, "study.expanded.yaml", path);
    char *bytes = fixture_bytes(path, &size);
    const bool has = memmem(bytes, size, text, strlen(text)) != NULL;
    free(bytes);
    return has;
}

static void journal_keeps_them(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    char *text = NULL;
    assert_looks(dir, NULL, 0);
    assert_int_equal(f->spec->seeds, 2);
    assert_ok(&f->err, rundir_log_look(&f->err, dir, f->spec, &first));
    assert_looks(dir, &first, 1);
    assert_true(expanded_has(f, "reached: 2"));
    rundir_close(dir);

    /* Killed before more than the event was written. */
    dir = fixture_open(f);
    assert_looks(dir, &first, 1);
    assert_int_equal(f->spec->seeds, 3);
    assert_int_equal(f->spec->seed[2], 3);
    assert_true(expanded_has(f, "reached: 3"));
    struct look second = {.seeds = 3, .decision = LOOK_BUDGET, .next = 3, .asked = 2, .level = 0.5};
    assert_ok(&f->err, rundir_log_look(&f->err, dir, f->spec, &second));
    second.decision = LOOK_MORE; /* with a larger budget */
    second.next = 4;
    assert_ok(&f->err, rundir_log_look(&f->err, dir, f->spec, &second));
    assert_looks(dir, (struct look[]){first, second}, 2);
    assert_ok(&f->err, rundir_history(&f->err, dir, NULL, &text));
    assert_non_null(strstr(text, "study format=" REPLAY_FORMAT_LOOKS " "));
    assert_non_null(strstr(text, "undecided=\"H1, H3a\""));
    free(text);
    rundir_close(dir);
    spec_set_seeds(f->spec, 2);
    rundir_close(fixture_open(f));
    assert_int_equal(f->spec->seeds, 4);
}

static void another_plan_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct spec_looks other[] = {{.count = 3, .seeds = {2, 3, 5}, .first = 1},
                                       {.count = 2, .seeds = {2, 3}, .first = 1},
                                       {.count = 3, .seeds = {2, 3, 4}, .first = 2},
                                       {.count = 0}};
    struct rundir *dir = fixture_open(f);
    rundir_close(dir);
    f->spec->looks.seeds[2] = 9; /* before any look nothing is lost */
    rundir_close(fixture_open(f));
    f->spec->looks = plan;
    dir = fixture_open(f);
    assert_ok(&f->err, rundir_log_look(&f->err, dir, f->spec, &first));
    rundir_close(dir);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        f->spec->looks = other[i];
        assert_fails(&f->err, "planned as 2, 3, 4 from 1",
                     rundir_open(&f->err, f->run, f->spec, &dir));
    }
    f->spec->looks = plan;
    f->spec->looks.budget = 3600; /* no part of the plan */
    rundir_close(fixture_open(f));
}

static void add_look(struct journal_line *line, const char *seeds, const char *decision,
                     const char *next, const char *text)
{
    *line = (struct journal_line){.event = "look"};
    journal_pair(line, "seeds", seeds);
    journal_pair(line, "decision", decision);
    journal_pair(line, "next", next);
    journal_pair(line, "asked", "1");
    journal_pair(line, "plan", text);
}

static void wrong_events_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][4] = {
        {"3", "perhaps", "3", "p"}, {"3", "more", "3", "p"},   {"3", "more", "2", "p"},
        {"3", "decided", "4", "p"}, {"2", "more", "4", "p"},   {"4", "last", "4", "p"},
        {"3", "last", "3", "q"},    {"3", "more", "999", "p"}, {"x", "last", "3", "p"},
    };
    struct error err = {0};
    for (size_t i = 0; i <= sizeof wrong / sizeof wrong[0]; i++) {
        struct replay replay = {0};
        struct journal_line study = {.event = "study"}, line;
        journal_pair(&study, "format", REPLAY_FORMAT_LOOKS);
        journal_pair(&study, "name", "made-up");
        assert_ok(&err, replay_event(&err, &replay, &study));
        add_look(&line, "2", "more", "3", "p");
        assert_ok(&err, replay_event(&err, &replay, &line));
        if (i < sizeof wrong / sizeof wrong[0]) {
            add_look(&line, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3]);
            assert_fails(&err, "event look", replay_event(&err, &replay, &line));
            assert_int_equal(replay.looks, 1);
        } else {
            add_look(&line, "3", "last", "3", "p");
            assert_ok(&err, replay_event(&err, &replay, &line));
            assert_int_equal(replay.looks, 2);
        }
        replay_free(&replay);
    }
}

/* ---- study.nc ---- */

static struct table *read_table(struct fixture *f, const char *path)
{
    struct table *table = NULL;
    assert_ok(&f->err, table_read(&f->err, path, &table));
    return table;
}

/* From the folder to the level of the report's intervals; a merged file keeps to the stricter input. */
static void study_file_tells(void **state)
{
    struct fixture *f = *state;
    char path[192], merged[192];
    struct spending spending[SPEC_LOOKS];
    struct merge_summary summary;
    spending_plan(&plan, ANALYSIS_ALPHA, spending);
    struct rundir *dir = fixture_open(f);
    fixture_in_run(f, "study.nc", path);
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    struct table *table = read_table(f, path);
    assert_string_equal(table->looks.planned, "2, 3, 4");
    assert_string_equal(table->looks.seeds, "0");
    assert_string_equal(table->looks.decision, "none yet");
    assert_true(spending_level_of(table, 0.01) == spending[0].level);
    assert_true(table->looks.spent == 0);
    table_free(table);

    assert_ok(&f->err, rundir_log_look(&f->err, dir, f->spec, &first));
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    snprintf(merged, sizeof merged, "%s/merged.nc", f->folder);
    assert_ok(&f->err,
              merge_write(&f->err, merged, (const char *const[]){path}, 1, false, &summary));
    for (int i = 0; i < 2; i++) {
        table = read_table(f, i == 0 ? path : merged);
        assert_string_equal(table->looks.seeds, "2");
        assert_string_equal(table->looks.decision, "more");
        assert_string_equal(table->looks.undecided, "H1, H3a");
        assert_true(spending_level_of(table, 0.01) == first.level);
        assert_true(table->looks.spent == first.spent);
        table_free(table);
    }
    rundir_close(dir);
}

static void fixed_seeds_have_the_whole_level(void **state)
{
    struct fixture *f = *state;
    char path[192];
    struct rundir *dir = fixture_open(f);
    fixture_in_run(f, "study.nc", path);
    assert_ok(&f->err, aggregate_write(&f->err, dir, f->spec, f->cell, f->cells, NULL));
    struct table *table = read_table(f, path);
    assert_string_equal(table->looks.planned, "");
    assert_true(spending_level_of(table, 0.01) == 0.01);
    table_free(table);
    rundir_close(dir);
    assert_false(expanded_has(f, "looks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),           TEST_PLANNED(journal_keeps_them),
        TEST_PLANNED(another_plan_is_refused), cmocka_unit_test(wrong_events_are_refused),
        TEST_PLANNED(study_file_tells),        TEST(fixed_seeds_have_the_whole_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
