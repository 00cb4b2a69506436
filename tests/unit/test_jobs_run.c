/* Spans of time, and the section run of a study file. */
#include "jobs/duration.h"
#include "tests/unit/jobs_fixture.h"

static void expect_duration(const char *text, double expected)
{
    double seconds = -1;
    if (!duration_parse(text, &seconds)) {
        fail_msg("\"%s\" was refused", text);
    }
    assert_true(seconds == expected);
}

static void durations(void **state)
{
    (void)state;
    expect_duration("0", 0);
    expect_duration("90", 90);
    expect_duration("0.25", 0.25);
    expect_duration("120s", 120);
    expect_duration("1.5min", 90);
    expect_duration("2m", 120);
    expect_duration("2h", 7200);
    expect_duration("1d", 86400);
    expect_duration("1h30min", 5400);
    expect_duration("1d2h3m4s", 93784);
    expect_duration("1e+3s", 1000);

    static const char *const wrong[] = {
        "",    "s",   "-1",   "+1",     " 1", "1 ",  "1 s",   "1x", "0x10",  "nan",  "inf",
        "1h1", "1hs", "1s1h", "1min2m", "1e", "1..", "1e999", "h1", "1mins", "1h30",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double seconds = 7;
        if (duration_parse(wrong[i], &seconds)) {
            fail_msg("\"%s\" was taken for %g seconds", wrong[i], seconds);
        }
        assert_true(seconds == 7);
    }
}

#define BASE "base: {tokens: 65536}\n"

static void section(void **state)
{
    (void)state;
    struct error err = {0};
    struct spec *spec = fixture_study(FIXTURE_STUDY BASE);
    assert_true(spec->run.checkpoint_every == 120);
    assert_true(spec->run.heartbeat_timeout == 60);
    spec_free(spec);

    spec = fixture_study(FIXTURE_STUDY BASE
                         "run: {checkpoint_every: 1h30min, heartbeat_timeout: 1.5}\n");
    assert_true(spec->run.checkpoint_every == 5400);
    assert_true(spec->run.heartbeat_timeout == 1.5);

    /* Written out, and read back as the same. */
    char *text = NULL;
    assert_int_equal(spec_expanded(&err, spec, &text), STATUS_OK);
    assert_non_null(strstr(text, "run: {checkpoint_every: 5400s, heartbeat_timeout: 1.5s}\n"));
    struct spec *again = fixture_study(text);
    assert_true(again->run.checkpoint_every == 5400);
    assert_true(again->run.heartbeat_timeout == 1.5);
    free(text);
    spec_free(again);
    spec_free(spec);

    spec = fixture_study(FIXTURE_STUDY BASE "run: {checkpoint_every: 0}\n");
    assert_true(spec->run.checkpoint_every == 0);
    assert_true(spec->run.heartbeat_timeout == 60);
    spec_free(spec);
}

/* Pace is not identity. */
static void identity(void **state)
{
    (void)state;
    struct cell slow = fixture_cell(FIXTURE_STUDY BASE);
    struct cell fast =
        fixture_cell(FIXTURE_STUDY BASE "run: {checkpoint_every: 1s, heartbeat_timeout: 2s}\n");
    assert_string_equal(slow.id, fast.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(section),
        cmocka_unit_test(identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
