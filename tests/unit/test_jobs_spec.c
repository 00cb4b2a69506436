/* Good study files: counts, labels, order, defaults, designs, expansion, fingerprint. */
#include <fcntl.h>
#include <math.h>

#include "tests/unit/jobs_fixture.h"

static struct cell *cells_of(const char *path, int *count, struct spec **out)
{
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    if (spec_read(&err, path, &spec) != STATUS_OK ||
        spec_cells(&err, spec, &cells, count) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    if (out) {
        *out = spec;
    } else {
        spec_free(spec);
    }
    return cells;
}

static void expect_labels(const struct cell *cells, int each, const char *const *labels, int count)
{
    for (int i = 0; i < count; i++) {
        assert_string_equal(cells[i * each].setting, labels[i]);
        assert_int_equal(cells[i * each].base, strcmp(labels[i], "base") == 0);
    }
}

/* The study files here ======================================================================== */

static void quick(void **state)
{
    (void)state;
    int count = 0;
    struct spec *spec = NULL;
    struct cell *cells = cells_of(PTQSCALE_SOURCE_DIR "/jobs/quick.yaml", &count, &spec);
    static const char *const labels[] = {"base", "total_decay=0.005", "dropout=0.1",
                                         "grad_clip=none", "precision=fp16"};
    assert_int_equal(count, 45);
    assert_string_equal(spec->name, "quick");
    assert_true(strstr(spec->note, "rovisional") != NULL);
    assert_string_equal(spec->source.file[0], PTQSCALE_SOURCE_DIR "/jobs/../data/gcide.dict.dz");
    for (int size = 0; size < 3; size++) {
        expect_labels(cells + 15 * size, 3, labels, 5);
    }
    for (int i = 0; i < count; i++) {
        static const char *const sizes[] = {"2x32", "2x64", "3x96"};
        const struct cell *cell = &cells[i];
        assert_string_equal(cell->size.name, sizes[i / 15]);
        assert_int_equal(cell->seed, i % 3 + 1);
        assert_int_equal(cell->init_seed, cell->seed);
        assert_int_equal(cell->data_seed, cell->seed);
        assert_int_equal(cell->train.steps, 245); /* ceil(500000 / 2048) */
        assert_int_equal(cell->train.batch, 32);
        assert_int_equal(cell->train.micro_batch, 16);
        assert_int_equal(cell->tokens, 245 * 2048);
        assert_int_equal(cell->size.d_ff, 4 * cell->size.d_model);
        assert_int_equal(cell->data.guard, 65);
        assert_true(cell->train.learning_rate == (i < 15 ? 16.0e-3 : 8.0e-3));
        assert_int_equal(cell->evaluate.quantizers, 8);
        assert_string_equal(cell->evaluate.quantizer[0].name, "w8a8");
        assert_int_equal(cell->evaluate.every_checkpoint[0], true);
        assert_int_equal(cell->evaluate.every_checkpoint[1], false);
    }
    assert_int_equal(cells[0].train.precision, PRECISION_BF16);
    assert_int_equal(cells[12].train.precision, PRECISION_FP16);
    assert_true(cells[9].train.grad_clip == 0 && cells[0].train.grad_clip == 1);
    assert_true(cells[3].train.total_decay == 0.005 && cells[0].train.total_decay == 0.5);
    assert_true(cells[0].train.decay_is_total);
    free(cells);
    spec_free(spec);
}

static void smoke_and_learning_rate(void **state)
{
    (void)state;
    int count = 0;
    struct cell *cells = cells_of(PTQSCALE_SOURCE_DIR "/jobs/smoke.yaml", &count, NULL);
    assert_int_equal(count, 12);
    assert_int_equal(cells[0].evaluate.checkpoints, 2);
    assert_int_equal(cells[0].evaluate.windows, 64);
    assert_int_equal(cells[0].evaluate.quantizers, 8);
    free(cells);

    static const double rates[] = {4e-3, 1e-3, 2e-3, 8e-3, 16e-3}; /* the base first */
    cells = cells_of(PTQSCALE_SOURCE_DIR "/jobs/learning-rate.yaml", &count, NULL);
    assert_int_equal(count, 15);
    for (int i = 0; i < count; i++) {
        assert_true(cells[i].train.learning_rate == rates[i % 5]);
        assert_true(cells[i].train.total_decay == 0.5);
        assert_int_equal(cells[i].seed, 1001);
    }
    free(cells);
}

/* Defaults and rules ========================================================================== */

static void defaults(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(FIXTURE_STUDY "base: {tokens: 65536}\n");
    struct cell written = fixture_cell(
        FIXTURE_STUDY
        "name: other\ntitle: t\nnote: n\ndesign: one_at_a_time\n"
        "model: {block: parallel, position: rotary, activation: gelu, bias: true, tied: "
        "false}\n"
        "base: {tokens: 65536, total_decay: 0.5, dropout: 0, grad_clip: 1, precision: "
        "bf16, schedule: cosine}\n"
        "train: {batch_tokens: 2048, micro_batch_tokens: 2048, warmup: 0.05, cooldown: "
        "0.2, final_learning_rate: 0.1, beta1: 0.9, beta2: 0.95, epsilon: 1.0e-8}\n"
        "quantizers: [w8a8, w8, w4, w3, w8a8-tensor, w6a6, w4a8, w4a4]\n"
        "evaluate: {fractions: [0.25, 0.5, 1.0], windows: 1024, early_quantizers: [w8a8, "
        "w8, w4, w3, w8a8-tensor, w6a6, w4a8, w4a4], calibration_windows: 64, "
        "calibration_seed: 1}\n");
    assert_string_equal(cell.id, written.id);
    assert_string_equal(cell.size.name, "2x16");
    assert_int_equal(cell.model.vocabulary, 256);
    assert_string_equal(cell.data.cleaning, "none");

    cell = fixture_cell(FIXTURE_STUDY "base: {tokens: 65536}\nmodel: {activation: swiglu}\n");
    assert_int_equal(cell.size.d_ff, 48); /* 8/3 · 16 = 42.7, up to a multiple of 8 */
}

/* Quantizers that are described; a description that METHOD has a name for is that quantizer. */
static void described_quantizers(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(
        FIXTURE_STUDY
        "base: {tokens: 65536}\n"
        "quantizers:\n"
        "  - {weights: int4, group: 64, activations: int8, method: gptq}\n"
        "  - w8a8\n"
        "  - {activations: int6, activation_scale: tensor, transform: hadamard, name: mine}\n"
        "  - {weights: fp8, activations: fp8}\n"
        "  - {weights: nf4, group: 32, activations: int8}\n"
        "  - {weights: int8, activations: int8, outliers: std}\n"
        "  - {weights: int5, activations: fp8, transform: smooth}\n"
        "  - {weights: mxfp4}\n"
        "evaluate: {early_quantizers: [mine, gptq-w4g64a8]}\n");
    static const struct quantizer want[] = {
        {"gptq-w4g64a8", WEIGHTS_INT, 4, 64, 8, ACTIVATIONS_PER_TOKEN, TRANSFORM_NONE,
         OUTLIERS_NONE, METHOD_GPTQ},
        {"w8a8", WEIGHTS_INT, 8, 0, 8, ACTIVATIONS_PER_TOKEN, TRANSFORM_NONE, OUTLIERS_NONE,
         METHOD_ROUND},
        {"mine", WEIGHTS_FULL, 0, 0, 6, ACTIVATIONS_PER_TENSOR, TRANSFORM_HADAMARD, OUTLIERS_NONE,
         METHOD_ROUND},
        {"fp8a8", WEIGHTS_FP8, 8, 0, 8, ACTIVATIONS_FP8, TRANSFORM_NONE, OUTLIERS_NONE,
         METHOD_ROUND},
        {"nf4g32a8", WEIGHTS_NF4, 4, 32, 8, ACTIVATIONS_PER_TOKEN, TRANSFORM_NONE, OUTLIERS_NONE,
         METHOD_ROUND},
        {"w8a8-llmint8-std", WEIGHTS_INT, 8, 0, 8, ACTIVATIONS_PER_TOKEN, TRANSFORM_NONE,
         OUTLIERS_STD, METHOD_ROUND},
        {"w5afp8-smooth", WEIGHTS_INT, 5, 0, 8, ACTIVATIONS_FP8, TRANSFORM_SMOOTH, OUTLIERS_NONE,
         METHOD_ROUND},
        {"mxfp4", WEIGHTS_MXFP4, 4, 32, 0, ACTIVATIONS_FULL, TRANSFORM_NONE, OUTLIERS_NONE,
         METHOD_ROUND},
    };
    enum { COUNT = sizeof want / sizeof want[0] };
    assert_int_equal(cell.evaluate.quantizers, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const struct quantizer *got = &cell.evaluate.quantizer[i];
        const struct quantizer *known = quantizer_find(want[i].name);
        assert_string_equal(got->name, want[i].name);
        assert_true(quantizer_same(got, &want[i]));
        assert_true(known == NULL || quantizer_same(known, got));
        assert_true(cell.evaluate.every_checkpoint[i] == (i == 0 || i == 2));
    }
    char description[QUANTIZER_DESCRIPTION];
    quantizer_describe(&want[0], description);
    assert_string_equal(description, "4-bit weights per group of 64 inputs, 8-bit activations per "
                                     "token, by GPTQ");

    /* A name is a label, and so is the way to say the same. */
    struct cell named = fixture_cell(FIXTURE_STUDY "base: {tokens: 65536}\nquantizers: [w4g128]\n");
    struct cell other =
        fixture_cell(FIXTURE_STUDY "base: {tokens: 65536}\nquantizers: [{name: my-four, "
                                   "weights: int4, group: 128}]\n");
    assert_string_equal(named.id, other.id);
    assert_string_equal(other.evaluate.quantizer[0].name, "my-four");
}

static void tokens_and_rates(void **state)
{
    (void)state;
    int count = 0;
    struct cell cell = fixture_cell(FIXTURE_STUDY "base: {tokens_per_parameter: 20}\n");
    int64_t tokens = 20 * cell_parameters(&cell);
    assert_int_equal(cell.train.steps, (tokens + 2047) / 2048);
    assert_int_equal(cell.tokens, cell.train.steps * 2048);

    struct cell *cells =
        fixture_cells(FIXTURE_STUDY "base: {tokens: 65536}\nfactors:\n  learning_rate: [1.0e-3]\n"
                                    "  learning_rate_factor: [1, 0.5]\n  weight_decay: [0.1]\n"
                                    "  tokens_per_parameter: [5]\n  schedule: [wsd]\n",
                      &count);
    static const char *const labels[] = {"base",
                                         "learning_rate=1.0e-3",
                                         "learning_rate_factor=0.5",
                                         "weight_decay=0.1",
                                         "tokens_per_parameter=5",
                                         "schedule=wsd"};
    assert_int_equal(count, 12);
    expect_labels(cells, 2, labels, 6);
    assert_true(cells[0].train.learning_rate == 8e-3);
    assert_true(cells[2].train.learning_rate == 1e-3);
    assert_true(cells[4].train.learning_rate == 4e-3);
    assert_true(cells[6].train.weight_decay == 0.1 && !cells[6].train.decay_is_total);
    assert_true(cells[8].tokens < cells[0].tokens);
    assert_true(cells[8].train.total_decay == 0.5); /* the other half of the recipe stays */
    free(cells);
}

/* Λ, and the λ that follows from it, are one cell. */
static void either_decay_is_the_same_cell(void **state)
{
    (void)state;
    char text[1024];
    struct cell total = fixture_cell(FIXTURE_STUDY "base: {tokens: 65536, total_decay: 0.3}\n");
    snprintf(text, sizeof text, FIXTURE_STUDY "base: {tokens: 65536, weight_decay: %.17g}\n",
             total.train.weight_decay);
    struct cell each = fixture_cell(text);
    assert_false(each.train.decay_is_total);
    assert_string_equal(each.id, total.id);
    assert_near(each.train.total_decay, 0.3, 1e-15);
}

static void seeds(void **state)
{
    (void)state;
    int count = 0, listed = 0;
    struct cell *counted = fixture_cells(FIXTURE_STUDY "base: {tokens: 65536}\n", &count);
    struct cell *list = fixture_cells(
        "seeds: [9223372036854775807, 2, 0, 1]\nbase: {tokens: 65536}\n"
        "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"
        "data: {files: [text.txt]}\n",
        &listed);
    assert_int_equal(count, 2);
    assert_int_equal(listed, 4);
    assert_int_equal(list[0].seed, INT64_MAX);
    assert_string_equal(list[3].id, counted[0].id); /* ids do not depend on the order of cells */
    assert_string_equal(list[1].id, counted[1].id);
    free(counted);
    free(list);
}

/* The first look's seeds; those of a later one are the same and more. */
static void looks(void **state)
{
    (void)state;
#define ONE_SIZE                                                                                   \
    "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"            \
    "data: {files: [text.txt]}\nbase: {tokens: 65536}\nfactors: {dropout: [0.1]}\n"
    struct error err = {0};
    char text[SPEC_LOOKS_TEXT];
    int count = 0, fixed = 0, more = 0;
    struct spec *spec = fixture_study(
        ONE_SIZE "seeds: {looks: [4, 6, 16], until: verdicts, first: 101, budget: 1h30min}\n");
    assert_int_equal(spec->looks.count, 3);
    assert_int_equal(spec->looks.seeds[2], 16);
    assert_true(spec->looks.budget == 5400);
    assert_int_equal(spec->seeds, 4);
    assert_int_equal(spec->seed[0], 101);
    assert_string_equal(spec_looks_text(&spec->looks, text), "4, 6, 16");
    struct cell *cells = NULL, *later = NULL;
    struct cell *same = fixture_cells(ONE_SIZE "seeds: [101, 102, 103, 104]\n", &fixed);
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
    assert_int_equal(count, 8);
    assert_int_equal(count, fixed);
    spec_set_seeds(spec, 6);
    assert_int_equal(spec_cells(&err, spec, &later, &more), STATUS_OK);
    assert_int_equal(more, 12);
    for (int i = 0; i < count; i++) {
        assert_string_equal(cells[i].id, same[i].id);
        assert_string_equal(cells[i].id, later[i / 4 * 6 + i % 4].id);
        assert_int_equal(later[i].number, i);
    }
    assert_int_equal(later[11].seed, 106);
    spec->shard = (struct shard){1, 2};
    free(cells);
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_USAGE);
    assert_non_null(strstr(err.message, "shard 1/2"));
    free(later);
    free(same);
    spec_free(spec);
}

