#include "results/analysis_columns.h"

#include <stdio.h>

#define IN(type, member)   offsetof(struct type, member)
#define GATE(type, member) IN(type, member), sizeof(((struct type *)0)->member)
#define OPEN               0, 0
#define ASKED              GATE(claim, verdict)
#define MATCHED            GATE(claim, has_matched)
#define WORST              GATE(claim, has_worst)
#define TOLD               GATE(contrast, blocks)
#define KNOWN              GATE(mechanism, known)

#define ANOVA   "METHOD §6: split-plot analysis of variance of log_kl over the balanced fraction"
#define STRATUM ANOVA "; all terms of a kind together"
#define TESTED  ANOVA "; size is tested against seed within size, the rest against the residual"
#define SHARE   "METHOD §6: V/sum(V), not truncated; interval from a bootstrap of the mixed model"
#define EFFECT                                                                                     \
    "METHOD §6: log-ratio of KL (hypothesis 5: per decade of parameters), the claimed direction " \
    "positive; simultaneous t-interval of confidence_of_claims"
#define BY_SIZE   "METHOD §6: where size and effect interact"
#define AT_LOSS   "METHOD §6: minus the base's log_kl at that loss on its ladder of tokens"
#define SLOPE     "METHOD §6: from log KL ~ log N + log D over the base's runs; confidence_of_claims"
#define EARLY     "METHOD §6, C6: over recipes, against the mean of the other seeds; 95 % bootstrap"
#define MECHANISM "METHOD §6, C7: exploratory"
#define RATIO     "METHOD §6, C7: exploratory, 95 %"
#define RESIDUAL  "METHOD §6, C7: setting x size and block removed; 95 % by Fisher's z"
#define SIX       "METHOD §6, C7: Holm over the six tests"
#define EXPLORE   "METHOD §6: exploratory, 95 %"

