#include "mpi/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/cost.h"
#include "mpi/clock.h"
#include "study/gemm.h"
#include "study/model.h"

enum {
    MOST_ROWS = 2048,
    MOST_WEIGHTS = 1 << 24, /* of a matrix: 64 MiB, far more than any cache */
    MOST_BLOCK = 48 << 20,  /* of a block that is tried whole */
};

/* Products = one site's ======================================================================== */

struct product {
    enum precision precision;
    int rows, in, out;
    float *x, *w, *y, *dw, *dx;
    uint16_t *packed_x, *packed_w;
    struct gemm *gemm;
};

/* Numbers that every half type has. */
static void fill(size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)((int)(i * 2654435761u >> 26) - 32) / 64;
    }
}

static int product_create(struct error *err, const struct kernels *kernels, struct product *p)
{
    int status = STATUS_OK;
    const size_t x = (size_t)p->rows * p->in, y = (size_t)p->rows * p->out;
    const size_t w = (size_t)p->in * p->out;
    p->x = malloc(x * sizeof(float));
    p->y = malloc(y * sizeof(float));
    p->w = malloc(w * sizeof(float));
    p->dw = malloc(w * sizeof(float));
    p->dx = malloc(x * sizeof(float));
    CHECK(err, p->x && p->y && p->w && p->dw && p->dx, STATUS_FAILED,
          "out of memory to measure products of %d x %d", p->in, p->out);
    fill(x, p->x);
    fill(w, p->w);
    TRY(gemm_create(err, x > y ? x : y, w, &p->gemm));
    if (gemm_takes_packed(p->gemm, p->precision)) {
        p->packed_x = malloc(x * sizeof(uint16_t));
        p->packed_w = malloc(w * sizeof(uint16_t));
        CHECK(err, p->packed_x && p->packed_w, STATUS_FAILED,
              "out of memory to measure products of %d x %d", p->in, p->out);
        kernels->pack_bf16(x, p->x, p->packed_x);
        kernels->pack_bf16(w, p->w, p->packed_w);
    }
cleanup:
    return status;
}

static void product_free(struct product *p)
{
    gemm_free(p->gemm);
    free(p->x);
    free(p->y);
    free(p->w);
    free(p->dw);
    free(p->dx);
    free(p->packed_x);
    free(p->packed_w);
}

static int product_run(struct error *err, struct product *p)
{
    int status = STATUS_OK;
    const struct operand x =
        p->packed_x ? (struct operand){.packed = p->packed_x} : operand_full(p->x);
    const struct operand w =
        p->packed_w ? (struct operand){.packed = p->packed_w} : operand_full(p->w);
    TRY(gemm_forward(err, p->gemm, p->precision, p->rows, p->in, p->out, x, w, p->y));
    TRY(gemm_backward(err, p->gemm, p->precision, p->rows, p->in, p->out, operand_full(p->y), x, w,
                      p->dw, p->dx));
cleanup:
    return status;
}

/* FLOP/s, from as many runs as fit; the first one prepares. */
static int product_rate(struct error *err, const struct cell *cell, int in, int out, double seconds,
                        double *rate)
{
    int status = STATUS_OK;
    const int rows = cell->train.micro_batch * cell->size.context;
    struct product p = {.precision = cell->train.precision,
                        .rows = rows < MOST_ROWS ? rows : MOST_ROWS,
                        .in = in,
                        .out = out};
    while ((int64_t)p.in * p.out > MOST_WEIGHTS) {
        *(p.in > p.out ? &p.in : &p.out) /= 2;
    }
    TRY(product_create(err, kernels_get(), &p));
    TRY(product_run(err, &p));
    double begin = clock_seconds(), now = begin;
    int runs = 0;
    while (runs < 2 || now - begin < seconds) {
        TRY(product_run(err, &p));
        runs++;
        now = clock_seconds();
    }
    *rate = runs * 6.0 * p.rows * p.in * p.out / (now - begin);
cleanup:
    product_free(&p);
    return status;
}

/* A step's products by their shares of the operations. */
static int matmul_rate(struct error *err, const struct cell *cell, double seconds, double *rate)
{
    int status = STATUS_OK;
    const int d = cell->size.d_model, ff = cell->size.d_ff;
    const int ff_in = cell->model.activation == ACTIVATION_SWIGLU ? 2 * ff : ff;
    const int in[] = {d, d, d, ff, d};
    const int out[] = {3 * d, d, ff_in, d, cell->model.vocabulary};
    double work = 0, time = 0;
    for (int i = 0; i < 5; i++) {
        double one = 0;
        const double flops = (i < 4 ? cell->size.layers : 1) * (double)in[i] * out[i];
        TRY(product_rate(err, cell, in[i], out[i], seconds / 5, &one));
        work += flops;
        time += flops / one;
    }
    *rate = work / time;
cleanup:
    return status;
}

/* A block with everything around its products ================================================== */

struct lone {
    struct layout *layout;
    struct model *model;
    float *master, *operands, *gradient, *loss;
    uint32_t *tokens;
};

