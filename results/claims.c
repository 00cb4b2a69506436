#include "results/claims.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>

#include "results/rank.h"

static const double SIZE_ALPHA = 0.05; /* below it size × contrast is told per size */

/* What all claims of a study are judged by; not owned. */
struct evidence {
    const struct design *design;
    const double *y, *loss;
    double alpha;
    double *matched; /* (cells), y less the base's at that loss */
    bool has_ladder; /* else `matched` holds nothing */
    double *ranks;   /* (cells), scratch */
    double *sorted;  /* (cells), scratch */
    int *list;       /* (cells), scratch: those that are ranked */
};

static bool has_diverged(const struct design *design, int cell)
{
    return cell >= 0 && design->effects->table->cell[cell].status == CELL_DIVERGED;
}

/* ── Divergence ── */

/* List the cells of a setting at a size that have a value or diverged, from `listed` on; returns
 * how many there are then. */
static int list_cells(const struct evidence *evidence, int setting, int size, int listed)
{
    const struct design *design = evidence->design;
    for (int k = 0; k < design->seeds && setting >= 0; k++) {
        int cell = design_cell(design, setting, size, k);
        if (cell >= 0 && (has_diverged(design, cell) || isfinite(evidence->y[cell]))) {
            evidence->list[listed++] = cell;
        }
    }
    return listed;
}

/* Rank the listed cells among each other, diverged ones above all others; returns how many
 * diverged. */
static int rank_list(const struct evidence *evidence, int listed)
{
    int diverged = 0;
    for (int i = 0; i < listed; i++) {
        bool worst = has_diverged(evidence->design, evidence->list[i]);
        evidence->sorted[i] = worst ? INFINITY : evidence->y[evidence->list[i]];
        diverged += worst;
    }
    gsl_sort(evidence->sorted, 1, (size_t)listed);
    for (int i = 0; i < listed; i++) {
        int cell = evidence->list[i];
        bool worst = has_diverged(evidence->design, cell);
        evidence->ranks[cell] =
            rank_of(evidence->sorted, listed, worst ? INFINITY : evidence->y[cell]);
    }
    return diverged;
}

static void forget_ranks(const struct evidence *evidence)
{
    for (int i = 0; i < evidence->design->effects->table->cells; i++) {
        evidence->ranks[i] = NAN;
    }
}

static void judge_diverged(struct claim *claim, int diverged, bool still)
{
    claim->has_worst = true;
    if (claim->verdict == VERDICT_SUPPORTED && !still) {
        claim->verdict = VERDICT_UNDECIDED_DIVERGED;
        snprintf(claim->reason, sizeof claim->reason,
                 "no longer supported when %d diverged run%s count%s as the worst", diverged,
                 diverged == 1 ? "" : "s", diverged == 1 ? "s" : "");
    }
}

/* Is a recipe's effect still there on ranks within sizes? */
static void count_worst(const struct evidence *evidence, struct claim *claim)
{
    const struct weights *weights = &claim->weights;
    int diverged = 0;
    forget_ranks(evidence);
    for (int s = 0; s < evidence->design->effects->sizes; s++) {
        int listed = 0;
        for (int i = 0; i < weights->settings; i++) {
            listed = list_cells(evidence, weights->setting[i], s, listed);
        }
        diverged += rank_list(evidence, listed);
    }
    if (diverged > 0) {
        claim->worst = contrast_of(evidence->design, evidence->ranks, weights, EFFECTS_ALL_SIZES,
                                   evidence->alpha);
        judge_diverged(claim, diverged, claim->worst.interval.low > 0);
    }
}

/* ── H1–H4 ── */

/* Means of the sizes' blocks against the pooled variance within sizes: S − 1 and Σ(n_s − 1) df. */
static void judge_sizes(const struct evidence *evidence, struct claim *claim)
{
    int sizes = evidence->design->effects->sizes, found = 0, df = 0;
    double sum = 0, weight = 0, squares = 0, variance = NAN;
    for (int s = 0; s < sizes; s++) {
        struct contrast one =
            contrast_of(evidence->design, evidence->y, &claim->weights, s, evidence->alpha);
        if (one.blocks == 0) {
            continue;
        }
        double step = one.interval.estimate - (weight > 0 ? sum / weight : 0);
        squares += step * step * one.blocks * weight / (weight + one.blocks);
        sum += one.blocks * one.interval.estimate;
        weight += one.blocks;
        variance = one.se * one.se * one.blocks;
        df = one.interval.df;
        found++;
    }
    claim->size_p = found > 1 && df > 0
                        ? gsl_cdf_fdist_Q(squares / (found - 1) / variance, found - 1, df)
                        : NAN;
    if (!(claim->size_p < SIZE_ALPHA)) {
        return;
    }
    claim->sizes = sizes < CLAIM_SIZES ? sizes : CLAIM_SIZES;
    for (int s = 0; s < claim->sizes; s++) {
        claim->by_size[s] =
            contrast_of(evidence->design, evidence->y, &claim->weights, s, evidence->alpha);
        claim->size_verdict[s] =
            verdict_of(claim->hypothesis, &claim->by_size[s].interval, claim->delta);
    }
}

