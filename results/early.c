#include "results/early.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

static const unsigned long SEED = 6; /* of the bootstrap: the same study gives the same interval */

enum { LEAST_RECIPES = 5, LEAST_SEEDS = 2 };

/* Numbers by their order: equal ones share a group, so that ranks of any resample are counts of
 * groups. */
struct ordering {
    int *group; /* (recipes of the size) */
    int groups;
};

/* Recipes and seeds of one size. */
struct group {
    int recipes, seeds;
    int *recipe, *seed;     /* indices of settings and of design->seed */
    struct ordering *early; /* (seeds, checkpoints): of a seed's runs */
    struct ordering *rest;  /* (seeds): of the mean of the others at the end */
    int *indices;           /* what the orderings hold */
};

struct search {
    const struct design *design;
    int quantizer, checkpoints;
    bool *measured; /* (checkpoints): has any run of a recipe a value there? */
    struct group *group;
    double *ranks, *counts; /* (2, settings + 1) scratch */
    double *values;         /* (settings + 1) scratch */
    size_t *order;
};

/* ── Which recipes ── */

static double value_of(const struct search *search, int setting, int size, int seed, int checkpoint)
{
    int cell = design_cell(search->design, setting, size, seed);
    return cell < 0 ? NAN
                    : effects_value(search->design->effects, cell, RESPONSE_LOG_KL,
                                    search->quantizer, checkpoint);
}

static bool is_recipe(const struct design *design, int setting)
{
    return (design->setting[setting].changed & 1u << RECIPE_TOKENS) == 0;
}

static void find_measured(struct search *search)
{
    const struct effects *effects = search->design->effects;
    for (int k = 0; k < search->checkpoints; k++) {
        for (int i = 0; i < effects->table->cells && !search->measured[k]; i++) {
            search->measured[k] =
                is_recipe(search->design, effects->setting_of[i]) &&
                isfinite(effects_value(effects, i, RESPONSE_LOG_KL, search->quantizer, k));
        }
    }
}

/* Has the run a value wherever the study measured? */
static bool is_whole(const struct search *search, int setting, int size, int seed)
{
    for (int k = 0; k < search->checkpoints; k++) {
        if (search->measured[k] && !isfinite(value_of(search, setting, size, seed, k))) {
            return false;
        }
    }
    return true;
}

/* Seeds with at least half of the recipes of the best (a block that has just begun would leave
 * no recipe), and the recipes that they all have. */
static void choose(const struct search *search, int size, struct group *group)
{
    const struct design *design = search->design;
    int best = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < design->seeds; k++) {
            int recipes = 0;
            for (int i = 0; i < design->effects->settings; i++) {
                recipes += is_recipe(design, i) && is_whole(search, i, size, k);
            }
            best = recipes > best ? recipes : best;
            if (pass == 1 && recipes > 0 && 2 * recipes >= best) {
                group->seed[group->seeds++] = k;
            }
        }
    }
    for (int i = 0; i < design->effects->settings; i++) {
        bool all = is_recipe(design, i) && group->seeds > 0;
        for (int k = 0; k < group->seeds && all; k++) {
            all = is_whole(search, i, size, group->seed[k]);
        }
        if (all) {
            group->recipe[group->recipes++] = i;
        }
    }
    if (group->recipes < LEAST_RECIPES || group->seeds < LEAST_SEEDS) {
        group->recipes = group->seeds = 0;
    }
}

/* ── Ranks ── */

static void order_values(const struct search *search, int count, struct ordering *ordering)
{
    ordering->groups = 0;
    gsl_sort_index(search->order, search->values, 1, (size_t)count);
    for (int i = 0; i < count; i++) {
        double here = search->values[search->order[i]];
        if (i > 0 && here > search->values[search->order[i - 1]]) {
            ordering->groups++;
        }
        ordering->group[search->order[i]] = ordering->groups;
    }
    ordering->groups += count > 0;
}

static int order_group(struct error *err, const struct search *search, int size,
                       struct group *group)
{
    int status = STATUS_OK;
    size_t seeds = (size_t)group->seeds, checkpoints = (size_t)search->checkpoints;
    size_t recipes = (size_t)group->recipes;
    group->early = calloc(seeds * checkpoints + 1, sizeof *group->early);
    group->rest = calloc(seeds + 1, sizeof *group->rest);
    group->indices = calloc(seeds * (checkpoints + 1) * recipes + 1, sizeof *group->indices);
    CHECK(err, group->early != NULL && group->rest != NULL && group->indices != NULL, STATUS_FAILED,
          "out of memory for the ranks of %d recipes", group->recipes);
    int *next = group->indices;
    int last = search->checkpoints - 1;
    for (int k = 0; k < group->seeds; k++) {
        for (int t = 0; t < search->checkpoints; t++) {
            struct ordering *early = &group->early[k * search->checkpoints + t];
            early->group = next;
            next += recipes;
            for (int i = 0; i < group->recipes; i++) {
                search->values[i] = value_of(search, group->recipe[i], size, group->seed[k], t);
            }
            if (search->measured[t]) {
                order_values(search, group->recipes, early);
            }
        }
        group->rest[k].group = next;
        next += recipes;
        for (int i = 0; i < group->recipes; i++) {
            search->values[i] = 0;
            for (int other = 0; other < group->seeds; other++) {
                search->values[i] +=
                    other == k ? 0
                               : value_of(search, group->recipe[i], size, group->seed[other], last);
            }
        }
        order_values(search, group->recipes, &group->rest[k]);
    }
cleanup:
    return status;
}

