/* The quantizers in order of their degradation. */
#include "results/report_parts.h"

#include <math.h>
#include <string.h>

#include "jobs/quantizer.h"

struct ranked {
    int quantizer;
    struct interval log_kl;
    int cells;
};

static int rank(const struct report *report, struct ranked ranked[CELL_QUANTIZERS])
{
    const struct effects *effects = report->effects;
    int count = 0;
    for (int q = 0; q < report->table->quantizers && q < CELL_QUANTIZERS; q++) {
        struct ranked here = {.quantizer = q};
        here.log_kl =
            effects_level(effects, effects->base, RESPONSE_LOG_KL, q, report->last, &here.cells);
        int at = count;
        if (isnan(here.log_kl.estimate)) {
            continue;
        }
        for (; at > 0 && here.log_kl.estimate < ranked[at - 1].log_kl.estimate; at--) {
            ranked[at] = ranked[at - 1];
        }
        ranked[at] = here;
        count++;
    }
    return count;
}

/* "int4 per 32", "int8 static", "gptq": a descriptor in three short entries; a dash for a name that METHOD does not have. */
static void add_facts(struct text_table *columns, const struct quantizer *q)
{
    char weights[32] = "", activations[32] = "";
    if (q == NULL) {
        for (int i = 0; i < 3; i++) {
            text_table_add(columns, "%s", "\xe2\x80\x94"); /* — */
        }
        return;
    }
    snprintf(weights, sizeof weights, "%s", weight_format_name((int)q->weights));
    if (q->weights == WEIGHTS_INT) {
        snprintf(weights, sizeof weights, "int%d", q->weight_bits);
    }
    if (q->group > 0) {
        const size_t used = strlen(weights);
        snprintf(weights + used, sizeof weights - used, " per %d", q->group);
    }
    if (q->activations == ACTIVATIONS_FULL || q->activations == ACTIVATIONS_FP8) {
        snprintf(activations, sizeof activations, "%s",
                 q->activations == ACTIVATIONS_FULL ? "full" : "fp8");
    } else {
        snprintf(activations, sizeof activations, "int%d%s", q->activation_bits,
                 q->activations == ACTIVATIONS_PER_TENSOR ? " static" : "");
    }
    text_table_add(columns, "%s", weights);
    text_table_add(columns, "%s", activations);
    text_table_add(columns, "%s",
                   q->method == METHOD_GPTQ           ? "gptq"
                   : q->transform != TRANSFORM_NONE   ? transform_name((int)q->transform)
                   : q->outliers == OUTLIERS_ABSOLUTE ? "6 in fp16"
                   : q->outliers == OUTLIERS_STD      ? "6 std in fp16"
                                                      : "nearest");
}

int report_ranking(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    struct ranked ranked[CELL_QUANTIZERS];
    if (report->table->quantizers < 2 || report->effects->base < 0) {
        goto cleanup;
    }
    const int count = rank(report, ranked);
    report_heading(report, "Quantizers by degradation: base recipe at the end of training");
    text_wrap(report->out, "",
              "KL in " REPORT_UNIT
              " nats per token, geometric mean over sizes of that over seeds, with the 95 % "
              "t-interval of seeds within sizes (of each by itself: all have the same cells, so "
              "that neighbours differ more surely than it looks)");
    TRY(text_table_open(err, "rllllrr", 1, &columns));
    static const char *const head[] = {"",         "quantizer", "weights", "activations",
                                       "rounding", "KL [95 %]", "cells"};
    TEXT_ADD_HEAD(columns, head);
    for (int i = 0; i < count; i++) {
        const struct interval *log_kl = &ranked[i].log_kl;
        const char *name = report->table->quantizer[ranked[i].quantizer];
        text_table_add(columns, "%d", i + 1);
        text_table_add(columns, "%s", name);
        add_facts(columns, quantizer_find(name));
        text_table_add(columns, "%s [%s, %s]",
                       text_significant(REPORT_SCALE * exp(log_kl->estimate), 3).s,
                       text_significant(REPORT_SCALE * exp(log_kl->low), 3).s,
                       text_significant(REPORT_SCALE * exp(log_kl->high), 3).s);
        text_table_add(columns, "%d", ranked[i].cells);
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}
