/* FLOPs against a count by hand, memory, and makespan against brute force. */
#include <math.h>

#include "jobs/cost.h"
#include "jobs/memory.h"
#include "study/layout.h"
#include "study/model.h"
#include "study/probe.h"
#include "study/quantize.h"
#include "tests/unit/jobs_fixture.h"

/* Multiply-adds of one forward pass, matrix by matrix and token by token. */
static int64_t count_forward(const struct cell *cell)
{
    int64_t d = cell->size.d_model, ff = cell->size.d_ff, total = 0;
    int64_t gates = cell->model.activation == ACTIVATION_SWIGLU ? 2 : 1;
    for (int t = 0; t < cell->size.context; t++) {
        for (int layer = 0; layer < cell->size.layers; layer++) {
            total += d * 3 * d; /* qkv */
            for (int head = 0; head < cell->size.heads; head++) {
                total += 2 * (t + 1) * (d / cell->size.heads); /* scores, weighted sum */
            }
            total += d * d + d * gates * ff + ff * d;
        }
        total += d * cell->model.vocabulary;
    }
    return total;
}

static void flops(void **state)
{
    (void)state;
    struct cost cost;
    struct cell cell =
        fixture_cell(FIXTURE_STUDY
                     "base: {tokens: 65536, precision: bf16}\nmodel: {activation: swiglu}\n"
                     "quantizers: [w8a8, w4, w8a8-tensor]\n"
                     "evaluate: {fractions: [0.25, 0.5, 1.0], windows: 100, early_quantizers: [w4],"
                     " calibration_windows: 7}\n");
    double forward = 2 * (double)count_forward(&cell);
    /* What tables of 256 tokens save of 100 windows of 32: q, k, v and the FFN of the first of two blocks. */
    double saved = 2.0 * (3 * 16 * 16 + 3 * 16 * cell.size.d_ff) * (100 * 32 - 256);
    cost_of(&cell, &cost);
    assert_near(cost.train_flops, 3 * forward * (double)(cell.tokens / 32), 0);
    /* Twice full, bf16 and w4; at the end full, bf16 and three, all but bf16 by tables. Of 7 calibration windows each time the errors of
     * sites: full, full for comparison, and the quantizers; at the end inputs and their largest. Three times three passes of probes. */
    assert_near(cost.evaluate_flops,
                forward * (2 * 3 * 100 + 5 * 100 + 7 * (3 + 3 + 5 + 2) + 3 * 3 * 64) -
                    (2 * 2 + 4) * saved,
                0);
    assert_near(cost_seconds(&cost, 1e9), (cost.train_flops + cost.evaluate_flops) / 1e9, 0);

    cell.train.precision = PRECISION_FP32;
    cell.evaluate.every_checkpoint[2] = true; /* w8a8-tensor: calibrated at each checkpoint */
    cell.model.activation = ACTIVATION_GELU;
    forward = 2 * (double)count_forward(&cell);
    saved = 2.0 * (3 * 16 * 16 + 2 * 16 * cell.size.d_ff) * (100 * 32 - 256);
    const double read = forward * (2 * 3 * 100 + 4 * 100 + 7 * (4 + 4 + 5 + 3 * 2) + 3 * 3 * 64);
    cost_of(&cell, &cost);
    assert_near(cost.evaluate_flops, read - (2 * 3 + 4) * saved, 0);
    cell.model.block = BLOCK_SEQUENTIAL; /* the FFN comes after attention */
    saved = 2.0 * 3 * 16 * 16 * (100 * 32 - 256);
    cost_of(&cell, &cost);
    assert_near(cost.evaluate_flops, read - (2 * 3 + 4) * saved, 0);
    cell.evaluate.quantizer[1].outliers = OUTLIERS_STD; /* w4 would look at whole windows */
    cost_of(&cell, &cost);
    assert_near(cost.evaluate_flops, read - (2 * 2 + 3) * saved, 0);
    struct cell learned = cell;
    learned.model.position = POSITION_LEARNED;
    cost_of(&learned, &cost);
    assert_near(cost.evaluate_flops, read, 0);
    cell.evaluate.windows = 31; /* 248 · 4 tokens: not worth a table of 256 */
    cost_of(&cell, &cost);
    assert_near(cost.evaluate_flops,
                forward * (2 * 3 * 31 + 4 * 31 + 7 * (4 + 4 + 5 + 3 * 2) + 3 * 3 * 31), 0);
}

