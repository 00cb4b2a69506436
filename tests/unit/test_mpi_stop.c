/* The deadline and the other reasons to stop a run. */
#include "tests/unit/results_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "mpi/clock.h"
#include "mpi/signals.h"
#include "mpi/stop.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static int64_t parsed(const char *text)
{
    struct error err = {0};
    int64_t when = -1;
    if (deadline_parse(&err, text, 1700000000, &when) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return when;
}

static void deadlines(void **state)
{
    (void)state;
    setenv("TZ", "Etc/GMT-2", 1); /* two hours ahead of UTC */
    tzset();
    assert_int_equal(parsed("1764000000"), 1764000000);
    assert_int_equal(parsed("+90"), 1700000090);
    assert_int_equal(parsed("+2h"), 1700007200);
    assert_int_equal(parsed("+0.5s"), 1700000001);
    assert_int_equal(parsed("2025-12-31T23:59:59Z"), 1767225599);
    assert_int_equal(parsed("2025-12-31T23:59:59"), 1767225599 - 7200);

    static const char *const wrong[] = {
        "",
        "soon",
        "120",
        "2h",
        "+",
        "+soon",
        "-5",
        "2025-12-31",
        "2025-12-31T23:59:59+01:00",
        "2025-13-31T23:59:59Z",
        "99999999999999999999",
        "+1e300",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error err = {0};
        int64_t when = 0;
        assert_int_equal(deadline_parse(&err, wrong[i], 1700000000, &when), STATUS_USAGE);
        assert_non_null(strstr(err.message, "--deadline"));
        assert_non_null(strstr(err.message, wrong[i]));
    }

    int64_t when = 0;
    assert_true(deadline_parse_squeue("2025-12-31T23:59:59\n", &when));
    assert_int_equal(when, 1767225599 - 7200);
    assert_false(deadline_parse_squeue("N/A\n", &when));
    assert_false(deadline_parse_squeue("NONE", &when));
    assert_false(deadline_parse_squeue("", &when));
}

static void what_may_begin(void **state)
{
    (void)state;
    assert_true(deadline_allows(INFINITY, 1e9, 1000));
    assert_true(deadline_allows(100, 99, 1000));    /* it can end */
    assert_true(deadline_allows(100, 3600, 1000));  /* 27 steps, then a checkpoint */
    assert_false(deadline_allows(10, 36000, 1000)); /* not even one */
    assert_false(deadline_allows(0.5, 0.6, 1000));
    assert_true(deadline_allows(0.5, 0.4, 1000));
    assert_false(deadline_allows(-1, 0.4, 1000));
    assert_false(deadline_allows(5, 6, 0));
}

static void look_again(struct stop *stop, const struct rundir *dir)
{
    stop->looked = 0;
    stop_poll(stop, dir, 0);
}

static void signals_stop(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct stop stop;
    unsetenv("SLURM_JOB_ID");
    signals_block();
    assert_ok(&f->err, stop_open(&f->err, NULL, -1, &stop));
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_NONE);
    assert_true(isinf(stop_left(&stop, 0)));
    raise(SIGUSR1);
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_SIGNAL);
    assert_false(stop.now);
    raise(SIGUSR1); /* a warning signal may come twice */
    look_again(&stop, dir);
    assert_false(stop.now);
    raise(SIGTERM);
    look_again(&stop, dir);
    assert_true(stop.now);
    stop_close(&stop);
    rundir_close(dir);
}

/* Two signals while nobody looks are two: the second one says "at once". */
static void signals_add_up(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct stop stop;
    assert_ok(&f->err, stop_open(&f->err, NULL, -1, &stop));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kill(getpid(), SIGTERM), 0);
        usleep(200000); /* for the thread that counts */
    }
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_SIGNAL);
    assert_true(stop.now);
    assert_int_equal(signals_take(), 0);
    stop_close(&stop);
    rundir_close(dir);
}

enum { OLD_THREADS = 3 };

/* As a thread that a library started before the signals were blocked. */
static void *old_thread(void *ready)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    pthread_barrier_wait(ready);
    pthread_barrier_wait(ready);
    return NULL;
}

