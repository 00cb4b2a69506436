#include "study/optimizer.h"

#include <math.h>

enum { CHUNK = 4096, GROWTH_STEPS = 1000 };

static const double smallest_scale = 0x1p-24; /* fp16's smallest number: nothing is left to halve */

double optimizer_norm(const struct layout *layout, const struct kernels *kernels,
                      const float *gradient, double unscale)
{
    double sum = 0;
    for (int i = 0; i < layout->tensors; i++) {
        const float *g = layout_of(layout, i, gradient);
        const size_t n = tensor_elements(&layout->tensor[i]);
        for (size_t at = 0; at < n; at += CHUNK) {
            sum += kernels->squared_sum(n - at < CHUNK ? n - at : CHUNK, g + at);
        }
    }
    return sqrt(sum) * unscale;
}

double optimizer_initial_scale(enum precision precision)
{
    return precision == PRECISION_FP16 ? 0x1p15 : 1.0;
}

struct update optimizer_step(struct optimizer *o, const struct cell_train *train,
                             double learning_rate, const float *gradient)
{
    const double unscale = 1 / o->loss_scale;
    struct update u = {.grad_norm = optimizer_norm(o->layout, o->kernels, gradient, unscale)};
    if (!isfinite(u.grad_norm)) {
        u.skipped = train->precision == PRECISION_FP16;
        u.diverged = !u.skipped || o->loss_scale / 2 < smallest_scale;
        if (u.skipped) {
            o->loss_scale /= 2;
            o->good_steps = 0;
            o->skipped++;
        }
        return u;
    }
    double factor = unscale;
    if (train->grad_clip > 0 && u.grad_norm > train->grad_clip) {
        factor *= train->grad_clip / u.grad_norm;
    }
    o->updates++;
    const double t = (double)o->updates;
    const float correction1 = (float)(1 / (1 - pow(train->beta1, t)));
    const float correction2 = (float)(1 / (1 - pow(train->beta2, t)));
    for (int i = 0; i < o->layout->tensors; i++) {
        const struct tensor *tensor = &o->layout->tensor[i];
        const size_t at = tensor->offset;
        const double decay =
            tensor->kind == TENSOR_MATRIX ? learning_rate * train->weight_decay : 0;
        o->kernels->adamw(tensor_elements(tensor), (float)factor, (float)learning_rate,
                          (float)decay, (float)train->beta1, (float)train->beta2,
                          (float)train->epsilon, correction1, correction2, gradient + at,
                          o->master + at, o->first + at, o->second + at);
    }
    if (train->precision == PRECISION_FP16 && ++o->good_steps == GROWTH_STEPS) {
        o->loss_scale *= 2;
        o->good_steps = 0;
    }
    return u;
}
