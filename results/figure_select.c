#include "results/figure_select.h"

#include <math.h>

int figure_extremes(const struct analysis *analysis, int setting[FIGURE_EXTREMES])
{
    const struct effects *effects = analysis->effects;
    double value[FIGURE_EXTREMES] = {0, 0, 0,
                                     0}; /* lowest, second lowest, second highest, highest */
    int found[FIGURE_EXTREMES] = {-1, -1, -1, -1}, count = 0;
    for (int s = effects->base + 1; s < effects->settings && effects->base >= 0; s++) {
        double x = effects_of(effects, s, RESPONSE_LOG_KL, analysis->quantizer,
                              analysis->checkpoint, EFFECTS_ALL_SIZES)
                       .interval.estimate;
        if (isnan(x) || (analysis->design->setting[s].changed & 1U << RECIPE_TOKENS)) {
            continue;
        }
        int first = x < 0 ? 0 : 3, second = x < 0 ? 1 : 2;
        if (fabs(x) > fabs(value[first])) {
            value[second] = value[first];
            found[second] = found[first];
            value[first] = x;
            found[first] = s;
        } else if (fabs(x) > fabs(value[second])) {
            value[second] = x;
            found[second] = s;
        }
    }
    for (int i = 0; i < FIGURE_EXTREMES; i++) {
        if (found[i] >= 0) {
            setting[count++] = found[i];
        }
    }
    return count;
}

double figure_tokens(const struct effects *effects, int setting)
{
    double tokens = NAN;
    for (int k = effects->start[setting]; k < effects->start[setting + 1]; k++) {
        double other = effects->table->cell[effects->order[k]].tokens;
        if (!isnan(tokens) && other != tokens) {
            return NAN;
        }
        tokens = other;
    }
    return tokens;
}
