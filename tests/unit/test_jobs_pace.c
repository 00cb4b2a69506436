/* Bytes, messages and seconds of a team's step, against a count by hand. */
#include <math.h>

#include "jobs/cost.h"
#include "jobs/memory.h"
#include "jobs/pace.h"
#include "tests/unit/jobs_fixture.h"

/* 2 × 16 in sequential blocks: weights, biases and, before qkv and ffn_in, LayerNorms. */
enum {
    QKV = 3 * 256 + 3 * 16 + 2 * 16,
    ATTN_OUT = 256 + 16,
    FFN_IN = 4 * 256 + 4 * 16 + 2 * 16,
    FFN_OUT = 4 * 256 + 16,
    BLOCK = QKV + ATTN_OUT + FFN_IN + FFN_OUT,
    EMBEDDING = 256 * 16,
    HEAD = EMBEDDING + 2 * 16,
    ALL = EMBEDDING + 2 * BLOCK + HEAD,
};

static struct cell example(void)
{
    return fixture_cell(FIXTURE_STUDY
                        "base: {tokens: 65536, precision: fp32}\n"
                        "model: {block: sequential}\n"
                        "train: {batch_tokens: 1024, micro_batch_tokens: 128}\n"
                        "quantizers: [w8a8]\n"
                        "evaluate: {fractions: [1.0], windows: 100, calibration_windows: 8}\n");
}

/* Nothing else costs anything on a machine of this kind, or the opposite. */
static const struct pace_machine FAST_NETWORK = {1e9, 1e30, 0}, FAST_RANK = {1e30, 1e9, 1e-6};

static void step(void **state)
{
    (void)state;
    struct pace pace;
    struct cell cell = example();
    assert_int_equal(cell_parameters_total(&cell), ALL);
    /* 32 sequences of 32 tokens in 8 micro-batches: two for each of 4 ranks. */
    const double forward = 2.0 * 32 * (2 * 3072 + EMBEDDING) + 2 * 4 * 16 * (32 * 33 / 2);
    pace_of(&cell, 4, false, &FAST_NETWORK, &pace);
    assert_near(pace.step_flops, 3 * forward * 8, 0);
    assert_near(pace.step, 3 * forward * 8 / 1e9, 1e-15);
    assert_near(pace.tokens, 1024 / pace.step, 1e-3);
    assert_near(pace.train, 64 * pace.step, 1e-12);
    pace_of(&cell, 4, true, &FAST_NETWORK, &pace);
    /* Of one block of two, again: qkv, attention, its output (of the sequential block), ffn_in. */
    const double again = 2.0 * 32 * (3 * 256 + 256 + 4 * 256) + 4 * 16 * (32 * 33 / 2);
    assert_near(pace.step_flops, (3 * forward + again) * 8, 0);

    pace_of(&cell, 4, false, &FAST_RANK, &pace);
    /* Two micro-batches, 3/4 of everything as fp32, and of the blocks again but for the last matrix. */
    const double gathered = ALL + 2 * BLOCK - FFN_OUT;
    assert_near(pace.gathered, 2 * 0.75 * 4 * gathered, 0);
    assert_near(pace.reduced, 2 * 0.75 * 4 * ALL, 0);
    /* Ten units forward, seven backward, ten reductions in two rounds, for two micro-batches; three sums. */
    assert_near(pace.messages, (10 + 7 + 10) * 2 * 2 + 3 * 2, 0);
    assert_near(pace.norms, 2 * 8 * (28 + 3), 0); /* of 28 tensors, all small */
    const double bytes = pace.gathered + pace.reduced + pace.norms;
    assert_near(pace.network, bytes / 1e9 + 114e-6, 1e-12);
    assert_near(pace.exposed, (3 * 0.75 * 4 * EMBEDDING + 496) / 1e9 + 6 * 2e-6, 1e-12);
    assert_near(pace.step, pace.network, 1e-12);
    assert_near(pace.checkpoint, 12.0 * ALL, 0);

    /* Whichever takes longer, and what does not overlap. */
    const struct pace_machine even = {1e9, 1e9, 1e-6};
    pace_of(&cell, 4, false, &even, &pace);
    assert_near(pace.step, fmax(pace.compute, pace.network - pace.exposed) + pace.exposed, 1e-15);
    assert_true(pace.step < pace.compute + pace.network);

    pace_of(&cell, 4, true, &FAST_RANK, &pace); /* of one block */
    assert_near(pace.gathered, 2 * 0.75 * 4 * (gathered + QKV + ATTN_OUT + FFN_OUT), 0);

    cell.model.tied = true; /* the embedding is gathered for the head, too */
    pace_of(&cell, 4, false, &FAST_RANK, &pace);
    assert_near(pace.gathered, 2 * 0.75 * 4 * (ALL + 2 * BLOCK), 0);
    assert_near(pace.reduced, 2 * 0.75 * 4 * (ALL - EMBEDDING), 0);
}

