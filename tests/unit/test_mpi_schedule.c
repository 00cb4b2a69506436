/* The scheduler by itself: its invariants under random workers in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mpi/scheduler.h"

/* A cell of one worker. */
#define ALONE(seconds, kind)                                                                       \
    {                                                                                              \
        (seconds), (kind), 1, 1, 0                                                                 \
    }

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static double random_unit(uint64_t *state)
{
    return (double)random_next(state) / 2147483648.0;
}

static struct scheduler *make(const struct scheduler_item *item, int count, int workers)
{
    struct scheduler *scheduler = NULL;
    assert_int_equal(scheduler_create(NULL, item, count, workers, &scheduler), STATUS_OK);
    assert_non_null(scheduler);
    return scheduler;
}

/* The cell that the worker, which is the only idle one, begins; −1 = none. */
static int next(struct scheduler *scheduler, int worker, double now)
{
    int cell = -2, width = -1, member[1024];
    scheduler_ready(scheduler, worker);
    int peeked = scheduler_peek(scheduler, now);
    assert_int_equal(scheduler_start(NULL, scheduler, now, &cell, &width, member), STATUS_OK);
    assert_int_equal(cell, peeked);
    if (cell >= 0) {
        assert_int_equal(width, 1);
        assert_int_equal(member[0], worker);
        assert_int_equal(scheduler_holds(scheduler, worker), cell);
        assert_int_equal(scheduler_leader(scheduler, cell), worker);
    }
    return cell;
}

static void transitions(void **state)
{
    (void)state;
    const char *legal[] = {
        "pending running",     "pending done",        "pending diverged", "pending failed",
        "pending quarantined", "running pending",     "running done",     "running diverged",
        "running failed",      "running quarantined",
    };
    int found = 0;
    for (int from = CELL_PENDING; from <= CELL_QUARANTINED; from++) {
        for (int to = CELL_PENDING; to <= CELL_QUARANTINED; to++) {
            char move[64];
            bool expected = false;
            snprintf(move, sizeof move, "%s %s", cell_status_name((enum cell_status)from),
                     cell_status_name((enum cell_status)to));
            for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++) {
                expected = expected || strcmp(move, legal[i]) == 0;
            }
            assert_int_equal(scheduler_allowed((enum cell_status)from, (enum cell_status)to),
                             expected);
            found += expected;
        }
    }
    assert_int_equal(found, 10);
    assert_false(scheduler_allowed((enum cell_status)77, CELL_DONE));
}

