/* The tables of effects and cell means. */
#include "results/report_parts.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/quantizer.h"

struct text report_percent_interval(const struct interval *interval)
{
    return text_interval(text_percent(interval->estimate), text_percent(interval->low),
                         text_percent(interval->high));
}

struct text report_claim_effect(enum hypothesis hypothesis, const struct interval *effect)
{
    return hypothesis == H5 ? text_factor(effect->estimate, effect->low, effect->high)
                            : report_percent_interval(effect);
}

bool report_shows_others(const struct report *report)
{
    return report->full || !report->analysis->design->has_fraction;
}

bool report_has_ladder(const struct analysis *analysis)
{
    return analysis->design->ladder.settings > 1;
}

struct text report_milli_interval(const struct interval *interval)
{
    return text_interval(REPORT_SCALE * interval->estimate, REPORT_SCALE * interval->low,
                         REPORT_SCALE * interval->high);
}

static int dropped(const struct effect *effect)
{
    return effect->unfinished + effect->unmeasured + effect->undefined;
}

void report_add_pairs(struct text_table *table, const struct effect *effect)
{
    if (dropped(effect) == 0) {
        text_table_add(table, "%d", effect->pairs);
    } else {
        text_table_add(table, "%d of %d", effect->pairs, effect->pairs + dropped(effect));
    }
}

/* What fell out of an effect and why, so that nothing is dropped in silence. */
static void note_dropped(const struct report *report, const char *what, const char *quantizer,
                         const struct effect *effect)
{
    char why[256] = "";
    const struct {
        int count;
        const char *reason;
    } reasons[] = {
        {effect->unfinished, "its run or the base's is missing, failed or diverged"},
        {effect->unmeasured, "the response was not measured or is not finite"},
        {effect->undefined, "KL \xe2\x89\xa4 0, which has no logarithm"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].count > 0) {
            size_t used = strlen(why);
            snprintf(why + used, sizeof why - used, "%s%d: %s", used > 0 ? "; " : "",
                     reasons[i].count, reasons[i].reason);
        }
    }
    text_say(report->out, "  * ", "%s%s%s: %d of %d pairs dropped (%s).", quantizer,
             quantizer[0] != '\0' ? ", " : "", what, dropped(effect),
             effect->pairs + dropped(effect), why);
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* "3" or "2 to 3" */
static struct text range(int low, int high)
{
    struct text text;
    if (low == high) {
        snprintf(text.s, sizeof text.s, "%d", low);
    } else {
        snprintf(text.s, sizeof text.s, "%d to %d", low, high);
    }
    return text;
}

/* ── Cell means of the base ── */

static void add_means(struct text_table *table, const struct report *report, int size,
                      int quantizer)
{
    const struct effects *effects = report->effects;
    int base = effects->base;
    int last = report->last;
    struct mean kl = effects_mean(effects, base, size, RESPONSE_LOG_KL, quantizer, last);
    struct mean delta = effects_mean(effects, base, size, RESPONSE_DELTA_LOSS, quantizer, last);
    struct mean relative =
        effects_mean(effects, base, size, RESPONSE_RELATIVE_LOSS_INCREASE, quantizer, last);
    struct mean top1 = effects_mean(effects, base, size, RESPONSE_TOP1_AGREEMENT, quantizer, last);
    text_table_add(table, "%s", text_significant(REPORT_SCALE * exp(kl.mean), 3).s);
    text_table_add(table, "%s", text_fixed(text_percent(kl.sd), 1, false).s);
    text_table_add(table, "%s", text_significant(REPORT_SCALE * delta.mean, 3).s);
    text_table_add(table, "%s", text_significant(REPORT_SCALE * delta.sd, 2).s);
    text_table_add(table, "%s", text_significant(100 * relative.mean, 3).s);
    text_table_add(table, "%s", text_fixed(100 * top1.mean, 2, false).s);
    if (kl.undefined == 0) {
        text_table_add(table, "%d", delta.cells);
    } else {
        text_table_add(table, "%d (%d without log KL)", delta.cells, kl.undefined);
    }
}

