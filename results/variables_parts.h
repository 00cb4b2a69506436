/* What the parts of results/variables.h share. Private to variables*.c and results/studyread.c. */
#ifndef RESULTS_VARIABLES_PARTS_H
#define RESULTS_VARIABLES_PARTS_H

#include "results/netcdf_io.h"
#include "results/variables.h"

/* A variable on one dimension, as `of` describes it. */
int variables_define_coordinate(struct error *err, const struct variables *variables,
                                const struct netcdf_variable *of, int dimension);

/* Write a variable whole: as many values as its dimension has. */
int variables_put_strings(struct error *err, const struct variables *variables, const char *name,
                          const char **value);
int variables_put_ints(struct error *err, const struct variables *variables, const char *name,
                       const int *value);

/* What the tasks of a study are: variables on `task`, beside their names. */
int variables_define_tasks(struct error *err, const struct variables *variables);
int variables_put_tasks(struct error *err, const struct variables *variables);

#endif