static void refuses_illegal_moves(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {ALONE(3, 0), ALONE(2, 0), ALONE(1, 1)};
    struct scheduler *s = make(item, 3, 2);
    struct error err = {0};

    /* Finishing what does not run; with the cell named in the message. */
    assert_int_equal(scheduler_finish(&err, s, 0, CELL_DONE, 1), STATUS_FAILED);
    assert_non_null(strstr(err.message, "cell 0 does not run"));
    assert_int_equal(scheduler_finish(NULL, s, -1, CELL_DONE, 1), STATUS_FAILED);
    assert_int_equal(scheduler_finish(NULL, s, 3, CELL_DONE, 1), STATUS_FAILED);
    assert_int_equal(scheduler_take_back(NULL, s, 0), STATUS_FAILED);
    assert_int_equal(scheduler_put_off(NULL, s, 0), STATUS_FAILED);
    assert_int_equal(scheduler_peek(s, 0), -1); /* nobody is there */

    assert_int_equal(next(s, 0, 0), 0);
    assert_int_equal(scheduler_peek(s, 0), -1); /* nobody is idle */
    assert_int_equal(scheduler_finish(NULL, s, 1, CELL_DONE, 1), STATUS_FAILED);
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_PENDING, 1), STATUS_FAILED);
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_RUNNING, 1), STATUS_FAILED);
    assert_int_equal(scheduler_adopt(NULL, s, 0, CELL_DONE, 1), STATUS_FAILED); /* it runs */
    assert_int_equal(scheduler_adopt(NULL, s, 1, CELL_PENDING, 1), STATUS_FAILED);
    assert_int_equal(scheduler_adopt(NULL, s, 1, CELL_RUNNING, 1), STATUS_FAILED);
    assert_int_equal(scheduler_adopt(NULL, s, 3, CELL_DONE, 1), STATUS_FAILED);
    for (int worker = -1; worker <= 2; worker += 3) { /* there are no such workers */
        scheduler_ready(s, worker);
        scheduler_retire(s, worker);
        assert_int_equal(scheduler_holds(s, worker), -1);
        assert_int_equal(scheduler_peek(s, 0), -1);
    }

    /* None of this has changed anything. */
    assert_int_equal(scheduler_status(s, 0), CELL_RUNNING);
    assert_int_equal(scheduler_count(s, CELL_PENDING), 2);
    assert_int_equal(scheduler_holds(s, 0), 0);
    assert_int_equal(scheduler_holds(s, 1), -1);

    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_DONE, 1), STATUS_OK);
    assert_int_equal(scheduler_holds(s, 0), -1);
    assert_int_equal(scheduler_peek(s, 0), -1); /* the worker has not said that it is idle */
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_DONE, 1), STATUS_FAILED); /* twice */
    assert_int_equal(scheduler_adopt(NULL, s, 0, CELL_DONE, 1), STATUS_FAILED);
    scheduler_free(s);

    const struct scheduler_item bad[] = {ALONE(NAN, 0),
                                         ALONE(0, 0),
                                         ALONE(-1, 0),
                                         ALONE(1, -1),
                                         ALONE(1, SCHEDULER_KINDS),
                                         {1, 0, 0, 1, 0},
                                         {1, 0, 3, 4, 0},
                                         {1, 0, 2, 1, 0},
                                         {1, 0, 2, 6, 0},
                                         {1, 0, 1, 2, 1.5},
                                         {1, 0, 1, 2, NAN}};
    for (int i = 0; i < 11; i++) {
        assert_int_equal(scheduler_create(NULL, &bad[i], 1, 1, &s), STATUS_FAILED);
        assert_null(s);
    }
    assert_int_equal(scheduler_create(NULL, item, 3, 0, &s), STATUS_FAILED);
}

static void longest_first(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {ALONE(2, 0), ALONE(5, 1), ALONE(2, 1), ALONE(9, 0),
                                          ALONE(1, 2)};
    const int expected[] = {3, 1, 0, 2, 4, -1}; /* equal lengths in the study's order */
    struct scheduler *s = make(item, 5, 6);
    for (int w = 0; w < 6; w++) {
        assert_int_equal(next(s, w, 0), expected[w]);
    }
    scheduler_free(s);
}

static void learns_rates(void **state)
{
    (void)state;
    /* Kind 1 turns out ten times as slow as expected, so its short cell is the longest after all.
     */
    const struct scheduler_item item[] = {ALONE(6, 0), ALONE(5, 0), ALONE(4, 0),
                                          ALONE(7, 1), ALONE(2, 1), ALONE(1, 2)};
    struct scheduler *s = make(item, 6, 1);
    assert_int_equal(next(s, 0, 0), 3);
    assert_true(isnan(scheduler_eta(s, 0)));
    assert_int_equal(scheduler_finish(NULL, s, 3, CELL_DONE, 70), STATUS_OK);
    assert_int_equal(next(s, 0, 70), 0); /* kinds not seen yet use the mean of all */
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_DONE, 6), STATUS_OK);
    assert_true(fabs(scheduler_expected(s, 4) - 20) < 1e-9);
    assert_true(fabs(scheduler_expected(s, 1) - 5) < 1e-9);
    assert_true(fabs(scheduler_expected(s, 5) - 76.0 / 13) < 1e-9);
    assert_int_equal(next(s, 0, 76), 4);
    /* What fails or diverges ends early and teaches nothing. */
    assert_int_equal(scheduler_finish(NULL, s, 4, CELL_DIVERGED, 0.01), STATUS_OK);
    assert_true(fabs(scheduler_expected(s, 5) - 76.0 / 13) < 1e-9);
    scheduler_free(s);
}