static const char *const means_head[] = {"KL,",
                                         "seed SD,",
                                         REPORT_DELTA "loss,",
                                         "seed SD,",
                                         "loss",
                                         "top-1",
                                         "",
                                         REPORT_UNIT,
                                         "%",
                                         REPORT_UNIT,
                                         REPORT_UNIT,
                                         "increase, %",
                                         "agreement, %",
                                         "cells"};

static int print_means(struct error *err, const struct report *report, bool others)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    if (effects->base < 0) {
        goto cleanup;
    }
    TRY(text_table_open(err, others ? "llrrrrrrr" : "lrrrrrrr", 2, &columns));
    for (size_t row = 0; row < 2; row++) {
        if (others) {
            text_table_add(columns, "%s", row == 0 ? "" : "quantizer");
        }
        text_table_add(columns, "%s", row == 0 ? "" : "size");
        text_table_add_head(columns, means_head + 7 * row, 7);
    }
    for (int q = 0; q < effects->table->quantizers; q++) {
        if (others == (q == report->quantizer)) {
            continue;
        }
        for (int s = 0; s < effects->sizes; s++) {
            if (others) {
                text_table_add(columns, "%s", s == 0 ? effects->table->quantizer[q] : "");
            }
            text_table_add(columns, "%s", effects->size[s].name);
            add_means(columns, report, s, q);
        }
    }
    TRY(text_table_print(err, report->out, columns, others ? 2 : 1));
cleanup:
    text_table_free(columns);
    return status;
}

/* ── Slopes ── */

/* One row of the table of slopes; false if there is nothing to fit. The full model's loss is the same for all quantizers:
 * only the main table has it. */
static bool add_slope(struct text_table *columns, const struct report *report, int quantizer)
{
    const struct effects *effects = report->effects;
    struct slope kl = effects_slope(effects, RESPONSE_LOG_KL, quantizer, report->last);
    struct slope delta = effects_slope(effects, RESPONSE_DELTA_LOSS, quantizer, report->last);
    struct slope loss = effects_slope(effects, RESPONSE_LOSS, quantizer, report->last);
    if (isnan(delta.interval.estimate) && isnan(kl.interval.estimate)) {
        return false;
    }
    int sign = interval_sign(&kl.interval);
    text_table_add(columns, "%s", report->table->quantizer[quantizer]);
    text_table_add(columns, "%s",
                   text_factor(kl.interval.estimate, kl.interval.low, kl.interval.high).s);
    text_table_add(columns, "%s",
                   kl.interval.df == 0 ? "no interval"
                   : sign > 0          ? "grows"
                   : sign < 0          ? "shrinks"
                                       : "undecided");
    text_table_add(columns, "%s", report_milli_interval(&delta.interval).s);
    if (quantizer == report->quantizer) {
        text_table_add(columns, "%s", report_milli_interval(&loss.interval).s);
    }
    text_table_add(columns, "%d", kl.cells);
    return true;
}

static int print_slopes(struct error *err, const struct report *report, bool others)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    int rows = 0;
    TRY(text_table_open(err, others ? "lrlrr" : "lrlrrr", 2, &columns));
    static const char *const head[] = {"",
                                       "KL [95 %]",
                                       "",
                                       REPORT_DELTA "loss,",
                                       "loss,",
                                       "",
                                       "quantizer",
                                       "times",
                                       "degradation",
                                       REPORT_UNIT " [95 %]",
                                       REPORT_UNIT " [95 %]",
                                       "cells"};
    text_table_add_heads(columns, head, 2, 6, others ? 1U << 4 : 0);
    for (int q = 0; q < report->table->quantizers; q++) {
        if (others != (q == report->quantizer)) {
            rows += add_slope(columns, report, q);
        }
    }
    fputc('\n', report->out);
    if (rows > 0) {
        text_wrap(report->out, "",
                  "Slope of the base recipe: change with ten times the parameters");
        TRY(text_table_print(err, report->out, columns, 1));
    } else {
        text_wrap(
            report->out, "",
            "Slope per decade of parameters: none; it needs finished base runs of two sizes.");
    }
cleanup:
    text_table_free(columns);
    return status;
}

/* ── Effects ── */