/* Ranks, less their mean, of a sample that has recipe i `count[i]` times; returns Σ ranks². */
static double rank_sample(const struct search *search, const struct group *group, const int *count,
                          const struct ordering *ordering, double *ranks)
{
    double *of_group = search->counts;
    double below = 0, squares = 0;
    memset(of_group, 0, (size_t)ordering->groups * sizeof *of_group);
    for (int i = 0; i < group->recipes; i++) {
        of_group[ordering->group[i]] += count[group->recipe[i]];
    }
    for (int g = 0; g < ordering->groups; g++) {
        double here = of_group[g];
        of_group[g] = below + (here + 1) / 2;
        below += here;
    }
    for (int i = 0; i < group->recipes; i++) {
        ranks[i] = of_group[ordering->group[i]] - (below + 1) / 2;
        squares += count[group->recipe[i]] * ranks[i] * ranks[i];
    }
    return squares;
}

/* Fisher's z of a correlation of ranks of n; a perfect one counts as halfway to the next one
 * below it, 1 − 6/(n(n² − 1)), since its z is infinite. */
static double fisher(double rho, double n)
{
    double most = 1 - 6 / (n * (n * n - 1));
    return atanh(fmax(-most, fmin(most, rho)));
}

/* rho[t]: the average over seeds, then sizes, of a sample; NaN where nothing varies. */
static void average(const struct search *search, const int *count, double *rho)
{
    int sizes = search->design->effects->sizes;
    double sum[CELL_CHECKPOINTS] = {0};
    int sized[CELL_CHECKPOINTS] = {0};
    double *late = search->ranks;
    double *early = search->ranks + search->design->effects->settings;
    for (int s = 0; s < sizes; s++) {
        const struct group *group = &search->group[s];
        double z[CELL_CHECKPOINTS] = {0}, drawn = 0;
        int seeds[CELL_CHECKPOINTS] = {0};
        for (int i = 0; i < group->recipes; i++) {
            drawn += count[group->recipe[i]];
        }
        for (int k = 0; k < group->seeds && drawn >= 2; k++) {
            double yy = rank_sample(search, group, count, &group->rest[k], late);
            for (int t = 0; t < search->checkpoints; t++) {
                if (!search->measured[t]) {
                    continue;
                }
                const struct ordering *ordering = &group->early[k * search->checkpoints + t];
                double xx = rank_sample(search, group, count, ordering, early), xy = 0;
                for (int i = 0; i < group->recipes; i++) {
                    xy += count[group->recipe[i]] * early[i] * late[i];
                }
                if (xx > 0 && yy > 0) {
                    z[t] += fisher(xy / sqrt(xx * yy), drawn);
                    seeds[t]++;
                }
            }
        }
        for (int t = 0; t < search->checkpoints; t++) {
            sum[t] += seeds[t] > 0 ? z[t] / seeds[t] : 0;
            sized[t] += seeds[t] > 0;
        }
    }
    for (int t = 0; t < search->checkpoints; t++) {
        rho[t] = sized[t] > 0 ? tanh(sum[t] / sized[t]) : NAN;
    }
}

/* ── Bootstrap ── */

/* rho: (draws, checkpoints). */
static int bootstrap(struct error *err, const struct search *search, int draws, double *rho)
{
    int status = STATUS_OK;
    int settings = search->design->effects->settings, recipes = 0;
    int *pool = calloc((size_t)settings + 1, sizeof *pool);
    int *count = calloc((size_t)settings + 1, sizeof *count);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    CHECK(err, pool != NULL && count != NULL && rng != NULL, STATUS_FAILED,
          "out of memory for the bootstrap of %d recipes", settings);
    gsl_rng_set(rng, SEED);
    for (int i = 0; i < settings; i++) {
        bool any = false;
        for (int s = 0; s < search->design->effects->sizes && !any; s++) {
            const struct group *group = &search->group[s];
            for (int r = 0; r < group->recipes && !any; r++) {
                any = group->recipe[r] == i;
            }
        }
        pool[recipes] = i;
        recipes += any;
    }
    for (int d = 0; d < draws; d++) {
        memset(count, 0, (size_t)settings * sizeof *count);
        for (int r = 0; r < recipes; r++) {
            count[pool[gsl_rng_uniform_int(rng, (unsigned long)recipes)]]++;
        }
        average(search, count, rho + (size_t)d * (size_t)search->checkpoints);
    }
cleanup:
    free(pool);
    free(count);
    if (rng != NULL) {
        gsl_rng_free(rng);
    }
    return status;
}

