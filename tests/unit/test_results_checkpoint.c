/* Checkpoints in the run's folder: what was saved comes back, what is damaged does not, and the last good one stays. */
#include "tests/unit/results_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "results/checkpoint.h"

static const char id[] = "0123456789abcdef0123456789abcdef";

static void state_path(const struct fixture *f, const char *name, char path[192])
{
    snprintf(path, 192, "%s/checkpoints/%s/%s", f->folder, id, name);
}

static int save(struct fixture *f, const char *dir, const void *bytes, size_t length)
{
    /* In three parts, one of them empty. */
    const size_t half = length / 2;
    const struct iovec part[] = {
        {(void *)bytes, half}, {NULL, 0}, {(char *)bytes + half, length - half}};
    return checkpoint_save(&f->err, dir, id, "state", part, 3, NULL, NULL);
}

/* What is loaded is exactly these bytes; NULL: nothing. */
static void check_load(struct fixture *f, const char *dir, const void *bytes, size_t length)
{
    void *loaded = (void *)&loaded;
    size_t got = 1;
    assert_ok(&f->err, checkpoint_load(&f->err, dir, id, "state", NULL, NULL, &loaded, &got));
    assert_int_equal(loaded != NULL, bytes != NULL);
    if (bytes != NULL) {
        assert_int_equal(got, length);
        assert_memory_equal(loaded, bytes, length);
    }
    free(loaded);
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    char path[192], folder[192], bytes[1000];
    uint64_t random = 1;
    size_t size;
    check_load(f, f->folder, NULL, 0);
    state_path(f, "state", path);
    state_path(f, "", folder);
    static const size_t lengths[] = {0, 1, 2, 41, 42, 43, 999, 1000};
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (char)fixture_random(&random);
        }
        assert_ok(&f->err, save(f, f->folder, bytes, lengths[i]));
        check_load(f, f->folder, bytes, lengths[i]);
        assert_int_equal(fixture_entries(folder), 1);
        /* The format of the header comment. */
        char *file = fixture_bytes(path, &size);
        assert_int_equal(size, lengths[i] + 25 + 16 + 1);
        assert_memory_equal(file + lengths[i], "ptqscale-checkpoint XXH3 ", 25);
        assert_int_equal(strspn(file + lengths[i] + 25, "0123456789abcdef"), 16);
        assert_int_equal(file[size - 1], '\n');
        free(file);
    }
    /* XXH3-64 of no bytes, as published. */
    assert_ok(&f->err, save(f, f->folder, bytes, 0));
    char *file = fixture_bytes(path, &size);
    assert_string_equal(file, "ptqscale-checkpoint XXH3 2d06800538d394c2\n");
    free(file);
}

/* Each cell has its own. */
static void test_cells_apart(void **state)
{
    struct fixture *f = *state;
    void *loaded;
    size_t length;
    assert_ok(&f->err, save(f, f->folder, "mine", 4));
    const struct iovec part = {"other", 5};
    assert_ok(&f->err, checkpoint_save(&f->err, f->folder, "other", "state", &part, 1, NULL, NULL));
    check_load(f, f->folder, "mine", 4);
    assert_ok(&f->err, checkpoint_remove(&f->err, f->folder, id));
    check_load(f, f->folder, NULL, 0);
    assert_ok(&f->err,
              checkpoint_load(&f->err, f->folder, "other", "state", NULL, NULL, &loaded, &length));
    assert_int_equal(length, 5);
    free(loaded);
}

/* These bytes in the file are no checkpoint: said so, put aside, and the next one is good again. */
static void check_damaged(struct fixture *f, const char *bytes, size_t size)
{
    char path[192], aside[192];
    char *text, *moved;
    size_t length;
    state_path(f, "state", path);
    state_path(f, "state.damaged", aside);
    fixture_put(path, bytes, size);
    assert_false(checkpoint_check(bytes, size, &length));
    FIXTURE_STDERR(f, text, check_load(f, f->folder, NULL, 0));
    assert_non_null(strstr(text, path));
    assert_non_null(strstr(text, aside));
    assert_non_null(strstr(text, "damaged or cut short"));
    free(text);
    assert_int_equal(access(path, F_OK), -1);
    moved = fixture_bytes(aside, &length);
    assert_int_equal(length, size);
    assert_memory_equal(moved, bytes, size);
    free(moved);
    FIXTURE_STDERR(f, text, check_load(f, f->folder, NULL, 0)); /* said once */
    assert_string_equal(text, "");
    free(text);
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    char path[192];
    size_t size;
    static const char bytes[] = "the state of a cell, as far as this test is concerned";
    state_path(f, "state", path);
    assert_ok(&f->err, save(f, f->folder, bytes, sizeof bytes));
    char *good = fixture_bytes(path, &size);
    char *bad = malloc(size + 1);
    for (size_t length = 0; length < size; length++) {
        check_damaged(f, good, length);
    }
    for (size_t at = 0; at < size; at++) {
        memcpy(bad, good, size);
        bad[at] = (char)(bad[at] ^ (1 << at % 8));
        check_damaged(f, bad, size);
    }
    memcpy(bad, good, size);
    bad[size] = '\n';
    check_damaged(f, bad, size + 1);
    free(bad);
    free(good);
    assert_ok(&f->err, save(f, f->folder, bytes, sizeof bytes));
    check_load(f, f->folder, bytes, sizeof bytes);
}

static void test_not_readable(void **state)
{
    struct fixture *f = *state;
    char path[192];
    void *loaded;
    size_t length;
    state_path(f, "state", path);
    assert_ok(&f->err, save(f, f->folder, "x", 1));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(&f->err, "not a regular file",
                 checkpoint_load(&f->err, f->folder, id, "state", NULL, NULL, &loaded, &length));
    assert_null(loaded);
    assert_fails(&f->err, path, save(f, f->folder, "y", 1));
    state_path(f, "", path);
    assert_int_equal(fixture_entries(path), 1);
}