static int block_run(struct error *err, struct lone *b, const struct cell *cell, int sequences)
{
    int status = STATUS_OK;
    const float *logits;
    const struct dropout dropout = {.p = cell->train.dropout, .seed = 1};
    const enum precision precision = cell->train.precision;
    struct parameters flat = parameters_flat(b->layout, b->master);
    const struct weights weights = model_weights(b->model, precision, &flat, b->operands);
    TRY(model_forward(err, b->model, &weights, precision, &dropout, b->tokens, sequences, NULL,
                      NULL, &logits));
    TRY(model_backward(err, b->model, &weights, precision, &dropout, b->tokens, b->tokens,
                       1.0f / 64, b->loss, b->gradient));
cleanup:
    return status;
}

/* FLOP/s of a model with one block; *rate stays 0 for blocks that are too large to try. */
static int block_rate(struct error *err, const struct cell *original, double seconds, double *rate)
{
    int status = STATUS_OK;
    struct lone b = {NULL};
    struct cell cell = *original;
    struct cost cost;
    cell.size.layers = 1;
    cell.train.steps = 1;
    if (cell_parameters_total(&cell) > MOST_BLOCK || cell.size.context > MOST_ROWS) {
        return status;
    }
    const int most = MOST_ROWS / cell.size.context;
    cell.train.micro_batch = cell.train.micro_batch < most ? cell.train.micro_batch : most;
    cell.train.batch = cell.train.micro_batch;
    const size_t rows = (size_t)cell.train.batch * cell.size.context;
    cost_of(&cell, &cost);
    TRY(layout_create(err, &cell.size, &cell.model, &b.layout));
    TRY(model_create(err, b.layout, cell.train.batch, true, &b.model));
    const size_t bytes = b.layout->length * sizeof(float);
    b.master = aligned_alloc(64, bytes);
    b.operands = aligned_alloc(64, bytes);
    b.gradient = aligned_alloc(64, bytes);
    b.loss = malloc(rows * sizeof *b.loss);
    b.tokens = malloc(rows * sizeof *b.tokens);
    CHECK(err, b.master && b.operands && b.gradient && b.loss && b.tokens, STATUS_FAILED,
          "out of memory to measure size %s", cell.size.name);
    layout_initialize(b.layout, 1, b.master);
    for (size_t i = 0; i < rows; i++) {
        b.tokens[i] = (uint32_t)i * 2654435761u >> 24;
    }
    TRY(block_run(err, &b, &cell, cell.train.batch));
    double begin = clock_seconds(), now = begin;
    int runs = 0;
    while (runs < 2 || now - begin < seconds) {
        TRY(block_run(err, &b, &cell, cell.train.batch));
        runs++;
        now = clock_seconds();
    }
    *rate = runs * cost.train_flops / (now - begin);
cleanup:
    model_free(b.model);
    layout_free(b.layout);
    free(b.master);
    free(b.operands);
    free(b.gradient);
    free(b.loss);
    free(b.tokens);
    return status;
}

int measure_rank(struct error *err, const struct spec *spec, const struct cell *cells, int count,
                 double seconds, struct measured *m)
{
    int status = STATUS_OK;
    double work = 0, time = 0;
    *m = (struct measured){.ranks = 1};
    for (int s = 0; s < spec->sizes; s++) {
        struct measure_size *size = &m->size[s];
        double flops = 0, matmul = 0, block = 0;
        for (int i = 0; i < count; i++) {
            if (strcmp(cells[i].size.name, spec->size[s].name) == 0) {
                struct cost cost;
                cost_of(&cells[i], &cost);
                size->cell = size->cell ? size->cell : &cells[i];
                flops += cost.train_flops + cost.evaluate_flops;
            }
        }
        if (size->cell == NULL) {
            continue;
        }
        TRY(matmul_rate(err, size->cell, seconds / spec->sizes / 2, &matmul));
        TRY(block_rate(err, size->cell, seconds / spec->sizes / 2, &block));
        size->matmul = matmul / 1e9;
        size->block = block / 1e9;
        work += flops;
        time += flops / (block > 0 ? block : matmul);
    }
    m->gflops = m->slowest = work / time / 1e9;
cleanup:
    return status;
}

void measure_print(FILE *out, const struct measured *m)
{
    fprintf(out, "Measured on %d rank%s at once:\n", m->ranks, m->ranks == 1 ? "" : "s");
    for (int s = 0; s < SPEC_SIZES; s++) {
        const struct measure_size *size = &m->size[s];
        if (size->cell == NULL) {
            continue;
        }
        fprintf(out, "%-12s matrix products in %s %.4g GFLOP/s", size->cell->size.name,
                precision_name(size->cell->train.precision), size->matmul);
        if (size->block > 0) {
            fprintf(out, ", with all else of a block %.4g", size->block);
        }
        fprintf(out, "\n");
    }
    if (m->ranks > 1) {
        fprintf(out,
                "%-12s small messages %.3g microseconds, large ones %.3g GB/s between two ranks;\n",
                "network", m->latency, m->one_way_bandwidth);
        fprintf(out, "%-12s all ranks both ways at once %.3g GB/s, gathering pieces %.3g GB/s\n",
                "", m->bandwidth, m->gather);
        fprintf(out, "For the next plan: --gflops %.4g --bandwidth %.3g --latency %.3g\n\n",
                m->gflops, m->bandwidth, m->latency);
    } else {
        fprintf(
            out,
            "One rank has no network to measure, and memory is none: start it on the nodes that "
            "will be used,\nmpirun -n N ptqscale plan STUDY.yaml --measure\nFor the next plan: "
            "--gflops %.4g\n\n",
            m->gflops);
    }
}
