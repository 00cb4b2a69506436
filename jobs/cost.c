#include "jobs/cost.h"

#include <math.h>
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

static int probe_windows(const struct cell *cell)
{
    return cell->evaluate.windows < CELL_PROBE_WINDOWS ? cell->evaluate.windows
                                                       : CELL_PROBE_WINDOWS;
}

/* Which transforms of the inputs the GPTQ quantizers of a checkpoint look through: each needs its own Gram matrices. */
static int gram_transforms(const struct cell_evaluate *evaluate, bool last)
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
static double gram_bytes(const struct cell *cell)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    return 8 * (3 * d * d + ff * ff);
}

static double gram_layers(const struct cell *cell, int transforms)
{
    enum { TOGETHER = 64 << 20 };
    const double most = floor(TOGETHER / (gram_bytes(cell) * transforms));
    return most < 1 ? 1 : most < cell->size.layers ? most : cell->size.layers;
}

/*
 * FLOPs of all evaluations (METHOD §4). At each checkpoint every window is read in full precision, in the training precision when that is
 * another one, and by each quantizer of that checkpoint. The calibration windows are read once more for the error of each site, and
 * by the quantizers that need statistics. GPTQ's are counted double: they are of fp64. Probes (METHOD §5) read their windows twice in
 * full precision and once quantized.
 */
static double evaluate_flops(const struct cell *cell)
{
    const struct cell_evaluate *evaluate = &cell->evaluate;
    const double windows = evaluate->windows, calibration = evaluate->calibration_windows;
    const double tokens = calibration * cell->size.context, layers = cell->size.layers;
    double sequences = 3.0 * evaluate->checkpoints * probe_windows(cell), flops = 0;
    for (int c = 0; c < evaluate->checkpoints; c++) {
        bool last = c == evaluate->checkpoints - 1;
        bool calibrates = false, tensor = false;
        int active = 0, gptq = 0;
        const int transforms = gram_transforms(evaluate, last);
        for (int q = 0; q < evaluate->quantizers; q++) {
            const struct quantizer *quantizer = &evaluate->quantizer[q];
            if (last || evaluate->every_checkpoint[q]) {
                active++;
                calibrates |= quantizer_calibrates(quantizer);
                tensor |= quantizer->activations == ACTIVATIONS_PER_TENSOR;
                gptq += quantizer->method == METHOD_GPTQ;
            }
        }
        sequences += windows * (active + (cell->train.precision == PRECISION_FP32 ? 1 : 2));
        sequences += active > 0 ? calibration * (active + 2) : 0;
        sequences += calibration * (calibrates + tensor);
        if (transforms > 0) {
            const double d = cell->size.d_model, ff = cell->size.d_ff;
            const double inner = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
            sequences += calibration * ceil(layers / gram_layers(cell, transforms));
            flops += 2 * 2 * tokens * transforms * layers * (3 * d * d + ff * ff);
            flops += 2 * gptq * layers * (d * d * (4 * d + inner) + ff * ff * d);
        }
    }
    return flops + sequences * forward_flops(cell);
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
    if (!training) { /* one block's buffers serve all; of the widest site inputs, their 8-bit codes, 32-bit sums */
        double integers = 5 * larger(d, ff) + 4 * (larger(3 * d, ff_in) + 1);
        double site = larger(3 * d * d, larger(d * ff_in, d * ff)); /* one matrix, decoded */
        double window = 4 * cell->size.context * larger(d, ff);
        return rows * (4 * (block + outside) + integers) + 4 * site + window;
    }
    double masks = cell->size.layers * 2 * d + d;  /* one byte each */
    double gradients = 6 * d + 3 * d + ff + ff_in; /* of one block's activations */
    double head = cell->model.tied ? 4 * vocabulary * d : 0;
    return rows * (4 * (cell->size.layers * block + outside + gradients) + masks) + head;
}

