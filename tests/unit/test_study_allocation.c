/*
 * Memory is planned once per cell: a training step allocates no working memory. Allocation is watched by replacing malloc and its
 * kin in this program; the matmul library's bookkeeping of some hundred bytes per call does not count.
 */
#include "tests/unit/study_text.h"

#include "study/train.h"

#ifndef __SANITIZE_ADDRESS__ /* which replaces malloc itself */

enum { WORKING_MEMORY = 1024 };

static long large; /* allocations of at least WORKING_MEMORY bytes */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    large += size >= WORKING_MEMORY;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    large += count * size >= WORKING_MEMORY;
    return __libc_calloc(count, size);
}
void *realloc(void *p, size_t size)
{
    large += size >= WORKING_MEMORY;
    return __libc_realloc(p, size);
}
void *aligned_alloc(size_t alignment, size_t size)
{
    large += size >= WORKING_MEMORY;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **p, size_t alignment, size_t size)
{
    large += size >= WORKING_MEMORY;
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : 12; /* ENOMEM */
}

static void test_step_allocates_nothing(void **state)
{
    (void)state;
    for (int p = 0; p < 3; p++) {
        struct error err = {0};
        struct team alone = team_alone();
        struct cell cell = text_cell(40, (enum precision)p);
        struct corpus *corpus = text_corpus(200000, &cell.data);
        struct layout *layout = NULL;
        struct trainer *trainer = NULL;
        struct train_step step;
        const long before = large;
        cell.train.dropout = 0.1;
        cell.train.grad_clip = 1;
        assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
        assert_int_equal(trainer_create(&err, &alone, corpus, layout, &cell, &trainer), STATUS_OK);
        assert_int_equal(trainer_step(&err, trainer, &step), STATUS_OK); /* prepares matmuls */
        assert_true(large > before);                                     /* the watch works */
        const long planned = large;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(trainer_step(&err, trainer, &step), STATUS_OK);
        }
        assert_int_equal(large - planned, 0);
        trainer_free(trainer);
        layout_free(layout);
        corpus_free(corpus);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0; /* measured in the build without sanitizers */
}

#endif