static void judge_matched(const struct evidence *evidence, struct claim *claim)
{
    const struct design *design = evidence->design;
    const struct weights *weights = &claim->weights;
    if (!evidence->has_ladder) {
        return;
    }
    for (int i = 0; i < weights->settings; i++) {
        for (int s = 0; s < design->effects->sizes; s++) {
            for (int k = 0; k < design->seeds; k++) {
                int cell = design_cell(design, weights->setting[i], s, k);
                claim->matched_outside += cell >= 0 && isfinite(evidence->y[cell]) &&
                                          isfinite(evidence->loss[cell]) &&
                                          !isfinite(evidence->matched[cell]);
            }
        }
    }
    claim->matched =
        contrast_of(design, evidence->matched, weights, EFFECTS_ALL_SIZES, evidence->alpha);
    claim->has_matched = claim->matched.blocks > 0;
    if (!claim->has_matched) {
        return;
    }
    claim->matched_verdict = verdict_of(claim->hypothesis, &claim->matched.interval, claim->delta);
    const bool both_small =
        claim->effect.interval.high < claim->delta && claim->matched.interval.high < claim->delta &&
        claim->plain != VERDICT_OPPOSITE && claim->matched_verdict != VERDICT_OPPOSITE;
    if (!both_small && /* above 0 and below δ, and below δ alone, agree */
        ((claim->plain == VERDICT_SUPPORTED && verdict_contradicts(claim->matched_verdict)) ||
         (claim->matched_verdict == VERDICT_SUPPORTED && verdict_contradicts(claim->plain)))) {
        claim->verdict = VERDICT_UNDECIDED_MATCHING;
        snprintf(claim->reason, sizeof claim->reason, "%s at equal tokens, %s at equal loss",
                 verdict_name(claim->plain), verdict_name(claim->matched_verdict));
    }
}

/* The verdict of the interval, and why there is none. */
static void judge_plain(struct claim *claim)
{
    const struct contrast *effect = &claim->effect;
    claim->verdict = claim->plain = verdict_of(claim->hypothesis, &effect->interval, claim->delta);
    claim->detectable = interval_detectable(&effect->interval);
    if (claim->plain == VERDICT_SUPPORTED && claim->hypothesis != H5 &&
        effect->interval.high < claim->delta) {
        snprintf(claim->reason, sizeof claim->reason,
                 "but smaller than the smallest effect of interest");
    }
    if (claim->plain != VERDICT_UNDECIDED) {
        return;
    }
    if (effect->blocks == 0) {
        snprintf(claim->reason, sizeof claim->reason,
                 "no seed of any size has finished all runs that it compares");
    } else if (claim->hypothesis == H5 && effect->sizes < 2) {
        snprintf(claim->reason, sizeof claim->reason, "fewer than two sizes have finished runs");
    } else if (effect->interval.df <= 0) {
        snprintf(claim->reason, sizeof claim->reason,
                 "one seed per size tells nothing of its error; it needs two");
    } else {
        snprintf(claim->reason, sizeof claim->reason,
                 "the interval holds both %s and effects of interest",
                 claim->hypothesis == H5 ? "slopes without" : "0");
    }
}

/* Where a recipe diverged with every seed, further seeds do not decide. */
static void judge_lost(const struct evidence *evidence, struct claim *claim)
{
    const struct design *design = evidence->design;
    const struct weights *weights = &claim->weights;
    bool open = false;
    for (int b = 0; b < design->effects->sizes * design->seeds && !open; b++) {
        bool lost = false, any = false;
        for (int i = 0; i < weights->settings; i++) {
            int cell =
                design_cell(design, weights->setting[i], b / design->seeds, b % design->seeds);
            any |= cell >= 0;
            lost |= cell >= 0 && has_diverged(design, cell);
        }
        open = any && !lost;
    }
    if (claim->effect.blocks == 0 && !open) {
        claim->verdict = VERDICT_UNDECIDED_DIVERGED;
        snprintf(claim->reason, sizeof claim->reason,
                 "with every seed of every size a run that it compares diverged");
    }
}

