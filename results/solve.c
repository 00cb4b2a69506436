#include "results/solve.h"

#include <math.h>

/* What elimination leaves of a diagonal element below this part of it is rounding. */
static const double RELATIVE_PIVOT = 1e-10;

/* Gauss–Jordan. A semidefinite matrix needs no exchange of rows: a pivot that vanishes has a row
 * that vanishes. */
int solve_semidefinite(double *a, double *b, int n)
{
    int rank = 0;
    double largest = 0;
    for (int i = 0; i < n; i++) {
        largest = fmax(largest, a[i * n + i]);
    }
    for (int p = 0; p < n; p++) {
        double pivot = a[p * n + p];
        if (!(pivot > RELATIVE_PIVOT * largest)) {
            for (int j = 0; j < n; j++) {
                a[p * n + j] = 0;
                a[j * n + p] = 0;
            }
            b[p] = 0;
            continue;
        }
        rank++;
        for (int i = 0; i < n; i++) {
            double factor = i == p ? 0 : a[i * n + p] / pivot;
            if (factor != 0) {
                for (int j = p; j < n; j++) {
                    a[i * n + j] -= factor * a[p * n + j];
                }
                b[i] -= factor * b[p];
            }
        }
        for (int j = p + 1; j < n; j++) {
            a[p * n + j] /= pivot;
        }
        b[p] /= pivot;
        a[p * n + p] = 1;
    }
    return rank;
}