/* KL at equal loss, and of how many pairs if not of all. */
static void add_matched(struct text_table *columns, const struct report *report, int setting,
                        const struct effect *kl)
{
    const struct contrast matched = analysis_matched_setting(report->analysis, setting);
    if (design_is_rung(report->analysis->design, setting)) {
        text_table_add(columns, "%s", "\xe2\x80\x94");
    } else if (matched.blocks == 0) {
        text_table_add(columns, "\xe2\x80\x94 (0 of %d)", kl->pairs);
    } else if (matched.blocks < kl->pairs) {
        text_table_add(columns, "%s (%d of %d)", report_percent_interval(&matched.interval).s,
                       matched.blocks, kl->pairs);
    } else {
        text_table_add(columns, "%s", report_percent_interval(&matched.interval).s);
    }
}

static int print_effects(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    const bool ladder = report_has_ladder(report->analysis);
    static const char *const head[] = {"",
                                       "degra-",
                                       "KL,",
                                       "KL at equal loss,",
                                       REPORT_DELTA "loss,",
                                       "loss,",
                                       "setting",
                                       "dation",
                                       "% [95 %]",
                                       "% [95 %]",
                                       REPORT_UNIT " [95 %]",
                                       REPORT_UNIT " [95 %]"};
    TRY(text_table_open(err, ladder ? "llrrrr" : "llrrr", 2, &columns));
    text_table_add_heads(columns, head, 2, 6, ladder ? 0 : 1U << 3);
    for (int s = report_next(report, effects->base); s < effects->settings;
         s = report_next(report, s)) {
        struct effect effect[3];
        for (int r = 0; r < 3; r++) {
            static const enum response responses[] = {RESPONSE_LOG_KL, RESPONSE_DELTA_LOSS,
                                                      RESPONSE_LOSS};
            effect[r] = effects_of(effects, s, responses[r], report->quantizer, report->last,
                                   EFFECTS_ALL_SIZES);
        }
        char name[CELL_LABEL];
        text_table_add(columns, "%s", report_setting(report, s, name));
        text_table_add(columns, "%s", report_word(&effect[0]));
        text_table_add(columns, "%s", report_percent_interval(&effect[0].interval).s);
        if (ladder) {
            add_matched(columns, report, s, &effect[0]);
        }
        text_table_add(columns, "%s", report_milli_interval(&effect[1].interval).s);
        text_table_add(columns, "%s", report_milli_interval(&effect[2].interval).s);
    }
    TRY(text_table_print(err, report->out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

/* Pairs and seeds behind the effects, what fell out of them, and why some have no interval. */
static void note_effects(const struct report *report)
{
    const struct effects *effects = report->effects;
    struct effect least = {.pairs = INT_MAX, .sizes = INT_MAX, .least = INT_MAX};
    struct effect most = {0};
    int without = 0;
    for (int s = report_next(report, effects->base); s < effects->settings;
         s = report_next(report, s)) {
        char name[CELL_LABEL];
        struct effect kl = effects_of(effects, s, RESPONSE_LOG_KL, report->quantizer, report->last,
                                      EFFECTS_ALL_SIZES);
        if (dropped(&kl) > 0) {
            note_dropped(report, report_setting(report, s, name), "", &kl);
        }
        if (kl.pairs > 0) {
            least.pairs = min_int(least.pairs, kl.pairs);
            least.sizes = min_int(least.sizes, kl.sizes);
            least.least = min_int(least.least, kl.least);
            most.pairs = max_int(most.pairs, kl.pairs);
            most.sizes = max_int(most.sizes, kl.sizes);
            most.most = max_int(most.most, kl.most);
            without += kl.interval.df == 0;
        }
    }
    if (most.pairs > 0) {
        text_say(report->out, "  * ",
                 "Each effect comes from %s pairs: %s sizes, %s seeds per size.",
                 range(least.pairs, most.pairs).s, range(least.sizes, most.sizes).s,
                 range(least.least, most.most).s);
    }
    if (without > 0) {
        text_say(
            report->out, "  * ",
            "Effects without an interval: %d. One pair per size leaves no degrees of freedom to "
            "measure seed noise with; add seeds.",
            without);
    }
}

int report_main_quantizer(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    const char *name = report->table->quantizer[report->quantizer];
    const struct quantizer *known = quantizer_find(name);
    report_heading(report, "Degradation under %s at the end of training", name);
    if (known != NULL) {
        char description[QUANTIZER_DESCRIPTION];
        quantizer_describe(known, description);
        text_say(report->out, "", "%s: %s.", name, description);
    }
    if (report->effects->base < 0) {
        text_wrap(report->out, "",
                  "The study has no cells of a base recipe: there are no effects "
                  "to compute.");
        goto cleanup;
    }
    text_wrap(report->out, "", "Base recipe (KL: geometric mean over seeds)");
    TRY(print_means(err, report, false));
    if (report->effects->settings > 1) {
        fputc('\n', report->out);
        text_say(report->out, "",
                 "Effect of each setting against the base%s; " REPORT_DELTA
                 "loss and loss in 10\xe2\x81\xbb\xc2\xb3 nats per token",
                 report_has_ladder(report->analysis)
                     ? "; at equal loss, against base runs of their size and loss (in brackets how "
                       "many pairs lie within those runs' loss, if not all)"
                     : "");
        TRY(print_effects(err, report));
        note_effects(report);
    } else {
        fputc('\n', report->out);
        text_wrap(report->out, "",
                  "The base recipe is the only setting: there are no effects to "
                  "compute.");
    }
    TRY(print_slopes(err, report, false));
cleanup:
    return status;
}

static int print_other_effects(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    const struct table *table = report->table;
    TRY(text_table_open(err, "lllrrr", 2, &columns));
    static const char *const head[] = {"",
                                       "",
                                       "",
                                       "KL,",
                                       REPORT_DELTA "loss,",
                                       "",
                                       "quantizer",
                                       "setting",
                                       "degradation",
                                       "% [95 %]",
                                       REPORT_UNIT " [95 %]",
                                       "pairs"};
    TEXT_ADD_HEAD(columns, head);
    char name[CELL_LABEL];
    for (int q = 0; q < table->quantizers; q++) {
        for (int s = report_next(report, effects->base);
             s < effects->settings && q != report->quantizer; s = report_next(report, s)) {
            struct effect kl =
                effects_of(effects, s, RESPONSE_LOG_KL, q, report->last, EFFECTS_ALL_SIZES);
            struct effect delta =
                effects_of(effects, s, RESPONSE_DELTA_LOSS, q, report->last, EFFECTS_ALL_SIZES);
            text_table_add(columns, "%s",
                           s == report_next(report, effects->base) ? table->quantizer[q] : "");
            text_table_add(columns, "%s", report_setting(report, s, name));
            text_table_add(columns, "%s", report_word(&kl));
            text_table_add(columns, "%s", report_percent_interval(&kl.interval).s);
            text_table_add(columns, "%s", report_milli_interval(&delta.interval).s);
            report_add_pairs(columns, &kl);
        }
    }
    TRY(text_table_print(err, report->out, columns, 2));
cleanup:
    text_table_free(columns);
    return status;
}

static void note_other_effects(const struct report *report)
{
    const struct effects *effects = report->effects;
    for (int q = 0; q < report->table->quantizers; q++) {
        for (int s = report_next(report, effects->base);
             s < effects->settings && q != report->quantizer; s = report_next(report, s)) {
            struct effect kl =
                effects_of(effects, s, RESPONSE_LOG_KL, q, report->last, EFFECTS_ALL_SIZES);
            char name[CELL_LABEL];
            if (kl.unmeasured + kl.undefined > 0) {
                note_dropped(report, report_setting(report, s, name), report->table->quantizer[q],
                             &kl);
            }
        }
    }
}

int report_other_quantizers(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    const struct effects *effects = report->effects;
    if (report->table->quantizers < 2 || effects->base < 0) {
        goto cleanup;
    }
    report_heading(report, "Degradation under the other quantizers at the end of training");
    text_wrap(report->out, "", "Base recipe (KL: geometric mean over seeds)");
    TRY(print_means(err, report, true));
    if (effects->settings > 1 && report_shows_others(report)) {
        fputc('\n', report->out);
        text_wrap(report->out, "",
                  "Effect of each setting against the base (its effect on the loss stands above)");
        TRY(print_other_effects(err, report));
        note_other_effects(report);
    }
    TRY(print_slopes(err, report, true));
cleanup:
    return status;
}
