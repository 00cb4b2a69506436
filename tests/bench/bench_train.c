/*
 * Training speed of one cell on one core, and of its matmuls alone in the same run.
 *
 * gflops counts matmuls and causal attention, forward and backward. matmul_gflops_measured is the rate of the same library on all
 * matmul shapes of a step, nothing else around them; fraction_of_matmul is the ratio of the two. The measured time alternates between training and
 * matmuls, so that both see the same machine.
 */
#include <stdio.h>
#include <stdlib.h>

#include "study/gemm.h"
#include "study/train.h"
#include "tests/bench/bench.h"

/* The matmuls of one micro-batch, forward and backward, on buffers of their own. */
struct matmuls {
    struct gemm *gemm;
    enum precision precision;
    int rows, layers, sites;
    int in[SITES + 1], out[SITES + 1]; /* the last is the head */
    float *x, *w, *y, *dw, *dx;
};

static int matmuls_create(struct error *err, const struct layout *l, const struct cell *cell,
                          struct matmuls *m)
{
    int status = STATUS_OK;
    size_t widest = 0, largest = 0;
    m->precision = cell->train.precision;
    m->rows = cell->train.micro_batch * cell->size.context;
    m->layers = cell->size.layers;
    for (int i = 0; i <= SITES; i++) {
        m->in[i] = i < SITES ? l->in[i] : cell->size.d_model;
        m->out[i] = i < SITES ? l->out[i] : cell->model.vocabulary;
        const size_t in = (size_t)m->in[i], out = (size_t)m->out[i];
        widest = in > widest ? in : widest;
        widest = out > widest ? out : widest;
        largest = in * out > largest ? in * out : largest;
    }
    m->x = calloc(m->rows * widest, sizeof(float));
    m->y = calloc(m->rows * widest, sizeof(float));
    m->dx = calloc(m->rows * widest, sizeof(float));
    m->w = calloc(largest, sizeof(float));
    m->dw = calloc(largest, sizeof(float));
    CHECK(err, m->x && m->y && m->w && m->dw && m->dx, STATUS_FAILED, "out of memory");
    TRY(gemm_create(err, m->rows * widest, largest, &m->gemm));
cleanup:
    return status;
}

static int matmuls_site(struct error *err, struct matmuls *m, int i)
{
    int status = STATUS_OK;
    const struct operand x = operand_full(m->x), w = operand_full(m->w);
    TRY(gemm_forward(err, m->gemm, m->precision, m->rows, m->in[i], m->out[i], x, w, m->y));
    TRY(gemm_backward(err, m->gemm, m->precision, m->rows, m->in[i], m->out[i], operand_full(m->y),
                      x, w, m->dw, m->dx));
cleanup:
    return status;
}

static int matmuls_run(struct error *err, struct matmuls *m)
{
    int status = STATUS_OK;
    for (int layer = 0; layer < m->layers; layer++) {
        for (int i = 0; i < SITES; i++) {
            TRY(matmuls_site(err, m, i));
        }
    }
    TRY(matmuls_site(err, m, SITES));
cleanup:
    return status;
}

static void matmuls_free(struct matmuls *m)
{
    gemm_free(m->gemm);
    free(m->x);
    free(m->y);
    free(m->w);
    free(m->dw);
    free(m->dx);
}

int main(int argc, char **argv)
{
    struct bench bench;
    int status = bench_options(argc, argv, "bench_train", &bench);
    if (status >= 0) {
        return status;
    }
    status = STATUS_OK;
    struct error error = {0}, *err = &error;
    const struct cell *cell = &bench.cell;
    struct team team = team_alone();
    struct corpus *corpus = NULL;
    struct layout *layout = NULL;
    struct trainer *trainer = NULL;
    struct matmuls matmuls = {0};
    struct train_step step;
    double train = 0, matmul = 0, steps = 0, micro_batches = 0;
    const double tokens = (double)cell->train.batch * cell->size.context;
    const double flops = 3 * bench_matmul_flops(cell), attention = 3 * bench_attention_flops(cell);

    TRY(bench_corpus(err, cell, &corpus));
    TRY(layout_create(err, &cell->size, &cell->model, &layout));
    TRY(trainer_create(err, &team, corpus, layout, cell, &trainer));
    TRY(trainer_step(err, trainer, &step)); /* warm-up: prepares the matmuls */
    const double peak = bench_peak_bytes();
    TRY(matmuls_create(err, layout, cell, &matmuls));
    TRY(matmuls_run(err, &matmuls));
    const double begun = bench_seconds();
    while (bench_seconds() - begun < bench.seconds) {
        double start = bench_seconds();
        TRY(trainer_step(err, trainer, &step));
        train += bench_seconds() - start;
        steps++;
        start = bench_seconds();
        TRY(matmuls_run(err, &matmuls));
        matmul += bench_seconds() - start;
        micro_batches++;
    }
    const double gflops = (flops + attention) * tokens * steps / train * 1e-9;
    const double rate = flops * matmuls.rows * micro_batches / matmul * 1e-9;
    printf("isa %s\nmatmul %s\nprecision %s\n", kernels_get()->name, gemm_name(),
           precision_name(cell->train.precision));
    printf("tokens_per_second %.0f\ngflops %.2f\nmatmul_gflops_measured %.2f\n",
           tokens * steps / train, gflops, rate);
    printf("fraction_of_matmul %.4f\npeak_bytes %.0f\n", gflops / rate, peak);
cleanup:
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_train: %s\n", error.message);
    }
    matmuls_free(&matmuls);
    trainer_free(trainer);
    layout_free(layout);
    corpus_free(corpus);
    return status;
}
