/* Loss and every gradient tensor against the PyTorch reference and against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "study/model.h"
#include "tests/unit/golden.h"

struct setup {
    struct layout *layout;
    struct model *model;
    float *p, *operands, *g;
    uint32_t inputs[GOLDEN_WINDOWS * GOLDEN_CONTEXT], targets[GOLDEN_WINDOWS * GOLDEN_CONTEXT];
};

enum { ROWS = GOLDEN_WINDOWS * GOLDEN_CONTEXT };

static struct setup set_up(const struct cell_model *model)
{
    struct setup s = {0};
    struct error err = {0};
    assert_int_equal(layout_create(&err, &golden_size, model, &s.layout), 0);
    assert_int_equal(model_create(&err, s.layout, GOLDEN_WINDOWS, true, &s.model), 0);
    s.p = calloc(s.layout->length, sizeof(float));
    s.operands = calloc(s.layout->length, sizeof(float));
    s.g = calloc(s.layout->length, sizeof(float));
    golden_parameters(s.layout, s.p);
    golden_tokens(s.inputs, s.targets);
    return s;
}

static void tear_down(struct setup *s)
{
    model_free(s->model);
    layout_free(s->layout);
    free(s->p);
    free(s->operands);
    free(s->g);
}

/* Mean loss; the gradient of it into s->g. */
static double loss_of(struct setup *s, enum precision precision, const struct dropout *dropout)
{
    struct error err = {0};
    float row_loss[ROWS];
    const float *logits;
    model_kernels(s->model)->round(precision, s->layout->length, s->p, s->operands);
    struct weights w = {.master = s->p, .operands = s->operands};
    assert_int_equal(model_forward(&err, s->model, &w, precision, dropout, s->inputs,
                                   GOLDEN_WINDOWS, NULL, NULL, &logits),
                     0);
    assert_int_equal(model_backward(&err, s->model, &w, precision, dropout, s->inputs, s->targets,
                                    1.0f / ROWS, row_loss, s->g),
                     0);
    double loss = 0;
    for (int r = 0; r < ROWS; r++) {
        loss += row_loss[r];
    }
    return loss / ROWS;
}

/* ‖a − b‖ / ‖b‖ of a tensor that the reference file continues with. */
static double read_and_compare(FILE *f, const float *a, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double b;
        assert_int_equal(fscanf(f, " %lf", &b), 1);
        difference += (a[i] - b) * (a[i] - b);
        norm += b * b;
    }
    return sqrt(difference / (norm > 0 ? norm : 1));
}

static void test_reference(void **state)
{
    (void)state;
    FILE *f = fopen(PTQSCALE_SOURCE_DIR "/tests/golden/model.txt", "r");
    assert_non_null(f);
    struct cell_model model;
    const struct dropout none = {0};
    double loss;
    char label[256], name[64];
    int configurations = 0;
    while (golden_config(f, &model, &loss, label)) {
        struct setup s = set_up(&model);
        double ours = loss_of(&s, PRECISION_FP32, &none);
        if (fabs(ours - loss) > 1e-5 * loss) {
            fail_msg("%s: loss %.9g, reference %.9g", label, ours, loss);
        }
        for (int t = 0; t < s.layout->tensors; t++) {
            size_t n = 0;
            assert_int_equal(golden_word(f, name), 1);
            assert_string_equal(name, s.layout->tensor[t].name);
            assert_int_equal(fscanf(f, " %zu", &n), 1);
            assert_int_equal(n, tensor_elements(&s.layout->tensor[t]));
            double error = read_and_compare(f, layout_of(s.layout, t, s.g), n);
            if (!(error < 1e-4)) {
                fail_msg("%s: gradient of %s differs by %.3g relative", label, name, error);
            }
        }
        tear_down(&s);
        configurations++;
    }
    fclose(f);
    assert_true(configurations >= 8);
}