static double memory_of_cell(struct cell cell)
{
    struct memory memory;
    memory_of(&cell, 1, false, &memory);
    return memory.peak;
}

static void memory(void **state)
{
    (void)state;
    struct cell cell = fixture_cell(FIXTURE_STUDY "base: {tokens: 65536, precision: fp32}\n");
    cell.size.layers = 8; /* training needs more than evaluation */
    struct cell other = cell;
    double parameters = (double)cell_parameters_total(&cell);
    double all = memory_of_cell(cell);
    assert_true(all > 16 * parameters); /* weights, gradient, two moments */

    other.train.precision = PRECISION_BF16;
    assert_near(memory_of_cell(other) - all, 4 * parameters, 1e-6 * all);
    struct memory need;
    memory_of(&cell, 1, false, &need);
    assert_true(need.packed == 0);
    memory_of(&other, 1, false, &need); /* half of the weights' copy, and of some activations */
    assert_true(need.packed > 2 * parameters && need.packed < 0.3 * need.peak);
    other = cell;
    other.train.batch *= 4; /* four micro-batches: two more levels of the tree */
    assert_near(memory_of_cell(other) - all, 8 * parameters, 1e-6 * all);
    other = cell;
    other.train.micro_batch *= 2;
    other.train.batch *= 2; /* twice the activations, nothing else */
    double activations = memory_of_cell(other) - all;
    other.train.micro_batch *= 2;
    other.train.batch *= 2;
    assert_near(memory_of_cell(other) - all, 3 * activations, 1e-6 * all);
    assert_true(activations > 4.0 * cell.train.micro_batch * 32 * 8 * (9 * 16 + 2 * 64));
}

/* What study/ allocates for the cell at its last checkpoint, by its own account: training's working memory is given back meanwhile. */
static double allocated(const struct cell *cell)
{
    struct layout *layout = NULL;
    assert_int_equal(layout_create(NULL, &cell->size, &cell->model, &layout), STATUS_OK);
    double parameters = 4 * (double)layout->length;
    double rounded = cell->train.precision == PRECISION_FP32 ? 0 : parameters;
    double training = rounded + (double)model_bytes(layout, cell->train.micro_batch, true);
    for (int parts = cell->train.batch / cell->train.micro_batch; parts > 0; parts /= 2) {
        training += parameters;
    }
    bool gptq = false;
    double windows = rounded +
                     12.0 * cell->train.micro_batch * cell->size.context * cell->model.vocabulary +
                     4 * (double)model_token_floats(layout, NULL);
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        windows += (double)quantized_bytes(layout, &cell->evaluate.quantizer[q]);
        windows += 4 * (double)model_token_floats(layout, &cell->evaluate.quantizer[q]);
        gptq |= cell->evaluate.quantizer[q].method == METHOD_GPTQ;
    }
    if (gptq) { /* Gram matrices, of all layers here, a factor of the widest, and that site's weights */
        double d = cell->size.d_model, ff = cell->size.d_ff;
        assert_int_equal(calibration_layers(layout, 1), cell->size.layers);
        windows += 8 * (cell->size.layers * (3 * d * d + ff * ff) + ff * ff + ff * d);
    }
    const double evaluation = (double)model_bytes(layout, cell->train.micro_batch, false) +
                              fmax(windows, (double)probe_bytes(cell, layout));
    layout_free(layout);
    return 3 * parameters + fmax(training, evaluation);
}

static void memory_is_what_is_allocated(void **state)
{
    (void)state;
    int count = 0;
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    assert_int_equal(spec_read(&err, PTQSCALE_SOURCE_DIR "/jobs/quick.yaml", &spec), STATUS_OK);
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
    for (int i = 0; i < 5 * 4; i++) {
        struct cell cell = cells[i % 5 * 9];
        for (int q = 0; i & 4 && quantizer_at(q); q++) { /* all of them */
            cell.evaluate.quantizer[q] = *quantizer_at(q);
            cell.evaluate.quantizers = q + 1;
        }
        cell.model.block = i & 1 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL;
        cell.model.tied = i & 2;
        cell.model.activation = i % 3 ? ACTIVATION_GELU : ACTIVATION_SWIGLU;
        cell.model.position = i % 5 ? POSITION_ROTARY : POSITION_LEARNED;
        cell.train.micro_batch = cell.train.batch >> i % 4;
        double bytes = allocated(&cell);
        assert_near(memory_of_cell(cell) / bytes, 1, 0.03);
    }
    free(cells);
    spec_free(spec);
}

