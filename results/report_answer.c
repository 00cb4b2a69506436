/* The answer: shares of the variance, and a verdict per claim of the paper (METHOD §6). */
#include "results/cost.h"
#include "results/report_parts.h"

#include <math.h>
#include <string.h>

#define DASH "\xe2\x80\x94"
#define LEAD "  * "

/* "0.0001", "< 0.0001" */
static struct text p_value(double p)
{
    struct text text = text_significant(p, 2);
    if (p < 1e-4) {
        snprintf(text.s, sizeof text.s, "< 0.0001");
    }
    return text;
}

/* ── Shares ── */

static void add_share(struct text_table *columns, const char *name, const struct interval *share,
                      const struct anova_term *test)
{
    text_table_add(columns, "%s", name);
    if (share->df == 0 && isnan(share->low)) {
        text_table_add(columns, "%s", text_fixed(100 * share->estimate, 1, false).s);
    } else {
        text_table_add(columns, "%s [%s, %s]", text_fixed(100 * share->estimate, 1, false).s,
                       text_fixed(100 * share->low, 1, false).s,
                       text_fixed(100 * share->high, 1, false).s);
    }
    if (test == NULL || isnan(test->F)) {
        text_table_add(columns, "%s", test == NULL ? "" : DASH);
        text_table_add(columns, "%s", "");
    } else {
        text_table_add(columns, "%s", text_significant(test->F, 3).s);
        text_table_add(columns, "%s", p_value(test->p).s);
    }
}

