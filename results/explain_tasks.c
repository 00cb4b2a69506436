/* Tasks of one cell: accuracies, and what each quantizer does to them. */
#include <math.h>

#include "results/explain_record.h"
#include "results/mcnemar.h"
#include "results/text.h"

static void add_with_se(struct text_table *table, double value, double se, int decimals)
{
    if (isnan(value)) {
        text_table_add(table, "%s", text_fixed(value, decimals, false).s);
        return;
    }
    text_table_add(table, "%s " TEXT_PLUSMINUS " %s", text_fixed(value, decimals, false).s,
                   text_fixed(se, decimals, false).s);
}

static int print_accuracies(struct error *err, FILE *out, const struct cell *cell,
                            const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "do not",
                                       "",
                                       "acc, %",
                                       "acc_norm, %",
                                       "",
                                       "checkpoint",
                                       "task",
                                       "items",
                                       "fit",
                                       "chance, %",
                                       TEXT_PLUSMINUS " SE",
                                       TEXT_PLUSMINUS " SE",
                                       "perplexity"};
    TRY(text_table_open(err, "rlrrrrrr", 2, &columns));
    TEXT_ADD_HEAD(columns, head);
    for (int k = 0; k < record->checkpoints; k++) {
        for (int t = 0; t < record->tasks; t++) {
            const int at = k * record->tasks + t;
            if (isnan(record->accuracy[at])) {
                continue;
            }
            text_table_add(columns, "%d", k + 1);
            text_table_add(columns, "%s", cell->evaluate.task[t].name);
            text_table_add(columns, "%d", cell->evaluate.task[t].items);
            text_table_add(columns, "%s", text_fixed(record->task_truncated[t], 0, false).s);
            text_table_add(columns, "%s", text_fixed(100 * record->task_chance[t], 1, false).s);
            add_with_se(columns, 100 * record->accuracy[at], 100 * record->accuracy_se[at], 1);
            add_with_se(columns, 100 * record->accuracy_norm[at],
                        100 * record->accuracy_norm_se[at], 1);
            text_table_add(columns, "%s", text_significant(record->task_perplexity[at], 4).s);
        }
    }
    fputs("\nTasks: the full-precision model\n", out);
    TRY(text_table_print(err, out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

static int print_drops(struct error *err, FILE *out, const struct cell *cell,
                       const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "",
                                       "acc drop,",
                                       "drop over acc",
                                       "items",
                                       "items",
                                       "McNemar",
                                       "checkpoint",
                                       "quantizer",
                                       "task",
                                       "acc, %",
                                       "% " TEXT_PLUSMINUS " SE",
                                       "\xe2\x88\x92 chance, % " TEXT_PLUSMINUS " SE",
                                       "lost",
                                       "gained",
                                       "p"};
    TRY(text_table_open(err, "rllrrrrrr", 2, &columns));
    TEXT_ADD_HEAD(columns, head);
    for (int k = 0; k < record->checkpoints; k++) {
        for (int q = 0; q < record->quantizers; q++) {
            for (int t = 0; t < record->tasks; t++) {
                const int at = (k * record->quantizers + q) * record->tasks + t;
                const double lost = record->discordant_lost[at],
                             gained = record->discordant_gained[at];
                if (isnan(record->quantized_accuracy[at])) {
                    continue;
                }
                text_table_add(columns, "%d", k + 1);
                text_table_add(columns, "%s", cell->evaluate.quantizer[q].name);
                text_table_add(columns, "%s", cell->evaluate.task[t].name);
                text_table_add(columns, "%s",
                               text_fixed(100 * record->quantized_accuracy[at], 1, false).s);
                add_with_se(columns, record->accuracy_drop[at], record->accuracy_drop_se[at], 1);
                add_with_se(columns, record->accuracy_drop_above_chance[at],
                            record->accuracy_drop_above_chance_se[at], 1);
                text_table_add(columns, "%s", text_fixed(lost, 0, false).s);
                text_table_add(columns, "%s", text_fixed(gained, 0, false).s);
                text_table_add(columns, "%s", text_significant(mcnemar_p(lost, gained), 2).s);
            }
        }
    }
    fputs("\nTasks: quantized (drops relative to the full-precision model, errors over paired "
          "items)\n",
          out);
    TRY(text_table_print(err, out, columns, 3));
cleanup:
    text_table_free(columns);
    return status;
}

int explain_tasks(struct error *err, FILE *out, const struct cell *cell,
                  const struct record *record)
{
    int status = STATUS_OK;
    if (record->tasks > 0) {
        TRY(print_accuracies(err, out, cell, record));
        TRY(print_drops(err, out, cell, record));
    }
cleanup:
    return status;
}