static void adopts_and_takes_back(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {ALONE(8, 0), ALONE(7, 0), ALONE(6, 0), ALONE(5, 0),
                                          ALONE(4, 0)};
    struct scheduler *s = make(item, 5, 2);

    assert_int_equal(scheduler_adopt(NULL, s, 0, CELL_DONE, 16), STATUS_OK);
    assert_int_equal(scheduler_adopt(NULL, s, 3, CELL_DIVERGED, 0), STATUS_OK);
    assert_int_equal(scheduler_count(s, CELL_DONE), 1);
    assert_int_equal(scheduler_count(s, CELL_DIVERGED), 1);
    assert_true(fabs(scheduler_expected(s, 1) - 14) < 1e-9);

    assert_int_equal(next(s, 0, 0), 1);
    assert_int_equal(next(s, 1, 0), 2);
    assert_int_equal(scheduler_take_back(NULL, s, 1), STATUS_OK);
    assert_int_equal(scheduler_status(s, 1), CELL_PENDING);
    assert_int_equal(scheduler_holds(s, 0), -1);
    /* A late result. */
    assert_int_equal(scheduler_finish(NULL, s, 1, CELL_DONE, 1), STATUS_FAILED);
    assert_int_equal(scheduler_finish(NULL, s, 2, CELL_FAILED, 1), STATUS_OK);
    assert_int_equal(next(s, 1, 1), 1);
    assert_int_equal(scheduler_finish(NULL, s, 1, CELL_DONE, 14), STATUS_OK);
    assert_int_equal(next(s, 0, 2), 4);
    assert_int_equal(next(s, 1, 2), -1);
    assert_int_equal(scheduler_count(s, CELL_FAILED), 1);
    assert_int_equal(scheduler_count(s, CELL_RUNNING), 1);
    scheduler_free(s);
}

static void gives_up_cells_and_workers(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {ALONE(8, 0), ALONE(7, 0), ALONE(6, 0), ALONE(5, 0),
                                          ALONE(4, 0)};
    struct scheduler *s = make(item, 5, 3);

    /* Given up by an earlier run: not handed out, and it teaches nothing. */
    assert_int_equal(scheduler_adopt(NULL, s, 0, CELL_QUARANTINED, 99), STATUS_OK);
    assert_int_equal(scheduler_adopt(NULL, s, 4, CELL_FAILED, 99), STATUS_OK);
    assert_true(fabs(scheduler_expected(s, 1) - 7) < 1e-9);
    assert_int_equal(scheduler_peek(s, 0), -1);
    assert_int_equal(next(s, 0, 0), 1);

    /* Its worker dies: at once to the next one, and put off when that has died, too. */
    assert_int_equal(scheduler_take_back(NULL, s, 1), STATUS_OK);
    scheduler_retire(s, 0);
    scheduler_ready(s, 0);
    assert_int_equal(scheduler_peek(s, 1), -1); /* it gets no more */
    assert_int_equal(next(s, 1, 1), 1);
    assert_int_equal(scheduler_put_off(NULL, s, 1), STATUS_OK);
    scheduler_retire(s, 1);
    assert_int_equal(scheduler_status(s, 1), CELL_PENDING);
    assert_int_equal(next(s, 2, 2), 2);
    assert_int_equal(scheduler_finish(NULL, s, 2, CELL_DONE, 6), STATUS_OK);
    assert_true(fabs(scheduler_eta(s, 8) - 12) < 1e-9); /* both on the only worker left */
    assert_int_equal(next(s, 2, 8), 3);
    assert_int_equal(scheduler_finish(NULL, s, 3, CELL_DONE, 5), STATUS_OK);
    assert_int_equal(next(s, 2, 13), 1);
    assert_int_equal(scheduler_finish(NULL, s, 1, CELL_QUARANTINED, 0), STATUS_OK);
    scheduler_retire(s, 2);
    assert_int_equal(scheduler_count(s, CELL_QUARANTINED), 2);
    assert_int_equal(scheduler_count(s, CELL_PENDING), 0);
    assert_int_equal(scheduler_peek(s, 14), -1);
    assert_true(scheduler_eta(s, 14) == 0);
    scheduler_free(s);

    /* Nobody is left to do what there is. */
    s = make(item, 5, 1);
    assert_int_equal(next(s, 0, 0), 0);
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_DONE, 8), STATUS_OK);
    scheduler_retire(s, 0);
    scheduler_retire(s, 0);
    assert_true(isnan(scheduler_eta(s, 9)));
    scheduler_free(s);
}

