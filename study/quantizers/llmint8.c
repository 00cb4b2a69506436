/*
 * LLM.int8() (2208.07339): inputs of which any |x| in the window reaches θ are multiplied in fp16, the others vector-wise in
 * int8. A window is one evaluation window of `context` rows. θ is 6, or 6 standard deviations of the site's inputs in the
 * window. The scale of a row of weights is that of the whole row, for weights are stored before the inputs are known; the scale of a
 * token leaves its outliers out. fp16 operands are the model's own, rounded; their products add up in fp32.
 */
#include <math.h>
#include <string.h>

#include "study/quantizers/parts.h"

#define THETA 6.0

/* The least |x| of an outlier in a window x (n). */
static float threshold(const struct kernels *kernels, enum outliers outliers, size_t n,
                       const float *x)
{
    if (outliers == OUTLIERS_ABSOLUTE) {
        return (float)THETA;
    }
    double sum[4] = {0};
    for (size_t i = 0; i < n; i++) {
        sum[i % 4] += x[i];
    }
    const double mean = (sum[0] + sum[1] + sum[2] + sum[3]) / (double)n;
    const double variance = kernels->squared_sum(n, x) / (double)n - mean * mean;
    return (float)(THETA * sqrt(variance > 0 ? variance : 0));
}

/* Indices of the outlier inputs of a window x (T, in); returns how many. */
static int find(const struct site_call *call, enum outliers outliers, const float *x, int *index)
{
    const int in = call->in;
    float *most = call->scratch->column;
    const float theta = threshold(call->kernels, outliers, (size_t)call->context * in, x);
    int count = 0;
    call->kernels->column_absmax(call->context, in, x, most);
    for (int j = 0; j < in; j++) {
        if (most[j] >= theta && most[j] > 0) {
            index[count++] = j;
        }
    }
    return count;
}

/* Columns `index` of m (rows, in), in fp16. */
static void gather(const struct site_call *call, int count, const int *index, int rows,
                   const float *m, float *out)
{
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < count; c++) {
            out[(size_t)r * count + c] = m[(size_t)r * call->in + index[c]];
        }
    }
    call->kernels->round(PRECISION_FP16, (size_t)rows * count, out, out);
}

int llmint8_forward(struct error *err, const struct quantized_site *site,
                    const struct site_call *call)
{
    int status = STATUS_OK;
    const struct site_scratch *scratch = call->scratch;
    const size_t in = (size_t)call->in, context = (size_t)call->context;
    const int windows = call->rows / call->context;
    memcpy(scratch->x, call->x, (size_t)call->rows * in * sizeof *call->x);
    for (int w = 0; w < windows; w++) {
        int *index = scratch->index + (size_t)w * in;
        scratch->count[w] =
            find(call, site->quantizer->outliers, call->x + w * context * in, index);
        for (size_t r = 0; r < context; r++) {
            for (int c = 0; c < scratch->count[w]; c++) {
                scratch->x[(w * context + r) * in + index[c]] = 0;
            }
        }
    }
    TRY(integer_forward(err, site, call, call->rows, scratch->x, call->y));
    for (int w = 0; w < windows; w++) {
        const int *index = scratch->index + (size_t)w * in, count = scratch->count[w];
        if (count > 0) {
            gather(call, count, index, call->context, call->x + w * context * in,
                   scratch->gathered);
            gather(call, count, index, call->out, call->weight, scratch->weight);
            TRY(gemm_add(err, call->context, count, call->out, scratch->gathered, scratch->weight,
                         call->y + w * context * (size_t)call->out));
        }
    }
cleanup:
    return status;
}
