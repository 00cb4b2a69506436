#include "jobs/cost.h"

#include <stdlib.h>

/* FLOPs ======================================================================================= */

/* Weights of one block's four sites together: qkv, attn_out, ffn_in, ffn_out. */
static double block_weights(const struct cell *cell)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    return 3 * d * d + d * d + d * ff_in + ff * d;
}

/*
 * Forward pass of one sequence of T tokens: 2 FLOPs per token and weight of the four sites and the head, and
 * causal attention: each of the T(T+1)/2 pairs costs 2·d for the score and 2·d for the weighted sum, over all
 * heads together. Element-wise work is not counted.
 */
static double forward_flops(const struct cell *cell)
{
    double context = cell->size.context;
    double d = cell->size.d_model;
    double pairs = context * (context + 1) / 2;
    double block = 2 * context * block_weights(cell) + 4 * d * pairs;
    double head = 2 * context * d * cell->model.vocabulary;
    return cell->size.layers * block + head;
}

/*
 * Sequences of all evaluations (METHOD §4). At each checkpoint every window is read in full precision, in
 * the training precision when that is another one, and by each quantizer of that checkpoint; the calibration
 * windows once when one of these has a static activation scale.
 */
static double evaluated_sequences(const struct cell *cell)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    double sequences = 0;
    for (int c = 0; c < evaluate->checkpoints; c++) {
        bool last = c == evaluate->checkpoints - 1;
        bool calibrates = false;
        int passes = cell->train.precision == PRECISION_FP32 ? 1 : 2;
        for (int q = 0; q < evaluate->quantizers; q++) {
            if (last || evaluate->every_checkpoint[q]) {
                passes++;
                calibrates |= evaluate->quantizer[q].activations == ACTIVATIONS_PER_TENSOR;
            }
        }
        sequences += (double)passes * evaluate->windows;
        sequences += calibrates ? evaluate->calibration_windows : 0;
    }
    return sequences;
}

/* Memory ====================================================================================== */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Bytes of a model's buffers for `rows` tokens; a training model keeps what backward needs of every layer. */
static double model_memory(const struct cell *cell, double rows, bool training)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    double norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    double vocabulary = cell->model.vocabulary;

    /* Floats per token of one block: residual stream (before each norm), normalized input with mean and
     * 1/std, q k v, softmax maximum and sum per head, attention, hidden, activated. */
    double block = norms * (2 * d + 2) + 3 * d + 2.0 * cell->size.heads + d + ff_in + ff;
    /* Outside the blocks: last residual stream, final norm, logits, the two branches. */
    double outside = 4 * d + 2 + vocabulary;
    if (!training) { /* one block's buffers serve all; 8-bit codes and 32-bit sums of the widest site */
        double integers = larger(d, ff) + 4 * (larger(3 * d, ff_in) + 1);
        return rows * (4 * (block + outside) + integers);
    }
    double masks = cell->size.layers * 2 * d + d;  /* one byte each */
    double gradients = 6 * d + 3 * d + ff + ff_in; /* of one block's activations */
    double head = cell->model.tied ? 4 * vocabulary * d : 0;
    return rows * (4 * (cell->size.layers * block + outside + gradients) + masks) + head;
}

/*
 * Peak bytes of one rank that holds the whole cell. P = all parameters, M = those of the quantized sites.
 *
 *     training     4P master weights, 4P copy rounded to the half type (bf16, fp16), 8P two moments,
 *                  4P per gradient buffer: one, and one per level of the tree over micro-batches,
 *                  activations and their gradients of one micro-batch
 *     evaluation   4P copy rounded to the half type, M codes per quantizer of the checkpoint and 4M more
 *                  when it keeps activations full (its weights, dequantized), activations of one
 *                  micro-batch of windows, and the full model's log-probabilities of it in fp64
 *
 * Both are alive at a checkpoint; the last one has all quantizers. The corpus (once per process), MPI
 * and libraries come on top.
 */
static double peak_memory(const struct cell *cell)
{
    double parameters = (double)cell_parameters_total(cell);
    double sites = cell->size.layers * block_weights(cell);
    double rows = (double)cell->train.micro_batch * cell->size.context;
    double rounded = cell->train.precision == PRECISION_FP32 ? 0 : 4 * parameters;
    double buffers = 1;
    for (int parts = cell->train.batch / cell->train.micro_batch; parts > 1; parts /= 2) {
        buffers++;
    }
    double quantized = 0;
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        bool full = cell->evaluate.quantizer[q].activations == ACTIVATIONS_FULL;
        quantized += full ? 5 * sites : sites;
    }
    double training = parameters * (4 + 8 + 4 * buffers) + rounded + model_memory(cell, rows, true);
    double evaluation =
        rounded + quantized + model_memory(cell, rows, false) + 8 * rows * cell->model.vocabulary;
    return training + evaluation;
}

/* Of bf16 training: the unused halves of the buffers whose numbers are packed for the matmuls (weights, normalized
 * inputs, attention, activated, and the gradients of q k v and hidden). */
static double packed_memory(const struct cell *cell)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    double norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    double rows = (double)cell->train.micro_batch * cell->size.context;
    double floats = cell->size.layers * (norms * d + d + ff) + d + 3 * d + ff_in;
    return cell->train.precision == PRECISION_BF16
               ? 2 * ((double)cell_parameters_total(cell) + rows * floats)
               : 0;
}

void cost_of(const struct cell *cell, struct cost *cost)
{
    double forward = forward_flops(cell);
    double sequences = (double)cell->train.steps * cell->train.batch;
    cost->train_flops = 3 * forward * sequences; /* backward = 2 × forward */
    cost->evaluate_flops = forward * evaluated_sequences(cell);
    cost->memory_bytes = peak_memory(cell);
    cost->packed_bytes = packed_memory(cell);
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
        return larger(sum / workers, seconds[0]);
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
        makespan = larger(makespan, finish[w]);
    }
    free(finish);
    return makespan;
}
