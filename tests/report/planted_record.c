/* Records of tests/report/planted.h. */
#include "tests/report/planted.h"

#include <math.h>
#include <stdio.h>

#include "jobs/version.h"

/* ---- noise: of a seed and up to four numbers that say what it is for ---- */

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

double planted_uniform(const struct planted *p, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t bits = mix(mix(mix(mix(mix(p->seed) + a) + b) + c) + d);
    return ((double)(bits >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(const struct planted *p, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return sqrt(-2 * log(planted_uniform(p, a, b, c, d))) *
           cos(2 * M_PI * planted_uniform(p, a + 1000, b, c, d)); /* Box and Muller */
}

enum noise {
    NOISE_SEED = 1,
    NOISE_CELL,
    NOISE_QUANTIZER,
    NOISE_LOSS,
    NOISE_DELTA,
    NOISE_PROBE = 7
};

/* ---- responses ---- */

struct truth {
    double decades; /* of parameters above the smallest size */
    double x[FACTORS];
    double tokens;   /* log10, over the base's */
    double residual; /* of log KL */
    double log_kl;   /* w8a8, at the end */
    double loss;
};

static struct truth truth_of(const struct planted *p, const struct spec *spec,
                             const struct cell *cell)
{
    struct truth t = {0};
    struct cell least = *cell;
    const int size = spec_size_of(spec, cell);
    const uint64_t number = (uint64_t)cell->number;
    least.size = spec->size[0];
    t.decades = log10((double)cell_parameters(cell) / (double)cell_parameters(&least));
    t.x[DECAY] = cell->train.total_decay < 0.05;
    t.x[DROPOUT] = cell->train.dropout > 0;
    t.x[CLIP] = cell->train.grad_clip <= 0;
    t.x[HALF] = cell->train.precision == PRECISION_FP16;
    t.x[RATE] = cell->train.learning_rate < 0.9 * spec->size_learning_rate[size];
    t.tokens = log10((double)cell->tokens / 2097152.0);
    t.residual = p->residual_sd * normal(p, NOISE_CELL, number, 0, 0);
    t.log_kl = -6 + p->slope * t.decades + 0.3 * t.tokens + p->pair * t.x[DECAY] * t.x[CLIP] +
               p->scale_pair * t.x[DECAY] * t.decades + t.residual +
               p->seed_sd * normal(p, NOISE_SEED, (uint64_t)size, cell->seed, 0);
    for (int f = 0; f < FACTORS; f++) {
        t.log_kl += p->effect[f] * t.x[f];
    }
    t.loss = 2.3 - 0.3 * t.decades - 0.2 * t.tokens + 0.02 * t.x[DECAY] + 0.05 * t.x[DROPOUT] +
             0.05 * t.x[RATE] + 0.01 * normal(p, NOISE_LOSS, number, 0, 0);
    return t;
}

/* Early in a run log KL is lower, and only partly what it will be. */
static double log_kl_of(const struct planted *p, const struct cell *cell, const struct truth *t,
                        int checkpoint, int quantizer)
{
    const double fraction = cell->evaluate.fraction[checkpoint];
    const uint64_t number = (uint64_t)cell->number;
    const double early =
        0.5 * log(fraction) + 2 * p->residual_sd * (1 - fraction) *
                                  normal(p, NOISE_CELL, number, 1, (uint64_t)checkpoint);
    const double level = quantizer == 0 ? 0 : 0.35 * (quantizer - 4);
    const double own = quantizer == 0 ? 0
                                      : p->residual_sd * normal(p, NOISE_QUANTIZER, number,
                                                                (uint64_t)quantizer, 0);
    return t->log_kl + early + level + own;
}

static void fill_quantized(const struct planted *p, const struct cell *cell, const struct truth *t,
                           int c, int q, struct record *r)
{
    const int Q = r->quantizers, at = c * Q + q;
    const double log_kl = log_kl_of(p, cell, t, c, q), kl = exp(log_kl);
    const double noise = normal(p, NOISE_DELTA, (uint64_t)cell->number, (uint64_t)c, (uint64_t)q);
    r->kl[at] = kl;
    r->log_kl[at] = log_kl;
    r->kl_se[at] = kl / sqrt(r->windows);
    r->kl_over_unigram[at] = kl / r->kl_unigram[c];
    r->delta_loss[at] = 0.7 * kl + 0.05 * kl * noise;
    r->delta_loss_se[at] = 0.1 * kl;
    r->quantized_loss[at] = r->loss[c] + r->delta_loss[at];
    r->quantized_loss_se[at] = r->loss_se[c];
    r->quantized_bits_per_byte[at] = r->quantized_loss[at] / M_LN2;
    r->relative_loss_increase[at] = r->delta_loss[at] / r->loss[c];
    r->top1_agreement[at] = 1 - fmin(0.6 * sqrt(kl), 0.9);
    r->quantizer_outcome[at] = OUTCOME_MEASURED;
    for (int i = 0; i < r->layers * RECORD_SITES; i++) {
        r->site_error[at * r->layers * RECORD_SITES + i] = sqrt(kl) * (1 + 0.1 * i);
    }
    for (int w = 0; w < r->windows; w++) {
        const double around =
            0.1 * normal(p, NOISE_DELTA + 50, (uint64_t)cell->number, (uint64_t)at, (uint64_t)w);
        r->window_kl[at * r->windows + w] = kl * exp(around);
        r->window_quantized_loss[at * r->windows + w] = r->quantized_loss[at] * (1 + around);
    }
    for (int k = 0; k < r->tasks; k++) {
        const double lost = rint(fmin(5, 20 * sqrt(kl))), accuracy = r->accuracy[c * r->tasks + k];
        const double share = lost / cell->evaluate.task[k].items;
        const int task = at * r->tasks + k;
        r->quantized_accuracy[task] = r->quantized_accuracy_norm[task] = accuracy - share;
        r->discordant_lost[task] = lost;
        r->discordant_gained[task] = 0;
        r->accuracy_drop[task] = 100 * share / accuracy;
        r->accuracy_drop_se[task] = 1;
        r->accuracy_drop_above_chance[task] = 100 * share / (accuracy - 0.5);
        r->accuracy_drop_above_chance_se[task] = 4;
    }
}

/* Weight norms and gain spread go with the residual of log KL, the activations' spread does not. */
static void fill_probes(const struct planted *p, const struct cell *cell, const struct truth *t,
                        int c, struct record *r)
{
    const uint64_t number = (uint64_t)cell->number;
    const double own[] = {0.02 * normal(p, NOISE_PROBE, number, 0, 0),
                          0.02 * normal(p, NOISE_PROBE, number, 1, 0),
                          0.02 * normal(p, NOISE_PROBE, number, 2, 0)};
    for (int i = 0; i < r->layers * RECORD_SITES; i++) {
        const int at = c * r->layers * RECORD_SITES + i;
        const double late = 0.1 * (c + 1);
        r->probe_weight_norm[at] =
            exp(0.8 * t->x[DECAY] + 0.5 * t->residual + late + 0.02 * i + own[0]);
        r->probe_stable_rank[at] = 8;
        r->probe_weight_max[at] = 0.3;
        r->probe_weight_std[at] = 0.05;
        r->probe_input_std[at] = exp(0.2 * t->x[DECAY] + late + own[1]);
        r->probe_input_max[at] = 6 * r->probe_input_std[at];
        r->probe_input_kurtosis[at] = 3.5;
        r->probe_outliers[at] = r->probe_outliers_relative[at] = 0;
    }
    for (int layer = 0; layer < r->layers; layer++) {
        r->probe_output_rmse[c * r->layers + layer] = 0.01 * (layer + 1);
        r->probe_gain_std[(c * r->layers + layer) * RECORD_NORMS] =
            exp(-3 + 0.7 * t->x[HALF] + 0.5 * t->residual + own[2]);
    }
    r->probe_final_gain_std[c] = 0.1;
}

static void fill_trace(const struct cell *cell, const struct truth *t, struct record *r)
{
    for (int i = 0; i < RECORD_TRACE; i++) {
        const double done = (i + 1.0) / RECORD_TRACE;
        const int64_t step = (int64_t)ceil(done * (double)cell->train.steps);
        r->trace_step[i] = (double)step;
        r->trace_loss[i] = t->loss + (5.5 - t->loss) * exp(-8 * done);
        r->trace_grad_norm[i] = 0.5 + exp(-5 * done);
        r->trace_learning_rate[i] = cell_learning_rate(cell, step - 1);
        r->trace_loss_scale[i] = cell->train.precision == PRECISION_FP16 ? 32768 : 1;
    }
    r->final_train_loss = r->trace_loss[RECORD_TRACE - 1];
    r->final_loss_scale = r->trace_loss_scale[RECORD_TRACE - 1];
}

static void fill_provenance(const struct planted *p, const struct cell *cell, struct record *r)
{
    r->skipped_steps = 0;
    r->calibration_windows = cell->evaluate.calibration_windows;
    r->unigram_entropy = 3.2;
    r->wall_time_train = 1e-9 * (double)cell->tokens * (double)cell_parameters(cell) / 10;
    r->wall_time_evaluate = 0.5 * r->wall_time_train;
    r->probe_wall_time = 0.1 * r->wall_time_evaluate;
    r->wall_time_wait = 0;
    r->tokens_per_second = (double)cell->tokens / r->wall_time_train;
    r->peak_memory = 1e8;
    r->attempts = r->team_size = 1;
    snprintf(r->isa, sizeof r->isa, "avx2");
    snprintf(r->matmul, sizeof r->matmul, "planted");
    snprintf(r->host, sizeof r->host, "planted-%d", (int)(p->seed % 10));
    snprintf(r->cpu, sizeof r->cpu, "none");
    snprintf(r->started, sizeof r->started, "2024-01-01T00:00:00Z");
    snprintf(r->finished, sizeof r->finished, "2024-01-01T00:01:00Z");
    snprintf(r->version, sizeof r->version, "%s", version_string());
    snprintf(r->commit, sizeof r->commit, "%s", version_commit());
}

void planted_fill(const struct planted *p, const struct spec *spec, const struct cell *cell,
                  int until, struct record *r)
{
    const struct truth t = truth_of(p, spec, cell);
    for (int c = 0; c < until; c++) {
        const double fraction = cell->evaluate.fraction[c];
        r->step[c] = (double)cell_checkpoint_step(cell, c);
        r->tokens[c] = r->step[c] * cell->train.batch * cell->size.context;
        r->loss[c] = t.loss - 0.25 * log10(fraction);
        r->loss_in_training_precision[c] = r->loss[c] + 1e-4;
        r->loss_se[c] = 0.01;
        r->bits_per_byte[c] = r->loss[c] / M_LN2;
        r->kl_unigram[c] = 3.2 - r->loss[c];
        for (int w = 0; w < r->windows; w++) {
            r->window_loss[c * r->windows + w] = r->loss[c] * (1 + 0.01 * (w % 7 - 3));
        }
        for (int k = 0; k < r->tasks; k++) {
            r->accuracy[c * r->tasks + k] = r->accuracy_norm[c * r->tasks + k] = 0.75;
            r->accuracy_se[c * r->tasks + k] = r->accuracy_norm_se[c * r->tasks + k] = 0.06;
        }
        for (int q = 0; q < r->quantizers; q++) {
            if (c == r->checkpoints - 1 || cell->evaluate.every_checkpoint[q]) {
                fill_quantized(p, cell, &t, c, q, r);
            }
        }
        fill_probes(p, cell, &t, c, r);
    }
    for (int k = 0; k < r->tasks; k++) {
        r->task_chance[k] = 0.5;
        r->task_truncated[k] = 0;
    }
    fill_trace(cell, &t, r);
    fill_provenance(p, cell, r);
}
