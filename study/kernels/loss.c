/* Cross-entropy, and KL divergence in fp64. */
#include <stdbool.h>

#include "study/kernels/table.h"

void KERNEL(cross_entropy)(enum precision precision, int rows, int vocabulary,
                           const uint32_t *targets, float scale, float *logits, float *loss)
{
    const size_t n = (size_t)vocabulary;
    for (int r = 0; r < rows; r++, logits += n) {
        float max = logits[0];
        FOR_VECTORS(n, {
            vf x = LOAD(logits);
            if (part) {
                for (size_t l = left; l < VL; l++) {
                    x[l] = max;
                }
            }
            float m = vmax(x);
            max = m > max ? m : max;
        });
        const float target = logits[targets[r]];
        vf total = {0};
        FOR_VECTORS(n, {
            vf e = vexp(LOAD(logits) - max);
            if (part) {
                for (size_t l = left; l < VL; l++) {
                    e[l] = 0;
                }
            }
            total += e;
            STORE(logits, e);
        });
        const float sum = vsum(total);
        loss[r] =
            logf(sum) - (target - max); /* in this order: a common shift of the logits cancels */
        const float factor = scale / sum;
        logits[targets[r]] -= sum;
        FOR_VECTORS(n, { STORE(logits, vround(precision, LOAD(logits) * factor)); });
    }
}

/* exp(r) − 1 − r for |r| ≤ 0.35: the Taylor series to r^13 / 13!, relative error below 1e-16. In pairs of pairs of terms, which do not
 * wait for each other. */
INLINE vd exp_tail(vd r)
{
    const vd r2 = r * r, r4 = r2 * r2;
    const vd low = (r * (1.0 / 6) + 1.0 / 2) + r2 * (r * (1.0 / 120) + 1.0 / 24);
    const vd middle = (r * (1.0 / 5040) + 1.0 / 720) + r2 * (r * (1.0 / 362880) + 1.0 / 40320);
    const vd high =
        (r * (1.0 / 39916800) + 1.0 / 3628800) + r2 * (r * (1.0 / 6227020800) + 1.0 / 479001600);
    return r2 * (low + r4 * (middle + r4 * high));
}

INLINE vd vdselect(vl mask, vd yes, vd no)
{
    return (vd)((mask & (vl)yes) | (~mask & (vl)no));
}

/* x between −708 and 708; NaN stays. */
INLINE vd vdclamp(vd x)
{
#if defined(__AVX512F__)
    x = (vd)_mm512_max_pd(_mm512_set1_pd(-708), (__m512d)x);
    return (vd)_mm512_min_pd(_mm512_set1_pd(708), (__m512d)x);
#else
    x = vdselect(x < -708.0, vdset(-708.0), x);
    return vdselect(x > 708.0, vdset(708.0), x);
#endif
}

/* exp(x) = 2^n·exp(r); below −708 and above 708 the value there. */
INLINE vd vdexp(vd x)
{
    const vd magic = vdset(6755399441055744.0); /* 1.5·2^52: adding it rounds to an integer */
    x = vdclamp(x);
    vd shifted = x * 1.4426950408889634 + magic;
    vl bits = (vl)shifted - (vl)magic;
    vd n = shifted - magic;
    vd r = x - n * 0.693147180369123816490;
    r = r - n * 1.90821492927058770002e-10;
    return (vd)((bits + 1023) << 52) * (1.0 + (r + exp_tail(r)));
}

/* p·(d + expm1(−d)) with x = −d: near zero from the series of expm1(x) − x, which does not cancel; elsewhere as
 * q − p − p·x, which does not overflow. */
INLINE vd kl_term(vd x, vd p, vd q)
{
#if defined(__AVX512F__)
    const __mmask8 near =
        _mm512_cmp_pd_mask(_mm512_abs_pd((__m512d)x), _mm512_set1_pd(0.35), _CMP_LT_OQ);
    const vd tail = p * exp_tail((vd)_mm512_maskz_mov_pd(near, (__m512d)x));
    return (vd)_mm512_mask_blend_pd(near, (__m512d)(q - p - p * x), (__m512d)tail);
#else
    const vl near = (x < 0.35) & (x > -0.35);
    return vdselect(near, p * exp_tail(vdselect(near, x, vdset(0))), q - p - p * x);
#endif
}

