#include "results/analysis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/holm.h"
#include "results/spending.h"
#include "results/text.h"

enum { SHARE_DRAWS = 4000, EARLY_DRAWS = 1000 };

int analysis_quantizer(struct error *err, const struct table *table, const char *name,
                       int *quantizer)
{
    int status = STATUS_OK;
    char known[512] = "";
    *quantizer = 0;
    for (int q = 0; q < table->quantizers; q++) {
        if (strcmp(table->quantizer[q], name != NULL ? name : "w8a8") == 0) {
            *quantizer = q;
            goto cleanup;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", q == 0 ? "" : ", ",
                 table->quantizer[q]);
    }
    CHECK(err, name == NULL, STATUS_USAGE, "this study has no quantizer \"%s\"; it has %s", name,
          known);
cleanup:
    return status;
}

/* ── Exploratory effects ── */

/* Is the factor's main effect under the primary quantizer confirmatory? */
static bool has_claim(enum recipe factor)
{
    return factor == RECIPE_DECAY || factor == RECIPE_DROPOUT || factor == RECIPE_CLIP ||
           factor == RECIPE_PRECISION;
}

/* What is compared: the fraction's main effects (of the primary quantizer only those without a claim), then every setting beside it against the base. Other numbers of tokens
 * are the ladder's. Returns how many; `out` may be NULL to count. */
static int list_contrasts(const struct analysis *analysis, bool primary, struct exploratory *out)
{
    const struct design *design = analysis->design;
    const struct fraction *fraction = &design->fraction;
    int count = 0;
    for (int f = 0; design->has_fraction && f < fraction->factors; f++) {
        if (primary && has_claim(fraction->factor[f])) {
            continue;
        }
        if (out != NULL) {
            recipe_contrast(fraction->factor[f], fraction->high[f], fraction->low[f],
                            out[count].contrast);
            weights_main(&out[count].weights, fraction, f);
        }
        count++;
    }
    for (int s = 0; analysis->effects->base == 0 && s < analysis->effects->settings; s++) {
        if (s == 0 || design_in_fraction(design, s) ||
            (design->setting[s].changed & 1u << RECIPE_TOKENS) != 0) {
            continue;
        }
        if (out != NULL) {
            snprintf(out[count].contrast, sizeof out[count].contrast, "%.80s",
                     analysis->effects->setting[s].label);
            weights_pair(&out[count].weights, s, 0);
        }
        count++;
    }
    return count;
}

/* Holm over the contrasts of one quantizer, and over those at equal loss. */
static int adjust(struct error *err, struct exploratory *list, int count)
{
    int status = STATUS_OK;
    double *p = malloc(4 * ((size_t)count + 1) * sizeof *p);
    double *matched = NULL;
    CHECK(err, p != NULL, STATUS_FAILED, "out of memory for the analysis");
    matched = p + 2 * (size_t)count;
    for (int i = 0; i < count; i++) {
        p[i] = list[i].effect.p;
        matched[i] = list[i].matched.p;
    }
    TRY(holm_adjust(err, p, count, p + count));
    TRY(holm_adjust(err, matched, count, matched + count));
    for (int i = 0; i < count; i++) {
        list[i].holm = p[count + i];
        list[i].matched_holm = matched[count + i];
    }
cleanup:
    free(p);
    return status;
}

