/* A cell that was stopped, or whose process died, goes on from its checkpoint with the same bits. */
#include "tests/unit/study_course.h"

/* Of a run whose trace has a place for each step. */
static int steps_done(const struct record *r)
{
    int steps = 0;
    while (steps < RECORD_TRACE && !isnan(r->trace_step[steps])) {
        steps++;
    }
    return steps;
}

/* The courses are what they are said to be; else the tests below would show little. */
static void test_courses(void **state)
{
    const struct shared *s = *state;
    /* A step polls four times, an evaluation and each of two probing passes once in four groups of windows, and
     * the probes of weights once in each of two layers. */
    for (int i = FP32; i <= FP16; i++) {
        const struct record *r = s->course[i].undisturbed;
        bool clipped = false;
        for (int k = 0; k < STEPS; k++) {
            clipped = clipped || r->trace_grad_norm[k] > 0.5;
        }
        assert_true(clipped && r->status == CELL_DONE && r->skipped_steps == 0);
        /* Four groups of windows, two of calibration windows, ten of the probes; at the end w8a8-tensor looks at the
         * calibration windows twice more. */
        assert_int_equal(s->course[i].polls, 4 * STEPS + 3 * (4 + 2 + 10) + 2 * 2);
    }
    assert_true(s->course[GROWING].undisturbed->final_loss_scale == 0x1p16);
    assert_true(s->course[SKIPPING].undisturbed->skipped_steps >= 2);
    assert_true(s->course[SKIPPING].undisturbed->skipped_steps < LATE_STEPS - LATE);
    assert_true(s->course[SKIPPING].undisturbed->final_loss_scale < 0x1p14);
    assert_int_equal(s->course[DIVERGING].undisturbed->status, CELL_DIVERGED);
    assert_true(steps_done(s->course[DIVERGING].undisturbed) >= 3);
}

/* Stops ======================================================================================= */

/* Stopped once, at each poll: in training, and in each of the three evaluations with its probes. */
static void test_stopped_once(void **state)
{
    const struct shared *s = *state;
    for (int i = 0; i < COURSES; i++) {
        const struct course *c = &s->course[i];
        for (int at = 1; at <= c->polls; at++) {
            struct store store = {0};
            struct attempt a = course_attempt(s, c, &store);
            free(store.last.at);
            store.last = bytes_copy(c->stopped[at].at, c->stopped[at].length);
            const int64_t step = store.last.at ? store_parse(&c->cell, store.last).state.step : 0;
            assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
            assert_int_equal(a.resumed, step);
            assert_true(step == 0 || a.first == step);
            store_same_record(&c->cell, a.record, c->undisturbed);
            record_free(a.record);
            store_clear(&store);
        }
    }
}

/* Stopped again and again, with the same states on the way as a run that was stopped once. */
static void test_stopped_often(void **state)
{
    const struct shared *s = *state;
    for (int i = 0; i < COURSES; i++) {
        const struct course *c = &s->course[i];
        for (int at = 21; at <= 27;
             at += 2) { /* an evaluation with its probes polls up to 20 times */
            struct store store = {0};
            struct attempt a = course_attempt(s, c, &store);
            int stops = 0;
            while (attempt_alone(&a, at) == STATUS_STOPPED) {
                const struct state got = store_parse(&c->cell, store.last).state;
                int k = 5;
                for (; k < c->polls; k++) { /* another run's stop in the same state */
                    const struct state once = store_parse(&c->cell, c->stopped[k]).state;
                    if (once.step == got.step && once.next == got.next) {
                        break;
                    }
                }
                store_same_state(&c->cell, store.last, c->stopped[k]);
                stops++;
                assert_true(stops < 100);
            }
            assert_int_equal(a.status, STATUS_OK);
            assert_true(stops >= (c->polls - 1) / at);
            store_same_record(&c->cell, a.record, c->undisturbed);
            record_free(a.record);
            store_clear(&store);
        }
    }
}

/* A stop before anything was done leaves the checkpoint as it was, and saves nothing. */
static void test_stopped_at_once(void **state)
{
    const struct shared *s = *state;
    const struct course *c = &s->course[GROWING];
    struct store store = {0};
    struct attempt a = course_attempt(s, c, &store);
    assert_int_equal(attempt_alone(&a, 2), STATUS_STOPPED);
    assert_int_equal(store.saves, 0);
    assert_memory_equal(store.last.at, c->start.at, c->start.length);
    store_clear(&store);
}

/* Deaths ====================================================================================== */

/* A checkpoint after each step; the process may die after any of them, also before an evaluation. */
static void test_died(void **state)
{
    const struct shared *s = *state;
    for (int i = 0; i < COURSES; i++) {
        const struct course *c = &s->course[i];
        struct store store = {.keep = true};
        struct attempt a = course_attempt(s, c, &store);
        a.every = 1e-9;
        assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
        store_same_record(&c->cell, a.record, c->undisturbed);
        record_free(a.record);
        assert_int_equal(store.saves, i == DIVERGING ? steps_done(c->undisturbed) - 1
                                      : c->start.at  ? LATE_STEPS - LATE
                                                     : STEPS);
        for (int k = 0; k < store.saves; k++) {
            struct store later = {.last = bytes_copy(store.history[k].at, store.history[k].length)};
            struct attempt b = {.corpus = s->corpus, .cell = &c->cell, .store = &later};
            assert_int_equal(attempt_alone(&b, 0), STATUS_OK);
            assert_true(b.resumed >= 1);
            store_same_record(&c->cell, b.record, c->undisturbed);
            record_free(b.record);
            store_clear(&later);
        }
        store_clear(&store);
    }
}