/* Doubles i … of p; past the end of n, `rest`. */
INLINE vd vdload_part(const double *p, size_t n, double rest)
{
    vd x = vdset(rest);
    memcpy(&x, p, n * sizeof *p);
    return x;
}

/* The larger of each pair; b where a is NaN. */
INLINE vd vdlarger(vd a, vd b)
{
#if defined(__AVX512F__)
    return (vd)_mm512_max_pd((__m512d)a, (__m512d)b);
#else
    return vdselect(a > b, a, b);
#endif
}
/* Are all |x| ≤ most? */
INLINE bool vdwithin(vd x, double most)
{
    const vd size = (vd)((vl)x & INT64_MAX);
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask((__m512d)size, _mm512_set1_pd(most), _CMP_NLE_UQ) == 0;
#elif defined(__AVX2__)
    return _mm256_movemask_pd(_mm256_cmp_pd((__m256d)size, _mm256_set1_pd(most), _CMP_NLE_UQ)) == 0;
#else
    return size[0] <= most && size[1] <= most;
#endif
}
INLINE double vdmax(vd x)
{
    double most = x[0];
    for (int i = 1; i < VLD; i++) {
        most = x[i] > most ? x[i] : most;
    }
    return most;
}

/* The first lane with x ≥ y; VL if there is none. */
INLINE int vfirst(vf x, float y)
{
#if defined(__AVX512F__)
    const unsigned mask = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(y), _CMP_GE_OQ);
    return mask ? __builtin_ctz(mask) : VL;
#elif defined(__AVX2__)
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_set1_ps(y), _CMP_GE_OQ));
    return mask ? __builtin_ctz((unsigned)mask) : VL;
#else
    int l = 0;
    while (l < VL && !(x[l] >= y)) {
        l++;
    }
    return l;
#endif
}

/* The index of the first maximum of x (n), n > 0. */
static int first_maximum(size_t n, const float *x)
{
    vf largest = vset(x[0]);
    FOR_VECTORS(n, {
        vf v = LOAD(x);
        if (part) {
            for (size_t l = left; l < VL; l++) {
                v[l] = x[0];
            }
        }
        largest = vlarger(v, largest);
    });
    const float max = vmax(largest);
    size_t best = 0;
    for (; best + VL <= n; best += VL) {
        const int lane = vfirst(vload(x + best), max);
        if (lane < VL) {
            return (int)best + lane;
        }
    }
    while (best + 1 < n && !(x[best] >= max)) {
        best++;
    }
    return (int)(best < n ? best : n - 1);
}

