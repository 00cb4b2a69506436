/*
 * The numbers of the analysis for data from outside, for tests/report/test_statistics.py.
 *
 *     statistics FILE
 *
 * FILE has a line per cell of a half fraction, `size seed levels y`: size from 0, of 10^(3 + size) parameters; levels, a bit
 * for each factor of fixture_levels; y, nan where it is missing. One line per number or row of numbers, with 17 digits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "results/contrast.h"
#include "results/early.h"
#include "results/holm.h"
#include "results/shares.h"
#include "tests/unit/design_fixture.h"

enum { MOST_CELLS = 4096, MOST_CONTRASTS = 32 };

struct data {
    struct table table;
    struct effects *effects;
    struct design *design;
    double *y;
};

/* ── Input ── */

static int read_cells(struct error *err, const char *path, struct data *data)
{
    int status = STATUS_OK;
    struct table *table = &data->table;
    int size;
    unsigned seed, levels;
    FILE *file = fopen(path, "r");
    CHECK(err, file != NULL, STATUS_USAGE, "%s cannot be opened", path);
    table->cell = calloc(MOST_CELLS, sizeof *table->cell);
    data->y = calloc(MOST_CELLS, sizeof *data->y);
    CHECK(err, table->cell != NULL && data->y != NULL, STATUS_FAILED, "out of memory");
    while (fscanf(file, "%d %u %u %lf", &size, &seed, &levels, &data->y[table->cells]) == 4) {
        struct table_cell *cell = &table->cell[table->cells++];
        CHECK(err, table->cells < MOST_CELLS, STATUS_USAGE, "%s: too many cells", path);
        fixture_recipe_cell(cell, size, fixture_levels(levels));
        snprintf(cell->size, sizeof cell->size, "size%d", size);
        snprintf(cell->setting, sizeof cell->setting, "setting=%u", levels);
        cell->base = levels == 0;
        cell->seed = seed;
        cell->parameters = pow(10, 3 + size);
        cell->status = CELL_DONE;
    }
    CHECK(err, feof(file), STATUS_USAGE, "%s: line %d is not `size seed levels y`", path,
          table->cells + 1);
cleanup:
    if (file != NULL) {
        fclose(file);
    }
    return status;
}

static int open_data(struct error *err, const char *path, struct data *data)
{
    static double fraction = 1, nothing[MOST_CELLS];
    static char quantizer[1][32] = {"none"};
    int status = STATUS_OK;
    struct table *table = &data->table;
    table->checkpoints = 1;
    table->quantizers = 1;
    table->training_fraction = &fraction;
    table->quantizer = quantizer;
    table->loss = table->kl = table->delta_loss = nothing;
    TRY(read_cells(err, path, data));
    TRY(effects_open(err, table, &data->effects));
    TRY(design_open(err, data->effects, &data->design));
    CHECK(err, data->design->has_fraction, STATUS_USAGE, "%s has no fraction", path);
cleanup:
    return status;
}

/* ── Output ── */

static int print_variance(struct error *err, const struct data *data)
{
    int status = STATUS_OK;
    struct anova anova;
    struct shares shares;
    TRY(anova_of(err, data->design, data->y, &anova));
    TRY(shares_of(err, &anova, 1000, &shares));
    for (int t = 0; t < anova.terms; t++) {
        const struct anova_term *term = &anova.term[t];
        printf("anova:%d:%d:%d %d %.17g %.17g %.17g\n", (int)term->kind, term->f, term->g, term->df,
               term->ss, term->F, term->p);
    }
    for (int k = 0; k < ANOVA_KINDS; k++) {
        const struct anova_term *kind = &anova.kind[k];
        printf("kind:%d %d %.17g %.17g %.17g\n", k, kind->df, kind->ss, kind->F, kind->p);
    }
    printf("data %d %d %.17g %.17g\n", anova.cells, anova.missing, anova.mean, anova.per_seed);
    for (int s = 0; s < SHARES; s++) {
        printf("share:%d %.17g %.17g\n", s, shares.variance[s], shares.share[s].estimate);
    }
    for (int f = 0; f < FRACTION_FACTORS; f++) {
        printf("of_factor:%d %.17g\n", f, shares.of_factor[f]);
    }
    printf("optimization_less_scale %.17g\n", shares.optimization_less_scale.estimate);
cleanup:
    return status;
}

