#include "jobs/memory.h"

#include <math.h>

#include "jobs/cost_parts.h"

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Bytes of a model's buffers for `rows` tokens; a training model keeps what backward needs of every layer, or, with `recompute`,
 * of one, and the others' inputs. */
static double model_memory(const struct cell *cell, double rows, bool training, bool recompute)
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
    double kept = recompute ? (cell->size.layers - 1) * d + block : cell->size.layers * block;
    double masks = (recompute ? 1 : cell->size.layers) * 2 * d + d; /* one byte each */
    double gradients = 6 * d + 3 * d + ff + ff_in;                  /* of one block's activations */
    double head = cell->model.tied ? 4 * vocabulary * d : 0;
    return rows * (4 * (kept + outside + gradients) + masks) + head;
}

/* Bytes of the probes: the full model's block outputs of one micro-batch, codes of the w8a8 model, and in fp64
 * moments and maxima of each site and RMSE of each block for every window, and two counts per dimension. */
static double probe_memory(const struct cell *cell, double rows)
{
    double windows = cost_probe_windows(cell);
    double dimensions = 3.0 * cell->size.d_model + cell->size.d_ff;
    double block = 4 * rows * cell->size.d_model + cost_block_weights(cell) +
                   8 * ((4 * 6 + 1) * windows + 2 * dimensions);
    return cell->size.layers * block;
}

/* Bytes that a quantizer keeps of all layers: codes, and a scale per group of weights. */
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

/* Gram matrices of some layers, a factor of one and its site's weights, in fp64. */
static double gptq_memory(const struct cell *cell)
{
    const double d = cell->size.d_model, ff = cell->size.d_ff;
    const double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const int transforms = cost_gram_transforms(&cell->evaluate, true);
    const double widest = larger(d, ff);
    return transforms == 0
               ? 0
               : transforms * cost_gram_layers(cell, transforms) * cost_gram_bytes(cell) +
                     8 * widest * widest + 8 * d * larger(3 * d, larger(ff, ff_in));
}

/* Parameters of the largest unit that a team gathers: embeddings, a block, or final norm and head. */
static double largest_unit(const struct cell *cell)
{
    const double d = cell->size.d_model, layers = cell->size.layers;
    const double embedding = d * cell->model.vocabulary;
    const double position = cell->model.position == POSITION_LEARNED ? d * cell->size.context : 0;
    const double block = ((double)cell_parameters(cell) - 2 * d) / layers;
    return larger(block, larger(embedding + position, 2 * d + embedding));
}

/* Floats of weights made for matmuls, of `parameters`: rounded, or packed to bf16 where the CPU takes that. */
static double converted(const struct cell *cell, double parameters)
{
    return cell->train.precision == PRECISION_FP32 ? 0 : parameters;
}

/* Of bf16 training: the unused halves of the buffers whose numbers are packed for the matmuls (weights, in training and in evaluation; normalized
 * inputs, attention, activated, and the gradients of q k v and hidden). */
static double packed_memory(const struct cell *cell, int ranks, bool recompute)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    double norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    double rows = (double)cell->train.micro_batch * cell->size.context;
    double floats = (recompute ? 1 : cell->size.layers) * (norms * d + d + ff) + d + 3 * d + ff_in;
    double weights = ranks == 1 ? (double)cell_parameters_total(cell) : largest_unit(cell);
    return cell->train.precision == PRECISION_BF16 ? 2 * (2 * weights + rows * floats) : 0;
}

/* Levels of the tree over a rank's micro-batches. */
static double tree_levels(const struct cell *cell, int ranks)
{
    double levels = 1;
    for (int parts = cell->train.batch / cell->train.micro_batch / ranks; parts > 1; parts /= 2) {
        levels++;
    }
    return levels;
}

/*
 * P = all parameters, M = those of the quantized sites, U = those of the largest unit, R = ranks.
 *
 *     training     4P/R master weights, 8P/R two moments, 4P/R per level of the tree over micro-batches;
 *                  activations and their gradients of one micro-batch
 *       R = 1      4P copy rounded to the half type (bf16, fp16)
 *       R > 1      two gathered units, 4U each, the second for what comes next; 4U rounded to the half type; 4U gradient of a
 *                  unit and 2U on its way to its owners
 *     evaluation   the rounded copy, or units, again; per quantizer of the checkpoint M codes (4M where weights
 *                  stay full and the inputs are transformed) and a scale per group of weights, over R; activations of
 *                  one micro-batch of windows, and the full model's probabilities of it and their logarithms in fp64; with
 *                  GPTQ Gram matrices of some layers, a factor of one and its site's weights, in fp64; after that the
 *                  probes, in place of all this but the activations
 *
 * Both are alive at a checkpoint; the last one has all quantizers.
 */
void memory_of(const struct cell *cell, int ranks, bool recompute, struct memory *memory)
{
    const double all = (double)cell_parameters_total(cell), part = all / ranks;
    const double rows = (double)cell->train.micro_batch * cell->size.context;
    const double unit = largest_unit(cell);
    const double rounded = 4 * converted(cell, ranks == 1 ? all : unit);
    const double units = ranks == 1 ? 0 : 2 * 4 * unit;
    double quantized = 0;
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        quantized += quantizer_memory(cell, &cell->evaluate.quantizer[q]);
    }
    *memory = (struct memory){
        .weights = 4 * part,
        .moments = 8 * part,
        .gathered = units + rounded,
        .gradients = 4 * part * tree_levels(cell, ranks) + (ranks == 1 ? 0 : 6 * unit),
        .activations = model_memory(cell, rows, true, recompute),
        .evaluation = model_memory(cell, rows, false, false) +
                      larger(rounded + quantized / ranks + gptq_memory(cell) +
                                 16 * rows * cell->model.vocabulary,
                             probe_memory(cell, rows)),
        .packed = packed_memory(cell, ranks, recompute),
    };
    memory->training = memory->weights + memory->moments + memory->gathered + memory->gradients +
                       memory->activations;
    memory->peak = memory->training + memory->evaluation;
}
