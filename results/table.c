#include "results/table.h"

#include <math.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/netcdf_io.h"
#include "results/table_facts.h"

enum { MOST = 1 << 26 }; /* more values than any study of ours; larger is damage */

struct source {
    int id;
    const char *path;
    size_t cells, checkpoints, quantizers, tasks;
};

/* Numbers of a variable with these dimensions, _FillValue as NaN; allocated for the caller. */
static int read_shape(struct error *err, const struct source *source, const char *name, int rank,
                      const size_t *length, double **out)
{
    int status = STATUS_OK;
    size_t values = 1;
    int varid = -1;
    double fill = 0, *numbers = NULL;
    for (int i = 0; i < rank; i++) {
        values *= length[i];
    }
    numbers = malloc((values + 1) * sizeof *numbers);
    CHECK(err, numbers != NULL, STATUS_FAILED, "%s: out of memory for %s", source->path, name);
    if (values > 0) {
        TRY(netcdf_find(err, source->id, source->path, name, rank, length, &varid));
        NETCDF(err, source->path, name, nc_get_var_double(source->id, varid, numbers));
        if (nc_get_att_double(source->id, varid, "_FillValue", &fill) == NC_NOERR) {
            for (size_t i = 0; i < values; i++) {
                numbers[i] = numbers[i] == fill ? NAN : numbers[i];
            }
        }
    }
    *out = numbers;
    numbers = NULL;
cleanup:
    free(numbers);
    return status;
}

/* The same, `rank` of (cell, checkpoint, quantizer). */
static int read_numbers(struct error *err, const struct source *source, const char *name, int rank,
                        double **out)
{
    const size_t length[] = {source->cells, source->checkpoints, source->quantizers};
    return read_shape(err, source, name, rank, length, out);
}

/* Strings of a variable on a dimension of this length, cut to `size` bytes, one behind the other
 * at out + i·stride. */
static int read_texts(struct error *err, const struct source *source, const char *name,
                      size_t length, void *out, size_t stride, size_t size)
{
    int status = STATUS_OK;
    int varid = -1;
    char **texts = calloc(length + 1, sizeof *texts);
    CHECK(err, texts != NULL, STATUS_FAILED, "%s: out of memory for %s", source->path, name);
    if (length > 0) {
        TRY(netcdf_find(err, source->id, source->path, name, 1, &length, &varid));
        NETCDF(err, source->path, name, nc_get_var_string(source->id, varid, texts));
        for (size_t i = 0; i < length; i++) {
            snprintf((char *)out + i * stride, size, "%s", texts[i] == NULL ? "" : texts[i]);
        }
        nc_free_string(length, texts);
    }
cleanup:
    free(texts);
    return status;
}

/* What of its recipe a cell is told apart by. */
static int read_recipes(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    const struct {
        const char *name;
        size_t offset;
    } numbers[] = {
        {"learning_rate", offsetof(struct table_cell, learning_rate)},
        {"total_decay", offsetof(struct table_cell, total_decay)},
        {"weight_decay", offsetof(struct table_cell, weight_decay)},
        {"dropout", offsetof(struct table_cell, dropout)},
        {"grad_clip", offsetof(struct table_cell, grad_clip)},
    };
    double *values = NULL;
    char(*texts)[16] = calloc(2 * source->cells + 1, sizeof *texts);
    CHECK(err, texts != NULL, STATUS_FAILED, "%s: out of memory", source->path);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        TRY(read_numbers(err, source, numbers[i].name, 1, &values));
        for (size_t c = 0; c < source->cells; c++) {
            memcpy((char *)&table->cell[c] + numbers[i].offset, &values[c], sizeof values[c]);
        }
        free(values);
        values = NULL;
    }
    TRY(read_texts(err, source, "precision", source->cells, texts, sizeof *texts, sizeof *texts));
    TRY(read_texts(err, source, "schedule", source->cells, texts + source->cells, sizeof *texts,
                   sizeof *texts));
    for (size_t c = 0; c < source->cells; c++) {
        struct table_cell *cell = &table->cell[c];
        const char *precision = texts[c], *schedule = texts[source->cells + c];
        while (cell->precision <= PRECISION_FP16 &&
               strcmp(precision_name(cell->precision), precision) != 0) {
            cell->precision++;
        }
        while (cell->schedule <= SCHEDULE_CONSTANT &&
               strcmp(schedule_name(cell->schedule), schedule) != 0) {
            cell->schedule++;
        }
        CHECK(err, cell->precision <= PRECISION_FP16 && cell->schedule <= SCHEDULE_CONSTANT,
              STATUS_FAILED, "%s: cell %s has the unknown precision '%s' or schedule '%s'",
              source->path, cell->id, precision, schedule);
    }
