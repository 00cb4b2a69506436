/* The texts of a table about how it was made; private to table*.c. */
#ifndef RESULTS_TABLE_FACTS_H
#define RESULTS_TABLE_FACTS_H

#include "results/table.h"

/* Fill table->fact from the open study.nc. What the file does not say stays NULL. */
int table_read_facts(struct error *err, int id, const char *path, struct table *table);

#endif
