#include "results/holm.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double p;
    int index;
};

static int compare_p(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    int order = (x->p > y->p) - (x->p < y->p);
    return order != 0 ? order : x->index - y->index;
}

int holm_adjust(struct error *err, const double *p, int count, double *adjusted)
{
    int status = STATUS_OK;
    int known = 0;
    double most = 0;
    struct ranked *ranked = calloc((size_t)count + 1, sizeof *ranked);
    CHECK(err, ranked != NULL, STATUS_FAILED, "out of memory for %d p-values", count);
    for (int i = 0; i < count; i++) {
        adjusted[i] = NAN;
        if (!isnan(p[i])) {
            ranked[known++] = (struct ranked){p[i], i};
        }
    }
    qsort(ranked, (size_t)known, sizeof *ranked, compare_p);
    for (int i = 0; i < known; i++) {
        most = fmax(most, fmin(1, (known - i) * ranked[i].p));
        adjusted[ranked[i].index] = most;
    }
cleanup:
    free(ranked);
    return status;
}