/* Designs ===================================================================================== */

#define TWO_SIZES                                                                                  \
    "sizes:\n"                                                                                     \
    "  - {layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}\n"                 \
    "  - {layers: 2, d_model: 32, heads: 2, context: 32, learning_rate: 4.0e-3}\n"                 \
    "seeds: 1\ndata: {files: [text.txt]}\nbase: {tokens: 65536, precision: bf16}\n"

static void base_levels_are_the_base(void **state)
{
    (void)state;
    int count = 0;
    struct cell *cells = fixture_cells(
        TWO_SIZES "factors: {precision: [fp32, bf16, fp16], dropout: [0.0, 0.1]}\n", &count);
    static const char *const labels[] = {"base", "precision=fp32", "precision=fp16", "dropout=0.1"};
    assert_int_equal(count, 8);
    expect_labels(cells, 1, labels, 4);
    expect_labels(cells + 4, 1, labels, 4);
    free(cells);

    /* The rate of one size: there the level is the base again, and no cell comes twice. */
    cells = fixture_cells(TWO_SIZES "factors: {learning_rate: [8.0e-3]}\n", &count);
    assert_int_equal(count, 3);
    assert_string_equal(cells[0].setting, "base");
    assert_string_equal(cells[1].size.name, "2x32");
    assert_string_equal(cells[2].setting, "learning_rate=8.0e-3");
    free(cells);
}

