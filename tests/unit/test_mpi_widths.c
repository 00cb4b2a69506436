/* The scheduler with cells of several workers: who becomes a member, who waits, who goes first meanwhile, what happens
 * when workers are lost, and widening. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mpi/bits.h"
#include "mpi/scheduler.h"

static struct scheduler *make(const struct scheduler_item *item, int count, int workers, int ready)
{
    struct scheduler *scheduler = NULL;
    assert_int_equal(scheduler_create(NULL, item, count, workers, &scheduler), STATUS_OK);
    for (int w = 0; w < ready; w++) {
        scheduler_ready(scheduler, w);
    }
    return scheduler;
}

/* The cell that starts now, whose members are `expected` ("2 3"); −1 = none. */
static int start(struct scheduler *s, double now, const char *expected)
{
    int cell = -2, width = -1, member[64];
    char members[256] = "";
    int peeked = scheduler_peek(s, now);
    assert_int_equal(scheduler_start(NULL, s, now, &cell, &width, member), STATUS_OK);
    assert_int_equal(cell, peeked);
    for (int i = 0; cell >= 0 && i < width; i++) {
        snprintf(members + strlen(members), sizeof members - strlen(members), "%s%d",
                 i > 0 ? " " : "", member[i]);
        assert_int_equal(scheduler_holds(s, member[i]), cell);
    }
    assert_string_equal(members, expected);
    if (cell >= 0) {
        assert_int_equal(scheduler_leader(s, cell), member[0]);
        assert_int_equal(scheduler_width(s, cell), width);
        assert_int_equal(scheduler_status(s, cell), CELL_RUNNING);
    }
    return cell;
}

static void finish(struct scheduler *s, int cell, double seconds)
{
    assert_int_equal(scheduler_finish(NULL, s, cell, CELL_DONE, seconds), STATUS_OK);
}

static void ready(struct scheduler *s, int from, int to)
{
    for (int w = from; w <= to; w++) {
        scheduler_ready(s, w);
    }
}

static void sets_of_bits(void **state)
{
    (void)state;
    for (int size = 1; size < 300000; size = 5 * size + 1) {
        struct bits bits;
        assert_true(bits_create(&bits, size));
        assert_int_equal(bits_next(&bits, 0), size);
        for (int at = 0; at < size; at += 1 + at / 3) {
            bits_set(&bits, at);
        }
        int found = 0;
        for (int at = 0; at < size; at += 1 + at / 3) {
            assert_int_equal(bits_next(&bits, found), at);
            assert_true(bits_has(&bits, at));
            found = at + 1;
        }
        assert_int_equal(bits_next(&bits, found), size);
        for (int at = 0; at < size; at += 1 + at / 3) {
            bits_clear(&bits, at);
            bits_clear(&bits, at);
            assert_false(bits_has(&bits, at));
        }
        assert_int_equal(bits_next(&bits, 0), size);
        bits_free(&bits);
    }
}

static void members_come_and_go(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {{9, 0, 2, 2, 0}, {8, 0, 2, 2, 0}, {7, 0, 1, 1, 0}};
    struct scheduler *s = make(item, 3, 6, 0);
    assert_int_equal(start(s, 0, ""), -1);
    ready(s, 0, 0);
    ready(s, 2, 2);
    ready(s, 4, 5);
    assert_int_equal(start(s, 0, "4 5"), 0); /* those that lie closest together */
    assert_int_equal(start(s, 0, "0 2"), 1);

    /* One member is done before the cell is, and is free for the next one. */
    ready(s, 2, 2);
    assert_int_equal(scheduler_holds(s, 2), -1);
    assert_int_equal(scheduler_status(s, 1), CELL_RUNNING);
    assert_int_equal(start(s, 1, "2"), 2);

    /* After its end nobody holds it, but who has not said so is not idle. */
    finish(s, 0, 9);
    assert_int_equal(scheduler_holds(s, 4), -1);
    assert_int_equal(scheduler_holds(s, 5), -1);
    assert_int_equal(scheduler_leader(s, 0), -1);
    assert_int_equal(scheduler_take_back(NULL, s, 1), STATUS_OK);
    assert_int_equal(start(s, 9, ""), -1);
    ready(s, 5, 5);
    assert_int_equal(start(s, 9, ""), -1);
    ready(s, 0, 0); /* of the old start of cell 1 */
    assert_int_equal(start(s, 9, "0 5"), 1);
    ready(s, 4, 4);
    scheduler_retire(s, 5);
    assert_int_equal(scheduler_holds(s, 5), -1);
    assert_int_equal(scheduler_holds(s, 0), 1);
    scheduler_free(s);
}

