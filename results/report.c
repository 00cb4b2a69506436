#include "results/report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "results/report_parts.h"

enum { LABEL_WIDTH = 26 }; /* longer labels get a key */

const char *report_setting(const struct report *report, int setting, char name[CELL_LABEL])
{
    if (report->keys && setting != report->effects->base) {
        snprintf(name, CELL_LABEL, "S%d", setting - report->effects->base);
    } else {
        snprintf(name, CELL_LABEL, "%s", report->effects->setting[setting].label);
    }
    return name;
}

void report_heading(const struct report *report, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputc('\n', report->out);
    text_wrap(report->out, "", text);
    int width = text_width(text);
    for (int i = 0; i < (width < TEXT_COLUMNS ? width : TEXT_COLUMNS); i++) {
        fputs("\xe2\x95\x90", report->out); /* ═ */
    }
    fputc('\n', report->out);
}

const char *report_word(const struct effect *effect)
{
    const struct interval *interval = &effect->interval;
    if (effect->pairs == 0) {
        return "no pairs";
    }
    if (interval->df == 0) {
        return "no interval";
    }
    if (interval->low == 0 && interval->high == 0) {
        return "identical";
    }
    int sign = interval_sign(interval);
    return sign > 0 ? "more" : sign < 0 ? "less" : "undecided";
}

static void print_heading(const struct report *report)
{
    const struct table *table = report->table;
    FILE *out = report->out;
    report_heading(report, "%s%s%s", table->name, table->title[0] != '\0' ? ": " : "",
                   table->title);
    if (table->note[0] != '\0') {
        text_wrap(out, "Note: ", table->note);
    }
    text_say(out, "Design:  ", "%s, %d sizes, %d settings besides the base, %d quantizers",
             table->design, report->effects->sizes,
             report->effects->settings - (report->effects->base + 1), table->quantizers);
    text_say(out, "Cells:   ",
             "%d = %d done + %d diverged + %d failed + %d missing (not run yet, or running)",
             table->cells, report->done, effects_count(report->effects, CELL_DIVERGED),
             effects_count(report->effects, CELL_FAILED) +
                 effects_count(report->effects, CELL_QUARANTINED),
             effects_count(report->effects, CELL_PENDING) +
                 effects_count(report->effects, CELL_RUNNING));
    char sets[TABLE_SETS];
    table_instruction_sets(table, sets);
    text_say(out, "Run:     ", "%s, ptqscale %s, commit %s, instruction set %s, %s of computing",
             table->date[0] != '\0' ? table->date : "date unknown",
             table->version[0] != '\0' ? table->version : "(version unknown)", table_commits(table),
             sets[0] != '\0' ? sets : "unknown", text_seconds(table_seconds(table)).s);
    if (table->looks.planned[0] != '\0') {
        text_say(out, "Seeds:   ",
                 "added at looks of %s; the last look with %s seeds: %s%s%s. Each simultaneous "
                 "interval has the level that this look may spend.",
                 table->looks.planned, table->looks.seeds, table->looks.decision,
                 table->looks.undecided[0] != '\0' ? ", undecided " : "", table->looks.undecided);
    }
}

static void print_words(const struct report *report)
{
    fputc('\n', report->out);
    text_wrap(report->out, "Words: ",
              "KL is KL(p\xe2\x80\x96p_q), the mean divergence of the quantized model's "
              "predictions from the full model's on held-out text: the degradation. "
              "KL and losses are in nats per token. \xce\x94loss is quantized minus full loss. An "
              "effect is setting minus "
              "base, paired by size and seed, averaged over sizes; KL effects are ratios, as "
              "percentages. [low, high] is a 95 % t-interval of this one effect unless a table "
              "says otherwise; \"more\" and "
              "\"less\" degradation mean that it excludes 0, \"undecided\" that it does not.");
}

static void print_legend(const struct report *report)
{
    if (!report->keys) {
        return;
    }
    fprintf(report->out, "\nSettings (long names have a key in the tables)\n");
    for (int s = report_next(report, report->effects->base); s < report->effects->settings;
         s = report_next(report, s)) {
        char name[CELL_LABEL];
        char lead[CELL_LABEL + 4];
        snprintf(lead, sizeof lead, "  %-5s", report_setting(report, s, name));
        text_wrap(report->out, lead, report->effects->setting[s].label);
    }
}

/* Parameters and tokens of the base's cells of a size; tokens NaN if they differ. */
static double base_tokens(const struct effects *effects, int size)
{
    double tokens = NAN;
    for (int k = effects->start[effects->base]; k < effects->start[effects->base + 1]; k++) {
        int cell = effects->order[k];
        if (effects->size_of[cell] != size) {
            continue;
        }
        if (!isnan(tokens) && effects->table->cell[cell].tokens != tokens) {
            return NAN;
        }
        tokens = effects->table->cell[cell].tokens;
    }
    return tokens;
}

