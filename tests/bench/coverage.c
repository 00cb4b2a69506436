/*
 * build/coverage: do the intervals of the analysis cover what was planted? Studies from the mixed model of METHOD §6,
 *
 *     y = size + seed within size + effects + size × effects + noise,
 *
 * a half fraction 2^(5−1) crossed with sizes and seeds, go through the code that the report uses: anova_of, shares_of,
 * contrast_of, contrast_slope. One line a scenario: how often, in percent, the 95 % intervals hold the true shares and the true
 * main effects, and how often at least one of the seven intervals at 1 − 0.05/7 (H1–H5) does not hold its own.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "results/contrast.h"
#include "results/shares.h"
#include "tests/unit/design_fixture.h"

enum { SETTINGS = 16, FACTORS = 5, EFFECTS = 15, MOST_SIZES = 4, FAMILY = 7 };

/* True components: mean squares of the fixed effects, variances of seed within size and of noise; they sum to 1. */
struct scenario {
    const char *name;
    int sizes, seeds;
    double scale, optimization, interaction, seed, noise;
    double missing; /* fraction of the cells */
};

static const struct scenario scenarios[] = {
    {"scale-4x4", 4, 4, 0.80, 0.10, 0.04, 0.02, 0.04, 0},
    {"scale-3x3", 3, 3, 0.80, 0.10, 0.04, 0.02, 0.04, 0},
    {"recipe-4x4", 4, 4, 0.10, 0.70, 0.10, 0.04, 0.06, 0},
    {"recipe-3x3", 3, 3, 0.10, 0.70, 0.10, 0.04, 0.06, 0},
    {"noise-4x8", 4, 8, 0.20, 0.10, 0.05, 0.15, 0.50, 0},
    {"noise-3x3", 3, 3, 0.20, 0.10, 0.05, 0.15, 0.50, 0},
    {"seed-3x8", 3, 8, 0.20, 0.10, 0.05, 0.50, 0.15, 0},
    {"small-4x4", 4, 4, 0.02, 0.02, 0.02, 0.24, 0.70, 0},
    {"little-scale-4x4", 4, 4, 0.02, 0.60, 0.08, 0.10, 0.20, 0},
    {"missing-4x8", 4, 8, 0.30, 0.35, 0.10, 0.10, 0.15, 0.01},
    {"nothing-4x4", 4, 4, 0, 0, 0, 0.25, 0.75, 0},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* A study's design with room for y, and what is planted in it. */
struct planted {
    const struct scenario *scenario;
    struct table *table;
    struct effects *effects;
    struct design *design;
    double *y;
    double mean[MOST_SIZES][SETTINGS];   /* without seed and noise */
    double main[FACTORS], pair[FACTORS]; /* high − low; pairs with the first factor */
    double slope;
};

struct counts {
    int studies, effects,
        family; /* main effects that lie in their intervals; studies with an interval that misses */
    int share[SHARES], difference;
};

static double effect_sign(const struct fraction *fraction, int setting, int effect)
{
    if (effect < FACTORS) {
        return fraction->sign[setting][effect];
    }
    int n = FACTORS;
    for (int f = 0; f < FACTORS; f++) {
        for (int g = f + 1; g < FACTORS; g++, n++) {
            if (n == effect) {
                return fraction->sign[setting][f] * fraction->sign[setting][g];
            }
        }
    }
    return 0;
}

/* Coefficients with this sum of squares. */
static void draw_coefficients(gsl_rng *rng, double squares, int count, double *coefficient)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        coefficient[i] = gsl_ran_ugaussian(rng);
        sum += coefficient[i] * coefficient[i];
    }
    for (int i = 0; i < count; i++) {
        coefficient[i] *= sqrt(squares / sum);
    }
}

/* Per size, around 0, with this mean over sizes of the sum of squares over effects. */
static void draw_interactions(gsl_rng *rng, double squares, int sizes,
                              double by_size[MOST_SIZES][EFFECTS])
{
    double sum = 0;
    for (int e = 0; e < EFFECTS; e++) {
        double mean = 0;
        for (int s = 0; s < sizes; s++) {
            by_size[s][e] = gsl_ran_ugaussian(rng);
            mean += by_size[s][e] / sizes;
        }
        for (int s = 0; s < sizes; s++) {
            by_size[s][e] -= mean;
            sum += by_size[s][e] * by_size[s][e] / sizes;
        }
    }
    for (int e = 0; e < EFFECTS; e++) {
        for (int s = 0; s < sizes; s++) {
            by_size[s][e] *= sqrt(squares / sum);
        }
    }
}