static void others_go_first_if_they_do_no_harm(void **state)
{
    (void)state;
    double when = 0;
    const struct scheduler_item wait[] = {{10, 0, 2, 2, 0},  {20, 0, 4, 4, 0}, {12, 0, 1, 1, 0},
                                          {9.5, 0, 1, 1, 0}, {3, 0, 1, 1, 0},  {3, 0, 2, 2, 0}};
    struct scheduler *s = make(wait, 6, 4, 2); /* workers 2 and 3 come late */
    assert_int_equal(start(s, 0, ""), -1);
    assert_int_equal(scheduler_reserved(s, &when), 1);
    assert_true(when == 0);                   /* they are expected at once */
    assert_int_equal(start(s, 20, "0 1"), 0); /* … but not for ever */
    ready(s, 2, 3);
    assert_int_equal(start(s, 20, "2 3"), 5); /* cell 1 waits until 30; this one ends at 23 */
    assert_int_equal(scheduler_reserved(s, &when), 1);
    assert_true(fabs(when - 30) < 1e-9);
    finish(s, 5, 3);
    ready(s, 2, 3);
    assert_int_equal(start(s, 23, "2"), 4); /* 12 and 9.5 are too long */
    assert_int_equal(start(s, 23, ""), -1);
    finish(s, 4, 3);
    ready(s, 2, 2);
    assert_int_equal(start(s, 26, ""), -1);
    finish(s, 0, 10);
    ready(s, 0, 0);
    assert_int_equal(start(s, 30, ""),
                     -1); /* the last member is on its way: nobody takes its place */
    ready(s, 1, 1);
    assert_int_equal(start(s, 30, "0 1 2 3"), 1);
    assert_int_equal(scheduler_reserved(s, &when), -1);
    scheduler_free(s);

    /* A long one may go first on workers that the waiting one leaves over. */
    const struct scheduler_item spare[] = {
        {10, 0, 4, 4, 0}, {9, 0, 2, 2, 0}, {2, 0, 4, 4, 0}, {7, 0, 1, 1, 0}};
    s = make(spare, 4, 7, 7);
    assert_int_equal(start(s, 0, "0 1 2 3"), 0);
    assert_int_equal(start(s, 0, "4 5"), 1); /* 9 s end before 10 */
    assert_int_equal(start(s, 0, "6"), 3);
    finish(s, 0, 10);
    ready(s, 0, 3);
    assert_int_equal(start(s, 10, "0 1 2 3"), 2);
    scheduler_free(s);
}