/* Percentiles of column t; NaN without a draw that tells. `sorted`: (draws). */
static void find_interval(const double *rho, int draws, int checkpoints, int t, double *sorted,
                          struct interval *interval)
{
    int known = 0;
    for (int d = 0; d < draws; d++) {
        double value = rho[(size_t)d * (size_t)checkpoints + (size_t)t];
        if (!isnan(value)) {
            sorted[known++] = value;
        }
    }
    interval->low = interval->high = NAN;
    if (known > 0) {
        gsl_sort(sorted, 1, (size_t)known);
        interval->low = gsl_stats_quantile_from_sorted_data(sorted, 1, (size_t)known, 0.025);
        interval->high = gsl_stats_quantile_from_sorted_data(sorted, 1, (size_t)known, 0.975);
    }
}

static int find_points(struct error *err, const struct search *search, int draws,
                       struct early *early)
{
    int status = STATUS_OK;
    int settings = search->design->effects->settings;
    const double *fraction = search->design->effects->table->training_fraction;
    double estimate[CELL_CHECKPOINTS];
    size_t places = ((size_t)draws + 1) * ((size_t)search->checkpoints + 1);
    double *rho = malloc(places * sizeof *rho);
    int *once = malloc(((size_t)settings + 1) * sizeof *once);
    CHECK(err, rho != NULL && once != NULL, STATUS_FAILED, "out of memory for %d draws", draws);
    for (int i = 0; i < settings; i++) {
        once[i] = 1;
    }
    average(search, once, estimate);
    TRY(bootstrap(err, search, draws, rho));
    double *sorted = rho + (size_t)draws * (size_t)search->checkpoints;
    for (int t = 0; t < search->checkpoints; t++) {
        if (!search->measured[t]) {
            continue;
        }
        struct early_point *point = &early->point[early->points++];
        point->fraction = fraction[t];
        point->rho = (struct interval){estimate[t], NAN, NAN, early->recipes};
        find_interval(rho, draws, search->checkpoints, t, sorted, &point->rho);
        early->supported = early->supported || (point->fraction <= 0.25 && point->rho.low > 0.5);
    }
cleanup:
    free(rho);
    free(once);
    return status;
}

/* ── All ── */

static int allocate(struct error *err, struct search *search)
{
    int status = STATUS_OK;
    size_t sizes = (size_t)search->design->effects->sizes;
    size_t settings = (size_t)search->design->effects->settings + 1;
    size_t seeds = (size_t)search->design->seeds + 1;
    search->measured = calloc((size_t)search->checkpoints, sizeof *search->measured);
    search->group = calloc(sizes, sizeof *search->group);
    search->ranks = calloc(2 * settings, sizeof *search->ranks);
    search->counts = calloc(settings, sizeof *search->counts);
    search->values = calloc(settings, sizeof *search->values);
    search->order = calloc(settings, sizeof *search->order);
    CHECK(err,
          search->measured != NULL && search->group != NULL && search->ranks != NULL &&
              search->counts != NULL && search->values != NULL && search->order != NULL,
          STATUS_FAILED, "out of memory for the early checkpoints");
    for (size_t s = 0; s < sizes; s++) {
        search->group[s].recipe = calloc(settings, sizeof *search->group[s].recipe);
        search->group[s].seed = calloc(seeds, sizeof *search->group[s].seed);
        CHECK(err, search->group[s].recipe != NULL && search->group[s].seed != NULL, STATUS_FAILED,
              "out of memory for the early checkpoints");
    }
cleanup:
    return status;
}

static void release(struct search *search)
{
    for (int s = 0; search->group != NULL && s < search->design->effects->sizes; s++) {
        free(search->group[s].recipe);
        free(search->group[s].seed);
        free(search->group[s].early);
        free(search->group[s].rest);
        free(search->group[s].indices);
    }
    free(search->measured);
    free(search->group);
    free(search->ranks);
    free(search->counts);
    free(search->values);
    free(search->order);
}

int early_of(struct error *err, const struct design *design, int quantizer, int draws,
             struct early *early)
{
    int status = STATUS_OK;
    const struct effects *effects = design->effects;
    struct search search = {
        .design = design, .quantizer = quantizer, .checkpoints = effects->table->checkpoints};
    *early = (struct early){0};
    CHECK(err, search.checkpoints <= CELL_CHECKPOINTS, STATUS_FAILED,
          "%s: %d checkpoints; at most %d can be analysed", effects->table->name,
          search.checkpoints, CELL_CHECKPOINTS);
    TRY(allocate(err, &search));
    find_measured(&search);
    for (int s = 0; s < effects->sizes && search.measured[search.checkpoints - 1]; s++) {
        struct group *group = &search.group[s];
        choose(&search, s, group);
        TRY(order_group(err, &search, s, group));
        early->recipes = group->recipes > early->recipes ? group->recipes : early->recipes;
        early->seeds = group->seeds > early->seeds ? group->seeds : early->seeds;
        early->sizes += group->recipes > 0;
    }
    early->known = early->sizes > 0 && effects->table->checkpoints > 1;
    if (early->known) {
        TRY(find_points(err, &search, draws, early));
    }
cleanup:
    release(&search);
    return status;
}