/* The old checkpoint is there as it was, and nothing beside it. */
static void check_kept(struct fixture *f, const char *dir, const char *bytes)
{
    char folder[192];
    snprintf(folder, sizeof folder, "%s/checkpoints/%s", dir, id);
    assert_int_equal(fixture_entries(folder), 1);
    check_load(f, dir, bytes, strlen(bytes));
}

/* A file size limit is met in the middle of the first part, of the last, and of the trailer. */
static void test_limited(void **state)
{
    struct fixture *f = *state;
    static const char old[] = "the old state";
    char bytes[8192] = "";
    const struct rlimit limits[] = {{100, 100}, {5000, 5000}, {8192 + 5, 8192 + 5}, {0, 0}};
    assert_ok(&f->err, save(f, f->folder, old, strlen(old)));
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limits[i]);
            const bool failed = save(f, f->folder, bytes, sizeof bytes) == STATUS_FAILED &&
                                strstr(f->err.message, "File too large") != NULL;
            _exit(failed ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        check_kept(f, f->folder, old);
    }
}

/* In a mount namespace of its own: a file system of 64 KiB that is full. Returns what went wrong, NULL = nothing. */
static const char *full_file_system(struct fixture *f)
{
    static char bytes[60000];
    char dir[96];
    snprintf(dir, sizeof dir, "%s/small", f->folder);
    if (mount("small", dir, "tmpfs", 0, "size=64k") != 0) {
        return "cannot mount";
    }
    if (save(f, dir, bytes, 20000) != STATUS_OK) {
        return "cannot save the first";
    }
    if (save(f, dir, bytes, 60000) != STATUS_FAILED) {
        return "could save where there is no space";
    }
    if (!strstr(f->err.message, "No space left on device") ||
        !strstr(f->err.message, "free some")) {
        return "the reason is missing";
    }
    error_clear(&f->err);
    check_load(f, dir, bytes, 20000);
    return save(f, dir, bytes, 30000) == STATUS_OK ? NULL : "what failed has left something behind";
}

static void test_full(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    char dir[96];
    enum { CANNOT = 77 };
    snprintf(dir, sizeof dir, "%s/small", f->folder);
    assert_int_equal(mkdir(dir, 0700), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
            _exit(CANNOT);
        }
        const char *wrong = full_file_system(f);
        if (wrong) {
            fprintf(stderr, "%s\n", wrong);
        }
        _exit(wrong ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
        skip(); /* not root: test_limited says nearly the same */
    }
    assert_int_equal(status, 0);
}

static void die(void *context)
{
    (void)context;
    raise(SIGKILL);
}

/* A process that is killed while it saves leaves the old checkpoint, and a temporary file that goes away. */
static void test_killed(void **state)
{
    struct fixture *f = *state;
    char folder[192];
    int status = 0;
    state_path(f, "", folder);
    assert_ok(&f->err, save(f, f->folder, "old", 3));
    const pid_t child = fork();
    if (child == 0) {
        const struct iovec part[] = {{"new", 3}, {"er", 2}};
        checkpoint_save(&f->err, f->folder, id, "state", part, 2, die, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(fixture_entries(folder), 2);
    check_load(f, f->folder, "old", 3);
    check_kept(f, f->folder, "old");
}

static void count(void *context)
{
    ++*(int *)context;
}

/* Signs of life during a large checkpoint. */
static void test_alive(void **state)
{
    struct fixture *f = *state;
    const size_t length = ((size_t)1 << 26) + 1;
    char *bytes = calloc(length, 1);
    int saving = 0, loading = 0;
    void *loaded;
    size_t got;
    bytes[length - 1] = 7;
    const struct iovec part = {bytes, length};
    assert_ok(&f->err, checkpoint_save(&f->err, f->folder, id, "state", &part, 1, count, &saving));
    assert_true(saving >= 2);
    assert_ok(&f->err,
              checkpoint_load(&f->err, f->folder, id, "state", count, &loading, &loaded, &got));
    assert_true(loading >= 2);
    assert_int_equal(got, length);
    assert_int_equal(memcmp(loaded, bytes, length), 0);
    free(loaded);
    free(bytes);
}

/* All of a cell goes: state, damaged state, what a killed process left. */
static void test_remove(void **state)
{
    struct fixture *f = *state;
    char path[192], all[96];
    snprintf(all, sizeof all, "%s/checkpoints", f->folder);
    assert_ok(&f->err, checkpoint_remove(&f->err, f->folder, id)); /* there is none */
    assert_ok(&f->err, save(f, f->folder, "x", 1));
    state_path(f, "state.damaged", path);
    fixture_put(path, "y", 1);
    state_path(f, ".ptqscale-tmp.host.123.state", path);
    fixture_put(path, "z", 1);
    assert_ok(&f->err, checkpoint_remove(&f->err, f->folder, id));
    assert_int_equal(fixture_entries(all), 0);
    assert_ok(&f->err, checkpoint_remove(&f->err, f->folder, id));
    /* What is not ours is not removed, and said. */
    assert_ok(&f->err, save(f, f->folder, "x", 1));
    state_path(f, "notes", path);
    fixture_put(path, "mine", 4);
    assert_fails(&f->err, "cannot remove", checkpoint_remove(&f->err, f->folder, id));
    assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),   TEST(test_cells_apart), TEST(test_damaged),
        TEST(test_not_readable), TEST(test_limited),     TEST(test_full),
        TEST(test_killed),       TEST(test_alive),       TEST(test_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