static void alone(void **state)
{
    (void)state;
    struct pace pace;
    struct cost cost;
    struct cell cell = example();
    const struct pace_machine machine = {1e9, 1, 1000}; /* nobody to talk to: it does not matter */
    pace_of(&cell, 1, false, &machine, &pace);
    cost_of(&cell, &cost);
    assert_true(pace.gathered == 0 && pace.reduced == 0 && pace.messages == 0 && pace.network == 0);
    assert_near(pace.train, cost.train_flops / 1e9, 1e-12);
    assert_near(pace.evaluate, cost.evaluate_flops / 1e9, 1e-12);
    assert_near(pace_seconds(&cell, 1, false, &machine), cost_seconds(&cost, 1e9), 1e-12);
}

static void evaluation(void **state)
{
    (void)state;
    struct pace pace, one;
    struct cell cell = example();
    /* 100 windows are 25 groups of 4: 7 for the busiest of 4 ranks. */
    pace_of(&cell, 1, false, &FAST_NETWORK, &one);
    pace_of(&cell, 4, false, &FAST_NETWORK, &pace);
    assert_near(pace.evaluate, one.evaluate * 28 / 100, 1e-12);
    /* Full and w8a8, with a byte more per weight of a site. Of 8 calibration windows: full twice, w8a8. 64 windows of probes, three times. */
    pace_of(&cell, 4, false, &FAST_RANK, &pace);
    const double full = 4.0 * ALL, quantized = full + 2 * 3072;
    assert_near(pace.evaluated, 0.75 * (7 * (full + quantized) + 1 * 3 * full + 4 * 3 * full),
                1e-6);
}

static void gain(void **state)
{
    (void)state;
    struct cell cell = example();
    cell.train.steps = 1 << 20; /* evaluation does not matter */
    assert_near(pace_gain(&cell, 1, false, &FAST_NETWORK), 1, 1e-3);
    assert_near(pace_gain(&cell, 4, false, &FAST_NETWORK), 1, 1e-3);
    assert_near(pace_gain(&cell, 8, false, &FAST_NETWORK), 0, 0); /* there are 8 micro-batches */
    const struct pace_machine slow = {1e9, 1e3, 1};
    assert_near(pace_gain(&cell, 1, false, &slow), 0, 0);
    /* Half the micro-batches, but 3/4 of the parameters instead of 1/2: 4/3 as fast. */
    assert_near(pace_gain(&cell, 2, false, &(struct pace_machine){1e30, 1e6, 0}), 1.0 / 3, 1e-2);
}

/* Memory by the size of the team ============================================================== */

