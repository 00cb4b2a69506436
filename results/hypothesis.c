#include "results/hypothesis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ── Names ── */

const char *hypothesis_name(enum hypothesis hypothesis)
{
    static const char *const names[HYPOTHESES] = {"1", "2", "3a", "3b", "4a", "4b", "5"};
    return names[hypothesis];
}

const char *hypothesis_claim(enum hypothesis hypothesis)
{
    static const char *const claims[HYPOTHESES] = {
        "less weight decay, more degradation",
        "more dropout, more degradation",
        "less clipping, more degradation",
        "clipping matters most at low decay",
        "fp16, more degradation than bf16",
        "the half type matters most at low decay",
        "with the base recipe, degradation does not grow with size",
    };
    return claims[hypothesis];
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_NOT_ASKED] = "not asked",
        [VERDICT_SUPPORTED] = "supported",
        [VERDICT_OPPOSITE] = "contradicted (opposite)",
        [VERDICT_NEGLIGIBLE] = "contradicted (negligible)",
        [VERDICT_CONTRADICTED] = "contradicted",
        [VERDICT_UNDECIDED] = "undecided",
        [VERDICT_UNDECIDED_MATCHING] = "undecided (depends on matching)",
        [VERDICT_UNDECIDED_DIVERGED] = "undecided (depends on diverged runs)",
    };
    return names[verdict];
}

/* ── Verdicts ── */

double hypothesis_delta(enum hypothesis hypothesis)
{
    return hypothesis == H5 ? log(1.25) : log(1.05);
}

enum verdict verdict_of(enum hypothesis hypothesis, const struct interval *interval, double delta)
{
    if (hypothesis == H5) {
        return interval->high < delta  ? VERDICT_SUPPORTED
               : interval->low > delta ? VERDICT_CONTRADICTED
                                       : VERDICT_UNDECIDED;
    }
    return interval->low > 0        ? VERDICT_SUPPORTED
           : interval->high < 0     ? VERDICT_OPPOSITE
           : interval->high < delta ? VERDICT_NEGLIGIBLE
                                    : VERDICT_UNDECIDED;
}

bool verdict_contradicts(enum verdict verdict)
{
    return verdict == VERDICT_OPPOSITE || verdict == VERDICT_NEGLIGIBLE ||
           verdict == VERDICT_CONTRADICTED;
}

/* ── What is compared ── */

static enum recipe factor_of(enum hypothesis hypothesis)
{
    return hypothesis == H1                         ? RECIPE_DECAY
           : hypothesis == H2                       ? RECIPE_DROPOUT
           : hypothesis == H3A || hypothesis == H3B ? RECIPE_CLIP
                                                    : RECIPE_PRECISION;
}

/* Where a level stands in the claimed direction: the larger, the worse. NaN: the claim says
 * nothing of it. */
static double badness(enum recipe recipe, double value)
{
    switch (recipe) {
    case RECIPE_DECAY:
        return value >= 0 ? -log(value) : NAN;
    case RECIPE_DROPOUT:
        return value;
    case RECIPE_CLIP:
        return value > 0 ? -1 / value : value; /* none, 0, is the worst */
    case RECIPE_PRECISION:
        return value == (double)PRECISION_FP16 ? 1 : value == (double)PRECISION_BF16 ? 0 : NAN;
    default:
        return NAN;
    }
}

/* Is it a level of METHOD's contrast? */
static bool is_named(enum recipe recipe, double value)
{
    static const double named[][2] = {
        [RECIPE_DECAY] = {0.005, 0.5},
        [RECIPE_DROPOUT] = {0, 0.1},
        [RECIPE_CLIP] = {0, 1},
        [RECIPE_PRECISION] = {PRECISION_BF16, PRECISION_FP16},
    };
    for (int i = 0; i < 2; i++) {
        if (fabs(value - named[recipe][i]) <= 1e-9 * named[recipe][i]) {
            return true;
        }
    }
    return false;
}

static int factor_in(const struct design *design, enum recipe recipe)
{
    for (int f = 0; design->has_fraction && f < design->fraction.factors; f++) {
        if (design->fraction.factor[f] == recipe) {
            return f;
        }
    }
    return -1;
}

/* +1: the fraction's high level is the worse one; −1: its low level; 0: the claim is about
 * neither. */
