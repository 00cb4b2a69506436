/* The numbers behind the figures. */
#include <math.h>
#include <string.h>

#include "results/html_parts.h"

enum { EXPLORATORY_ROWS = 2000 };

#define DASH "\xe2\x80\x94"

/* ── Claims ── */

static void claim_row(const struct page *page, enum hypothesis h)
{
    const struct claim *claim = &page->analysis->claims.claim[h];
    fprintf(page->out, "<tr><th scope=\"row\">H%s</th>", hypothesis_name(h));
    page_text(page, "%s", claim->contrast);
    page_number(page, "%s", report_claim_effect(h, &claim->effect.interval).s);
    fputs("<td>", page->out);
    page_verdict(page, claim->plain);
    fputs("</td>", page->out);
    page_number(page, TEXT_PLUSMINUS "%s", text_significant(text_percent(claim->detectable), 2).s);
    page_number(page, "%s", text_significant(claim->decades, 2).s);
    if (claim->has_matched) {
        page_number(page, "%s", report_percent_interval(&claim->matched.interval).s);
        fputs("<td>", page->out);
        page_verdict(page, claim->matched_verdict);
        fputs("</td>", page->out);
        page_number(page, "%d", claim->matched_outside);
    } else {
        fputs("<td class=\"n\">" DASH "</td><td>" DASH "</td><td class=\"n\">" DASH "</td>",
              page->out);
    }
    page_number(page, "%s", report_milli_interval(&page->analysis->delta_loss[h].interval).s);
    page_number(page, "%s", html_p(claim->size_p).s);
    if (claim->has_worst) {
        page_number(page, "%s",
                    text_interval(claim->worst.interval.estimate, claim->worst.interval.low,
                                  claim->worst.interval.high)
                        .s);
    } else {
        page_number(page, "none diverged");
    }
    page_number(page, "%d", claim->effect.incomplete);
    fputs("</tr>\n", page->out);
}

static void claims_by_size(const struct page *page)
{
    static const char *const head[] = {"", "contrast", "size", ">effect, %", "verdict"};
    const struct effects *effects = page->analysis->effects;
    bool open = false;
    for (enum hypothesis h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &page->analysis->claims.claim[h];
        for (int s = 0; s < claim->sizes && s < effects->sizes; s++) {
            if (!open) {
                page_table(page, "", "Claims whose effect depends on size (p < 0.05), per size",
                           head, 5);
                open = true;
            }
            fprintf(page->out, "<tr><th scope=\"row\">H%s</th>", hypothesis_name(h));
            page_text(page, "%s", claim->contrast);
            page_text(page, "%s", effects->size[s].name);
            page_number(page, "%s", report_percent_interval(&claim->by_size[s].interval).s);
            fputs("<td>", page->out);
            page_verdict(page, claim->size_verdict[s]);
            fputs("</td></tr>\n", page->out);
        }
    }
    if (open) {
        page_table_end(page);
    }
}

static void claims_in_detail(const struct page *page)
{
    static const char *const head[] = {"",
                                       "contrast",
                                       ">effect, % (H5: times)",
                                       "of the interval alone",
                                       ">detectable, %",
                                       ">in decades of parameters",
                                       ">at equal loss, %",
                                       "verdict at equal loss",
                                       ">cells beyond the ladder",
                                       ">on " REPORT_DELTA "loss, " REPORT_UNIT
                                       " nats (H5: per decade)",
                                       ">size \xc3\x97 effect, p",
                                       ">diverged as worst, ranks",
                                       ">blocks left out"};
    int asked = 0;
    for (enum hypothesis h = 0; h < HYPOTHESES; h++) {
        if (page->analysis->claims.claim[h].verdict == VERDICT_NOT_ASKED) {
            continue;
        }
        if (asked++ == 0) {
            page_table(page, "", "The confirmatory claims in detail", head, 13);
        }
        claim_row(page, h);
    }
    if (asked > 0) {
        page_table_end(page);
        claims_by_size(page);
    } else {
        page_paragraph(page, "none",
                       "No confirmatory claim can be judged: the study has not the levels, or the "
                       "cells are not finished.");
    }
}

static void slopes(const struct page *page)
{
    static const char *const head[] = {"compared at", ">KL with ten times the parameters, times",
                                       ">df"};
    const struct scale_slopes *all = &page->analysis->claims.slopes;
    const struct {
        const char *name;
        const struct interval *slope;
    } rows[] = {{"equal tokens per parameter", &all->per_parameter},
                {"equal tokens", &all->tokens},
                {"equal loss", &all->loss}};
    if (!all->known) {
        page_paragraph(page, "none",
                       "Scale at equal tokens, at equal tokens per parameter and at equal loss "
                       "cannot be told apart: that needs base runs of two sizes and two numbers of "
                       "tokens.");
        return;
    }
    page_table(page, "", "What scale does to the base recipe's KL, from log KL ~ log N + log D",
               head, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fprintf(page->out, "<tr><th scope=\"row\">%s</th>", rows[i].name);
        page_number(page, "%s", report_claim_effect(H5, rows[i].slope).s);
        page_number(page, "%d", rows[i].slope->df);
        fputs("</tr>\n", page->out);
    }
    page_table_end(page);
    page_paragraph(
        page, "small",
        "From %d cells of %d sizes, 95 %% family intervals as in the claims. Ten times the "
        "tokens: \xc3\x97%s. Test of curvature: p %s.",
        all->cells, all->sizes, text_significant(exp(all->per_decade_of_tokens), 3).s,
        html_p(all->curvature_p).s);
}

/* ── Variance ── */

