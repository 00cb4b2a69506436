/*
 * Quantized sites in a model: transforms leave the full-precision function as it is, each quantizer's product against plain loops in
 * fp64, and what planted outliers do.
 */
#include "study/calibrate.h"
#include "study/quantize.h"
#include "study/quantizers/parts.h"
#include "tests/unit/study_text.h"

/* Transforms ================================================================================== */

/* X (rows, in) with some inputs much larger, and W (out, in). */
static float *inputs_create(uint64_t seed, int rows, int in, float outlier)
{
    float *x = fixture_floats(&seed, (size_t)rows * in, 1);
    for (int i = 0; i < rows * in; i++) {
        x[i] *= i % in == in / 3 || i % in == in / 2 ? outlier : 1;
    }
    return x;
}

static float *input_absmax(int rows, int in, const float *x)
{
    float *most = calloc((size_t)in, sizeof *most);
    for (int i = 0; i < rows * in; i++) {
        most[i % in] = fmaxf(most[i % in], fabsf(x[i]));
    }
    return most;
}

static double *product(int rows, int in, int out, const float *x, const float *w)
{
    double *y = fixture_doubles((size_t)rows * out);
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                y[r * out + o] += (double)x[r * in + i] * w[o * in + i];
            }
        }
    }
    return y;
}

/* ‖a − b‖ / ‖b‖ */
static double distance(size_t n, const double *a, const double *b)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(difference / norm);
}

static void check_transform(const struct transform_part *part, int in)
{
    enum { ROWS = 9, OUT = 6 };
    uint64_t seed = (uint64_t)in;
    float *x = inputs_create(1 + seed, ROWS, in, 50), *w = inputs_create(2 + seed, OUT, in, 0.1f);
    float *most = input_absmax(ROWS, in, x), *p = malloc(part->parameters(in) * sizeof *p);
    double *before = product(ROWS, in, OUT, x, w);
    part->prepare(in, OUT, w, most, p);
    part->inputs(in, p, ROWS, x, x);
    part->weights(in, p, OUT, w, w);
    double *after = product(ROWS, in, OUT, x, w);
    const double moved = distance(ROWS * OUT, after, before);
    if (!(moved < 1e-5)) {
        fail_msg("%d inputs: the product moves by %.3g", in, moved);
    }
    free(x), free(w), free(most), free(p), free(before), free(after);
}

static const int widths[] = {1,  2,  3,  7,  12,  20,  24,  28,  32,  40,  44,
                             52, 60, 64, 96, 100, 128, 160, 192, 224, 384, 640};
enum { WIDTHS = sizeof widths / sizeof widths[0] };

static void test_transforms(void **state)
{
    (void)state;
    for (int i = 0; i < WIDTHS; i++) {
        check_transform(&transform_smooth, widths[i]);
        check_transform(&transform_hadamard, widths[i]);
    }
}

/* The rotation's matrix is orthonormal, its entries ±1/√(order·power) in blocks; full where a factor is known. */
static void test_hadamard_matrix(void **state)
{
    (void)state;
    for (int k = 0; k < WIDTHS; k++) {
        const int n = widths[k];
        const struct hadamard_factors f = hadamard_factors(n);
        const int block = f.order * f.power;
        float *p = malloc(transform_hadamard.parameters(n) * sizeof *p);
        float *h = calloc((size_t)n * n, sizeof *h);
        assert_int_equal(block * f.blocks, n);
        transform_hadamard.prepare(n, 1, NULL, NULL, p);
        for (int i = 0; i < n; i++) {
            h[i * n + i] = 1;
        }
        transform_hadamard.inputs(n, p, n, h, h);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                const double magnitude = i / block == j / block ? 1 / sqrt(block) : 0;
                assert_true(fabs(fabs(h[i * n + j]) - magnitude) < 1e-6);
                double dot = 0;
                for (int c = 0; c < n; c++) {
                    dot += (double)h[i * n + c] * h[j * n + c];
                }
                assert_true(fabs(dot - (i == j)) < 1e-5);
            }
        }
        free(p), free(h);
    }
    assert_int_equal(hadamard_factors(128).power, 128);
    assert_int_equal(hadamard_factors(96).order, 12);
    assert_int_equal(hadamard_factors(160).order, 20);
    assert_int_equal(hadamard_factors(12288).order, 12);
    assert_int_equal(hadamard_factors(28).blocks, 7); /* 27 is no prime, and 55 is not in 28 */
}

