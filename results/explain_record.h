/* Every number of a record, as tables. Private to explain. */
#ifndef RESULTS_EXPLAIN_RECORD_H
#define RESULTS_EXPLAIN_RECORD_H

#include <stdio.h>

#include "results/record.h"

int explain_record(struct error *err, FILE *out, const struct cell *cell,
                   const struct record *record);

/* Its probes; nothing if it has none. */
int explain_probes(struct error *err, FILE *out, const struct record *record);

/* Its tasks: accuracies, and what each quantizer does to them. Prints nothing for a cell without. */
int explain_tasks(struct error *err, FILE *out, const struct cell *cell,
                  const struct record *record);

#endif
