#include "jobs/cost.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/cost_parts.h"

/* FLOPs ======================================================================================= */

/* Weights of one block's four sites together: qkv, attn_out, ffn_in, ffn_out. */
double cost_block_weights(const struct cell *cell)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    return 3 * d * d + d * d + d * ff_in + ff * d;
}

void cost_units(const struct cell *cell, struct cost_units *units)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const double bias = cell->model.bias ? 1 : 0, vocabulary = d * cell->model.vocabulary;
    const double in[] = {d, d, d, ff}, out[] = {3 * d, d, ff_in, d};
    const double positions = cell->model.position == POSITION_LEARNED ? d * cell->size.context : 0;
    *units = (struct cost_units){.embedding = vocabulary + positions,
                                 .head = 2 * d + (cell->model.tied ? 0 : vocabulary)};
    units->largest = fmax(units->embedding, units->head);
    for (int i = 0; i < COST_SITES; i++) {
        const bool normed = i == 0 || (i == 2 && cell->model.block == BLOCK_SEQUENTIAL);
        units->site[i] = in[i] * out[i] + bias * out[i] + (normed ? 2 * d : 0);
        units->largest = fmax(units->largest, units->site[i]);
    }
}

double cost_chunks(const struct cell *cell)
{
    enum { CHUNK = 4096 }; /* SHARDS_CHUNK of study/shards.h */
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const double in[] = {d, d, d, ff}, out[] = {3 * d, d, ff_in, d};
    const double norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    double block = norms * 2 * ceil(d / CHUNK);
    for (int i = 0; i < COST_SITES; i++) {
        block += ceil(in[i] * out[i] / CHUNK) + (cell->model.bias ? ceil(out[i] / CHUNK) : 0);
    }
    const double embedding = ceil(d * cell->model.vocabulary / CHUNK);
    const double positions =
        cell->model.position == POSITION_LEARNED ? ceil(d * cell->size.context / CHUNK) : 0;
    return embedding + positions + cell->size.layers * block + 2 * ceil(d / CHUNK) +
           (cell->model.tied ? 0 : embedding);
}

/*
 * Forward pass of one sequence of T tokens: 2 FLOPs per token and weight of the four sites and the head, and
 * causal attention: each of the T(T+1)/2 pairs costs 2·d for the score and 2·d for the weighted sum, over all
 * heads together. Element-wise work is not counted.
 */
double cost_forward_flops(const struct cell *cell)
{
    double context = cell->size.context;
    double d = cell->size.d_model;
    double pairs = context * (context + 1) / 2;
    double block = 2 * context * cost_block_weights(cell) + 4 * d * pairs;
    double head = 2 * context * d * cell->model.vocabulary;
    return cell->size.layers * block + head;
}

double cost_recompute_flops(const struct cell *cell)
{
    const double context = cell->size.context, d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const double attn_out = cell->model.block == BLOCK_SEQUENTIAL ? d * d : 0;
    const double attention = 4 * d * context * (context + 1) / 2;
    return (cell->size.layers - 1) * (2 * context * (3 * d * d + attn_out + d * ff_in) + attention);
}

int cost_probe_windows(const struct cell *cell)
{
    return cell->evaluate.windows < CELL_PROBE_WINDOWS ? cell->evaluate.windows
                                                       : CELL_PROBE_WINDOWS;
}

/* Which transforms of the inputs the GPTQ quantizers of a checkpoint look through: each needs its own Gram matrices. */
int cost_gram_transforms(const struct cell_evaluate *evaluate, bool last)
{
    bool seen[TRANSFORM_HADAMARD + 1] = {false};
    int count = 0;
    for (int q = 0; q < evaluate->quantizers; q++) {
        const struct quantizer *quantizer = &evaluate->quantizer[q];
        if ((last || evaluate->every_checkpoint[q]) && quantizer->method == METHOD_GPTQ) {
            count += !seen[quantizer->transform];
            seen[quantizer->transform] = true;
        }
    }
    return count;
}

/* Bytes of one layer's Gram matrices, and how many layers hold theirs at a time (study/calibrate.h). */
double cost_gram_bytes(const struct cell *cell)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    return 8 * (3 * d * d + ff * ff);
}

double cost_gram_layers(const struct cell *cell, int transforms)
{
    enum { TOGETHER = 64 << 20 };
    const double most = floor(TOGETHER / (cost_gram_bytes(cell) * transforms));
    return most < 1 ? 1 : most < cell->size.layers ? most : cell->size.layers;
}

/* Is the quantizer evaluated at this checkpoint? The last one has all. */
static bool is_active(const struct cell_evaluate *evaluate, int q, bool last)
{
    return last || evaluate->every_checkpoint[q];
}

int cost_tables(const struct cell *cell, bool last)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    int count = 1;
    if (cell->model.position != POSITION_ROTARY ||
        cell->model.vocabulary > (int64_t)evaluate->windows * cell->size.context / 4) {
        return 0;
    }
    for (int q = 0; q < evaluate->quantizers; q++) {
        count += is_active(evaluate, q, last) && evaluate->quantizer[q].outliers == OUTLIERS_NONE;
    }
    return count;
}

double cost_table_row(const struct cell *cell)
{
    return (cell->model.block == BLOCK_PARALLEL ? 4.0 : 3.0) * cell->size.d_model;
}

double cost_table_flops(const struct cell *cell)
{
    const double d = cell->size.d_model;
    return 2 * (cell->model.block == BLOCK_PARALLEL ? cost_block_weights(cell) - d * d : 3 * d * d);
}

