#include "results/explain_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/text.h"

#define DELTA "\xce\x94"
/* "2.3457 ± 0.0012": a mean over windows with its standard error. */
static void add_with_se(struct text_table *table, double value, double se)
{
    if (isnan(se)) {
        text_table_add(table, "%s", text_significant(value, 5).s);
    } else {
        text_table_add(table, "%s " TEXT_PLUSMINUS " %s", text_significant(value, 5).s,
                       text_significant(se, 2).s);
    }
}

static void add_value(struct text_table *table, double value)
{
    text_table_add(table, "%s", text_significant(value, 5).s);
}

static void add_integer(struct text_table *table, double value)
{
    text_table_add(table, "%s", text_fixed(value, 0, false).s);
}

/* ── Scalars ── */

static void print_scalars(FILE *out, const struct record *record)
{
    const struct {
        const char *name;
        double value;
    } scalars[] = {
        {"unigram entropy, nats per token", record->unigram_entropy},
        {"final training loss, nats per token", record->final_train_loss},
        {"final loss scale", record->final_loss_scale},
        {"skipped steps", record->skipped_steps},
        {"calibration windows", record->calibration_windows},
        {"tokens per second (training)", record->tokens_per_second},
        {"peak memory, MB", record->peak_memory / 1e6},
        {"attempts", record->attempts},
        {"team size", record->team_size},
        {"seconds of training", record->wall_time_train},
        {"seconds of evaluation", record->wall_time_evaluate},
        {"seconds of that for probes", record->probe_wall_time},
        {"seconds of training that waited for the team", record->wall_time_wait},
    };
    const struct {
        const char *name, *value;
    } words[] = {
        {"started", record->started}, {"finished", record->finished},   {"host", record->host},
        {"processor", record->cpu},   {"instruction set", record->isa}, {"matmul", record->matmul},
        {"version", record->version}, {"commit", record->commit},
    };
    fputs("\nThe run\n", out);
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++) {
        double value = scalars[i].value;
        bool whole = value == rint(value) && fabs(value) < 1e7;
        fprintf(out, "  %-36s %s\n", scalars[i].name,
                whole ? text_fixed(value, 0, false).s : text_significant(value, 6).s);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        fprintf(out, "  %-36s %s\n", words[i].name, words[i].value);
    }
}

/* ── Per checkpoint ── */

