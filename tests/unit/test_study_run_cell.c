/* run_cell: which checkpoints, teams, progress and traces. */
#include "tests/unit/study_run.h"

/* Quantizers of the last checkpoint alone are not measured before it. */
static void test_early_checkpoints(void **state)
{
    struct run_shared *s = *state;
    const struct record *r = s->run[0].record;
    for (int c = 0; c < CHECKPOINTS; c++) {
        for (int q = 0; q < r->quantizers; q++) {
            const int at = c * r->quantizers + q, measured = c == CHECKPOINTS - 1 || q < EVERY;
            const double values[] = {
                r->quantized_loss[at],
                r->quantized_loss_se[at],
                r->delta_loss[at],
                r->delta_loss_se[at],
                r->relative_loss_increase[at],
                r->kl[at],
                r->kl_se[at],
                r->log_kl[at],
                r->kl_over_unigram[at],
                r->top1_agreement[at],
                r->window_quantized_loss[at * WINDOWS],
                r->window_quantized_loss[at * WINDOWS + WINDOWS - 1],
                r->window_kl[at * WINDOWS],
                r->window_kl[at * WINDOWS + WINDOWS - 1],
            };
            for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                assert_int_equal(!isnan(values[i]), measured);
            }
        }
    }
}

/* Teams ======================================================================================= */

static void check_same(const char *what, size_t n, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) {
            fail_msg("%s[%zu] is %.17g alone, %.17g in a team", what, i, a[i], b[i]);
        }
    }
}

static void check_same_record(const struct record *a, const struct record *b)
{
    const size_t c = CHECKPOINTS, q = c * (size_t)a->quantizers;
#define SAME(field, n) check_same(#field, (n), a->field, b->field)
    SAME(loss, c);
    SAME(loss_se, c);
    SAME(loss_in_training_precision, c);
    SAME(kl_unigram, c);
    SAME(step, c);
    SAME(tokens, c);
    SAME(quantized_loss, q);
    SAME(quantized_loss_se, q);
    SAME(delta_loss, q);
    SAME(delta_loss_se, q);
    SAME(relative_loss_increase, q);
    SAME(kl, q);
    SAME(kl_se, q);
    SAME(log_kl, q);
    SAME(kl_over_unigram, q);
    SAME(top1_agreement, q);
    SAME(window_loss, c * WINDOWS);
    SAME(window_quantized_loss, q * WINDOWS);
    SAME(window_kl, q * WINDOWS);
    SAME(trace_step, RECORD_TRACE);
    SAME(trace_loss, RECORD_TRACE);
    SAME(trace_grad_norm, RECORD_TRACE);
    SAME(trace_learning_rate, RECORD_TRACE);
#undef SAME
    assert_true(a->final_train_loss == b->final_train_loss);
}

/* Two and four ranks give the record of one, bit by bit, to rank 0 alone. */
static void test_teams(void **state)
{
    struct run_shared *s = *state;
    for (int i = 0; i < 2; i++) {
        for (int size = 2; size <= 4; size *= 2) {
            struct run run[4];
            for (int r = 0; r < size; r++) {
                run[r] = (struct run){.corpus = s->corpus, .cell = &s->cell[i]};
            }
            team_run(size, 0, run_work, run, sizeof run[0]);
            for (int r = 0; r < size; r++) {
                assert_int_equal(run[r].status, STATUS_OK);
                assert_int_equal(run[r].record != NULL, r == 0);
            }
            check_same_record(s->run[i].record, run[0].record);
            assert_true(run[0].record->team_size == size);
            record_free(run[0].record);
        }
    }
}

