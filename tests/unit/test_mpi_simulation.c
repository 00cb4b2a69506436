/* The scheduler at the scale of a cluster, in virtual time (tests/bench/simulation.h), and what that
 * has taught about cells under suspicion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/bench/simulation_state.h"

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

/* Much goes wrong at once, on few workers of any number, with widths that may not fit: nothing stops, every cell ends
 * once, or is said to be stuck (simulation_run checks that, and more). */
static void nothing_locks_up(void **state)
{
    (void)state;
    int stuck = 0, widened = 0, stopped = 0, deaths = 0, reservations = 0, backfilled = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        uint64_t random = 977 * seed;
        struct simulation simulation = simulation_default();
        simulation.seed = seed;
        simulation.workers = 1 + random_below(&random, 40);
        simulation.cells = 1 + random_below(&random, 120);
        simulation.mixture = random_below(&random, 2);
        for (int i = 0; i < SIMULATION_SIZES; i++) {
            simulation.width[i] = 1 << random_below(&random, 1 + random_below(&random, 6));
        }
        simulation.doublings = random_below(&random, 4);
        simulation.gain = random_unit(&random);
        simulation.deaths = random_unit(&random);
        simulation.hangs = random_unit(&random);
        simulation.stops = random_unit(&random);
        simulation.killers = random_below(&random, 3);
        simulation.restart = 60 * random_unit(&random);
        simulation.release = 20 * random_unit(&random);
        simulation.checkpoint_every = 300 * random_unit(&random);
        struct simulation_result result = run(&simulation);
        assert_int_equal(result.done + result.quarantined + result.stuck, simulation.cells);
        stuck += result.stuck > 0;
        widened += result.widened;
        stopped += result.stopped;
        deaths += result.deaths;
        reservations += result.reservations;
        backfilled += result.backfilled;
    }
    /* All of it has been tried, and often. */
    assert_true(stuck >= 50 && stuck <= 350);
    assert_true(widened > 200 && stopped > 2000 && deaths > 2000);
    assert_true(reservations > 1000 && backfilled > 1000);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A study of widths 1, 2 and 4 on four workers, estimates as wrong as they are: the distribution over 200 seeds. */
static void mixed_widths_are_near_the_bound(void **state)
{
    (void)state;
    enum { SEEDS = 200 };
    double ratio[SEEDS];
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct simulation simulation = simulation_default();
        simulation.workers = 4;
        simulation.cells = 60;
        simulation.mixture = true;
        memcpy(simulation.width, (const int[]){1, 1, 2, 4}, sizeof simulation.width);
        simulation.deaths = 0;
        simulation.seed = seed;
        struct simulation_result result = run(&simulation);
        assert_true(result.makespan >= result.bound);
        assert_int_equal(result.done, 60);
        ratio[seed - 1] = result.makespan / result.bound;
    }
    qsort(ratio, SEEDS, sizeof *ratio, ascending);
    print_message("makespan / lower bound: median %.4f, 90 %% %.4f, worst %.4f\n", ratio[SEEDS / 2],
                  ratio[SEEDS * 9 / 10], ratio[SEEDS - 1]);
    assert_true(ratio[SEEDS / 2] <= 1.02);
    assert_true(ratio[SEEDS - 1] <= 1.10);
}

/* Where estimates are exact, no cell with a reservation starts later than it was promised first (simulation_run checks
 * each), whatever the number of workers, though others go first; and what waits is not forgotten. */
static void reservations_are_kept(void **state)
{
    (void)state;
    int reservations = 0, backfilled = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = 31 * seed;
        struct simulation simulation = simulation_default();
        simulation.workers = 4 + random_below(&random, 29);
        simulation.cells = 20 + random_below(&random, 100);
        simulation.mixture = seed % 4 != 0;
        for (int i = 0; i < SIMULATION_SIZES; i++) {
            simulation.width[i] = 1 << random_below(&random, 3);
        }
        simulation.deaths = simulation.cell_error = simulation.kind_error = simulation.release = 0;
        simulation.seed = seed;
        struct simulation_result result = run(&simulation);
        assert_true(result.late_start <= 1e-6);
        /* Its workers come free with the cells that run when it gets the reservation. */
        assert_true(result.waited <= result.longest + 1e-6);
        reservations += result.reservations;
        backfilled += result.backfilled;
    }
    assert_true(reservations > 1000 && backfilled > 1000);
}

/* Idle workers at the end make the longest cells end earlier, but not where a restart costs more than it saves. */
static void widening_pays(void **state)
{
    (void)state;
    int widened = 0, worse = 0;
    double before = 0, after = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct simulation simulation = simulation_default();
        simulation.workers = 64;
        simulation.cells = 100;
        simulation.mixture = true;
        memcpy(simulation.width, (const int[]){1, 1, 2, 4}, sizeof simulation.width);
        simulation.deaths = 0;
        simulation.seed = seed;
        double narrow = run(&simulation).makespan;
        simulation.doublings = 2;
        struct simulation_result wide = run(&simulation);
        widened += wide.widened;
        worse += wide.makespan > narrow * 1.001;
        before += narrow;
        after += wide.makespan;
        simulation.restart = 1e5;
        assert_int_equal(run(&simulation).widened, 0);
    }
    print_message("%d cells widened; makespan %.3f of what it was, more in %d of 100\n", widened,
                  after / before, worse);
    assert_true(widened >= 100);
    assert_true(after < 0.9 * before);
    assert_true(worse <= 5);
}

/* 16,384 workers, 20,000 cells: an estimate of the end and a hand-out stay cheap. */
static void the_largest(void **state)
{
    (void)state;
    struct simulation simulation = simulation_default();
    simulation.workers = 16384;
    simulation.mixture = true;
    memcpy(simulation.width, (const int[]){1, 1, 2, 4}, sizeof simulation.width);
    struct simulation_result result = run(&simulation);
    assert_int_equal(result.done, 20000);
    assert_true(result.makespan <= 1.10 * result.bound);
    assert_true(result.seconds < 30); /* half a second on the machine it was written on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makespan_is_near_the_bound),
        cmocka_unit_test(checkpoints_bound_what_is_lost),
        cmocka_unit_test(nothing_is_lost_or_done_twice),
        cmocka_unit_test(few_workers),
        cmocka_unit_test(suspects_wait),
        cmocka_unit_test(nothing_locks_up),
        cmocka_unit_test(mixed_widths_are_near_the_bound),
        cmocka_unit_test(reservations_are_kept),
        cmocka_unit_test(widening_pays),
        cmocka_unit_test(the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