static int explore(struct error *err, struct analysis *analysis)
{
    int status = STATUS_OK;
    const struct table *table = analysis->table;
    double *own = malloc((size_t)table->cells * sizeof *own);
    double *own_matched = malloc((size_t)table->cells * sizeof *own_matched);
    const size_t each = (size_t)list_contrasts(analysis, false, NULL);
    analysis->exploratory =
        calloc((size_t)table->quantizers * each + 1, sizeof *analysis->exploratory);
    CHECK(err, own != NULL && own_matched != NULL && analysis->exploratory != NULL, STATUS_FAILED,
          "out of memory for the analysis of %d cells", table->cells);
    for (int q = 0; q < table->quantizers; q++) {
        struct exploratory *list = analysis->exploratory + analysis->exploratories;
        const bool primary = q == analysis->quantizer;
        const double *y = primary ? analysis->log_kl : own;
        const double *matched = primary ? analysis->matched : own_matched;
        int count = list_contrasts(analysis, primary, list);
        if (!primary) {
            int outside;
            effects_values(analysis->effects, RESPONSE_LOG_KL, q, analysis->checkpoint, own);
            TRY(matching_residuals(err, analysis->design, own, analysis->loss, own_matched,
                                   &outside));
        }
        for (int i = 0; i < count; i++) {
            const struct weights *weights = &list[i].weights;
            list[i].quantizer = q;
            list[i].effect = contrast_of(analysis->design, y, weights, EFFECTS_ALL_SIZES, 0.05);
            list[i].matched =
                contrast_of(analysis->design, matched, weights, EFFECTS_ALL_SIZES, 0.05);
        }
        TRY(adjust(err, list, count));
        analysis->exploratories += count;
    }
cleanup:
    free(own);
    free(own_matched);
    return status;
}

/* ── Beside KL ── */

struct contrast analysis_matched_setting(const struct analysis *analysis, int setting)
{
    struct weights pair;
    if (design_is_rung(analysis->design, setting)) {
        return contrast_none;
    }
    weights_pair(&pair, setting, analysis->effects->base);
    return contrast_of(analysis->design, analysis->matched, &pair, EFFECTS_ALL_SIZES, 0.05);
}

static int claims_on_loss(struct error *err, struct analysis *analysis)
{
    int status = STATUS_OK;
    const struct claims *claims = &analysis->claims;
    double *y = malloc((size_t)analysis->table->cells * sizeof *y);
    CHECK(err, y != NULL, STATUS_FAILED, "out of memory for the analysis");
    effects_values(analysis->effects, RESPONSE_DELTA_LOSS, analysis->quantizer,
                   analysis->checkpoint, y);
    for (enum hypothesis h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &claims->claim[h];
        analysis->delta_loss[h] =
            claim->verdict == VERDICT_NOT_ASKED ? contrast_none
            : h == H5 ? contrast_slope(analysis->design, y, analysis->design->ladder.diagonal,
                                       claims->alpha)
                      : contrast_of(analysis->design, y, &claim->weights, EFFECTS_ALL_SIZES,
                                    claims->alpha);
    }
cleanup:
    free(y);
    return status;
}

/* ── Diverged runs ── */

/* Count the cells of each level of a factor, by the settings' values. */
static void count_levels(struct analysis *analysis, enum recipe recipe)
{
    const struct effects *effects = analysis->effects;
    const int first = analysis->levels;
    bool varies = false;
    for (int s = 0; s < effects->settings; s++) {
        varies |= (analysis->design->setting[s].changed & 1u << recipe) != 0;
    }
    for (int s = 0; varies && s < effects->settings; s++) {
        char text[32];
        recipe_level(recipe, analysis->design->setting[s].value[recipe], text);
        int at = first;
        while (at < analysis->levels && strcmp(analysis->level[at].level, text) != 0) {
            at++;
        }
        struct diverged_level *level = &analysis->level[at];
        if (at == analysis->levels) {
            snprintf(level->factor, sizeof level->factor, "%s", recipe_name(recipe));
            snprintf(level->level, sizeof level->level, "%s", text);
            analysis->levels++;
        }
        level->cells +=
            effects->setting[s].cells[CELL_DONE] + effects->setting[s].cells[CELL_DIVERGED];
        level->diverged += effects->setting[s].cells[CELL_DIVERGED];
    }
}

static int count_diverged(struct error *err, struct analysis *analysis)
{
    int status = STATUS_OK;
    const struct effects *effects = analysis->effects;
    analysis->level = calloc((size_t)effects->settings * RECIPES + 1, sizeof *analysis->level);
    CHECK(err, analysis->level != NULL, STATUS_FAILED, "out of memory for the analysis");
    analysis->diverged = effects_count(effects, CELL_DIVERGED);
    for (int r = 0; effects->base == 0 && r < RECIPES; r++) {
        count_levels(analysis, (enum recipe)r);
    }
cleanup:
    return status;
}

