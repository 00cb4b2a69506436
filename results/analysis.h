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

struct analysis_options {
    const char *quantizer; /* NULL: w8a8, or the study's first */
    double alpha;          /* of a confirmatory interval; 0: 0.05/7 */
};

/* An exploratory effect: factor of the fraction (or setting against the base) on log KL of a quantizer. */
struct exploratory {
    int quantizer;
    struct weights weights;
    char contrast[96];
    struct contrast effect; /* 95 % */
    double holm;            /* p adjusted within quantizer and checkpoint */
};

struct diverged_level {
    char factor[32], level[32];
    int cells, diverged;
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
    struct early early;
    struct mechanism mechanism[TABLE_PROBES];
    int exploratories;
    struct exploratory *exploratory; /* all quantizers but the primary, quantizer by quantizer */
    int levels;
    struct diverged_level *level; /* of every changed factor and level */
    int diverged;
};

/* The table must outlive the result. STATUS_FAILED if it contradicts itself, STATUS_USAGE if it has no such quantizer. */
int analysis_open(struct error *err, const struct table *table,
                  const struct analysis_options *options, struct analysis **analysis);
void analysis_free(struct analysis *analysis); /* NULL is fine */

/* The answer in one or two sentences: does scale or optimization explain the degradation, by how much, how sure. */
void analysis_headline(const struct analysis *analysis, char text[1024]);

#endif