static const struct column columns[] = {
    {"anova_df", LIST_TERM, COLUMN_COUNT, IN(anova_term, df), OPEN, "degrees of freedom", ANOVA},
    {"anova_ss", LIST_TERM, COLUMN_NUMBER, IN(anova_term, ss), OPEN, "sum of squares", ANOVA},
    {"anova_ms", LIST_TERM, COLUMN_NUMBER, IN(anova_term, ms), OPEN, "mean square", ANOVA},
    {"anova_F", LIST_TERM, COLUMN_NUMBER, IN(anova_term, F), OPEN, "F", TESTED},
    {"anova_p", LIST_TERM, COLUMN_NUMBER, IN(anova_term, p), OPEN, "p of F", TESTED},
    {"stratum_df", LIST_STRATUM, COLUMN_COUNT, IN(anova_term, df), OPEN, "degrees of freedom",
     STRATUM},
    {"stratum_ss", LIST_STRATUM, COLUMN_NUMBER, IN(anova_term, ss), OPEN, "sum of squares",
     STRATUM},
    {"stratum_ms", LIST_STRATUM, COLUMN_NUMBER, IN(anova_term, ms), OPEN, "mean square", STRATUM},
    {"stratum_F", LIST_STRATUM, COLUMN_NUMBER, IN(anova_term, F), OPEN, "F", STRATUM},
    {"stratum_p", LIST_STRATUM, COLUMN_NUMBER, IN(anova_term, p), OPEN, "p of F", STRATUM},

    {"share_estimate", LIST_SHARE, COLUMN_INTERVAL, 0, OPEN, "share of the variance of log_kl",
     SHARE},
    {"share_variance", LIST_SHARE_VARIANCE, COLUMN_NUMBER, 0, OPEN, "the variance itself",
     "METHOD §6: V_T = (SS_T - df_T MS_error)/n"},
    {"factor_share", LIST_FACTOR, COLUMN_NUMBER, 0, OPEN,
     "share of the factor's main effect, part of optimization", "METHOD §6"},
    {"optimization_less_scale", LIST_SHARES, COLUMN_INTERVAL, IN(shares, optimization_less_scale),
     OPEN, "share of optimization less that of scale", SHARE},

    {"effect", LIST_CLAIM, COLUMN_INTERVAL, IN(claim, effect.interval), ASKED, "effect on log_kl",
     EFFECT},
    {"effect_se", LIST_CLAIM, COLUMN_NUMBER, IN(claim, effect.se), ASKED,
     "standard error of the effect", EFFECT},
    {"effect_df", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.interval.df), ASKED,
     "degrees of freedom of the effect's interval", "METHOD §6: sum over sizes of seeds - 1"},
    {"effect_p", LIST_CLAIM, COLUMN_NUMBER, IN(claim, effect.p), ASKED, "p of the effect",
     "METHOD §6: two-sided, against 0, not adjusted"},
    {"effect_blocks", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.blocks), ASKED,
     "blocks that entered", "METHOD §6: a block is a seed of a size"},
    {"effect_sizes", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.sizes), ASKED, "sizes that entered",
     "METHOD §6"},
    {"effect_seeds_least", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.least), ASKED,
     "fewest seeds of a size", "METHOD §6"},
    {"effect_seeds_most", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.most), ASKED,
     "most seeds of a size", "METHOD §6"},
    {"effect_incomplete", LIST_CLAIM, COLUMN_COUNT, IN(claim, effect.incomplete), ASKED,
     "blocks left out", "METHOD §6: because a cell has no value"},
    {"interest", LIST_CLAIM, COLUMN_NUMBER, IN(claim, delta), OPEN, "smallest effect of interest",
     "METHOD §6: log 1.05; of hypothesis 5 log 1.25"},
    {"detectable", LIST_CLAIM, COLUMN_NUMBER, IN(claim, detectable), ASKED,
     "smallest effect that the interval could have told from 0", "METHOD §6: half its width"},
    {"decades", LIST_CLAIM, COLUMN_NUMBER, IN(claim, decades), ASKED,
     "the effect in decades of parameters", "METHOD §6: |effect| over |slope of hypothesis 5|"},
    {"verdict", LIST_CLAIM, COLUMN_VERDICT, IN(claim, verdict), OPEN, "verdict on the claim",
     "METHOD §6: after matching and divergence"},
    {"verdict_of_interval", LIST_CLAIM, COLUMN_VERDICT, IN(claim, plain), OPEN,
     "verdict of the effect's interval alone", "METHOD §6"},
    {"contrast_of_claim", LIST_CLAIM, COLUMN_WORDS, IN(claim, contrast), OPEN, "what is compared",
     "METHOD §6"},
    {"reason", LIST_CLAIM, COLUMN_WORDS, IN(claim, reason), OPEN,
     "why the claim is not asked or undecided", "METHOD §6; empty otherwise"},
    {"matched_effect", LIST_CLAIM, COLUMN_INTERVAL, IN(claim, matched.interval), MATCHED,
     "effect on log_kl at equal loss", AT_LOSS},
    {"matched_verdict", LIST_CLAIM, COLUMN_VERDICT, IN(claim, matched_verdict), MATCHED,
     "verdict of the interval at equal loss", AT_LOSS},
    {"matched_outside", LIST_CLAIM, COLUMN_COUNT, IN(claim, matched_outside), MATCHED,
     "cells whose loss lies beyond the ladder", AT_LOSS},
    {"worst_effect", LIST_CLAIM, COLUMN_INTERVAL, IN(claim, worst.interval), WORST,
     "effect on ranks of log_kl, diverged runs ranked worst",
     "METHOD §6: where diverged runs are among those compared"},
    {"size_p", LIST_CLAIM, COLUMN_NUMBER, IN(claim, size_p), ASKED,
     "p of the interaction of size and effect", "METHOD §6: F test"},
    {"size_effect", LIST_CLAIM_BY_SIZE, COLUMN_INTERVAL, IN(contrast, interval), TOLD,
     "effect on log_kl within one size", BY_SIZE},
    {"size_verdict", LIST_VERDICT_BY_SIZE, COLUMN_VERDICT, 0, OPEN, "verdict within one size",
     BY_SIZE},

    {"delta_loss_effect", LIST_CLAIM_ON_LOSS, COLUMN_INTERVAL, IN(contrast, interval), TOLD,
     "the claim's effect on delta_loss, nats per token",
     "METHOD §4, 6: beside log_kl, without a verdict; confidence_of_claims"},

    {"slope", LIST_MATCHING, COLUMN_INTERVAL, 0, OPEN, "slope of log_kl per decade of parameters",
     SLOPE},
    {"slope_of_tokens", LIST_SLOPES, COLUMN_NUMBER, IN(scale_slopes, per_decade_of_tokens), OPEN,
     "slope of log_kl per decade of tokens", SLOPE},
    {"slope_curvature_p", LIST_SLOPES, COLUMN_NUMBER, IN(scale_slopes, curvature_p), OPEN,
     "p of curvature", "METHOD §6: do squares and product of log N and log D improve the fit?"},

    {"fraction", LIST_EARLY, COLUMN_NUMBER, IN(early_point, fraction), OPEN,
     "fraction of the training run; the last is the noise ceiling", EARLY},
    {"early_rho", LIST_EARLY, COLUMN_INTERVAL, IN(early_point, rho), OPEN,
     "Spearman's rho of log_kl at the fraction and at the end", EARLY},

    {"mechanism_ratio", LIST_PROBE, COLUMN_INTERVAL, IN(mechanism, ratio.interval), KNOWN,
     "log-ratio of the probe", RATIO},
    {"mechanism_ratio_p", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, ratio.p), KNOWN,
     "p of the log-ratio", MECHANISM},
    {"mechanism_ratio_holm", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, ratio_holm), KNOWN,
     "adjusted p of the log-ratio", SIX},
    {"mechanism_r", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, r), KNOWN,
     "residual correlation of log probe and log_kl", RESIDUAL},
    {"mechanism_r_low", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, r_low), KNOWN,
     "lower end of the interval of the residual correlation", RESIDUAL},
    {"mechanism_r_high", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, r_high), KNOWN,
     "upper end of the interval of the residual correlation", RESIDUAL},
    {"mechanism_r_df", LIST_PROBE, COLUMN_COUNT, IN(mechanism, r_df), KNOWN,
     "degrees of freedom of the residual correlation", RESIDUAL},
    {"mechanism_r_p", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, r_p), KNOWN,
     "p of the residual correlation", MECHANISM},
    {"mechanism_r_holm", LIST_PROBE, COLUMN_NUMBER, IN(mechanism, r_holm), KNOWN,
     "adjusted p of the residual correlation", SIX},
    {"mechanism_supported", LIST_PROBE, COLUMN_FLAG, IN(mechanism, supported), KNOWN,
     "ratio and correlation are both in the claimed direction", "METHOD §6, C7: 0.05 after Holm"},
    {"contrast_of_probe", LIST_PROBE, COLUMN_WORDS, IN(mechanism, contrast), OPEN,
     "what is compared", MECHANISM},

    {"contrast_effect", LIST_CONTRAST, COLUMN_INTERVAL, IN(exploratory, effect.interval), OPEN,
     "effect on log_kl of the quantizer", EXPLORE},
    {"contrast_se", LIST_CONTRAST, COLUMN_NUMBER, IN(exploratory, effect.se), OPEN,
     "standard error of the exploratory effect", EXPLORE},
    {"contrast_df", LIST_CONTRAST, COLUMN_COUNT, IN(exploratory, effect.interval.df), OPEN,
     "degrees of freedom of the exploratory effect", EXPLORE},
    {"contrast_p", LIST_CONTRAST, COLUMN_NUMBER, IN(exploratory, effect.p), OPEN,
     "p of the exploratory effect", EXPLORE},
    {"contrast_holm", LIST_CONTRAST, COLUMN_NUMBER, IN(exploratory, holm), OPEN,
     "adjusted p of the exploratory effect", "METHOD §6: Holm within quantizer and checkpoint"},
    {"contrast_blocks", LIST_CONTRAST, COLUMN_COUNT, IN(exploratory, effect.blocks), OPEN,
     "blocks of the exploratory effect", "METHOD §6: a block is a seed of a size"},
    {"contrast_matched_effect", LIST_CONTRAST, COLUMN_INTERVAL, IN(exploratory, matched.interval),
     OPEN, "exploratory effect at equal loss", EXPLORE ", minus the base's log_kl at that loss"},
    {"contrast_matched_blocks", LIST_CONTRAST, COLUMN_COUNT, IN(exploratory, matched.blocks), OPEN,
     "blocks within the base's ladder", "METHOD §6: those of the effect at equal loss"},
    {"contrast_matched_holm", LIST_CONTRAST, COLUMN_NUMBER, IN(exploratory, matched_holm), OPEN,
     "adjusted p of the effect at equal loss", "METHOD §6: Holm within quantizer and checkpoint"},

    {"level_cells", LIST_LEVEL, COLUMN_COUNT, IN(diverged_level, cells), OPEN, "cells of the level",
     "METHOD §6"},
    {"level_diverged", LIST_LEVEL, COLUMN_COUNT, IN(diverged_level, diverged), OPEN,
     "cells of the level that diverged", "METHOD §6"},
};