/* α = ½ makes the largest input and the largest weight of each input dimension the same. */
static void test_smooth_balances(void **state)
{
    (void)state;
    enum { ROWS = 20, IN = 33, OUT = 12 };
    float *x = inputs_create(3, ROWS, IN, 80), *w = inputs_create(4, OUT, IN, 1), s[IN];
    for (int o = 0; o < OUT; o++) {
        w[o * IN + 5] = 0;
    }
    for (int r = 0; r < ROWS; r++) {
        x[r * IN + 7] = 0;
    }
    float *most = input_absmax(ROWS, IN, x);
    transform_smooth.prepare(IN, OUT, w, most, s);
    transform_smooth.inputs(IN, s, ROWS, x, x);
    transform_smooth.weights(IN, s, OUT, w, w);
    float *x_most = input_absmax(ROWS, IN, x), *w_most = input_absmax(OUT, IN, w);
    for (int j = 0; j < IN; j++) {
        if (j == 5 || j == 7) {
            assert_true(s[j] == 1);
        } else {
            assert_true(fabsf(x_most[j] / w_most[j] - 1) < 1e-5f);
        }
    }
    free(x), free(w), free(most), free(x_most), free(w_most);
}

/* A site by plain loops ======================================================================= */

/* A model of one block whose site ffn_in is (OUT, IN); its inputs are made up. */
enum { CONTEXT = 16, SEQUENCES = 3, ROWS = CONTEXT * SEQUENCES, IN = 96, OUT = 80 };

struct bench {
    struct layout *layout;
    struct model *model;
    float *master, *w; /* all parameters; those of the site */
    float *x;          /* (ROWS, IN) */
    double *y;         /* exact */
    struct calibration calibration;
    float absmax[TRANSFORMS][SITES];
    float *y_quantized;
    int status;
    const struct quantized_site *site;
};

static void call_site(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct bench *b = context;
    (void)x;
    if (site == SITE_FFN_IN) {
        assert_true(rows == ROWS && in == IN);
        b->status = model_site(NULL, b->model, layer, site, b->site, b->x, b->y_quantized);
    }
}

static void open_bench(struct bench *b, float outlier)
{
    const struct cell_size size = {
        .name = "one", .layers = 1, .d_model = IN, .heads = 2, .d_ff = OUT, .context = CONTEXT};
    const struct cell_model model = {.vocabulary = 16, .position = POSITION_ROTARY, .bias = true};
    struct error err = {0};
    *b = (struct bench){0};
    assert_int_equal(layout_create(&err, &size, &model, &b->layout), STATUS_OK);
    assert_int_equal(model_create(&err, b->layout, SEQUENCES, false, &b->model), STATUS_OK);
    b->master = calloc(b->layout->length, sizeof *b->master);
    layout_initialize(b->layout, 5, b->master);
    b->w = layout_at(b->layout, b->layout->block[0].weight[SITE_FFN_IN], b->master);
    b->x = inputs_create(6, ROWS, IN, outlier);
    b->y = product(ROWS, IN, OUT, b->x, b->w);
    b->y_quantized = malloc(sizeof(float) * ROWS * OUT);
    b->calibration.layout = b->layout;
    for (int i = 0; i < SITES; i++) {
        const int in = b->layout->in[i];
        b->calibration.input_absmax[i] = calloc((size_t)in, sizeof(float));
        if (i == SITE_FFN_IN) {
            free(b->calibration.input_absmax[i]);
            b->calibration.input_absmax[i] = input_absmax(ROWS, IN, b->x);
        }
    }
    for (int t = 0; t < TRANSFORMS; t++) {
        b->calibration.absmax[t] = b->absmax[t];
        b->absmax[t][SITE_FFN_IN] = kernels_get()->absmax(ROWS * IN, b->x);
    }
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < SITES; i++) {
        free(b->calibration.input_absmax[i]);
    }
    free(b->x), free(b->y), free(b->y_quantized), free(b->master);
    model_free(b->model);
    layout_free(b->layout);
}

