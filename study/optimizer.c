#include "study/optimizer.h"

#include <math.h>
#include <string.h>

enum { GROWTH_STEPS = 1000 };

static const double smallest_scale = 0x1p-24; /* fp16's smallest number: nothing is left to halve */

static size_t chunks_of(const struct tensor *t)
{
    return (tensor_elements(t) + SHARDS_CHUNK - 1) / SHARDS_CHUNK;
}

size_t optimizer_chunks(const struct layout *layout)
{
    size_t chunks = 0;
    for (int i = 0; i < layout->tensors; i++) {
        chunks += chunks_of(&layout->tensor[i]);
    }
    return chunks;
}

/* Squared sums of the chunks that this rank holds; zero where others do. */
static void square_chunks(const struct optimizer *o, const float *gradient, size_t chunks)
{
    const struct shards *s = o->shards;
    size_t before = 0; /* chunks of the tensors before */
    int tensor = 0;
    memset(o->squares, 0, chunks * sizeof *o->squares);
    for (int i = 0; i < s->spans; i++) {
        const struct span *span = &s->span[i];
        for (; tensor < span->tensor; tensor++) {
            before += chunks_of(&s->layout->tensor[tensor]);
        }
        for (size_t e = 0; e < span->count; e += SHARDS_CHUNK) {
            const size_t left = span->count - e;
            o->squares[before + (span->first + e) / SHARDS_CHUNK] = o->kernels->squared_sum(
                left < SHARDS_CHUNK ? left : SHARDS_CHUNK, gradient + span->at + e);
        }
    }
}

int optimizer_norm(const struct optimizer *o, const float *gradient, double unscale, double *norm)
{
    int status = STATUS_OK;
    const size_t chunks = optimizer_chunks(o->shards->layout);
    double sum = 0;
    square_chunks(o, gradient, chunks);
    TRY(o->team->sum_double(o->team, o->squares, chunks)); /* others' zeros: exact */
    for (size_t i = 0; i < chunks; i++) {
        sum += o->squares[i];
    }
    *norm = sqrt(sum) * unscale;
cleanup:
    return status;
}

double optimizer_initial_scale(enum precision precision)
{
    return precision == PRECISION_FP16 ? 0x1p15 : 1.0;
}

int optimizer_step(struct optimizer *o, const struct cell_train *train, double learning_rate,
                   const float *gradient, struct update *update)
{
    int status = STATUS_OK;
    const double unscale = 1 / o->loss_scale;
    *update = (struct update){.grad_norm = NAN};
    TRY(optimizer_norm(o, gradient, unscale, &update->grad_norm));
    if (!isfinite(update->grad_norm)) {
        update->skipped = train->precision == PRECISION_FP16;
        update->diverged = !update->skipped || o->loss_scale / 2 < smallest_scale;
        if (update->skipped) {
            o->loss_scale /= 2;
            o->good_steps = 0;
            o->skipped++;
        }
        return status;
    }
    double factor = unscale;
    if (train->grad_clip > 0 && update->grad_norm > train->grad_clip) {
        factor *= train->grad_clip / update->grad_norm;
    }
    o->updates++;
    const double t = (double)o->updates;
    const float correction1 = (float)(1 / (1 - pow(train->beta1, t)));
    const float correction2 = (float)(1 / (1 - pow(train->beta2, t)));
    for (int i = 0; i < o->shards->spans; i++) {
        const struct span *span = &o->shards->span[i];
        const size_t at = span->at;
        const double decay = o->shards->layout->tensor[span->tensor].kind == TENSOR_MATRIX
                                 ? learning_rate * train->weight_decay
                                 : 0;
        o->kernels->adamw(span->count, (float)factor, (float)learning_rate, (float)decay,
                          (float)train->beta1, (float)train->beta2, (float)train->epsilon,
                          correction1, correction2, gradient + at, o->master + at, o->first + at,
                          o->second + at);
    }
    if (train->precision == PRECISION_FP16 && ++o->good_steps == GROWTH_STEPS) {
        o->loss_scale *= 2;
        o->good_steps = 0;
    }
cleanup:
    return status;
}