/* FOR_VECTORS in fp64: VLD numbers at a time, `left` of them at the end; a constant where they are all. */
#define FOR_DOUBLES(n, ...)                                                                        \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (; i + VLD <= (size_t)(n); i += VLD) {                                                 \
            const size_t left = VLD;                                                               \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (i < (size_t)(n)) {                                                                     \
            const size_t left = (size_t)(n)-i;                                                     \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

typedef float vf_half __attribute__((vector_size(VL * 2))); /* VLD floats */

/* n ≤ VLD floats in fp64; zero past the end. */
INLINE vd vdload_float(const float *x, size_t n)
{
#if defined(__AVX512F__)
    if (n == VLD) {
        return (vd)_mm512_cvtps_pd(_mm256_loadu_ps(x));
    }
#endif
    vf_half y = {0};
    memcpy(&y, x, n * sizeof *x);
    return __builtin_convertvector(y, vd);
}

INLINE vd vdkeep(vd x, size_t n)
{
    for (size_t l = n; l < VLD; l++) {
        x[l] = 0;
    }
    return x;
}

void KERNEL(exponentials)(size_t n, const double *x, double *y)
{
    FOR_DOUBLES(n, {
        const vd e = vdexp(vdload_part(x + i, left, 0));
        memcpy(y + i, &e, left * sizeof *y);
    });
}

int KERNEL(log_softmax)(int vocabulary, const float *logits, double *log_p)
{
    const int best = first_maximum((size_t)vocabulary, logits);
    const double max = logits[best];
    vd sum = {0};
    FOR_DOUBLES(vocabulary, { sum += vdkeep(vdexp(vdload_float(logits + i, left) - max), left); });
    const double log_sum = log(vdsum(sum));
    for (int i = 0; i < vocabulary; i++) {
        log_p[i] = logits[i] - max - log_sum;
    }
    return best;
}

double KERNEL(kl)(int vocabulary, const double *log_p, const double *log_q, const double *p,
                  const double *q)
{
    vd sum = {0};
    FOR_DOUBLES(vocabulary, {
        const vd x = vdload_part(log_q + i, left, 0) - vdload_part(log_p + i, left, 0);
        /* Zero past the end, where all are. */
        sum += kl_term(x, vdload_part(p + i, left, 0), vdload_part(q + i, left, 0));
    });
    return vdsum(sum);
}

/* e^x − 1 − x. With x = n·ln 2 + r it is 2^n·(e^r − 1 − r) + (2^n − 1) + (2^n·r − x); near zero, where n = 0 and r = x, the
 * other two are exactly zero and nothing cancels. */
INLINE vd exp_excess(vd x)
{
    const vd magic = vdset(6755399441055744.0);
    const vd shifted = x * 1.4426950408889634 + magic;
    const vd r = x - (shifted - magic) * 0.69314718055994531;
    const vd power = (vd)(((vul)shifted << 52) + 0x3ff0000000000000u);
    return power * exp_tail(r) + ((power - 1.0) + (power * r - x));
}

/* Further apart than exp_excess reaches, or not finite. scratch (3 V). */
static double far_divergence(int vocabulary, const float *logits, const float *full,
                             const double *p, int target, double *scratch, double *gain)
{
    double *log_p = scratch, *log_q = log_p + vocabulary, *q = log_q + vocabulary;
    KERNEL(log_softmax)(vocabulary, full, log_p);
    KERNEL(log_softmax)(vocabulary, logits, log_q);
    KERNEL(exponentials)((size_t)vocabulary, log_q, q);
    *gain = log_q[target] - log_p[target];
    return KERNEL(kl)(vocabulary, log_p, log_q, p, q);
}

/* Let y be the logits' differences and x = y − Σ p·y. Then q = p·e^x / S with S = Σ p·e^x = 1 + Σ p·(e^x − 1 − x), and the
 * sum of METHOD §4 over d = log S − x comes to log S. An error of Σ p·y enters it times S − 1, as one of log q does there. */
int KERNEL(divergence)(int vocabulary, const float *logits, const float *full, const double *p,
                       int target, double *scratch, double *gain, double *kl)
{
    const int best = first_maximum((size_t)vocabulary, logits);
    vd sum = {0}, excess = {0}, most = {0};
    FOR_DOUBLES(vocabulary, {
        const vd y = vdload_float(logits + i, left) - vdload_float(full + i, left);
        sum += vdload_part(p + i, left, 0) * y;
    });
    const double mean = vdsum(sum);
    FOR_DOUBLES(vocabulary, {
        const vd y = vdload_float(logits + i, left) - vdload_float(full + i, left);
        const vd x = y - mean;
        most = vdlarger((vd)((vl)x & INT64_MAX), most);
        const vd here = vdload_part(p + i, left, 0);                        /* zero past the end */
        excess += here * (vdwithin(x, 0.34) ? exp_tail(x) : exp_excess(x)); /* the same there */
    });
    if (!isfinite(mean) || vdmax(most) > 300) {
        *kl = far_divergence(vocabulary, logits, full, p, target, scratch, gain);
        return best;
    }
    *kl = log1p(vdsum(excess));
    *gain = (double)logits[target] - full[target] - mean - *kl;
    return best;
}
