#include "results/looks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/analysis.h"
#include "results/spending.h"

int look_next(const struct spec_looks *plan, int seeds)
{
    for (int i = 0; i < plan->count; i++) {
        if (plan->seeds[i] > seeds) {
            return plan->seeds[i];
        }
    }
    return 0;
}

static void note_undecided(const struct claims *claims, struct look *look)
{
    size_t used = 0;
    for (int h = 0; h < HYPOTHESES; h++) {
        const enum verdict verdict = claims->claim[h].verdict;
        look->asked += verdict != VERDICT_NOT_ASKED;
        if (verdict == VERDICT_UNDECIDED) {
            used += (size_t)snprintf(look->undecided + used, sizeof look->undecided - used, "%sH%s",
                                     used > 0 ? ", " : "", hypothesis_name((enum hypothesis)h));
        }
    }
}

/* The claims alone: an interval of shares or of C6 takes seconds, and decides nothing here. */
static int find_claims(struct error *err, const struct table *table, double alpha,
                       struct claims *claims)
{
    int status = STATUS_OK;
    struct effects *effects = NULL;
    struct design *design = NULL;
    int quantizer = 0;
    double *y = calloc(2 * (size_t)table->cells + 1, sizeof *y), *loss = y + table->cells;
    CHECK(err, y != NULL, STATUS_FAILED, "out of memory for the analysis of %d cells",
          table->cells);
    TRY(analysis_quantizer(err, table, NULL, &quantizer));
    TRY(effects_open(err, table, &effects));
    TRY(design_open(err, effects, &design));
    effects_values(effects, RESPONSE_LOG_KL, quantizer, table->checkpoints - 1, y);
    effects_values(effects, RESPONSE_LOSS, 0, table->checkpoints - 1, loss);
    TRY(claims_of(err, design, y, loss, alpha, claims));
cleanup:
    design_free(design);
    effects_free(effects);
    free(y);
    return status;
}

int look_take(struct error *err, const struct table *table, const struct spec_looks *plan,
              int seeds, struct look *look)
{
    int status = STATUS_OK;
    struct claims *claims = calloc(1, sizeof *claims);
    struct spending spending[SPEC_LOOKS];
    int at = 0;
    *look = (struct look){.seeds = seeds, .next = seeds};
    CHECK(err, claims != NULL, STATUS_FAILED, "out of memory for the analysis");
    while (at < plan->count && plan->seeds[at] != seeds) {
        at++;
    }
    CHECK(err, at < plan->count, STATUS_FAILED, "no look is planned at %d seeds", seeds);
    spending_plan(plan, ANALYSIS_ALPHA, spending);
    look->level = spending[at].level;
    look->spent = spending[at].spent;
    TRY(find_claims(err, table, look->level, claims));
    note_undecided(claims, look);
    if (claims->decided) {
        look->decision = LOOK_DECIDED;
    } else if (at + 1 == plan->count) {
        look->decision = LOOK_LAST;
    } else {
        look->decision = LOOK_MORE;
        look->next = plan->seeds[at + 1];
    }
cleanup:
    free(claims);
    return status;
}

const char *look_decision_name(enum look_decision decision)
{
    static const char *const names[LOOK_DECISIONS] = {"more", "decided", "last", "budget"};
    return decision < LOOK_DECISIONS ? names[decision] : "?";
}

const char *look_text(const struct look *look, char text[LOOK_TEXT])
{
    char undecided[sizeof look->undecided + 32] = "";
    if (look->undecided[0] != '\0') {
        snprintf(undecided, sizeof undecided, "%s undecided; ", look->undecided);
    }
    switch (look->decision) {
    case LOOK_MORE:
        snprintf(text, LOOK_TEXT, "%d seeds: %s%d more seed%s", look->seeds, undecided,
                 look->next - look->seeds, look->next - look->seeds == 1 ? "" : "s");
        break;
    case LOOK_DECIDED:
        snprintf(text, LOOK_TEXT, "%d seeds: %s; no more seeds", look->seeds,
                 look->asked > 0 ? "every verdict is decided" : "there is no verdict to decide");
        break;
    case LOOK_LAST:
        snprintf(text, LOOK_TEXT, "%d seeds: %sit was the last look", look->seeds, undecided);
        break;
    default:
        snprintf(text, LOOK_TEXT, "%d seeds: %sthe next seeds would go beyond the budget",
                 look->seeds, undecided);
        break;
    }
    return text;
}
