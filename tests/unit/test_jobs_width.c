/* Team sizes: what a study file asks for, and what is chosen from the memory that there is. */
#include "jobs/bytes.h"
#include "jobs/cost.h"
#include "jobs/memory.h"
#include "jobs/width.h"
#include "tests/unit/jobs_fixture.h"

#define STUDY(ranks, run)                                                                          \
    "sizes:\n"                                                                                     \
    "  - {name: one, layers: 24, d_model: 512, heads: 8, context: 64, learning_rate: 8.0e-3" ranks \
    "}\n"                                                                                          \
    "  - {name: two, layers: 2, d_model: 16, heads: 2, context: 64, learning_rate: 8.0e-3}\n"      \
    "base: {tokens: 65536}\nseeds: 2\ndata: {files: [text.txt]}\n"                                 \
    "train: {batch_tokens: 1024, micro_batch_tokens: 128}\n" run

/* Amounts ===================================================================================== */

static void amounts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bytes;
    } right[] = {
        {"8GiB", 8589934592.0},
        {"512MiB", 536870912.0},
        {"1.5 TiB", 1649267441664.0},
        {"2KiB", 2048},
        {"64000B", 64000},
        {"3kB", 3000},
        {"3KB", 3000},
        {"2GB", 2e9},
        {"1e3MB", 1e9},
    };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        double bytes = 0;
        assert_true(bytes_parse(right[i].text, &bytes));
        assert_true(bytes == right[i].bytes);
    }
    static const char *const wrong[] = {
        "",     "8",    "GiB",  "-1GiB", "+1GiB",  " 8GiB", "8 GiB ", "8G",  "8gib", "0B",
        "0.5B", "8kiB", "0x8B", "nanB",  "1e999B", "8GiBs", "8  GiB", "8iB", "8XiB", "8GGiB"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        double bytes = 7;
        if (bytes_parse(wrong[i], &bytes)) {
            fail_msg("\"%s\" was taken for %g bytes", wrong[i], bytes);
        }
        assert_true(bytes == 7);
    }
}

/* The study file ============================================================================== */

static void asked_for(void **state)
{
    (void)state;
    int count = 0;
    struct cell *plain = fixture_cells(STUDY("", ""), &count);
    struct cell *asked =
        fixture_cells(STUDY(", ranks_per_cell: 4", "run: {memory_per_rank: 1GiB}\n"), &count);
    assert_int_equal(count, 4);
    for (int i = 0; i < count; i++) {
        assert_int_equal(plain[i].ranks, 0);
        assert_int_equal(asked[i].ranks, i < 2 ? 4 : 0);
        assert_string_equal(plain[i].id, asked[i].id);
    }
    free(plain);
    free(asked);
}

static void expanded(void **state)
{
    (void)state;
    struct error err = {0};
    struct spec *spec = NULL, *again = NULL;
    char *text = NULL;
    static const char study[] = STUDY(", ranks_per_cell: 4", "run: {memory_per_rank: 1.5GiB}\n");
    assert_int_equal(fixture_read(&err, study, sizeof study - 1, &spec), STATUS_OK);
    assert_int_equal(spec_expanded(&err, spec, &text), STATUS_OK);
    assert_int_equal(fixture_read(&err, text, strlen(text), &again), STATUS_OK);
    assert_int_equal(again->size_ranks[0], 4);
    assert_int_equal(again->size_ranks[1], 0);
    assert_true(again->run.memory_per_rank == 1.5 * 1073741824);
    free(text);
    spec_free(spec);
    spec_free(again);
}

/* Ids of the study files here, without their text, as they were before a cell knew of ranks: runs go on with what they have. */
static void ids_are_what_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *study, *first, *last;
    } known[] = {
        {"learning-rate", "20bb447b6e77c6796b3fcc82ff41c99f", "fefb9a1c253a97e55808a6be4018f57f"},
        {"quick", "9a17fcc3fa5a9d3db7bcdf3a09a24d43", "40bd6e9d306c80e128f4631a675654ed"},
        {"smoke", "d96fae4c36857039f27601f77c6a5c6c", "49563a43328896fe56f59723974629b9"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char path[512];
        int count = 0;
        struct error err = {0};
        struct spec *spec = NULL;
        struct cell *cells = NULL;
        snprintf(path, sizeof path, "%s/jobs/%s.yaml", PTQSCALE_SOURCE_DIR, known[i].study);
        assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
        assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
        assert_string_equal(cells[0].id, known[i].first);
        assert_string_equal(cells[count - 1].id, known[i].last);
        free(cells);
        spec_free(spec);
    }
}

/* The choice ================================================================================== */

static double need(const struct cell *cell, int ranks, bool recompute)
{
    struct memory memory;
    memory_of(cell, ranks, recompute, &memory);
    return memory.peak;
}

static void expect(const struct cell *cell, double memory, int workers, int ranks, bool recompute)
{
    struct error err = {0};
    struct width width = {0};
    if (width_choose(&err, cell, memory, workers, &width) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(width.ranks, ranks);
    assert_int_equal(width.recompute, recompute);
    assert_near(width.bytes, need(cell, ranks, recompute), 0);
}

static void refuse(const struct cell *cell, double memory, int workers, const char *part)
{
    struct error err = {0};
    struct width width = {0};
    assert_int_equal(width_choose(&err, cell, memory, workers, &width), STATUS_FAILED);
    if (!strstr(err.message, part) || !strstr(err.message, "size one: ")) {
        fail_msg("no \"%s\" in: %s", part, err.message);
    }
}

static void choice(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(STUDY("", ""));
    assert_int_equal(width_most(&cell), 8);
    expect(&cell, 0, 100, 1, false);
    for (int ranks = 1; ranks <= 8; ranks *= 2) { /* just enough for each, and a byte less */
        assert_true(need(&cell, ranks, true) < need(&cell, ranks, false));
        expect(&cell, need(&cell, ranks, true), 8, ranks, true);
        if (ranks > 1) {
            assert_true(need(&cell, ranks, true) < need(&cell, ranks / 2, true));
            expect(&cell, need(&cell, ranks / 2, true) - 1, 8, ranks,
                   need(&cell, ranks, false) >= need(&cell, ranks / 2, true));
        }
    }
    refuse(&cell, need(&cell, 8, true) - 1, 100, "with 8 ranks");
    refuse(&cell, need(&cell, 8, true) - 1, 100, "no team is large enough");
    refuse(&cell, need(&cell, 8, true) - 1, 100, "smaller train.micro_batch_tokens");
    refuse(&cell, need(&cell, 8, true), 7, "8 ranks per cell would do: start more ranks");

    cell.ranks = 4; /* asked for: no other size will do */
    expect(&cell, 0, 4, 4, false);
    expect(&cell, need(&cell, 4, false), 100, 4, false);
    expect(&cell, need(&cell, 4, true), 100, 4, true);
    refuse(&cell, need(&cell, 4, true) - 1, 100, "8 ranks per cell would do, so change");
    refuse(&cell, 0, 3, "3 workers");
    cell.ranks = 16;
    refuse(&cell, 0, 100, "8 micro-batches");
}

static void beside_the_process(void **state)
{
    (void)state;
    assert_near(width_memory(0, 1e9), 0, 0);
    assert_near(width_memory(8e9, 1e6), 8e9 - cost_process_bytes(1e6), 0);
    assert_near(width_memory(1e6, 1e6), 1, 0); /* nothing left, which is not "no limit" */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts),  cmocka_unit_test(asked_for),
        cmocka_unit_test(expanded), cmocka_unit_test(ids_are_what_they_were),
        cmocka_unit_test(choice),   cmocka_unit_test(beside_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
