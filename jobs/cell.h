/*
 * A cell: one training run with all that decides its result. Cells travel between ranks as plain
 * bytes, so there is no pointer in here.
 */
#ifndef JOBS_CELL_H
#define JOBS_CELL_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/error.h"
#include "jobs/quantizer.h"
#include "jobs/task.h"

/* Part of every cell id. Raise it when a change makes the same cell give another result. */
#define METHOD_VERSION "1"

enum {
    CELL_ID = 33,              /* 32 hex digits and the NUL */
    CELL_NAME = 64,            /* longest size name, with the NUL */
    CELL_LABEL = 192,          /* longest setting label, with the NUL */
    CELL_QUANTIZERS = 32,      /* most quantizers in a study */
    CELL_CHECKPOINTS = 64,     /* most evaluation checkpoints of a run */
    CELL_VOCABULARY = 1 << 24, /* most tokens of a vocabulary */
    CELL_PROBE_WINDOWS = 64,   /* most held-out windows that probes read (METHOD §5) */
};

enum block { BLOCK_PARALLEL, BLOCK_SEQUENTIAL };
enum position { POSITION_ROTARY, POSITION_LEARNED };
enum activation { ACTIVATION_GELU, ACTIVATION_RELU, ACTIVATION_SWIGLU };
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP16 };
/* What the tokens are, and where from. */
enum data_kind {
    DATA_BYTES,         /* of text files */
    DATA_SENTENCEPIECE, /* of text files, encoded when they are read */
    DATA_SHARDS,        /* in token files that others have made (jobs/token_file.h) */
    DATA_PREPARED,      /* in a folder that `ptqscale prepare` has made (jobs/manifest.h) */
};
enum schedule { SCHEDULE_COSINE, SCHEDULE_WSD, SCHEDULE_CONSTANT };

struct cell_size {
    char name[CELL_NAME]; /* "2x64"; a label, not part of the id */
    int layers;
    int d_model;
    int heads;   /* divides d_model */
    int d_ff;    /* hidden width of the FFN (SwiGLU: of each of its two halves) */
    int context; /* tokens per sequence */
};

struct cell_model {
    enum block block;
    enum position position;
    enum activation activation;
    bool bias; /* biases in the linear layers; LayerNorm always has gain and bias */
    bool tied; /* head shares the embedding matrix */
    int vocabulary;
};

struct cell_train {
    int64_t steps;
    int batch;            /* sequences per step */
    int micro_batch;      /* sequences per micro-batch; batch / micro_batch is a power of two */
    double learning_rate; /* peak, after any scaling by the size's own rate */
    bool decay_is_total;  /* which of the next two was given; the other follows (METHOD §2) */
    double total_decay;   /* Λ = λ·Σηₜ, dimensionless */
    double weight_decay;  /* λ */
    double dropout;       /* residual dropout probability, 0 ≤ p < 1 */
    double grad_clip;     /* largest global norm; 0 = no clipping */
    enum precision precision;
    enum schedule schedule;
    double warmup;                /* fraction of the steps, linear from 0 */
    double cooldown;              /* wsd: fraction of the steps, linear down at the end */
    double final_rate;            /* cosine and wsd end at this fraction of the peak */
    double beta1, beta2, epsilon; /* AdamW */
};

struct cell_evaluate {
    int checkpoints;
    double fraction[CELL_CHECKPOINTS]; /* of the run, ascending, last = 1 */
    int windows;                       /* held-out windows of `context` predictions each */
    int quantizers;
    struct quantizer quantizer[CELL_QUANTIZERS];
    bool every_checkpoint[CELL_QUANTIZERS]; /* else at the last checkpoint only */
    int calibration_windows;
    uint64_t calibration_seed;
    int tasks;
    struct task task[CELL_TASKS]; /* at every checkpoint, for all that is evaluated there */
};

struct cell_data {
    enum data_kind kind;
    int vocabulary; /* tokens are below it; 0 while unknown */
    char fingerprint
        [CELL_ID]; /* of all that decides the tokens: the bytes of the text or token files in their
                                * order, and the tokenizer's; prepared: of the manifest; "" while unknown */
    char cleaning[16]; /* "none" or "gcide" */
    double
        held_out; /* fraction of the blocks (64 KiB of text, 65536 tokens of token files) kept for
                                * evaluation; prepared: 0, the fingerprint covers it */
    uint64_t split_seed; /* chooses those blocks; prepared: 0 */
    int guard;           /* tokens dropped on each side of a held-out block; the largest
                                * context of the study + 1 (a window's tokens), so that all its cells
                                * share one split */
};

struct cell {
    char id[CELL_ID];
    char setting[CELL_LABEL]; /* "base", "dropout=0.1"; a label, not part of the id */
    bool base;                /* the base recipe */
    int number;               /* in the whole study, from 0; a label, not part of the id */
    int ranks;                /* that work on it together, a power of two; 0: jobs/width.h
                               * chooses. Not part of the id: results do not depend on it */
    int64_t tokens;           /* steps × batch × context */
    uint64_t seed;            /* the study's seed; a label, not part of the id */
    uint64_t init_seed;       /* initialization and dropout */
    uint64_t data_seed;       /* order of the training sequences */
    struct cell_size size;
    struct cell_model model;
    struct cell_train train;
    struct cell_evaluate evaluate;
    struct cell_data data;
};

/* Fill cell->id: the hash (XXH3-128, hex) of the method version and of each field that changes the
 * result, in a canonical text form. Labels, names and which of Λ and λ was typed do not enter, nor do
 * host, rank count and pacing. */
void cell_identify(struct cell *cell);

/* The canonical text that is hashed, for `explain`. Returns the length; at most `size` bytes with the NUL
 * are written. */
int cell_canonical(const struct cell *cell, char *text, int size);

/* Parameters without embeddings and head (METHOD §1): blocks and the final LayerNorm. */
int64_t cell_parameters(const struct cell *cell);

/* All parameters. */
int64_t cell_parameters_total(const struct cell *cell);

/* Learning rate of `step` (0 … steps−1), METHOD §2. */
double cell_learning_rate(const struct cell *cell, int64_t step);

/* Complete Λ from λ or λ from Λ, as decay_is_total says; Λ = λ·Σ learning rates. */
void cell_complete_decay(struct cell *cell);

/* The step after which checkpoint `index` is evaluated: 1 … steps. */
int64_t cell_checkpoint_step(const struct cell *cell, int index);

const char *block_name(enum block block);
const char *position_name(enum position position);
const char *activation_name(enum activation activation);
const char *precision_name(enum precision precision);
const char *schedule_name(enum schedule schedule);
const char *data_kind_name(enum data_kind kind); /* "sentencepiece" */

#endif