static void reservations_follow_what_happens(void **state)
{
    (void)state;
    double when = 0;
    /* The members of a team that has ended come one by one: no narrow cell takes the first one. */
    const struct scheduler_item next[] = {{50, 0, 4, 4, 0}, {40, 0, 4, 4, 0}, {9, 0, 1, 1, 0}};
    struct scheduler *s = make(next, 3, 4, 4);
    assert_int_equal(start(s, 0, "0 1 2 3"), 0);
    finish(s, 0, 50);
    ready(s, 0, 0);
    assert_int_equal(start(s, 50, ""), -1);
    ready(s, 1, 3);
    assert_int_equal(start(s, 50, "0 1 2 3"), 1);
    finish(s, 1, 40);
    ready(s, 0, 0);
    assert_int_equal(start(s, 90, "0"), 2);
    scheduler_free(s);

    /* What ends before it was expected leaves more workers over. */
    const struct scheduler_item early[] = {{10, 0, 4, 4, 0}, {10, 0, 4, 4, 0}, {15, 0, 2, 2, 0},
                                           {15, 0, 1, 1, 0}, {14, 0, 1, 1, 0}, {9, 0, 4, 4, 0},
                                           {9, 0, 4, 4, 0},  {9, 0, 4, 4, 0}};
    s = make(early, 8, 7, 7);
    assert_int_equal(start(s, 0, "0 1 2 3"), 0);
    assert_int_equal(start(s, 0, "4 5"), 2); /* they end after 10, but are not needed then */
    assert_int_equal(start(s, 0, "6"), 3);
    assert_int_equal(start(s, 0, ""), -1);
    finish(s, 2, 0);
    ready(s, 4, 4);
    assert_int_equal(start(s, 5, "4"), 4);
    ready(s, 5, 5);
    assert_int_equal(start(s, 5, ""), -1);
    scheduler_free(s);

    /* Who is lost makes it later, and the others may take longer. */
    const struct scheduler_item lost[] = {{10, 0, 4, 4, 0}, {30, 0, 2, 2, 0}, {9, 0, 4, 4, 0},
                                          {15, 0, 1, 1, 0}, {9, 0, 4, 4, 0},  {9, 0, 4, 4, 0},
                                          {9, 0, 4, 4, 0},  {9, 0, 4, 4, 0},  {9, 0, 4, 4, 0}};
    s = make(lost, 9, 7, 7);
    assert_int_equal(start(s, 0, "0 1 2 3"), 0);
    assert_int_equal(start(s, 0, "4 5"), 1);
    assert_int_equal(start(s, 0, "6"), 3);
    finish(s, 3, 15);
    ready(s, 6, 6);
    assert_int_equal(start(s, 1, ""), -1);
    assert_int_equal(scheduler_reserved(s, &when), 2);
    assert_true(fabs(when - 10) < 1e-9);
    scheduler_retire(s, 2);
    scheduler_retire(s, 6);
    ready(s, 3, 3);
    assert_int_equal(start(s, 1, ""), -1);
    assert_int_equal(scheduler_reserved(s, &when), 2);
    assert_true(fabs(when - 30) < 1e-9);
    scheduler_free(s);
}

static void urgent_cells_do_not_wait(void **state)
{
    (void)state;
    /* Widest first would leave 30 s of one worker alone at the end. */
    const struct scheduler_item item[] = {{10, 0, 2, 2, 0}, {5, 0, 2, 2, 0}, {30, 0, 1, 1, 0}};
    struct scheduler *s = make(item, 3, 3, 3);
    assert_int_equal(start(s, 0, "0"), 2);
    assert_int_equal(start(s, 0, "1 2"), 0);
    scheduler_free(s);
}

static void too_few_workers(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {{9, 0, 4, 8, 1}, {5, 0, 2, 2, 0}, {1, 1, 1, 1, 0}};
    struct scheduler *s = make(item, 3, 4, 4);
    assert_int_equal(start(s, 0, "0 1 2 3"), 0);
    scheduler_retire(s, 2);
    assert_int_equal(scheduler_stuck(s), 0); /* it still runs */
    assert_int_equal(scheduler_take_back(NULL, s, 0), STATUS_OK);
    assert_int_equal(scheduler_stuck(s), 0); /* the others can */
    assert_true(isnan(scheduler_eta(s, 1)));
    ready(s, 0, 1);
    ready(s, 3, 3);
    assert_int_equal(start(s, 1, "0 1"), 1);
    assert_int_equal(start(s, 1, "3"), 2);
    scheduler_retire(s, 0);
    assert_int_equal(scheduler_put_off(NULL, s, 1), STATUS_OK);
    finish(s, 2, 1);
    ready(s, 1, 1);
    ready(s, 3, 3);
    assert_int_equal(start(s, 2, "1 3"), 1);
    scheduler_retire(s, 1);
    assert_int_equal(scheduler_put_off(NULL, s, 1), STATUS_OK);
    assert_int_equal(start(s, 3, ""), -1);
    assert_int_equal(scheduler_stuck(s), 2);
    scheduler_retire(s, 3);
    assert_int_equal(scheduler_stuck(s), 2);
    assert_int_equal(scheduler_count(s, CELL_PENDING), 2);
    scheduler_free(s);
}

