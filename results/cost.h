/*
 * What a quantizer costs in the terms that the literature uses, accuracy and loss: they stand beside KL (METHOD §4).
 */
#ifndef RESULTS_COST_H
#define RESULTS_COST_H

#include "results/analysis.h"

/* A quantity of cells, each with its standard error over items; what is not finite is left out. All cells are asked the same items: the
 * error is the cells' root mean square, no smaller for the mean. */
struct pooled {
    int cells;
    double sum, squares;
};

void pooled_add(struct pooled *pooled, double value, double error);
double pooled_mean(const struct pooled *pooled); /* NaN without cells, as the next */
double pooled_error(const struct pooled *pooled);

/* Accuracy that the quantizer takes from the base recipe's finished cells, in percent: 100 (acc − acc_q) / acc, and the same over acc −
 * chance where acc is above it; and the items that only the full or only the quantized models answer, all cells together. */
struct task_drop {
    struct pooled drop, above_chance;
    double lost, gained;
};

struct task_drop cost_task_drop(const struct effects *effects, int quantizer, int checkpoint,
                                int task);

/* "w8a8 costs the base recipe +0.007 [0.002, 0.013] % of its loss; and of its accuracy (± one standard error over the items) −0.1 ± 0.9 %
 * (pairs)." "" if no run of the base is finished. */
enum { COST_TEXT = 256 + 96 * CELL_TASKS };
void cost_sentence(const struct analysis *analysis, char text[COST_TEXT]);

#endif
