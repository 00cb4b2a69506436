/* The probes of one record (METHOD §5) as text: how they went over the run, and each at the last checkpoint. */
#include <math.h>

#include "results/explain_record.h"
#include "results/schema.h"
#include "results/text.h"

static void add(struct text_table *table, double value)
{
    text_table_add(table, "%s", text_significant(value, 4).s);
}

static void add_integer(struct text_table *table, double value)
{
    text_table_add(table, "%s", text_fixed(value, 0, false).s);
}

static bool measured(const struct record *record, int checkpoint)
{
    return record->layers > 0 &&
           !isnan(record->probe_weight_std[(size_t)checkpoint * record->layers * RECORD_SITES]);
}

/* The largest of one checkpoint; NaN if none was measured. */
static double largest(const struct record *record, int checkpoint, const double *values)
{
    const int each = record->layers * RECORD_SITES;
    double most = NAN;
    for (int i = 0; i < each; i++) {
        most = fmax(most, values[(size_t)checkpoint * each + i]);
    }
    return most;
}

static double total(const struct record *record, int checkpoint, const double *values)
{
    const int each = record->layers * RECORD_SITES;
    double sum = 0;
    for (int i = 0; i < each; i++) {
        sum += values[(size_t)checkpoint * each + i];
    }
    return sum;
}

/* Mean over the LayerNorms that the blocks have. */
static double mean_gain_std(const struct record *record, int checkpoint)
{
    const int each = record->layers * RECORD_NORMS;
    double sum = 0;
    int count = 0;
    for (int i = 0; i < each; i++) {
        const double value = record->probe_gain_std[(size_t)checkpoint * each + i];
        if (!isnan(value)) {
            sum += value;
            count++;
        }
    }
    return count > 0 ? sum / count : NAN;
}

static int print_course(struct error *err, FILE *out, const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *table = NULL;
    static const char *const head[] = {"",
                                       "largest",
                                       "largest",
                                       "outlier dims.",
                                       "outlier dims.",
                                       "largest",
                                       "mean gain",
                                       "output RMSE,",
                                       "checkpoint",
                                       "input",
                                       "kurtosis",
                                       "|x| \xe2\x89\xa5 6",
                                       "|x| \xe2\x89\xa5 6 std",
                                       "norm of W",
                                       "std",
                                       "last block"};
    TRY(text_table_open(err, "rrrrrrrr", 2, &table));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        text_table_add(table, "%s", head[i]);
    }
    for (int k = 0; k < record->checkpoints; k++) {
        if (!measured(record, k)) {
            continue;
        }
        text_table_add(table, "%d", k + 1);
        add(table, largest(record, k, record->probe_input_max));
        add(table, largest(record, k, record->probe_input_kurtosis));
        add_integer(table, total(record, k, record->probe_outliers));
        add_integer(table, total(record, k, record->probe_outliers_relative));
        add(table, largest(record, k, record->probe_weight_norm));
        add(table, mean_gain_std(record, k));
        add(table, record->probe_output_rmse[(size_t)(k + 1) * record->layers - 1]);
    }
    fputs("\nProbes over the run (all blocks and sites)\n", out);
    TRY(text_table_print(err, out, table, 1));
cleanup:
    text_table_free(table);
    return status;
}

static int print_sites(struct error *err, FILE *out, const struct record *record, int checkpoint)
{
    int status = STATUS_OK;
    struct text_table *table = NULL;
    static const char *const head[] = {"",
                                       "",
                                       "input",
                                       "input",
                                       "input",
                                       "outliers",
                                       "outliers",
                                       "W",
                                       "W",
                                       "W",
                                       "W",
                                       "block",
                                       "site",
                                       "std",
                                       "max",
                                       "kurt.",
                                       "\xe2\x89\xa5 6",
                                       "\xe2\x89\xa5 6 std",
                                       "max",
                                       "std",
                                       "norm",
                                       "stable rank"};
    TRY(text_table_open(err, "rlrrrrrrrrr", 2, &table));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        text_table_add(table, "%s", head[i]);
    }
    for (int i = 0; i < record->layers * RECORD_SITES; i++) {
        const size_t at = (size_t)checkpoint * record->layers * RECORD_SITES + i;
        text_table_add(table, "%d", i / RECORD_SITES + 1);
        text_table_add(table, "%s", schema_dimension_labels(SCHEMA_SITE)[i % RECORD_SITES]);
        add(table, record->probe_input_std[at]);
        add(table, record->probe_input_max[at]);
        add(table, record->probe_input_kurtosis[at]);
        add_integer(table, record->probe_outliers[at]);
        add_integer(table, record->probe_outliers_relative[at]);
        add(table, record->probe_weight_max[at]);
        add(table, record->probe_weight_std[at]);
        add(table, record->probe_weight_norm[at]);
        add(table, record->probe_stable_rank[at]);
    }
    fprintf(out, "\nCheckpoint %d: probes of each site\n", checkpoint + 1);
    TRY(text_table_print(err, out, table, 2));
cleanup:
    text_table_free(table);
    return status;
}

static int print_blocks(struct error *err, FILE *out, const struct record *record, int checkpoint)
{
    int status = STATUS_OK;
    struct text_table *table = NULL;
    static const char *const head[] = {"block", "output RMSE", "ln1 gain std", "ln2 gain std"};
    TRY(text_table_open(err, "rrrr", 1, &table));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        text_table_add(table, "%s", head[i]);
    }
    for (int i = 0; i < record->layers; i++) {
        const size_t at = (size_t)checkpoint * record->layers + i;
        text_table_add(table, "%d", i + 1);
        add(table, record->probe_output_rmse[at]);
        add(table, record->probe_gain_std[at * RECORD_NORMS]);
        add(table, record->probe_gain_std[at * RECORD_NORMS + 1]);
    }
    fprintf(out, "\nCheckpoint %d: probes of each block; the final LayerNorm's gain std is %s\n",
            checkpoint + 1, text_significant(record->probe_final_gain_std[checkpoint], 4).s);
    TRY(text_table_print(err, out, table, 1));
cleanup:
    text_table_free(table);
    return status;
}

int explain_probes(struct error *err, FILE *out, const struct record *record)
{
    int status = STATUS_OK;
    int last = -1;
    for (int k = 0; k < record->checkpoints; k++) {
        last = measured(record, k) ? k : last;
    }
    if (last >=
        0) { /* files of older versions have no probes, and a cell may diverge before the first */
        TRY(print_course(err, out, record));
        TRY(print_sites(err, out, record, last));
        TRY(print_blocks(err, out, record, last));
    }
cleanup:
    return status;
}
