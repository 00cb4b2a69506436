/* LayerNorm and the activation functions, forward and backward, against plain double loops. */
#include "tests/unit/study_fixture.h"

enum { WIDTHS = 5, ROWS = 5 };

static const int widths[WIDTHS] = {1, 7, 16, 33, 96};

/* LayerNorm =================================================================================== */

struct norm_case {
    int d;
    size_t n;
    float *x, *gain, *bias, *dout1, *dout2, *dx;
    double *out, *mean, *rstd, *dgain, *dbias, *want_dx;
};

static struct norm_case norm_create(int d, int two, uint64_t seed)
{
    struct norm_case c = {.d = d, .n = (size_t)ROWS * d};
    c.x = fixture_floats(&seed, c.n, 2);
    c.gain = fixture_floats(&seed, d, 1);
    c.bias = fixture_floats(&seed, d, 1);
    c.dout1 = fixture_floats(&seed, c.n, 1);
    c.dout2 = two ? fixture_floats(&seed, c.n, 1) : NULL;
    c.dx = fixture_floats(&seed, c.n, 1);
    c.out = fixture_doubles(c.n), c.want_dx = fixture_doubles(c.n);
    c.mean = fixture_doubles(ROWS), c.rstd = fixture_doubles(ROWS);
    c.dgain = fixture_doubles(d), c.dbias = fixture_doubles(d);
    for (int r = 0; r < ROWS; r++) {
        const size_t at = (size_t)r * d;
        double mean = 0, variance = 0, a = 0, b = 0;
        for (int i = 0; i < d; i++) {
            mean += (double)c.x[at + i] / d;
        }
        for (int i = 0; i < d; i++) {
            variance += (c.x[at + i] - mean) * (c.x[at + i] - mean) / d;
        }
        c.mean[r] = mean;
        c.rstd[r] = 1 / sqrt(variance + 1e-5);
        for (int i = 0; i < d; i++) {
            const double z = (c.x[at + i] - mean) * c.rstd[r];
            const double dy = c.dout1[at + i] + (two ? (double)c.dout2[at + i] : 0);
            c.out[at + i] = z * c.gain[i] + c.bias[i];
            c.dgain[i] += dy * z;
            c.dbias[i] += dy;
            a += dy * c.gain[i] / d;
            b += dy * c.gain[i] * z / d;
        }
        for (int i = 0; i < d; i++) {
            const double z = (c.x[at + i] - mean) * c.rstd[r];
            const double dy = c.dout1[at + i] + (two ? (double)c.dout2[at + i] : 0);
            c.want_dx[at + i] = c.dx[at + i] + c.rstd[r] * (dy * c.gain[i] - a - z * b);
        }
    }
    return c;
}

static void norm_free(struct norm_case *c)
{
    free(c->x), free(c->gain), free(c->bias), free(c->dout1), free(c->dout2), free(c->dx);
    free(c->out), free(c->mean), free(c->rstd), free(c->dgain), free(c->dbias), free(c->want_dx);
}

static void check_norm(const struct kernels *k, const struct norm_case *c)
{
    float mean[ROWS], rstd[ROWS];
    float *full = malloc(c->n * sizeof *full), *half = malloc(c->n * sizeof *half);
    float *dgain = malloc(c->d * sizeof *dgain), *dbias = malloc(c->d * sizeof *dbias);
    k->layernorm_forward(PRECISION_FP32, ROWS, c->d, c->x, c->gain, c->bias, operand_full(full),
                         mean, rstd);
    fixture_near("layernorm", c->n, full, c->out, 1e-5);
    fixture_near("layernorm mean", ROWS, mean, c->mean, 1e-6);
    fixture_near("layernorm rstd", ROWS, rstd, c->rstd, 1e-5);
    for (int p = 1; p < 3; p++) {
        k->layernorm_forward(fixture_precision[p], ROWS, c->d, c->x, c->gain, c->bias,
                             operand_full(half), mean, rstd);
        fixture_rounded(k, fixture_precision[p], "layernorm", c->n, full, half);
    }
    memcpy(full, c->dx, c->n * sizeof *full);
    k->layernorm_backward(PRECISION_FP32, ROWS, c->d, c->dout1, c->dout2, c->x, mean, rstd, c->gain,
                          dgain, dbias, full);
    fixture_near("layernorm dx", c->n, full, c->want_dx, 1e-5);
    fixture_near("layernorm dbias", c->d, dbias, c->dbias, 1e-5);
    if (c->d > 1) { /* of one element the normalized value is 0, and so is dgain */
        fixture_near("layernorm dgain", c->d, dgain, c->dgain, 1e-5);
    } else {
        assert_true(fabsf(dgain[0]) < 1e-5f);
    }
    for (int p = 1; p < 3; p++) {
        memcpy(half, c->dx, c->n * sizeof *half);
        k->layernorm_backward(fixture_precision[p], ROWS, c->d, c->dout1, c->dout2, c->x, mean,
                              rstd, c->gain, dgain, dbias, half);
        fixture_rounded(k, fixture_precision[p], "layernorm dx", c->n, full, half);
    }
    free(full), free(half), free(dgain), free(dbias);
}

