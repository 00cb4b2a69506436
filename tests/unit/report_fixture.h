/* A table's analysis and its report in one, for tests. */
#ifndef TESTS_UNIT_REPORT_FIXTURE_H
#define TESTS_UNIT_REPORT_FIXTURE_H

#include "results/report.h"

static inline int fixture_report(struct error *err, FILE *out, const struct table *table,
                                 const char *quantizer, bool full)
{
    int status = STATUS_OK;
    struct analysis *analysis = NULL;
    const struct analysis_options wanted = {.quantizer = quantizer};
    const struct report_options options = {.full = full};
    TRY(analysis_open(err, table, &wanted, &analysis));
    TRY(report_print(err, out, analysis, &options));
cleanup:
    analysis_free(analysis);
    return status;
}

#endif
