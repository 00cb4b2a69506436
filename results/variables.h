/*
 * A record's fields (results/schema.h) in an open NetCDF file: of a study, where each is a
 * variable with `cell` as first dimension, or of one cell. There texts are global attributes and
 * comments are left out: a cell file is written and read in milliseconds. Private to results/.
 */
#ifndef RESULTS_VARIABLES_H
#define RESULTS_VARIABLES_H

#include "results/schema.h"

enum { VARIABLES_MOST = 128 };

struct variables {
    int file;
    const char *path;        /* for messages; not owned */
    const struct cell *cell; /* the cell, or all `cells` of a study; not owned */
    size_t cells;            /* length of `cell`; 0: a file of one cell */
    size_t layers; /* length of `layer`: the most of all cells; shallower ones miss values */
    bool compact;  /* without details (schema_detail): these have no variable */
    int cell_dimension;
    int dimension[SCHEMA_DIMENSIONS]; /* -1: of length 0, so not in the file */
    int id[VARIABLES_MOST];           /* per schema entry; -1: no variable */
};

/* Define the dimensions and their coordinate variables. file, path, cell and cells are set by
 * the caller. */
int variables_define_dimensions(struct error *err, struct variables *variables);

/* Define all variables. `coordinates`: names of auxiliary coordinates on `cell`; NULL in a cell
 * file. */
int variables_define(struct error *err, struct variables *variables, const char *coordinates);

/* Write the coordinate variables, after the define mode. */
int variables_put_coordinates(struct error *err, const struct variables *variables);

/* Find all variables in a file that was opened for reading, and check their dimensions; in a study
 * `cells` and the dimensions of `cell` are what it must have. */
int variables_find(struct error *err, struct variables *variables);

/* Write a record's numbers and status (study: as number `index`), and in a cell file its texts.
 * `scalars_only`: leave the arrays missing. */
int variables_put(struct error *err, const struct variables *variables, size_t index,
                  const struct record *record, bool scalars_only);

/* Texts of many cells of a study: the library writes strings one at a time very slowly. */
struct variables_texts;
int variables_texts_create(struct error *err, size_t most, struct variables_texts **texts);
void variables_texts_free(struct variables_texts *texts); /* NULL is fine */

/* Keep the record's texts as those of cell `index`; indices follow one another. Writes when
 * `most` are kept. */
int variables_texts_add(struct error *err, const struct variables *variables,
                        struct variables_texts *texts, size_t index, const struct record *record);

/* Write what is kept. */
int variables_texts_flush(struct error *err, const struct variables *variables,
                          struct variables_texts *texts);

/* Read the record of a cell file. */
int variables_get(struct error *err, const struct variables *variables, struct record *record);

/* Read all of a record but its texts; of a study, cell `index`. */
int variables_get_numbers(struct error *err, const struct variables *variables, size_t index,
                          struct record *record);

#endif
