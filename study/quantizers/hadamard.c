/*
 * Rotation by random signs and a Hadamard matrix (2404.00456): x → (1/√n) H diag(±1) x for each row of X and of W. H is
 * orthogonal up to √n, so that X Wᵀ stays what it is, and spreads an outlier over all inputs.
 *
 * A width n = 2^k·m, m odd, takes H = P ⊗ S: S is Sylvester's matrix, applied by the fast transform; P is Paley's matrix of the least order
 * 2^t·m, 2 ≤ t ≤ k, for which 2^t·m − 1 is a prime (12 for m = 3, 20 for m = 5, …), dense and at most 256 wide. Where there
 * is none (7·2^k with k < 5, odd widths), each of m blocks of 2^k inputs is rotated by itself.
 */
#include <math.h>
#include <string.h>

#include "study/quantizers/parts.h"
#include "study/rng.h"

enum { MOST_ORDER = 256, STRIP = 16 };

/* Signs are the same in every study: part of the method. */
#define SIGNS_SEED UINT64_C(0x68616461)

static bool is_prime(int n)
{
    for (int d = 2; d * d <= n; d++) {
        if (n % d == 0) {
            return false;
        }
    }
    return n > 1;
}

struct hadamard_factors hadamard_factors(int width)
{
    int odd = width, power = 1;
    while (odd % 2 == 0) {
        odd /= 2;
        power *= 2;
    }
    for (int order = 4 * odd; odd > 1 && order <= MOST_ORDER && order <= odd * power; order *= 2) {
        if (is_prime(order - 1)) {
            return (struct hadamard_factors){order, odd * power / order, 1};
        }
    }
    return (struct hadamard_factors){1, power, odd};
}

/* Paley's first construction, q = order − 1 ≡ 3 (mod 4): P = 1 + S, where S is skew with a border of ones and the quadratic
 * character χ(i − j) inside. */
static void paley(int order, float *p)
{
    const int q = order - 1;
    float character[MOST_ORDER];
    for (int i = 0; i < q; i++) {
        character[i] = i == 0 ? 0 : -1;
    }
    for (int i = 1; i < q; i++) {
        character[i * i % q] = 1;
    }
    for (int i = 0; i < order; i++) {
        for (int j = 0; j < order; j++) {
            const float s = i == j ? 0 : i == 0 ? 1 : j == 0 ? -1 : character[(i - j + q) % q];
            p[i * order + j] = i == j ? 1 : s;
        }
    }
}

/* Signs (in), with the normalization, and the dense factor (order, order). */
static size_t parameters(int in)
{
    const size_t order = (size_t)hadamard_factors(in).order;
    return (size_t)in + (order > 1 ? order * order : 0);
}

static void prepare(int in, int out, const float *w, const float *input_absmax, float *p)
{
    (void)out, (void)w, (void)input_absmax;
    const struct hadamard_factors f = hadamard_factors(in);
    const float normal = (float)(1 / sqrt((double)f.order * f.power));
    for (int i = 0; i < in; i += 128) {
        const philox4x32_ctr_t bits =
            rng_draw(SIGNS_SEED, RNG_ROTATION, 0, 0, 0, (uint32_t)i / 128);
        for (int j = 0; j < 128 && i + j < in; j++) {
            p[i + j] = bits.v[j / 32] >> j % 32 & 1 ? -normal : normal;
        }
    }
    if (f.order > 1) {
        paley(f.order, p + in);
    }
}

/* x (order, n) → P x, a strip of columns at a time. */
static void dense(int order, int n, const float *p, float *x)
{
    float strip[MOST_ORDER * STRIP];
    for (int first = 0; first < n; first += STRIP) {
        const int count = n - first < STRIP ? n - first : STRIP;
        memset(strip, 0, sizeof strip);
        for (int c = 0; c < order; c++) {
            memcpy(strip + c * STRIP, x + c * n + first, (size_t)count * sizeof *x);
        }
        for (int a = 0; a < order; a++) {
            float sum[STRIP] = {0};
            for (int c = 0; c < order; c++) {
                for (int j = 0; j < STRIP; j++) {
                    sum[j] += p[a * order + c] * strip[c * STRIP + j];
                }
            }
            memcpy(x + a * n + first, sum, (size_t)count * sizeof *x);
        }
    }
}

static void rotate(int in, const float *p, int rows, const float *x, float *y)
{
    const struct hadamard_factors f = hadamard_factors(in);
    const struct kernels *k = kernels_get();
    for (int r = 0; r < rows; r++) {
        float *to = y + (size_t)r * in;
        for (int i = 0; i < in; i += f.power) {
            k->hadamard(f.power, p + i, x + (size_t)r * in + i, to + i);
        }
        if (f.order > 1) {
            dense(f.order, f.power, p + in, to);
        }
    }
}

const struct transform_part transform_hadamard = {
    .parameters = parameters, .prepare = prepare, .inputs = rotate, .weights = rotate};
