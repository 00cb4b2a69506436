/*
 * GPTQ (2210.17323): weights are rounded input by input in natural order, and what a rounding did to the layer's output is made good by
 * the inputs that follow. With the Hessian H = 2XᵀX + damping and H⁻¹ = UᵀU, U upper triangular,
 *
 *     e = (w_j − q_j) / U_jj,    w_k ← w_k − e·U_jk for k > j.
 *
 * Rows of U come in blocks; within a block only its own inputs are updated, the others after it, which changes no sum's order. Scales
 * without groups are those of the weights as they were; a group's scale is found when its turn comes, from what the weights are then.
 * An input that is always 0 in calibration has nothing to do with the others: it is rounded to nearest. All in fp64.
 */
#include <math.h>
#include <stdlib.h>

#include "study/quantizers/parts.h"

enum { BLOCK = 64 };

double gptq_damping(int attempt)
{
    static const double shares[GPTQ_DAMPINGS] = {0.01, 0.1, 1, 10};
    return shares[attempt];
}

/* Round weight j of a row. */
static double round_one(const struct rounding *r, float scale, double w, int8_t *code)
{
    const float weight = (float)w;
    r->format->encode(r->kernels, r->bits, scale, 1, &weight, code);
    const float value = r->format->values ? r->format->values[(uint8_t)*code] : (float)*code;
    return (double)(value * scale);
}

/* The scale of the group that begins at input j of row o, from its present weights. */
static float group_scale(const struct rounding *r, int j, const double *w, float *group)
{
    const int count = r->in - j < r->group ? r->in - j : r->group;
    for (int i = 0; i < count; i++) {
        group[i] = (float)w[j + i];
    }
    return r->format->scale(r->kernels, r->bits, count, group);
}

/* Inputs [first, first + count) of row o, w (in), by the rows u (count, in) of U. */
static void round_block(const struct rounding *r, int o, int first, int count, const double *u,
                        double *w, float *group)
{
    const int end = first + count;
    double error[BLOCK];
    for (int j = first; j < end; j++) {
        const double *row = u + (size_t)(j - first) * r->in;
        float *scale = &r->scale[(size_t)o * r->groups + j / r->group];
        if (r->groups > 1 && j % r->group == 0) {
            *scale = group_scale(r, j, w, group);
        }
        const double e =
            (w[j] - round_one(r, *scale, w[j], &r->codes[(size_t)o * r->in + j])) / row[j];
        for (int k = j + 1; k < end; k++) {
            w[k] -= e * row[k];
        }
        error[j - first] = e;
    }
    for (int j = first; j < end; j++) {
        const double *row = u + (size_t)(j - first) * r->in;
        for (int k = end; k < r->in; k++) {
            w[k] -= error[j - first] * row[k];
        }
    }
}

/* U of the damped Gram matrix, with more damping if it must be. */
static int factorize(struct error *err, const struct algebra *algebra, struct gram *gram, int n,
                     double *shift, double *damping)
{
    int status = STATUS_OK;
    double mean = 0;
    bool definite = false;
    double *diagonal = malloc((size_t)n * sizeof *diagonal);
    CHECK(err, diagonal, STATUS_FAILED, "out of memory for %d inputs", n);
    TRY(algebra->gram_diagonal(err, gram, diagonal));
    for (int i = 0; i < n; i++) {
        mean += diagonal[i] / n;
    }
    *damping = NAN;
    for (int attempt = 0; attempt < GPTQ_DAMPINGS && !definite && isfinite(mean); attempt++) {
        for (int i = 0; i < n; i++) {
            shift[i] = diagonal[i] == 0 ? 1 : gptq_damping(attempt) * mean;
        }
        TRY(algebra->gram_inverse_factor(err, gram, shift, &definite));
        *damping = definite ? gptq_damping(attempt) : NAN;
    }
cleanup:
    free(diagonal);
    return status;
}

/* Inputs of the block that begins at `first`: where a group begins, its weights must be up to date, so either whole groups fit in, or it
 * ends with its group. */
static int block_of(const struct rounding *r, int first)
{
    const int left = r->in - first;
    int count = BLOCK;
    if (r->groups > 1) {
        count = r->group <= BLOCK ? BLOCK / r->group * r->group : r->group - first % r->group;
        count = count < BLOCK ? count : BLOCK;
    }
    return count < left ? count : left;
}

int round_gptq(struct error *err, const struct algebra *algebra, struct gram *gram,
               const struct rounding *r, double *damping)
{
    int status = STATUS_OK;
    const size_t in = (size_t)r->in, out = (size_t)r->out;
    double *w = malloc(in * out * sizeof *w);
    double *u = malloc((BLOCK + 1) * in * sizeof *u);
    float *group = malloc(in * sizeof *group);
    CHECK(err, w && u && group, STATUS_FAILED, "out of memory for GPTQ of %zu x %zu weights", out,
          in);
    TRY(factorize(err, algebra, gram, r->in, u + BLOCK * in, damping));
    if (isnan(*damping)) {
        goto cleanup;
    }
    for (size_t i = 0; i < in * out; i++) {
        w[i] = r->w[i];
    }
    for (size_t o = 0; o < out && r->groups == 1; o++) {
        r->scale[o] = r->format->scale(r->kernels, r->bits, r->in, r->w + o * in);
    }
    for (int first = 0, count; first < r->in; first += count) {
        count = block_of(r, first);
        TRY(algebra->gram_factor_rows(err, gram, first, count, u));
        for (int o = 0; o < r->out; o++) {
            round_block(r, o, first, count, u, w + (size_t)o * in, group);
        }
    }
cleanup:
    free(w);
    free(u);
    free(group);
    return status;
}
