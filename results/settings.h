/*
 * What study.nc says about a cell's settings: one variable on the dimension `cell` for each
 * field of struct cell that a reader may want to select or group by.
 */
#ifndef RESULTS_SETTINGS_H
#define RESULTS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/cell.h"

enum setting_type {
    SETTING_INT,
    SETTING_INT64,
    SETTING_UINT64,
    SETTING_DOUBLE,
    SETTING_FLAG, /* bool */
    SETTING_TEXT,
    SETTING_BLOCK, /* the enumerations, stored as their names */
    SETTING_POSITION,
    SETTING_ACTIVATION,
    SETTING_PRECISION,
    SETTING_SCHEDULE,
    SETTING_PARAMETERS, /* derived: cell_parameters(), cell_parameters_total() */
    SETTING_PARAMETERS_TOTAL,
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *long_name;
    const char *comment;
    size_t offset; /* in struct cell */
};

int settings_count(void);
const struct setting *settings_entry(int index);

/* The value as a number (INT, INT64, DOUBLE, FLAG, PARAMETERS*), as UINT64, or as text (the
 * rest). */
double setting_number(const struct setting *setting, const struct cell *cell);
uint64_t setting_unsigned(const struct setting *setting, const struct cell *cell);
const char *setting_text(const struct setting *setting,
                         const struct cell *cell); /* NULL: a number */

/* The way back, from study.nc to a cell. Derived settings (PARAMETERS*) are left alone. Text is cut
 * to fit; false: an enumeration has no such value. */
void setting_set_number(const struct setting *setting, struct cell *cell, double value);
void setting_set_unsigned(const struct setting *setting, struct cell *cell, uint64_t value);
bool setting_set_text(const struct setting *setting, struct cell *cell, const char *text);

#endif
