#include "study/quantizers/site.h"

#include "study/quantizers/parts.h"

/* Integer inputs of a product that is not integer: each row to multiples of its scale. */
static void round_inputs(const struct quantized_site *site, const struct site_call *call,
                         const float *x, float *y)
{
    const struct kernels *k = call->kernels;
    const struct quantizer *q = site->quantizer;
    const size_t in = (size_t)call->in;
    const float limit =
        q->activations == ACTIVATIONS_FP8 ? 448.0f : (float)((1 << (q->activation_bits - 1)) - 1);
    for (int r = 0; r < call->rows; r++) {
        const float *row = x + r * in;
        const float s = q->activations == ACTIVATIONS_PER_TENSOR ? site->fixed_scale
                                                                 : k->absmax(in, row) / limit;
        if (q->activations == ACTIVATIONS_FP8) {
            k->fp8_round(in, row, s, s, y + r * in);
        } else {
            k->quantize(in, row, s, (int)limit, call->scratch->codes);
            k->decode(in, call->scratch->codes, NULL, s, y + r * in);
        }
    }
}

static void decode(const struct quantized_site *site, const struct site_call *call, float *weight)
{
    for (int o = 0; o < call->out; o++) {
        for (int g = 0; g < site->groups; g++) {
            const int first = g * site->group;
            const int count = call->in - first < site->group ? call->in - first : site->group;
            const size_t at = (size_t)o * call->in + first;
            call->kernels->decode((size_t)count, site->codes + at, site->values,
                                  site->scale[(size_t)o * site->groups + g], weight + at);
        }
    }
}

int quantized_site_forward(struct error *err, const struct quantized_site *site,
                           const struct site_call *call)
{
    int status = STATUS_OK;
    const struct quantizer *q = site->quantizer;
    const struct site_scratch *scratch = call->scratch;
    const float *x = call->x;
    const float *weight = site->weight ? site->weight : call->weight;
    if (site->parameters) {
        transform_of(q->transform)->inputs(call->in, site->parameters, call->rows, x, scratch->x);
        x = scratch->x;
    }
    if (q->outliers != OUTLIERS_NONE) {
        return llmint8_forward(err, site, call);
    }
    if (quantizer_is_integer(q)) {
        return integer_forward(err, site, call, call->rows, x, call->y);
    }
    if (q->activations != ACTIVATIONS_FULL) {
        round_inputs(site, call, x, scratch->x);
        x = scratch->x;
    }
    if (site->codes) {
        decode(site, call, scratch->weight);
        weight = scratch->weight;
    }
    TRY(gemm_forward(err, call->gemm, PRECISION_FP32, call->rows, call->in, call->out,
                     operand_full(x), operand_full(weight), call->y));
    call->kernels->bias_round(PRECISION_FP32, call->rows, call->out, call->bias, call->y);
cleanup:
    return status;
}
