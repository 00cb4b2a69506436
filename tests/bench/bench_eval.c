/*
 * Held-out evaluation speed on one core: forward pass, log-softmax in fp64 and loss; with --quantizer of the quantized
 * model, and beside it, alternating in the same run, of the fp32 model. ratio is quantized ÷ fp32.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/gemm.h"
#include "study/quantize.h"
#include "tests/bench/bench.h"

static int evaluate_once(struct error *err, struct model *model, const struct weights *weights,
                         const struct cell *cell, const uint32_t *inputs, double *log_p,
                         double *loss, double *forward, double *total)
{
    int status = STATUS_OK;
    const struct kernels *k = model_kernels(model);
    const struct dropout none = {0};
    const int v = cell->model.vocabulary;
    const float *logits;
    const double start = bench_seconds();
    TRY(model_forward(err, model, weights, PRECISION_FP32, &none, inputs, cell->train.micro_batch,
                      NULL, NULL, &logits));
    *forward += bench_seconds() - start;
    for (int r = 0; r < cell->train.micro_batch * cell->size.context; r++) {
        k->log_softmax(v, logits + (size_t)r * v, log_p);
        *loss -= log_p[inputs[r]];
    }
    *total += bench_seconds() - start;
cleanup:
    return status;
}

int main(int argc, char **argv)
{
    struct bench bench;
    int status = bench_options(argc, argv, "bench_eval", &bench);
    if (status >= 0) {
        return status;
    }
    status = STATUS_OK;
    struct error error = {0}, *err = &error;
    const struct cell *cell = &bench.cell;
    const int rows = cell->train.micro_batch * cell->size.context;
    struct corpus *corpus = NULL;
    struct layout *layout = NULL;
    struct model *model = NULL;
    struct quantized *quantized = NULL;
    float *master = NULL;
    struct team alone = team_alone();
    double *log_p = malloc((size_t)cell->model.vocabulary * sizeof *log_p);
    uint32_t *inputs = malloc((size_t)rows * sizeof *inputs);
    double loss = 0, forward[2] = {0}, total[2] = {0}, rounds = 0;
    struct weights weights[2];
    const bool full = strcmp(bench.quantizer, "fp32") == 0;
    const struct quantizer *quantizer = full ? NULL : quantizer_find(bench.quantizer);

    CHECK(err, full || quantizer, STATUS_USAGE, "unknown quantizer '%s'", bench.quantizer);
    CHECK(err, log_p && inputs, STATUS_FAILED, "out of memory");
    TRY(bench_corpus(err, cell, &corpus));
    TRY(layout_create(err, &cell->size, &cell->model, &layout));
    TRY(model_create(err, layout, cell->train.micro_batch, false, &model));
    master = malloc(layout->length * sizeof *master);
    CHECK(err, master, STATUS_FAILED, "out of memory");
    layout_initialize(layout, 1, master);
    weights[0] = (struct weights){.master = master, .operands = master};
    weights[1] = weights[0];
    if (quantizer) {
        struct parameters flat = parameters_flat(layout, master);
        const struct calibration_source source = {.team = &alone,
                                                  .model = model,
                                                  .corpus = corpus,
                                                  .parameters = &flat,
                                                  .windows = 64,
                                                  .micro_batch = cell->train.micro_batch,
                                                  .seed = 1};
        TRY(quantized_create_all(err, &source, 1, &quantizer, &quantized));
        weights[1].quantized = quantized_sites(quantized);
    }
    for (int i = 0; i < cell->train.micro_batch; i++) {
        corpus_held_out_window(corpus, cell->size.context, i, cell->train.micro_batch,
                               inputs + (size_t)i * cell->size.context, NULL);
    }
    const double begun = bench_seconds();
    for (int i = -1; i < 2 || bench_seconds() - begun < bench.seconds; i++) {
        if (i == 1) { /* what came before was warm-up */
            memset(forward, 0, sizeof forward);
            memset(total, 0, sizeof total);
            rounds = 0;
        }
        for (int which = 0; which < 2; which++) {
            TRY(evaluate_once(err, model, &weights[which], cell, inputs, log_p, &loss,
                              &forward[which], &total[which]));
        }
        rounds++;
    }
    printf("isa %s\nmatmul %s\nquantizer %s\n", kernels_get()->name, gemm_name(), bench.quantizer);
    printf("tokens_per_second %.0f\ntokens_per_second_fp32 %.0f\nratio %.3f\n",
           rows * rounds / total[1], rows * rounds / total[0], total[0] / total[1]);
    printf("forward_ratio %.3f\npeak_bytes %.0f\n", forward[0] / forward[1], bench_peak_bytes());
cleanup:
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_eval: %s\n", error.message);
    }
    quantized_free(quantized);
    model_free(model);
    layout_free(layout);
    corpus_free(corpus);
    free(master);
    free(log_p);
    free(inputs);
    return status;
}