static int direction(const struct fraction *fraction, int f)
{
    double low = badness(fraction->factor[f], fraction->low[f]);
    double high = badness(fraction->factor[f], fraction->high[f]);
    return (high > low) - (high < low);
}

static bool from_fraction(const struct design *design, enum hypothesis hypothesis, int f,
                          struct weights *weights, char contrast[96], char reason[160])
{
    const struct fraction *fraction = &design->fraction;
    int sign = direction(fraction, f);
    const double level[2] = {fraction->low[f], fraction->high[f]};
    recipe_contrast(fraction->factor[f], level[sign > 0], level[sign <= 0], contrast);
    if (sign == 0) {
        snprintf(reason, 160, "the study compares %s, which the claim is not about", contrast);
        return false;
    }
    if (hypothesis != H3B && hypothesis != H4B) {
        weights_main(weights, fraction, f);
        weights_scale(weights, sign);
        return true;
    }
    int g = factor_in(design, RECIPE_DECAY);
    int decay = g < 0 ? 0 : direction(fraction, g);
    if (decay == 0) {
        snprintf(reason, 160, "the balanced design does not cross it with total decay");
        return false;
    }
    weights_interaction(weights, fraction, f, g);
    weights_scale(weights, sign * decay);
    char low[32], high[32];
    recipe_level(RECIPE_DECAY, decay > 0 ? fraction->high[g] : fraction->low[g], low);
    recipe_level(RECIPE_DECAY, decay > 0 ? fraction->low[g] : fraction->high[g], high);
    size_t length = strlen(contrast);
    snprintf(contrast + length, 96 - length, ", at decay %s − %s", low, high);
    return true;
}

/* A level to compare with the base's; later fields break ties. */
struct candidate {
    int setting;
    bool named, worse;
    double distance;
};

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    return b->setting < 0         ? true
           : a->named != b->named ? a->named
           : a->worse != b->worse ? a->worse
                                  : a->distance > b->distance;
}

static bool from_pair(const struct design *design, enum recipe recipe, struct weights *weights,
                      char contrast[96], char reason[160])
{
    const struct design_setting *setting = design->setting;
    int base = design->effects->base;
    if (base < 0) {
        snprintf(reason, 160, "the study has no base recipe");
        return false;
    }
    int control = base;
    double zero = badness(recipe, setting[base].value[recipe]);
    if (isnan(zero)) { /* an fp32 base: fp16 against bf16, both away from it */
        for (int i = 0; i < design->effects->settings; i++) {
            if (setting[i].changed == 1u << recipe &&
                badness(recipe, setting[i].value[recipe]) <= 0) {
                control = i;
                zero = badness(recipe, setting[i].value[recipe]);
            }
        }
    }
    struct candidate best = {.setting = -1};
    for (int i = 0; i < design->effects->settings; i++) {
        double other = badness(recipe, setting[i].value[recipe]);
        if (setting[i].changed == 1u << recipe && (other > zero || other < zero)) {
            struct candidate candidate = {i, is_named(recipe, setting[i].value[recipe]),
                                          other > zero, fabs(other - zero)};
            best = is_better(&candidate, &best) ? candidate : best;
        }
    }
    if (best.setting < 0) {
        snprintf(reason, 160, "the study has no setting that changes only %s%s",
                 recipe_name(recipe), recipe == RECIPE_PRECISION ? ", fp16 against bf16" : "");
        return false;
    }
    int worse = best.worse ? best.setting : control;
    int better = best.worse ? control : best.setting;
    weights_pair(weights, worse, better);
    recipe_contrast(recipe, setting[worse].value[recipe], setting[better].value[recipe], contrast);
    return true;
}

bool hypothesis_weights(const struct design *design, enum hypothesis hypothesis,
                        struct weights *weights, char contrast[96], char reason[160])
{
    *weights = (struct weights){0};
    contrast[0] = reason[0] = '\0';
    if (hypothesis == H5) {
        snprintf(reason, 160, "the claim is about sizes");
        return false;
    }
    enum recipe recipe = factor_of(hypothesis);
    int f = factor_in(design, recipe);
    if (f >= 0) {
        return from_fraction(design, hypothesis, f, weights, contrast, reason);
    }
    if (hypothesis == H3B || hypothesis == H4B) {
        snprintf(reason, 160, "needs a balanced design with %s and %s", recipe_name(recipe),
                 recipe_name(RECIPE_DECAY));
        return false;
    }
    return from_pair(design, recipe, weights, contrast, reason);
}
