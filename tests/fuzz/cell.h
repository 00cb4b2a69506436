/* The smallest cell there is, for the targets that need one. */
#ifndef TESTS_FUZZ_CELL_H
#define TESTS_FUZZ_CELL_H

#include "jobs/spec.h"

enum { FUZZ_WEIGHTS = 3 }; /* as many as a state of it is said to have */

/* A study of that one cell, from memory; the caller frees it. */
struct spec *fuzz_study(void);

const struct cell *fuzz_cell(void); /* the same one each time */

#endif