static void plant(struct planted *planted, gsl_rng *rng)
{
    const struct scenario *scenario = planted->scenario;
    const struct fraction *fraction = &planted->design->fraction;
    const int sizes = scenario->sizes;
    double coefficient[EFFECTS], by_size[MOST_SIZES][EFFECTS], size[MOST_SIZES];
    draw_coefficients(rng, scenario->optimization, EFFECTS, coefficient);
    draw_interactions(rng, scenario->interaction, sizes, by_size);
    double step = sqrt(scenario->scale * 12 / (sizes * sizes - 1.0)); /* equally spaced sizes */
    double xx = 0, xy = 0;
    for (int s = 0; s < sizes; s++) {
        double x = s - (sizes - 1) / 2.0; /* the fixture's sizes are decades */
        size[s] = -step * x;
        for (int i = 0; i < SETTINGS; i++) {
            planted->mean[s][i] = size[s];
            for (int e = 0; e < EFFECTS; e++) {
                planted->mean[s][i] +=
                    (coefficient[e] + by_size[s][e]) * effect_sign(fraction, i, e);
            }
        }
        xx += x * x;
        xy += x * planted->mean[s][0];
    }
    planted->slope = xy / xx;
    for (int f = 0; f < FACTORS; f++) {
        planted->main[f] = 2 * coefficient[f];
        planted->pair[f] = f == 0 ? 0 : 4 * coefficient[FACTORS + f - 1];
    }
}

static int open_planted(struct error *err, struct planted *planted)
{
    int status = STATUS_OK;
    const struct scenario *scenario = planted->scenario;
    planted->table = fixture_half_fraction(scenario->sizes, scenario->seeds, 0);
    planted->y = fixture_values((size_t)planted->table->cells);
    TRY(effects_open(err, planted->table, &planted->effects));
    TRY(design_open(err, planted->effects, &planted->design));
    CHECK(err, planted->design->has_fraction, STATUS_FAILED, "the fraction is not found");
cleanup:
    return status;
}

static void close_planted(struct planted *planted)
{
    design_free(planted->design);
    effects_free(planted->effects);
    free(planted->y);
    if (planted->table != NULL) {
        table_free(planted->table);
    }
}

static void draw_study(struct planted *planted, gsl_rng *rng)
{
    const struct scenario *scenario = planted->scenario;
    for (int s = 0; s < scenario->sizes; s++) {
        for (int k = 0; k < scenario->seeds; k++) {
            double block = gsl_ran_gaussian(rng, sqrt(scenario->seed));
            for (int i = 0; i < SETTINGS; i++) {
                int cell = design_cell(planted->design, planted->design->fraction.setting[i], s, k);
                bool missing = scenario->missing > 0 && gsl_rng_uniform(rng) < scenario->missing;
                double noise = gsl_ran_gaussian(rng, sqrt(scenario->noise));
                planted->y[cell] = missing ? NAN : planted->mean[s][i] + block + noise;
            }
        }
    }
}

static bool holds(const struct interval *interval, double truth)
{
    return interval->low <= truth && truth <= interval->high;
}

static void count_contrasts(const struct planted *planted, struct counts *counts)
{
    const struct design *design = planted->design;
    const struct fraction *fraction = &design->fraction;
    const double alpha = 0.05 / FAMILY;
    const int pairs[] = {2, 3}, base[MOST_SIZES] = {0};
    struct weights weights;
    struct contrast contrast;
    bool all = true;
    for (int f = 0; f < FACTORS; f++) {
        weights_main(&weights, fraction, f);
        contrast = contrast_of(design, planted->y, &weights, EFFECTS_ALL_SIZES, 0.05);
        counts->effects += holds(&contrast.interval, planted->main[f]);
        if (f < 4) { /* H1, H2, H3a, H4a */
            contrast = contrast_of(design, planted->y, &weights, EFFECTS_ALL_SIZES, alpha);
            all = all && holds(&contrast.interval, planted->main[f]);
        }
    }
    for (int i = 0; i < 2; i++) { /* H3b, H4b */
        weights_interaction(&weights, fraction, pairs[i], 0);
        contrast = contrast_of(design, planted->y, &weights, EFFECTS_ALL_SIZES, alpha);
        all = all && holds(&contrast.interval, planted->pair[pairs[i]]);
    }
    contrast = contrast_slope(design, planted->y, base, alpha); /* H5 */
    all = all && holds(&contrast.interval, planted->slope);
    counts->family += !all;
}

