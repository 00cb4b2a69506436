#include "results/explain_sites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/text.h"

enum { WORST = 3 };

static const double *errors_at(const struct record *record, int checkpoint, int quantizer)
{
    return record->site_error +
           (size_t)(checkpoint * record->quantizers + quantizer) * record->layers * RECORD_SITES;
}

static double outcome_at(const struct record *record, int checkpoint, int quantizer)
{
    return record->quantizer_outcome[checkpoint * record->quantizers + quantizer];
}

/* The last checkpoint at which something is known of the quantizer; −1: none. */
static int last_checkpoint(const struct record *record, int quantizer)
{
    int last = -1;
    for (int k = 0; k < record->checkpoints; k++) {
        const double *error = errors_at(record, k, quantizer);
        bool any = !isnan(outcome_at(record, k, quantizer));
        for (int i = 0; i < record->layers * RECORD_SITES; i++) {
            any |= isfinite(error[i]);
        }
        last = any ? k : last;
    }
    return last;
}

/* The sites in order of their errors, the largest first; how many have one. */
static int sort_worst(const struct record *record, const double *error, int worst[WORST])
{
    int found = 0;
    for (int i = 0; i < record->layers * RECORD_SITES; i++) {
        int at = found < WORST ? found : WORST;
        if (!isfinite(error[i])) {
            continue;
        }
        while (at > 0 && error[i] > error[worst[at - 1]]) {
            if (at < WORST) {
                worst[at] = worst[at - 1];
            }
            at--;
        }
        if (at < WORST) {
            worst[at] = i;
            found += found < WORST;
        }
    }
    return found;
}

static struct text percent(double error)
{
    return text_significant(100 * error, 3);
}

/* Root of the mean square over sites. */
static double mean_error(const struct record *record, const double *error)
{
    double squares = 0;
    int count = 0;
    for (int i = 0; i < record->layers * RECORD_SITES; i++) {
        if (isfinite(error[i])) {
            squares += error[i] * error[i];
            count++;
        }
    }
    return count > 0 ? sqrt(squares / count) : NAN;
}

int explain_sites_summary(struct error *err, FILE *out, const struct cell *cell,
                          const struct record *record)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    static const char *const head[] = {"",          "",           "mean",     "largest",  "",
                                       "quantizer", "checkpoint", "error, %", "error, %", "at"};
    int rows = 0;
    TRY(text_table_open(err, "lrrrl", 2, &columns));
    TEXT_ADD_HEAD(columns, head);
    for (int q = 0; q < record->quantizers; q++) {
        const int k = last_checkpoint(record, q);
        int worst[WORST];
        if (k < 0) {
            continue;
        }
        const double *error = errors_at(record, k, q);
        const int found = sort_worst(record, error, worst);
        text_table_add(columns, "%s", cell->evaluate.quantizer[q].name);
        text_table_add(columns, "%d", k + 1);
        text_table_add(columns, "%s", percent(mean_error(record, error)).s);
        text_table_add(columns, "%s", found > 0 ? percent(error[worst[0]]).s : "");
        if (found > 0) {
            text_table_add(columns, "layer %d %s", worst[0] / RECORD_SITES,
                           record_site_name(worst[0] % RECORD_SITES));
        } else {
            text_table_add(columns, "%s", record_outcome_name(outcome_at(record, k, q)));
        }
        rows++;
    }
    if (rows > 0) {
        fputs(
            "\nError of the sites' outputs on calibration text (one quantizer: --quantizer NAME)\n",
            out);
        TRY(text_table_print(err, out, columns, 1));
    }
cleanup:
    text_table_free(columns);
    return status;
}

static int find_quantizer(struct error *err, const struct cell *cell, const struct record *record,
                          const char *name, int *quantizer)
{
    int status = STATUS_OK;
    char known[1024] = "";
    for (int q = 0; q < record->quantizers; q++) {
        if (strcmp(cell->evaluate.quantizer[q].name, name) == 0) {
            *quantizer = q;
            goto cleanup;
        }
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", q == 0 ? "" : ", ",
                 cell->evaluate.quantizer[q].name);
    }
    FAIL(err, STATUS_USAGE, "this study has no quantizer \"%.80s\"; it has %s", name, known);
cleanup:
    return status;
}

/* Where GPTQ needed more than the usual damping. */
static void print_damping(FILE *out, const struct record *record, int checkpoint, int quantizer)
{
    const double *damping =
        record->gptq_damping +
        (size_t)(checkpoint * record->quantizers + quantizer) * record->layers * RECORD_SITES;
    for (int i = 0; i < record->layers * RECORD_SITES; i++) {
        if (damping[i] > 0.0101) { /* it is kept in single precision */
            text_say(out, "  * ",
                     "Layer %d %s: the Hessian was positive definite only with %s of its mean "
                     "diagonal added.",
                     i / RECORD_SITES, record_site_name(i % RECORD_SITES),
                     text_significant(damping[i], 2).s);
        }
    }
}

static int print_grid(struct error *err, FILE *out, const struct record *record,
                      const double *error, const int *worst, int found)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    TRY(text_table_open(err, "rrrrr", 1, &columns));
    text_table_add(columns, "layer");
    for (int s = 0; s < RECORD_SITES; s++) {
        text_table_add(columns, "%s", record_site_name(s));
    }
    for (int i = 0; i < record->layers * RECORD_SITES; i++) {
        int rank = 0;
        for (int w = 0; w < found; w++) {
            rank = worst[w] == i ? w + 1 : rank;
        }
        if (i % RECORD_SITES == 0) {
            text_table_add(columns, "%d", i / RECORD_SITES);
        }
        if (rank > 0) {
            text_table_add(columns, "#%d  %s", rank, percent(error[i]).s);
        } else {
            text_table_add(columns, "%s", percent(error[i]).s);
        }
    }
    TRY(text_table_print(err, out, columns, 1));
cleanup:
    text_table_free(columns);
    return status;
}

int explain_sites_table(struct error *err, FILE *out, const struct cell *cell,
                        const struct record *record, const char *quantizer)
{
    int status = STATUS_OK;
    int q = 0, worst[WORST];
    char description[QUANTIZER_DESCRIPTION];
    TRY(find_quantizer(err, cell, record, quantizer, &q));
    quantizer_describe(&cell->evaluate.quantizer[q], description);
    fputc('\n', out);
    text_say(out, "", "%s: %s", quantizer, description);
    const int k = last_checkpoint(record, q);
    if (k < 0) {
        text_wrap(out, "", "It was not evaluated in this cell.");
        goto cleanup;
    }
    const double *error = errors_at(record, k, q);
    const int found = sort_worst(record, error, worst);
    text_say(out, "",
             "Checkpoint %d: error of each site's output on calibration text, %% of its norm; the "
             "worst are marked",
             k + 1);
    if (found == 0) {
        text_say(out, "", "No results: %s.", record_outcome_name(outcome_at(record, k, q)));
    } else {
        TRY(print_grid(err, out, record, error, worst, found));
    }
    for (int w = 0; w < found; w++) {
        text_say(out, "  ", "#%d  layer %d %s: %s %%", w + 1, worst[w] / RECORD_SITES,
                 record_site_name(worst[w] % RECORD_SITES), percent(error[worst[w]]).s);
    }
    print_damping(out, record, k, q);
    const int at = k * record->quantizers + q;
    text_say(out, "", "All sites together: KL %s nats per token, top-1 agreement %s %%",
             text_significant(record->kl[at], 5).s,
             text_significant(100 * record->top1_agreement[at], 5).s);
cleanup:
    return status;
}