static void factorial(void **state)
{
    (void)state;
    int count = 0;
    struct cell *cells = fixture_cells(
        TWO_SIZES "design: factorial\nfactors: {dropout: [0.1, 0.2], precision: [bf16, fp16]}\n",
        &count);
    static const char *const labels[] = {"base",        "precision=fp16",
                                         "dropout=0.1", "dropout=0.1,precision=fp16",
                                         "dropout=0.2", "dropout=0.2,precision=fp16"};
    assert_int_equal(count, 12);
    expect_labels(cells, 1, labels, 6);
    free(cells);
}

static void list(void **state)
{
    (void)state;
    int count = 0;
    struct cell *cells = fixture_cells(
        TWO_SIZES
        "design: list\ncells:\n  - {dropout: 0.1, precision: fp16}\n"
        "  - {size: 2x32, learning_rate_factor: 2}\n  - {}\n  - {size: 2x16, dropout: 0}\n",
        &count);
    assert_int_equal(count, 5);
    assert_string_equal(cells[0].setting, "base");
    assert_string_equal(cells[1].setting, "dropout=0.1,precision=fp16");
    assert_string_equal(cells[2].setting, "base");
    assert_string_equal(cells[2].size.name, "2x32");
    assert_string_equal(cells[4].setting, "learning_rate_factor=2");
    assert_true(cells[4].train.learning_rate == 8e-3);
    free(cells);
}