/* A suspect may take one worker with it: the widest of the others must not need that one. */
static void suspects_leave_workers_enough(void **state)
{
    (void)state;
    for (int workers = 5; workers <= 6; workers++) {
        const struct scheduler_item item[] = {{90, 0, 4, 4, 0}, {2, 1, 4, 4, 0}};
        struct scheduler *s = make(item, 2, workers, workers);
        assert_int_equal(start(s, 0, "0 1 2 3"), 0);
        scheduler_retire(s, 0);
        assert_int_equal(scheduler_put_off(NULL, s, 0), STATUS_OK);
        ready(s, 1, 3);
        assert_int_equal(start(s, 1, "1 2 3 4"), workers == 5 ? 1 : 0);
        scheduler_free(s);
    }
}

static void the_last_ones_are_widened(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {{100, 0, 2, 8, 1}, {90, 0, 2, 2, 1}, {5, 0, 1, 8, 1}};
    struct scheduler *s = make(item, 3, 8, 8);
    assert_int_equal(start(s, 0, "0 1"), 0);
    assert_int_equal(scheduler_widen(s, 0, 1), -1); /* others are pending */
    assert_int_equal(start(s, 0, "2 3"), 1);
    assert_int_equal(start(s, 0, "4"), 2);
    assert_int_equal(scheduler_widen(s, 0, 1), -1); /* nothing is known of real seconds */
    finish(s, 2, 10);                               /* twice what was expected */
    ready(s, 4, 4);
    assert_int_equal(scheduler_widen(s, 10, 50),
                     -1); /* 190 s left; twice 50 is more than it saves */
    scheduler_progress(s, 10, 0, 0.1);
    scheduler_progress(s, 10, 1, 0.05);
    assert_int_equal(scheduler_widen(s, 10, 5),
                     -1); /* the other one ends later, and cannot be helped */
    scheduler_progress(s, 11, 1, 0.5);
    assert_int_equal(scheduler_widen(s, 11, 5), 0);
    assert_int_equal(scheduler_widen(s, 11, 5), -1); /* it is being stopped */
    assert_int_equal(start(s, 11, ""), -1);

    scheduler_progress(s, 12, 0, 0.125);
    assert_int_equal(scheduler_take_back(NULL, s, 0), STATUS_OK);
    assert_int_equal(scheduler_width(s, 0), 4);
    assert_int_equal(start(s, 12, "4 5 6 7"), 0); /* at once, whoever else has not left yet */
    assert_int_equal(scheduler_width(s, 0), 4);
    /* 200 s on two, 7/8 of it left, on four. */
    assert_true(fabs(scheduler_eta(s, 12) - 87.5) < 1e-9);
    ready(s, 0, 1);
    scheduler_resumed(s, 0, 0.125);
    scheduler_progress(s, 22, 0, 0.125 + 0.1);
    assert_true(fabs(scheduler_eta(s, 22) - 77.5) < 1e-9);
    finish(s, 1, 30);
    ready(s, 2, 3);
    assert_int_equal(scheduler_widen(s, 30, 5), -1); /* it has just been restarted */
    assert_int_equal(scheduler_widen(s, 70, 5), 0);
    scheduler_retire(s, 0);
    scheduler_retire(s, 1);
    assert_int_equal(scheduler_take_back(NULL, s, 0), STATUS_OK);
    assert_int_equal(scheduler_width(s, 0), 8);
    ready(s, 4, 7);
    assert_int_equal(start(s, 70, "2 3 4 5"), 0); /* eight are not there any more */
    scheduler_free(s);

    /* What is being widened is lost: it takes what there is. */
    s = make(item, 1, 5, 5);
    assert_int_equal(start(s, 0, "0 1"), 0);
    scheduler_progress(s, 10, 0, 0.1);
    assert_int_equal(scheduler_widen(s, 10, 5), 0);
    scheduler_retire(s, 0);
    scheduler_retire(s, 4);
    assert_int_equal(scheduler_take_back(NULL, s, 0), STATUS_OK);
    ready(s, 1, 1);
    assert_int_equal(start(s, 11, "1 2"), 0);
    scheduler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_of_bits),
        cmocka_unit_test(members_come_and_go),
        cmocka_unit_test(others_go_first_if_they_do_no_harm),
        cmocka_unit_test(reservations_follow_what_happens),
        cmocka_unit_test(urgent_cells_do_not_wait),
        cmocka_unit_test(too_few_workers),
        cmocka_unit_test(suspects_leave_workers_enough),
        cmocka_unit_test(the_last_ones_are_widened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