static void estimates_the_end(void **state)
{
    (void)state;
    const struct scheduler_item item[] = {ALONE(4, 0), ALONE(4, 0), ALONE(4, 0), ALONE(2, 0)};
    struct scheduler *s = make(item, 4, 2);

    assert_true(isnan(scheduler_eta(s, 0)));
    next(s, 0, 100);
    next(s, 1, 100);
    assert_true(isnan(scheduler_eta(s, 101)));
    /* Half of cell 0 took 4 s: 2 real seconds per expected one. Cell 1 is extrapolated with that.
     */
    scheduler_progress(s, 104, 0, 0.5);
    assert_true(fabs(scheduler_eta(s, 104) - (4 + 8)) < 1e-9);
    assert_int_equal(scheduler_finish(NULL, s, 0, CELL_DONE, 8), STATUS_OK);
    assert_int_equal(scheduler_finish(NULL, s, 1, CELL_DONE, 8), STATUS_OK);
    assert_true(fabs(scheduler_eta(s, 108) - 8) < 1e-9); /* 8 beside 4 */
    next(s, 0, 108);
    next(s, 1, 108);
    assert_true(fabs(scheduler_eta(s, 111) - 5) < 1e-9);
    assert_true(fabs(scheduler_eta(s, 200)) < 1e-9); /* overdue: never negative */
    assert_int_equal(scheduler_finish(NULL, s, 2, CELL_DONE, 8), STATUS_OK);
    assert_int_equal(scheduler_finish(NULL, s, 3, CELL_FAILED, 8), STATUS_OK);
    assert_true(scheduler_eta(s, 208) == 0);
    scheduler_free(s);

    s = make(NULL, 0, 3); /* a study without cells left */
    assert_int_equal(next(s, 0, 0), -1);
    assert_true(scheduler_eta(s, 0) == 0);
    scheduler_free(s);
}

/* Virtual time: each worker is busy until `until`. Real durations are known to the simulation only.
 */
struct simulation {
    struct scheduler *scheduler;
    const double *real;
    int *finished; /* times */
    double *until;
    int workers;
    double deaths; /* probability that a hand-out ends with the worker's loss */
};

static double simulate(struct simulation *sim, uint64_t *seed)
{
    double end = 0, now = 0;
    for (;;) {
        int first = -1;
        for (int w = 0; w < sim->workers; w++) {
            if (scheduler_holds(sim->scheduler, w) < 0) {
                int cell = next(sim->scheduler, w, now);
                sim->until[w] = cell < 0 ? INFINITY : now + sim->real[cell];
            }
            if (first < 0 || sim->until[w] < sim->until[first]) {
                first = w;
            }
        }
        if (isinf(sim->until[first])) {
            return end;
        }
        now = sim->until[first];
        int cell = scheduler_holds(sim->scheduler, first);
        if (random_unit(seed) < sim->deaths) {
            assert_int_equal(scheduler_take_back(NULL, sim->scheduler, cell), STATUS_OK);
        } else {
            sim->finished[cell]++;
            assert_int_equal(
                scheduler_finish(NULL, sim->scheduler, cell, CELL_DONE, sim->real[cell]),
                STATUS_OK);
            end = now;
        }
    }
}

