#include "results/schema.h"

#include <string.h>

#define FIELD(member) offsetof(struct record, member), sizeof(((struct record *)0)->member)

#define C                                                                                          \
    1,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT                                                                          \
    }
#define CQ                                                                                         \
    2,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_QUANTIZER                                                        \
    }
#define CW                                                                                         \
    2,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_WINDOW                                                           \
    }
#define CQW                                                                                        \
    3,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_QUANTIZER, SCHEMA_WINDOW                                         \
    }
#define CQLS                                                                                       \
    4,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_QUANTIZER, SCHEMA_LAYER, SCHEMA_SITE                             \
    }
#define CL                                                                                         \
    2,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_LAYER                                                            \
    }
#define CLS                                                                                        \
    3,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_LAYER, SCHEMA_SITE                                               \
    }
#define CLN                                                                                        \
    3,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_LAYER, SCHEMA_NORM                                               \
    }
#define CK                                                                                         \
    2,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_TASK                                                             \
    }
#define CQK                                                                                        \
    3,                                                                                             \
    {                                                                                              \
        SCHEMA_CHECKPOINT, SCHEMA_QUANTIZER, SCHEMA_TASK                                           \
    }
#define K                                                                                          \
    1,                                                                                             \
    {                                                                                              \
        SCHEMA_TASK                                                                                \
    }
#define KI                                                                                         \
    2,                                                                                             \
    {                                                                                              \
        SCHEMA_TASK, SCHEMA_ITEM                                                                   \
    }
#define QKI                                                                                        \
    3,                                                                                             \
    {                                                                                              \
        SCHEMA_QUANTIZER, SCHEMA_TASK, SCHEMA_ITEM                                                 \
    }
#define T                                                                                          \
    1,                                                                                             \
    {                                                                                              \
        SCHEMA_TRACE                                                                               \
    }
#define ONE                                                                                        \
    0,                                                                                             \
    {                                                                                              \
        0                                                                                          \
    }

#define TEXT(member, role, long_name, comment)                                                     \
    {                                                                                              \
#member, ONE, SCHEMA_TEXT, role, "1", long_name, comment, NULL, FIELD(member)              \
    }
#define NUMBER(member, shape, type, role, units, long_name, comment, ancillary)                    \
    {                                                                                              \
#member, shape, type, role, units, long_name, comment, ancillary, FIELD(member)            \
    }

#define PROBED "full precision, 64 held-out windows (all, if there are fewer)"