/* ── All of it ── */

static int compute(struct error *err, struct analysis *analysis, double alpha)
{
    int status = STATUS_OK;
    int outside = 0;
    effects_values(analysis->effects, RESPONSE_LOG_KL, analysis->quantizer, analysis->checkpoint,
                   analysis->log_kl);
    effects_values(analysis->effects, RESPONSE_LOSS, 0, analysis->checkpoint, analysis->loss);
    TRY(matching_residuals(err, analysis->design, analysis->log_kl, analysis->loss,
                           analysis->matched, &outside));
    TRY(claims_of(err, analysis->design, analysis->log_kl, analysis->loss, alpha,
                  &analysis->claims));
    TRY(claims_on_loss(err, analysis));
    if (analysis->design->has_fraction && fraction_saturated(&analysis->design->fraction)) {
        TRY(anova_of(err, analysis->design, analysis->log_kl, &analysis->anova));
        TRY(shares_of(err, &analysis->anova, SHARE_DRAWS, &analysis->shares));
        analysis->has_shares =
            analysis->anova.sizes > 1 && isfinite(analysis->shares.share[SHARE_SCALE].low);
    }
    TRY(early_of(err, analysis->design, analysis->quantizer, EARLY_DRAWS, &analysis->early));
    TRY(mechanism_of(err, analysis->design, analysis->log_kl, analysis->mechanism));
    TRY(explore(err, analysis));
    TRY(count_diverged(err, analysis));
cleanup:
    return status;
}

int analysis_open(struct error *err, const struct table *table,
                  const struct analysis_options *options, struct analysis **analysis)
{
    int status = STATUS_OK;
    const struct analysis_options usual = {0};
    struct analysis *made = calloc(1, sizeof *made);
    options = options != NULL ? options : &usual;
    *analysis = NULL;
    CHECK(err, made != NULL, STATUS_FAILED, "out of memory for the analysis");
    made->table = table;
    TRY(effects_open(err, table, &made->effects));
    TRY(analysis_quantizer(err, table, options->quantizer, &made->quantizer));
    TRY(design_open(err, made->effects, &made->design));
    made->checkpoint = table->checkpoints - 1;
    made->log_kl = calloc((size_t)table->cells, sizeof *made->log_kl);
    made->loss = calloc((size_t)table->cells, sizeof *made->loss);
    made->matched = calloc((size_t)table->cells, sizeof *made->matched);
    CHECK(err, made->log_kl != NULL && made->loss != NULL && made->matched != NULL, STATUS_FAILED,
          "out of memory for the analysis of %d cells", table->cells);
    TRY(compute(err, made,
                options->alpha > 0 ? options->alpha : spending_level_of(table, ANALYSIS_ALPHA)));
    *analysis = made;
    made = NULL;
cleanup:
    analysis_free(made);
    return status;
}

void analysis_free(struct analysis *analysis)
{
    if (analysis == NULL) {
        return;
    }
    design_free(analysis->design);
    effects_free(analysis->effects);
    free(analysis->log_kl);
    free(analysis->loss);
    free(analysis->matched);
    free(analysis->exploratory);
    free(analysis->level);
    free(analysis);
}

/* ── The answer in words ── */

static struct text percent(const struct interval *share)
{
    return text_share(share->estimate, share->low, share->high);
}

/* "9 percentage points [3, 14]" */
static struct text points(double share, double low, double high)
{
    struct text text;
    snprintf(text.s, sizeof text.s, "%.20s percentage points [%.20s, %.20s]",
             text_fixed(100 * share, 0, false).s, text_fixed(100 * low, 0, false).s,
             text_fixed(100 * high, 0, false).s);
    return text;
}