cleanup:
    free(values);
    free(texts);
    return status;
}

static int read_cells(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    struct table_cell *cell = table->cell;
    double *base = NULL, *parameters = NULL, *tokens = NULL, *state = NULL;
    unsigned long long *seed = calloc(source->cells + 1, sizeof *seed);
    int varid = -1;
    CHECK(err, seed != NULL, STATUS_FAILED, "%s: out of memory", source->path);
    TRY(read_texts(err, source, "cell_id", source->cells, cell->id, sizeof *cell, sizeof cell->id));
    TRY(read_texts(err, source, "size", source->cells, cell->size, sizeof *cell,
                   sizeof cell->size));
    TRY(read_texts(err, source, "setting", source->cells, cell->setting, sizeof *cell,
                   sizeof cell->setting));
    TRY(read_numbers(err, source, "base", 1, &base));
    TRY(read_numbers(err, source, "parameters", 1, &parameters));
    TRY(read_numbers(err, source, "train_tokens", 1, &tokens));
    TRY(read_numbers(err, source, "status", 1, &state));
    TRY(read_recipes(err, source, table));
    TRY(netcdf_find(err, source->id, source->path, "seed", 1, &source->cells, &varid));
    NETCDF(err, source->path, "seed", nc_get_var_ulonglong(source->id, varid, seed));
    for (size_t i = 0; i < source->cells; i++) {
        CHECK(err, state[i] >= CELL_PENDING && state[i] <= CELL_QUARANTINED, STATUS_FAILED,
              "%s: cell %s has the unknown status %g", source->path, cell[i].id, state[i]);
        cell[i].status = (enum cell_status)state[i];
        cell[i].base = base[i] != 0;
        cell[i].seed = seed[i];
        cell[i].parameters = parameters[i];
        cell[i].tokens = tokens[i];
    }
cleanup:
    free(base);
    free(parameters);
    free(tokens);
    free(state);
    free(seed);
    return status;
}

static int read_measured(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    double *evaluate = NULL;
    const size_t checkpoints = source->checkpoints;
    int varid = -1;
    TRY(netcdf_find(err, source->id, source->path, "training_fraction", 1, &checkpoints, &varid));
    NETCDF(err, source->path, "training_fraction",
           nc_get_var_double(source->id, varid, table->training_fraction));
    TRY(read_texts(err, source, "quantizer", source->quantizers, table->quantizer,
                   sizeof *table->quantizer, sizeof *table->quantizer));
    TRY(read_texts(err, source, "isa", source->cells, table->isa, sizeof *table->isa,
                   sizeof *table->isa));
    TRY(read_numbers(err, source, "loss", 2, &table->loss));
    if (nc_inq_varid(source->id, "bits_per_byte", &varid) == NC_NOERR) {
        TRY(read_numbers(err, source, "bits_per_byte", 2, &table->bits_per_byte));
    }
    TRY(read_numbers(err, source, "kl", 3, &table->kl));
    TRY(read_numbers(err, source, "delta_loss", 3, &table->delta_loss));
    TRY(read_numbers(err, source, "relative_loss_increase", 3, &table->relative_loss_increase));
    TRY(read_numbers(err, source, "top1_agreement", 3, &table->top1_agreement));
    TRY(read_numbers(err, source, "unigram_entropy", 1, &table->unigram_entropy));
    TRY(read_numbers(err, source, "wall_time_train", 1, &table->wall_time));
    TRY(read_numbers(err, source, "wall_time_evaluate", 1, &evaluate));
    for (size_t i = 0; i < source->cells; i++) {
        table->wall_time[i] += evaluate[i];
    }
cleanup:
    free(evaluate);
    return status;
}

