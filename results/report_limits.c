/* "What this study cannot decide": said from the data, not from a template. */
#include "results/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST = 3072, FEW_SEEDS = 4 }; /* METHOD §6 looks at 4 seeds first */

#define LEAD "  * "

/* Append to a list of at most LIST bytes, with a comma between. */
static void append(char list[LIST], const char *what, const char *value)
{
    size_t used = strlen(list);
    snprintf(list + used, LIST - used, "%s%s%s", used > 0 ? ", " : "", what, value);
}

static struct effect effect_of(const struct report *report, int setting, enum response response)
{
    return effects_of(report->effects, setting, response, report->quantizer, report->last,
                      EFFECTS_ALL_SIZES);
}

/* ── Effects that are not resolved ── */

static void say_undecided(const struct report *report)
{
    char undecided[LIST] = "";
    char without[LIST] = "";
    char name[CELL_LABEL];
    for (int s = report_next(report, report->effects->base); s < report->effects->settings;
         s = report_next(report, s)) {
        struct effect kl = effect_of(report, s, RESPONSE_LOG_KL);
        report_setting(report, s, name);
        if (kl.interval.df == 0) {
            append(without, name, "");
        } else if (strcmp(report_word(&kl), "undecided") == 0) {
            char size[TEXT_NUMBER + 16];
            snprintf(size, sizeof size, " (\xc2\xb1%s %%)",
                     text_significant(text_percent(interval_detectable(&kl.interval)), 2).s);
            append(undecided, name, size);
        }
    }
    const char *quantizer = report->table->quantizer[report->quantizer];
    if (undecided[0] != '\0') {
        text_say(report->out, LEAD,
                 "Undecided for %s, with the smallest effect on KL that these pairs could have "
                 "told from none: %s. \"Undecided\" is not \"no effect\".",
                 quantizer, undecided);
    }
    if (without[0] != '\0') {
        text_say(report->out, LEAD, "Without any interval for %s (no pairs, or one per size): %s.",
                 quantizer, without);
    }
}

/* Recipes that also change the loss: part of their effect may be that of a better or worse model. */
static void say_unmatched(const struct report *report)
{
    char list[LIST] = "";
    char name[CELL_LABEL];
    for (int s = report_next(report, report->effects->base); s < report->effects->settings;
         s = report_next(report, s)) {
        struct effect loss = effect_of(report, s, RESPONSE_LOSS);
        if (interval_sign(&loss.interval) == 0) {
            continue;
        }
        char value[TEXT_NUMBER + 16];
        snprintf(value, sizeof value, " (%s)",
                 text_interval(loss.interval.estimate, loss.interval.low, loss.interval.high).s);
        append(list, report_setting(report, s, name), value);
    }
    if (list[0] != '\0') {
        text_say(report->out, LEAD,
                 "Equal tokens are not equal loss: these settings also change the full-precision "
                 "loss (nats per token): %s. Their effect on KL compares a better model with a "
                 "worse one%s.",
                 list,
                 report_has_ladder(report->analysis)
                     ? "; that at equal loss stands beside, where the base's runs reach"
                     : "");
    }
}

static void say_tokens_differ(const struct report *report)
{
    const struct effects *effects = report->effects;
    char list[LIST] = "", mixed[LIST] = "";
    char name[CELL_LABEL];
    for (int s = report_next(report, effects->base); s < effects->settings;
         s = report_next(report, s)) {
        bool fewer = false, more = false;
        for (int k = effects->start[s]; k < effects->start[s + 1]; k++) {
            int cell = effects->order[k];
            int base = effects->base_of[cell];
            if (base >= 0) {
                const double change =
                    report->table->cell[cell].tokens - report->table->cell[base].tokens;
                fewer |= change < 0;
                more |= change > 0;
            }
        }
        if (fewer || more) {
            append(fewer && more ? mixed : list, report_setting(report, s, name), "");
        }
    }
    if (mixed[0] != '\0') {
        text_say(report->out, LEAD,
                 "Fewer tokens than the base's at some sizes, more at others: %s. The mean over "
                 "sizes says nothing there; see the sizes (--full).",
                 mixed);
    }
    if (list[0] != '\0') {
        text_say(report->out, LEAD,
                 "Other training lengths than the base's: %s. Their effect includes that of the "
                 "number of tokens.",
                 list);
    }
}

/* ── Scale ── */

static void say_scale(const struct report *report)
{
    const struct effects *effects = report->effects;
    const struct table *table = report->table;
    if (effects->sizes < 2) {
        text_wrap(report->out, LEAD, "One size only: nothing can be said about scale.");
        return;
    }
    if (effects->base < 0) {
        return;
    }
    /* the base's cells ascend in parameters */
    int from = effects->start[0];
    int to = effects->start[1];
    bool equal_tokens = true;
    bool equal_ratio = true;
    const struct table_cell *first = &table->cell[effects->order[from]];
    const struct table_cell *last = &table->cell[effects->order[to - 1]];
    double ratio = first->tokens / first->parameters;
    for (int k = from; k < to; k++) {
        const struct table_cell *cell = &table->cell[effects->order[k]];
        equal_tokens &= cell->tokens == first->tokens;
        equal_ratio &= fabs(cell->tokens / cell->parameters / ratio - 1) < 0.02;
    }
    double last_ratio = last->tokens / last->parameters;
    if (first->parameters == last->parameters) {
        text_wrap(report->out, LEAD, "The base recipe ran at one size only: no slope of scale.");
    } else if (equal_tokens && !equal_ratio) {
        text_say(
            report->out, LEAD,
            "Scale is confounded with training length: every size saw %s tokens, so tokens per "
            "parameter run from %s (%s) to %s (%s). The slope per decade mixes size with "
            "under-training.",
            text_count(first->tokens).s, text_significant(ratio, 3).s, first->size,
            text_significant(last_ratio, 3).s, last->size);
    } else if (equal_ratio) {
        text_say(report->out, LEAD,
                 "Sizes are compared at about %s tokens per parameter, hence at unequal tokens and "
                 "loss: the slope per decade is that of size and data together.",
                 text_significant(ratio, 3).s);
    } else {
        text_wrap(report->out, LEAD,
                  "Neither tokens nor tokens per parameter are equal across sizes: the slope per "
                  "decade mixes size with training length.");
    }
}