/* A signal that the process gets is taken once, whichever thread it comes to, and kills nobody. */
static void signals_in_old_threads(void **state)
{
    (void)state;
    pthread_t thread[OLD_THREADS];
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, OLD_THREADS + 1);
    signals_block();
    for (int i = 0; i < OLD_THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, old_thread, &ready), 0);
    }
    pthread_barrier_wait(&ready);
    for (int k = 0; k < 6; k++) {
        const int sent = k % 2 ? SIGUSR1 : SIGTERM;
        int taken = 0;
        kill(getpid(), sent);
        for (int i = 0; i < 5000 && taken == 0; i++) {
            taken = signals_take();
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        assert_int_equal(taken, sent);
    }
    assert_int_equal(signals_take(), 0);
    pthread_barrier_wait(&ready);
    for (int i = 0; i < OLD_THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    pthread_barrier_destroy(&ready);
}

static void file_stops(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct stop stop;
    char path[192];
    assert_ok(&f->err, stop_open(&f->err, NULL, -1, &stop));
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_NONE);
    snprintf(path, sizeof path, "%s/stop", f->run);
    fixture_put(path, "", 0);
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_FILE);
    assert_string_equal(stop_why(stop.cause), "stop file");
    assert_false(stop.now);
    stop_ask(&stop, STOP_DEADLINE); /* the first cause stays */
    assert_int_equal(stop.cause, STOP_FILE);
    raise(SIGTERM); /* who wants it faster may say so */
    look_again(&stop, dir);
    assert_true(stop.now);
    stop_close(&stop);
    rundir_close(dir);
}

static void deadline_stops(void **state)
{
    struct fixture *f = *state;
    struct rundir *dir = fixture_open(f);
    struct stop stop;
    assert_ok(&f->err, stop_open(&f->err, "+1h", -1, &stop));
    assert_true(fabs(stop_left(&stop, 100) - (3600 - 60 - 100)) < 5);
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_NONE);
    stop_poll(&stop, dir, 0); /* not looked at so soon */
    stop.looked = 0;
    stop_poll(&stop, dir, 3600);
    assert_int_equal(stop.cause, STOP_DEADLINE);
    assert_false(stop.now); /* there is time for checkpoints */
    stop_close(&stop);

    assert_ok(&f->err, stop_open(&f->err, "+40s", -1, &stop)); /* a short job: a shorter margin */
    assert_true(fabs(stop_left(&stop, 0) - 30) < 5);
    stop_close(&stop);
    assert_ok(&f->err, stop_open(&f->err, "+40s", 60, &stop)); /* unless it was asked for */
    look_again(&stop, dir);
    assert_int_equal(stop.cause, STOP_DEADLINE);
    assert_false(stop.now);
    stop_close(&stop);
    assert_ok(&f->err, stop_open(&f->err, "1700000000", 60, &stop)); /* past */
    look_again(&stop, dir);
    assert_true(stop.now);
    stop_close(&stop);
    error_clear(&f->err);
    assert_int_equal(stop_open(&f->err, "soon", -1, &stop), STATUS_USAGE);
    rundir_close(dir);
}

/* Poll until the deadline is known or `seconds` have passed. */
static double ask(struct deadline *deadline, double seconds)
{
    double begun = clock_seconds();
    do {
        deadline_poll(deadline);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    } while (isinf(deadline_left(deadline)) && clock_seconds() - begun < seconds);
    return deadline_left(deadline);
}

static void put_squeue(const struct fixture *f, const char *script)
{
    char path[192];
    snprintf(path, sizeof path, "%s/squeue", f->folder);
    fixture_put(path, script, strlen(script));
    assert_int_equal(chmod(path, 0700), 0);
}

static void asks_slurm(void **state)
{
    struct fixture *f = *state;
    struct deadline *deadline = NULL;
    char script[256], *text = NULL, path[4096];
    time_t end = time(NULL) + 1000;
    char when[32];
    snprintf(path, sizeof path, "%s:%s", f->folder, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("SLURM_JOB_ID", "4711", 1);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime(&end));
    snprintf(script, sizeof script, "#!/bin/sh\n[ \"$*\" = \"-h -j 4711 -o %%e\" ] && echo %s\n",
             when);
    put_squeue(f, script);
    assert_ok(&f->err, deadline_create(&f->err, NULL, &deadline));
    assert_true(isinf(deadline_left(deadline)));
    assert_true(fabs(ask(deadline, 20) - 1000) < 25);
    deadline_free(deadline);

    put_squeue(f, "#!/bin/sh\nexit 1\n"); /* said once, and the run goes on */
    assert_ok(&f->err, deadline_create(&f->err, NULL, &deadline));
    FIXTURE_STDERR(f, text, ask(deadline, 1));
    assert_non_null(strstr(text, "the end of job 4711 is not known: squeue failed"));
    assert_true(isinf(deadline_left(deadline)));
    free(text);
    deadline_free(deadline);

    put_squeue(f, "#!/bin/sh\nexec sleep 1000\n"); /* does not answer: nobody waits for it */
    assert_ok(&f->err, deadline_create(&f->err, NULL, &deadline));
    double begun = clock_seconds();
    deadline_poll(deadline);
    deadline_poll(deadline);
    deadline_free(deadline);
    assert_true(clock_seconds() - begun < 10);
    unsetenv("SLURM_JOB_ID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines),  cmocka_unit_test(what_may_begin),
        TEST(signals_stop),           TEST(signals_add_up),
        TEST(signals_in_old_threads), TEST(file_stops),
        TEST(deadline_stops),         TEST(asks_slurm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
