/*
 * PTQSCALE_ISA chooses the instruction set of kernels and matmuls alike, and what a record says of it is what was used. The
 * library decides once in a process, so each test asks in a process of its own.
 */
#include "tests/unit/study_text.h"

#include <sys/wait.h>

#include "study/gemm.h"
#include "study/run_cell.h"

/* The answer of a child process with PTQSCALE_ISA set. */
static bool in_child(const char *isa, bool (*question)(const char *isa))
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        setenv("PTQSCALE_ISA", isa, 1);
        _exit(question(isa) ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Is this the name of a matmul within the instruction set? */
static bool within(const char *matmul, const char *isa)
{
    return strcmp(isa, "baseline") == 0 ? strstr(matmul, " sse41") != NULL
           : strcmp(isa, "avx2") == 0   ? strstr(matmul, " avx2") != NULL
                                        : true;
}

static struct record *run(void)
{
    struct error err = {0};
    struct team alone = team_alone();
    struct cell cell = text_cell(2, PRECISION_BF16);
    struct record *record = NULL;
    struct corpus *corpus = text_corpus(200000, &cell.data);
    cell.evaluate.checkpoints = 1;
    cell.evaluate.fraction[0] = 1;
    cell.evaluate.windows = 2;
    cell.evaluate.quantizers = 1;
    cell.evaluate.quantizer[0] = *quantizer_find("w8a8");
    const int status = run_cell(&err, &alone, corpus, &cell, NULL, NULL, NULL, &record);
    corpus_free(corpus);
    return status == STATUS_OK ? record : NULL;
}

static bool record_is_right(const char *isa)
{
    struct record *r = run();
    const bool right = r && strcmp(r->isa, isa) == 0 && within(r->matmul, isa) &&
                       isfinite(r->loss[0]) && r->kl[0] > 0;
    record_free(r);
    return right;
}

static void test_record(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        if (!in_child(k->name, record_is_right)) {
            fail_msg("a run with PTQSCALE_ISA=%s does not use or record it", k->name);
        }
    }
}

/* A session asks for the name before it runs a cell: that must not change what the cell multiplies with. */
static bool asking_first_is_right(const char *isa)
{
    const bool named = within(run_cell_matmul(), isa);
    return named && record_is_right(isa);
}

static void test_asking_first(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        if (!in_child(k->name, asking_first_is_right)) {
            fail_msg("after run_cell_matmul(), PTQSCALE_ISA=%s does not hold for matmuls", k->name);
        }
    }
}

static bool kernels_are_right(const char *isa)
{
    return strcmp(kernels_get()->name, isa) == 0 && strcmp(run_cell_isa(), isa) == 0;
}

/* An unknown name is the best that the machine has. */
static bool unknown_is_best(const char *isa)
{
    const struct kernels *best = kernels_named("baseline");
    FOR_EACH_ISA(k)
    {
        best = k;
    }
    return kernels_named(isa) == NULL && kernels_get() == best;
}

static void test_kernels(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        assert_true(in_child(k->name, kernels_are_right));
    }
    assert_true(in_child("vax", unknown_is_best));
    assert_non_null(kernels_named("baseline"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_asking_first),
        cmocka_unit_test(test_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
