/* The scheduler at the scale of a cluster, in virtual time (tests/bench/simulation.h), and what that
 * has taught about cells under suspicion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mpi/scheduler.h"
#include "tests/bench/simulation.h"

static struct simulation_result run(const struct simulation *simulation)
{
    struct error err = {0};
    struct simulation_result result;
    if (simulation_run(&err, simulation, &result) != STATUS_OK) {
        fail_msg("seed %d: %s", (int)simulation->seed, err.message);
    }
    return result;
}

/* 1,024 workers of which 1 % die, 20,000 cells over 2.7 decades of cost: close to what no schedule
 * can beat. */
static void makespan_is_near_the_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct simulation simulation = simulation_default();
        simulation.seed = seed;
        struct simulation_result result = run(&simulation);
        assert_int_equal(result.deaths, 10);
        assert_int_equal(result.done, 20000);
        assert_true(result.taken_back > 0);
        assert_true(result.makespan >= result.bound);
        if (result.makespan > 1.05 * result.bound) {
            fail_msg("seed %d: %.4f times the lower bound", (int)seed,
                     result.makespan / result.bound);
        }
    }
}

/* Deaths cost what was computed since the last checkpoint, and no more. */
static void checkpoints_bound_what_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct simulation simulation = simulation_default();
        simulation.seed = seed;
        struct simulation_result with = run(&simulation);
        assert_true(with.lost <= with.taken_back * simulation.checkpoint_every);
        simulation.checkpoint_every = 0;
        assert_true(run(&simulation).lost > 10 * with.lost);
    }
}

/* Every promise that simulation_run checks, where much goes wrong: a fifth of the workers die, half
 * of those only hang and report late, and some cells kill whoever runs them. */
static void nothing_is_lost_or_done_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct simulation simulation = simulation_default();
        simulation.workers = 200;
        simulation.cells = 3000;
        simulation.deaths = 0.2;
        simulation.hangs = 0.5;
        simulation.killers = 4;
        simulation.seed = seed;
        struct simulation_result result = run(&simulation);
        assert_true(result.late > 0 && result.hangs >= result.late);
        /* Three workers for each killer, and those that were to die anyway. */
        assert_true(result.deaths >= 40 && result.deaths <= 40 + 3 * 4);
        assert_true(result.quarantined - result.unlucky >= 3); /* two may be the same cell */
        assert_int_equal(result.done + result.quarantined, simulation.cells);
    }
}

/* All but one die: that one finishes the study. */
static void few_workers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct simulation simulation = simulation_default();
        simulation.workers = 1 + (int)(seed % 5);
        simulation.cells = 1 + (int)(seed * 7 % 60);
        simulation.deaths = 1 - 1.0 / simulation.workers;
        simulation.seed = seed;
        struct simulation_result result = run(&simulation);
        assert_int_equal(result.done + result.quarantined, simulation.cells);
        if (result.deaths == 0) {
            assert_true(result.makespan <= result.work / simulation.workers + result.longest);
        }
    }
}

/* How many of twenty short cells go out before the long one, which was put off, on one worker of
 * `living` that are left. */
static int short_ones_before_the_suspect(int workers, int living, int suspects)
{
    struct scheduler_item item[23] = {{4, 0, 1, 1, 0}, {4, 0, 1, 1, 0}, {4, 0, 1, 1, 0}};
    struct scheduler *scheduler = NULL;
    int cell = -1, width = 0, member[16], before = 0;
    for (int i = suspects; i < 23; i++) {
        item[i] = (struct scheduler_item){1, 1, 1, 1, 0};
    }
    assert_int_equal(scheduler_create(NULL, item, 20 + suspects, workers, &scheduler), STATUS_OK);
    for (int i = 0; i < suspects; i++) {
        scheduler_ready(scheduler, i);
        assert_int_equal(scheduler_start(NULL, scheduler, 0, &cell, &width, member), STATUS_OK);
        assert_int_equal(cell, i);
        assert_int_equal(member[0], i);
    }
    for (int i = 0; i < suspects; i++) {
        assert_int_equal(scheduler_put_off(NULL, scheduler, i), STATUS_OK);
    }
    for (int w = living; w < workers; w++) {
        scheduler_retire(scheduler, w);
    }
    for (;;) {
        scheduler_ready(scheduler, 0);
        int peeked = scheduler_peek(scheduler, 0);
        assert_int_equal(scheduler_start(NULL, scheduler, 0, &cell, &width, member), STATUS_OK);
        assert_int_equal(member[0], 0);
        assert_int_equal(cell, peeked);
        if (cell < suspects) {
            break;
        }
        before++;
        assert_int_equal(scheduler_finish(NULL, scheduler, cell, CELL_DONE, 1), STATUS_OK);
    }
    scheduler_free(scheduler);
    return before;
}

/* A cell under suspicion waits, but not so long that it runs alone at the end; and it waits for all
 * others where it could take the last worker with it. */
static void suspects_wait(void **state)
{
    (void)state;
    assert_int_equal(short_ones_before_the_suspect(3, 3, 1),
                     8); /* 12 s of work on 3 workers: 4 s */
    assert_int_equal(short_ones_before_the_suspect(4, 4, 1), 4);
    assert_int_equal(short_ones_before_the_suspect(9, 3, 1), 8);
    assert_int_equal(short_ones_before_the_suspect(3, 1, 1), 20); /* the last worker */
    assert_int_equal(short_ones_before_the_suspect(4, 3, 3), 20); /* three could take three */
    assert_int_equal(short_ones_before_the_suspect(4, 4, 3), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makespan_is_near_the_bound),
        cmocka_unit_test(checkpoints_bound_what_is_lost),
        cmocka_unit_test(nothing_is_lost_or_done_twice),
        cmocka_unit_test(few_workers),
        cmocka_unit_test(suspects_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