/* METHOD §6: main effects and two-way interactions of a resolution V design are orthogonal to each other. */
static void fractional_has_resolution_five(void **state)
{
    (void)state;
    enum { RUNS = 16, FACTORS = 5, EFFECTS = 15 };
    static const char *const names[] = {
        "total_decay=", "dropout=", "grad_clip=", "precision=", "learning_rate_factor="};
    int count = 0;
    struct cell *cells = fixture_cells(
        "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"
        "seeds: 1\ndata: {files: [text.txt]}\nbase: {tokens: 65536}\ndesign: fractional\n"
        "factors:\n  total_decay: [0.005]\n  dropout: [0, 0.1]\n  grad_clip: [none]\n"
        "  precision: [fp16]\n  learning_rate_factor: [2]\n",
        &count);
    int effect[EFFECTS][RUNS];
    assert_int_equal(count, RUNS);
    assert_true(cells[0].base);
    for (int run = 0; run < RUNS; run++) {
        int product = 1, next = FACTORS;
        for (int f = 0; f < FACTORS; f++) {
            effect[f][run] = strstr(cells[run].setting, names[f]) ? 1 : -1;
            product *= f < 4 ? effect[f][run] : 1;
        }
        assert_int_equal(effect[4][run], -product); /* E = −ABCD */
        assert_int_equal(cells[run].train.dropout > 0, effect[1][run] > 0);
        assert_int_equal(cells[run].train.precision == PRECISION_FP16, effect[3][run] > 0);
        assert_int_equal(cells[run].train.learning_rate == 16e-3, effect[4][run] > 0);
        for (int a = 0; a < FACTORS; a++) {
            for (int b = a + 1; b < FACTORS; b++) {
                effect[next++][run] = effect[a][run] * effect[b][run];
            }
        }
        assert_int_equal(next, EFFECTS);
    }
    for (int a = 0; a < EFFECTS; a++) {
        int sum = 0;
        for (int run = 0; run < RUNS; run++) {
            sum += effect[a][run];
        }
        assert_int_equal(sum, 0); /* balanced */
        for (int b = 0; b < a; b++) {
            int dot = 0;
            for (int run = 0; run < RUNS; run++) {
                dot += effect[a][run] * effect[b][run];
            }
            assert_int_equal(dot, 0);
        }
    }
    free(cells);
}

