/* Tasks: what the base recipe's models answer, and what quantization costs them. */
#include "results/report_parts.h"

#include <math.h>

/* Mean of a quantity of cells, and the root mean square of its error: all cells are asked the same items, so that an error is no smaller for
 * the mean. */
struct pooled {
    int cells;
    double sum, squares;
};

static void pool(struct pooled *pooled, double value, double error)
{
    if (isfinite(value)) {
        pooled->cells++;
        pooled->sum += value;
        pooled->squares += isfinite(error) ? error * error : 0;
    }
}

static void add_pooled(struct text_table *columns, const struct pooled *pooled, double scale)
{
    const double n = pooled->cells;
    if (pooled->cells == 0) {
        text_table_add(columns, "%s", "\xe2\x80\x94"); /* — */
        return;
    }
    text_table_add(columns, "%s " TEXT_PLUSMINUS " %s",
                   text_fixed(scale * pooled->sum / n, 1, false).s,
                   text_fixed(scale * sqrt(pooled->squares / n), 1, false).s);
}

static int print_accuracies(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    const struct effects *effects = report->effects;
    const struct table *table = report->table;
    struct text_table *columns = NULL;
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "",
                                       "acc, %",
                                       "acc_norm, %",
                                       "",
                                       "task",
                                       "size",
                                       "items",
                                       "chance, %",
                                       TEXT_PLUSMINUS " SE",
                                       TEXT_PLUSMINUS " SE",
                                       "cells"};
    TRY(text_table_open(err, "llrrrrr", 2, &columns));
    TEXT_ADD_HEAD(columns, head);
    for (int t = 0; t < table->tasks; t++) {
        for (int s = 0; s < effects->sizes; s++) {
            struct pooled acc = {0}, norm = {0};
            double chance = NAN;
            for (int k = effects->start[effects->base]; k < effects->start[effects->base + 1];
                 k++) {
                const int cell = effects->order[k];
                const size_t at =
                    ((size_t)cell * table->checkpoints + report->last) * table->tasks + t;
                if (effects->size_of[cell] == s && table->cell[cell].status == CELL_DONE) {
                    pool(&acc, table->accuracy[at], table->accuracy_se[at]);
                    pool(&norm, table->accuracy_norm[at], table->accuracy_norm_se[at]);
                    chance = table->task_chance[(size_t)cell * table->tasks + t];
                }
            }
            text_table_add(columns, "%s", s == 0 ? table->task[t] : "");
            text_table_add(columns, "%s", effects->size[s].name);
            text_table_add(columns, "%s", text_count(table->task_items[t]).s);
            text_table_add(columns, "%s", text_fixed(100 * chance, 1, false).s);
            add_pooled(columns, &acc, 100);
            add_pooled(columns, &norm, 100);
            text_table_add(columns, "%d", acc.cells);
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

static int print_drops(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    const struct effects *effects = report->effects;
    const struct table *table = report->table;
    struct text_table *columns = NULL;
    static const char *const head[] = {"",
                                       "",
                                       "drop of acc,",
                                       "drop over acc",
                                       "items",
                                       "items",
                                       "",
                                       "quantizer",
                                       "task",
                                       "% " TEXT_PLUSMINUS " SE",
                                       "\xe2\x88\x92 chance, % " TEXT_PLUSMINUS " SE",
                                       "lost",
                                       "gained",
                                       "cells"};
    TRY(text_table_open(err, "llrrrrr", 2, &columns));
    TEXT_ADD_HEAD(columns, head);
    for (int q = 0; q < table->quantizers; q++) {
        for (int t = 0; t < table->tasks; t++) {
            struct pooled drop = {0}, above = {0};
            double lost = 0, gained = 0;
            for (int k = effects->start[effects->base]; k < effects->start[effects->base + 1];
                 k++) {
                const int cell = effects->order[k];
                const size_t at =
                    (((size_t)cell * table->checkpoints + report->last) * table->quantizers + q) *
                        table->tasks +
                    t;
                if (table->cell[cell].status == CELL_DONE && isfinite(table->accuracy_drop[at])) {
                    pool(&drop, table->accuracy_drop[at], table->accuracy_drop_se[at]);
                    pool(&above, table->accuracy_drop_above_chance[at],
                         table->accuracy_drop_above_chance_se[at]);
                    lost += table->discordant_lost[at];
                    gained += table->discordant_gained[at];
                }
            }
            text_table_add(columns, "%s", t == 0 ? table->quantizer[q] : "");
            text_table_add(columns, "%s", table->task[t]);
            add_pooled(columns, &drop, 1);
            add_pooled(columns, &above, 1);
            text_table_add(columns, "%s", text_fixed(lost, 0, false).s);
            text_table_add(columns, "%s", text_fixed(gained, 0, false).s);
            text_table_add(columns, "%d", drop.cells);
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

int report_tasks(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    if (report->table->tasks == 0 || report->effects->base < 0) {
        goto cleanup;
    }
    report_heading(report, "Tasks: base recipe at the end of training");
    text_wrap(report->out, "",
              "acc and acc_norm as lm-evaluation-harness defines them, means over cells; chance 0: "
              "a word has to be given. The "
              "standard error is that of one cell, over its items: all cells are asked the same, "
              "so that more cells do not make it "
              "smaller.");
    TRY(print_accuracies(err, report));
    fputc('\n', report->out);
    text_wrap(report->out, "",
              "Drop: 100 (acc \xe2\x88\x92 acc_q) / acc of each cell, positive is worse, error "
              "over paired items; over acc \xe2\x88\x92 "
              "chance where acc is above it. Lost and gained: answers that are right only without, "
              "only with the quantizer, all cells "
              "together.");
    TRY(print_drops(err, report));
cleanup:
    return status;
}
