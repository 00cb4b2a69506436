#include "results/effects.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_fit.h>

#include "results/sample.h"

/* ── Grouping ── */

static int check_shape(struct error *err, const struct table *table)
{
    int status = STATUS_OK;
    CHECK(err, table != NULL, STATUS_FAILED, "there is no table to analyse");
    CHECK(err, table->cells > 0 && table->cell != NULL, STATUS_FAILED, "%s: the table has no cells",
          table->name);
    CHECK(err, table->checkpoints > 0 && table->training_fraction != NULL, STATUS_FAILED,
          "%s: the table has no checkpoints", table->name);
    CHECK(err, table->quantizers > 0 && table->quantizer != NULL, STATUS_FAILED,
          "%s: the table has no quantizers", table->name);
    CHECK(err, table->loss != NULL && table->kl != NULL && table->delta_loss != NULL, STATUS_FAILED,
          "%s: the table lacks loss, kl or delta_loss", table->name);
cleanup:
    return status;
}

static int check_values(struct error *err, const struct table *table)
{
    int status = STATUS_OK;
    for (int k = 0; k < table->checkpoints; k++) {
        double fraction = table->training_fraction[k];
        double before = k == 0 ? 0 : table->training_fraction[k - 1];
        CHECK(err, fraction > before && fraction <= 1, STATUS_FAILED,
              "%s: training_fraction[%d] is %g; fractions must ascend within (0, 1]", table->name,
              k, fraction);
    }
    for (int i = 0; i < table->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        CHECK(err, isfinite(cell->parameters) && cell->parameters > 0, STATUS_FAILED,
              "%s: cell %d (%s) has %g parameters; a positive number is needed", table->name, i,
              cell->id, cell->parameters);
        CHECK(err, cell->status >= CELL_PENDING && cell->status <= CELL_QUARANTINED, STATUS_FAILED,
              "%s: cell %d (%s) has the unknown status %d", table->name, i, cell->id,
              (int)cell->status);
    }
cleanup:
    return status;
}

static bool same_size(const struct table_cell *cell, const struct effects_size *size)
{
    return cell->parameters == size->parameters && strcmp(cell->size, size->name) == 0;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct effects_size *x = a;
    const struct effects_size *y = b;
    int parameters = (x->parameters > y->parameters) - (x->parameters < y->parameters);
    return parameters != 0 ? parameters : strcmp(x->name, y->name);
}

static int find_size(const struct effects *effects, const struct table_cell *cell)
{
    for (int s = 0; s < effects->sizes; s++) {
        if (same_size(cell, &effects->size[s])) {
            return s;
        }
    }
    return -1;
}

static int find_setting(const struct effects *effects, const struct table_cell *cell)
{
    if (cell->base) {
        return effects->base;
    }
    for (int s = effects->base + 1; s < effects->settings; s++) {
        if (strcmp(cell->setting, effects->setting[s].label) == 0) {
            return s;
        }
    }
    return -1;
}

/* Sizes and settings, each in its order. */
static void list_levels(struct effects *effects)
{
    const struct table *table = effects->table;
    effects->base = -1;
    for (int i = 0; i < table->cells && effects->base < 0; i++) {
        if (table->cell[i].base) {
            effects->base = 0;
            effects->settings = 1;
            memcpy(effects->setting[0].label, table->cell[i].setting, CELL_LABEL);
        }
    }
    for (int i = 0; i < table->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        if (find_size(effects, cell) < 0) {
            struct effects_size *size = &effects->size[effects->sizes++];
            memcpy(size->name, cell->size, CELL_NAME);
            size->parameters = cell->parameters;
        }
        if (find_setting(effects, cell) < 0) {
            memcpy(effects->setting[effects->settings++].label, cell->setting, CELL_LABEL);
        }
    }
    qsort(effects->size, (size_t)effects->sizes, sizeof *effects->size, compare_sizes);
    for (int i = 0; i < table->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        effects->size_of[i] = find_size(effects, cell);
        effects->setting_of[i] = find_setting(effects, cell);
        struct effects_setting *setting = &effects->setting[effects->setting_of[i]];
        setting->cells[cell->status]++;
        setting->total++;
    }
}

