/* Symmetric integers: s = max|w| / (2^(b−1) − 1), and exact products of integer codes (METHOD §3). */
#include "study/quantizers/parts.h"

static int limit_of(int bits)
{
    return (1 << (bits - 1)) - 1;
}

static float scale(const struct kernels *kernels, int bits, int n, const float *w)
{
    return kernels->absmax((size_t)n, w) / (float)limit_of(bits);
}

static void encode(const struct kernels *kernels, int bits, float s, int n, const float *w,
                   int8_t *codes)
{
    kernels->quantize((size_t)n, w, s, limit_of(bits), codes);
}

const struct format format_int = {.values = NULL, .scale = scale, .encode = encode};

int integer_forward(struct error *err, const struct quantized_site *site,
                    const struct site_call *call, int rows, const float *x, float *y)
{
    int status = STATUS_OK;
    const struct kernels *k = call->kernels;
    const struct site_scratch *scratch = call->scratch;
    const size_t in = (size_t)call->in, out = (size_t)call->out;
    const int limit = limit_of(site->quantizer->activation_bits);
    const bool fixed = site->quantizer->activations == ACTIVATIONS_PER_TENSOR;
    for (int r = 0; r < rows; r++) {
        const float s = fixed ? site->fixed_scale : k->absmax(in, x + r * in) / (float)limit;
        scratch->row_scale[r] = s;
        k->quantize(in, x + r * in, s, limit, scratch->codes + r * in);
    }
    TRY(gemm_int8(err, rows, call->in, call->out, scratch->codes, site->codes,
                  scratch->accumulator));
    for (int r = 0; r < rows; r++) {
        k->rescale(call->out, scratch->accumulator + r * out, scratch->row_scale[r], site->scale,
                   call->bias, y + r * out);
    }
cleanup:
    return status;
}
