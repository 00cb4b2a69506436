/* The first screen: what the study says, how sure it is, and which of the paper's claims held. */
#include <math.h>
#include <string.h>

#include "results/cost.h"
#include "results/html_parts.h"

static void counts(const struct page *page)
{
    const struct analysis *analysis = page->analysis;
    const struct table *table = analysis->table;
    const struct effects *effects = analysis->effects;
    const int diverged = effects_count(effects, CELL_DIVERGED);
    const int failed =
        effects_count(effects, CELL_FAILED) + effects_count(effects, CELL_QUARANTINED);
    int missing = table->cells - page->done - diverged - failed;
    fputs("<p class=\"meta\">", page->out);
    html_say(page->out,
             "%d sizes, %s to %s parameters \xc2\xb7 %d settings \xc2\xb7 %d seeds \xc2\xb7 ",
             analysis->effects->sizes, text_count(analysis->effects->size[0].parameters).s,
             text_count(analysis->effects->size[analysis->effects->sizes - 1].parameters).s,
             analysis->effects->settings, analysis->design->seeds);
    if (page->done == table->cells) {
        html_say(page->out, "all %d cells done", table->cells);
    } else {
        html_say(page->out, "%d of %d cells done, %d diverged, %d failed, %d not run yet",
                 page->done, table->cells, diverged, failed, missing);
    }
    const char *commits = table_commits(table);
    html_say(page->out, " \xc2\xb7 %s, commit %.12s%s",
             table->date[0] != '\0' ? table->date : "no date", commits,
             strchr(commits, ',') != NULL ? " and others" : "");
    fputs("</p>\n", page->out);
}

/* "4 × 4" seeds and sizes */
static void seeds_by_sizes(const struct page *page, const struct contrast *contrast)
{
    if (contrast->sizes == 0) {
        page_number(page, "\xe2\x80\x94");
    } else if (contrast->least == contrast->most) {
        page_number(page, "%d \xc3\x97 %d", contrast->most, contrast->sizes);
    } else {
        page_number(page, "%d\xe2\x80\x93%d \xc3\x97 %d", contrast->least, contrast->most,
                    contrast->sizes);
    }
}

static void row_start(const struct page *page, const char *name, const char *claim,
                      const char *contrast)
{
    fputs("<tr><th scope=\"row\">", page->out);
    html_text(page->out, name);
    fputs("</th><td>", page->out);
    html_text(page->out, claim);
    if (contrast[0] != '\0') {
        fputs("<small>", page->out);
        html_text(page->out, contrast);
        fputs("</small>", page->out);
    }
    fputs("</td>", page->out);
}

static void verdict_end(const struct page *page, enum verdict verdict, const char *reason)
{
    fputs("<td>", page->out);
    page_verdict(page, verdict);
    if (reason[0] != '\0') {
        fputs("<small>", page->out);
        html_text(page->out, reason);
        fputs("</small>", page->out);
    }
    fputs("</td></tr>\n", page->out);
}

/* C6 and C7: without a smallest effect of interest nothing contradicts them. */
static void exploratory_end(const struct page *page, bool supported, const char *word)
{
    if (supported) {
        verdict_end(page, VERDICT_SUPPORTED, "exploratory");
    } else {
        fputs("<td><span class=\"verdict unasked\"><b aria-hidden=\"true\">\xe2\x80\x93</b> ",
              page->out);
        html_text(page->out, word);
        fputs("</span><small>exploratory</small></td></tr>\n", page->out);
    }
}

/* Along equal tokens per parameter larger models also train longer: what is left at equal tokens, and at equal loss. */
static void note_scale(const struct page *page, char *note, size_t size)
{
    const struct scale_slopes *slopes = &page->analysis->claims.slopes;
    const size_t used = strlen(note);
    if (slopes->known) {
        snprintf(note + used, size - used,
                 "%slarger models also train longer there; plane: at equal tokens %.40s, at equal "
                 "loss %.40s",
                 used > 0 ? "; " : "", report_claim_effect(H5, &slopes->tokens).s,
                 report_claim_effect(H5, &slopes->loss).s);
    }
}

static void hypothesis_row(const struct page *page, enum hypothesis h)
{
    const struct claim *claim = &page->analysis->claims.claim[h];
    bool asked = claim->verdict != VERDICT_NOT_ASKED;
    char name[16];
    snprintf(name, sizeof name, "H%s", hypothesis_name(h));
    char note[320];
    snprintf(note, sizeof note, "%s", asked ? claim->contrast : "");
    if (h == H5) {
        note_scale(page, note, sizeof note);
    }
    row_start(page, name, hypothesis_claim(h), note);
    if (asked) {
        page_number(page, "%s", report_claim_effect(h, &claim->effect.interval).s);
        seeds_by_sizes(page, &claim->effect);
    } else {
        page_number(page, "\xe2\x80\x94");
        page_number(page, "\xe2\x80\x94");
    }
    verdict_end(page, claim->verdict, claim->reason);
}