/* Each size has the rate that suits it. */
static void say_rates(const struct report *report)
{
    const struct effects *effects = report->effects;
    char list[LIST] = "";
    double first = NAN;
    bool differ = false;
    int size = -1;
    if (effects->base < 0) {
        return;
    }
    for (int k = effects->start[effects->base]; k < effects->start[effects->base + 1]; k++) {
        const int cell = effects->order[k];
        if (effects->size_of[cell] == size) {
            continue;
        }
        const double rate = report->table->cell[cell].learning_rate;
        char value[32];
        size = effects->size_of[cell];
        snprintf(value, sizeof value, " %.3g", rate);
        append(list, effects->size[size].name, value);
        first = isnan(first) ? rate : first;
        differ |= rate != first;
    }
    if (differ) {
        text_say(
            report->out, LEAD,
            "Sizes differ in their learning rate, too (%s). What the rate does to KL, by itself "
            "or through the loss, is part of the effect of scale.",
            list);
    }
}

/* ── Cells ── */

static void say_missing(const struct report *report)
{
    char list[LIST] = "";
    const struct effects *effects = report->effects;
    for (int s = 0; s < effects->settings; s++) {
        char what[160] = "";
        for (int status = CELL_PENDING; status <= CELL_QUARANTINED; status++) {
            int count = effects->setting[s].cells[status];
            if (status == CELL_DONE || count == 0) {
                continue;
            }
            size_t used = strlen(what);
            snprintf(what + used, sizeof what - used, "%s%d %s", used > 0 ? ", " : "", count,
                     cell_status_name((enum cell_status)status));
        }
        if (what[0] != '\0') {
            char name[CELL_LABEL];
            char value[192];
            snprintf(value, sizeof value, " (%s of %d)", what, effects->setting[s].total);
            append(list, report_setting(report, s, name), value);
        }
    }
    if (list[0] != '\0') {
        text_say(
            report->out, LEAD,
            "Cells without a result in the effects: %s. Diverged runs are results, but have no "
            "finite response: effects hold for the runs that survive.",
            list);
    }
}

static void say_seeds(const struct report *report)
{
    int most = 0;
    for (int s = report_next(report, report->effects->base); s < report->effects->settings;
         s = report_next(report, s)) {
        struct effect loss = effect_of(report, s, RESPONSE_LOSS);
        most = loss.most > most ? loss.most : most;
    }
    if (most > 0 && most < FEW_SEEDS) {
        text_say(
            report->out, LEAD,
            "Few seeds: at most %d per size. The intervals are honest about it, hence wide, and "
            "they assume that seed noise is the same at every size.",
            most);
    }
}

static void say_instruction_sets(const struct report *report)
{
    const struct table *table = report->table;
    const char *first = NULL;
    const char *other = NULL;
    int count = 0;
    for (int i = 0; table->isa != NULL && i < table->cells; i++) {
        if (table->cell[i].status != CELL_DONE || table->isa[i][0] == '\0') {
            continue;
        }
        first = first == NULL ? table->isa[i] : first;
        if (strcmp(first, table->isa[i]) != 0) {
            other = table->isa[i];
            count++;
        }
    }
    if (count > 0) {
        text_say(report->out, LEAD,
                 "Warning: cells were computed with different instruction sets (%s; in %d cells "
                 "another, "
                 "such as %s). The same cell then differs in its last bits, so pairs are not exact "
                 "pairs; rerun on one kind of node.",
                 first, count, other);
    }
}

static void say_always(const struct report *report)
{
    const bool others = report_shows_others(report);
    int intervals = 0;
    for (int s = report_next(report, report->effects->base); s < report->effects->settings;
         s = report_next(report, s)) {
        for (int q = 0; q < report->table->quantizers; q++) {
            intervals +=
                (others || q == report->quantizer) &&
                effects_of(report->effects, s, RESPONSE_LOG_KL, q, report->last, EFFECTS_ALL_SIZES)
                        .interval.df > 0;
        }
    }
    if (intervals > 1) {
        text_say(
            report->out, LEAD,
            "Each interval stands for itself: of the %d on KL of a setting against the base above, "
            "about %s would exclude 0 by chance if no setting had any effect. Only the intervals "
            "of the claims at the top are simultaneous.",
            intervals, text_fixed(0.05 * intervals, 1, false).s);
    }
    if (!report->analysis->has_shares) {
        text_wrap(report->out, LEAD, analysis_no_shares(report->analysis));
    }
    text_wrap(report->out, LEAD,
              "Effects are averages over the sizes of this study, on this text; nothing here "
              "extrapolates to other sizes.");
}

int report_limits(struct error *err, const struct report *report)
{
    (void)err;
    report_heading(report, "What this study cannot decide");
    if (report->done > 0) {
        say_undecided(report);
        say_unmatched(report);
        say_tokens_differ(report);
        say_scale(report);
        say_rates(report);
        say_seeds(report);
        say_instruction_sets(report);
    }
    say_missing(report);
    say_always(report);
    return STATUS_OK;
}