static const struct schema_entry entries[] = {
    {"status", ONE, SCHEMA_STATUS, SCHEMA_RESULT, "1", "state of the cell",
     "METHOD §2: a run whose loss is not finite is diverged, which is a result; its checkpoints "
     "before that are kept",
     NULL, FIELD(status)},
    TEXT(reason, SCHEMA_RESULT, "why the cell diverged or failed", "METHOD §2; empty otherwise"),

    NUMBER(training_fraction, C, SCHEMA_DOUBLE, SCHEMA_STUDY_WIDE, "1",
           "fraction of the training run at the checkpoint",
           "METHOD §4: fixed fractions of the run", NULL),
    NUMBER(step, C, SCHEMA_INT64, SCHEMA_RESULT, "1", "optimizer steps done at the checkpoint",
           "METHOD §4", NULL),
    NUMBER(tokens, C, SCHEMA_INT64, SCHEMA_RESULT, "1", "training tokens seen at the checkpoint",
           "METHOD §4: steps x sequences per step x context", NULL),
    NUMBER(loss, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "held-out cross-entropy, nats per token",
           "METHOD §4: from the fp32 master weights, in fp32, mean over all held-out positions",
           "loss_se"),
    NUMBER(bits_per_byte, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "held-out cross-entropy, bits per byte of text",
           "METHOD §4: loss x held-out tokens / (ln 2 x bytes of text that they stand for), which "
           "compares tokenizers; missing for token files, whose text is not known",
           NULL),
    NUMBER(loss_se, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of loss over windows, nats per token",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(loss_in_training_precision, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "held-out cross-entropy in the training precision, nats per token",
           "METHOD §4: evaluation in the training type is a separate response", NULL),
    NUMBER(kl_unigram, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "KL(p||unigram), nats per token",
           "METHOD §4: what the model has learned beyond byte frequencies", NULL),

    NUMBER(quantized_loss, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "held-out cross-entropy of the quantized model, nats per token", "METHOD §3, 4",
           "quantized_loss_se"),
    NUMBER(quantized_bits_per_byte, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "held-out cross-entropy of the quantized model, bits per byte of text",
           "METHOD §4: as bits_per_byte", NULL),
    NUMBER(quantized_loss_se, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of quantized_loss over windows, nats per token",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(delta_loss, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "cross-entropy increase by quantization, nats per token",
           "METHOD §4: quantized_loss - loss, paired over windows", "delta_loss_se"),
    NUMBER(delta_loss_se, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of delta_loss over paired windows, nats per token",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(relative_loss_increase, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "relative cross-entropy increase by quantization", "METHOD §4: CE_q / CE - 1", NULL),
    NUMBER(kl, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "KL(p||p_q) of full-precision and quantized predictions, nats per token",
           "METHOD §4: mean over all held-out positions and the full vocabulary, in fp64", "kl_se"),
    NUMBER(kl_se, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of kl over windows, nats per token",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(log_kl, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "natural logarithm of kl: the primary response", "METHOD §4, 6", NULL),
    NUMBER(kl_over_unigram, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "share of the learned information destroyed by quantization",
           "METHOD §4: KL(p||p_q) / KL(p||unigram)", NULL),
    NUMBER(top1_agreement, CQ, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "fraction of positions where both models predict the same token", "METHOD §4", NULL),

    NUMBER(quantizer_outcome, CQ, SCHEMA_INT, SCHEMA_RESULT, "1",
           "what became of the quantizer: 0 measured, 1 its Hessian is not positive definite",
           "METHOD §3: a quantizer that cannot be carried out on a cell's weights has no results "
           "there; the cell's others have",
           NULL),
    NUMBER(site_error, CQLS, SCHEMA_FLOAT, SCHEMA_RESULT, "1",
           "relative error of a site's output by quantization",
           "METHOD §3: |X W' - Xq Wq'| / |X W'|, Frobenius norms over the calibration windows, X "
           "the inputs in the full-precision model",
           NULL),
    NUMBER(gptq_damping, CQLS, SCHEMA_FLOAT, SCHEMA_RESULT, "1",
           "share of the Hessian's mean diagonal that GPTQ added to it",
           "METHOD §3: 0.01, or ten times more until it is positive definite", NULL),

    NUMBER(window_loss, CW, SCHEMA_FLOAT, SCHEMA_RESULT, "1",
           "cross-entropy of one held-out window, nats per token",
           "METHOD §4: per-window values, the same windows for every cell", NULL),
    NUMBER(window_quantized_loss, CQW, SCHEMA_FLOAT, SCHEMA_RESULT, "1",
           "cross-entropy of the quantized model on one held-out window, nats per token",
           "METHOD §4: per-window values, the same windows for every cell", NULL),
    NUMBER(window_kl, CQW, SCHEMA_FLOAT, SCHEMA_RESULT, "1",
           "KL(p||p_q) on one held-out window, nats per token",
           "METHOD §4: per-window values, the same windows for every cell", NULL),

    NUMBER(accuracy, CK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "share of a task's items that the full-precision model answers right",
           "METHOD §4: acc of lm-evaluation-harness, the answer of the largest log-likelihood; of "
           "one-word tasks: greedy "
           "decoding gives the word",
           "accuracy_se"),
    NUMBER(accuracy_se, CK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of accuracy over items",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(accuracy_norm, CK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "share of a task's items that the full-precision model answers right per byte",
           "METHOD §4: acc_norm of lm-evaluation-harness, the answer of the largest log-likelihood "
           "per byte",
           "accuracy_norm_se"),
    NUMBER(accuracy_norm_se, CK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard error of accuracy_norm over items",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(task_perplexity, CK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "perplexity of the words of a one-word task",
           "METHOD §4: exp(-mean log-likelihood of a whole word); missing for other tasks", NULL),
    NUMBER(quantized_accuracy, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "share of a task's items that the quantized model answers right", "METHOD §3, 4", NULL),
    NUMBER(quantized_accuracy_norm, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "share of a task's items that the quantized model answers right per byte",
           "METHOD §3, 4", NULL),
    NUMBER(quantized_task_perplexity, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "perplexity of the words of a one-word task under the quantized model", "METHOD §3, 4",
           NULL),
    NUMBER(accuracy_drop, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "percent",
           "relative drop of accuracy by quantization",
           "METHOD §4: 100 (accuracy - quantized_accuracy) / accuracy; positive is worse; missing "
           "where accuracy is 0",
           "accuracy_drop_se"),
    NUMBER(accuracy_drop_se, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "percent",
           "standard error of accuracy_drop over paired items",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(accuracy_drop_above_chance, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "percent",
           "drop of accuracy by quantization, relative to what is above chance",
           "METHOD §4: 100 (accuracy - quantized_accuracy) / (accuracy - task_chance); missing "
           "where accuracy is not above "
           "chance",
           "accuracy_drop_above_chance_se"),
    NUMBER(accuracy_drop_above_chance_se, CQK, SCHEMA_DOUBLE, SCHEMA_RESULT, "percent",
           "standard error of accuracy_drop_above_chance over paired items",
           "METHOD §4: describes one run, never a contrast", NULL),
    NUMBER(discordant_lost, CQK, SCHEMA_INT, SCHEMA_RESULT, "1",
           "items that only the full-precision model answers right", "METHOD §4: McNemar's b",
           NULL),
    NUMBER(discordant_gained, CQK, SCHEMA_INT, SCHEMA_RESULT, "1",
           "items that only the quantized model answers right", "METHOD §4: McNemar's c", NULL),
    NUMBER(task_chance, K, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "accuracy of guessing",
           "METHOD §4: mean of 1 / number of answers; 0 where a word has to be given, which can be "
           "anything",
           NULL),
    NUMBER(task_truncated, K, SCHEMA_INT, SCHEMA_RESULT, "1", "items that do not fit the context",
           "METHOD §4: their first tokens are left out, or an answer is read in several windows",
           NULL),
    NUMBER(item_correct, KI, SCHEMA_BYTE, SCHEMA_RESULT, "1",
           "the full-precision model of the last checkpoint answers the item right",
           "METHOD §4: 1 right, 0 wrong, as accuracy counts it", NULL),
    NUMBER(quantized_item_correct, QKI, SCHEMA_BYTE, SCHEMA_RESULT, "1",
           "the quantized model of the last checkpoint answers the item right",
           "METHOD §4: 1 right, 0 wrong, paired with item_correct", NULL),

    NUMBER(probe_input_std, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard deviation of a site's input activations",
           "METHOD §5: over all elements, " PROBED, NULL),
    NUMBER(probe_input_max, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "largest absolute value of a site's input activations", "METHOD §5: " PROBED, NULL),
    NUMBER(probe_input_kurtosis, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "kurtosis of a site's input activations",
           "METHOD §5: fourth central moment over the squared variance, 3 for a normal "
           "distribution; over "
           "all elements, " PROBED,
           NULL),
    NUMBER(probe_outliers, CLS, SCHEMA_INT, SCHEMA_RESULT, "1",
           "number of outlier dimensions of a site's input, |x| >= 6",
           "METHOD §5: dimensions with |x| >= 6 in at least 6 % of the positions; " PROBED, NULL),
    NUMBER(probe_outliers_relative, CLS, SCHEMA_INT, SCHEMA_RESULT, "1",
           "number of outlier dimensions of a site's input, |x| >= 6 std",
           "METHOD §5: dimensions with |x| >= 6 probe_input_std in at least 6 % of the "
           "positions; " PROBED,
           NULL),
    NUMBER(probe_output_rmse, CL, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "token-wise RMSE between full and w8a8-quantized block outputs",
           "METHOD §5: residual stream behind the block, all blocks quantized; RMSE over its "
           "dimensions, mean "
           "over tokens; " PROBED,
           NULL),
    NUMBER(probe_gain_std, CLN, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard deviation of a LayerNorm's gain",
           "METHOD §5; a parallel block has one LayerNorm", NULL),
    NUMBER(probe_final_gain_std, C, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard deviation of the final LayerNorm's gain", "METHOD §5", NULL),
    NUMBER(probe_weight_max, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "largest absolute weight of a site", "METHOD §5: fp32 master weights", NULL),
    NUMBER(probe_weight_std, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "standard deviation of a site's weights", "METHOD §5: fp32 master weights", NULL),
    NUMBER(
        probe_weight_norm, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
        "spectral norm of a site's weights",
        "METHOD §5: largest singular value of the fp32 master weights, rounded to single precision",
        NULL),
    NUMBER(
        probe_stable_rank, CLS, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
        "stable rank of a site's weights",
        "METHOD §5: squared Frobenius norm over squared spectral norm, rounded to single precision",
        NULL),

    NUMBER(trace_step, T, SCHEMA_INT64, SCHEMA_RESULT, "1", "optimizer step of the trace point",
           "METHOD §2", NULL),
    NUMBER(trace_loss, T, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "training cross-entropy, nats per token", "METHOD §2", NULL),
    NUMBER(trace_grad_norm, T, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "global gradient norm before clipping", "METHOD §2", NULL),
    NUMBER(trace_learning_rate, T, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "learning rate", "METHOD §2",
           NULL),
    NUMBER(trace_loss_scale, T, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "dynamic loss scale",
           "METHOD §2: 1 unless the training precision is fp16", NULL),

    NUMBER(unigram_entropy, ONE, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "cross-entropy of the held-out text under its training unigram, nats per token",
           "METHOD §4: the loss of a model that knows token frequencies only", NULL),
    NUMBER(skipped_steps, ONE, SCHEMA_INT, SCHEMA_RESULT, "1",
           "optimizer steps skipped on a non-finite gradient", "METHOD §2: fp16 only", NULL),
    NUMBER(final_loss_scale, ONE, SCHEMA_DOUBLE, SCHEMA_RESULT, "1", "loss scale at the end",
           "METHOD §2: 1 unless the training precision is fp16", NULL),
    NUMBER(final_train_loss, ONE, SCHEMA_DOUBLE, SCHEMA_RESULT, "1",
           "training cross-entropy at the end, nats per token",
           "METHOD §2: mean of the last trace interval", NULL),
    NUMBER(calibration_windows, ONE, SCHEMA_INT, SCHEMA_RESULT, "1",
           "calibration windows from the training text", "METHOD §3", NULL),

    NUMBER(wall_time_train, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "s", "wall time of training",
           "how the cell was made; not part of the result", NULL),
    NUMBER(wall_time_evaluate, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "s",
           "wall time of quantization, evaluation and probes",
           "how the cell was made; not part of the result", NULL),
    NUMBER(probe_wall_time, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "s", "wall time of the probes",
           "part of wall_time_evaluate; not part of the result", NULL),
    NUMBER(wall_time_wait, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "s",
           "time in which training waited for the team's messages",
           "part of wall_time_train, of the team's first rank; messages that moved while it "
           "computed are "
           "no part of it; not part of the result",
           NULL),
    NUMBER(tokens_per_second, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "s-1",
           "training tokens per second", "how the cell was made; not part of the result", NULL),
    NUMBER(peak_memory, ONE, SCHEMA_DOUBLE, SCHEMA_PROVENANCE, "byte",
           "peak resident memory of the rank's process",
           "how the cell was made; not part of the result", NULL),
    NUMBER(attempts, ONE, SCHEMA_INT, SCHEMA_PROVENANCE, "1", "times the cell was begun",
           "how the cell was made; not part of the result", NULL),
    NUMBER(team_size, ONE, SCHEMA_INT, SCHEMA_PROVENANCE, "1", "ranks that worked on the cell",
           "METHOD §2: results do not depend on it", NULL),
    TEXT(isa, SCHEMA_PROVENANCE, "instruction set of the kernels",
         "METHOD §2: part of what the same result means"),
    TEXT(matmul, SCHEMA_PROVENANCE, "matrix product library and its instruction set",
         "METHOD §2: part of what the same result means"),
    TEXT(host, SCHEMA_PROVENANCE, "host name", "how the cell was made; not part of the result"),
    TEXT(cpu, SCHEMA_PROVENANCE, "processor model",
         "how the cell was made; not part of the result"),
    TEXT(started, SCHEMA_PROVENANCE, "begin of the cell, UTC, ISO 8601",
         "how the cell was made; not part of the result"),
    TEXT(finished, SCHEMA_PROVENANCE, "end of the cell, UTC, ISO 8601",
         "how the cell was made; not part of the result"),
    TEXT(version, SCHEMA_PROVENANCE, "version of ptqscale that ran the cell",
         "how the cell was made; not part of the result"),
    TEXT(commit, SCHEMA_PROVENANCE, "source commit of ptqscale that ran the cell",
         "how the cell was made; not part of the result"),
};

int schema_count(void)
{
    return (int)(sizeof entries / sizeof entries[0]);
}

const struct schema_entry *schema_entry(int index)
{
    return &entries[index];
}

const struct schema_entry *schema_find(const char *name)
{
    for (int i = 0; i < schema_count(); i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static bool has_dimension(const struct schema_entry *entry, enum schema_dimension dimension)
{
    for (int i = 0; i < entry->rank; i++) {
        if (entry->dimension[i] == dimension) {
            return true;
        }
    }
    return false;
}

bool schema_detail(const struct schema_entry *entry)
{
    return has_dimension(entry, SCHEMA_WINDOW) || has_dimension(entry, SCHEMA_ITEM);
}

bool schema_optional(const struct schema_entry *entry)
{
    return has_dimension(entry, SCHEMA_TASK) || strncmp(entry->name, "probe_", 6) == 0 ||
           strcmp(entry->name, "site_error") == 0 || strcmp(entry->name, "gptq_damping") == 0 ||
           strcmp(entry->name, "quantizer_outcome") == 0 ||
           strcmp(entry->name, "wall_time_wait") == 0 ||
           strcmp(entry->name, "bits_per_byte") == 0 ||
           strcmp(entry->name, "quantized_bits_per_byte") == 0;
}

const char *schema_dimension_name(enum schema_dimension dimension)
{
    static const char *const names[] = {"checkpoint", "quantizer", "window", "trace", "layer",
                                        "site",       "norm",      "task",   "item"};
    return names[dimension];
}

const char *const *schema_dimension_labels(enum schema_dimension dimension)
{
    static const char *const sites[RECORD_SITES] = {"qkv", "attn_out", "ffn_in", "ffn_out"};
    static const char *const norms[RECORD_NORMS] = {"ln1", "ln2"};
    return dimension == SCHEMA_SITE ? sites : dimension == SCHEMA_NORM ? norms : NULL;
}

static size_t most_items(const struct cell_evaluate *evaluate)
{
    int most = 0;
    for (int i = 0; i < evaluate->tasks; i++) {
        most = evaluate->task[i].items > most ? evaluate->task[i].items : most;
    }
    return (size_t)most;
}

size_t schema_length(const struct cell *cell, enum schema_dimension dimension)
{
    switch (dimension) {
    case SCHEMA_CHECKPOINT:
        return (size_t)cell->evaluate.checkpoints;
    case SCHEMA_QUANTIZER:
        return (size_t)cell->evaluate.quantizers;
    case SCHEMA_WINDOW:
        return (size_t)cell->evaluate.windows;
    case SCHEMA_LAYER:
        return (size_t)cell->size.layers;
    case SCHEMA_SITE:
        return RECORD_SITES;
    case SCHEMA_NORM:
        return RECORD_NORMS;
    case SCHEMA_TASK:
        return (size_t)cell->evaluate.tasks;
    case SCHEMA_ITEM:
        return most_items(&cell->evaluate);
    case SCHEMA_TRACE:
    case SCHEMA_DIMENSIONS:
        break;
    }
    return RECORD_TRACE;
}

size_t schema_values(const struct schema_entry *entry, const struct cell *cell)
{
    size_t values = 1;
    for (int i = 0; i < entry->rank; i++) {
        values *= schema_length(cell, entry->dimension[i]);
    }
    return values;
}

double *schema_numbers(const struct schema_entry *entry, const struct record *record)
{
    char *member = (char *)record + entry->offset;
    return entry->rank > 0 ? *(double **)(void *)member : (double *)(void *)member;
}

char *schema_text(const struct schema_entry *entry, const struct record *record)
{
    return (char *)record + entry->offset;
}
