/* Cell identity, parameters, learning rates and decay. */
#include <math.h>

#include "tests/unit/jobs_fixture.h"

static struct cell example(void)
{
    return fixture_cell(FIXTURE_STUDY "base: {tokens: 65536, schedule: wsd}\n"
                                      "evaluate: {fractions: [0.3, 1.0]}\n");
}

/* Identity ==================================================================================== */

static void canonical_text(void **state)
{
    (void)state;
    char text[8192], cut[100];
    struct cell cell = example();
    int length = cell_canonical(&cell, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_true(strncmp(text, "method=" METHOD_VERSION "\nsize.layers=2\n", 23) == 0);
    assert_int_equal(cell_canonical(&cell, cut, sizeof cut), length); /* like snprintf */
    assert_int_equal(strlen(cut), sizeof cut - 1);
    assert_memory_equal(cut, text, sizeof cut - 1);
    assert_int_equal(strlen(cell.id), 32);
    assert_int_equal(strspn(cell.id, "0123456789abcdef"), 32);
}

#define CHANGED(change)                                                                            \
    do {                                                                                           \
        struct cell cell = original;                                                               \
        change;                                                                                    \
        cell_identify(&cell);                                                                      \
        if (strcmp(cell.id, original.id) == 0) {                                                   \
            fail_msg("the id does not see: %s", #change);                                          \
        }                                                                                          \
    } while (0)

#define SAME(change)                                                                               \
    do {                                                                                           \
        struct cell cell = original;                                                               \
        change;                                                                                    \
        cell_identify(&cell);                                                                      \
        if (strcmp(cell.id, original.id) != 0) {                                                   \
            fail_msg("the id depends on: %s", #change);                                            \
        }                                                                                          \
    } while (0)

static void identity_sees_what_changes_the_result(void **state)
{
    (void)state;
    const struct cell original = example();
    CHANGED(cell.init_seed++);
    CHANGED(cell.data_seed++);
    CHANGED(cell.size.layers++);
    CHANGED(cell.size.d_model *= 2);
    CHANGED(cell.size.heads *= 2);
    CHANGED(cell.size.d_ff++);
    CHANGED(cell.size.context *= 2);
    CHANGED(cell.model.block = BLOCK_SEQUENTIAL);
    CHANGED(cell.model.position = POSITION_LEARNED);
    CHANGED(cell.model.activation = ACTIVATION_SWIGLU);
    CHANGED(cell.model.bias = false);
    CHANGED(cell.model.tied = true);
    CHANGED(cell.model.vocabulary++);
    CHANGED(cell.train.steps++);
    CHANGED(cell.train.batch *= 2);
    CHANGED(cell.train.micro_batch /= 2);
    CHANGED(cell.train.learning_rate = nextafter(cell.train.learning_rate, 1));
    CHANGED(cell.train.weight_decay = nextafter(cell.train.weight_decay, 1));
    CHANGED(cell.train.dropout = 0.1);
    CHANGED(cell.train.grad_clip = 0);
    CHANGED(cell.train.precision = PRECISION_FP16);
    CHANGED(cell.train.schedule = SCHEDULE_COSINE);
    CHANGED(cell.train.warmup = 0.1);
    CHANGED(cell.train.cooldown = 0.1);
    CHANGED(cell.train.final_rate = 0);
    CHANGED(cell.train.beta1 = 0.8);
    CHANGED(cell.train.beta2 = 0.8);
    CHANGED(cell.train.epsilon = 1e-6);
    CHANGED(cell.evaluate.checkpoints = 1);
    CHANGED(cell.evaluate.fraction[0] = 0.4);
    CHANGED(cell.evaluate.windows++);
    CHANGED(cell.evaluate.quantizers--);
    CHANGED(cell.evaluate.quantizer[1] = *quantizer_find("w4"));
    CHANGED(cell.evaluate.quantizer[1].weights = WEIGHTS_FP8);
    CHANGED(cell.evaluate.quantizer[1].group = 64);
    CHANGED(cell.evaluate.quantizer[1].activations = ACTIVATIONS_FP8);
    CHANGED(cell.evaluate.quantizer[1].transform = TRANSFORM_SMOOTH);
    CHANGED(cell.evaluate.quantizer[1].outliers = OUTLIERS_STD);
    CHANGED(cell.evaluate.quantizer[1].method = METHOD_GPTQ);
    CHANGED(cell.evaluate.every_checkpoint[0] = false);
    CHANGED(cell.evaluate.calibration_windows++);
    CHANGED(cell.evaluate.calibration_seed++);
    CHANGED(strcpy(cell.data.fingerprint, "00000000000000000000000000000000"));
    CHANGED(strcpy(cell.data.cleaning, "gcide"));
    CHANGED(cell.data.held_out = 0.1);
    CHANGED(cell.data.split_seed++);
    CHANGED(cell.data.guard++);
}

static void identity_ignores_labels(void **state)
{
    (void)state;
    struct cell original = example();
    SAME(strcpy(cell.size.name, "tiny"));
    SAME(strcpy(cell.setting, "dropout=0"));
    SAME(cell.base = !cell.base);
    SAME(cell.seed++);
    SAME(cell.tokens++); /* follows from steps, batch and context */
    SAME(cell.train.decay_is_total = !cell.train.decay_is_total);
    SAME(cell.train.total_decay++);
    SAME(strcpy(cell.id, "anything"));
    SAME(cell.train.dropout = -0.0);
    SAME(strcpy(cell.evaluate.quantizer[0].name, "mine")); /* what it does counts */

    /* What a schedule does not read. */
    original.train.schedule = SCHEDULE_COSINE;
    cell_identify(&original);
    SAME(cell.train.cooldown = 0.3);
    CHANGED(cell.train.final_rate = 0.3);
    original.train.schedule = SCHEDULE_CONSTANT;
    cell_identify(&original);
    SAME(cell.train.cooldown = 0.3);
    SAME(cell.train.final_rate = 0.3);
}

static void longest_canonical_text(void **state)
{
    (void)state;
    char text[16384];
    struct cell cell = example();
    cell.evaluate.checkpoints = CELL_CHECKPOINTS;
    cell.evaluate.quantizers = CELL_QUANTIZERS;
    for (int i = 0; i < CELL_CHECKPOINTS; i++) {
        cell.evaluate.fraction[i] = -1.2345678901234567e-300;
    }
    for (int i = 0; i < CELL_QUANTIZERS; i++) {
        cell.evaluate.quantizer[i] = (struct quantizer){.weights = WEIGHTS_MXFP4,
                                                        .weight_bits = 4,
                                                        .group = QUANTIZER_MOST_GROUP,
                                                        .activations = ACTIVATIONS_PER_TENSOR,
                                                        .activation_bits = 8,
                                                        .transform = TRANSFORM_HADAMARD,
                                                        .outliers = OUTLIERS_STD,
                                                        .method = METHOD_GPTQ};
    }
    assert_true(cell_canonical(&cell, text, sizeof text) <
                CELL_QUANTIZERS * 192 + CELL_CHECKPOINTS * 48 + 2048);
    cell_identify(&cell);
    struct cell other = cell;
    other.data.guard++; /* the last line still counts */
    cell_identify(&other);
    assert_string_not_equal(cell.id, other.id);
}

/* Parameters ================================================================================== */

static void parameters(void **state)
{
    (void)state;
    /* By hand, d = 16, d_ff = 64, V = 256: LayerNorm 32, qkv 768 + 48, attn_out 256 + 16,
     * ffn_in 1024 + 64, ffn_out 1024 + 16; two blocks and the final LayerNorm. */
    struct cell cell = example();
    assert_int_equal(cell_parameters(&cell), 2 * (32 + 816 + 272 + 1088 + 1040) + 32);
    assert_int_equal(cell_parameters_total(&cell), cell_parameters(&cell) + 2 * 4096);
    cell.model.block = BLOCK_SEQUENTIAL;
    cell.model.bias = false;
    assert_int_equal(cell_parameters(&cell), 2 * (64 + 768 + 256 + 1024 + 1024) + 32);
    cell.model.activation = ACTIVATION_SWIGLU;
    assert_int_equal(cell_parameters(&cell), 2 * (64 + 768 + 256 + 2048 + 1024) + 32);
    cell.model.bias = true;
    assert_int_equal(cell_parameters(&cell), 2 * (64 + 816 + 272 + 2048 + 128 + 1040) + 32);
    cell.model.tied = true;
    cell.model.position = POSITION_LEARNED;
    assert_int_equal(cell_parameters_total(&cell), cell_parameters(&cell) + 4096 + 32 * 16);
    cell.size = (struct cell_size){.layers = 64, .d_model = 8192, .heads = 64, .d_ff = 32768};
    cell.model.activation = ACTIVATION_GELU;
    assert_true(cell_parameters(&cell) > 51000000000 && cell_parameters(&cell) < 52000000000);
}

/* Learning rate =============================================================================== */

static void schedules(void **state)
{
    (void)state;
    struct cell cell = example();
    cell.train.steps = 100;
    cell.train.learning_rate = 2;
    cell.train.warmup = 0.1;
    cell.train.cooldown = 0.2;
    cell.train.final_rate = 0.1;
    for (int i = SCHEDULE_COSINE; i <= SCHEDULE_CONSTANT; i++) {
        cell.train.schedule = (enum schedule)i;
        assert_near(cell_learning_rate(&cell, 0), 0.2, 1e-15);
        assert_near(cell_learning_rate(&cell, 4), 1, 1e-15);
        assert_near(cell_learning_rate(&cell, 9), 2, 1e-15);
        double last = i == SCHEDULE_CONSTANT ? 2 : 0.2;
        assert_near(cell_learning_rate(&cell, 99), last, 1e-14);
    }
    cell.train.schedule = SCHEDULE_COSINE;
    assert_near(cell_learning_rate(&cell, 54), 1.1, 1e-14); /* half way: the mean of the ends */
    cell.train.schedule = SCHEDULE_WSD;
    assert_near(cell_learning_rate(&cell, 79), 2, 1e-15);
    assert_near(cell_learning_rate(&cell, 89), 1.1, 1e-14);
}

static double random_unit(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (double)(x >> 11) * 0x1p-53;
}

static void decay_against_brute_force(void **state)
{
    (void)state;
    struct cell cell = example();
    for (int i = 0; i < 3000; i++) {
        struct cell_train *train = &cell.train;
        train->schedule = (enum schedule)(i % 3);
        train->steps = 1 + (int64_t)(random_unit() * (i % 7 == 0 ? 3 : 400));
        train->warmup = i % 5 == 0 ? 0 : 0.5 * random_unit();
        train->cooldown = i % 4 == 0 ? 1 - train->warmup : 0.5 * random_unit();
        train->final_rate = 0.01 + random_unit() * 0.99;
        train->learning_rate = 1e-3 + random_unit();
        double sum = 0;
        for (int64_t step = 0; step < train->steps; step++) {
            double rate = cell_learning_rate(&cell, step);
            assert_true(rate > 0 && rate <= train->learning_rate * (1 + 1e-15));
            sum += rate;
        }
        train->decay_is_total = true;
        train->total_decay = random_unit();
        train->weight_decay = -1;
        cell_complete_decay(&cell);
        assert_true(fabs(train->weight_decay * sum / train->total_decay - 1) < 1e-12);
        train->decay_is_total = false;
        train->weight_decay = random_unit();
        train->total_decay = -1;
        cell_complete_decay(&cell);
        assert_true(fabs(train->total_decay / (train->weight_decay * sum) - 1) < 1e-12);
    }
}

static void checkpoint_steps(void **state)
{
    (void)state;
    struct cell cell = example();
    for (int64_t steps = 1; steps < 500; steps++) {
        cell.train.steps = steps;
        cell.evaluate.checkpoints = 3;
        cell.evaluate.fraction[0] = 1e-9;
        cell.evaluate.fraction[1] = 0.5;
        cell.evaluate.fraction[2] = 1;
        assert_int_equal(cell_checkpoint_step(&cell, 0), 1);
        assert_int_equal(cell_checkpoint_step(&cell, 1), (steps + 1) / 2);
        assert_int_equal(cell_checkpoint_step(&cell, 2), steps);
    }
}

/* Names ======================================================================================= */

static void quantizers(void **state)
{
    (void)state;
    const char *const names[] = {
        "w8a8",        "w8",       "w4",      "w3",      "w8a8-tensor",  "w6a6",
        "w4a8",        "w4a4",     "w4g32",   "w4g128",  "w8a8-llmint8", "w8a8-llmint8-std",
        "w8a8-smooth", "w4a4-had", "gptq-w4", "gptq-w3", "gptq-w4g32",   "nf4",
        "mxfp4",       "fp8",      "fp8a8"};
    enum { COUNT = sizeof names / sizeof names[0] };
    for (int i = 0; i < COUNT; i++) {
        const struct quantizer *quantizer = quantizer_at(i);
        char name[QUANTIZER_NAME], description[QUANTIZER_DESCRIPTION];
        assert_non_null(quantizer);
        assert_string_equal(quantizer->name, names[i]);
        assert_ptr_equal(quantizer_find(names[i]), quantizer);
        quantizer_generate_name(quantizer, name);
        assert_string_equal(name, names[i]);
        quantizer_describe(quantizer, description);
        for (int j = 0; j < i; j++) {
            char other[QUANTIZER_DESCRIPTION];
            quantizer_describe(quantizer_at(j), other);
            assert_string_not_equal(description, other);
            assert_false(quantizer_same(quantizer, quantizer_at(j)));
        }
        int weights = 0, activations = 0; /* the name says the widths */
        if (sscanf(strstr(names[i], "w") ? strstr(names[i], "w") : "", "w%da%d", &weights,
                   &activations) > 0) {
            assert_int_equal(quantizer->weight_bits, weights);
            assert_int_equal(quantizer->activation_bits, activations);
        }
        assert_int_equal(quantizer->activations == ACTIVATIONS_FULL,
                         quantizer->activation_bits == 0);
    }
    assert_int_equal(quantizer_find("w8a8-tensor")->activations, ACTIVATIONS_PER_TENSOR);
    assert_int_equal(quantizer_find("w4a4")->activations, ACTIVATIONS_PER_TOKEN);
    assert_null(quantizer_at(COUNT));
    assert_null(quantizer_at(-1));
    assert_null(quantizer_find("w5"));
    assert_string_equal(block_name(BLOCK_SEQUENTIAL), "sequential");
    assert_string_equal(position_name(POSITION_LEARNED), "learned");
    assert_string_equal(activation_name(ACTIVATION_SWIGLU), "swiglu");
    assert_string_equal(precision_name(PRECISION_FP16), "fp16");
    assert_string_equal(schedule_name(SCHEDULE_WSD), "wsd");
}

/* Errors ====================================================================================== */

static int fail_once(struct error *err)
{
    int status = STATUS_OK;
    CHECK(err, status != STATUS_OK, STATUS_STOPPED, "first %d", 1);
cleanup:
    return status;
}

static void errors(void **state)
{
    (void)state;
    struct error err = {0};
    char lengthy[3000];
    error_context(&err, "nothing");
    assert_string_equal(err.message, "");
    assert_int_equal(fail_once(&err), STATUS_STOPPED);
    assert_int_equal(fail_once(NULL), STATUS_STOPPED);
    assert_string_equal(err.message, "first 1");
    assert_true(err.line > 0 && strstr(err.file, "test_jobs_cell"));
    assert_int_equal(error_set(&err, STATUS_FAILED, "x", 1, "second"), STATUS_FAILED);
    assert_string_equal(err.message, "first 1"); /* the first cause wins */
    assert_int_equal(err.status, STATUS_STOPPED);
    error_context(&err, "cell %s", "a");
    assert_string_equal(err.message, "cell a: first 1");
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    error_context(&err, "%s", lengthy);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE - 1);
    assert_string_equal(err.message + ERROR_MESSAGE - 18,
                        ": cell a: first 1"); /* the cause stays */
    error_context(&err, "no room");
    assert_int_equal(strlen(err.message), ERROR_MESSAGE - 1);
    error_clear(&err);
    assert_int_equal(err.status, STATUS_OK);
    assert_string_equal(err.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_text),
        cmocka_unit_test(identity_sees_what_changes_the_result),
        cmocka_unit_test(identity_ignores_labels),
        cmocka_unit_test(longest_canonical_text),
        cmocka_unit_test(parameters),
        cmocka_unit_test(schedules),
        cmocka_unit_test(decay_against_brute_force),
        cmocka_unit_test(checkpoint_steps),
        cmocka_unit_test(quantizers),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