static int print_shares(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct analysis *analysis = report->analysis;
    const struct shares *shares = &analysis->shares;
    const struct anova *anova = &analysis->anova;
    const struct fraction *fraction = &analysis->design->fraction;
    static const enum anova_kind tests[SHARES] = {ANOVA_SIZE, ANOVA_FACTOR, ANOVA_SIZE_FACTOR,
                                                  ANOVA_SEED};
    if (!analysis->has_shares) {
        goto cleanup;
    }
    char missing[96] = "";
    if (anova->missing > 0 || anova->blocks_left > 0) {
        snprintf(missing, sizeof missing, " (%d missing or diverged, %d seeds of sizes left out)",
                 anova->missing, anova->blocks_left);
    }
    fputc('\n', report->out);
    text_say(
        report->out, "",
        "Shares of the variance of log KL (%s, end of training, equal tokens) over these sizes and "
        "levels, from %d runs%s of %d settings \xc3\x97 %d sizes \xc3\x97 seeds; F of what stands "
        "first in each, against its own error",
        report->table->quantizer[report->quantizer], anova->cells, missing, fraction->settings,
        anova->sizes);
    TRY(text_table_open(err, "lrrr", 1, &columns));
    static const char *const head[] = {"", "share, % [95 %]", "F", "p"};
    TEXT_ADD_HEAD(columns, head);
    for (int s = 0; s < SHARES; s++) {
        add_share(columns, share_name((enum share)s), &shares->share[s],
                  s == SHARE_SEED ? NULL : &anova->kind[tests[s]]);
        for (int f = 0; s == SHARE_OPTIMIZATION && f < fraction->factors; f++) {
            char name[64];
            const struct interval alone = {shares->of_factor[f], NAN, NAN, 0};
            const struct anova_term *term = NULL;
            for (int t = 0; t < anova->terms; t++) {
                if (anova->term[t].kind == ANOVA_FACTOR && anova->term[t].f == f) {
                    term = &anova->term[t];
                }
            }
            snprintf(name, sizeof name, "  of it %s", recipe_name(fraction->factor[f]));
            add_share(columns, name, &alone, term);
        }
    }
    TRY(text_table_print(err, report->out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

/* ── Claims ── */

/* As verdict_name, in the width of a column. */
static const char *short_verdict(enum verdict verdict)
{
    return verdict == VERDICT_UNDECIDED_MATCHING   ? "undecided (matching)"
           : verdict == VERDICT_UNDECIDED_DIVERGED ? "undecided (diverged)"
           : verdict == VERDICT_NEGLIGIBLE         ? "negligible"
           : verdict == VERDICT_OPPOSITE           ? "opposite"
                                                   : verdict_name(verdict);
}

static void add_claim(struct text_table *columns, const struct claim *claim)
{
    const bool asked = claim->verdict != VERDICT_NOT_ASKED;
    text_table_add(columns, "%s", hypothesis_name(claim->hypothesis));
    text_table_add(columns, "%s",
                   asked                     ? claim->contrast
                   : claim->hypothesis == H5 ? "no growth with size"
                                             : hypothesis_claim(claim->hypothesis));
    text_table_add(columns, "%s", short_verdict(claim->verdict));
    if (claim->effect.blocks > 0 && claim->effect.least < claim->effect.most) {
        text_table_add(columns, "%d\xe2\x80\x93%d\xc3\x97%d", claim->effect.least,
                       claim->effect.most, claim->effect.sizes);
    } else if (claim->effect.blocks > 0) {
        text_table_add(columns, "%d\xc3\x97%d", claim->effect.most, claim->effect.sizes);
    } else {
        text_table_add(columns, "%s", DASH);
    }
    text_table_add(columns, "%s",
                   asked ? report_claim_effect(claim->hypothesis, &claim->effect.interval).s
                         : DASH);
}

static void add_companions(struct text_table *columns, const struct claim *claim,
                           const struct interval *on_loss, bool ladder, bool decades)
{
    text_table_add(columns, "%s", hypothesis_name(claim->hypothesis));
    if (claim->has_matched) {
        text_table_add(columns, "%s", short_verdict(claim->matched_verdict));
        text_table_add(columns, "%s",
                       report_claim_effect(claim->hypothesis, &claim->matched.interval).s);
        text_table_add(columns, "%d", claim->matched_outside);
    } else {
        for (int i = 0; ladder && i < 3; i++) {
            text_table_add(columns, "%s", DASH);
        }
    }
    text_table_add(columns, "%s", report_milli_interval(on_loss).s);
    if (decades) {
        text_table_add(columns, "%s", text_significant(claim->decades, 2).s);
    }
}

/* What stands beside each claim: the effect at equal loss, if the base has a ladder, and that on the loss itself; and how many decades of
 * parameters do the same, if 5 says what one does. */
static int print_companions(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct analysis *analysis = report->analysis;
    const bool ladder = report_has_ladder(analysis);
    bool decades = false;
    int rows = 0;
    for (int h = 0; h < HYPOTHESES; h++) {
        decades |= isfinite(analysis->claims.claim[h].decades);
    }
    char alignment[8] = "";
    snprintf(alignment, sizeof alignment, "l%sr%s", ladder ? "lrr" : "", decades ? "r" : "");
    TRY(text_table_open(err, alignment, 2, &columns));
    static const char *const head[] = {"",
                                       "at equal",
                                       "effect, %, against base",
                                       "beyond",
                                       "effect on " REPORT_DELTA "loss,",
                                       "in",
                                       "",
                                       "loss it is",
                                       "runs of equal loss",
                                       "the ladder",
                                       REPORT_UNIT " nats per token",
                                       "decades"};
    text_table_add_heads(columns, head, 2, 6,
                         (ladder ? 0 : 1U << 1 | 1U << 2 | 1U << 3) | (decades ? 0 : 1U << 5));
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &analysis->claims.claim[h];
        const struct interval *on_loss = &analysis->delta_loss[h].interval;
        if (claim->has_matched || isfinite(on_loss->estimate)) {
            add_companions(columns, claim, on_loss, ladder, decades);
            rows++;
        }
    }
    if (rows > 0) {
        fputc('\n', report->out);
        text_say(report->out, "",
                 "Beside them, with the same intervals: %sthe effect on " REPORT_DELTA
                 "loss, quantized less full%s%s",
                 ladder
                     ? "the same against base runs of equal loss (beyond the ladder: cells whose "
                       "loss lies outside that of the base's runs of their size), "
                     : "",
                 isfinite(analysis->delta_loss[H5].interval.estimate) ? " (of 5 per decade)" : "",
                 decades ? ", and the decades of parameters that change KL as much, by 5" : "");
        TRY(text_table_print(err, report->out, columns, 1));
    }
cleanup:
    text_table_free(columns);
    return status;
}

static void note_claim(const struct report *report, const struct claim *claim)
{
    const char *name = hypothesis_name(claim->hypothesis);
    if (claim->reason[0] != '\0') {
        text_say(report->out, LEAD, "%s: %s.", name, claim->reason);
    }
    if (claim->verdict != VERDICT_NOT_ASKED && !claim->has_matched && claim->matched_outside > 0) {
        text_say(report->out, LEAD,
                 "%s: no companion at equal loss: the loss of %d cells is beyond the ladder.", name,
                 claim->matched_outside);
    }
    char list[1024] = "";
    for (int s = 0; s < claim->sizes; s++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s %s %s", s > 0 ? "; " : "",
                 report->effects->size[s].name,
                 report_claim_effect(claim->hypothesis, &claim->by_size[s].interval).s,
                 verdict_name(claim->size_verdict[s]));
    }
    if (list[0] != '\0') {
        text_say(report->out, LEAD, "%s differs between sizes (p %s): %s.", name,
                 p_value(claim->size_p).s, list);
    }
}

/* "99.29", and as many nines as a look's level needs. */
static struct text confidence(const struct report *report)
{
    const double alpha = report->analysis->claims.alpha;
    const int decimals = alpha < 1e-12 ? 12 : (int)fmax(2, ceil(-log10(alpha)));
    return text_fixed(100 * (1 - alpha), decimals, false);
}

/* Blocks (a seed of a size) that lack a run of what is compared are left out. */
static void note_incomplete(const struct report *report)
{
    char list[512] = "";
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &report->analysis->claims.claim[h];
        const size_t used = strlen(list);
        if (claim->effect.incomplete > 0 && claim->effect.blocks > 0) {
            snprintf(list + used, sizeof list - used, "%s%s: %d of %d", used > 0 ? ", " : "",
                     hypothesis_name(claim->hypothesis), claim->effect.incomplete,
                     claim->effect.incomplete + claim->effect.blocks);
        }
    }
    if (list[0] != '\0') {
        text_say(
            report->out, LEAD,
            "Left out are blocks (a seed of a size) in which a run of what is compared is missing, "
            "failed or diverged: %s. Finishing those runs tightens the intervals.",
            list);
    }
}