/* `cells` beside `factors`: the design's cells as they were, then those that it does not have. */
static void cells_beside_a_design(void **state)
{
    (void)state;
    int count = 0, alone = 0, listed = 0;
#define FIVE                                                                                       \
    "factors: {total_decay: [0.005], dropout: [0.1], grad_clip: [none], precision: [fp16],\n"      \
    "  learning_rate_factor: [0.5]}\n"
    struct cell *design = fixture_cells(TWO_SIZES "design: fractional\n" FIVE, &alone);
    struct cell *cells = fixture_cells(
        TWO_SIZES "design: fractional\n" FIVE "cells:\n  - {}\n" /* three that the design has */
                  "  - {size: 2x16, learning_rate_factor: 0.5, dropout: 0.1}\n"
                  "  - {tokens: 65536, dropout: 0}\n"
                  "  - {tokens: 131072}\n  - {size: 2x32, schedule: wsd}\n",
        &count);
    assert_int_equal(alone, 32);
    assert_int_equal(count, 32 + 2 + 1);
    for (int i = 0, size = 0; size < 2; size++) {
        for (int k = 0; k < 16; k++, i++) {
            assert_string_equal(cells[i].id, design[16 * size + k].id);
            assert_string_equal(cells[i].setting, design[16 * size + k].setting);
            assert_int_equal(cells[i].number, i);
        }
        assert_string_equal(cells[i].setting, "tokens=131072");
        assert_int_equal(cells[i].tokens, 131072);
        i++;
    }
    assert_string_equal(cells[34].setting, "schedule=wsd");
    assert_string_equal(cells[34].size.name, "2x32");

    /* The same cells written out are the same: ids do not see the design. */
    struct cell *list = fixture_cells(
        TWO_SIZES "design: list\ncells:\n  - {tokens: 131072}\n"
                  "  - {grad_clip: none, total_decay: 0.005, learning_rate_factor: 0.5, "
                  "precision: fp16}\n",
        &listed);
    assert_int_equal(listed, 4);
    assert_string_equal(list[0].id, cells[16].id);
    int found = 0;
    for (int i = 0; i < 16; i++) {
        found += strcmp(cells[i].id, list[1].id) == 0;
    }
    assert_int_equal(found, 1);
    free(list);
    free(cells);
    free(design);

    cells = fixture_cells(TWO_SIZES "cells: [{dropout: 0.1}]\n", &count); /* no factors */
    assert_int_equal(count, 4);
    assert_true(cells[0].base);
    assert_string_equal(cells[1].setting, "dropout=0.1");
    free(cells);
}

