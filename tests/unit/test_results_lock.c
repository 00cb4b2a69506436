/* The lock on a run's folder: kernel lock and lease. */
#include "tests/unit/results_fixture.h"

#include <time.h>

#include "results/lock.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct lease here = {.host = "here", .pid = 10, .boot = "boot1", .start = 7};

static void expect(struct lease lease, bool alive, double age, enum lease_verdict verdict)
{
    assert_int_equal(lease_judge(&lease, &here, alive, age), verdict);
}

static void verdicts(void **state)
{
    (void)state;
    struct lease lease = {.host = "here", .pid = 11, .boot = "boot1", .start = 8};
    expect(lease, true, 1, LEASE_HELD);
    expect(lease, false, 1, LEASE_FREE);               /* no such process */
    expect(lease, true, LOCK_STALE + 600, LEASE_HELD); /* it lives, and is busy with something */
    lease.released = true;
    expect(lease, true, 1, LEASE_FREE);
    lease.released = false;
    strcpy(lease.boot, "boot0"); /* the machine was started again since */
    expect(lease, true, 1, LEASE_FREE);
    strcpy(lease.host, "there");
    expect(lease, true, 1, LEASE_WATCH);
    expect(lease, false, LOCK_STALE - 1, LEASE_WATCH);
    expect(lease, false, LOCK_STALE + 1, LEASE_FREE); /* not renewed for long */
    expect(lease, false, -30, LEASE_WATCH);           /* clocks of nodes differ */
}

static void texts(void **state)
{
    (void)state;
    struct lease lease;
    assert_true(lease_parse("ptqscale lock\nhost a-b.c, pid 12, since 2025-01-31T23:59:59Z\n"
                            "boot 01-23, start 456\n",
                            &lease));
    assert_string_equal(lease.host, "a-b.c");
    assert_int_equal(lease.pid, 12);
    assert_string_equal(lease.boot, "01-23");
    assert_int_equal(lease.start, 456);
    assert_false(lease.released);
    assert_true(lease_parse("ptqscale lock\nhost a, pid 12, since X\nreleased\n", &lease));
    assert_true(lease.released);
    static const char *const none[] = {"",
                                       "ptqscale lock",
                                       "ptqscale lock\n",
                                       "something else\n",
                                       "ptqscale lock\nhost a, pid 12, since 2025\n",
                                       "ptqscale lock\nhost a, pid 12, since 2025\nboot \n"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(lease_parse(none[i], &lease));
        assert_true(lease.released); /* it holds nobody up */
    }
}

static void put_lease(const struct fixture *f, const char *host, long pid, const char *boot,
                      unsigned long long start, char path[192])
{
    char text[512];
    int length = snprintf(text, sizeof text,
                          LOCK_MARK "\nhost %s, pid %ld, since 2025\nboot %s, start %llu\n", host,
                          pid, boot, start);
    snprintf(path, 192, "%s/lock", f->folder);
    fixture_put(path, text, (size_t)length);
}

/* What lock_take has written of us. */
static struct lease our_lease(struct fixture *f)
{
    int lock = -1;
    size_t size = 0;
    char path[192];
    struct lease lease;
    assert_ok(&f->err, lock_take(&f->err, f->folder, &lock));
    snprintf(path, sizeof path, "%s/lock", f->folder);
    char *text = fixture_bytes(path, &size);
    assert_true(lease_parse(text, &lease));
    free(text);
    assert_true(lock_is_held(path));
    lock_release(f->folder, lock);
    assert_false(lock_is_held(path));
    return lease;
}

static void taken_and_released(void **state)
{
    struct fixture *f = *state;
    int lock = -1, second = -1;
    struct lease us = our_lease(f);
    assert_int_equal(us.pid, getpid());
    assert_true(us.start > 0);
    assert_ok(&f->err, lock_take(&f->err, f->folder, &lock)); /* released: at once */
    assert_fails(&f->err, "another run (host ", lock_take(&f->err, f->folder, &second));
    assert_ok(&f->err, lock_beat(&f->err, f->folder, lock));
    lock_release(f->folder, lock);
    lock_release(f->folder, -1);
}

static void stale_leases(void **state)
{
    struct fixture *f = *state;
    int lock = -1;
    char path[192];
    struct lease us = our_lease(f);
    /* A process that is gone; one of that number that is another; a machine that was restarted. */
    const struct lease stale[] = {{.pid = 999999999, .start = us.start},
                                  {.pid = us.pid, .start = us.start + 1},
                                  {.pid = us.pid, .start = us.start, .boot = "other"}};
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        put_lease(f, us.host, stale[i].pid, stale[i].boot[0] ? stale[i].boot : us.boot,
                  stale[i].start, path);
        assert_false(lock_is_held(path));
        assert_ok(&f->err, lock_take(&f->err, f->folder, &lock));
        lock_release(f->folder, lock);
    }
    /* Another host's, not renewed for long. */
    put_lease(f, "elsewhere", 1, "x", 1, path);
    struct timespec old[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_ok(&f->err, lock_take(&f->err, f->folder, &lock));
    lock_release(f->folder, lock);
}

/* Where the file system has no locks, the lease is all there is. */
static void living_leases(void **state)
{
    struct fixture *f = *state;
    int lock = -1;
    char path[192], *text = NULL;
    struct lease us = our_lease(f);
    put_lease(f, us.host, us.pid, us.boot, us.start, path);
    assert_true(lock_is_held(path));
    assert_fails(&f->err, "another run (host ", lock_take(&f->err, f->folder, &lock));

    /* A fresh one of another host is watched: this one is renewed after a second. */
    put_lease(f, "elsewhere", 1, "x", 1, path);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            sleep(1);
            utimensat(AT_FDCWD, path, NULL, 0);
        }
        _exit(0);
    }
    FIXTURE_STDERR(
        f, text,
        assert_fails(&f->err, "host elsewhere, pid 1", lock_take(&f->err, f->folder, &lock)));
    assert_non_null(strstr(text, "waiting up to"));
    free(text);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void taken_over(void **state)
{
    struct fixture *f = *state;
    int lock = -1;
    size_t size = 0;
    char path[192];
    assert_ok(&f->err, lock_take(&f->err, f->folder, &lock));
    put_lease(f, "elsewhere", 1, "x", 1, path);
    assert_fails(&f->err, "another run (host elsewhere, pid 1) has taken the folder over",
                 lock_beat(&f->err, f->folder, lock));
    lock_release(f->folder, lock); /* leaves the other's lease alone */
    char *text = fixture_bytes(path, &size);
    assert_non_null(strstr(text, "host elsewhere, pid 1, since 2025\nboot x, start 1\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts), cmocka_unit_test(texts), TEST(taken_and_released),
        TEST(stale_leases),         TEST(living_leases),     TEST(taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
