/* How a run is doing, read from its folder only: works from any node, also while it runs. */
#ifndef RESULTS_STATUS_H
#define RESULTS_STATUS_H

#include <stdio.h>

#include "jobs/error.h"

/* Print the state of the run in the folder `path`: counts of cells, the estimated time left (from the finished cells' seconds per
 * FLOP and the workers that live), one line per worker, and every failure with its reason. Writes nothing to
 * the folder. STATUS_FAILED if `path` is not a run's folder, is damaged, or `out` cannot be written. */
int status_print(struct error *err, FILE *out, const char *path);

#endif