struct listed {
    int count;
    char name[MOST_CONTRASTS][32];
    struct contrast contrast[MOST_CONTRASTS];
};

static void list(struct listed *listed, struct contrast contrast, const char *kind, int a, int b)
{
    snprintf(listed->name[listed->count], sizeof listed->name[0], "%s:%d:%d", kind, a, b);
    listed->contrast[listed->count++] = contrast;
}

static int print_contrasts(struct error *err, const struct data *data)
{
    int status = STATUS_OK;
    const struct design *design = data->design;
    const struct fraction *fraction = &design->fraction;
    const int all = EFFECTS_ALL_SIZES;
    int base[16] = {0};
    struct listed listed = {.count = 0};
    struct weights weights;
    double p[MOST_CONTRASTS], adjusted[MOST_CONTRASTS];
    for (int f = 0; f < fraction->factors; f++) {
        weights_main(&weights, fraction, f);
        list(&listed, contrast_of(design, data->y, &weights, all, 0.05), "main", f, -1);
        list(&listed, contrast_of(design, data->y, &weights, 0, 0.05 / 7), "first", f, -1);
        for (int g = f + 1; g < fraction->factors; g++) {
            weights_interaction(&weights, fraction, f, g);
            list(&listed, contrast_of(design, data->y, &weights, all, 0.05 / 7), "pair", f, g);
        }
    }
    weights_pair(&weights, fraction->setting[5], fraction->setting[0]);
    list(&listed, contrast_of(design, data->y, &weights, all, 0.05), "setting", 5, 0);
    list(&listed, contrast_slope(design, data->y, base, 0.05), "slope", 0, 0);
    for (int i = 0; i < listed.count; i++) {
        p[i] = listed.contrast[i].p;
    }
    TRY(holm_adjust(err, p, listed.count, adjusted));
    for (int i = 0; i < listed.count; i++) {
        const struct contrast *c = &listed.contrast[i];
        printf("contrast:%s %d %d %.17g %.17g %.17g %.17g %.17g %.17g %.17g\n", listed.name[i],
               c->interval.df, c->blocks, c->interval.estimate, c->interval.low, c->interval.high,
               c->se, c->t, c->p, adjusted[i]);
    }
cleanup:
    return status;
}

/* Of the settings' values between each two seeds of a size, as far as both are there; values rounded, so that there are ties. */
static void print_spearman(const struct data *data)
{
    const struct design *design = data->design;
    for (int b = 0; b < data->effects->sizes * design->seeds * design->seeds; b++) {
        int size = b / design->seeds / design->seeds;
        int k = b / design->seeds % design->seeds, l = b % design->seeds, n = 0;
        double x[FRACTION_SETTINGS], y[FRACTION_SETTINGS], scratch[2 * FRACTION_SETTINGS];
        for (int i = 0; i < design->fraction.settings && k < l; i++) {
            int from = design_cell(design, design->fraction.setting[i], size, k);
            int to = design_cell(design, design->fraction.setting[i], size, l);
            if (from >= 0 && to >= 0 && isfinite(data->y[from]) && isfinite(data->y[to])) {
                x[n] = nearbyint(4 * data->y[from]);
                y[n++] = nearbyint(4 * data->y[to]);
            }
        }
        if (n > 2) {
            printf("spearman:%d:%llu:%llu %.17g\n", size, (unsigned long long)design->seed[k],
                   (unsigned long long)design->seed[l], spearman(x, y, n, scratch));
        }
    }
}

int main(int argc, char **argv)
{
    int status = STATUS_OK;
    struct error err = {0};
    struct data data = {.y = NULL};
    CHECK(&err, argc == 2, STATUS_USAGE, "usage: statistics FILE");
    TRY(open_data(&err, argv[1], &data));
    TRY(print_variance(&err, &data));
    TRY(print_contrasts(&err, &data));
    print_spearman(&data);
cleanup:
    if (status != STATUS_OK) {
        fprintf(stderr, "statistics: %s\n", err.message);
    }
    design_free(data.design);
    effects_free(data.effects);
    free(data.table.cell);
    free(data.y);
    return status;
}