int analysis_columns(void)
{
    return (int)(sizeof columns / sizeof columns[0]);
}

const struct column *analysis_column(int index)
{
    return &columns[index];
}

/* ---- names ---- */

static void term(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    anova_name(analysis->design, &analysis->anova.term[i], text);
}

static void stratum(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    static const char *const names[ANOVA_KINDS] = {
        "size",           "seed within size",        "factors", "pairs of factors",
        "size × factors", "size × pairs of factors", "residual"};
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", names[i]);
}

static void share(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", share_name((enum share)i));
}

static void factor(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s", recipe_name(analysis->design->fraction.factor[i]));
}

static void factor_base(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    const struct fraction *fraction = &analysis->design->fraction;
    recipe_level(fraction->factor[i], fraction->low[i], text);
}

static void factor_other(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    const struct fraction *fraction = &analysis->design->fraction;
    recipe_level(fraction->factor[i], fraction->high[i], text);
}

static void hypothesis(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", hypothesis_name((enum hypothesis)i));
}

static void claim(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", hypothesis_claim((enum hypothesis)i));
}

static void analysed_size(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s", analysis->effects->size[i].name);
}

static void matching(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    static const char *const names[] = {"equal tokens", "equal tokens per parameter", "equal loss"};
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", names[i]);
}