static void say_shares(const struct analysis *analysis, char *text, size_t size)
{
    const struct shares *shares = &analysis->shares;
    const struct interval *less = &shares->optimization_less_scale;
    char answer[256];
    if (less->low > 0) {
        snprintf(answer, sizeof answer,
                 "Optimization choices explain more of the degradation here than scale does, by %s",
                 points(less->estimate, less->low, less->high).s);
    } else if (less->high < 0) {
        snprintf(answer, sizeof answer,
                 "Scale explains more of the degradation here than optimization choices do, by %s",
                 points(-less->estimate, -less->high, -less->low).s);
    } else {
        snprintf(answer, sizeof answer,
                 "Whether scale or optimization choices explain more of the degradation is not "
                 "decided here (optimization less scale: %s)",
                 points(less->estimate, less->low, less->high).s);
    }
    snprintf(
        text, size,
        "%s. Of the variance of log KL (%s), the recipe's factors have %s, scale at equal tokens "
        "(%.20s to %.20s) %s, their interaction %s, seed noise %s.",
        answer, analysis->table->quantizer[analysis->quantizer],
        percent(&shares->share[SHARE_OPTIMIZATION]).s, analysis->effects->size[0].name,
        analysis->effects->size[analysis->effects->sizes - 1].name,
        percent(&shares->share[SHARE_SCALE]).s, percent(&shares->share[SHARE_INTERACTION]).s,
        percent(&shares->share[SHARE_SEED]).s);
}

static void say_verdicts(const struct analysis *analysis, char *text, size_t size)
{
    int count[VERDICT_UNDECIDED_DIVERGED + 1] = {0};
    int asked = 0, tested = 0;
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &analysis->claims.claim[h];
        asked += claim->verdict != VERDICT_NOT_ASKED;
        if (claim->verdict != VERDICT_NOT_ASKED && claim->effect.interval.df > 0) {
            count[claim->verdict]++;
            tested++;
        }
    }
    if (asked == 0) {
        return;
    }
    if (tested == 0) {
        snprintf(text, size, " None of its %d tests of the paper's claims 1 to 5 has data enough.",
                 asked);
        return;
    }
    size_t used = (size_t)snprintf(
        text, size,
        " Of %d tests of the paper's claims 1 to 5, %d %s supported, %d contradicted, %d undecided",
        asked, count[VERDICT_SUPPORTED], count[VERDICT_SUPPORTED] == 1 ? "is" : "are",
        count[VERDICT_OPPOSITE] + count[VERDICT_NEGLIGIBLE] + count[VERDICT_CONTRADICTED],
        count[VERDICT_UNDECIDED] + count[VERDICT_UNDECIDED_MATCHING] +
            count[VERDICT_UNDECIDED_DIVERGED]);
    if (tested < asked && used < size) {
        used +=
            (size_t)snprintf(text + used, size - used, ", %d without data enough", asked - tested);
    }
    if (used < size) {
        snprintf(text + used, size - used, ".");
    }
}

const char *analysis_no_shares(const struct analysis *analysis)
{
    if (!analysis->design->has_fraction) {
        return "This study has effects, but no shares of the variance: those need the balanced "
               "design fractional.";
    }
    if (!fraction_saturated(&analysis->design->fraction)) {
        return "No shares of the variance: they need the half fraction (design fractional); in a "
               "full factorial, interactions of three factors would pass for seed noise.";
    }
    return "No shares of the variance: they need the fraction's runs at two sizes with two seeds, "
           "and too few are finished.";
}

void analysis_headline(const struct analysis *analysis, char text[1024])
{
    const int open = effects_count(analysis->effects, CELL_PENDING) +
                     effects_count(analysis->effects, CELL_RUNNING);
    size_t used = 0;
    text[0] = '\0';
    if (open > 0) {
        used =
            (size_t)snprintf(text, 1024, "Not finished: %d of %d cells are to come. So far: ", open,
                             analysis->table->cells);
    }
    if (analysis->has_shares) {
        say_shares(analysis, text + used, 1024 - used);
    } else {
        snprintf(text + used, 1024 - used, "%s", analysis_no_shares(analysis));
    }
    used = strlen(text);
    say_verdicts(analysis, text + used, 1024 - used);
}
