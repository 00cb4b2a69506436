/* A `struct table` in memory for tests: a full grid of sizes × settings × seeds, all cells done. */
#ifndef TESTS_UNIT_TABLE_FIXTURE_H
#define TESTS_UNIT_TABLE_FIXTURE_H

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/table.h"

static inline double *fixture_values(size_t count)
{
    double *values = malloc(count * sizeof *values);
    assert(values != NULL);
    for (size_t i = 0; i < count; i++) {
        values[i] = NAN;
    }
    return values;
}

/* Cell (size, setting, seed) is at index (size·settings + setting)·seeds + seed; setting 0 is the base. Sizes have 10³,
 * 10⁴, … parameters; responses are NaN until the test sets them. Free with table_free. */
static inline struct table *fixture_table(int sizes, int settings, int seeds, int checkpoints,
                                          int quantizers)
{
    static const char *const names[] = {"w8a8", "w4", "w3", "w6a6"};
    struct table *table = calloc(1, sizeof *table);
    assert(table != NULL && quantizers <= 4);
    snprintf(table->name, sizeof table->name, "fixture");
    snprintf(table->title, sizeof table->title, "A study made for a test");
    snprintf(table->note, sizeof table->note, "Provisional: made for a test.");
    snprintf(table->design, sizeof table->design, "one_at_a_time");
    snprintf(table->commit, sizeof table->commit, "abc123");
    snprintf(table->version, sizeof table->version, "0.1.0");
    snprintf(table->date, sizeof table->date, "2024-11-24T06:00:00Z");
    int cells = sizes * settings * seeds;
    table->cells = cells;
    table->checkpoints = checkpoints;
    table->quantizers = quantizers;
    size_t runs = (size_t)cells * (size_t)checkpoints;
    table->cell = calloc((size_t)cells, sizeof *table->cell);
    table->quantizer = calloc((size_t)quantizers, sizeof *table->quantizer);
    table->training_fraction = fixture_values((size_t)checkpoints);
    table->loss = fixture_values(runs);
    table->kl = fixture_values(runs * (size_t)quantizers);
    table->delta_loss = fixture_values(runs * (size_t)quantizers);
    table->relative_loss_increase = fixture_values(runs * (size_t)quantizers);
    table->top1_agreement = fixture_values(runs * (size_t)quantizers);
    table->unigram_entropy = fixture_values((size_t)cells);
    table->wall_time = fixture_values((size_t)cells);
    table->isa = calloc((size_t)cells, sizeof *table->isa);
    assert(table->cell != NULL && table->quantizer != NULL && table->isa != NULL);
    for (int q = 0; q < quantizers; q++) {
        snprintf(table->quantizer[q], sizeof table->quantizer[q], "%s", names[q]);
    }
    for (int k = 0; k < checkpoints; k++) {
        table->training_fraction[k] = (k + 1.0) / checkpoints;
    }
    for (int i = 0; i < cells; i++) {
        struct table_cell *cell = &table->cell[i];
        int setting = i / seeds % settings;
        snprintf(cell->id, sizeof cell->id, "%032x", (unsigned)i);
        snprintf(cell->size, sizeof cell->size, "size%d", i / seeds / settings);
        snprintf(cell->setting, sizeof cell->setting, setting == 0 ? "base" : "setting=%d",
                 setting);
        cell->base = setting == 0;
        cell->seed = (uint64_t)(i % seeds + 1);
        cell->parameters = 1000 * pow(10, i / seeds / settings);
        cell->tokens = 500000;
        cell->learning_rate = 1e-3;
        cell->total_decay = 0.5;
        cell->grad_clip = 1;
        cell->precision = PRECISION_BF16;
        cell->status = CELL_DONE;
        table->unigram_entropy[i] = 3.0;
        table->wall_time[i] = 10;
        snprintf(table->isa[i], sizeof table->isa[i], "avx2");
    }
    return table;
}

/* Set the responses of one cell, checkpoint and quantizer. */
static inline void fixture_set(struct table *table, int cell, int checkpoint, int quantizer,
                               double loss, double kl, double delta_loss)
{
    int run = cell * table->checkpoints + checkpoint;
    int at = run * table->quantizers + quantizer;
    table->loss[run] = loss;
    table->kl[at] = kl;
    table->delta_loss[at] = delta_loss;
    table->relative_loss_increase[at] = delta_loss / loss;
    table->top1_agreement[at] = 0.99;
}

#endif
