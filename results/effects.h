/*
 * Statistics of a study (METHOD §6, "plain units"): the paired effect of a setting against the base
 * recipe, and the slope per decade of parameters. All logarithms are natural.
 *
 * A pair is a cell and the base's cell of the same size and seed: both share initialization and data order, so their
 * difference is free of the seed's own effect. A pair counts only if both runs are done and both responses are
 * finite; what drops out is counted in the effect, by reason.
 */
#ifndef RESULTS_EFFECTS_H
#define RESULTS_EFFECTS_H

#include "jobs/error.h"
#include "results/table.h"

enum response {
    RESPONSE_LOG_KL, /* log of nats per token; undefined where KL ≤ 0. The primary response. */
    RESPONSE_DELTA_LOSS,             /* nats per token */
    RESPONSE_LOSS,                   /* nats per token, fp32; the quantizer does not matter */
    RESPONSE_RELATIVE_LOSS_INCREASE, /* CE_q / CE − 1 */
    RESPONSE_TOP1_AGREEMENT,         /* fraction of positions */
};

enum { EFFECTS_ALL_SIZES = -1 };

/* An estimate with its two-sided 95 % t-interval. */
struct interval {
    double estimate;  /* NaN: nothing to estimate from */
    double low, high; /* NaN: no degrees of freedom, hence no interval */
    int df;
};

struct effect {
    struct interval interval; /* response of the setting − response of the base */
    int pairs;                /* that entered */
    int sizes;                /* with at least one pair */
    int least, most;          /* pairs (seeds) per size with at least one */
    int unfinished; /* cells dropped: they or their base cell are missing, failed or diverged */
    int unmeasured; /* cells dropped: the response was not measured or is not finite */
    int undefined;  /* cells dropped: KL ≤ 0, which has no logarithm */
};

struct slope {
    struct interval interval; /* response per decade of parameters */
    int cells, sizes;         /* that entered */
    int undefined;            /* finished cells dropped: KL ≤ 0 */
};

struct mean {
    double mean, sd; /* over cells; NaN without cells, sd NaN with one */
    int cells;
    int undefined; /* finished cells dropped: KL ≤ 0 */
};

struct effects_size {
    char name[CELL_NAME];
    double parameters;
};

struct effects_setting {
    char label[CELL_LABEL];
    int cells[CELL_QUARANTINED + 1]; /* by enum cell_status */
    int total;
};

/* A table with its cells grouped. */
struct effects {
    const struct table *table; /* not owned */
    int sizes;
    struct effects_size *size; /* ascending parameters */
    int settings;
    struct effects_setting *setting; /* the base first, then in order of appearance */
    int base;                        /* 0, or −1 if the table has no cell of the base recipe */
    int *size_of, *setting_of;       /* (cells) */
    int *base_of;    /* (cells): the base's cell of the same size and seed; −1: none */
    int *order;      /* (cells), by setting, size, seed */
    int *start;      /* (settings + 1): each setting's part of `order` */
    double *scratch; /* (2 · cells): for effects_slope */
};

/* Check the table and group its cells. STATUS_FAILED if it is empty or contradicts itself (the message says
 * where). The table must outlive the result. Free with effects_free. */
int effects_open(struct error *err, const struct table *table, struct effects **effects);
void effects_free(struct effects *effects); /* NULL is fine */

/* How many cells have the status. */
int effects_count(const struct effects *effects, enum cell_status status);

/* Response of one cell; NaN if it was not measured or has no logarithm. */
double effects_value(const struct effects *effects, int cell, enum response response, int quantizer,
                     int checkpoint);

/* Of all cells, into out (cells). */
void effects_values(const struct effects *effects, enum response response, int quantizer,
                    int checkpoint, double *out);

/* Effect of `setting` against the base: the mean over sizes of each size's mean paired difference d. With n_s pairs in
 * size s, S sizes and the pooled variance s² = ΣΣ(d − d̄_s)² / Σ(n_s − 1),
 *
 *     estimate ± t(0.975, df)·√(s²·Σ(1/n_s)) / S,   df = Σ(n_s − 1)   (METHOD §6; S(n−1) with equal n).
 *
 * A size with one pair adds to the mean but not to df. The interval is about the sizes of the study, not about
 * sizes in general. `size` restricts it to one size (EFFECTS_ALL_SIZES: none). */
struct effect effects_of(const struct effects *effects, int setting, enum response response,
                         int quantizer, int checkpoint, int size);

/* Least squares of the base's cells on log10(parameters), df = cells − 2. Needs two sizes and three cells for an
 * interval, two sizes for an estimate. */
struct slope effects_slope(const struct effects *effects, enum response response, int quantizer,
                           int checkpoint);

/* Mean over the finished cells of a setting and size. */
struct mean effects_mean(const struct effects *effects, int setting, int size,
                         enum response response, int quantizer, int checkpoint);

/* Mean over sizes of effects_mean, with the interval of effects_of: seeds within sizes, pooled. *cells: that entered. */
struct interval effects_level(const struct effects *effects, int setting, enum response response,
                              int quantizer, int checkpoint, int *cells);

/* Half the width of an interval: the smallest effect that it could have told from 0. NaN without one. */
double interval_detectable(const struct interval *interval);

/* −1: the interval lies below 0; +1: above; 0: it contains 0 or there is none. */
int interval_sign(const struct interval *interval);

#endif
