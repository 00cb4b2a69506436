/* The tables of a plan. Private to jobs/. */
#ifndef JOBS_PLAN_TABLES_H
#define JOBS_PLAN_TABLES_H

#include "jobs/plan.h"

enum { PLAN_NAME = 12 }; /* columns of a size's name */

/* What it asks for: parameters, tokens, operations, checkpoint by size. */
void plan_print_sizes(FILE *out, const struct plan *plan);
/* Which team each size gets, and how long its step takes. */
void plan_print_teams(FILE *out, const struct plan *plan);
/* Memory of a rank by the team's size. */
void plan_print_memory(FILE *out, const struct plan *plan);
/* Who runs when. STATUS_FAILED without memory. */
int plan_print_schedule(struct error *err, FILE *out, const struct plan *plan,
                        const struct plan_interval *interval, int intervals);

#endif