/* Bytes of the probes: the full model's block outputs of one micro-batch, codes of the w8a8 model, and in fp64
 * moments and maxima of each site and RMSE of each block for every window, and two counts per dimension. */
static double probe_memory(const struct cell *cell, double rows)
{
    double windows = probe_windows(cell);
    double dimensions = 3.0 * cell->size.d_model + cell->size.d_ff;
    double block = 4 * rows * cell->size.d_model + block_weights(cell) +
                   8 * ((4 * 6 + 1) * windows + 2 * dimensions);
    return cell->size.layers * block;
}

/*
 * Peak bytes of one rank that holds the whole cell. P = all parameters, M = those of the quantized sites.
 *
 *     training     4P master weights, 4P copy rounded to the half type (bf16, fp16), 8P two moments,
 *                  4P per gradient buffer: one, and one per level of the tree over micro-batches,
 *                  activations and their gradients of one micro-batch
 *     evaluation   4P copy rounded to the half type; per quantizer of the checkpoint M codes (4M where weights
 *                  stay full and the inputs are transformed) and a scale per group of weights; activations of
 *                  one micro-batch of windows, and the full model's probabilities of it and their logarithms in fp64; with
 *                  GPTQ Gram matrices of some layers, a factor of one and its site's weights, in fp64; after that the
 *                  probes, in place of all this but the activations
 *
 * Both are alive at a checkpoint; the last one has all quantizers. The corpus (once per process), MPI
 * and libraries come on top.
 */
static double quantizer_memory(const struct cell *cell, const struct quantizer *quantizer)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const double in[] = {d, d, d, ff}, out[] = {3 * d, d, ff_in, d};
    double bytes = 0;
    for (int i = 0; i < 4; i++) {
        const bool transformed = quantizer->transform != TRANSFORM_NONE;
        if (quantizer->weights == WEIGHTS_FULL) {
            bytes += transformed ? 4 * in[i] * out[i] : 0;
        } else {
            const double groups = quantizer->group > 0 ? ceil(in[i] / quantizer->group) : 1;
            bytes += in[i] * out[i] + 4 * groups * out[i];
        }
        bytes += transformed ? 4 * in[i] : 0;
    }
    return cell->size.layers * bytes;
}

static double gptq_memory(const struct cell *cell)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const int transforms = gram_transforms(&cell->evaluate, true);
    const double widest = larger(d, ff);
    return transforms == 0 ? 0
                           : transforms * gram_layers(cell, transforms) * gram_bytes(cell) +
                                 8 * widest * widest + 8 * d * larger(3 * d, larger(ff, ff_in));
}

static double peak_memory(const struct cell *cell)
{
    double parameters = (double)cell_parameters_total(cell);
    double rows = (double)cell->train.micro_batch * cell->size.context;
    double rounded = cell->train.precision == PRECISION_FP32 ? 0 : 4 * parameters;
    double buffers = 1;
    for (int parts = cell->train.batch / cell->train.micro_batch; parts > 1; parts /= 2) {
        buffers++;
    }
    double quantized = 0;
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        quantized += quantizer_memory(cell, &cell->evaluate.quantizer[q]);
    }
    double training = parameters * (4 + 8 + 4 * buffers) + rounded + model_memory(cell, rows, true);
    double evaluation =
        model_memory(cell, rows, false) +
        larger(rounded + quantized + gptq_memory(cell) + 16 * rows * cell->model.vocabulary,
               probe_memory(cell, rows));
    return training + evaluation;
}

/* Of bf16 training: the unused halves of the buffers whose numbers are packed for the matmuls (weights, in training and in evaluation; normalized
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
               ? 2 * (2 * (double)cell_parameters_total(cell) + rows * floats)
               : 0;
}

void cost_of(const struct cell *cell, struct cost *cost)
{
    double forward = forward_flops(cell);
    double sequences = (double)cell->train.steps * cell->train.batch;
    cost->train_flops = 3 * forward * sequences; /* backward = 2 × forward */
    cost->evaluate_flops = evaluate_flops(cell);
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
