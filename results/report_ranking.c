/* The quantizers in order of their degradation. */
#include "results/report_parts.h"

#include <math.h>

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
    TRY(text_table_open(err, "rlrlrl", 1, &columns));
    static const char *const head[] = {"", "quantizer", "KL", "[95 %]", "cells", "what it does"};
    REPORT_ADD_HEAD(columns, head);
    for (int i = 0; i < count; i++) {
        const struct interval *log_kl = &ranked[i].log_kl;
        const char *name = report->table->quantizer[ranked[i].quantizer];
        const struct quantizer *known = quantizer_find(name);
        char description[QUANTIZER_DESCRIPTION] = "";
        if (known != NULL) {
            quantizer_describe(known, description);
        }
        text_table_add(columns, "%d", i + 1);
        text_table_add(columns, "%s", name);
        text_table_add(columns, "%s", text_significant(REPORT_SCALE * exp(log_kl->estimate), 3).s);
        text_table_add(columns, "[%s, %s]", text_significant(REPORT_SCALE * exp(log_kl->low), 3).s,
                       text_significant(REPORT_SCALE * exp(log_kl->high), 3).s);
        text_table_add(columns, "%d", ranked[i].cells);
        text_table_add(columns, "%.52s", description);
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}