/* y_quantized of one quantizer. */
static void run_bench(struct bench *b, const struct quantizer *q)
{
    struct error err = {0};
    struct quantized *quantized;
    const struct weights weights = {.master = b->master, .operands = b->master};
    const struct dropout none = {0};
    const uint32_t tokens[ROWS] = {0};
    const float *logits;
    struct parameters flat = parameters_flat(b->layout, b->master);
    if (quantized_create(&err, &flat, q, &b->calibration, &quantized) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    b->site = &quantized_sites(quantized)[SITE_FFN_IN];
    assert_int_equal(model_forward(&err, b->model, &weights, PRECISION_FP32, &none, tokens,
                                   SEQUENCES, call_site, b, &logits),
                     STATUS_OK);
    assert_int_equal(b->status, STATUS_OK);
    quantized_free(quantized);
}

static double bench_error(struct bench *b, const char *name)
{
    double *y = fixture_doubles(ROWS * OUT);
    run_bench(b, quantizer_find(name));
    for (int i = 0; i < ROWS * OUT; i++) {
        y[i] = b->y_quantized[i];
    }
    const double error = distance(ROWS * OUT, y, b->y);
    free(y);
    return error;
}

/* A row to b-bit integers or FP8, plainly. */
static void plain_round(const struct quantizer *q, int n, float fixed, const float *x, float *y)
{
    const bool fp8 = q->activations == ACTIVATIONS_FP8;
    const int limit = fp8 ? 448 : (1 << (q->activation_bits - 1)) - 1;
    float most = 0;
    for (int i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(x[i]));
    }
    const float s = fixed > 0 ? fixed / (float)limit : most / (float)limit;
    for (int i = 0; i < n; i++) {
        int8_t code;
        if (fp8) {
            format_fp8.encode(kernels_get(), 8, s, 1, &x[i], &code);
        }
        y[i] =
            s * (fp8 ? format_fp8.values[(uint8_t)code] : (float)fixture_quantize(x[i], s, limit));
    }
}

/* The site's product: transform, round inputs and weights, multiply in fp64. No outliers. */
static double *plain_site(const struct bench *b, const struct quantizer *q)
{
    const struct transform_part *part = transform_of(q->transform);
    float *x = fixture_copy(ROWS * IN, b->x), *w = fixture_copy(OUT * IN, b->w);
    const int group = q->group > 0 ? q->group : IN;
    if (part) {
        float *p = malloc(part->parameters(IN) * sizeof *p);
        part->prepare(IN, OUT, w, b->calibration.input_absmax[SITE_FFN_IN], p);
        part->inputs(IN, p, ROWS, x, x);
        part->weights(IN, p, OUT, w, w);
        free(p);
    }
    for (int r = 0; r < ROWS && q->activations != ACTIVATIONS_FULL; r++) {
        const float fixed =
            q->activations == ACTIVATIONS_PER_TENSOR ? b->absmax[q->transform][SITE_FFN_IN] : 0;
        plain_round(q, IN, fixed, x + r * IN, x + r * IN);
    }
    const struct format *format = format_of(q->weights);
    for (int at = 0; at < OUT * IN && format;) {
        const int n = IN - at % IN < group ? IN - at % IN : group;
        int8_t codes[IN];
        const float s = format->scale(kernels_get(), q->weight_bits, n, w + at);
        format->encode(kernels_get(), q->weight_bits, s, n, w + at, codes);
        for (int i = 0; i < n; i++) {
            w[at + i] = s * (format->values ? format->values[(uint8_t)codes[i]] : (float)codes[i]);
        }
        at += n;
    }
    double *y = product(ROWS, IN, OUT, x, w);
    free(x), free(w);
    return y;
}

