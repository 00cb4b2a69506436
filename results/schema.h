/*
 * The one description of a record's fields: from it come allocation (record_create), the
 * variables of a cell file and those of study.nc, where each gets the dimension `cell` in front.
 * Adding a measurement means adding a field to struct record and a line to the table in
 * schema.c.
 */
#ifndef RESULTS_SCHEMA_H
#define RESULTS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "results/record.h"

enum schema_dimension {
    SCHEMA_CHECKPOINT,
    SCHEMA_QUANTIZER,
    SCHEMA_WINDOW,
    SCHEMA_TRACE,
    SCHEMA_LAYER,
    SCHEMA_SITE,
    SCHEMA_NORM,
    SCHEMA_TASK,
    SCHEMA_ITEM,
    SCHEMA_DIMENSIONS,
};

enum { SCHEMA_RANK = 4 }; /* most dimensions of one field */

/* How the field is stored in a file. In memory numbers are doubles, and NaN is "not measured". */
enum schema_type {
    SCHEMA_DOUBLE,
    SCHEMA_FLOAT,
    SCHEMA_INT,
    SCHEMA_INT64,
    SCHEMA_BYTE,
    SCHEMA_TEXT,   /* char[size] in the record */
    SCHEMA_STATUS, /* enum cell_status */
};

enum schema_role {
    SCHEMA_RESULT,     /* the same for every run of the cell (on one instruction set) */
    SCHEMA_PROVENANCE, /* how and when it was made */
    SCHEMA_STUDY_WIDE, /* the same for all cells: no cell dimension in study.nc */
};

struct schema_entry {
    const char *name;
    int rank;
    enum schema_dimension dimension[SCHEMA_RANK]; /* row-major order */
    enum schema_type type;
    enum schema_role role;
    const char *units; /* UDUNITS */
    const char *long_name;
    const char *comment;
    const char *ancillary; /* name of the standard error's variable, or NULL */
    size_t
        offset;  /* in struct record: of the pointer (rank > 0), the double, the text, the status */
    size_t size; /* of that member */
};

int schema_count(void);
const struct schema_entry *schema_entry(int index);
const struct schema_entry *schema_find(const char *name); /* NULL: unknown */

/* May a file lack the variable? Probes, tasks and more came later than the first files; there they are missing. */
bool schema_optional(const struct schema_entry *entry);

/* One value per held-out window or item of a task: most of a file's bytes, and what a compact study.nc leaves out. */
bool schema_detail(const struct schema_entry *entry);

const char *schema_dimension_name(enum schema_dimension dimension);

/* Names along a dimension (of quantized sites, of LayerNorms); NULL if it only counts, or is the study's own
 * (quantizers). */
const char *const *schema_dimension_labels(enum schema_dimension dimension);

/* Length of a dimension for `cell`. In a study `layer` is as long as its deepest cell needs. */
size_t schema_length(const struct cell *cell, enum schema_dimension dimension);

/* Number of values of the entry for `cell`; 1 for a scalar. */
size_t schema_values(const struct schema_entry *entry, const struct cell *cell);

/* The entry's numbers in a record: its array, or the address of its double. Not for TEXT and
 * STATUS. */
double *schema_numbers(const struct schema_entry *entry, const struct record *record);

/* The entry's text in a record, of entry->size bytes. Only for TEXT. */
char *schema_text(const struct schema_entry *entry, const struct record *record);

#endif
