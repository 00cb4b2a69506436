/* Private to the run folder: adding one event. */
#ifndef RESULTS_RUNDIR_EVENTS_H
#define RESULTS_RUNDIR_EVENTS_H

#include "results/journal.h"
#include "results/rundir.h"

/* Append the line to the journal, durable unless in a batch, and take it in. */
int rundir_append(struct error *err, struct rundir *dir, struct journal_line *line);

#endif
