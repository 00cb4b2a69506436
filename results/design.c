#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "results/design_parts.h"

bool design_differ(double a, double b)
{
    return fabs(a - b) > 1e-9 * fmax(fabs(a), fabs(b));
}

/* ── Blocks ── */

static int compare_seeds(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t cell_at(const struct design *design, int setting, int size, int seed)
{
    size_t block = (size_t)size * (size_t)design->seeds + (size_t)seed;
    return (size_t)setting * (size_t)design->effects->sizes * (size_t)design->seeds + block;
}

static int find_blocks(struct error *err, struct design *design)
{
    int status = STATUS_OK;
    const struct effects *effects = design->effects;
    const struct table *table = effects->table;
    design->seed = calloc((size_t)table->cells, sizeof *design->seed);
    CHECK(err, design->seed != NULL, STATUS_FAILED, "out of memory for the design");
    for (int i = 0; i < table->cells; i++) {
        design->seed[i] = table->cell[i].seed;
    }
    qsort(design->seed, (size_t)table->cells, sizeof *design->seed, compare_seeds);
    for (int i = 0; i < table->cells; i++) {
        if (i == 0 || design->seed[i] != design->seed[design->seeds - 1]) {
            design->seed[design->seeds++] = design->seed[i];
        }
    }
    size_t places = cell_at(design, effects->settings, 0, 0);
    design->cell = malloc(places * sizeof *design->cell);
    CHECK(err, design->cell != NULL, STATUS_FAILED, "out of memory for the design");
    for (size_t i = 0; i < places; i++) {
        design->cell[i] = -1;
    }
    for (int i = 0; i < table->cells; i++) {
        const uint64_t *seed = bsearch(&table->cell[i].seed, design->seed, (size_t)design->seeds,
                                       sizeof *design->seed, compare_seeds);
        design->cell[cell_at(design, effects->setting_of[i], effects->size_of[i],
                             (int)(seed - design->seed))] = i;
    }
cleanup:
    return status;
}

int design_cell(const struct design *design, int setting, int size, int seed)
{
    return design->cell[cell_at(design, setting, size, seed)];
}

/* Any cell of the setting at the size; −1: none. */
int design_any_cell(const struct design *design, int setting, int size)
{
    for (int k = 0; k < design->seeds; k++) {
        int cell = design_cell(design, setting, size, k);
        if (cell >= 0) {
            return cell;
        }
    }
    return -1;
}

/* ── Recipes ── */

/* Which decay the study holds when a run's rate, schedule or length changes: λ, if such runs have the base's λ and not
 * its Λ. */
static bool holds_weight_decay(const struct design *design)
{
    const struct effects *effects = design->effects;
    int total = 0, weight = 0;
    for (int i = 0; i < effects->table->cells; i++) {
        int at = design_any_cell(design, effects->base, effects->size_of[i]);
        if (at >= 0) {
            const struct table_cell *cell = &effects->table->cell[i];
            const struct table_cell *base = &effects->table->cell[at];
            bool same_total = !design_differ(cell->total_decay, base->total_decay);
            bool same_weight = !design_differ(cell->weight_decay, base->weight_decay);
            total += same_total && !same_weight;
            weight += same_weight && !same_total;
        }
    }
    return weight > total;
}

/* The recipe of one cell against the base's cell of its size (`base`; NULL: the base has none there). `reference` is any of
 * the base. */
static struct design_setting recipe_of(const struct table_cell *cell, const struct table_cell *base,
                                       const struct table_cell *reference, bool by_weight)
{
    const struct table_cell *other = base != NULL ? base : reference;
    /* the other one follows the rate, and may meet the base's by chance */
    bool decay = by_weight ? design_differ(cell->weight_decay, other->weight_decay)
                           : design_differ(cell->total_decay, other->total_decay);
    double total = by_weight && other->weight_decay > 0
                       ? reference->total_decay * (cell->weight_decay / other->weight_decay)
                       : cell->total_decay;
    struct design_setting setting = {
        .value =
            {
                [RECIPE_DECAY] = decay ? total : reference->total_decay,
                [RECIPE_DROPOUT] = cell->dropout,
                [RECIPE_CLIP] = cell->grad_clip,
                [RECIPE_PRECISION] = (double)cell->precision,
                [RECIPE_RATE] = base == NULL ? NAN : cell->learning_rate / base->learning_rate,
                [RECIPE_SCHEDULE] = (double)cell->schedule,
                [RECIPE_TOKENS] = cell->tokens,
            },
    };
    bool changed[RECIPES] = {
        [RECIPE_DECAY] = decay,
        [RECIPE_DROPOUT] = design_differ(cell->dropout, other->dropout),
        [RECIPE_CLIP] = design_differ(cell->grad_clip, other->grad_clip),
        [RECIPE_PRECISION] = cell->precision != other->precision,
        [RECIPE_RATE] = base != NULL && design_differ(cell->learning_rate, base->learning_rate),
        [RECIPE_SCHEDULE] = cell->schedule != other->schedule,
        [RECIPE_TOKENS] = base != NULL && design_differ(cell->tokens, base->tokens),
    };
    for (unsigned r = 0; r < RECIPES; r++) {
        setting.changed |= changed[r] ? 1u << r : 0;
    }
    return setting;
}

static void read_recipe(struct design *design, int s, bool by_weight)
{
    const struct effects *effects = design->effects;
    const struct table_cell *cells = effects->table->cell;
    struct design_setting *setting = &design->setting[s];
    int base_setting = effects->base < 0 ? s : effects->base;
    const struct table_cell *reference =
        &cells[effects->order[effects->start[base_setting]]]; /* a setting has a cell */
    bool first = true;
    for (int size = 0; size < effects->sizes; size++) {
        int cell = design_any_cell(design, s, size);
        if (cell < 0) {
            continue;
        }
        int base = design_any_cell(design, base_setting, size);
        struct design_setting here =
            recipe_of(&cells[cell], base < 0 ? NULL : &cells[base], reference, by_weight);
        setting->changed |= here.changed;
        for (int r = 0; r < RECIPES; r++) {
            bool same = first || !design_differ(here.value[r], setting->value[r]);
            setting->value[r] = same ? here.value[r] : NAN;
        }
        first = false;
    }
}

/* ── The whole ── */

int design_open(struct error *err, const struct effects *effects, struct design **design)
{
    int status = STATUS_OK;
    struct design *made = calloc(1, sizeof *made);
    *design = NULL;
    CHECK(err, made != NULL, STATUS_FAILED, "out of memory for the design");
    made->effects = effects;
    made->setting = calloc((size_t)effects->settings, sizeof *made->setting);
    CHECK(err, made->setting != NULL, STATUS_FAILED, "out of memory for the design");
    TRY(find_blocks(err, made));
    bool by_weight = effects->base >= 0 && holds_weight_decay(made);
    for (int s = 0; s < effects->settings; s++) {
        read_recipe(made, s, by_weight);
    }
    if (effects->base >= 0) {
        TRY(design_find_fraction(err, made));
    }
    TRY(design_find_ladder(err, made));
    *design = made;
    made = NULL;
cleanup:
    design_free(made);
    return status;
}

void design_free(struct design *design)
{
    if (design == NULL) {
        return;
    }
    free(design->setting);
    free(design->seed);
    free(design->cell);
    free(design->ladder.setting);
    free(design->ladder.diagonal);
    free(design);
}

const char *recipe_name(enum recipe recipe)
{
    static const char *const names[RECIPES] = {"total decay",   "dropout",  "clip",  "precision",
                                               "learning rate", "schedule", "tokens"};
    return names[recipe];
}

void recipe_level(enum recipe recipe, double value, char text[32])
{
    if (isnan(value)) {
        snprintf(text, 32, "by size");
    } else if (recipe == RECIPE_CLIP && value == 0) {
        snprintf(text, 32, "none");
    } else if (recipe == RECIPE_PRECISION) {
        snprintf(text, 32, "%s", precision_name((enum precision)value));
    } else if (recipe == RECIPE_SCHEDULE) {
        snprintf(text, 32, "%s", schedule_name((enum schedule)value));
    } else if (recipe == RECIPE_RATE) {
        snprintf(text, 32, "%.3g η*", value);
    } else if (recipe == RECIPE_TOKENS && value >= 1000) {
        bool millions = value >= 1e6;
        snprintf(text, 32, "%.3g %s", value / (millions ? 1e6 : 1e3), millions ? "M" : "k");
    } else {
        snprintf(text, 32, "%.4g", value);
    }
}

void recipe_contrast(enum recipe recipe, double level, double less, char text[96])
{
    char one[32], two[32];
    recipe_level(recipe, level, one);
    recipe_level(recipe, less, two);
    snprintf(text, 96, "%s %s − %s", recipe_name(recipe), one, two);
}
