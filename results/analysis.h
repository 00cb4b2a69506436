/*
 * The whole analysis of a study (METHOD §6) for one quantizer at the final checkpoint: what the report prints, report.html draws and the
 * group /analysis of study.nc keeps.
 */
#ifndef RESULTS_ANALYSIS_H
#define RESULTS_ANALYSIS_H

#include "results/claims.h"
#include "results/early.h"
#include "results/mechanism.h"
#include "results/shares.h"

/* Of each confirmatory interval, unless a look may spend less (results/spending.h). */
#define ANALYSIS_ALPHA (0.05 / HYPOTHESES)

struct analysis_options {
    const char *quantizer; /* NULL: w8a8, or the study's first */
    double
        alpha; /* of a confirmatory interval; 0: ANALYSIS_ALPHA, or the look's (spending_level_of) */
};

/* An exploratory effect on log KL of a quantizer: a factor of the fraction (of the primary quantizer only those that no claim is about), or
 * a setting beside the fraction against the base. */
struct exploratory {
    int quantizer;
    struct weights weights;
    char contrast[96];
    struct contrast effect;    /* 95 % */
    struct contrast matched;   /* the same at equal loss, of the blocks within the base's ladder */
    double holm, matched_holm; /* p adjusted within quantizer and checkpoint */
};

struct diverged_level {
    char factor[32], level[32];
    int cells, diverged; /* done or diverged; diverged */
};

struct analysis {
    const struct table *table; /* not owned */
    struct effects *effects;   /* owned, as all below */
    struct design *design;
    int quantizer, checkpoint;
    double *log_kl, *loss, *matched; /* (cells), at the final checkpoint; NaN: none */
    bool has_shares;
    struct anova anova;
    struct shares shares;
    struct claims claims;
    /* H1–H5 on Δloss (nats per token), at the claims' level: stands beside KL, has no verdict. */
    struct contrast delta_loss[HYPOTHESES];
    struct early early;
    struct mechanism mechanism[TABLE_PROBES];
    int exploratories;
    struct exploratory *exploratory; /* quantizer by quantizer */
    int levels;
    struct diverged_level *level; /* of every changed factor and level */
    int diverged;
};

/* The table must outlive the result. STATUS_FAILED if it contradicts itself, STATUS_USAGE if it has no such quantizer. */
int analysis_open(struct error *err, const struct table *table,
                  const struct analysis_options *options, struct analysis **analysis);
void analysis_free(struct analysis *analysis); /* NULL is fine */

/* Index of the quantizer of that name (NULL: w8a8, or the first). STATUS_USAGE if the table has none of that name. */
int analysis_quantizer(struct error *err, const struct table *table, const char *name,
                       int *quantizer);

/* A setting against the base at equal loss, 95 %: of the blocks whose loss lies within the base's ladder. contrast_none for the ladder's own
 * settings, which others are matched with. */
struct contrast analysis_matched_setting(const struct analysis *analysis, int setting);

/* Why there are no shares (has_shares is false), in a sentence. */
const char *analysis_no_shares(const struct analysis *analysis);

/* The answer in one or two sentences: does scale or optimization explain the degradation, by how much, how sure. */
void analysis_headline(const struct analysis *analysis, char text[1024]);

#endif