/* Expansion and fingerprint =================================================================== */

static void expect_round_trip(const struct spec *spec)
{
    struct error err = {0};
    struct spec *again = NULL;
    struct cell *cells = NULL, *same = NULL;
    char *text = NULL, *twice = NULL;
    int count = 0, recount = 0;
    assert_int_equal(spec_expanded(&err, spec, &text), STATUS_OK);
    if (fixture_read(&err, text, strlen(text), &again) != STATUS_OK) {
        fail_msg("%s in\n%s", err.message, text);
    }
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
    assert_int_equal(spec_cells(&err, again, &same, &recount), STATUS_OK);
    assert_int_equal(count, recount);
    for (int i = 0; i < count; i++) {
        assert_string_equal(cells[i].id, same[i].id);
        assert_string_equal(cells[i].setting, same[i].setting);
        assert_string_equal(cells[i].size.name, same[i].size.name);
        assert_int_equal(cells[i].seed, same[i].seed);
        assert_int_equal(cells[i].base, same[i].base);
    }
    assert_string_equal(spec->name, again->name);
    assert_string_equal(spec->title, again->title);
    assert_string_equal(spec->note, again->note);
    assert_int_equal(spec_expanded(&err, again, &twice), STATUS_OK);
    assert_string_equal(text, twice);
    free(twice);
    free(text);
    free(cells);
    free(same);
    spec_free(again);
}

