/* The integer quantizers without transforms on the sites of a model, by hand; calibration. */
#include "tests/unit/study_text.h"

#include "study/quantize.h"

/* A model's sites ============================================================================= */

enum { SEQUENCES = 3, CONTEXT = 11, D = 24, HEADS = 3, F = 40, V = 50, N = SEQUENCES * CONTEXT };

static const struct cell_size size = {
    .name = "one", .layers = 1, .d_model = D, .heads = HEADS, .d_ff = F, .context = CONTEXT};

struct setup {
    struct layout *layout;
    struct model *model;
    float *p;
    uint32_t tokens[N];
};

static struct setup set_up(enum block block, enum activation activation)
{
    struct setup s = {0};
    struct error err = {0};
    const struct cell_model model = {.block = block,
                                     .position = POSITION_LEARNED,
                                     .activation = activation,
                                     .bias = true,
                                     .vocabulary = V};
    uint64_t seed = 3;
    assert_int_equal(layout_create(&err, &size, &model, &s.layout), STATUS_OK);
    assert_int_equal(model_create(&err, s.layout, SEQUENCES, false, &s.model), STATUS_OK);
    s.p = calloc(s.layout->length, sizeof *s.p);
    for (int t = 0; t < s.layout->tensors; t++) {
        float *x = layout_at(s.layout, t, s.p);
        for (size_t i = 0; i < tensor_elements(&s.layout->tensor[t]); i++) {
            x[i] = fixture_uniform(&seed) * 0.5f;
            x[i] += s.layout->tensor[t].kind == TENSOR_GAIN ? 1 : 0;
        }
    }
    for (int i = 0; i < N; i++) {
        s.tokens[i] = (uint32_t)(fixture_bits(&seed) % V);
    }
    return s;
}

static void tear_down(struct setup *s)
{
    model_free(s->model);
    layout_free(s->layout);
    free(s->p);
}

/* Inputs of the four sites, as the model saw them. */
struct seen {
    float input[SITES][N * F];
};

static void see(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct seen *seen = context;
    assert_int_equal(layer, 0);
    assert_int_equal(rows, N);
    memcpy(seen->input[site], x, (size_t)rows * in * sizeof *x);
}

/* y (N, out) of one quantized site, by METHOD §3 with plain loops. `fixed` 0: weights only (bits 0) or a scale per
 * token; else the static scale of the inputs. */
static void site_by_hand(const struct setup *s, enum site site, const struct quantizer *q,
                         float fixed, const float *x, double *y)
{
    const int in = s->layout->in[site], out = s->layout->out[site];
    const float *w = layout_of(s->layout, s->layout->block[0].weight[site], s->p);
    const float *bias = layout_of(s->layout, s->layout->block[0].bias[site], s->p);
    const int w_limit = (1 << (q->weight_bits - 1)) - 1;
    const int x_limit = q->activation_bits ? (1 << (q->activation_bits - 1)) - 1 : 0;
    for (int r = 0; r < N; r++) {
        float sx = 0;
        for (int i = 0; i < in; i++) {
            sx = fabsf(x[r * in + i]) > sx ? fabsf(x[r * in + i]) : sx;
        }
        sx = fixed != 0 ? fixed : x_limit ? sx / (float)x_limit : 1;
        for (int o = 0; o < out; o++) {
            float sw = 0;
            double sum = 0;
            for (int i = 0; i < in; i++) {
                sw = fabsf(w[o * in + i]) > sw ? fabsf(w[o * in + i]) : sw;
            }
            sw /= (float)w_limit;
            for (int i = 0; i < in; i++) {
                const float here = x[r * in + i];
                const double input = x_limit ? (double)fixture_quantize(here, sx, x_limit) : here;
                sum += input * fixture_quantize(w[o * in + i], sw, w_limit);
            }
            y[r * out + o] = sum * sx * sw + bias[o];
        }
    }
}

/*
 * The next site's input and the logits, from each site's observed input: qkv through attention to attn_out's input,
 * ffn_in through the activation function to ffn_out's, and both branches to the logits.
 */
