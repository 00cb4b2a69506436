#include "tests/bench/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "study/rng.h"

static void help(const char *program)
{
    printf("usage: %s [options]\n"
           "Measures on one core, with OMP_NUM_THREADS=1, and prints one `key value` a line.\n"
           "  --layers N --width N --heads N --context N   the model (6, 256, 8, 128); d_ff = 4 "
           "width\n"
           "  --batch N            sequences per step (32)\n"
           "  --micro-batch N      sequences per micro-batch (8)\n"
           "  --vocab N            vocabulary, at most 256 (256)\n"
           "  --block parallel|sequential, --precision fp32|bf16|fp16   (sequential, fp32)\n"
           "  --quantizer NAME     evaluation only: fp32 or a quantizer's name (fp32)\n"
           "  --seconds S          measure for at least S seconds (5)\n",
           program);
}

static int choice(const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

int bench_options(int argc, char **argv, const char *program, struct bench *bench)
{
    static const struct option options[] = {
        {"layers", required_argument, NULL, 'l'},
        {"width", required_argument, NULL, 'w'},
        {"heads", required_argument, NULL, 'n'},
        {"context", required_argument, NULL, 'c'},
        {"batch", required_argument, NULL, 'b'},
        {"micro-batch", required_argument, NULL, 'm'},
        {"vocab", required_argument, NULL, 'v'},
        {"block", required_argument, NULL, 'k'},
        {"precision", required_argument, NULL, 'p'},
        {"quantizer", required_argument, NULL, 'q'},
        {"seconds", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const char *const blocks[] = {"parallel", "sequential", NULL};
    static const char *const precisions[] = {"fp32", "bf16", "fp16", NULL};
    struct cell *c = &bench->cell;
    int block = BLOCK_SEQUENTIAL, precision = PRECISION_FP32, option;

    *bench = (struct bench){.quantizer = "fp32", .seconds = 5};
    c->size = (struct cell_size){
        .name = "bench", .layers = 6, .d_model = 256, .heads = 8, .context = 128};
    c->model = (struct cell_model){.position = POSITION_ROTARY, .bias = true, .vocabulary = 256};
    c->train = (struct cell_train){.steps = 1 << 30,
                                   .batch = 32,
                                   .micro_batch = 8,
                                   .learning_rate = 1e-3,
                                   .weight_decay = 0.1,
                                   .grad_clip = 1,
                                   .schedule = SCHEDULE_CONSTANT,
                                   .beta1 = 0.9,
                                   .beta2 = 0.95,
                                   .epsilon = 1e-8};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const int n = optarg ? atoi(optarg) : 0;
        switch (option) {
        case 'l':
            c->size.layers = n;
            break;
        case 'w':
            c->size.d_model = n;
            break;
        case 'n':
            c->size.heads = n;
            break;
        case 'c':
            c->size.context = n;
            break;
        case 'b':
            c->train.batch = n;
            break;
        case 'm':
            c->train.micro_batch = n;
            break;
        case 'v':
            c->model.vocabulary = n;
            break;
        case 'k':
            block = choice(optarg, blocks);
            break;
        case 'p':
            precision = choice(optarg, precisions);
            break;
        case 'q':
            snprintf(bench->quantizer, sizeof bench->quantizer, "%s", optarg);
            break;
        case 's':
            bench->seconds = atof(optarg);
            break;
        case 'h':
            help(program);
            return STATUS_OK;
        default:
            return STATUS_USAGE;
        }
    }
    c->size.d_ff = 4 * c->size.d_model;
    c->model.block = (enum block)block;
    c->train.precision = (enum precision)precision;
    const int parts = c->train.micro_batch > 0 ? c->train.batch / c->train.micro_batch : 0;
    if (block < 0 || precision < 0 || bench->seconds <= 0 || c->size.layers < 1 ||
        c->size.heads < 1 || c->size.d_model < 2 || c->size.d_model % (2 * c->size.heads) != 0 ||
        c->size.context < 1 || parts < 1 || parts * c->train.micro_batch != c->train.batch ||
        (parts & (parts - 1)) != 0 || c->model.vocabulary < 2 || c->model.vocabulary > 256) {
        fprintf(stderr,
                "%s: an option has an impossible value (width: a multiple of 2·heads; batch: a "
                "power of two of micro-batches; vocab: 2 … 256); see --help\n",
                program);
        return STATUS_USAGE;
    }
    return -1;
}

int bench_corpus(struct error *err, const struct cell *cell, struct corpus **corpus)
{
    int status = STATUS_OK;
    const size_t n = 1 << 22;
    const struct cell_data data = {
        .cleaning = "none", .held_out = 0.05, .split_seed = 1, .guard = cell->size.context + 1};
    uint8_t *text = malloc(n);
    CHECK(err, text, STATUS_FAILED, "out of memory");
    for (size_t i = 0; i < n; i++) {
        text[i] = (uint8_t)rng_below(rng_draw(7, RNG_DATA, 0, 0, 0, (uint32_t)i),
                                     (uint64_t)cell->model.vocabulary);
    }
    TRY(corpus_create(err, text, n, &data, corpus));
    text = NULL;
cleanup:
    free(text);
    return status;
}

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

double bench_matmul_flops(const struct cell *cell)
{
    const double d = cell->size.d_model, f = cell->size.d_ff, v = cell->model.vocabulary;
    return 2 * (cell->size.layers * (4 * d * d + 2 * d * f) + d * v);
}

double bench_attention_flops(const struct cell *cell)
{
    /* On average (T + 1) / 2 keys, a product with the keys and one with the values. */
    return 2.0 * cell->size.layers * cell->size.d_model * (cell->size.context + 1);
}