/* A cell that ends before a checkpoint is due saves none; what was measured so far adds up over attempts. */
static void test_cheap(void **state)
{
    const struct shared *s = *state;
    const struct course *c = &s->course[BF16];
    struct store store = {0};
    struct attempt a = course_attempt(s, c, &store);
    a.every = 3600;
    assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
    assert_int_equal(store.saves, 0);
    assert_int_equal(store.loads, 1);
    record_free(a.record);

    assert_int_equal(attempt_alone(&a, c->polls), STATUS_STOPPED);
    struct state_view view = store_parse(&c->cell, store.last);
    double *numbers = malloc(view.state.numbers * sizeof *numbers);
    struct error err = {0};
    struct record *kept;
    assert_int_equal(record_create(&err, &c->cell, &kept), STATUS_OK);
    record_set_numbers(&c->cell, kept, view.numbers);
    kept->wall_time_train = 1000;
    kept->wall_time_evaluate = 2000;
    record_get_numbers(&c->cell, kept, numbers);
    memcpy(store.last.at + sizeof(struct state), numbers, view.state.numbers * sizeof *numbers);
    snprintf(((struct state *)(void *)store.last.at)->started, STATE_STARTED,
             "2001-02-03T04:05:06Z");
    assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
    assert_true(a.record->wall_time_train == 1000); /* all steps were done before */
    assert_true(a.record->wall_time_evaluate > 2000 && a.record->wall_time_evaluate < 2100);
    assert_string_equal(a.record->started, "2001-02-03T04:05:06Z");
    record_free(a.record);
    record_free(kept);
    free(numbers);
    store_clear(&store);
}

/* No space: between steps the run goes on and keeps the old checkpoint; at a stop it says what is lost. */
static void test_cannot_save(void **state)
{
    const struct shared *s = *state;
    const struct course *c = &s->course[FP32];
    struct store store = {.full = true};
    struct attempt a = course_attempt(s, c, &store);
    a.every = 1e-9;
    assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
    store_same_record(&c->cell, a.record, c->undisturbed);
    record_free(a.record);

    a.every = 0;
    store.full = false;
    assert_int_equal(attempt_alone(&a, 6), STATUS_STOPPED);
    struct bytes old = bytes_copy(store.last.at, store.last.length);
    store.full = true;
    assert_int_equal(attempt_alone(&a, 6), STATUS_FAILED);
    assert_null(a.record);
    assert_non_null(strstr(a.err.message, "No space left on device"));
    assert_non_null(strstr(a.err.message, "since step 1 is lost"));
    assert_memory_equal(store.last.at, old.at, old.length);
    store.full = false;
    assert_int_equal(attempt_alone(&a, 0), STATUS_OK);
    assert_int_equal(a.resumed, 1);
    store_same_record(&c->cell, a.record, c->undisturbed);
    record_free(a.record);
    free(old.at);
    store_clear(&store);
}

/* Teams ======================================================================================= */

/* A cell that goes through teams of several sizes, from the pieces that the team before has left. */
static void test_teams(void **state)
{
    const struct shared *s = *state;
    static const int sizes[] = {2, 1, 4, 2, 4};
    int went_on = 0;
    for (int i = 0; i < COURSES; i++) {
        const struct course *c = &s->course[i];
        struct store store = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        struct record *record = NULL;
        const struct attempt first = course_attempt(s, c, &store); /* the store as it begins */
        for (int k = 0; record == NULL; k++) {
            const int size = sizes[k % 5];
            struct attempt rank[4];
            const int64_t before = store.saves;
            assert_true(k < 200);
            for (int r = 0; r < size; r++) {
                rank[r] = first;
            }
            store.loads = 0;
            /* Now and then a rank is lost: then nothing is saved. */
            const int polls = size == 1 ? 12 : k % 6 == 5 ? -400 : 150 + 60 * k;
            team_run(size, polls, attempt_run, rank, sizeof rank[0]);
            for (int r = 0; r < size; r++) {
                assert_int_equal(rank[r].status, rank[0].status);
                assert_true(r == 0 || rank[r].record == NULL);
            }
            assert_int_equal(store.loads, size);
            assert_true(polls > 0 || rank[0].status == STATUS_OK || store.saves == before);
            went_on += k > 0 && rank[0].resumed > 0;
            record = rank[0].record;
        }
        store_same_record(&c->cell, record, c->undisturbed);
        record_free(record);
        store_clear(&store);
    }
    assert_true(went_on > COURSES);
}

/* What one rank cannot use, none uses. */
static void test_team_disagrees(void **state)
{
    const struct shared *s = *state;
    const struct course *c = &s->course[BF16];
    for (int blind = 0; blind < 2; blind++) {
        struct store store[2] = {0};
        struct attempt rank[2];
        for (int r = 0; r < 2; r++) {
            rank[r] = course_attempt(s, c, &store[r]);
            store[r].last = course_first_state(s, &c->cell);
            store[r].blind = r == blind;
        }
        team_run(2, 0, attempt_run, rank, sizeof rank[0]);
        assert_int_equal(rank[0].status, STATUS_OK);
        assert_int_equal(rank[0].resumed, 0);
        store_same_record(&c->cell, rank[0].record, c->undisturbed);
        record_free(rank[0].record);
        store_clear(&store[0]);
        store_clear(&store[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),        cmocka_unit_test(test_stopped_once),
        cmocka_unit_test(test_stopped_often),  cmocka_unit_test(test_stopped_at_once),
        cmocka_unit_test(test_died),           cmocka_unit_test(test_cheap),
        cmocka_unit_test(test_cannot_save),    cmocka_unit_test(test_teams),
        cmocka_unit_test(test_team_disagrees),
    };
    return cmocka_run_group_tests(tests, course_set_up, course_tear_down);
}