static void check_sites(struct setup *s, const struct quantizer *q, const float *fixed,
                        const struct seen *seen, const float *logits)
{
    const struct kernels *k = model_kernels(s->model);
    const struct layout *l = s->layout;
    double *y[SITES], *want = fixture_doubles((size_t)N * V);
    float *full[SITES], *next = malloc((size_t)N * F * sizeof *next);
    for (int i = 0; i < SITES; i++) {
        const size_t n = (size_t)N * l->out[i];
        y[i] = fixture_doubles(n);
        full[i] = malloc(n * sizeof *full[i]);
        site_by_hand(s, (enum site)i, q, fixed ? fixed[i] : 0, seen->input[i], y[i]);
        for (size_t e = 0; e < n; e++) {
            full[i][e] = (float)y[i][e];
        }
    }
    const struct attention_shape shape = {
        .sequences = SEQUENCES, .context = CONTEXT, .heads = HEADS, .head_dim = D / HEADS};
    float row_max[N * HEADS], row_scale[N * HEADS];
    float *scratch = malloc(attention_scratch(CONTEXT, D / HEADS) * sizeof *scratch);
    k->attention_forward(PRECISION_FP32, &shape, full[SITE_QKV], operand_full(next), row_max,
                         row_scale, scratch);
    for (int i = 0; i < N * D; i++) {
        want[i] = next[i];
    }
    fixture_near("input of attn_out", N * D, seen->input[SITE_ATTN_OUT], want, 1e-5);
    k->activation_forward(l->model.activation, PRECISION_FP32, N, F, full[SITE_FFN_IN],
                          operand_full(next));
    for (int i = 0; i < N * F; i++) {
        want[i] = next[i];
    }
    fixture_near("input of ffn_out", N * F, seen->input[SITE_FFN_OUT], want, 1e-5);

    float x[N * D], norm[N * D], mean[N], rstd[N];
    k->embed(PRECISION_FP32, N, D, CONTEXT, s->tokens, layout_of(l, l->embedding, s->p),
             layout_of(l, l->position, s->p), NULL, 1, x);
    for (int i = 0; i < N * D; i++) {
        x[i] += full[SITE_ATTN_OUT][i] + full[SITE_FFN_OUT][i];
    }
    k->layernorm_forward(PRECISION_FP32, N, D, x, layout_of(l, l->final_gain, s->p),
                         layout_of(l, l->final_bias, s->p), operand_full(norm), mean, rstd);
    const float *head = layout_of(l, l->head, s->p);
    for (int i = 0; i < N * V; i++) {
        want[i] = 0;
        for (int c = 0; c < D; c++) {
            want[i] += (double)norm[i / V * D + c] * head[i % V * D + c];
        }
    }
    fixture_near("logits", (size_t)N * V, logits, want, 1e-5);
    for (int i = 0; i < SITES; i++) {
        free(y[i]), free(full[i]);
    }
    free(want), free(next), free(scratch);
}

static void check_quantizer(struct setup *s, const struct quantizer *q)
{
    struct error err = {0};
    struct quantized *quantized = NULL;
    const struct dropout none = {0};
    struct seen *seen = calloc(1, sizeof *seen);
    const float *logits;
    struct weights w = {.master = s->p, .operands = s->p};
    const int limit = q->activation_bits ? (1 << (q->activation_bits - 1)) - 1 : 0;
    float absmax[SITES], fixed[SITES];
    const struct calibration calibration = {.layout = s->layout, .absmax = {absmax}};
    assert_int_equal(model_forward(&err, s->model, &w, PRECISION_FP32, &none, s->tokens, SEQUENCES,
                                   see, seen, &logits),
                     STATUS_OK);
    /* Static scales of half the largest input: some of them saturate. */
    for (int i = 0; i < SITES; i++) {
        absmax[i] = kernels_get()->absmax((size_t)N * s->layout->in[i], seen->input[i]) / 2;
        fixed[i] = limit ? absmax[i] / (float)limit : 0;
    }
    struct parameters flat = parameters_flat(s->layout, s->p);
    assert_int_equal(quantized_create(&err, &flat, q, &calibration, &quantized), STATUS_OK);
    w.quantized = quantized_sites(quantized);
    assert_int_equal(model_forward(&err, s->model, &w, PRECISION_FP32, &none, s->tokens, SEQUENCES,
                                   see, seen, &logits),
                     STATUS_OK);
    check_sites(s, q, q->activations == ACTIVATIONS_PER_TENSOR ? fixed : NULL, seen, logits);
    quantized_free(quantized);
    free(seen);
}

static void test_integer_quantizers(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        int quantizers = 0;
        struct setup s =
            set_up(i % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL, (enum activation)(i / 2));
        for (; quantizers < QUANTIZER_DEFAULTS; quantizers++) {
            check_quantizer(&s, quantizer_at(quantizers));
        }
        tear_down(&s);
    }
    quantized_free(NULL);
}