double cost_task_sequences(const struct task *task)
{
    return (double)task->items * task_choices(task->format);
}

/*
 * At each checkpoint every window is read in full precision, in the training precision when that is another one, and by each
 * quantizer of that checkpoint. The calibration windows are read once more for the error of each site, and by the
 * quantizers that need statistics. Probes (METHOD §5) read their windows twice in full precision and once quantized. Tasks are asked of
 * all these models but the one in the training precision.
 */
void cost_passes(const struct cell *cell, struct cost_passes *passes)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    *passes =
        (struct cost_passes){.probes = 3.0 * evaluate->checkpoints, .tasks = evaluate->checkpoints};
    for (int c = 0; c < evaluate->checkpoints; c++) {
        const bool last = c == evaluate->checkpoints - 1;
        const int transforms = cost_gram_transforms(evaluate, last);
        bool calibrates = false, tensor = false;
        int active = 0;
        for (int q = 0; q < evaluate->quantizers; q++) {
            if (is_active(evaluate, q, last)) {
                active++;
                calibrates |= quantizer_calibrates(&evaluate->quantizer[q]);
                tensor |= evaluate->quantizer[q].activations == ACTIVATIONS_PER_TENSOR;
            }
        }
        passes->full += cell->train.precision == PRECISION_FP32 ? 1 : 2;
        passes->quantized += active;
        passes->calibration += (active > 0 ? active + 2 : 0) + calibrates + tensor;
        passes->calibration +=
            transforms > 0 ? ceil(cell->size.layers / cost_gram_layers(cell, transforms)) : 0;
    }
}

/* GPTQ's Gram matrices and rounding. They count double: they are of fp64. */
static double gptq_flops(const struct cell *cell)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    const double d = cell->size.d_model, ff = cell->size.d_ff, layers = cell->size.layers;
    const double inner = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const double tokens = (double)evaluate->calibration_windows * cell->size.context;
    double flops = 0;
    for (int c = 0; c < evaluate->checkpoints; c++) {
        const bool last = c == evaluate->checkpoints - 1;
        int gptq = 0;
        for (int q = 0; q < evaluate->quantizers; q++) {
            gptq += is_active(evaluate, q, last) && evaluate->quantizer[q].method == METHOD_GPTQ;
        }
        flops +=
            2 * 2 * tokens * cost_gram_transforms(evaluate, last) * layers * (3 * d * d + ff * ff);
        flops += 2 * gptq * layers * (d * d * (4 * d + inner) + ff * ff * d);
    }
    return flops;
}

/* FLOPs of all evaluations (METHOD §4). */
static double evaluate_flops(const struct cell *cell)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    struct cost_passes passes;
    cost_passes(cell, &passes);
    double sequences = cell->evaluate.windows * (passes.full + passes.quantized) +
                       cell->evaluate.calibration_windows * passes.calibration +
                       cost_probe_windows(cell) * passes.probes;
    double read = evaluate->windows, tables = 0;
    for (int t = 0; t < evaluate->tasks; t++) {
        read += cost_task_sequences(&evaluate->task[t]);
        sequences += cost_task_sequences(&evaluate->task[t]) * (passes.tasks + passes.quantized);
    }
    const double rows = cell->model.vocabulary - read * cell->size.context; /* instead of these */
    for (int c = 0; c < evaluate->checkpoints; c++) {
        tables += cost_tables(cell, c == evaluate->checkpoints - 1);
    }
    return gptq_flops(cell) + sequences * cost_forward_flops(cell) +
           tables * rows * cost_table_flops(cell);
}

void cost_of(const struct cell *cell, struct cost *cost)
{
    double forward = cost_forward_flops(cell);
    double sequences = (double)cell->train.steps * cell->train.batch;
    cost->train_flops = 3 * forward * sequences; /* backward = 2 × forward */
    cost->evaluate_flops = evaluate_flops(cell);
}

double cost_process_bytes(double text_bytes)
{
    return 35 * 1048576.0 + text_bytes;
}

double cost_seconds(const struct cost *cost, double rate)
{
    return (cost->train_flops + cost->evaluate_flops) / rate;
}

/* Makespan ==================================================================================== */

static int longest_first(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Restore the min-heap of finishing times after its root has grown. */
static void sift_down(double *finish, int count)
{
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && finish[child + 1] < finish[child]) {
            child++;
        }
        if (finish[at] <= finish[child]) {
            return;
        }
        double swap = finish[at];
        finish[at] = finish[child];
        finish[child] = swap;
        at = child;
    }
}

/* Cells in order, each on the worker that is free first. */
double cost_makespan(double *seconds, int count, int workers)
{
    qsort(seconds, (size_t)count, sizeof *seconds, longest_first);
    if (workers < 1) {
        workers = 1;
    }
    if (count <= workers) {
        return count > 0 ? seconds[0] : 0;
    }
    double *finish = malloc((size_t)workers * sizeof *finish);
    if (!finish) { /* the lower bound is the best that can be said */
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += seconds[i];
        }
        return fmax(sum / workers, seconds[0]);
    }
    /* The first cells, one per worker, shortest first: a sorted array is a heap. */
    for (int w = 0; w < workers; w++) {
        finish[w] = seconds[workers - 1 - w];
    }
    for (int i = workers; i < count; i++) {
        finish[0] += seconds[i];
        sift_down(finish, workers);
    }
    double makespan = 0;
    for (int w = 0; w < workers; w++) {
        makespan = fmax(makespan, finish[w]);
    }
    free(finish);
    return makespan;
}
