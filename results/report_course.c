/* Degradation on the way through training, and size by size. */
#include "results/report_parts.h"

#include <math.h>
#include <string.h>

static void add_fractions(struct text_table *columns, const struct table *table)
{
    for (int k = 0; k < table->checkpoints; k++) {
        text_table_add(columns, "%s %%", text_significant(100 * table->training_fraction[k], 3).s);
    }
}

/* Was the base's quantizer measured before the end? */
static bool has_early(const struct report *report, int quantizer)
{
    for (int s = 0; s < report->effects->sizes; s++) {
        for (int k = 0; k < report->last; k++) {
            if (effects_mean(report->effects, report->effects->base, s, RESPONSE_DELTA_LOSS,
                             quantizer, k)
                    .cells > 0) {
                return true;
            }
        }
    }
    return false;
}

/* A table with columns quantizer, `second` and every checkpoint. */
static int open_by_checkpoint(struct error *err, const struct report *report, const char *second,
                              struct text_table **columns)
{
    int status = STATUS_OK;
    char alignment[2 + CELL_CHECKPOINTS + 1] = "ll";
    CHECK(err, report->table->checkpoints <= CELL_CHECKPOINTS, STATUS_FAILED,
          "%s: %d checkpoints; at most %d are read", report->table->name,
          report->table->checkpoints, CELL_CHECKPOINTS);
    memset(alignment + 2, 'r', (size_t)report->table->checkpoints);
    TRY(text_table_open(err, alignment, 1, columns));
    text_table_add(*columns, "quantizer");
    text_table_add(*columns, "%s", second);
    add_fractions(*columns, report->table);
cleanup:
    return status;
}

static int print_early_means(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    TRY(open_by_checkpoint(err, report, "size", &columns));
    for (int q = -1; q < report->table->quantizers; q++) { /* −1: the loss, in nats */
        if (q >= 0 && !has_early(report, q)) {
            continue;
        }
        const char *name = q < 0 ? "(loss, nats)" : report->table->quantizer[q];
        for (int s = 0; s < effects->sizes; s++) {
            text_table_add(columns, "%s", s == 0 ? name : "");
            text_table_add(columns, "%s", effects->size[s].name);
            for (int k = 0; k <= report->last; k++) {
                enum response response = q < 0 ? RESPONSE_LOSS : RESPONSE_LOG_KL;
                struct mean mean =
                    effects_mean(effects, effects->base, s, response, q < 0 ? 0 : q, k);
                text_table_add(columns, "%s",
                               q < 0 ? text_fixed(mean.mean, 4, false).s
                                     : text_significant(REPORT_SCALE * exp(mean.mean), 3).s);
            }
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

static int print_early_effects(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    TRY(open_by_checkpoint(err, report, "setting", &columns));
    char name[CELL_LABEL];
    for (int q = 0; q < report->table->quantizers; q++) {
        for (int s = report_next(report, effects->base);
             s < effects->settings && has_early(report, q); s = report_next(report, s)) {
            text_table_add(columns, "%s",
                           s == report_next(report, effects->base) ? report->table->quantizer[q]
                                                                   : "");
            text_table_add(columns, "%s", report_setting(report, s, name));
            for (int k = 0; k <= report->last; k++) {
                struct effect kl = effects_of(effects, s, RESPONSE_LOG_KL, q, k, EFFECTS_ALL_SIZES);
                text_table_add(columns, "%s", report_percent_interval(&kl.interval).s);
            }
        }
    }
    fputc('\n', report->out);
    text_wrap(report->out, "", "Effect on KL, % [95 %], by fraction of training");
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

int report_checkpoints(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    bool early = false;
    for (int q = 0; q < report->table->quantizers && report->effects->base >= 0; q++) {
        early |= has_early(report, q);
    }
    if (!early) {
        goto cleanup;
    }
    report_heading(report, "On the way: KL of the base recipe, " REPORT_UNIT
                           " nats per token, by fraction of training");
    TRY(print_early_means(err, report));
    if (report->full && report->effects->settings > 1) {
        TRY(print_early_effects(err, report));
    }
cleanup:
    return status;
}

int report_sizes(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    if (effects->base < 0 || effects->settings < 2) {
        goto cleanup;
    }
    report_heading(report, "Effects by size, end of training");
    TRY(text_table_open(err, "lllrrrr", 2, &columns));
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "KL,",
                                       REPORT_DELTA "loss,",
                                       "loss,",
                                       "",
                                       "quantizer",
                                       "setting",
                                       "size",
                                       "% [95 %]",
                                       REPORT_UNIT " [95 %]",
                                       REPORT_UNIT " [95 %]",
                                       "pairs"};
    TEXT_ADD_HEAD(columns, head);
    char name[CELL_LABEL];
    for (int q = 0; q < report->table->quantizers; q++) {
        for (int s = report_next(report, effects->base); s < effects->settings;
             s = report_next(report, s)) {
            for (int z = 0; z < effects->sizes; z++) {
                struct effect kl = effects_of(effects, s, RESPONSE_LOG_KL, q, report->last, z);
                struct effect delta =
                    effects_of(effects, s, RESPONSE_DELTA_LOSS, q, report->last, z);
                struct effect loss = effects_of(effects, s, RESPONSE_LOSS, q, report->last, z);
                bool first = z == 0 && s == report_next(report, effects->base);
                text_table_add(columns, "%s", first ? report->table->quantizer[q] : "");
                text_table_add(columns, "%s", z == 0 ? report_setting(report, s, name) : "");
                text_table_add(columns, "%s", effects->size[z].name);
                text_table_add(columns, "%s", report_percent_interval(&kl.interval).s);
                text_table_add(columns, "%s", report_milli_interval(&delta.interval).s);
                text_table_add(columns, "%s", report_milli_interval(&loss.interval).s);
                report_add_pairs(columns, &kl);
            }
        }
    }
    TRY(text_table_print(err, report->out, columns, 3));
cleanup:
    text_table_free(columns);
    return status;
}