/* A static scale needs calibration. */
static void test_calibration_missing(void **state)
{
    (void)state;
    struct error err = {0};
    struct quantized *quantized = NULL;
    struct setup s = set_up(BLOCK_PARALLEL, ACTIVATION_GELU);
    struct parameters flat = parameters_flat(s.layout, s.p);
    assert_int_equal(quantized_create(&err, &flat, quantizer_find("w8a8-tensor"), NULL, &quantized),
                     STATUS_FAILED);
    assert_non_null(strstr(err.message, "w8a8-tensor"));
    assert_null(quantized);
    error_clear(&err);
    assert_int_equal(quantized_create(&err, &flat, quantizer_find("w8a8"), NULL, &quantized),
                     STATUS_OK);
    assert_true(quantized_bytes(s.layout, quantizer_find("w8a8")) >
                (size_t)(D * 3 * D + D * D + 2 * D * F));
    quantized_free(quantized);
    tear_down(&s);
}

/* Calibration ================================================================================= */

struct largest {
    float absmax[8][SITES];
};

static void see_largest(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct largest *l = context;
    for (int i = 0; i < rows * in; i++) {
        float *most = &l->absmax[layer][site];
        *most = fabsf(x[i]) > *most ? fabsf(x[i]) : *most;
    }
}

/* Largest input of each site over exactly the calibration windows, also where they do not fill a micro-batch. */
static void test_calibration(void **state)
{
    (void)state;
    enum { MOST = 7, GROUP = 3 };
    struct error err = {0};
    const struct cell cell = text_cell(10, PRECISION_FP32);
    struct corpus *corpus = text_corpus(300000, &cell.data);
    struct layout *layout;
    struct model *model;
    struct largest want = {0};
    float absmax[2 * SITES];
    const int context = cell.size.context;
    const struct dropout none = {0};
    uint64_t seed = 4;
    int grown = 0;
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, GROUP, false, &model), STATUS_OK);
    float *p = fixture_floats(&seed, layout->length, 0.3f);
    const struct weights w = {.master = p, .operands = p};
    struct team alone = team_alone();
    struct parameters flat = parameters_flat(layout, p);
    struct calibration_source source = {.team = &alone,
                                        .model = model,
                                        .corpus = corpus,
                                        .parameters = &flat,
                                        .micro_batch = GROUP,
                                        .seed = 99};
    const bool wanted[TRANSFORMS] = {[TRANSFORM_NONE] = true};
    struct calibration *c = NULL;
    for (int windows = 1; windows <= MOST; windows++) {
        uint32_t inputs[64];
        const float *logits;
        const float before = want.absmax[0][SITE_FFN_OUT];
        corpus_calibration_window(corpus, context, 99, windows - 1, inputs);
        assert_int_equal(model_forward(&err, model, &w, PRECISION_FP32, &none, inputs, 1,
                                       see_largest, &want, &logits),
                         STATUS_OK);
        grown += want.absmax[0][SITE_FFN_OUT] > before;
        source.windows = windows;
        assert_int_equal(calibration_create(&err, &source, wanted, &c), STATUS_OK);
        for (int i = 0; i < 2 * SITES; i++) {
            const float here = want.absmax[i / SITES][i % SITES];
            float inputs_most = 0;
            for (int j = 0; j < layout->in[i % SITES]; j++) {
                inputs_most = fmaxf(
                    inputs_most, c->input_absmax[i % SITES][i / SITES * layout->in[i % SITES] + j]);
            }
            assert_true(inputs_most == c->absmax[TRANSFORM_NONE][i]);
            assert_true(here > 0 && fabsf(inputs_most - here) <= 1e-5f * here);
        }
        memcpy(absmax, c->absmax[TRANSFORM_NONE], sizeof absmax);
        calibration_free(c);
    }
    assert_true(grown > 1); /* so that a window too many or too few would show */
    source.seed = 100;
    assert_int_equal(calibration_create(&err, &source, wanted, &c), STATUS_OK);
    assert_true(memcmp(absmax, c->absmax[TRANSFORM_NONE], sizeof absmax) != 0);
    calibration_free(c);
    free(p);
    model_free(model);
    layout_free(layout);
    corpus_free(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integer_quantizers),
        cmocka_unit_test(test_calibration_missing),
        cmocka_unit_test(test_calibration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