/* Mean of the logarithm over the values of one checkpoint; NaN if there is none, or one is not above 0. */
static double mean_log(const double *values, size_t count)
{
    double sum = 0;
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(values[i])) { /* shallower models have no deeper layers */
            sum += values[i] > 0 ? log(values[i]) : NAN;
            known++;
        }
    }
    return known > 0 ? sum / (double)known : NAN;
}

static int read_probes(struct error *err, const struct source *source, struct table *table)
{
    static const char *const names[TABLE_PROBES] = {"probe_weight_norm", "probe_gain_std",
                                                    "probe_input_std"};
    int status = STATUS_OK;
    double *values = NULL;
    int varid = -1;
    for (int p = 0; p < TABLE_PROBES; p++) {
        size_t length[] = {source->cells, source->checkpoints, 0,
                           p == TABLE_GAIN_STD ? RECORD_NORMS : RECORD_SITES};
        if (nc_inq_varid(source->id, names[p], &varid) != NC_NOERR) {
            continue;
        }
        TRY(netcdf_length(err, source->id, source->path, "layer", &length[2]));
        const size_t runs = source->cells * source->checkpoints, each = length[2] * length[3];
        CHECK(err, each > 0 && (runs == 0 || each <= MOST / runs), STATUS_FAILED,
              "%s: %zu layers are out of range", source->path, length[2]);
        TRY(read_shape(err, source, names[p], 4, length, &values));
        table->probe[p] = calloc(runs + 1, sizeof *table->probe[p]);
        CHECK(err, table->probe[p] != NULL, STATUS_FAILED, "%s: out of memory", source->path);
        for (size_t i = 0; i < runs; i++) {
            table->probe[p][i] = mean_log(values + i * each, each);
        }
        free(values);
        values = NULL;
    }
cleanup:
    free(values);
    return status;
}

static int read_traces(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    const size_t length[] = {source->cells, RECORD_TRACE};
    TRY(read_shape(err, source, "trace_step", 2, length, &table->trace_step));
    TRY(read_shape(err, source, "trace_loss", 2, length, &table->trace_loss));
cleanup:
    return status;
}

static int read_tasks(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    const size_t cells = source->cells, checkpoints = source->checkpoints, tasks = source->tasks;
    const size_t full[] = {cells, checkpoints, tasks}, cell[] = {cells, tasks};
    const size_t quantized[] = {cells, checkpoints, source->quantizers, tasks};
    const struct {
        const char *name;
        int rank;
        const size_t *length;
        double **out;
    } variables[] = {
        {"task_items", 1, &tasks, &table->task_items},
        {"task_chance", 2, cell, &table->task_chance},
        {"accuracy", 3, full, &table->accuracy},
        {"accuracy_se", 3, full, &table->accuracy_se},
        {"accuracy_norm", 3, full, &table->accuracy_norm},
        {"accuracy_norm_se", 3, full, &table->accuracy_norm_se},
        {"accuracy_drop", 4, quantized, &table->accuracy_drop},
        {"accuracy_drop_se", 4, quantized, &table->accuracy_drop_se},
        {"accuracy_drop_above_chance", 4, quantized, &table->accuracy_drop_above_chance},
        {"accuracy_drop_above_chance_se", 4, quantized, &table->accuracy_drop_above_chance_se},
        {"discordant_lost", 4, quantized, &table->discordant_lost},
        {"discordant_gained", 4, quantized, &table->discordant_gained},
    };
    table->task = calloc(tasks + 1, sizeof *table->task);
    CHECK(err, table->task != NULL, STATUS_FAILED, "%s: out of memory", source->path);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && tasks > 0; i++) {
        TRY(read_shape(err, source, variables[i].name, variables[i].rank, variables[i].length,
                       variables[i].out));
    }
    TRY(read_texts(err, source, "task", tasks, table->task, sizeof *table->task,
                   sizeof *table->task));