static void check_site(struct bench *b, const struct quantizer *q)
{
    double *want = plain_site(b, q);
    run_bench(b, q);
    fixture_near(q->name, ROWS * OUT, b->y_quantized, want, 1e-5);
    free(want);
}

static void test_sites(void **state)
{
    (void)state;
    struct bench b;
    int checked = 0;
    open_bench(&b, 3);
    for (int i = 0; quantizer_at(i); i++) {
        const struct quantizer *q = quantizer_at(i);
        if (q->method == METHOD_ROUND && q->outliers == OUTLIERS_NONE) {
            check_site(&b, q);
            checked++;
        }
    }
    assert_int_equal(checked, 16);
    /* Combinations that have no name in METHOD. */
    for (int w = WEIGHTS_INT; w <= WEIGHTS_FULL; w++) {
        for (int a = ACTIVATIONS_FULL; a <= ACTIVATIONS_FP8; a++) {
            for (int t = 0; t < TRANSFORMS; t++) {
                struct quantizer q = {.name = "combination",
                                      .weights = (enum weight_format)w,
                                      .weight_bits = w == WEIGHTS_INT ? 5 : 4,
                                      .group = w == WEIGHTS_FULL ? 0 : 40,
                                      .activations = (enum activation_format)a,
                                      .activation_bits = a == ACTIVATIONS_FULL ? 0 : 7,
                                      .transform = (enum transform)t};
                if (w != WEIGHTS_FULL || a != ACTIVATIONS_FULL || t != TRANSFORM_NONE) {
                    check_site(&b, &q);
                }
            }
        }
    }
    close_bench(&b);
}

/* LLM.int8 ==================================================================================== */

static float fp16(float x)
{
    float y;
    kernels_get()->round(PRECISION_FP16, 1, &x, &y);
    return y;
}

/* By its definition: per window, outlier inputs in fp16, the others in int8. `found`: outlier inputs of all windows. */
static double *plain_llmint8(const struct bench *b, enum outliers outliers, int *found)
{
    double *y = fixture_doubles(ROWS * OUT);
    *found = 0;
    for (int s = 0; s < SEQUENCES; s++) {
        const float *x = b->x + s * CONTEXT * IN;
        double sum = 0, squares = 0;
        for (int i = 0; i < CONTEXT * IN; i++) {
            sum += x[i];
            squares += (double)x[i] * x[i];
        }
        const double mean = sum / (CONTEXT * IN), n = CONTEXT * IN;
        const double theta =
            outliers == OUTLIERS_ABSOLUTE ? 6 : 6 * sqrt(squares / n - mean * mean);
        bool outlier[IN] = {false};
        for (int i = 0; i < CONTEXT * IN; i++) {
            outlier[i % IN] |= fabsf(x[i]) >= (float)theta;
        }
        for (int i = 0; i < IN; i++) {
            *found += outlier[i];
        }
        for (int r = 0; r < CONTEXT; r++) {
            float sx = 0;
            for (int i = 0; i < IN; i++) {
                sx = outlier[i] ? sx : fmaxf(sx, fabsf(x[r * IN + i]));
            }
            sx /= 127;
            for (int o = 0; o < OUT; o++) {
                float sw = 0;
                double integer = 0, half = 0;
                for (int i = 0; i < IN; i++) {
                    sw = fmaxf(sw, fabsf(b->w[o * IN + i]));
                }
                sw /= 127;
                for (int i = 0; i < IN; i++) {
                    const float here = x[r * IN + i], weight = b->w[o * IN + i];
                    half += outlier[i] ? (double)fp16(here) * fp16(weight) : 0;
                    integer += outlier[i] ? 0
                                          : (double)fixture_quantize(here, sx, 127) *
                                                fixture_quantize(weight, sw, 127);
                }
                y[(s * CONTEXT + r) * OUT + o] = integer * sx * sw + half;
            }
        }
    }
    return y;
}

