/*
 * Split-plot analysis of variance of a balanced fraction (METHOD §6): size against seeds within sizes,
 * factors and size × factor against the residual. Sums of squares are sequential in the order of the
 * terms, by least squares: blocks (size, then seed within size) are projected out by their means, the
 * rest by Householder reflections without pivoting, a column that adds no rank left out. With all cells
 * present the columns are orthogonal, so that the order does not matter, and their sums alone give the same.
 *
 * A block enters if at least half of the fraction's settings have a value in it, at sizes that have all
 * settings (fraction_at_size): a seed that has only the base, or has just begun, would add the factors'
 * effects to the differences between seeds.
 */
#ifndef RESULTS_ANOVA_H
#define RESULTS_ANOVA_H

#include "results/design.h"

enum anova_kind {
    ANOVA_SIZE,
    ANOVA_SEED, /* within size */
    ANOVA_FACTOR,
    ANOVA_PAIR, /* of factors */
    ANOVA_SIZE_FACTOR,
    ANOVA_SIZE_PAIR,
    ANOVA_RESIDUAL,
    ANOVA_KINDS,
};

struct anova_term {
    enum anova_kind kind;
    int f, g;      /* factors of the fraction; −1: none */
    int df;        /* rank that the term adds: less than designed when cells are missing */
    double ss, ms; /* sum of squares; ms = ss/df */
    double F, p;   /* against its stratum's error; NaN for errors and without df */
};

enum {
    ANOVA_TERMS = 2 + 2 * (FRACTION_FACTORS + FRACTION_FACTORS * (FRACTION_FACTORS - 1) / 2) + 1
};

struct anova {
    int terms;
    struct anova_term term[ANOVA_TERMS]; /* in the order of anova_kind; the residual last */
    struct anova_term kind[ANOVA_KINDS]; /* sums over the terms of a kind, with F and p */
    int cells, missing;                  /* with a value, without, of the blocks that entered */
    int sizes, blocks;                   /* that entered */
    int blocks_left;                     /* with some values, but too few to enter */
    double mean;
    double
        per_seed; /* coefficient of the seeds' variance in E(MS of seeds): cells per block; missing cells: the nested formula */
};

/* Of y (per cell of the table, NaN: missing) over the fraction of `design`; diverged and missing cells are left out.
 * STATUS_FAILED when memory is short; without a fraction, two sizes or an error degree of freedom the affected numbers are NaN. */
int anova_of(struct error *err, const struct design *design, const double *y, struct anova *anova);

/* "size", "seed within size", "dropout", "total decay × clip", "size × dropout", "residual". */
void anova_name(const struct design *design, const struct anova_term *term, char text[96]);

#endif
