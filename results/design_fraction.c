#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/design_parts.h"

enum { CODE_BITS = 3 }; /* a level's digit in a setting's code */
enum { MOST_LEVELS = (1 << CODE_BITS) - 1, CODES = 1 << (CODE_BITS * RECIPE_TOKENS) };

/* Levels other than the base's that settings combine, and the settings by their code: the level's number (0: the base's)
 * of each recipe factor, CODE_BITS each. */
struct search {
    const struct design *design;
    int levels[RECIPE_TOKENS];
    double level[RECIPE_TOKENS][MOST_LEVELS + 1];
    int *setting; /* (CODES); −1: none */
    unsigned char pair[RECIPE_TOKENS][MOST_LEVELS + 1]
                      [RECIPE_TOKENS]; /* bit l: level l of the last factor goes with it */
    bool found;
    int score;
    struct fraction fraction; /* the best so far */
};

static bool is_changed(const struct design_setting *setting, int recipe)
{
    return (setting->changed >> recipe & 1u) != 0;
}

/* Number of a setting's level of a factor; 0: the base's; −1: not among those that are combined. */
static int level_number(const struct search *search, const struct design_setting *setting, int r)
{
    if (!is_changed(setting, r)) {
        return 0;
    }
    for (int l = 1; l <= search->levels[r]; l++) {
        if (fabs(search->level[r][l] - setting->value[r]) <= 1e-9 * fabs(setting->value[r])) {
            return l;
        }
    }
    return -1;
}

static void find_levels(struct search *search)
{
    const struct design *design = search->design;
    for (int s = 0; s < design->effects->settings; s++) {
        const struct design_setting *setting = &design->setting[s];
        bool combined = (setting->changed & (setting->changed - 1)) != 0;
        for (int r = 0; r < RECIPE_TOKENS && combined && !is_changed(setting, RECIPE_TOKENS); r++) {
            if (!isnan(setting->value[r]) && search->levels[r] < MOST_LEVELS &&
                level_number(search, setting, r) < 0) {
                search->level[r][++search->levels[r]] = setting->value[r];
            }
        }
    }
}

static int total_cells(const struct search *search, int setting)
{
    return search->design->effects->setting[setting].total;
}

static void enter_setting(struct search *search, int s)
{
    const struct design_setting *setting = &search->design->setting[s];
    int number[RECIPE_TOKENS], code = 0;
    if (is_changed(setting, RECIPE_TOKENS)) {
        return;
    }
    for (int r = 0; r < RECIPE_TOKENS; r++) {
        number[r] = level_number(search, setting, r);
        if (number[r] < 0) {
            return;
        }
        code |= number[r] << (CODE_BITS * r);
    }
    int before = search->setting[code]; /* the same recipe by another name */
    if (before < 0 || (code != 0 && total_cells(search, s) > total_cells(search, before))) {
        search->setting[code] = s;
    }
    for (int r = 0; r < RECIPE_TOKENS; r++) {
        for (int q = 0; q < RECIPE_TOKENS; q++) {
            search->pair[r][number[r]][q] |= (unsigned char)(1u << number[q]);
        }
    }
}

/* The settings of the two-level design of these factors and levels, full or the half of the base; false unless all exist. */
static bool collect(const struct search *search, int factors, const int *factor, const int *level,
                    bool half, struct fraction *fraction)
{
    memset(fraction, 0, sizeof *fraction);
    fraction->factors = factors;
    for (int f = 0; f < factors; f++) {
        fraction->factor[f] = (enum recipe)factor[f];
        fraction->low[f] = search->design->setting[0].value[factor[f]];
        fraction->high[f] = search->level[factor[f]][level[f]];
    }
    for (unsigned run = 0; run < 1u << factors; run++) {
        int code = 0, highs = 0;
        signed char *sign = fraction->sign[fraction->settings];
        for (int f = 0; f < factors; f++) {
            bool high = (run >> (factors - 1 - f) & 1u) != 0;
            sign[f] = high ? 1 : -1;
            highs += high;
            code |= high ? level[f] << (CODE_BITS * factor[f]) : 0;
        }
        if (half && highs % 2 != 0) {
            continue;
        }
        if (search->setting[code] < 0) {
            return false;
        }
        fraction->setting[fraction->settings++] = search->setting[code];
    }
    return true;
}

bool fraction_at_size(const struct design *design, const struct fraction *fraction, int size)
{
    for (int i = 0; i < fraction->settings; i++) {
        if (design_any_cell(design, fraction->setting[i], size) < 0) {
            return false;
        }
    }
    return true;
}

/* Keep the design with the most settings × sizes; of equals the first. */
static void consider(struct search *search, int factors, const int *factor, const int *level,
                     bool half)
{
    struct fraction fraction;
    if (!collect(search, factors, factor, level, half, &fraction)) {
        return;
    }
    int score = 0;
    for (int size = 0; size < search->design->effects->sizes; size++) {
        score += fraction_at_size(search->design, &fraction, size) ? fraction.settings : 0;
    }
    if (score > search->score) {
        search->score = score;
        search->fraction = fraction;
        search->found = true;
    }
}

/* All choices of factors from `r` on and of their levels, beside those chosen. */
static void choose(struct search *search, int r, int factors, int *factor, int *level)
{
    if (r == RECIPE_TOKENS) {
        if (factors >= 2) {
            consider(search, factors, factor, level, false);
        }
        if (factors == FRACTION_FACTORS) {
            consider(search, factors, factor, level, true);
        }
        return;
    }
    for (int l = 1; l <= search->levels[r] && factors < FRACTION_FACTORS; l++) {
        bool together = true;
        for (int f = 0; f < factors && together; f++) {
            together = (search->pair[factor[f]][level[f]][r] >> l & 1) != 0;
        }
        if (together) {
            factor[factors] = r;
            level[factors] = l;
            choose(search, r + 1, factors + 1, factor, level);
        }
    }
    choose(search, r + 1, factors, factor, level);
}

int design_find_fraction(struct error *err, struct design *design)
{
    int status = STATUS_OK;
    int factor[RECIPE_TOKENS], level[RECIPE_TOKENS];
    struct search *search = calloc(1, sizeof *search);
    CHECK(err, search != NULL, STATUS_FAILED, "out of memory for the design");
    search->design = design;
    search->setting = malloc(CODES * sizeof *search->setting);
    CHECK(err, search->setting != NULL, STATUS_FAILED, "out of memory for the design");
    for (int i = 0; i < CODES; i++) {
        search->setting[i] = -1;
    }
    find_levels(search);
    for (int s = 0; s < design->effects->settings; s++) {
        enter_setting(search, s);
    }
    choose(search, 0, 0, factor, level);
    design->has_fraction = search->found;
    design->fraction = search->fraction;
cleanup:
    if (search != NULL) {
        free(search->setting);
    }
    free(search);
    return status;
}

bool design_in_fraction(const struct design *design, int setting)
{
    bool found = false;
    for (int i = 0; design->has_fraction && i < design->fraction.settings; i++) {
        found |= design->fraction.setting[i] == setting;
    }
    return found;
}

bool fraction_saturated(const struct fraction *fraction)
{
    return fraction->settings ==
           1 + fraction->factors + fraction->factors * (fraction->factors - 1) / 2;
}