static void judge_recipe(struct evidence *evidence, struct claim *claim)
{
    if (!hypothesis_weights(evidence->design, claim->hypothesis, &claim->weights, claim->contrast,
                            claim->reason)) {
        return;
    }
    claim->effect = contrast_of(evidence->design, evidence->y, &claim->weights, EFFECTS_ALL_SIZES,
                                evidence->alpha);
    judge_plain(claim);
    judge_lost(evidence, claim);
    judge_sizes(evidence, claim);
    judge_matched(evidence, claim);
    count_worst(evidence, claim);
}

/* ── H5 ── */

/* Does the slope not rise on ranks among all runs of the diagonal? */
static void count_worst_of_diagonal(const struct evidence *evidence, struct claim *claim)
{
    const int *diagonal = evidence->design->ladder.diagonal;
    int listed = 0;
    forget_ranks(evidence);
    for (int s = 0; s < evidence->design->effects->sizes; s++) {
        listed = list_cells(evidence, diagonal[s], s, listed);
    }
    int diverged = rank_list(evidence, listed);
    if (diverged > 0) {
        claim->worst = contrast_slope(evidence->design, evidence->ranks, diagonal, evidence->alpha);
        judge_diverged(claim, diverged, claim->worst.interval.estimate <= 0);
    }
}

static void judge_scale(const struct evidence *evidence, struct claim *claim)
{
    const struct ladder *ladder = &evidence->design->ladder;
    if (evidence->design->effects->sizes < 2) {
        snprintf(claim->reason, sizeof claim->reason, "the study has one size");
        return;
    }
    if (ladder->diagonal_sizes < 2) {
        snprintf(claim->reason, sizeof claim->reason,
                 "the base's sizes were not trained on equal tokens per parameter");
        return;
    }
    double middle = sqrt(ladder->least * ladder->most);
    snprintf(claim->contrast, sizeof claim->contrast,
             "per decade of parameters, %.3g tokens per parameter", middle);
    claim->effect =
        contrast_slope(evidence->design, evidence->y, ladder->diagonal, evidence->alpha);
    judge_plain(claim);
    count_worst_of_diagonal(evidence, claim);
}

/* ── All ── */

static int find_evidence(struct error *err, struct evidence *evidence)
{
    int status = STATUS_OK;
    const struct design *design = evidence->design;
    size_t cells = (size_t)design->effects->table->cells;
    evidence->matched = malloc(cells * sizeof *evidence->matched);
    evidence->ranks = malloc(cells * sizeof *evidence->ranks);
    evidence->sorted = malloc(cells * sizeof *evidence->sorted);
    evidence->list = malloc(cells * sizeof *evidence->list);
    CHECK(err,
          evidence->matched != NULL && evidence->ranks != NULL && evidence->sorted != NULL &&
              evidence->list != NULL,
          STATUS_FAILED, "out of memory for the claims of %zu cells", cells);
    evidence->has_ladder = design->ladder.settings > 1;
    if (evidence->has_ladder) {
        int outside;
        TRY(matching_residuals(err, design, evidence->y, evidence->loss, evidence->matched,
                               &outside));
    }
cleanup:
    return status;
}

int claims_of(struct error *err, const struct design *design, const double *y, const double *loss,
              double alpha, struct claims *claims)
{
    int status = STATUS_OK;
    struct evidence evidence = {.design = design, .y = y, .loss = loss, .alpha = alpha};
    *claims = (struct claims){.alpha = alpha, .from_fraction = design->has_fraction};
    TRY(find_evidence(err, &evidence));
    claims->decided = true;
    for (int h = 0; h < HYPOTHESES; h++) {
        struct claim *claim = &claims->claim[h];
        claim->hypothesis = (enum hypothesis)h;
        claim->delta = hypothesis_delta(claim->hypothesis);
        claim->effect = claim->matched = claim->worst = contrast_none;
        claim->detectable = claim->decades = claim->size_p = NAN;
        if (h == H5) {
            judge_scale(&evidence, claim);
        } else {
            judge_recipe(&evidence, claim);
        }
        claims->decided = claims->decided && claim->verdict != VERDICT_UNDECIDED;
    }
    double slope = claims->claim[H5].effect.interval.estimate;
    const bool slope_known = interval_sign(&claims->claim[H5].effect.interval) != 0;
    for (int h = 0; h < H5; h++) {
        struct claim *claim = &claims->claim[h];
        claim->decades = slope_known ? fabs(claim->effect.interval.estimate) / fabs(slope) : NAN;
    }
    TRY(matching_slopes(err, design, y, loss, alpha, &claims->slopes));
cleanup:
    free(evidence.matched);
    free(evidence.ranks);
    free(evidence.sorted);
    free(evidence.list);
    return status;
}
