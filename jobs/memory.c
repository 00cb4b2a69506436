#include "jobs/memory.h"

#include <math.h>

#include "jobs/cost_parts.h"

enum { CHUNK = 4096 }; /* SHARDS_CHUNK of study/shards.h */

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
        /* LLM.int8()'s outliers: a window's columns, and which they are in each window. */
        double window = 4 * (cell->size.context + rows / cell->size.context) * larger(d, ff);
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
static double probe_memory(const struct cell *cell, double rows, int ranks)
{
    double windows = cost_probe_windows(cell);
    double dimensions = 3.0 * cell->size.d_model + cell->size.d_ff;
    double codes = cost_block_weights(cell);
    double block = 4 * rows * cell->size.d_model + codes / ranks +
                   8 * ((4 * 6 + 1) * windows + 2 * dimensions);
    return cell->size.layers * block + (ranks > 1 ? codes : 0);
}

/* Bytes that a quantizer keeps of a block: codes, and a scale per group of weights; 4 per weight where weights stay full and the
 * inputs are transformed. */
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
    return bytes;
}

/* All quantizers of the last checkpoint, over the team, which puts one block of one of them together at a time. */
static double quantizers_memory(const struct cell *cell, int ranks)
{
    double all = 0, largest = 0;
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        const double block = quantizer_memory(cell, &cell->evaluate.quantizer[q]);
        all += block;
        largest = larger(largest, block);
    }
    return cell->size.layers * all / ranks + (ranks > 1 ? largest : 0);
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

/* Levels of the tree over a rank's micro-batches. */
static double tree_levels(const struct cell *cell, int ranks)
{
    double levels = 1;
    for (int parts = cell->train.batch / cell->train.micro_batch / ranks; parts > 1; parts /= 2) {
        levels++;
    }
    return levels;
}

/* A rank's part of a unit of `floats`: whole chunks (study/shards.h). */
static double part_of(double floats, int ranks)
{
    const double part = CHUNK * ceil(floats / ranks / CHUNK);
    return ranks == 1 || part > floats ? floats : part;
}

/* The most that a rank holds of all units. */
static double largest_part(const struct cell *cell, const struct cost_units *units, int ranks)
{
    double sites = 0;
    for (int i = 0; i < COST_SITES; i++) {
        sites += part_of(units->site[i], ranks);
    }
    return part_of(units->embedding, ranks) + cell->size.layers * sites +
           part_of(units->head, ranks);
}

/* Of bf16 training: the unused halves of the activations that are packed for the matmuls: normalized inputs, attention,
 * activated, and the gradients of q k v and hidden. */
static double packed_activations(const struct cell *cell, bool recompute)
{
    double d = cell->size.d_model;
    double ff = cell->size.d_ff;
    double ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    double norms = cell->model.block == BLOCK_SEQUENTIAL ? 2 : 1;
    double rows = (double)cell->train.micro_batch * cell->size.context;
    double layers = recompute ? 1 : cell->size.layers;
    return 2 * rows * (layers * (norms * d + d + ff) + d + 3 * d + ff_in);
}

/* Bytes of an evaluation beside what lasts; `rounded`: those of the weights in the half type. */
static double evaluation_memory(const struct cell *cell, int ranks, double rounded)
{
    const double rows = (double)cell->train.micro_batch * cell->size.context;
    const double logits = 12 * rows * cell->model.vocabulary;
    const double tables =
        4 * cost_tables(cell, true) * cost_table_row(cell) * cell->model.vocabulary;
    const double windows =
        rounded + quantizers_memory(cell, ranks) + tables + gptq_memory(cell) + logits;
    return model_memory(cell, rows, false, false) +
           larger(windows, probe_memory(cell, rows, ranks));
}

/*
 * P = all parameters, M = those of the quantized sites, U = those of the largest unit (study/layout.h), R = ranks.
 *
 *     always       4P/R master weights, 8P/R two moments and a sum per chunk of the gradient; R > 1: 8U for two gathered units, the second
 *                  one for what comes next, and what messages take
 *     training     4P/R per level of the tree over micro-batches; activations and their gradients of one micro-batch;
 *                  the weights rounded to the half type (bf16, fp16), 4P or, with R > 1, 4U at a time; R > 1: 8U for the gradients of two
 *                  units, the second one on its way to its owners
 *     evaluation   the rounded copy again; per quantizer of the checkpoint M/R codes (4M/R where weights
 *                  stay full and the inputs are transformed), scales, and a table by token, R > 1: and a whole block of codes; activations
 *                  of one micro-batch of windows, and the full model's logits, and probabilities in fp64; with
 *                  GPTQ Gram matrices of some layers, a factor of one and its site's weights, in fp64; after that the
 *                  probes, in place of all this but the activations
 *
 * What training needs is given back while a checkpoint is evaluated; the last one has all quantizers.
 */
void memory_of(const struct cell *cell, int ranks, bool recompute, struct memory *memory)
{
    enum { MESSAGES = 8 << 20 }; /* TEAM_MEMORY of mpi/team.h */
    struct cost_units units;
    cost_units(cell, &units);
    const bool team = ranks > 1, half = cell->train.precision != PRECISION_FP32;
    const double all = (double)cell_parameters_total(cell);
    const double part = largest_part(cell, &units, ranks);
    const double rows = (double)cell->train.micro_batch * cell->size.context;
    const double rounded = half ? 4 * (team ? units.largest : all) : 0;
    *memory = (struct memory){
        .weights = 4 * part,
        .moments = 8 * part + 8 * cost_chunks(cell),
        .gathered = team ? 8 * units.largest + MESSAGES : 0,
        .rounded = rounded,
        .gradients = 4 * part * tree_levels(cell, ranks) + (team ? 8 * units.largest : 0),
        .activations = model_memory(cell, rows, true, recompute),
        .evaluation = evaluation_memory(cell, ranks, rounded),
    };
    const double training = rounded + memory->gradients + memory->activations;
    const double changing = larger(training, memory->evaluation);
    memory->peak = memory->weights + memory->moments + memory->gathered + changing;
    if (cell->train.precision == PRECISION_BF16) {
        const double touched = training - rounded / 2 - packed_activations(cell, recompute);
        memory->packed = changing - larger(touched, evaluation_memory(cell, ranks, rounded / 2));
    }
}
