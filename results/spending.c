#include "results/spending.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>

/* The process of the sums S_k = Z_k·√t_k: independent normal increments of the variance t_k − t_(k−1). */

enum { MOST_POINTS = 4097 };

static const double tail = 9; /* standard deviations beyond which there is nothing to integrate */
static const double points_per_deviation = 12;

/* Density of the sum of those that have stayed within the bounds so far, on an equidistant grid. */
struct density {
    int points; /* odd */
    double low, step;
    double value[MOST_POINTS];
};

static double at(const struct density *density, int i)
{
    return density->low + i * density->step;
}

/* Weight of a grid point in Simpson's rule. */
static double simpson(const struct density *density, int i)
{
    const int last = density->points - 1;
    return density->step / 3 * (i == 0 || i == last ? 1 : i % 2 == 1 ? 4 : 2);
}

/* A grid on [−reach, reach] that is fine for a normal density of this deviation. */
static void lay_grid(struct density *density, double reach, double deviation)
{
    double cells = ceil(2 * reach / deviation * points_per_deviation);
    cells = fmin(fmax(cells, 64), MOST_POINTS - 1);
    density->points = 2 * (int)(cells / 2) + 1;
    density->low = -reach;
    density->step = 2 * reach / (density->points - 1);
}

/* Probability that a sum so far within the bounds is, with the next increment, above c. */
static double above(const struct density *density, double deviation, double c)
{
    double sum = 0;
    for (int i = 0; i < density->points; i++) {
        sum += simpson(density, i) * density->value[i] *
               gsl_cdf_ugaussian_Q((c - at(density, i)) / deviation);
    }
    return sum;
}

/* The bound c of the sum above which is `probability`, by bisection. */
static double find_bound(const struct density *density, double deviation, double probability,
                         double most)
{
    double low = 0, high = most;
    for (int i = 0; i < 60; i++) {
        const double middle = (low + high) / 2;
        if (above(density, deviation, middle) > probability) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

/* The density after the next increment, within [−reach, reach]. */
static void advance(const struct density *density, double deviation, double reach, double finest,
                    struct density *next)
{
    lay_grid(next, reach, finest);
    for (int k = 0; k < next->points; k++) {
        double sum = 0;
        for (int i = 0; i < density->points; i++) {
            sum += simpson(density, i) * density->value[i] *
                   gsl_ran_gaussian_pdf(at(next, k) - at(density, i), deviation);
        }
        next->value[k] = sum;
    }
}

/* What may be spent on one side. */
static double spent_by(double fraction, double alpha)
{
    return 2 * gsl_cdf_ugaussian_Q(gsl_cdf_ugaussian_Qinv(alpha / 4) / sqrt(fraction));
}

void spending_looks(const double *fraction, int looks, double alpha, struct spending *spending)
{
    struct density grid[2];
    double before = 0, spent = 0;
    for (int k = 0; k < looks; k++) {
        const double may = spent_by(fraction[k], alpha), whole = sqrt(fraction[k]);
        const double deviation = sqrt(fraction[k] - before);
        const struct density *density = &grid[(k + 1) % 2];
        double bound = tail * whole; /* of the sum */
        bool any = may - spent > 0;
        if (any && k == 0) {
            bound = whole * gsl_cdf_ugaussian_Qinv(may);
        } else if (any) {
            bound = find_bound(density, deviation, may - spent, bound);
        }
        spending[k].bound = any ? bound / whole : INFINITY;
        spending[k].level = any ? 2 * gsl_cdf_ugaussian_Q(bound / whole) : 0;
        spending[k].spent = 2 * may;
        /* On to the next look: the grid suits its increment as well as the one behind. */
        struct density *next = &grid[k % 2];
        const double reach = fmin(bound, tail * whole);
        const double finest =
            k + 1 < looks ? fmin(deviation, sqrt(fraction[k + 1] - fraction[k])) : deviation;
        if (k > 0) {
            advance(density, deviation, reach, finest, next);
        } else {
            lay_grid(next, reach, finest);
            for (int i = 0; i < next->points; i++) {
                next->value[i] = gsl_ran_gaussian_pdf(at(next, i), whole);
            }
        }
        before = fraction[k];
        spent = may;
    }
}

void spending_plan(const struct spec_looks *plan, double alpha,
                   struct spending spending[SPEC_LOOKS])
{
    double fraction[SPEC_LOOKS];
    for (int k = 0; k < plan->count; k++) {
        fraction[k] = (double)plan->seeds[k] / plan->seeds[plan->count - 1];
    }
    spending_looks(fraction, plan->count, alpha, spending);
}

double spending_level_of(const struct table *table, double alpha)
{
    return table->looks.planned[0] != '\0' ? table->looks.level : alpha;
}