static int print_claims(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct claims *claims = &report->analysis->claims;
    double detectable = 0;
    fputc('\n', report->out);
    text_say(
        report->out, "",
        "Claims of the paper: effect on KL with simultaneous intervals (each %s %%). Above 0 is "
        "what the paper says; of 5, growth of less than 25 %% per decade",
        confidence(report).s);
    TRY(text_table_open(err, "lllrr", 2, &columns));
    static const char *const head[] = {"", "",         "",         "seeds \xc3\x97", "effect, %",
                                       "", "contrast", "claim is", "sizes",          "(5: times)"};
    TEXT_ADD_HEAD(columns, head);
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &claims->claim[h];
        add_claim(columns, claim);
        if (claim->verdict != VERDICT_NOT_ASKED && h != H5) {
            detectable = fmax(detectable, claim->detectable);
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
    TRY(print_companions(err, report));
    for (int h = 0; h < HYPOTHESES; h++) {
        note_claim(report, &claims->claim[h]);
    }
    note_incomplete(report);
    if (detectable > log(2)) {
        text_wrap(
            report->out, LEAD,
            "The least resolved of 1 to 4 could not even have told a doubling of KL from none.");
    } else if (detectable > 0) {
        text_say(
            report->out, LEAD,
            "An effect of %s %% on KL would have been told from none by the least resolved of 1 to "
            "4 with probability one half (half its interval's width). \"Negligible\" is less than "
            "5 %% in the claimed direction.",
            text_fixed(text_percent(detectable), 1, true).s);
    }
cleanup:
    text_table_free(columns);
    return status;
}

static void say_slopes(const struct report *report)
{
    const struct scale_slopes *slopes = &report->analysis->claims.slopes;
    if (!slopes->known) {
        return;
    }
    text_say(report->out, LEAD,
             "Ten times the parameters change KL at equal tokens %s, at equal tokens per parameter "
             "%s, at equal loss %s (plane over %d base runs; each interval %s %%%s).",
             text_factor(slopes->tokens.estimate, slopes->tokens.low, slopes->tokens.high).s,
             text_factor(slopes->per_parameter.estimate, slopes->per_parameter.low,
                         slopes->per_parameter.high)
                 .s,
             text_factor(slopes->loss.estimate, slopes->loss.low, slopes->loss.high).s,
             slopes->cells, confidence(report).s,
             slopes->curvature_p < 0.05 ? "; the plane bends, p < 0.05: read these as averages"
                                        : "");
}

/* ── C6 and C7 ── */

static void say_early(const struct report *report)
{
    const struct early *early = &report->analysis->early;
    if (!early->known) {
        text_wrap(report->out, LEAD,
                  "6 (early checkpoints predict the end): not asked; it needs five recipes, two "
                  "seeds and early checkpoints.");
        return;
    }
    char list[512] = "";
    for (int i = 0; i < early->points; i++) {
        const struct early_point *point = &early->point[i];
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s %s %% %s [%s, %s]", i > 0 ? "; " : "",
                 i == early->points - 1 ? "ceiling at" : "at",
                 text_significant(100 * point->fraction, 3).s,
                 text_fixed(point->rho.estimate, 2, false).s,
                 text_fixed(point->rho.low, 2, false).s, text_fixed(point->rho.high, 2, false).s);
    }
    text_say(report->out, LEAD,
             "6 (early checkpoints predict the end) is %s: rank correlation over %d recipes with "
             "the other seeds' end (%d seeds, %d sizes), 95 %%: %s.",
             early->supported ? "supported" : "not supported", early->recipes, early->seeds,
             early->sizes, list);
}