/* The paper's sizes: more numbers than an int counts, exactly those that study/ lays out, near what the names say. */
static void the_papers_parameters(void **state)
{
    (void)state;
    static const double named[] = {410e6, 6e9, 13e9, 52e9};
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    int count = 0;
    assert_int_equal(spec_read(&err, PTQSCALE_SOURCE_DIR "/jobs/paper.yaml", &spec), STATUS_OK);
    assert_int_equal(spec_cells(&err, spec, &cells, &count), STATUS_OK);
    assert_int_equal(count, 4 * 8 * 3);
    for (int size = 0; size < 4; size++) {
        struct layout *layout = NULL;
        const struct cell *cell = &cells[size * 8 * 3];
        int64_t elements = 0;
        assert_int_equal(layout_create(NULL, &cell->size, &cell->model, &layout), STATUS_OK);
        for (int t = 0; t < layout->tensors; t++) {
            elements += (int64_t)tensor_elements(&layout->tensor[t]);
        }
        assert_true(elements == cell_parameters_total(cell));
        assert_true((int64_t)layout->length >= elements &&
                    (int64_t)layout->length < elements + 16 * layout->tensors);
        assert_near((double)elements / named[size], 1, 0.03);
        layout_free(layout);
    }
    free(cells);
    spec_free(spec);
}

/* Makespan ==================================================================================== */

static uint64_t random_below(uint64_t n)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % n;
}

/* List scheduling as it is defined: each cell to the worker that is free first. */
static double simulate(const double *sorted, int count, int workers)
{
    double finish[8] = {0}, last = 0;
    for (int i = 0; i < count; i++) {
        int first = 0;
        for (int w = 1; w < workers; w++) {
            first = finish[w] < finish[first] ? w : first;
        }
        finish[first] += sorted[i];
        last = fmax(last, finish[first]);
    }
    return last;
}

/* The best of all assignments. */
static double optimum(const double *seconds, int count, int workers)
{
    double best = INFINITY;
    int64_t assignments = 1;
    for (int i = 0; i < count; i++) {
        assignments *= workers;
    }
    for (int64_t a = 0; a < assignments; a++) {
        double finish[4] = {0}, last = 0;
        int64_t digits = a;
        for (int i = 0; i < count; i++, digits /= workers) {
            double *worker = &finish[digits % workers];
            *worker += seconds[i];
            last = fmax(last, *worker);
        }
        best = fmin(best, last);
    }
    return best;
}

static void makespan_against_brute_force(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        double seconds[8], sum = 0, before[8];
        int count = 1 + (int)random_below(8);
        int workers = 1 + (int)random_below(4);
        for (int i = 0; i < count; i++) {
            before[i] = seconds[i] = 1 + (double)random_below(20);
            sum += seconds[i];
        }
        double makespan = cost_makespan(seconds, count, workers);
        for (int i = 1; i < count; i++) {
            assert_true(seconds[i - 1] >= seconds[i]);
        }
        assert_near(makespan, simulate(seconds, count, workers), 1e-9);
        double best = optimum(before, count, workers);
        assert_true(makespan >= best - 1e-9);
        assert_true(makespan <= best * (4.0 / 3 - 1.0 / (3 * workers)) + 1e-9); /* Graham 1969 */
        if (workers == 1) {
            assert_near(makespan, sum, 1e-9);
        }
    }
}

static void makespan_of_many(void **state)
{
    (void)state;
    enum { CELLS = 20000 };
    double *seconds = malloc(CELLS * sizeof *seconds);
    double sum = 0;
    assert_non_null(seconds);
    for (int i = 0; i < CELLS; i++) {
        seconds[i] = 1 + (double)random_below(1000);
        sum += seconds[i];
    }
    double makespan = cost_makespan(seconds, CELLS, 300);
    assert_true(makespan >= sum / 300 && makespan <= sum / 300 + 1001);
    assert_near(cost_makespan(seconds, CELLS, 50000), seconds[0], 0);
    assert_near(cost_makespan(seconds, CELLS, 0), sum, 1e-6 * sum);
    assert_near(cost_makespan(seconds, 0, 3), 0, 0);
    free(seconds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flops),
        cmocka_unit_test(memory),
        cmocka_unit_test(memory_is_what_is_allocated),
        cmocka_unit_test(the_papers_parameters),
        cmocka_unit_test(makespan_against_brute_force),
        cmocka_unit_test(makespan_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