static void test_llmint8(void **state)
{
    (void)state;
    static const float sizes[] = {1, 6.1f, 40, 1000};
    static const int outlier_inputs[] = {0, 2 * SEQUENCES, 2 * SEQUENCES, 2 * SEQUENCES};
    for (int k = 0; k < 4; k++) {
        for (int o = OUTLIERS_ABSOLUTE; o <= OUTLIERS_STD; o++) {
            struct bench b;
            int found;
            open_bench(&b, sizes[k]);
            struct quantizer q = *quantizer_find("w8a8-llmint8");
            q.outliers = (enum outliers)o;
            if (k == 1) { /* one input leaves the others' range, in one window only */
                b.x[CONTEXT * IN + 9] = 30;
            }
            double *want = plain_llmint8(&b, q.outliers, &found);
            run_bench(&b, &q);
            fixture_near("llmint8", ROWS * OUT, b.y_quantized, want, 1e-5);
            if (o == OUTLIERS_ABSOLUTE && k != 1) {
                assert_int_equal(found, outlier_inputs[k]);
            }
            assert_true(k != 0 || found == 0);
            assert_true(k < 2 || found >= 1);
            free(want);
            close_bench(&b);
        }
    }
}

/* Planted outliers ============================================================================ */

/*
 * Two inputs out of 96 are 1, 20 and 100 times as large as the others, and their weights smaller by the root of that: w8a8 loses its
 * resolution, the remedies get it back. A rotation spreads an outlier over all inputs, which then share its resolution; four bits have
 * that to share with outliers of 20, not with 100, for which 96 inputs are too few.
 */
static void test_planted_outliers(void **state)
{
    (void)state;
    static const char *const names[] = {
        "w8a8",        "w8a8-tensor", "w8a8-llmint8", "w8a8-llmint8-std",
        "w8a8-smooth", "w4a4",        "w4a4-had"};
    enum { W8A8, TENSOR, LLMINT8, LLMINT8_STD, SMOOTH, W4A4, HADAMARD, NAMES };
    static const float factors[] = {1, 20, 100};
    double error[3][NAMES];
    for (int k = 0; k < 3; k++) {
        struct bench b;
        open_bench(&b, factors[k]);
        for (int o = 0; o < OUT; o++) {
            b.w[o * IN + IN / 3] /= sqrtf(factors[k]);
            b.w[o * IN + IN / 2] /= sqrtf(factors[k]);
        }
        free(b.y);
        b.y = product(ROWS, IN, OUT, b.x, b.w);
        for (int i = 0; i < NAMES; i++) {
            error[k][i] = bench_error(&b, names[i]);
        }
        close_bench(&b);
    }
    print_message("relative error of a layer's output, outliers of    1        20       100\n");
    for (int i = 0; i < NAMES; i++) {
        print_message("  %-43s  %7.4f  %7.4f  %7.4f\n", names[i], error[0][i], error[1][i],
                      error[2][i]);
    }
    for (int k = 1; k < 3; k++) {
        assert_true(error[k][W8A8] > (k == 1 ? 4 : 15) * error[0][W8A8]);
        assert_true(error[k][LLMINT8] < 1.2 * error[0][W8A8]);
        assert_true(error[k][LLMINT8_STD] < 1.2 * error[0][W8A8]);
        assert_true(error[k][SMOOTH] < 1.5 * error[0][W8A8]);
    }
    assert_true(error[1][W4A4] > 4 * error[0][W4A4]);
    assert_true(error[1][HADAMARD] < error[1][W4A4] / 1.8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transforms),      cmocka_unit_test(test_hadamard_matrix),
        cmocka_unit_test(test_smooth_balances), cmocka_unit_test(test_sites),
        cmocka_unit_test(test_llmint8),         cmocka_unit_test(test_planted_outliers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
