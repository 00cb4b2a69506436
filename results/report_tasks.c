/* Tasks: what the base recipe's models answer, and what quantization costs them. */
#include "results/cost.h"
#include "results/report_parts.h"

#include <math.h>

static void add_pooled(struct text_table *columns, const struct pooled *pooled, double scale)
{
    if (pooled->cells == 0) {
        text_table_add(columns, "%s", "\xe2\x80\x94"); /* — */
        return;
    }
    text_table_add(columns, "%s " TEXT_PLUSMINUS " %s",
                   text_fixed(scale * pooled_mean(pooled), 1, false).s,
                   text_fixed(scale * pooled_error(pooled), 1, false).s);
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
                    pooled_add(&acc, table->accuracy[at], table->accuracy_se[at]);
                    pooled_add(&norm, table->accuracy_norm[at], table->accuracy_norm_se[at]);
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
            const struct task_drop drop = cost_task_drop(report->effects, q, report->last, t);
            text_table_add(columns, "%s", t == 0 ? table->quantizer[q] : "");
            text_table_add(columns, "%s", table->task[t]);
            add_pooled(columns, &drop.drop, 1);
            add_pooled(columns, &drop.above_chance, 1);
            text_table_add(columns, "%s", text_fixed(drop.lost, 0, false).s);
            text_table_add(columns, "%s", text_fixed(drop.gained, 0, false).s);
            text_table_add(columns, "%d", drop.drop.cells);
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

/* Of tasks without choices: chance is 0. */
static bool has_words(const struct table *table)
{
    for (size_t i = 0; i < (size_t)table->cells * table->tasks; i++) {
        if (table->task_chance[i] == 0) {
            return true;
        }
    }
    return false;
}

int report_tasks(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    if (report->table->tasks == 0 || report->effects->base < 0) {
        goto cleanup;
    }
    report_heading(report, "Tasks: base recipe at the end of training");
    text_say(report->out, "",
             "acc and acc_norm as lm-evaluation-harness defines them, means over cells%s. The "
             "standard error is that of one cell, over its items: all cells are asked the same, so "
             "that more cells do not make it smaller.",
             has_words(report->table) ? "; chance 0: a word has to be given" : "");
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
