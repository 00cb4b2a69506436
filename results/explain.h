/* One cell: settings, history, every number. */
#ifndef RESULTS_EXPLAIN_H
#define RESULTS_EXPLAIN_H

#include <stdio.h>

#include "jobs/error.h"

/* Print what the run in the folder `path` knows of one cell, named by at least four hex digits of its id or by
 * "size/setting/seed". STATUS_USAGE if no cell or several fit (the message lists candidates), STATUS_FAILED if the folder or
 * the cell's file cannot be read. A cell without a finished record is explained without numbers. */
int explain_print(struct error *err, FILE *out, const char *path, const char *cell_prefix);

/* The same for one quantizer of the cell only: the error that it makes at each site, by layer, the worst marked; `quantizer` NULL: of
 * each quantizer its mean error and its worst site. STATUS_FAILED if the cell has no record yet. */
int explain_sites_print(struct error *err, FILE *out, const char *path, const char *cell_prefix,
                        const char *quantizer);

#endif