static int compare_cells(const void *a, const void *b, void *context)
{
    const struct effects *effects = context;
    int i = *(const int *)a;
    int k = *(const int *)b;
    if (effects->setting_of[i] != effects->setting_of[k]) {
        return effects->setting_of[i] - effects->setting_of[k];
    }
    if (effects->size_of[i] != effects->size_of[k]) {
        return effects->size_of[i] - effects->size_of[k];
    }
    uint64_t x = effects->table->cell[i].seed;
    uint64_t y = effects->table->cell[k].seed;
    return x != y ? (x > y) - (x < y) : i - k;
}

/* The base's cell of the size and seed of `cell`, by bisection of the base's part of `order`. */
static int find_base(const struct effects *effects, int cell)
{
    if (effects->base < 0) {
        return -1;
    }
    const struct table_cell *all = effects->table->cell;
    int low = effects->start[effects->base];
    int high = effects->start[effects->base + 1];
    while (low < high) {
        int middle = low + (high - low) / 2;
        int base = effects->order[middle];
        int size = effects->size_of[base] - effects->size_of[cell];
        if (size == 0 && all[base].seed == all[cell].seed) {
            return base;
        }
        if (size < 0 || (size == 0 && all[base].seed < all[cell].seed)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

static int check_duplicates(struct error *err, const struct effects *effects)
{
    int status = STATUS_OK;
    for (int k = 1; k < effects->table->cells; k++) {
        int i = effects->order[k - 1];
        int j = effects->order[k];
        CHECK(err,
              effects->setting_of[i] != effects->setting_of[j] ||
                  effects->size_of[i] != effects->size_of[j] ||
                  effects->table->cell[i].seed != effects->table->cell[j].seed,
              STATUS_FAILED, "%s: size %s, setting %s, seed %llu stands there twice (cells %s, %s)",
              effects->table->name, effects->table->cell[i].size, effects->table->cell[i].setting,
              (unsigned long long)effects->table->cell[i].seed, effects->table->cell[i].id,
              effects->table->cell[j].id);
    }
cleanup:
    return status;
}

int effects_open(struct error *err, const struct table *table, struct effects **effects)
{
    int status = STATUS_OK;
    struct effects *made = NULL;
    *effects = NULL;
    TRY(check_shape(err, table));
    TRY(check_values(err, table));
    size_t cells = (size_t)table->cells;
    made = calloc(1, sizeof *made);
    CHECK(err, made != NULL, STATUS_FAILED, "out of memory for the analysis");
    made->table = table;
    made->size = calloc(cells, sizeof *made->size);
    made->setting = calloc(cells + 1, sizeof *made->setting);
    made->size_of = calloc(cells, sizeof *made->size_of);
    made->setting_of = calloc(cells, sizeof *made->setting_of);
    made->base_of = calloc(cells, sizeof *made->base_of);
    made->order = calloc(cells, sizeof *made->order);
    made->start = calloc(cells + 2, sizeof *made->start);
    made->scratch = calloc(2 * cells, sizeof *made->scratch);
    CHECK(err,
          made->size != NULL && made->setting != NULL && made->size_of != NULL &&
              made->setting_of != NULL && made->base_of != NULL && made->order != NULL &&
              made->start != NULL && made->scratch != NULL,
          STATUS_FAILED, "out of memory for the analysis of %d cells", table->cells);
    list_levels(made);
    for (int i = 0; i < table->cells; i++) {
        made->order[i] = i;
    }
    qsort_r(made->order, cells, sizeof *made->order, compare_cells, made);
    for (int s = 0; s < made->settings; s++) {
        made->start[s + 1] = made->start[s] + made->setting[s].total;
    }
    TRY(check_duplicates(err, made));
    for (int i = 0; i < table->cells; i++) {
        made->base_of[i] = find_base(made, i);
    }
    *effects = made;
    made = NULL;
cleanup:
    effects_free(made);
    return status;
}

void effects_free(struct effects *effects)
{
    if (effects == NULL) {
        return;
    }
    free(effects->size);
    free(effects->setting);
    free(effects->size_of);
    free(effects->setting_of);
    free(effects->base_of);
    free(effects->order);
    free(effects->start);
    free(effects->scratch);
    free(effects);
}

int effects_count(const struct effects *effects, enum cell_status status)
{
    int count = 0;
    for (int s = 0; s < effects->settings; s++) {
        count += effects->setting[s].cells[status];
    }
    return count;
}

/* ── Statistics ── */

enum validity { VALUE_FINITE, VALUE_UNFINISHED, VALUE_UNMEASURED, VALUE_UNDEFINED };

static enum validity value_of(const struct effects *effects, int cell, enum response response,
                              int quantizer, int checkpoint, double *value)
{
    const struct table *table = effects->table;
    *value = NAN;
    if (cell < 0 || table->cell[cell].status != CELL_DONE) {
        return VALUE_UNFINISHED;
    }
    size_t run = (size_t)cell * (size_t)table->checkpoints + (size_t)checkpoint;
    size_t quantized = run * (size_t)table->quantizers + (size_t)quantizer;
    const double *all = response == RESPONSE_LOSS         ? table->loss
                        : response == RESPONSE_DELTA_LOSS ? table->delta_loss
                        : response == RESPONSE_RELATIVE_LOSS_INCREASE
                            ? table->relative_loss_increase
                        : response == RESPONSE_TOP1_AGREEMENT ? table->top1_agreement
                                                              : table->kl;
    double raw = all == NULL ? NAN : all[response == RESPONSE_LOSS ? run : quantized];
    if (!isfinite(raw)) {
        return VALUE_UNMEASURED;
    }
    if (response == RESPONSE_LOG_KL && raw <= 0) {
        return VALUE_UNDEFINED;
    }
    *value = response == RESPONSE_LOG_KL ? log(raw) : raw;
    return VALUE_FINITE;
}

double effects_value(const struct effects *effects, int cell, enum response response, int quantizer,
                     int checkpoint)
{
    double value;
    value_of(effects, cell, response, quantizer, checkpoint, &value);
    return value;
}

void effects_values(const struct effects *effects, enum response response, int quantizer,
                    int checkpoint, double *out)
{
    for (int i = 0; i < effects->table->cells; i++) {
        out[i] = effects_value(effects, i, response, quantizer, checkpoint);
    }
}

static struct interval interval_of(double estimate, double se, int df)
{
    double half = df > 0 ? gsl_cdf_tdist_Pinv(0.975, df) * se : NAN;
    return (struct interval){estimate, estimate - half, estimate + half, df > 0 ? df : 0};
}

/* Sums over sizes for effects_of. */
struct pooled {
    double means, inverses, squares; /* Σ d̄_s, Σ 1/n_s, ΣΣ(d − d̄_s)² */
    int df;
};

static void pool_size(struct effect *effect, struct pooled *pooled, const struct sample *sample)
{
    if (sample->n == 0) {
        return;
    }
    pooled->means += sample->mean;
    pooled->inverses += 1.0 / sample->n;
    pooled->squares += sample->squares;
    pooled->df += sample->n - 1;
    effect->least = effect->sizes == 0 || sample->n < effect->least ? sample->n : effect->least;
    effect->most = sample->n > effect->most ? sample->n : effect->most;
    effect->sizes++;
    effect->pairs += sample->n;
}

struct effect effects_of(const struct effects *effects, int setting, enum response response,
                         int quantizer, int checkpoint, int size)
{
    struct effect effect = {.interval = {NAN, NAN, NAN, 0}};
    struct pooled pooled = {0};
    struct sample sample = {0};
    int current = -1;
    for (int k = effects->start[setting]; k < effects->start[setting + 1]; k++) {
        int cell = effects->order[k];
        if (size != EFFECTS_ALL_SIZES && effects->size_of[cell] != size) {
            continue;
        }
        if (effects->size_of[cell] != current) {
            pool_size(&effect, &pooled, &sample);
            sample = (struct sample){0};
            current = effects->size_of[cell];
        }
        double treated;
        double control;
        enum validity one = value_of(effects, cell, response, quantizer, checkpoint, &treated);
        enum validity two =
            value_of(effects, effects->base_of[cell], response, quantizer, checkpoint, &control);
        if (one == VALUE_UNFINISHED || two == VALUE_UNFINISHED) {
            effect.unfinished++;
        } else if (one == VALUE_UNMEASURED || two == VALUE_UNMEASURED) {
            effect.unmeasured++;
        } else if (one == VALUE_UNDEFINED || two == VALUE_UNDEFINED) {
            effect.undefined++;
        } else {
            sample_add(&sample, treated - control);
        }
    }
    pool_size(&effect, &pooled, &sample);
    if (effect.sizes > 0) {
        double variance = pooled.df > 0 ? pooled.squares / pooled.df : NAN;
        effect.interval = interval_of(pooled.means / effect.sizes,
                                      sqrt(variance * pooled.inverses) / effect.sizes, pooled.df);
    }
    return effect;
}

struct slope effects_slope(const struct effects *effects, enum response response, int quantizer,
                           int checkpoint)
{
    struct slope slope = {.interval = {NAN, NAN, NAN, 0}};
    if (effects->base < 0) {
        return slope;
    }
    int from = effects->start[effects->base];
    int to = effects->start[effects->base + 1];
    double *x = effects->scratch;
    double *y = effects->scratch + effects->table->cells;
    int size = -1;
    for (int k = from; k < to; k++) {
        int cell = effects->order[k];
        double value;
        enum validity validity = value_of(effects, cell, response, quantizer, checkpoint, &value);
        slope.undefined += validity == VALUE_UNDEFINED;
        if (validity == VALUE_FINITE) {
            x[slope.cells] = log10(effects->table->cell[cell].parameters);
            y[slope.cells++] = value;
            slope.sizes += effects->size_of[cell] != size;
            size = effects->size_of[cell];
        }
    }
    /* sizes of equal parameters give no slope: order ascends, so the ends tell */
    if (slope.cells >= 2 && x[slope.cells - 1] > x[0]) {
        double intercept, gradient, cov00, cov01, cov11, squares;
        gsl_fit_linear(x, 1, y, 1, (size_t)slope.cells, &intercept, &gradient, &cov00, &cov01,
                       &cov11, &squares);
        int df = slope.cells - 2;
        slope.interval = interval_of(gradient, df > 0 ? sqrt(cov11) : NAN, df);
    }
    return slope;
}

struct mean effects_mean(const struct effects *effects, int setting, int size,
                         enum response response, int quantizer, int checkpoint)
{
    struct mean mean = {.mean = NAN, .sd = NAN};
    struct sample sample = {0};
    for (int k = effects->start[setting]; k < effects->start[setting + 1]; k++) {
        int cell = effects->order[k];
        if (effects->size_of[cell] != size) {
            continue;
        }
        double value;
        enum validity validity = value_of(effects, cell, response, quantizer, checkpoint, &value);
        mean.undefined += validity == VALUE_UNDEFINED;
        if (validity == VALUE_FINITE) {
            sample_add(&sample, value);
        }
    }
    mean.cells = sample.n;
    if (sample.n > 0) {
        mean.mean = sample.mean;
        mean.sd = sample.n > 1 ? sqrt(sample.squares / (sample.n - 1)) : NAN;
    }
    return mean;
}

struct interval effects_level(const struct effects *effects, int setting, enum response response,
                              int quantizer, int checkpoint, int *cells)
{
    double means = 0, squares = 0, inverses = 0;
    int sizes = 0, df = 0;
    *cells = 0;
    for (int s = 0; s < effects->sizes; s++) {
        struct mean mean = effects_mean(effects, setting, s, response, quantizer, checkpoint);
        if (mean.cells > 0) {
            means += mean.mean;
            squares += mean.cells > 1 ? (mean.cells - 1) * mean.sd * mean.sd : 0;
            inverses += 1.0 / mean.cells;
            df += mean.cells - 1;
            *cells += mean.cells;
            sizes++;
        }
    }
    if (sizes == 0) {
        return (struct interval){NAN, NAN, NAN, 0};
    }
    double variance = df > 0 ? squares / df : NAN;
    return interval_of(means / sizes, sqrt(variance * inverses) / sizes, df);
}

double interval_detectable(const struct interval *interval)
{
    return (interval->high - interval->low) / 2;
}

int interval_sign(const struct interval *interval)
{
    return (interval->low > 0) - (interval->high < 0);
}