static int count_shares(struct error *err, const struct planted *planted, int draws,
                        struct counts *counts)
{
    int status = STATUS_OK;
    const struct scenario *scenario = planted->scenario;
    const double truth[SHARES] = {scenario->scale, scenario->optimization, scenario->interaction,
                                  scenario->seed + scenario->noise};
    struct anova anova;
    struct shares shares;
    TRY(anova_of(err, planted->design, planted->y, &anova));
    TRY(shares_of(err, &anova, draws, &shares));
    for (int s = 0; s < SHARES; s++) {
        counts->share[s] += holds(&shares.share[s], truth[s]);
    }
    counts->difference +=
        holds(&shares.optimization_less_scale, truth[SHARE_OPTIMIZATION] - truth[SHARE_SCALE]);
cleanup:
    return status;
}

static int run_scenario(struct error *err, const struct scenario *scenario, int studies, int draws,
                        unsigned long seed, struct counts *counts)
{
    int status = STATUS_OK;
    struct planted planted = {.scenario = scenario};
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    CHECK(err, rng != NULL, STATUS_FAILED, "out of memory");
    gsl_rng_set(rng, seed);
    *counts = (struct counts){.studies = studies};
    TRY(open_planted(err, &planted));
    plant(&planted, rng);
    for (int i = 0; i < studies; i++) {
        draw_study(&planted, rng);
        count_contrasts(&planted, counts);
        TRY(count_shares(err, &planted, draws, counts));
    }
cleanup:
    if (rng != NULL) {
        gsl_rng_free(rng);
    }
    close_planted(&planted);
    return status;
}

static double percent(int count, int of)
{
    return 100.0 * count / of;
}

/* 93–97 % of the intervals hold the truth, at most 6 % of families err; a true share of 0 may be held more often. */
static bool acceptable(const struct scenario *scenario, const struct counts *counts)
{
    const double most = scenario->optimization > 0 ? 97 : 100;
    bool fine = percent(counts->family, counts->studies) <= 6;
    const double effects = percent(counts->effects, FACTORS * counts->studies);
    fine = fine && effects >= 93 && effects <= 97;
    for (int s = 0; s <= SHARES; s++) {
        double share = percent(s < SHARES ? counts->share[s] : counts->difference, counts->studies);
        fine = fine && share >= 93 && share <= most;
    }
    return fine;
}

static void help(void)
{
    printf(
        "usage: planted [options]\n"
        "Coverage of 95 %% intervals in percent, on studies made with known effects.\n"
        "  --studies N     per scenario (2000)\n"
        "  --draws N       of each study's share intervals (400)\n"
        "  --scenario NAME this one only\n"
        "  --seed N        (1)\n"
        "  --check         exit status 1 where a coverage is outside 93-97 or the family's error "
        "above 6\n");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"studies", required_argument, NULL, 'n'},
        {"draws", required_argument, NULL, 'd'},
        {"scenario", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int studies = 2000, draws = 400, ran = 0;
    unsigned long seed = 1;
    const char *only = NULL;
    bool check = false, fine = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            studies = atoi(optarg);
            break;
        case 'd':
            draws = atoi(optarg);
            break;
        case 'o':
            only = optarg;
            break;
        case 's':
            seed = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            check = true;
            break;
        default:
            help();
            return option == 'h' ? STATUS_OK : STATUS_USAGE;
        }
    }
    if (studies < 1 || draws < 2) {
        help();
        return STATUS_USAGE;
    }
    printf("%-18s %8s %8s %8s %8s %8s %8s %8s\n", "scenario", "effects", "scale", "optimiz.",
           "sc.×opt.", "seed", "opt.−sc.", "family");
    for (int i = 0; i < SCENARIOS; i++) {
        struct error err = {0};
        struct counts counts = {0};
        if (only != NULL && strcmp(only, scenarios[i].name) != 0) {
            continue;
        }
        if (run_scenario(&err, &scenarios[i], studies, draws, seed + 1000 * (unsigned long)i,
                         &counts) != STATUS_OK) {
            fprintf(stderr, "planted: %s\n", err.message);
            return STATUS_FAILED;
        }
        bool accepted = !check || acceptable(&scenarios[i], &counts);
        printf("%-18s %8.2f", scenarios[i].name, percent(counts.effects, FACTORS * studies));
        for (int s = 0; s < SHARES; s++) {
            printf(" %8.2f", percent(counts.share[s], studies));
        }
        printf(" %8.2f %8.2f%s\n", percent(counts.difference, studies),
               percent(counts.family, studies), accepted ? "" : "  <- outside its bounds");
        fflush(stdout);
        fine = fine && accepted;
        ran++;
    }
    if (ran == 0) {
        fprintf(stderr, "planted: there is no scenario %s\n", only);
        return STATUS_USAGE;
    }
    return fine ? STATUS_OK : STATUS_FAILED;
}