static void memory(void **state)
{
    (void)state;
    struct memory one, four, again;
    struct cell cell = example();
    cell.size.d_model = 512; /* pieces of a matrix are whole chunks of 4096 */
    cell.size.d_ff = 2048;
    const double d = 512, block = 12 * d * d;
    const double weights = 2 * block + 2 * 256 * d, others = 2 * 13 * d + 2 * d;
    const double sums =
        8 * (weights / 4096 + 2 * 8 + 2); /* and of 8 vectors per block, 2 at the end */
    memory_of(&cell, 1, false, &one);
    memory_of(&cell, 4, false, &four);
    memory_of(&cell, 4, true, &again);
    assert_near(one.weights, 4 * (weights + others), 0);
    assert_near(one.moments, 8 * (weights + others) + sums, 1e-6);
    assert_near(one.gathered, 0, 0);
    assert_near(one.gradients, 4 * one.weights, 0); /* eight micro-batches: a tree of four levels */
    /* Biases and LayerNorms of a unit fill another chunk in one of its pieces. */
    assert_near(four.weights, 4 * (weights / 4 + (2 * 4 + 1) * 4096), 0);
    assert_near(four.moments, 2 * four.weights + sums, 1e-6);
    const double unit = 4 * d * d + 4 * d + 2 * d; /* ffn_in */
    assert_near(four.gathered, 2 * 4 * unit + (8 << 20), 0);
    assert_near(four.gradients, 2 * four.weights + 2 * 4 * unit, 0); /* two: two levels */
    assert_near(four.activations, one.activations, 0);
    assert_true(again.activations < four.activations);
    assert_true(four.evaluation < one.evaluation);
    const double lasting = four.weights + four.moments + four.gathered;
    assert_near(four.peak,
                lasting + fmax(four.rounded + four.gradients + four.activations, four.evaluation),
                1);
    assert_true(four.peak < one.peak && four.rounded == 0 && four.packed == 0);
    cell.train.precision = PRECISION_BF16;
    memory_of(&cell, 1, false, &one);
    memory_of(&cell, 4, false, &four);
    assert_near(one.rounded, one.weights, 0);
    assert_near(four.rounded, 4 * unit, 0);
    assert_true(one.packed > one.rounded / 2 && four.packed > four.rounded / 2);
}

/* 52 billion parameters do not fit an int, nor their bytes. */
static void large(void **state)
{
    (void)state;
    struct pace pace;
    struct memory memory;
    struct cell cell = fixture_cell("sizes:\n  - {name: big, layers: 64, d_model: 8192, heads: 64, "
                                    "context: 1024, learning_rate: 1.0e-4}\n"
                                    "base: {tokens_per_parameter: 20}\nmodel: {bias: "
                                    "false}\nseeds: 1\ndata: {files: [text.txt]}\n"
                                    "train: {batch_tokens: 2097152, micro_batch_tokens: 1024}\n");
    const int64_t parameters = 64LL * (12LL * 8192 * 8192 + 2 * 8192) + 2 * 8192;
    assert_true(cell_parameters(&cell) == parameters);
    assert_true(cell_parameters_total(&cell) == parameters + 2LL * 256 * 8192);
    assert_true(cell.tokens >= 20 * parameters && cell.tokens < 20 * parameters + 2097152);
    memory_of(&cell, 1024, true, &memory);
    assert_near(memory.weights / 4 * 1024 / (double)cell_parameters_total(&cell), 1, 0.02);
    memory_of(&cell, 1, false, &memory);
    assert_true(memory.peak > 48.0 * (double)parameters && memory.peak < 90.0 * (double)parameters);
    pace_of(&cell, 1024, true, &(struct pace_machine){1e12, 1e9, 1e-5}, &pace);
    /* Two micro-batches, twice all blocks, two thirds of them for a third time. */
    assert_near(pace.gathered / (2 * 4.0 * (double)parameters), 2 + 2.0 / 3, 0.02);
    assert_near(pace.checkpoint, 12.0 * (double)cell_parameters_total(&cell), 1e3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step), cmocka_unit_test(alone),  cmocka_unit_test(evaluation),
        cmocka_unit_test(gain), cmocka_unit_test(memory), cmocka_unit_test(large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
