/*
 * The design of a study as METHOD §6 looks at it: which recipe factor each setting changes, which settings form a
 * balanced fraction, and the base's ladder of tokens. Built on the groups of results/effects.h.
 *
 * A block is one seed of one size (METHOD §6: seeds are nested in size); its cells share initialization and data order.
 */
#ifndef RESULTS_DESIGN_H
#define RESULTS_DESIGN_H

#include "results/effects.h"

enum recipe {
    RECIPE_DECAY,
    RECIPE_DROPOUT,
    RECIPE_CLIP,
    RECIPE_PRECISION,
    RECIPE_RATE,
    RECIPE_SCHEDULE,
    RECIPE_TOKENS,
    RECIPES,
};

/* A setting's recipe. A factor is changed if it differs from the base of the same size: decay by the one of Λ and λ that the study
 * holds when rate or length change, rate by its ratio to the base's. */
struct design_setting {
    unsigned changed; /* bit 1u << enum recipe */
    double value
        [RECIPES]; /* Λ; p; clip, 0 = none; enum precision; times the base's rate; enum schedule; tokens. NaN: varies by size */
};

enum { FRACTION_FACTORS = 5, FRACTION_SETTINGS = 32 };

/* A balanced two-level design: a full factorial 2^k, or the half fraction of resolution V in which the product of all signs is
 * the base's (2^(5−1): E = −ABCD). Main effects and two-factor interactions are orthogonal.
 *
 * Of all such designs in the study's settings (levels that settings with two or more changed factors have; tokens are never a
 * factor) it is the one with the most settings × sizes at which all of them have cells; of equals, the first in the order of factors and
 * of appearance of the levels. */
struct fraction {
    int factors; /* k, 2 … FRACTION_FACTORS; of a half fraction 5 */
    enum recipe factor[FRACTION_FACTORS];
    double low[FRACTION_FACTORS], high[FRACTION_FACTORS]; /* low: the base's */
    int settings;
    int setting[FRACTION_SETTINGS]; /* indices of effects->setting; the base first */
    signed char sign[FRACTION_SETTINGS][FRACTION_FACTORS]; /* −1 the base's level, +1 the other */
};

/* Are main effects and pairs all that its settings can differ by? So the half fraction 2^(5−1), and 2^2; of larger full
 * designs interactions of three factors would be taken for noise. */
bool fraction_saturated(const struct fraction *fraction);

/* The base recipe with other numbers of tokens. */
struct ladder {
    int settings;
    int *setting; /* the base and those that change RECIPE_TOKENS alone */
    int *
        diagonal; /* (sizes): setting whose run of that size has the common tokens per parameter; −1: none */
    int diagonal_sizes; /* sizes on it; a diagonal needs two */
    double least, most; /* tokens per parameter along it; at most 15 % apart */
};

struct design {
    const struct effects *effects;  /* not owned */
    struct design_setting *setting; /* (settings of effects) */
    int seeds;
    uint64_t *seed; /* (seeds), ascending */
    int *cell;      /* (settings, sizes, seeds): index of the table's cell; −1: none */
    bool has_fraction;
    struct fraction fraction;
    struct ladder ladder;
};

/* STATUS_FAILED only when memory is short: a study without a fraction or a ladder is a study. Free with design_free. `effects` must
 * outlive the result. */
int design_open(struct error *err, const struct effects *effects, struct design **design);
void design_free(struct design *design); /* NULL is fine */

/* Does each setting of the fraction have a cell at this size? Others (a size with the base alone) are no part of it. */
bool fraction_at_size(const struct design *design, const struct fraction *fraction, int size);

/* Is the setting one of the fraction's? */
bool design_in_fraction(const struct design *design, int setting);

/* Is it one of the ladder's, that is the base at some number of tokens? */
bool design_is_rung(const struct design *design, int setting);

/* The table's cell, −1: none. */
int design_cell(const struct design *design, int setting, int size, int seed);

/* "total decay", "weight decay" …, and a level as a reader knows it: "0.005", "none", "fp16", "0.333 η*". */
const char *recipe_name(enum recipe recipe);
void recipe_level(enum recipe recipe, double value, char text[32]);

/* "total decay 0.005 − 0.5" */
void recipe_contrast(enum recipe recipe, double level, double less, char text[96]);

#endif