static void say_mechanism(const struct report *report)
{
    for (int p = 0; p < TABLE_PROBES; p++) {
        const struct mechanism *mechanism = &report->analysis->mechanism[p];
        if (!mechanism->known) {
            text_say(
                report->out, LEAD,
                "7%c (%s): not asked; it needs the probe, the levels and a seed with all their "
                "runs.",
                'a' + p, table_probe_name((enum table_probe)p));
            continue;
        }
        text_say(
            report->out, LEAD,
            "7%c (%s) is %s: %s changes it by %s %% (Holm p %s); residual correlation with log "
            "KL %s [%s, %s] (Holm p %s).",
            'a' + p, table_probe_name((enum table_probe)p), mechanism_verdict(mechanism),
            mechanism->contrast, report_percent_interval(&mechanism->ratio.interval).s,
            p_value(mechanism->ratio_holm).s, text_fixed(mechanism->r, 2, true).s,
            text_fixed(mechanism->r_low, 2, true).s, text_fixed(mechanism->r_high, 2, true).s,
            p_value(mechanism->r_holm).s);
    }
}

void report_diverged(const struct report *report)
{
    const struct analysis *analysis = report->analysis;
    char list[1024] = "";
    for (int i = 0; i < analysis->levels; i++) {
        const struct diverged_level *level = &analysis->level[i];
        const size_t used = strlen(list);
        if (level->diverged > 0) {
            snprintf(list + used, sizeof list - used, "%s%s %s %d of %d", used > 0 ? ", " : "",
                     level->factor, level->level, level->diverged, level->cells);
        }
    }
    if (list[0] != '\0') {
        text_say(report->out, LEAD,
                 "Diverged runs: %s. A claim counts as supported only if it also holds with them "
                 "ranked worst.",
                 list);
    }
}

/* ── The table of the analysis of variance ── */

static int print_anova(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct anova *anova = &report->analysis->anova;
    if (!report->full || !report->analysis->design->has_fraction) {
        goto cleanup;
    }
    report_heading(report, "Analysis of variance of log KL (split-plot, METHOD \xc2\xa7"
                           "6)");
    TRY(text_table_open(err, "lrrrrr", 1, &columns));
    static const char *const head[] = {"term", "df", "sum of squares", "mean square", "F", "p"};
    TEXT_ADD_HEAD(columns, head);
    for (int t = 0; t < anova->terms; t++) {
        const struct anova_term *term = &anova->term[t];
        char name[96];
        anova_name(report->analysis->design, term, name);
        text_table_add(columns, "%s", name);
        text_table_add(columns, "%d", term->df);
        text_table_add(columns, "%s", text_significant(term->ss, 4).s);
        text_table_add(columns, "%s", text_significant(term->ms, 4).s);
        text_table_add(columns, "%s", text_significant(term->F, 3).s);
        text_table_add(columns, "%s", p_value(term->p).s);
    }
    TRY(text_table_print(err, report->out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

int report_answer(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    char headline[1024];
    report_heading(report, "The answer");
    analysis_headline(report->analysis, headline);
    text_wrap(report->out, "", headline);
    TRY(print_shares(err, report));
    TRY(print_claims(err, report));
    char cost[COST_TEXT];
    cost_sentence(report->analysis, cost);
    if (cost[0] != '\0') {
        text_wrap(report->out, LEAD, cost);
    }
    say_slopes(report);
    say_early(report);
    say_mechanism(report);
    report_diverged(report);
    TRY(print_anova(err, report));
cleanup:
    return status;
}