/* Central differences of the loss along the gradient of each tensor, extrapolated to step 0; also through dropout, whose masks the key fixes. */
static void check_differences(const struct cell_model *model, const struct dropout *dropout)
{
    struct setup s = set_up(model);
    loss_of(&s, PRECISION_FP32, dropout);
    float *g = malloc(s.layout->length * sizeof *g), *p = malloc(s.layout->length * sizeof *p);
    memcpy(g, s.g, s.layout->length * sizeof *g);
    memcpy(p, s.p, s.layout->length * sizeof *p);
    for (int t = 0; t < s.layout->tensors; t++) {
        const size_t at = s.layout->tensor[t].offset, n = tensor_elements(&s.layout->tensor[t]);
        double norm = 0;
        for (size_t i = 0; i < n; i++) {
            norm += (double)g[at + i] * g[at + i];
        }
        norm = sqrt(norm);
        if (norm < 1e-4) {
            continue; /* e.g. a bias of k, which softmax cannot see */
        }
        double slope[2];
        for (int half = 0; half < 2; half++) {
            const double step = half ? 2e-3 : 4e-3;
            double loss[2];
            for (int side = 0; side < 2; side++) {
                for (size_t i = 0; i < n; i++) {
                    s.p[at + i] = (float)(p[at + i] + (side ? step : -step) * g[at + i] / norm);
                }
                loss[side] = loss_of(&s, PRECISION_FP32, dropout);
            }
            slope[half] = (loss[1] - loss[0]) / (2 * step);
        }
        memcpy(s.p, p, s.layout->length * sizeof *p);
        const double limit = (4 * slope[1] - slope[0]) / 3; /* Richardson: the h² term cancels */
        if (fabs(limit - norm) > 2e-3 * norm + 5e-5) {
            fail_msg("%s: slope %.6g, gradient norm %.6g", s.layout->tensor[t].name, limit, norm);
        }
    }
    free(g);
    free(p);
    tear_down(&s);
}

static void test_finite_differences(void **state)
{
    (void)state;
    const struct dropout none = {0}, some = {.p = 0.3, .seed = 5, .step = 2, .sequence = 4};
    for (int variant = 0; variant < 12; variant++) {
        struct cell_model model = {.vocabulary = GOLDEN_VOCABULARY,
                                   .block = variant % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL,
                                   .position = variant / 2 % 2 ? POSITION_LEARNED : POSITION_ROTARY,
                                   .activation = variant / 4 ? ACTIVATION_SWIGLU : ACTIVATION_GELU,
                                   .bias = variant != 3,
                                   .tied = variant >= 8};
        check_differences(&model, &none);
        check_differences(&model, &some);
    }
}

/* Half types: close to fp32, yet not equal, and every gradient of a matrix is a half-type number. */
static void test_half_precision(void **state)
{
    (void)state;
    const struct dropout none = {0};
    struct cell_model model = {.vocabulary = GOLDEN_VOCABULARY, .bias = true};
    struct setup s = set_up(&model);
    const double full = loss_of(&s, PRECISION_FP32, &none);
    for (int i = 0; i < 2; i++) {
        const enum precision precision = i ? PRECISION_FP16 : PRECISION_BF16;
        const double loss = loss_of(&s, precision, &none);
        assert_true(fabs(loss - full) < (i ? 2e-3 : 2e-2) * full);
        assert_true(loss != full);
        for (int t = 0; t < s.layout->tensors; t++) {
            if (s.layout->tensor[t].kind != TENSOR_MATRIX) {
                continue;
            }
            float *g = layout_at(s.layout, t, s.g);
            for (size_t e = 0; e < tensor_elements(&s.layout->tensor[t]); e++) {
                float rounded;
                model_kernels(s.model)->round(precision, 1, &g[e], &rounded);
                assert_true(rounded == g[e]);
            }
        }
    }
    tear_down(&s);
}

/* Any part of a batch gives the rows that the whole batch gives, and inference what training gives. */
static void test_inference(void **state)
{
    (void)state;
    struct error err = {0};
    const struct dropout none = {0};
    for (int block = 0; block < 2; block++) {
        struct cell_model model = {.vocabulary = GOLDEN_VOCABULARY,
                                   .block = block ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL,
                                   .bias = true};
        struct setup s = set_up(&model);
        struct model *inference;
        const float *logits, *other;
        struct weights w = {.master = s.p, .operands = s.p};
        assert_int_equal(model_create(&err, s.layout, GOLDEN_WINDOWS, false, &inference), 0);
        assert_int_equal(model_forward(&err, s.model, &w, PRECISION_FP32, &none, s.inputs,
                                       GOLDEN_WINDOWS, NULL, NULL, &logits),
                         0);
        assert_int_equal(model_forward(&err, inference, &w, PRECISION_FP32, &none, s.inputs,
                                       GOLDEN_WINDOWS, NULL, NULL, &other),
                         0);
        assert_memory_equal(logits, other, ROWS * GOLDEN_VOCABULARY * sizeof(float));
        assert_int_equal(model_forward(&err, inference, &w, PRECISION_FP32, &none,
                                       s.inputs + GOLDEN_CONTEXT, 1, NULL, NULL, &other),
                         0);
        for (int i = 0; i < GOLDEN_CONTEXT * GOLDEN_VOCABULARY; i++) {
            float a = logits[GOLDEN_CONTEXT * GOLDEN_VOCABULARY + i];
            assert_true(fabsf(a - other[i]) < 1e-5f);
        }
        model_free(inference);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_half_precision),
        cmocka_unit_test(test_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
