/* The factors' main effects under every quantizer: exploratory, adjusted by Holm's method. */
#include "results/report_parts.h"

#include <math.h>
#include <string.h>

#define DASH "\xe2\x80\x94"

/* The exploratory effect with these weights under a quantizer; NULL: none. */
static const struct exploratory *find_effect(const struct analysis *analysis, int quantizer,
                                             const struct weights *weights)
{
    const size_t count = (size_t)weights->settings;
    for (int i = 0; i < analysis->exploratories; i++) {
        const struct exploratory *each = &analysis->exploratory[i];
        if (each->quantizer == quantizer && each->weights.settings == weights->settings &&
            memcmp(each->weights.setting, weights->setting, count * sizeof *weights->setting) ==
                0 &&
            memcmp(each->weights.weight, weights->weight, count * sizeof *weights->weight) == 0) {
            return each;
        }
    }
    return NULL;
}

static void add_effect(struct text_table *columns, const struct contrast *effect, double holm,
                       bool full)
{
    const char *mark = holm < 0.05 ? "*" : "";
    if (isnan(effect->interval.estimate)) {
        text_table_add(columns, "%s", DASH);
    } else if (full) {
        text_table_add(columns, "%s%s", report_percent_interval(&effect->interval).s, mark);
    } else {
        text_table_add(columns, "%s%s",
                       text_fixed(text_percent(effect->interval.estimate), 1, true).s, mark);
    }
}

/* A row: the main effects under a quantizer, or those at equal loss. Of the primary quantizer a factor that a claim is about is not among
 * the exploratory ones. */
static void add_quantizer(struct text_table *columns, const struct report *report, int quantizer,
                          bool matched)
{
    const struct analysis *analysis = report->analysis;
    text_table_add(columns, "%s", report->table->quantizer[quantizer]);
    for (int f = 0; f < analysis->design->fraction.factors; f++) {
        struct weights weights;
        weights_main(&weights, &analysis->design->fraction, f);
        const struct exploratory *found = find_effect(analysis, quantizer, &weights);
        if (found != NULL) {
            add_effect(columns, matched ? &found->matched : &found->effect,
                       matched ? found->matched_holm : found->holm, report->full);
        } else {
            const struct contrast effect =
                contrast_of(analysis->design, matched ? analysis->matched : analysis->log_kl,
                            &weights, EFFECTS_ALL_SIZES, 0.05);
            add_effect(columns, &effect, NAN, report->full);
        }
    }
}

static int print_main_effects(struct error *err, const struct report *report, bool matched)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct fraction *fraction = &report->analysis->design->fraction;
    char alignment[FRACTION_FACTORS + 2] = "l";
    memset(alignment + 1, 'r', (size_t)fraction->factors);
    TRY(text_table_open(err, alignment, 2, &columns));
    text_table_add(columns, "%s", "");
    for (int f = 0; f < fraction->factors; f++) {
        text_table_add(columns, "%s", recipe_name(fraction->factor[f]));
    }
    text_table_add(columns, "%s", "quantizer");
    for (int f = 0; f < fraction->factors; f++) {
        char low[32], high[32];
        recipe_level(fraction->factor[f], fraction->low[f], low);
        recipe_level(fraction->factor[f], fraction->high[f], high);
        text_table_add(columns, "%s \xe2\x88\x92 %s", high, low);
    }
    add_quantizer(columns, report, report->quantizer, matched);
    for (int q = 0; q < report->table->quantizers; q++) {
        if (q != report->quantizer) {
            add_quantizer(columns, report, q, matched);
        }
    }
    TRY(text_table_print(err, report->out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

int report_exploratory(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    const struct design *design = report->analysis->design;
    if (!design->has_fraction) {
        goto cleanup;
    }
    report_heading(report, "Recipe under all quantizers: main effects on KL, %%");
    text_wrap(report->out, "",
              report->full
                  ? "With 95 % intervals; * adjusted p below 0.05 (Holm, within the quantizer). "
                    "Exploratory, but for the first row's effects that claims are about."
                  : "* adjusted p below 0.05 (Holm, within the quantizer); intervals with --full. "
                    "Exploratory, but for the first row's effects that claims are about.");
    TRY(print_main_effects(err, report, false));
    if (report_has_ladder(report->analysis)) {
        fputc('\n', report->out);
        text_wrap(report->out, "",
                  "The same at equal loss: against base runs of the same size and loss, so that "
                  "what a worse or shorter trained model would save as well is taken out");
        TRY(print_main_effects(err, report, true));
    }
cleanup:
    return status;
}