static void expansion(void **state)
{
    (void)state;
    static const char *const files[] = {"quick", "smoke", "learning-rate"};
    static const char *const texts[] = {
        TWO_SIZES "name: odd\ntitle: \"a \\\"b\\\" \\\\ \\t c: #d ä\"\nnote: |\n  two\n  lines\n"
                  "design: list\ncells: [{}, {size: 2x32, dropout: 0.1}, {grad_clip: none}]\n"
                  "evaluate: {early_quantizers: [], fractions: [0.1, 0.3333333333333333, 1]}\n",
        TWO_SIZES
        "design: factorial\nfactors: {schedule: [wsd, constant], total_decay: [0.1]}\n"
        "model: {block: sequential, position: learned, activation: swiglu, bias: false, tied: "
        "true}\ntrain: {epsilon: 1.1e-9, warmup: 0.123456789012345678}\n",
        TWO_SIZES
        "quantizers: [w4g32, {weights: int4, group: 64, activations: int8, method: gptq}, "
        "{activations: int6, activation_scale: tensor, transform: hadamard, name: mine}, "
        "{weights: nf4, activations: fp8, transform: smooth}, {weights: int8, "
        "activations: int8, outliers: std, name: std}, {weights: int3}]\n"
        "evaluate: {early_quantizers: [mine]}\n",
        "sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}]\n"
        "data: {files: [text.txt]}\nbase: {tokens: 65536}\n"
        "seeds: {looks: [2, 5, 9], first: 0, budget: 0.1h, reached: 5}\n",
        TWO_SIZES "factors: {dropout: [0.1]}\ncells: [{}, {size: 2x32, tokens: 131072}, {dropout: "
                  "0.1, grad_clip: none}]\n",
    };
    for (int i = 0; i < 3; i++) {
        char path[1024];
        struct error err = {0};
        struct spec *spec = NULL;
        snprintf(path, sizeof path, "%s/jobs/%s.yaml", PTQSCALE_SOURCE_DIR, files[i]);
        assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
        expect_round_trip(spec);
        spec_free(spec);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct error err = {0};
        struct spec *spec = NULL;
        if (fixture_read(&err, texts[i], strlen(texts[i]), &spec) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
        expect_round_trip(spec);
        spec_free(spec);
    }
}

static void expect_published(struct spec *spec, const char *wanted)
{
    struct error err = {0};
    char *expanded = NULL, *published = NULL;
    assert_int_equal(spec_published(&err, spec, &published), STATUS_OK);
    if (!strstr(published, wanted)) {
        fail_msg("no %s in\n%s", wanted, published);
    }
    assert_int_equal(spec_expanded(&err, spec, &expanded), STATUS_OK);
    assert_non_null(strstr(expanded, "    - \"/"));
    free(published);
    free(expanded);
    spec_free(spec);
}

/* What study.nc says of the text names no folder that the study file does not name. */
static void published(void **state)
{
    (void)state;
    char here[1024], path[1100];
    struct error err = {0};
    struct spec *spec = NULL;
    snprintf(path, sizeof path, "%s/jobs/quick.yaml", PTQSCALE_SOURCE_DIR);
    assert_int_equal(spec_read(&err, path, &spec), STATUS_OK);
    expect_published(spec, "    - \"../data/gcide.dict.dz\"\n");
    assert_non_null(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s/jobs", PTQSCALE_SOURCE_DIR);
    const char *const places[][2] = {{PTQSCALE_SOURCE_DIR, "jobs/quick.yaml"},
                                     {path, "quick.yaml"}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(chdir(places[i][0]), 0);
        assert_int_equal(spec_read(&err, places[i][1], &spec), STATUS_OK);
        expect_published(spec, "    - \"../data/gcide.dict.dz\"\n");
    }
    assert_int_equal(chdir(here), 0);
    expect_published(fixture_study("sizes: [{layers: 2, d_model: 16, heads: 2, context: 32, "
                                   "learning_rate: 8.0e-3}]\ndata: {files: [/texts/text.txt]}\n"
                                   "base: {tokens: 65536}\nseeds: 1\n"),
                     "    - \"/texts/text.txt\"\n");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void fingerprint_of(const char *study, const char *a, const char *b, char out[CELL_ID])
{
    struct error err = {0};
    struct spec *spec = NULL;
    write_file("fingerprint-a.txt", a);
    write_file("fingerprint-b.txt", b);
    assert_int_equal(spec_read(&err, study, &spec), STATUS_OK);
    assert_string_equal(spec->data.fingerprint, "");
    if (spec_fingerprint(&err, spec) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    strcpy(out, spec->data.fingerprint);
    int count = 0;
    struct cell *cells = NULL;
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
    assert_string_equal(cells[0].data.fingerprint, out);
    free(cells);
    spec_free(spec);
}

static void fingerprint(void **state)
{
    (void)state;
    static const char study[] = "fingerprint-study.yaml";
    char first[CELL_ID], other[CELL_ID];
    struct error err = {0};
    struct spec *spec = NULL;
    write_file(study,
               "sizes: [{layers: 1, d_model: 4, heads: 1, context: 32, learning_rate: 0.1}]\n"
               "seeds: 1\nbase: {tokens: 65536}\n"
               "data: {files: [fingerprint-a.txt, fingerprint-b.txt]}\n");
    fingerprint_of(study, "hello ", "world", first);
    assert_int_equal(strlen(first), 32);
    fingerprint_of(study, "hello ", "world", other);
    assert_string_equal(first, other);
    fingerprint_of(study, "hello", " world", other); /* the same bytes, cut elsewhere */
    assert_string_not_equal(first, other);
    fingerprint_of(study, "world", "hello ", other); /* their order counts */
    assert_string_not_equal(first, other);

    assert_int_equal(unlink("fingerprint-b.txt"), 0);
    assert_int_equal(spec_read(&err, study, &spec), STATUS_OK);
    assert_int_equal(spec_fingerprint(&err, spec), STATUS_FAILED);
    assert_string_equal(spec->data.fingerprint, "");
    assert_true(strncmp(err.message, "fingerprint-b.txt: No such file", 31) == 0);
    assert_non_null(strstr(err.message, "fetch"));
    error_clear(&err);
    write_file("fingerprint-b.txt", "");
    assert_int_equal(spec_fingerprint(&err, spec), STATUS_FAILED);
    assert_non_null(strstr(err.message, "fingerprint-b.txt: the file is empty"));
    spec_free(spec);
    unlink("fingerprint-a.txt");
    unlink("fingerprint-b.txt");
    unlink(study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick),
        cmocka_unit_test(smoke_and_learning_rate),
        cmocka_unit_test(defaults),
        cmocka_unit_test(described_quantizers),
        cmocka_unit_test(tokens_and_rates),
        cmocka_unit_test(either_decay_is_the_same_cell),
        cmocka_unit_test(seeds),
        cmocka_unit_test(looks),
        cmocka_unit_test(base_levels_are_the_base),
        cmocka_unit_test(factorial),
        cmocka_unit_test(list),
        cmocka_unit_test(fractional_has_resolution_five),
        cmocka_unit_test(cells_beside_a_design),
        cmocka_unit_test(expansion),
        cmocka_unit_test(published),
        cmocka_unit_test(fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
