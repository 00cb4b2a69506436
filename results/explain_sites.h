/* The error of each site of a cell under its quantizers, as tables. Private to explain. */
#ifndef RESULTS_EXPLAIN_SITES_H
#define RESULTS_EXPLAIN_SITES_H

#include <stdio.h>

#include "results/record.h"

/* One line per quantizer: its mean error, and the site with the largest. Prints nothing where nothing was measured. */
int explain_sites_summary(struct error *err, FILE *out, const struct cell *cell,
                          const struct record *record);

/* Layers × sites of one quantizer at the last checkpoint that has it, the worst ones marked. STATUS_USAGE with the cell's quantizers if
 * it is none of them. */
int explain_sites_table(struct error *err, FILE *out, const struct cell *cell,
                        const struct record *record, const char *quantizer);

#endif