static void probe(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    (void)analysis;
    snprintf(text, ANALYSIS_LABEL, "%s", table_probe_name((enum table_probe)i));
}

static void contrast(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s", analysis->exploratory[i].contrast);
}

static void contrast_quantizer(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s",
             analysis->table->quantizer[analysis->exploratory[i].quantizer]);
}

static void level(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s", analysis->level[i].level);
}

static void level_factor(const struct analysis *analysis, int i, char text[ANALYSIS_LABEL])
{
    snprintf(text, ANALYSIS_LABEL, "%s", analysis->level[i].factor);
}

static const struct label labels[] = {
    {"term", LIST_TERM, term, "term of the analysis of variance", ANOVA},
    {"stratum", LIST_STRATUM, stratum, "kind of term", ANOVA},
    {"share", LIST_SHARE, share, "part of the variance", SHARE},
    {"factor", LIST_FACTOR, factor, "factor of the balanced fraction", "METHOD §6"},
    {"factor_base", LIST_FACTOR, factor_base, "level of the base recipe", "METHOD §6"},
    {"factor_other", LIST_FACTOR, factor_other, "the other level", "METHOD §6"},
    {"hypothesis", LIST_CLAIM, hypothesis, "hypothesis", "METHOD §6: H"},
    {"claim", LIST_CLAIM, claim, "the claimed direction", "METHOD §0, 6"},
    {"analysed_size", LIST_CLAIM_BY_SIZE, analysed_size, "size", "METHOD §1"},
    {"matching", LIST_MATCHING, matching, "what sizes are compared at", SLOPE},
    {"probe", LIST_PROBE, probe, "probe", "METHOD §5: mean logarithm over layers and sites"},
    {"contrast", LIST_CONTRAST, contrast, "what is compared", EXPLORE},
    {"contrast_quantizer", LIST_CONTRAST, contrast_quantizer, "quantizer", EXPLORE},
    {"level", LIST_LEVEL, level, "level of a factor", "METHOD §6"},
    {"level_factor", LIST_LEVEL, level_factor, "the factor", "METHOD §6"},
};

int analysis_labels(void)
{
    return (int)(sizeof labels / sizeof labels[0]);
}

const struct label *analysis_label(int index)
{
    return &labels[index];
}

const char *analysis_dimension(enum list list)
{
    static const char *const names[LISTS] = {
        [LIST_TERM] = "term",
        [LIST_STRATUM] = "stratum",
        [LIST_SHARE] = "share",
        [LIST_SHARE_VARIANCE] = "share",
        [LIST_FACTOR] = "factor",
        [LIST_CLAIM] = "hypothesis",
        [LIST_CLAIM_BY_SIZE] = "hypothesis",
        [LIST_VERDICT_BY_SIZE] = "hypothesis",
        [LIST_CLAIM_ON_LOSS] = "hypothesis",
        [LIST_MATCHING] = "matching",
        [LIST_EARLY] = "fraction",
        [LIST_PROBE] = "probe",
        [LIST_CONTRAST] = "contrast",
        [LIST_LEVEL] = "level",
    };
    return names[list];
}
