/* States from which a cell must not go on: of other cells, instruction sets, formats; damaged ones. */
#include "tests/unit/study_course.h"

#include <sys/wait.h>
#include <unistd.h>

/* States that cannot be used ================================================================== */

/* The cell starts anew, says so, and has the results that it must have. */
static void check_refused(const struct shared *s, const struct course *c, struct bytes bytes,
                          const char *reason)
{
    struct store store = {.last = bytes};
    struct attempt a = {.corpus = s->corpus, .cell = &c->cell, .store = &store};
    char warning[1024] = "";
    int pipes[2];
    fflush(stderr);
    const int kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    attempt_alone(&a, 0);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    const ssize_t got = read(pipes[0], warning, sizeof warning - 1);
    close(pipes[0]);
    assert_true(got > 0);
    assert_int_equal(a.status, STATUS_OK);
    if (strstr(warning, reason) == NULL || strstr(warning, "starts anew") == NULL) {
        fail_msg("the warning does not say \"%s\": %s", reason, warning);
    }
    assert_int_equal(a.resumed, 0);
    assert_int_equal(a.first, 1);
    store_same_record(&c->cell, a.record, c->undisturbed);
    record_free(a.record);
    store_clear(&store);
}

static void test_refused(void **state)
{
    const struct shared *s = *state;
    const struct course *c = &s->course[BF16];
    const struct bytes good = course_first_state(s, &c->cell);
#define REFUSED(change, reason)                                                                    \
    do {                                                                                           \
        struct bytes bad = bytes_copy(good.at, good.length);                                       \
        struct state head, *x = &head;                                                             \
        memcpy(x, bad.at, sizeof head);                                                            \
        change;                                                                                    \
        memcpy(bad.at, x, sizeof head);                                                            \
        check_refused(s, c, bad, reason);                                                          \
    } while (0)
    REFUSED(x->magic++, "another format");
    REFUSED(x->id[3] ^= 1, "of cell");
    REFUSED(memset(x->id, 'a', sizeof x->id), "of cell");
    REFUSED(strcpy(x->method, METHOD_VERSION "x"), "method version " METHOD_VERSION "x");
    REFUSED(strcpy(x->isa, "vax"), "instruction set vax");
    REFUSED(strcpy(x->matmul, "abacus"), "by abacus");
    REFUSED(memset(x->matmul, 'a', sizeof x->matmul), "matrix products");
    REFUSED(memset(x->started, 'a', sizeof x->started), "has no end");
    REFUSED(x->numbers--, "damaged");
    REFUSED(x->weights = UINT64_MAX, "damaged");
    REFUSED(x->weights += (uint64_t)1 << 62, "damaged");
    REFUSED(bad.length -= 4, "damaged");
    REFUSED(bad.length = sizeof *x - 1, "cut short");
    REFUSED(bad.length = 0, "cut short");
    REFUSED(x->step = x->updates = 0, "damaged");
    REFUSED(x->step = x->updates = STEPS + 1, "damaged");
    REFUSED(x->step = x->updates = INT64_MIN, "damaged");
    REFUSED(x->updates = 0, "damaged");
    REFUSED(x->skipped = -1; x->updates = 2, "damaged");
    REFUSED(x->good_steps = -1, "damaged");
    REFUSED(x->good_steps = 2, "damaged");
    REFUSED(x->next = -1, "damaged");
    REFUSED(x->next = 1, "damaged");
    REFUSED(x->next = 3, "damaged");
    REFUSED(x->next = INT64_MAX, "damaged");
    REFUSED(x->loss_scale = 0, "damaged");
    REFUSED(x->loss_scale = NAN, "damaged");
#undef REFUSED
    free(good.at);
}

/* No length but the right one is believed, and nothing beyond the bytes is read. */
static void test_every_length(void **state)
{
    const struct shared *s = *state;
    const struct cell *cell = &s->course[FP16].cell;
    const struct bytes good = course_first_state(s, cell);
    const size_t weights = store_weights(cell);
    struct state_view view;
    struct error err = {0};
    for (size_t length = 0; length <= good.length + 9; length++) {
        if (length > 6000 && length + 200 < good.length && length % 97 != 0) {
            continue; /* inside the buffers, nothing but the length tells */
        }
        unsigned char *exact = calloc(length + 1, 1); /* the first byte puts it off alignment */
        memcpy(exact + 1, good.at, length < good.length ? length : good.length);
        error_clear(&err);
        const int status = state_parse(&err, cell, weights, exact + 1, length, &view);
        assert_int_equal(status, length == good.length ? STATUS_OK : STATUS_FAILED);
        assert_int_equal(err.message[0] != 0, length != good.length);
        free(exact);
    }
    free(good.at);
}

/* Instruction sets ============================================================================ */

/* Run in a child process with PTQSCALE_ISA = isa: from `bytes` if there are any, cancelled at poll `at`. The last state goes to
 * `path`. Returns 1 + the step that it went on from; 0 = failure. */
static int in_child(const char *isa, struct bytes bytes, int at, const char *path)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        setenv("PTQSCALE_ISA", isa, 1);
        const struct cell cell = course_cell(STEPS, PRECISION_BF16);
        struct store store = {.last = bytes};
        struct attempt a = {
            .corpus = text_corpus(400000, &cell.data), .cell = &cell, .store = &store};
        const int expected = at ? STATUS_STOPPED : STATUS_OK;
        FILE *file = fopen(path, "wb");
        const bool ok = attempt_alone(&a, at) == expected && file != NULL &&
                        fwrite(store.last.at, 1, store.last.length, file) == store.last.length &&
                        fclose(file) == 0;
        _exit(ok ? 1 + (int)a.resumed : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* In processes of their own, since the choice is made once in a process: must run before all other tests. */
static void test_other_isa(void **state)
{
    (void)state;
    char path[] = "test_study_resume_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    FOR_EACH_ISA(k)
    {
        assert_int_equal(in_child(k->name, (struct bytes){0}, 10, path), 1);
        FILE *file = fopen(path, "rb");
        struct bytes bytes = {malloc(1 << 20), 0};
        bytes.length = fread(bytes.at, 1, 1 << 20, file);
        fclose(file);
        assert_true(bytes.length > sizeof(struct state) && bytes.length < 1 << 20);
        for (int i = 0; i < 3; i++) { /* two steps in ten polls */
            const bool same = strcmp(fixture_isa[i], k->name) == 0;
            if (kernels_named(fixture_isa[i]) != NULL) {
                assert_int_equal(in_child(fixture_isa[i], bytes, 0, path), same ? 1 + 2 : 1);
            }
        }
        free(bytes.at);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest first[] = {cmocka_unit_test(test_other_isa)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_length),
    };
    const int failed = cmocka_run_group_tests_name("isa", first, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, course_set_up, course_tear_down);
}
