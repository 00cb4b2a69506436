/* Do two records of a cell agree, bit for bit, in what belongs to its result (results/schema.h: SCHEMA_RESULT)? */
#ifndef RESULTS_COMPARE_H
#define RESULTS_COMPARE_H

#include "results/schema.h"

enum comparison {
    COMPARISON_SAME,
    COMPARISON_DIFFERENT,
    COMPARISON_FIRST_LACKS, /* the whole of a variable that a file may lack */
    COMPARISON_SECOND_LACKS,
};

enum { DIFFERENCE_TEXT = 512 };

struct difference {
    size_t values, differing; /* how many were compared, how many of them differ */
    char
        text[DIFFERENCE_TEXT]; /* "kl (checkpoint 1, quantizer w4) is 0.1 and 0.2": the first; "" */
};

/* One entry of the schema of role SCHEMA_RESULT. NaN is as good as NaN. */
enum comparison compare_entry(const struct schema_entry *entry, const struct cell *cell,
                              const struct record *a, const struct record *b,
                              struct difference *difference);

#endif
