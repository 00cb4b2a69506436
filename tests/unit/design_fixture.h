/* Recipes for the settings of a fixture table (tests/unit/table_fixture.h). */
#ifndef TESTS_UNIT_DESIGN_FIXTURE_H
#define TESTS_UNIT_DESIGN_FIXTURE_H

#include "results/design.h"
#include "tests/unit/table_fixture.h"

/* The base: Λ 0.5, no dropout, clip 1, bf16, rate 0.01/(1 + size), cosine, 2 M tokens. NaN or −1: the base's. */
struct fixture_recipe {
    double total_decay, dropout, grad_clip, rate_factor, tokens;
    int precision, schedule;
};

#define FIXTURE_BASE                                                                               \
    {                                                                                              \
        NAN, NAN, NAN, NAN, NAN, -1, -1                                                            \
    }

static inline double fixture_or(double value, double other)
{
    return isnan(value) ? other : value;
}

/* Write a cell's recipe at a size; λ is what gives Λ at the run's rate and length. */
static inline void fixture_recipe_cell(struct table_cell *cell, int size,
                                       struct fixture_recipe recipe)
{
    cell->total_decay = fixture_or(recipe.total_decay, 0.5);
    cell->dropout = fixture_or(recipe.dropout, 0);
    cell->grad_clip = fixture_or(recipe.grad_clip, 1);
    cell->learning_rate = 0.01 / (1 + size) * fixture_or(recipe.rate_factor, 1);
    cell->tokens = fixture_or(recipe.tokens, 2e6);
    cell->precision = recipe.precision < 0 ? PRECISION_BF16 : (enum precision)recipe.precision;
    cell->schedule = recipe.schedule < 0 ? SCHEDULE_COSINE : (enum schedule)recipe.schedule;
    double mean_rate = cell->schedule == SCHEDULE_COSINE ? 0.5 : 1;
    cell->weight_decay =
        cell->total_decay / (cell->learning_rate * mean_rate * cell->tokens / 2048);
}

/* Into all cells of a setting. */
static inline void fixture_recipe(struct table *table, int sizes, int settings, int seeds,
                                  int setting, struct fixture_recipe recipe)
{
    for (int size = 0; size < sizes; size++) {
        for (int k = 0; k < seeds; k++) {
            fixture_recipe_cell(&table->cell[(size * settings + setting) * seeds + k], size,
                                recipe);
        }
    }
}

/* The recipe with the alternative level of each factor whose bit is set: Λ 0.005, dropout 0.1, no clip, fp16, rate/3. */
static inline struct fixture_recipe fixture_levels(unsigned bits)
{
    struct fixture_recipe recipe = FIXTURE_BASE;
    recipe.total_decay = bits & 1 ? 0.005 : NAN;
    recipe.dropout = bits & 2 ? 0.1 : NAN;
    recipe.grad_clip = bits & 4 ? 0 : NAN;
    recipe.precision = bits & 8 ? PRECISION_FP16 : -1;
    recipe.rate_factor = bits & 16 ? 0.3333 : NAN;
    return recipe;
}

/* The half fraction 2^(5−1) and `more` settings that the caller fills, from setting 16 on. */
static inline struct table *fixture_half_fraction(int sizes, int seeds, int more)
{
    int settings = 16 + more, setting = 0;
    struct table *table = fixture_table(sizes, settings, seeds, 1, 1);
    for (unsigned bits = 0; bits < 32; bits++) {
        if (__builtin_popcount(bits) % 2 == 0) {
            fixture_recipe(table, sizes, settings, seeds, setting++, fixture_levels(bits));
        }
    }
    for (; setting < settings; setting++) {
        fixture_recipe(table, sizes, settings, seeds, setting, fixture_levels(0));
    }
    return table;
}

/* The half fraction, dropout 0.4 (setting 16) and a ladder of half and twice the tokens (17, 18), on which log KL falls by 2 per nat. The
 * rate's settings lie on it; those with dropout 0.3 below it. At the second size, dropout 0.4 has a loss beyond it. Then `more` settings
 * that are the base so far. */
static inline struct table *fixture_equal_loss(int sizes, int seeds, int more)
{
    enum { DROPOUT = 16, HALF, TWICE, OWN };
    const int settings = OWN + more;
    struct table *table = fixture_half_fraction(sizes, seeds, settings - 16);
    struct fixture_recipe dropout = FIXTURE_BASE, half = FIXTURE_BASE, twice = FIXTURE_BASE;
    dropout.dropout = 0.4;
    half.tokens = 1e6;
    twice.tokens = 4e6;
    fixture_recipe(table, sizes, settings, seeds, DROPOUT, dropout);
    fixture_recipe(table, sizes, settings, seeds, HALF, half);
    fixture_recipe(table, sizes, settings, seeds, TWICE, twice);
    for (int i = 0; i < table->cells; i++) {
        const struct table_cell *cell = &table->cell[i];
        const int size = i / seeds / settings;
        const bool low = cell->learning_rate < 0.009 / (1 + size);
        const double loss = 2 - 0.5 * log2(cell->tokens / 2e6) + (low ? 0.1 : 0) +
                            (cell->dropout == 0.4 ? 0.3 + 0.3 * size : 0) + 0.02 * sin(12.3 * i);
        const double own = cell->dropout > 0 ? -0.3 : 0;
        fixture_set(table, i, 0, 0, loss, exp(-9 - 2 * (loss - 2) + own),
                    1e-4 * (1 + cell->dropout));
    }
    return table;
}

/* Take a cell out of the table (as if its setting had not been planned there). Indices behind it move. */
static inline void fixture_remove(struct table *table, int cell)
{
    memmove(&table->cell[cell], &table->cell[cell + 1],
            (size_t)(table->cells - cell - 1) * sizeof *table->cell);
    table->cells--;
}

/* Keep only the size `size` of a setting. */
static inline void fixture_only_size(struct table *table, int setting, const char *size)
{
    char label[CELL_LABEL];
    snprintf(label, sizeof label, "setting=%d", setting);
    for (int i = table->cells - 1; i >= 0; i--) {
        if (strcmp(table->cell[i].setting, label) == 0 && strcmp(table->cell[i].size, size) != 0) {
            fixture_remove(table, i);
        }
    }
}

#endif
