/* Where tensors lie, how many numbers there are, and how they start (METHOD §1). */
#include "tests/unit/study_fixture.h"

#include "study/layout.h"

static const struct cell_size size = {
    .name = "layout", .layers = 3, .d_model = 36, .heads = 3, .d_ff = 50, .context = 9};

enum { MODELS = 48 };

static struct cell_model model_at(int i)
{
    return (struct cell_model){.block = i % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL,
                               .position = i / 2 % 2 ? POSITION_LEARNED : POSITION_ROTARY,
                               .bias = i / 4 % 2,
                               .tied = i / 8 % 2,
                               .activation = (enum activation)(i / 16),
                               .vocabulary = 256};
}

static struct layout *create(const struct cell_model *model)
{
    struct error err = {0};
    struct layout *l = NULL;
    assert_int_equal(layout_create(&err, &size, model, &l), STATUS_OK);
    return l;
}

/* Tensors follow each other without overlap, aligned, and add up to the cell's parameters. */
static void test_tensors(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        const struct cell_model model = model_at(i);
        const struct cell cell = {.size = size, .model = model};
        struct layout *l = create(&model);
        size_t end = 0, elements = 0;
        for (int t = 0; t < l->tensors; t++) {
            const struct tensor *tensor = &l->tensor[t];
            assert_true(tensor->offset >= end && tensor->offset % 16 == 0);
            end = tensor->offset + tensor_elements(tensor);
            elements += tensor_elements(tensor);
            for (int other = 0; other < t; other++) {
                assert_string_not_equal(tensor->name, l->tensor[other].name);
            }
        }
        assert_true(end <= l->length && l->length < end + 16);
        assert_int_equal(elements, cell_parameters_total(&cell));
        assert_int_equal(l->head == l->embedding, model.tied);
        assert_int_equal(l->position == LAYOUT_ABSENT, model.position == POSITION_ROTARY);
        assert_int_equal(l->block[0].bias[SITE_QKV] == LAYOUT_ABSENT, !model.bias);
        assert_int_equal(l->block[2].norm_gain[1] == LAYOUT_ABSENT, model.block == BLOCK_PARALLEL);
        layout_free(l);
    }
    layout_free(NULL);
}

/* Gains 1, biases 0, gaps 0, the rest N(0, 0.02²), and what writes to the residual stream divided by √(2·layers): mean, variance
 * and kurtosis within five standard errors. */
static void test_distribution(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        const struct cell_model model = model_at(i);
        struct layout *l = create(&model);
        float *p = malloc(l->length * sizeof *p);
        double total = 0;
        memset(p, 0xff, l->length * sizeof *p);
        layout_initialize(l, 1000 + (uint64_t)i, p);
        for (int t = 0; t < l->tensors; t++) {
            const struct tensor *tensor = &l->tensor[t];
            const float *x = layout_of(l, t, p);
            const double n = (double)tensor_elements(tensor);
            const bool writes = strstr(tensor->name, "_out") != NULL;
            const double std = writes ? 0.02 / sqrt(2.0 * size.layers) : 0.02;
            double sum[5] = {0};
            for (size_t e = 0; e < tensor_elements(tensor); e++) {
                total += x[e];
                for (int power = 1; power <= 4; power++) {
                    sum[power] += pow(x[e] / std, power) / n;
                }
                assert_true(tensor->kind != TENSOR_GAIN || x[e] == 1);
                assert_true(tensor->kind != TENSOR_BIAS || x[e] == 0);
            }
            if (tensor->kind == TENSOR_MATRIX || tensor->kind == TENSOR_EMBEDDING) {
                assert_true(fabs(sum[1]) < 5 * sqrt(1 / n));
                assert_true(fabs(sum[2] - 1) < 5 * sqrt(2 / n));
                assert_true(fabs(sum[3]) < 5 * sqrt(15 / n));
                assert_true(fabs(sum[4] - 3) < 5 * sqrt(96 / n));
            }
        }
        double everything = 0;
        for (size_t e = 0; e < l->length; e++) {
            everything += p[e];
        }
        assert_true(fabs(everything - total) < 1e-9); /* the gaps are zero */
        free(p);
        layout_free(l);
    }
}

/* Correlation of two samples. */
static double correlation(size_t n, const float *x, const float *y)
{
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        xx += (double)x[i] * x[i];
        yy += (double)y[i] * y[i];
        xy += (double)x[i] * y[i];
    }
    return xy / sqrt(xx * yy);
}

/* Every tensor and every seed has numbers of its own; the same seed the same ones. */
static void test_independence(void **state)
{
    (void)state;
    const struct cell_model model = model_at(2);
    struct layout *l = create(&model);
    const uint64_t seeds[] = {7, 8, 7 + (1ull << 32)};
    float *p[3], *again = malloc(l->length * sizeof *again);
    for (int s = 0; s < 3; s++) {
        p[s] = malloc(l->length * sizeof *p[s]);
        layout_initialize(l, seeds[s], p[s]);
        layout_initialize(l, seeds[s], again);
        fixture_same_bits("initialization", l->length, p[s], again);
    }
    for (int a = 0; a < l->tensors; a++) {
        const size_t na = tensor_elements(&l->tensor[a]);
        if (l->tensor[a].init_std == 0) {
            continue;
        }
        for (int s = 1; s < 3; s++) {
            const double r = correlation(na, layout_of(l, a, p[0]), layout_of(l, a, p[s]));
            assert_true(fabs(r) < 5 / sqrt((double)na));
        }
        for (int b = 0; b < a; b++) {
            const size_t nb = tensor_elements(&l->tensor[b]), n = na < nb ? na : nb;
            if (l->tensor[b].init_std > 0) {
                const double r = correlation(n, layout_of(l, a, p[0]), layout_of(l, b, p[0]));
                assert_true(fabs(r) < 5 / sqrt((double)n));
            }
        }
    }
    free(p[0]), free(p[1]), free(p[2]), free(again);
    layout_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_independence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
