/* What the files of results/design.h share. */
#ifndef RESULTS_DESIGN_PARTS_H
#define RESULTS_DESIGN_PARTS_H

#include "results/design.h"

/* More than rounding. */
bool design_differ(double a, double b);

/* Any cell of the setting at the size, that of the lowest seed; -1: none. */
int design_any_cell(const struct design *design, int setting, int size);

/* Fill design->fraction and design->ladder. The study has a base. */
int design_find_fraction(struct error *err, struct design *design);
int design_find_ladder(struct error *err, struct design *design);

#endif