static void early_row(const struct page *page)
{
    const struct early *early = &page->analysis->early;
    char note[256] = "";
    const struct early_point *best = NULL;
    for (int i = 0; i < early->points && early->known; i++) {
        const struct early_point *point = &early->point[i];
        if (point->fraction <= 0.25 && (best == NULL || point->rho.low > best->rho.low)) {
            best = point;
        }
    }
    if (best != NULL) {
        snprintf(note, sizeof note, "rank correlation at %s of training; ceiling %s",
                 text_significant(best->fraction, 3).s,
                 text_fixed(early->point[early->points - 1].rho.estimate, 2, false).s);
    }
    row_start(page, "C6", "early degradation predicts that at the end", note);
    if (best == NULL) {
        page_number(page, "\xe2\x80\x94");
        page_number(page, "\xe2\x80\x94");
        verdict_end(page, VERDICT_NOT_ASKED,
                    early->known ? "no checkpoint in the first quarter"
                                 : "needs five recipes, two seeds, early checkpoints");
        return;
    }
    fputs("<td class=\"n\">", page->out);
    html_say(page->out, "\xcf\x81 %s [%s, %s]", text_fixed(best->rho.estimate, 2, false).s,
             text_fixed(best->rho.low, 2, false).s, text_fixed(best->rho.high, 2, false).s);
    fputs("</td>", page->out);
    page_number(page, "%d \xc3\x97 %d", early->seeds, early->sizes);
    exploratory_end(page, early->supported, "not supported");
}

static void mechanism_row(const struct page *page, enum table_probe probe)
{
    static const char *const claims[TABLE_PROBES] = {"worse variants have larger weight norms",
                                                     "worse variants have a wider LayerNorm gain",
                                                     "worse variants have wider activations"};
    const struct mechanism *mechanism = &page->analysis->mechanism[probe];
    char name[8], note[448] = "";
    snprintf(name, sizeof name, "C7%c", "abc"[probe]);
    if (mechanism->known) {
        snprintf(note, sizeof note, "%s; residual correlation %s [%s, %s]", mechanism->contrast,
                 text_fixed(mechanism->r, 2, true).s, text_fixed(mechanism->r_low, 2, true).s,
                 text_fixed(mechanism->r_high, 2, true).s);
    }
    row_start(page, name, claims[probe], note);
    if (!mechanism->known) {
        page_number(page, "\xe2\x80\x94");
        page_number(page, "\xe2\x80\x94");
        verdict_end(page, VERDICT_NOT_ASKED, "needs the probe, and whole blocks of its levels");
        return;
    }
    page_number(page, "%s", report_percent_interval(&mechanism->ratio.interval).s);
    seeds_by_sizes(page, &mechanism->ratio);
    exploratory_end(page, mechanism->supported, mechanism_verdict(mechanism));
}

static void verdict_table(const struct page *page)
{
    static const char *const header[] = {"", "the paper's claim", ">effect, %",
                                         ">seeds \xc3\x97 sizes", "verdict here"};
    char caption[256];
    snprintf(
        caption, sizeof caption,
        "Which claims held: effect on KL under %s (above 0 as claimed; H5: times, below 1.25 as "
        "claimed) with simultaneous %.3g %% intervals (C6, C7: 95 %%)",
        page->analysis->table->quantizer[page->analysis->quantizer],
        100 * (1 - page->analysis->claims.alpha));
    page_table(page, "claims", caption, header, 5);
    for (enum hypothesis h = 0; h < HYPOTHESES; h++) {
        hypothesis_row(page, h);
    }
    fputs("<tr class=\"sub\"><th scope=\"rowgroup\" colspan=\"5\">Exploratory: rank correlation "
          "(C6); "
          "change of the probe, not of KL, in % (C7)</th></tr>\n",
          page->out);
    early_row(page);
    for (enum table_probe probe = 0; probe < TABLE_PROBES; probe++) {
        mechanism_row(page, probe);
    }
    page_table_end(page);
}

static void navigation(const struct page *page)
{
    static const char *const links[][2] = {
        {"effects", "Effects"}, {"scale", "Scale"},         {"others", "Quantizers"},
        {"predict", "Early"},   {"mechanism", "Mechanism"}, {"curves", "Training"},
        {"tables", "Tables"},   {"cells", "Cells"},         {"study", "Provenance"},
    };
    fputs("<nav aria-label=\"Sections\">", page->out);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        fprintf(page->out, "<a href=\"#%s\">%s</a>", links[i][0], links[i][1]);
    }
    fputs("<button id=\"theme\" type=\"button\" hidden>Light / dark</button></nav>\n", page->out);
}

int html_answer(struct error *err, const struct page *page)
{
    int status = STATUS_OK;
    const struct table *table = page->analysis->table;
    char headline[1024];
    analysis_headline(page->analysis, headline);
    fputs("<header>\n<p class=\"study\"><strong>", page->out);
    html_text(page->out, table->name);
    fputs("</strong>", page->out);
    if (table->title[0] != '\0') {
        fputs(" \xe2\x80\x94 ", page->out);
        html_text(page->out, table->title);
    }
    fputs("</p>\n", page->out);
    navigation(page);
    fputs("</header>\n<main>\n<section id=\"answer\">\n<h1>", page->out);
    html_text(page->out, headline);
    fputs("</h1>\n", page->out);
    counts(page);
    if (table->note[0] != '\0') {
        page_paragraph(page, "note", "Note: %s", table->note);
    }
    fputs("<div class=\"first\">\n<div>\n", page->out);
    TRY(page_figure(err, page, FIGURE_SHARES));
    char cost[COST_TEXT];
    cost_sentence(page->analysis, cost);
    if (cost[0] != '\0') {
        page_paragraph(page, "small", "In the terms of the literature: %s", cost);
    }
    fputs("</div>\n<div>\n", page->out);
    verdict_table(page);
    fputs("</div>\n</div>\n", page->out);
    page_section_end(page);
cleanup:
    return status;
}
