#include "results/rank.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_sort.h>

/* How many are below `value`, or (`equal`) not above it. */
static int count_below(const double *ascending, int n, double value, int equal)
{
    int low = 0;
    int high = n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (ascending[middle] < value || (equal && ascending[middle] == value)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

double rank_of(const double *ascending, int n, double value)
{
    int below = count_below(ascending, n, value, 0);
    int up_to = count_below(ascending, n, value, 1);
    return (below + 1 + up_to) / 2.0;
}

double spearman(const double *x, const double *y, int n, double *scratch)
{
    if (n < 2) {
        return NAN;
    }
    double *sorted_x = scratch;
    double *sorted_y = scratch + n;
    memcpy(sorted_x, x, (size_t)n * sizeof *x);
    memcpy(sorted_y, y, (size_t)n * sizeof *y);
    gsl_sort(sorted_x, 1, (size_t)n);
    gsl_sort(sorted_y, 1, (size_t)n);
    double middle = (n + 1) / 2.0, xx = 0, xy = 0, yy = 0;
    for (int i = 0; i < n; i++) {
        double a = rank_of(sorted_x, n, x[i]) - middle;
        double b = rank_of(sorted_y, n, y[i]) - middle;
        xx += a * a;
        xy += a * b;
        yy += b * b;
    }
    return xx > 0 && yy > 0 ? fmax(-1, fmin(1, xy / sqrt(xx * yy))) : NAN;
}