static void every_cell_once(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        uint64_t seed = round;
        int count = 1 + (int)(random_next(&seed) % 300), workers = 1 + (int)(round % 17);
        struct scheduler_item item[300];
        double real[300], until[17], sum = 0, longest = 0;
        int finished[300] = {0};
        for (int i = 0; i < count; i++) {
            item[i] = (struct scheduler_item)ALONE(0, (int)(random_next(&seed) % 5));
            item[i].seconds = exp(3 * random_unit(&seed));
            real[i] = item[i].seconds * (1 + item[i].kind); /* rates differ by kind */
            sum += real[i];
            longest = fmax(longest, real[i]);
        }
        struct simulation sim = {
            .scheduler = make(item, count, workers),
            .real = real,
            .finished = finished,
            .until = until,
            .workers = workers,
            .deaths = round % 2 ? 0.1 : 0,
        };
        double makespan = simulate(&sim, &seed);
        for (int i = 0; i < count; i++) {
            assert_int_equal(finished[i], 1);
            assert_int_equal(scheduler_status(sim.scheduler, i), CELL_DONE);
        }
        assert_int_equal(scheduler_count(sim.scheduler, CELL_DONE), count);
        if (sim.deaths == 0) {
            /* Graham's bound holds for any list order, also while the rates are being learned. */
            assert_true(makespan <= sum / workers + (1 - 1.0 / workers) * longest + 1e-9);
            assert_true(makespan >= fmax(sum / workers, longest) - 1e-9);
        }
        scheduler_free(sim.scheduler);
    }
}

static void known_costs_are_near_optimal(void **state)
{
    (void)state;
    /* Longest first is within 4/3 − 1/(3W) of the best possible; here the best is known: 7 + 7 + 7.
     */
    const struct scheduler_item item[] = {ALONE(2, 0), ALONE(5, 0), ALONE(3, 0),
                                          ALONE(4, 0), ALONE(4, 0), ALONE(3, 0)};
    double real[] = {2, 5, 3, 4, 4, 3}, until[3];
    int finished[6] = {0};
    uint64_t seed = 1;
    struct simulation sim = {make(item, 6, 3), real, finished, until, 3, 0};
    double makespan = simulate(&sim, &seed);
    assert_true(makespan <= 7 * (4.0 / 3 - 1.0 / 9) + 1e-9);
    scheduler_free(sim.scheduler);
}

static void twenty_thousand_cells(void **state)
{
    (void)state;
    enum { COUNT = 20000, WORKERS = 1024 };
    struct scheduler_item *item = calloc(COUNT, sizeof *item);
    uint64_t seed = 7;
    assert_non_null(item);
    for (int i = 0; i < COUNT; i++) {
        item[i] = (struct scheduler_item)ALONE(0, (int)(random_next(&seed) % 96));
        item[i].seconds = exp(6 * random_unit(&seed));
    }
    clock_t begun = clock();
    struct scheduler *s = make(item, COUNT, WORKERS);
    double now = 0;
    for (int w = 0; w < WORKERS; w++) {
        assert_true(next(s, w, now) >= 0);
    }
    for (int left = COUNT; left > 0; now += 0.01) {
        int w = (int)(random_next(&seed) % WORKERS), cell = scheduler_holds(s, w);
        if (cell < 0) {
            continue;
        }
        assert_int_equal(scheduler_finish(NULL, s, cell, CELL_DONE, item[cell].seconds), STATUS_OK);
        next(s, w, now);
        left--;
        if (left % 1000 == 0) {
            assert_true(scheduler_eta(s, now) >= 0);
        }
    }
    double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    assert_int_equal(scheduler_count(s, CELL_DONE), COUNT);
    scheduler_free(s);
    free(item);
    /* 25 ms on the machine it was written on; the bound only catches another complexity. */
    assert_true(seconds < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transitions),           cmocka_unit_test(refuses_illegal_moves),
        cmocka_unit_test(longest_first),         cmocka_unit_test(learns_rates),
        cmocka_unit_test(adopts_and_takes_back), cmocka_unit_test(estimates_the_end),
        cmocka_unit_test(every_cell_once),       cmocka_unit_test(known_costs_are_near_optimal),
        cmocka_unit_test(twenty_thousand_cells), cmocka_unit_test(gives_up_cells_and_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
