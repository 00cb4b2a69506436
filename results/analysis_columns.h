/* The variables of the group /analysis, as a table: members of structs of results/analysis.h. Private to results/analysis_*.c. */
#ifndef RESULTS_ANALYSIS_COLUMNS_H
#define RESULTS_ANALYSIS_COLUMNS_H

#include "results/analysis.h"

/* What a variable is one value per, and of which struct: its dimension. */
enum list {
    LIST_TERM,            /* struct anova_term */
    LIST_STRATUM,         /* the same */
    LIST_SHARE,           /* struct interval */
    LIST_SHARE_VARIANCE,  /* double */
    LIST_FACTOR,          /* double: of_factor */
    LIST_SHARES,          /* struct shares; no dimension */
    LIST_CLAIM,           /* struct claim */
    LIST_CLAIM_BY_SIZE,   /* struct contrast, within struct claim */
    LIST_VERDICT_BY_SIZE, /* enum verdict, within struct claim */
    LIST_CLAIM_ON_LOSS,   /* struct contrast */
    LIST_MATCHING,        /* struct interval */
    LIST_SLOPES,          /* struct scale_slopes; no dimension */
    LIST_EARLY,           /* struct early_point */
    LIST_PROBE,           /* struct mechanism */
    LIST_CONTRAST,        /* struct exploratory */
    LIST_LEVEL,           /* struct diverged_level */
    LISTS,
};

enum column_kind {
    COLUMN_NUMBER,   /* double */
    COLUMN_INTERVAL, /* struct interval: three variables, NAME, NAME_low and NAME_high */
    COLUMN_COUNT,    /* int */
    COLUMN_FLAG,     /* bool */
    COLUMN_VERDICT,  /* enum verdict */
    COLUMN_WORDS,    /* char[] */
};

struct column {
    const char *name;
    enum list list;
    enum column_kind kind;
    size_t offset;          /* in the list's struct */
    size_t gate, gate_size; /* a member that is 0 where there is no value; gate_size 0: none */
    const char *long_name, *comment;
};

int analysis_columns(void);
const struct column *analysis_column(int index);

/* Names: a variable of text. That of a dimension's own name is its coordinate. */
enum { ANALYSIS_LABEL = 192 };

struct label {
    const char *name;
    enum list list;
    void (*text)(const struct analysis *analysis, int index, char text[ANALYSIS_LABEL]);
    const char *long_name, *comment;
};

int analysis_labels(void);
const struct label *analysis_label(int index);

/* Name of a list's own dimension: "term"; of the lists by size their first; NULL: none. */
const char *analysis_dimension(enum list list);

#endif
