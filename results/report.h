/*
 * The answer in words and tables: a study's effects for a terminal of TEXT_COLUMNS columns, written for a
 * reader who knows quantization but not this program.
 */
#ifndef RESULTS_REPORT_H
#define RESULTS_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "jobs/error.h"
#include "results/table.h"

struct report_options {
    bool full;             /* also effects per size, and effects at every checkpoint */
    const char *quantizer; /* of the main table; NULL: w8a8, or the first if the study has none */
};

/* Print the report of `table` to `out`. STATUS_FAILED if the table is empty or contradicts itself or `out` cannot be
 * written, STATUS_USAGE if the table has no quantizer of that name. `options` may be NULL. */
int report_print(struct error *err, FILE *out, const struct table *table,
                 const struct report_options *options);

#endif
