#include "results/cost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "results/text.h"

void pooled_add(struct pooled *pooled, double value, double error)
{
    if (isfinite(value)) {
        pooled->cells++;
        pooled->sum += value;
        pooled->squares += isfinite(error) ? error * error : 0;
    }
}

double pooled_mean(const struct pooled *pooled)
{
    return pooled->cells > 0 ? pooled->sum / pooled->cells : NAN;
}

double pooled_error(const struct pooled *pooled)
{
    return pooled->cells > 0 ? sqrt(pooled->squares / pooled->cells) : NAN;
}

struct task_drop cost_task_drop(const struct effects *effects, int quantizer, int checkpoint,
                                int task)
{
    const struct table *table = effects->table;
    struct task_drop drop = {.lost = 0};
    for (int k = effects->start[effects->base]; k < effects->start[effects->base + 1]; k++) {
        const int cell = effects->order[k];
        const size_t at =
            (((size_t)cell * table->checkpoints + checkpoint) * table->quantizers + quantizer) *
                table->tasks +
            task;
        if (table->cell[cell].status == CELL_DONE && isfinite(table->accuracy_drop[at])) {
            pooled_add(&drop.drop, table->accuracy_drop[at], table->accuracy_drop_se[at]);
            pooled_add(&drop.above_chance, table->accuracy_drop_above_chance[at],
                       table->accuracy_drop_above_chance_se[at]);
            drop.lost += table->discordant_lost[at];
            drop.gained += table->discordant_gained[at];
        }
    }
    return drop;
}

void cost_sentence(const struct analysis *analysis, char text[COST_TEXT])
{
    const struct table *table = analysis->table;
    const struct effects *effects = analysis->effects;
    char list[COST_TEXT - 160] = "";
    int cells = 0;
    text[0] = '\0';
    if (effects->base < 0 || table->quantizers == 0) {
        return;
    }
    const struct interval loss =
        effects_level(effects, effects->base, RESPONSE_RELATIVE_LOSS_INCREASE, analysis->quantizer,
                      analysis->checkpoint, &cells);
    if (!isfinite(loss.estimate)) {
        return;
    }
    for (int t = 0; t < table->tasks; t++) {
        const struct task_drop drop =
            cost_task_drop(effects, analysis->quantizer, analysis->checkpoint, t);
        const size_t used = strlen(list);
        if (drop.drop.cells > 0) {
            snprintf(list + used, sizeof list - used, "%s%.20s " TEXT_PLUSMINUS " %.20s %% (%s)",
                     used > 0 ? ", "
                              : "; and of its accuracy (" TEXT_PLUSMINUS
                                " one standard error over the items) ",
                     text_fixed(pooled_mean(&drop.drop), 1, false).s,
                     text_fixed(pooled_error(&drop.drop), 1, false).s, table->task[t]);
        }
    }
    snprintf(text, COST_TEXT, "%s costs the base recipe %s %% of its loss%s.",
             table->quantizer[analysis->quantizer],
             text_interval(100 * loss.estimate, 100 * loss.low, 100 * loss.high).s, list);
}
