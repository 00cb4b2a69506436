/*
 * A record: all that was measured of one cell. Arrays are owned by the record, row-major, doubles;
 * NaN is "not measured" (NetCDF: _FillValue).
 */
#ifndef RESULTS_RECORD_H
#define RESULTS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"

enum cell_status {
    CELL_PENDING,
    CELL_RUNNING,
    CELL_DONE,
    CELL_DIVERGED, /* the loss left the finite numbers: a result */
    CELL_FAILED,
    CELL_QUARANTINED,
};

/* What became of a quantizer at a checkpoint. */
enum record_outcome {
    OUTCOME_MEASURED,
    OUTCOME_NOT_DEFINITE, /* GPTQ: a site's Hessian is not positive definite, with the most damping either */
};

enum {
    RECORD_TEXT = 256,
    RECORD_TRACE = 128,
    RECORD_SITES = 4, /* qkv, attn_out, ffn_in, ffn_out */
    RECORD_NORMS =
        2, /* LayerNorms of a block: before attention (parallel: and FFN), before the FFN */
};

struct record {
    enum cell_status status;
    char reason[512]; /* why diverged or failed; "" */

    int checkpoints, quantizers, windows, layers; /* C, Q, W, L: from the cell */
    int tasks, items;                             /* T, I: items of the task that has most */

    /* (C): per evaluation checkpoint */
    double *training_fraction;
    double *step;
    double *tokens;
    double *loss;    /* held-out cross-entropy, fp32, nats per token */
    double *loss_se; /* over windows */
    double *loss_in_training_precision;
    double *kl_unigram; /* KL(p‖unigram), nats per token */
    double *
        bits_per_byte; /* the loss per byte of text, bits; NaN: how many bytes there are is not known */

    /* (C, Q) */
    double *quantized_loss, *quantized_loss_se;
    double *quantized_bits_per_byte;
    double *delta_loss, *delta_loss_se; /* quantized − full, paired over windows */
    double *relative_loss_increase;     /* CE_q / CE − 1 */
    double *kl, *kl_se;                 /* KL(p‖p_q), nats per token */
    double *log_kl;                     /* the primary response */
    double *kl_over_unigram;            /* KL(p‖p_q) / KL(p‖unigram) */
    double *top1_agreement;             /* fraction of positions */

    double *quantizer_outcome; /* enum record_outcome */

    /* (C, Q, L, 4): per block and site (qkv, attn_out, ffn_in, ffn_out) */
    double *site_error; /* ‖X Wᵀ − X̂ Ŵᵀ‖ / ‖X Wᵀ‖ over the calibration windows */
    double *gptq_damping; /* share of the Hessian's mean diagonal that was added to it */

    /* (C, W) and (C, Q, W): means over the positions of one window */
    double *window_loss;
    double *window_quantized_loss;
    double *window_kl;

    /* Tasks (study/tasks/), METHOD §4. (C, T): the full-precision model */
    double *accuracy, *accuracy_se;           /* acc: share of items answered right */
    double *accuracy_norm, *accuracy_norm_se; /* acc_norm: answers by log p per byte */
    double *task_perplexity; /* exp(−mean log p) of the words of one-word tasks */
    /* (C, Q, T) */
    double *quantized_accuracy, *quantized_accuracy_norm, *quantized_task_perplexity;
    double *accuracy_drop, *accuracy_drop_se; /* 100·(acc − acc_q)/acc, paired over items */
    double *accuracy_drop_above_chance, *accuracy_drop_above_chance_se; /* over acc − chance */
    double *discordant_lost;   /* items that only the full-precision model answers right */
    double *discordant_gained; /* items that only the quantized model answers right */
    /* (T) */
    double *task_chance;    /* accuracy of guessing; 0 for one-word tasks */
    double *task_truncated; /* items that do not fit the context */
    /* (T, I) and (Q, T, I), at the last checkpoint: 1 right, 0 wrong */
    double *item_correct, *quantized_item_correct;

    /* Probes (study/probe.h), METHOD §5. (C, L, RECORD_SITES): inputs and weights of a site */
    double *probe_input_std, *probe_input_max, *probe_input_kurtosis;
    double *probe_outliers, *probe_outliers_relative; /* dimensions with |x| ≥ 6, ≥ 6·std */
    double *probe_weight_max, *probe_weight_std;
    double *probe_weight_norm, *probe_stable_rank; /* ‖W‖₂, ‖W‖²_F/‖W‖²₂ */
    /* (C, L): token-wise RMSE between full and w8a8 block outputs */
    double *probe_output_rmse;
    /* (C, L, RECORD_NORMS) and (C): standard deviation of LayerNorm gains; NaN where there is none */
    double *probe_gain_std, *probe_final_gain_std;

    /* (RECORD_TRACE): training traces, evenly spaced; NaN past the end of a short run */
    double *trace_step, *trace_loss, *trace_grad_norm, *trace_learning_rate, *trace_loss_scale;

    double unigram_entropy;  /* nats per token: held-out text under its training unigram */
    double skipped_steps;    /* fp16 overflows */
    double final_loss_scale; /* 1 unless fp16 */
    double final_train_loss; /* mean of the last trace interval */
    double calibration_windows;

    /* how it was made: not part of the result */
    double wall_time_train, wall_time_evaluate; /* seconds */
    double wall_time_wait;                      /* part of wall_time_train, for the team */
    double probe_wall_time;                     /* part of wall_time_evaluate */
    double tokens_per_second;                   /* training */
    double peak_memory;                         /* bytes, of the rank's process */
    double attempts, team_size;
    char isa[RECORD_TEXT], matmul[RECORD_TEXT], host[RECORD_TEXT], cpu[RECORD_TEXT];
    char started[32], finished[32]; /* UTC, ISO 8601 */
    char version[RECORD_TEXT], commit[RECORD_TEXT];
};

/* A record with all arrays allocated for `cell` and filled with NaN. */
int record_create(struct error *err, const struct cell *cell, struct record **record);
void record_free(struct record *record); /* NULL is fine */

/* All numbers of a record of `cell` in one fixed order, so that a running cell can be kept: how many there
 * are, out of the record, and back into it (`values` need not be aligned). */
size_t record_numbers(const struct cell *cell);
void record_get_numbers(const struct cell *cell, const struct record *record, double *values);
void record_set_numbers(const struct cell *cell, struct record *record, const void *values);

const char *record_site_name(int site);                /* "qkv" */
const char *record_outcome_name(double outcome);       /* "measured"; NaN: "" */
const char *cell_status_name(enum cell_status status); /* "done" */
bool cell_status_finished(enum cell_status status);    /* done or diverged: it has a result */

#endif
