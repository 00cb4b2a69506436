/* Operands packed to bf16 hold the same numbers as full ones, and give the same bits all the way to the gradient. */
#include "tests/unit/study_fixture.h"

#include "study/gemm.h"
#include "study/model.h"

enum { ROWS = 21, D = 24, SEQUENCES = 3, CONTEXT = 7, HEADS = 2, MOST = ROWS * 8 * D };

/* Both forms of one result, in memory that holds anything. */
struct pair {
    float full[MOST];
    uint16_t packed[MOST];
};

static void prepare(struct pair *p, struct operand form[2])
{
    memset(p, 0xee, sizeof *p);
    form[0] = (struct operand){.full = p->full};
    form[1] = (struct operand){.packed = p->packed};
}

static void check(const struct pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &p->full[i], sizeof bits);
        assert_int_equal(bits >> 16, p->packed[i]);
        assert_int_equal(bits & 0xffff, 0);
    }
    assert_int_equal(p->packed[n], 0xeeee); /* nothing beyond */
}

static void test_kernels(void **state)
{
    (void)state;
    static struct pair p;
    struct operand form[2];
    uint64_t seed = 5;
    float *x = fixture_floats(&seed, (size_t)MOST, 3), *dy = fixture_floats(&seed, (size_t)MOST, 1);
    float *gain = fixture_floats(&seed, D, 1), *bias = fixture_floats(&seed, D, 1);
    float mean[ROWS], rstd[ROWS], max[SEQUENCES * HEADS * CONTEXT],
        scale[SEQUENCES * HEADS * CONTEXT];
    float *scratch = malloc(attention_scratch(CONTEXT, D / HEADS) * sizeof *scratch);
    const struct attention_shape shape = {
        .sequences = SEQUENCES, .context = CONTEXT, .heads = HEADS, .head_dim = D / HEADS};
    const enum activation kinds[] = {ACTIVATION_GELU, ACTIVATION_RELU, ACTIVATION_SWIGLU};
    FOR_EACH_ISA(k)
    {
        k->round(PRECISION_BF16, MOST, x, x);
        k->round(PRECISION_BF16, MOST, dy, dy);
        prepare(&p, form);
        for (int i = 0; i < 2; i++) {
            k->layernorm_forward(PRECISION_BF16, ROWS, D, x, gain, bias, form[i], mean, rstd);
        }
        check(&p, ROWS * D);
        for (int a = 0; a < 3; a++) {
            prepare(&p, form);
            for (int i = 0; i < 2; i++) {
                k->activation_forward(kinds[a], PRECISION_BF16, ROWS, D, x, form[i]);
            }
            check(&p, ROWS * D);
            prepare(&p, form);
            for (int i = 0; i < 2; i++) {
                k->activation_backward(kinds[a], PRECISION_BF16, ROWS, D, x, dy, form[i]);
            }
            check(&p, ROWS * D * (kinds[a] == ACTIVATION_SWIGLU ? 2 : 1));
        }
        prepare(&p, form);
        for (int i = 0; i < 2; i++) {
            k->attention_forward(PRECISION_BF16, &shape, x, form[i], max, scale, scratch);
        }
        check(&p, ROWS * D);
        prepare(&p, form);
        for (int i = 0; i < 2; i++) {
            k->attention_backward(PRECISION_BF16, &shape, x, dy, max, scale, form[i], scratch);
        }
        check(&p, ROWS * 3 * D);
        float sum[2][3 * D];
        for (int i = 0; i < 2; i++) {
            k->column_sum(ROWS, 3 * D, form[i], sum[i]);
        }
        assert_memory_equal(sum[0], sum[1], sizeof sum[0]);
    }
    free(x), free(dy), free(gain), free(bias), free(scratch);
}

/* A model's gradient with weights packed beforehand, and with full ones that the matmuls pack. */
static void test_gradient(void **state)
{
    (void)state;
    if (!gemm_bf16_native()) {
        skip();
    }
    struct error err = {0};
    const struct cell_size size = {.name = "2x24",
                                   .layers = 2,
                                   .d_model = D,
                                   .heads = HEADS,
                                   .d_ff = 4 * D,
                                   .context = CONTEXT};
    const struct cell_model shape = {.block = BLOCK_SEQUENTIAL,
                                     .position = POSITION_LEARNED,
                                     .activation = ACTIVATION_GELU,
                                     .bias = true,
                                     .vocabulary = 256};
    struct layout *layout = NULL;
    struct model *model = NULL;
    assert_int_equal(layout_create(&err, &size, &shape, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, SEQUENCES, true, &model), STATUS_OK);
    const size_t n = layout->length;
    float *master = calloc(n, sizeof *master), *rounded = calloc(n, sizeof *rounded);
    float *gradient[2] = {calloc(n, sizeof(float)), calloc(n, sizeof(float))};
    uint16_t *packed = calloc(n, sizeof *packed);
    uint32_t inputs[ROWS], targets[ROWS];
    float loss[2][ROWS];
    uint64_t seed = 6;
    for (int i = 0; i < ROWS; i++) {
        inputs[i] = (uint8_t)fixture_bits(&seed);
        targets[i] = (uint8_t)fixture_bits(&seed);
    }
    layout_initialize(layout, 3, master);
    model_kernels(model)->round(PRECISION_BF16, n, master, rounded);
    model_kernels(model)->pack_bf16(n, master, packed);
    const struct weights weights[2] = {{.master = master, .operands = rounded},
                                       {.master = master, .packed = packed}};
    const struct dropout dropout = {.p = 0.1, .seed = 1};
    for (int i = 0; i < 2; i++) {
        const float *logits;
        assert_int_equal(model_forward(&err, model, &weights[i], PRECISION_BF16, &dropout, inputs,
                                       SEQUENCES, NULL, NULL, &logits),
                         STATUS_OK);
        assert_int_equal(model_backward(&err, model, &weights[i], PRECISION_BF16, &dropout, inputs,
                                        targets, 1.0f, loss[i], gradient[i]),
                         STATUS_OK);
    }
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_memory_equal(gradient[0], gradient[1], n * sizeof(float));
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
        norm += gradient[0][i] * gradient[0][i];
    }
    assert_true(norm > 0);
    model_free(model);
    layout_free(layout);
    free(master), free(rounded), free(packed), free(gradient[0]), free(gradient[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