static void test_layernorm(void **state)
{
    (void)state;
    for (int w = 0; w < WIDTHS; w++) {
        for (int two = 0; two < 2; two++) {
            struct norm_case c = norm_create(widths[w], two, 3 + w);
            FOR_EACH_ISA(k)
            {
                check_norm(k, &c);
            }
            norm_free(&c);
        }
    }
}

/* Activation functions ======================================================================== */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* GELU in the tanh form, and its slope by the product rule. */
static double gelu(double x, double *slope)
{
    const double c = sqrt(2 / M_PI), u = c * (x + 0.044715 * x * x * x), t = tanh(u);
    *slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
    return 0.5 * x * (1 + t);
}

static void check_activation(const struct kernels *k, enum activation kind, int f, float range)
{
    const int width = kind == ACTIVATION_SWIGLU ? 2 * f : f;
    const size_t n = (size_t)ROWS * f, all = (size_t)ROWS * width;
    uint64_t seed = all + (uint64_t)range;
    float *h = fixture_floats(&seed, all, range), *da = fixture_floats(&seed, n, 1);
    float *a = malloc(n * sizeof *a), *dh = malloc(all * sizeof *dh);
    float *ah = malloc(n * sizeof *a), *dhh = malloc(all * sizeof *dh);
    double *want = fixture_doubles(n), *want_dh = fixture_doubles(all);
    for (size_t i = 0; i < n; i++) {
        const size_t at = i / f * width + i % f;
        const double x = h[at];
        double slope;
        switch (kind) {
        case ACTIVATION_GELU:
            want[i] = gelu(x, &slope);
            want_dh[at] = da[i] * slope;
            break;
        case ACTIVATION_RELU:
            want[i] = x > 0 ? x : 0;
            want_dh[at] = x > 0 ? da[i] : 0;
            break;
        case ACTIVATION_SWIGLU: {
            const double s = sigmoid(x), up = h[at + f];
            want[i] = x * s * up;
            want_dh[at] = da[i] * up * (s + x * s * (1 - s));
            want_dh[at + f] = da[i] * x * s;
            break;
        }
        }
    }
    k->activation_forward(kind, PRECISION_FP32, ROWS, f, h, operand_full(a));
    k->activation_backward(kind, PRECISION_FP32, ROWS, f, h, da, operand_full(dh));
    fixture_near_each(activation_name(kind), n, a, want, 1e-5, 1e-9);
    fixture_near(activation_name(kind), all, dh, want_dh, 1e-5);
    for (int p = 1; p < 3; p++) {
        float *rounded = malloc(all * sizeof *rounded), *given = malloc(n * sizeof *given);
        k->round(fixture_precision[p], all, h, rounded);
        k->round(fixture_precision[p], n, da, given);
        k->activation_forward(kind, PRECISION_FP32, ROWS, f, rounded, operand_full(a));
        k->activation_forward(kind, fixture_precision[p], ROWS, f, rounded, operand_full(ah));
        fixture_rounded(k, fixture_precision[p], activation_name(kind), n, a, ah);
        k->activation_backward(kind, PRECISION_FP32, ROWS, f, rounded, given, operand_full(dh));
        k->activation_backward(kind, fixture_precision[p], ROWS, f, rounded, given,
                               operand_full(dhh));
        fixture_rounded(k, fixture_precision[p], activation_name(kind), all, dh, dhh);
        free(rounded), free(given);
    }
    free(h), free(da), free(a), free(dh), free(ah), free(dhh), free(want), free(want_dh);
}

static void test_activations(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int w = 0; w < WIDTHS; w++) {
            for (int kind = ACTIVATION_GELU; kind <= ACTIVATION_SWIGLU; kind++) {
                check_activation(k, (enum activation)kind, widths[w], 5);
            }
        }
    }
}

/* Far out, GELU and SiLU are 0 or the identity, without NaN. */
static void test_activations_far(void **state)
{
    (void)state;
    const float x[6] = {-1e4f, -100, -30, 30, 100, 1e4f}, one[6] = {1, 1, 1, 1, 1, 1};
    float gated[12], a[6], dh[12];
    for (int i = 0; i < 6; i++) {
        gated[i] = x[i];
        gated[i + 6] = 2;
    }
    FOR_EACH_ISA(k)
    {
        for (int i = 0; i < 6; i++) {
            const double want = x[i] > 0 ? x[i] : 0, slope = x[i] > 0;
            k->activation_forward(ACTIVATION_GELU, PRECISION_FP32, 1, 6, x, operand_full(a));
            k->activation_backward(ACTIVATION_GELU, PRECISION_FP32, 1, 6, x, one, operand_full(dh));
            assert_true(fabs(a[i] - want) <= 1e-6 * want + 1e-20 && fabs(dh[i] - slope) < 1e-6);
            k->activation_forward(ACTIVATION_SWIGLU, PRECISION_FP32, 1, 6, gated, operand_full(a));
            k->activation_backward(ACTIVATION_SWIGLU, PRECISION_FP32, 1, 6, gated, one,
                                   operand_full(dh));
            assert_true(fabs(a[i] - 2 * want) <= 1e-6 * want + 1e-11);
            assert_true(fabs(dh[i] - 2 * slope) < 1e-10);
            assert_true(fabs(dh[i + 6] - want) <= 1e-6 * want + 1e-11);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layernorm),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_activations_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
