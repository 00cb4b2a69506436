#include "study/moments.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef float float_lanes __attribute__((vector_size(LANES * sizeof(float))));

/* By address: how vectors are passed depends on the instruction set. */
static inline void load(const float *x, lanes *v)
{
    float_lanes narrow;
    memcpy(&narrow, x, sizeof narrow);
    *v = __builtin_convertvector(narrow, lanes);
}

static double total(const lanes *v)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++) {
        sum += (*v)[i];
    }
    return sum;
}

struct moments moments_of(size_t n, const float *x)
{
    struct moments m = {.n = (double)n};
    const size_t whole = n - n % LANES;
    lanes sum = {0}, sum2 = {0}, sum3 = {0}, sum4 = {0};
    double rest = 0;
    if (n == 0) {
        return m;
    }
    for (size_t i = 0; i < whole; i += LANES) {
        lanes v;
        load(x + i, &v);
        sum += v;
    }
    for (size_t i = whole; i < n; i++) {
        rest += x[i];
    }
    m.mean = (total(&sum) + rest) / m.n;
    for (size_t i = 0; i < whole; i += LANES) {
        lanes d, d2;
        load(x + i, &d);
        d -= m.mean;
        d2 = d * d;
        sum2 += d2;
        sum3 += d2 * d;
        sum4 += d2 * d2;
    }
    m.m2 = total(&sum2);
    m.m3 = total(&sum3);
    m.m4 = total(&sum4);
    for (size_t i = whole; i < n; i++) {
        const double d = x[i] - m.mean, d2 = d * d;
        m.m2 += d2;
        m.m3 += d2 * d;
        m.m4 += d2 * d2;
    }
    return m;
}

struct moments moments_merge(const struct moments *a, const struct moments *b)
{
    if (a->n == 0 || b->n == 0) {
        return a->n == 0 ? *b : *a;
    }
    const double n = a->n + b->n, d = b->mean - a->mean, d2 = d * d;
    const double ab = a->n * b->n;
    return (struct moments){
        .n = n,
        .mean = a->mean + d * b->n / n,
        .m2 = a->m2 + b->m2 + d2 * ab / n,
        .m3 = a->m3 + b->m3 + d * d2 * ab * (a->n - b->n) / (n * n) +
              3 * d * (a->n * b->m2 - b->n * a->m2) / n,
        .m4 = a->m4 + b->m4 + d2 * d2 * ab * (a->n * a->n - ab + b->n * b->n) / (n * n * n) +
              6 * d2 * (a->n * a->n * b->m2 + b->n * b->n * a->m2) / (n * n) +
              4 * d * (a->n * b->m3 - b->n * a->m3) / n,
    };
}

double moments_std(const struct moments *m)
{
    return sqrt(m->m2 / m->n);
}

double moments_kurtosis(const struct moments *m)
{
    return m->m2 > 0 ? m->n * m->m4 / (m->m2 * m->m2) : NAN;
}

double moments_square_sum(const struct moments *m)
{
    return m->m2 + m->n * m->mean * m->mean;
}

double moments_mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum / n;
}

double moments_standard_error(const double *x, int n)
{
    const double m = moments_mean(x, n);
    double squares = 0;
    for (int i = 0; i < n; i++) {
        squares += (x[i] - m) * (x[i] - m);
    }
    return n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
}