cleanup:
    return status;
}

/* The least, or the most, of "0.001, 0.002". */
static double extreme_of(const char *list, bool least)
{
    double found = 0;
    for (char *end = NULL; *list != '\0'; list = end + strspn(end, ", ")) {
        const double value = strtod(list, &end);
        if (end == list) {
            break;
        }
        found = found == 0 || (least ? value < found : value > found) ? value : found;
    }
    return found;
}

static int read_looks(struct error *err, const struct source *source, struct table_looks *looks)
{
    int status = STATUS_OK;
    char level[512], spent[512];
    const struct {
        const char *name;
        char *out;
        size_t size;
    } text[] = {
        {"looks_planned", looks->planned, sizeof looks->planned},
        {"looks_seeds", looks->seeds, sizeof looks->seeds},
        {"looks_decision", looks->decision, sizeof looks->decision},
        {"looks_undecided", looks->undecided, sizeof looks->undecided},
        {"looks_level", level, sizeof level},
        {"looks_spent", spent, sizeof spent},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(netcdf_get_text(err, source->id, source->path, text[i].name, false, text[i].out,
                            text[i].size));
    }
    looks->level = extreme_of(level, true);
    looks->spent = extreme_of(spent, false);
cleanup:
    return status;
}

static int read_globals(struct error *err, const struct source *source, struct table *table)
{
    int status = STATUS_OK;
    const struct {
        const char *name;
        char *out;
        size_t size;
    } text[] = {
        {"study_name", table->name, sizeof table->name},
        {"title", table->title, sizeof table->title},
        {"study_note", table->note, sizeof table->note},
        {"study_design", table->design, sizeof table->design},
        {"commit", table->commit, sizeof table->commit},
        {"version", table->version, sizeof table->version},
        {"date_created", table->date, sizeof table->date},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(netcdf_get_text(err, source->id, source->path, text[i].name, i == 0, text[i].out,
                            text[i].size));
    }
    TRY(read_looks(err, source, &table->looks));
cleanup:
    return status;
}

