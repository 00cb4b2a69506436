/*
 * The answer in words and tables: a study's effects for a terminal of TEXT_COLUMNS columns, written for a
 * reader who knows quantization but not this program.
 */
#ifndef RESULTS_REPORT_H
#define RESULTS_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "jobs/error.h"
#include "results/analysis.h"

struct report_options {
    bool full; /* also effects per size, at every checkpoint, and of a fraction's settings */
};

/* Print the report of an analysis, for its quantizer, to `out`. STATUS_FAILED if `out` cannot be written. `options` may be NULL. */
int report_print(struct error *err, FILE *out, const struct analysis *analysis,
                 const struct report_options *options);

#endif