static int print_checkpoints(struct error *err, FILE *out, const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    TRY(text_table_open(err, "rrrrrrrr", 2, &columns));
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "",
                                       "held-out loss,",
                                       "bits per",
                                       "loss in the",
                                       "KL(p\xe2\x80\x96unigram),",
                                       "checkpoint",
                                       "of the run",
                                       "step",
                                       "tokens",
                                       "nats " TEXT_PLUSMINUS " SE",
                                       "byte",
                                       "training type",
                                       "nats"};
    TEXT_ADD_HEAD(columns, head);
    for (int k = 0; k < record->checkpoints; k++) {
        text_table_add(columns, "%d", k + 1);
        text_table_add(columns, "%s %%", text_significant(100 * record->training_fraction[k], 3).s);
        add_integer(columns, record->step[k]);
        text_table_add(columns, "%s", text_count(record->tokens[k]).s);
        add_with_se(columns, record->loss[k], record->loss_se[k]);
        add_value(columns, record->bits_per_byte[k]);
        add_value(columns, record->loss_in_training_precision[k]);
        add_value(columns, record->kl_unigram[k]);
    }
    fputs("\nCheckpoints\n", out);
    TRY(text_table_print(err, out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

static bool measured(const struct record *record, int checkpoint, int quantizer)
{
    int at = checkpoint * record->quantizers + quantizer;
    return !isnan(record->quantized_loss[at]) || !isnan(record->kl[at]);
}

static int print_quantizers(struct error *err, FILE *out, const struct cell *cell,
                            const struct record *record, int checkpoint)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    TRY(text_table_open(err, "lrrrrrrr", 2, &columns));
    static const char *const head[] = {"",
                                       "quantized loss,",
                                       DELTA "loss,",
                                       "loss",
                                       "KL(p\xe2\x80\x96p_q),",
                                       "",
                                       "KL over",
                                       "top-1",
                                       "quantizer",
                                       "nats " TEXT_PLUSMINUS " SE",
                                       "nats " TEXT_PLUSMINUS " SE",
                                       "increase, %",
                                       "nats " TEXT_PLUSMINUS " SE",
                                       "log KL",
                                       "KL unigram",
                                       "agreement, %"};
    TEXT_ADD_HEAD(columns, head);
    for (int q = 0; q < record->quantizers; q++) {
        int at = checkpoint * record->quantizers + q;
        if (!measured(record, checkpoint, q)) {
            continue;
        }
        text_table_add(columns, "%s", cell->evaluate.quantizer[q].name);
        add_with_se(columns, record->quantized_loss[at], record->quantized_loss_se[at]);
        add_with_se(columns, record->delta_loss[at], record->delta_loss_se[at]);
        add_value(columns, 100 * record->relative_loss_increase[at]);
        add_with_se(columns, record->kl[at], record->kl_se[at]);
        add_value(columns, record->log_kl[at]);
        add_value(columns, record->kl_over_unigram[at]);
        add_value(columns, 100 * record->top1_agreement[at]);
    }
    fprintf(out, "\nCheckpoint %d: quantizers\n", checkpoint + 1);
    TRY(text_table_print(err, out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

/* ── Windows ── */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Smallest, quartiles and largest of the finite values of one run's windows, as one row. `scratch` holds
 * record->windows values. */
static void add_windows(struct text_table *columns, const struct record *record, int checkpoint,
                        const char *what, const double *values, double *scratch)
{
    int count = 0;
    for (int w = 0; w < record->windows; w++) {
        if (isfinite(values[w])) {
            scratch[count++] = values[w];
        }
    }
    if (count == 0) {
        return;
    }
    qsort(scratch, (size_t)count, sizeof *scratch, compare_doubles);
    text_table_add(columns, "%d", checkpoint + 1);
    text_table_add(columns, "%s", what);
    text_table_add(columns, "%d", count);
    for (int quarter = 0; quarter <= 4; quarter++) {
        double at = quarter * (count - 1) / 4.0;
        int low = (int)at;
        int high = low + 1 < count ? low + 1 : low;
        add_value(columns, scratch[low] + (at - low) * (scratch[high] - scratch[low]));
    }
}

static int print_windows(struct error *err, FILE *out, const struct cell *cell,
                         const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    double *scratch = malloc((size_t)(record->windows + 1) * sizeof *scratch);
    CHECK(err, scratch != NULL, STATUS_FAILED, "out of memory");
    TRY(text_table_open(err, "rlrrrrrr", 1, &columns));
    static const char *const head[] = {"checkpoint", "mean, nats", "windows", "smallest",
                                       "25 %",       "median",     "75 %",    "largest"};
    TEXT_ADD_HEAD(columns, head);
    size_t windows = (size_t)record->windows;
    for (int k = 0; k < record->checkpoints; k++) {
        add_windows(columns, record, k, "loss", record->window_loss + (size_t)k * windows, scratch);
        for (int q = 0; q < record->quantizers; q++) {
            size_t at = (size_t)(k * record->quantizers + q) * windows;
            char what[64];
            snprintf(what, sizeof what, "%s: loss", cell->evaluate.quantizer[q].name);
            add_windows(columns, record, k, what, record->window_quantized_loss + at, scratch);
            snprintf(what, sizeof what, "%s: KL", cell->evaluate.quantizer[q].name);
            add_windows(columns, record, k, what, record->window_kl + at, scratch);
        }
    }
    fputs("\nHeld-out windows (the values of each are in the file)\n", out);
    TRY(text_table_print(err, out, columns, 2));
cleanup:
    text_table_free(columns);
    free(scratch);
    return status;
}

/* ── Traces ── */

static int print_traces(struct error *err, FILE *out, const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    TRY(text_table_open(err, "rrrrr", 1, &columns));
    static const char *const head[] = {"step", "training loss", "gradient norm", "learning rate",
                                       "loss scale"};
    TEXT_ADD_HEAD(columns, head);
    for (int i = 0; i < RECORD_TRACE; i++) {
        if (isnan(record->trace_step[i])) {
            continue;
        }
        add_integer(columns, record->trace_step[i]);
        add_value(columns, record->trace_loss[i]);
        add_value(columns, record->trace_grad_norm[i]);
        add_value(columns, record->trace_learning_rate[i]);
        add_integer(columns, record->trace_loss_scale[i]);
    }
    fputs("\nTraining\n", out);
    TRY(text_table_print(err, out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

int explain_record(struct error *err, FILE *out, const struct cell *cell,
                   const struct record *record)
{
    int status = STATUS_OK;
    CHECK(err, record->quantizers <= cell->evaluate.quantizers, STATUS_FAILED,
          "the record has %d quantizers, the cell %d", record->quantizers,
          cell->evaluate.quantizers);
    print_scalars(out, record);
    TRY(print_checkpoints(err, out, record));
    for (int k = 0; k < record->checkpoints; k++) {
        bool any = false;
        for (int q = 0; q < record->quantizers; q++) {
            any |= measured(record, k, q);
        }
        if (any) {
            TRY(print_quantizers(err, out, cell, record, k));
        }
    }
    TRY(explain_tasks(err, out, cell, record));
    TRY(explain_probes(err, out, record));
    TRY(print_windows(err, out, cell, record));
    TRY(print_traces(err, out, record));
cleanup:
    return status;
}