int table_read(struct error *err, const char *path, struct table **table)
{
    int status = STATUS_OK;
    bool open = false;
    struct source source = {.path = path};
    struct table *read = calloc(1, sizeof *read);
    CHECK(err, read != NULL, STATUS_FAILED, "%s: out of memory", path);
    TRY(netcdf_open(err, path, &source.id));
    open = true;
    TRY(read_globals(err, &source, read));
    TRY(netcdf_length(err, source.id, path, "cell", &source.cells));
    TRY(netcdf_length(err, source.id, path, "checkpoint", &source.checkpoints));
    int dimension = -1; /* a study may have no quantizers */
    if (nc_inq_dimid(source.id, "quantizer", &dimension) == NC_NOERR) {
        TRY(netcdf_length(err, source.id, path, "quantizer", &source.quantizers));
    }
    if (nc_inq_dimid(source.id, "task", &dimension) == NC_NOERR) {
        TRY(netcdf_length(err, source.id, path, "task", &source.tasks));
    }
    CHECK(err,
          source.cells <= MOST && source.tasks <= CELL_TASKS &&
              source.checkpoints <= CELL_CHECKPOINTS && source.quantizers <= CELL_QUANTIZERS,
          STATUS_FAILED,
          "%s: %zu cells, %zu checkpoints, %zu quantizers, %zu tasks are out of range", path,
          source.cells, source.checkpoints, source.quantizers, source.tasks);
    read->cells = (int)source.cells;
    read->checkpoints = (int)source.checkpoints;
    read->quantizers = (int)source.quantizers;
    read->tasks = (int)source.tasks;
    read->cell = calloc(source.cells + 1, sizeof *read->cell);
    read->quantizer = calloc(source.quantizers + 1, sizeof *read->quantizer);
    read->training_fraction = calloc(source.checkpoints + 1, sizeof *read->training_fraction);
    read->isa = calloc(source.cells + 1, sizeof *read->isa);
    CHECK(err,
          read->cell != NULL && read->quantizer != NULL && read->training_fraction != NULL &&
              read->isa != NULL,
          STATUS_FAILED, "%s: out of memory for %zu cells", path, source.cells);
    TRY(read_cells(err, &source, read));
    TRY(read_measured(err, &source, read));
    TRY(read_probes(err, &source, read));
    TRY(read_traces(err, &source, read));
    TRY(read_tasks(err, &source, read));
    TRY(table_read_facts(err, source.id, path, read));
    *table = read;
    read = NULL;
cleanup:
    if (open) {
        nc_close(source.id);
    }
    table_free(read);
    return status;
}

void table_free(struct table *table)
{
    if (table == NULL) {
        return;
    }
    free(table->cell);
    free(table->quantizer);
    free(table->training_fraction);
    free(table->loss);
    free(table->bits_per_byte);
    free(table->kl);
    free(table->delta_loss);
    free(table->relative_loss_increase);
    free(table->top1_agreement);
    double *const numbers[] = {table->task_items,
                               table->task_chance,
                               table->accuracy,
                               table->accuracy_se,
                               table->accuracy_norm,
                               table->accuracy_norm_se,
                               table->accuracy_drop,
                               table->accuracy_drop_se,
                               table->accuracy_drop_above_chance,
                               table->accuracy_drop_above_chance_se,
                               table->discordant_lost,
                               table->discordant_gained};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        free(numbers[i]);
    }
    free(table->task);
    for (int p = 0; p < TABLE_PROBES; p++) {
        free(table->probe[p]);
    }
    free(table->trace_step);
    free(table->trace_loss);
    free(table->unigram_entropy);
    free(table->wall_time);
    free(table->isa);
    for (int f = 0; f < TABLE_FACTS; f++) {
        free(table->fact[f]);
    }
    free(table);
}

const char *table_probe_name(enum table_probe probe)
{
    static const char *const names[TABLE_PROBES] = {"weight spectral norm", "LayerNorm gain spread",
                                                    "activation spread"};
    return names[probe];
}

double table_seconds(const struct table *table)
{
    double seconds = 0;
    for (int i = 0; table->wall_time != NULL && i < table->cells; i++) {
        seconds += isfinite(table->wall_time[i]) ? table->wall_time[i] : 0;
    }
    return seconds;
}

const char *table_commits(const struct table *table)
{
    const char *cells = table->fact[TABLE_COMMITS];
    if (cells != NULL && cells[0] != '\0') {
        return cells;
    }
    return table->commit[0] != '\0' ? table->commit : "unknown";
}

void table_instruction_sets(const struct table *table, char text[TABLE_SETS])
{
    text[0] = '\0';
    for (int i = 0; table->isa != NULL && i < table->cells; i++) {
        bool seen = table->cell[i].status != CELL_DONE || table->isa[i][0] == '\0';
        for (int k = 0; k < i && !seen; k++) {
            seen = table->cell[k].status == CELL_DONE && strcmp(table->isa[k], table->isa[i]) == 0;
        }
        if (!seen) {
            size_t used = strlen(text);
            snprintf(text + used, TABLE_SETS - used, "%s%s", used == 0 ? "" : ", ", table->isa[i]);
        }
    }
}