/* Ranks that have no window in the last round attend, and change nothing. */
static void test_fewer_windows_than_ranks(void **state)
{
    struct run_shared *s = *state;
    struct cell cell = s->cell[0];
    cell.evaluate.windows = 9; /* five groups: the second round has one for the first rank */
    struct run alone = {.corpus = s->corpus, .cell = &cell}, run[4];
    team_run(1, 0, run_work, &alone, sizeof alone);
    assert_int_equal(alone.status, STATUS_OK);
    for (int r = 0; r < 4; r++) {
        run[r] = (struct run){.corpus = s->corpus, .cell = &cell};
    }
    team_run(4, 0, run_work, run, sizeof run[0]);
    for (int r = 0; r < 4; r++) {
        assert_int_equal(run[r].status, STATUS_OK);
    }
    const struct record *a = alone.record, *b = run[0].record;
    const size_t q = (size_t)CHECKPOINTS * a->quantizers;
    assert_memory_equal(a->loss, b->loss, CHECKPOINTS * sizeof *a->loss);
    assert_memory_equal(a->window_loss, b->window_loss, CHECKPOINTS * 9 * sizeof *a->loss);
    assert_memory_equal(a->kl, b->kl, q * sizeof *a->kl);
    assert_memory_equal(a->quantized_loss, b->quantized_loss, q * sizeof *a->kl);
    record_free(alone.record);
    record_free(run[0].record);
}

/* Progress comes from rank 0 alone, after each step and in evaluations (run_cell.h). */
static void test_reports(void **state)
{
    struct run_shared *s = *state;
    assert_false(s->run[0].bad_report);
    assert_int_equal(s->run[0].reports - s->run[0].evaluations, s->cell[0].train.steps);
    assert_true(s->run[0].evaluations >= CHECKPOINTS);
    struct run run[2];
    for (int r = 0; r < 2; r++) {
        run[r] = (struct run){.corpus = s->corpus, .cell = &s->cell[0]};
    }
    team_run(2, 0, run_work, run, sizeof run[0]);
    record_free(run[0].record);
    assert_true(run[0].reports > 0);
    assert_int_equal(run[1].reports, 0);
}

/* The trace is that of the steps: 120 steps fit its 128 places one by one. */
static void test_trace(void **state)
{
    struct run_shared *s = *state;
    const struct record *r = s->run[0].record;
    for (int i = 0; i < RECORD_TRACE; i++) {
        const bool there = i < 120;
        assert_int_equal(!isnan(r->trace_step[i]), there);
        assert_int_equal(!isnan(r->trace_loss[i]), there);
        assert_int_equal(!isnan(r->trace_grad_norm[i]), there);
        if (there) {
            assert_true(r->trace_step[i] == i + 1);
            assert_true(r->trace_learning_rate[i] == cell_learning_rate(&s->cell[0], i));
            assert_true(r->trace_loss_scale[i] == 1);
        }
    }
    assert_true(r->trace_loss[119] == r->final_train_loss);
    assert_true(r->trace_loss[119] < r->trace_loss[0] - 1);
}

struct losses {
    int steps;
    double loss[300];
};

static void collect(void *context, const struct progress *progress)
{
    struct losses *losses = context;
    if (strcmp(progress->phase, "train") == 0 && losses->steps < 300) {
        losses->loss[losses->steps++] = progress->loss;
    }
}

/* Longer runs share the places out evenly: each has the mean over its two or three steps. */
static void test_trace_of_many_steps(void **state)
{
    struct run_shared *s = *state;
    struct error err = {0};
    struct team alone = team_alone();
    struct cell cell = text_cell(300, PRECISION_FP32);
    struct record *r = NULL;
    struct losses losses = {0};
    cell.train.batch = cell.train.micro_batch = 1;
    cell.evaluate.checkpoints = 1;
    cell.evaluate.fraction[0] = 1;
    cell.evaluate.windows = 2;
    assert_int_equal(run_cell(&err, &alone, s->corpus, &cell, NULL, collect, &losses, &r),
                     STATUS_OK);
    assert_int_equal(losses.steps, 300);
    int step = 0;
    for (int i = 0; i < RECORD_TRACE; i++) {
        const int last = (int)r->trace_step[i];
        double sum = 0;
        assert_in_range(last - step, 2, 3);
        for (int k = step; k < last; k++) {
            sum += losses.loss[k];
        }
        run_near("trace_loss", r->trace_loss[i], sum / (last - step));
        step = last;
    }
    assert_int_equal(step, 300);
    run_near("final_train_loss", r->final_train_loss, r->trace_loss[RECORD_TRACE - 1]);
    record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_checkpoints),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_fewer_windows_than_ranks),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_trace_of_many_steps),
    };
    return cmocka_run_group_tests(tests, run_set_up, run_tear_down);
}