static void anova_row(const struct page *page, const struct anova_term *term, const char *name)
{
    fputs("<tr><th scope=\"row\">", page->out);
    html_text(page->out, name);
    fputs("</th>", page->out);
    page_number(page, "%d", term->df);
    page_number(page, "%s", text_significant(term->ss, 4).s);
    page_number(page, "%s", text_significant(term->ms, 4).s);
    page_number(page, "%s", text_significant(term->F, 4).s);
    page_number(page, "%s", isnan(term->p) ? DASH : html_p(term->p).s);
    fputs("</tr>\n", page->out);
}

static void variance(const struct page *page)
{
    static const char *const head[] = {"term",         ">df", ">sum of squares",
                                       ">mean square", ">F",  ">p"};
    static const char *const kinds[ANOVA_KINDS] = {"size",
                                                   "seed within size",
                                                   "factors",
                                                   "pairs of factors",
                                                   "size \xc3\x97 factors",
                                                   "size \xc3\x97 pairs",
                                                   "residual"};
    const struct analysis *analysis = page->analysis;
    const struct anova *anova = &analysis->anova;
    if (!analysis->has_shares) {
        page_paragraph(page, "none", analysis_no_shares(analysis));
        return;
    }
    char caption[256];
    snprintf(
        caption, sizeof caption,
        "Split-plot analysis of variance of log KL: %d cells%s; size against seeds within size, "
        "the rest against the residual",
        anova->cells, anova->missing > 0 ? " (some are missing)" : "");
    page_table(page, "", caption, head, 6);
    for (int kind = 0; kind < ANOVA_KINDS; kind++) {
        anova_row(page, &anova->kind[kind], kinds[kind]);
    }
    page_table_end(page);
    fputs("<details><summary>Every term</summary>\n", page->out);
    page_table(page, "", "Terms of the analysis of variance", head, 6);
    for (int i = 0; i < anova->terms; i++) {
        char name[96];
        anova_name(analysis->design, &anova->term[i], name);
        anova_row(page, &anova->term[i], name);
    }
    page_table_end(page);
    fputs("</details>\n", page->out);
    if (anova->missing > 0) {
        page_paragraph(page, "small",
                       "%d cells of the fraction have no value; sums of squares are sequential in "
                       "the order of the terms.",
                       anova->missing);
    }
    fputs("<p class=\"small\">Main effects within the share of optimization: ", page->out);
    for (int f = 0; f < analysis->design->fraction.factors; f++) {
        html_say(page->out, "%s%s %s %%", f > 0 ? ", " : "",
                 recipe_name(analysis->design->fraction.factor[f]),
                 text_fixed(100 * analysis->shares.of_factor[f], 1, false).s);
    }
    fputs("; the rest is their pairs.</p>\n", page->out);
}

/* ── Exploration, divergence ── */

static void exploration(const struct page *page)
{
    static const char *const head[] = {
        "quantizer", "contrast",          ">effect on KL, %",       ">p",
        ">p, Holm",  ">at equal loss, %", ">at equal loss, p, Holm"};
    const struct analysis *analysis = page->analysis;
    int shown =
        analysis->exploratories < EXPLORATORY_ROWS ? analysis->exploratories : EXPLORATORY_ROWS;
    if (shown == 0) {
        return;
    }
    fprintf(page->out,
            "<details><summary>Exploratory effects (%d)"
            "</summary>\n",
            analysis->exploratories);
    page_table(
        page, "sortable",
        "Exploratory effects at the end of training: 95 % intervals, p adjusted (Holm) within "
        "the quantizer; at equal loss, of the runs whose loss the base's runs of their size reach",
        head, 7);
    for (int i = 0; i < shown; i++) {
        const struct exploratory *each = &analysis->exploratory[i];
        fputs("<tr>", page->out);
        page_text(page, "%s", analysis->table->quantizer[each->quantizer]);
        page_text(page, "%s", each->contrast);
        page_value(page, each->effect.interval.estimate,
                   report_percent_interval(&each->effect.interval).s);
        page_value(page, each->effect.p, html_p(each->effect.p).s);
        page_value(page, each->holm, html_p(each->holm).s);
        page_value(page, each->matched.interval.estimate,
                   report_percent_interval(&each->matched.interval).s);
        page_value(page, each->matched_holm, html_p(each->matched_holm).s);
        fputs("</tr>\n", page->out);
    }
    page_table_end(page);
    if (shown < analysis->exploratories) {
        page_paragraph(page, "small", "The first %d; group /analysis of study.nc has all.", shown);
    }
    fputs("</details>\n", page->out);
}

static void divergence(const struct page *page)
{
    static const char *const head[] = {"factor", "level", ">cells", ">diverged"};
    const struct analysis *analysis = page->analysis;
    if (analysis->diverged == 0) {
        page_paragraph(page, "", "Divergence: none of the cells that ran diverged.");
        return;
    }
    page_table(page, "",
               "Diverged cells per level: runs whose loss left the finite numbers, a result", head,
               4);
    for (int i = 0; i < analysis->levels; i++) {
        const struct diverged_level *level = &analysis->level[i];
        fputs("<tr>", page->out);
        page_text(page, "%s", level->factor);
        page_text(page, "%s", level->level);
        page_number(page, "%d", level->cells);
        page_number(page, "%d", level->diverged);
        fputs("</tr>\n", page->out);
    }
    page_table_end(page);
}

int html_tables(struct error *err, const struct page *page)
{
    (void)err;
    page_section(page, "tables", "The numbers behind the verdicts");
    claims_in_detail(page);
    slopes(page);
    variance(page);
    exploration(page);
    divergence(page);
    page_section_end(page);
    return STATUS_OK;
}