static double unigram_entropy(const struct effects *effects, int size)
{
    const struct table *table = effects->table;
    for (int i = 0; table->unigram_entropy != NULL && i < table->cells; i++) {
        if (effects->size_of[i] == size && isfinite(table->unigram_entropy[i])) {
            return table->unigram_entropy[i];
        }
    }
    return NAN;
}

/* Bits per byte of one nat per token: the same for all cells of a size, as they read the same windows. */
static double bits_per_nat(const struct effects *effects, int size)
{
    const struct table *table = effects->table;
    for (int i = 0; table->bits_per_byte != NULL && i < table->cells; i++) {
        const int last = (i + 1) * table->checkpoints - 1;
        if (effects->size_of[i] == size && isfinite(table->bits_per_byte[last])) {
            return table->bits_per_byte[last] / table->loss[last];
        }
    }
    return NAN;
}

/* Did the models learn anything? Their loss against the best constant prediction. */
static int print_training(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    const struct effects *effects = report->effects;
    int unlearned = 0;
    if (effects->base < 0) {
        goto cleanup;
    }
    report_heading(report, "Training: held-out loss of the base recipe, nats per token");
    TRY(text_table_open(err, "lrrrrrrrrr", 2, &columns));
    static const char *const head[] = {
        "",     "non-emb.",   "",         "tokens per", "",
        "",     "seed",       "bits per", "unigram",    "learned:",
        "size", "parameters", "tokens",   "parameter",  "seeds",
        "loss", "SD",         "byte",     "entropy",    "entropy \xe2\x88\x92 loss"};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        text_table_add(columns, "%s", head[i]);
    }
    for (int s = 0; s < effects->sizes; s++) {
        struct mean loss = effects_mean(effects, effects->base, s, RESPONSE_LOSS, 0, report->last);
        double tokens = base_tokens(effects, s);
        double entropy = unigram_entropy(effects, s);
        double parameters = effects->size[s].parameters;
        text_table_add(columns, "%s", effects->size[s].name);
        text_table_add(columns, "%s", text_count(parameters).s);
        text_table_add(columns, "%s", text_count(tokens).s);
        text_table_add(columns, "%s", text_significant(tokens / parameters, 3).s);
        text_table_add(columns, "%d", loss.cells);
        text_table_add(columns, "%s", text_fixed(loss.mean, 4, false).s);
        text_table_add(columns, "%s", text_fixed(loss.sd, 4, false).s);
        text_table_add(columns, "%s", text_fixed(loss.mean * bits_per_nat(effects, s), 4, false).s);
        text_table_add(columns, "%s", text_fixed(entropy, 4, false).s);
        text_table_add(columns, "%s", text_fixed(entropy - loss.mean, 4, false).s);
        unlearned += loss.mean >= entropy;
    }
    TRY(text_table_print(err, report->out, columns, 1));
    if (unlearned > 0) {
        text_say(report->out, "  * ",
                 "Warning: %d of %d sizes predict no better than the frequencies of single tokens "
                 "do: they "
                 "learned nothing, and their degradation says nothing.",
                 unlearned, effects->sizes);
    }
cleanup:
    text_table_free(columns);
    return status;
}

int report_next(const struct report *report, int setting)
{
    setting++;
    while (!report->full && setting < report->effects->settings &&
           design_in_fraction(report->analysis->design, setting)) {
        setting++;
    }
    return setting < report->effects->settings ? setting : report->effects->settings;
}

static int print_answer(struct error *err, const struct report *report)
{
    int status = STATUS_OK;
    if (report->done == 0) {
        fputc('\n', report->out);
        text_wrap(report->out, "",
                  effects_count(report->effects, CELL_DIVERGED) > 0
                      ? "No run stayed finite: there is nothing to compare."
                      : "No cell is finished yet: there is nothing to compare.");
        report_diverged(report);
        goto cleanup;
    }
    TRY(report_answer(err, report));
    print_words(report);
    TRY(print_training(err, report));
    print_legend(report);
    TRY(report_main_quantizer(err, report));
    TRY(report_other_quantizers(err, report));
    TRY(report_exploratory(err, report));
    TRY(report_ranking(err, report));
    TRY(report_tasks(err, report));
    TRY(report_checkpoints(err, report));
    if (report->full) {
        TRY(report_sizes(err, report));
    }
cleanup:
    return status;
}

int report_print(struct error *err, FILE *out, const struct analysis *analysis,
                 const struct report_options *options)
{
    int status = STATUS_OK;
    const struct effects *effects = analysis->effects;
    struct report report = {.out = out,
                            .analysis = analysis,
                            .table = analysis->table,
                            .effects = effects,
                            .full = options != NULL && options->full,
                            .quantizer = analysis->quantizer,
                            .last = analysis->checkpoint,
                            .done = effects_count(effects, CELL_DONE)};
    for (int s = report_next(&report, effects->base); s < effects->settings;
         s = report_next(&report, s)) {
        report.keys |= text_width(effects->setting[s].label) > LABEL_WIDTH;
    }
    print_heading(&report);
    TRY(print_answer(err, &report));
    TRY(report_limits(err, &report));
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "the report cannot be written: %s",
          strerror(errno));
cleanup:
    return status;
}
