/* Causal attention, forward and backward, against plain loops in double; its causality; its half types. */
#include "tests/unit/study_fixture.h"

enum { SEQUENCES = 2, HEADS = 3 };

static const int contexts[] = {1, 5, 16, 17, 64};
static const int head_dims[] = {2, 8, 16, 24};

struct attention_case {
    struct attention_shape shape;
    enum precision precision; /* of the reference */
    int T, hd, d;
    size_t rows, units;
    float *cosine, *sine, *qkv, *dout;
    float *out, *row_max, *row_scale, *dqkv, *scratch; /* the kernel's */
    double *want, *want_max, *want_scale, *want_dqkv;  /* the reference's */
};

static struct attention_case case_create(int context, int head_dim, bool rotary)
{
    struct attention_case c = {.T = context, .hd = head_dim, .d = HEADS * head_dim};
    uint64_t seed = (uint64_t)(1000 * context + 2 * head_dim + rotary);
    const int half = head_dim / 2;
    c.rows = (size_t)SEQUENCES * context;
    c.units = c.rows * HEADS;
    c.qkv = fixture_floats(&seed, c.rows * 3 * c.d, 1.5f);
    c.dout = fixture_floats(&seed, c.rows * c.d, 1);
    c.cosine = malloc((size_t)context * half * sizeof(float));
    c.sine = malloc((size_t)context * half * sizeof(float));
    for (int i = 0; i < context * half; i++) {
        const double angle = i / half * pow(10000, -2.0 * (i % half) / head_dim);
        c.cosine[i] = (float)cos(angle);
        c.sine[i] = (float)sin(angle);
    }
    c.shape = (struct attention_shape){.sequences = SEQUENCES,
                                       .context = context,
                                       .heads = HEADS,
                                       .head_dim = head_dim,
                                       .cosine = rotary ? c.cosine : NULL,
                                       .sine = rotary ? c.sine : NULL};
    c.out = malloc(c.rows * c.d * sizeof(float));
    c.row_max = malloc(c.units * sizeof(float));
    c.row_scale = malloc(c.units * sizeof(float));
    c.dqkv = malloc(c.rows * 3 * c.d * sizeof(float));
    c.scratch = malloc(attention_scratch(context, head_dim) * sizeof(float));
    c.want = fixture_doubles(c.rows * c.d);
    c.want_max = fixture_doubles(c.units);
    c.want_scale = fixture_doubles(c.units);
    c.want_dqkv = fixture_doubles(c.rows * 3 * c.d);
    return c;
}

static void case_free(struct attention_case *c)
{
    free(c->cosine), free(c->sine), free(c->qkv), free(c->dout), free(c->out), free(c->row_max);
    free(c->row_scale), free(c->dqkv), free(c->scratch), free(c->want), free(c->want_max);
    free(c->want_scale), free(c->want_dqkv);
}

/* The kernel scribbles over memory that holds anything. */
static void run(const struct kernels *k, struct attention_case *c, enum precision precision)
{
    const size_t n = attention_scratch(c->T, c->hd);
    memset(c->scratch, 0xff, n * sizeof(float));
    memset(c->out, 0xff, c->rows * c->d * sizeof(float));
    memset(c->dqkv, 0xff, c->rows * 3 * c->d * sizeof(float));
    k->attention_forward(precision, &c->shape, c->qkv, operand_full(c->out), c->row_max,
                         c->row_scale, c->scratch);
    memset(c->scratch, 0xff, n * sizeof(float));
    k->attention_backward(precision, &c->shape, c->qkv, c->dout, c->row_max, c->row_scale,
                          operand_full(c->dqkv), c->scratch);
}

/* Reference =================================================================================== */

static double rounded(enum precision precision, double x)
{
    float y = (float)x;
    if (precision == PRECISION_FP32) {
        return x;
    }
    kernels_named("baseline")->round(precision, 1, &y, &y);
    return y;
}

/* Channel c of head-vector x at position t, turned by its position; direction −1: back. */
static double turned(const struct attention_case *c, const double *x, int t, int channel,
                     double direction)
{
    const int half = c->hd / 2, pair = channel % half;
    if (c->shape.cosine == NULL) {
        return x[channel];
    }
    const double cosine = c->cosine[t * half + pair], sine = direction * c->sine[t * half + pair];
    return rounded(c->precision, channel < half ? x[pair] * cosine - x[pair + half] * sine
                                                : x[pair] * sine + x[pair + half] * cosine);
}

/* One sequence and head. Half types: each product's result, and probabilities as operands, are rounded. */
static void reference_head(struct attention_case *c, int sequence, int head)
{
    const int T = c->T, hd = c->hd;
    const size_t n = (size_t)T * hd;
    double *m[7], *p = fixture_doubles(T), *ds = fixture_doubles(T);
    for (int i = 0; i < 7; i++) {
        m[i] = fixture_doubles(n);
    }
    double *q = m[0], *key = m[1], *v = m[2], *dq = m[3], *dk = m[4], *dv = m[5], *raw = m[6];
    const float *from = c->qkv + (size_t)sequence * T * 3 * c->d + (size_t)head * hd;
    for (int part = 0; part < 3; part++) {
        for (int t = 0; t < T; t++) {
            for (int i = 0; i < hd; i++) {
                raw[i] = from[(size_t)t * 3 * c->d + part * c->d + i];
            }
            for (int i = 0; i < hd; i++) {
                m[part][t * hd + i] = part < 2 ? turned(c, raw, t, i, 1) : raw[i];
            }
        }
    }
    const double scale = 1 / sqrt(hd);
    for (int t = 0; t < T; t++) {
        const size_t row = (size_t)sequence * T + t,
                     unit = ((size_t)sequence * HEADS + head) * T + t;
        const float *grad = c->dout + row * c->d + (size_t)head * hd;
        double max = -INFINITY, sum = 0, mean = 0;
        for (int j = 0; j <= t; j++) {
            p[j] = 0;
            for (int i = 0; i < hd; i++) {
                p[j] += q[t * hd + i] * key[j * hd + i];
            }
            p[j] = rounded(c->precision, p[j]) * scale;
            max = p[j] > max ? p[j] : max;
        }
        for (int j = 0; j <= t; j++) {
            sum += exp(p[j] - max);
        }
        for (int j = 0; j <= t; j++) {
            p[j] = exp(p[j] - max) / sum;
            ds[j] = 0;
            for (int i = 0; i < hd; i++) {
                c->want[row * c->d + head * hd + i] += rounded(c->precision, p[j]) * v[j * hd + i];
                ds[j] += grad[i] * v[j * hd + i];
            }
            ds[j] = rounded(c->precision, ds[j]);
            mean += p[j] * ds[j];
        }
        c->want_max[unit] = max;
        c->want_scale[unit] = 1 / sum;
        for (int j = 0; j <= t; j++) {
            const double slope = rounded(c->precision, p[j] * (ds[j] - mean) * scale);
            for (int i = 0; i < hd; i++) {
                dq[t * hd + i] += slope * key[j * hd + i];
                dk[j * hd + i] += slope * q[t * hd + i];
                dv[j * hd + i] += rounded(c->precision, p[j]) * grad[i];
            }
        }
    }
    double *back[3] = {dq, dk, dv};
    for (int t = 0; t < T; t++) {
        const size_t row = (size_t)sequence * T + t;
        for (int part = 0; part < 3; part++) {
            for (int i = 0; i < hd; i++) {
                raw[i] = rounded(c->precision, back[part][t * hd + i]);
            }
            for (int i = 0; i < hd; i++) {
                c->want_dqkv[row * 3 * c->d + part * c->d + head * hd + i] =
                    part < 2 ? turned(c, raw, t, i, -1) : raw[i];
            }
        }
    }
    for (int i = 0; i < 7; i++) {
        free(m[i]);
    }
    free(p), free(ds);
}

static void reference(struct attention_case *c, enum precision precision)
{
    c->precision = precision;
    memset(c->want, 0, c->rows * c->d * sizeof *c->want);
    for (int s = 0; s < SEQUENCES; s++) {
        for (int h = 0; h < HEADS; h++) {
            reference_head(c, s, h);
        }
    }
    for (size_t i = 0; i < c->rows * c->d; i++) {
        c->want[i] = rounded(precision, c->want[i]);
    }
}

/* Tests ======================================================================================= */

/* Run the body for cases of every context, head width, with and without rotation. */
#define FOR_EACH_CASE(c)                                                                           \
    for (size_t i_ = 0; i_ < 40; i_++)                                                             \
        for (struct attention_case c =                                                             \
                 case_create(contexts[i_ / 8], head_dims[i_ / 2 % 4], i_ % 2);                     \
             c.qkv != NULL; case_free(&c), c.qkv = NULL)

static void test_attention(void **state)
{
    (void)state;
    FOR_EACH_CASE(c)
    {
        reference(&c, PRECISION_FP32);
        FOR_EACH_ISA(k)
        {
            run(k, &c, PRECISION_FP32);
            fixture_near("attention", c.rows * c.d, c.out, c.want, 1e-5);
            fixture_near("attention row_max", c.units, c.row_max, c.want_max, 1e-5);
            fixture_near("attention row_scale", c.units, c.row_scale, c.want_scale, 1e-5);
            fixture_near("attention gradient", c.rows * 3 * c.d, c.dqkv, c.want_dqkv, 1e-5);
        }
    }
}

/* Half types against the same loops with every product rounded. Sums of another order may fall to the other side
 * of a tie, so a few numbers are one unit off; a rounding too many or too few would move a large part of them. */
static void check_half(const char *what, size_t n, const float *a, const double *b,
                       enum precision precision, double most)
{
    const double unit = precision == PRECISION_BF16 ? 0x1p-8 : 0x1p-11;
    double largest = 0;
    size_t off = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fabs(b[i]) > largest ? fabs(b[i]) : largest;
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(rounded(precision, a[i]) == a[i]);
        off += a[i] != b[i];
        if (!(fabs(a[i] - b[i]) <= 4 * unit * largest)) {
            fail_msg("%s: element %zu is %.9g, not %.9g", what, i, a[i], b[i]);
        }
    }
    if (!((double)off <= most * (double)n)) {
        fail_msg("%s %s: %zu of %zu are off", what, precision_name(precision), off, n);
    }
}

static void test_attention_half(void **state)
{
    (void)state;
    FOR_EACH_CASE(c)
    {
        for (int p = 1; p < 3; p++) {
            const enum precision precision = fixture_precision[p];
            kernels_named("baseline")->round(precision, c.rows * 3 * c.d, c.qkv, c.qkv);
            kernels_named("baseline")->round(precision, c.rows * c.d, c.dout, c.dout);
            reference(&c, precision);
            FOR_EACH_ISA(k)
            {
                run(k, &c, precision);
                check_half("attention", c.rows * c.d, c.out, c.want, precision, 0.01);
                check_half("attention gradient", c.rows * 3 * c.d, c.dqkv, c.want_dqkv, precision,
                           0.01);
            }
        }
    }
}

/* Outputs before a token, and gradients from and after it, know nothing of what changes there, bit by bit. */
static void test_attention_causality(void **state)
{
    (void)state;
    FOR_EACH_CASE(c)
    {
        const size_t row = 3 * (size_t)c.d;
        float *out = malloc(c.rows * c.d * sizeof *out);
        for (int p = 0; p < 3; p++) {
            FOR_EACH_ISA(k)
            {
                for (int t = c.T / 2; t < c.T; t += c.T / 4 + 1) {
                    float *later = c.qkv + t * row, *kept = fixture_copy((c.T - t) * row, later);
                    run(k, &c, fixture_precision[p]);
                    memcpy(out, c.out, c.rows * c.d * sizeof *out);
                    for (size_t i = 0; i < (c.T - t) * row; i++) {
                        later[i] = 3 - 2 * later[i];
                    }
                    run(k, &c, fixture_precision[p]);
                    fixture_same_bits("earlier outputs", (size_t)t * c.d, out, c.out);
                    fixture_same_bits("the other sequence", (size_t)c.T * c.d, out + c.T * c.d,
                                      c.out + c.T * c.d);
                    assert_true(memcmp(out, c.out, (size_t)c.T * c.d * sizeof *out) != 0);
                    memcpy(later, kept, (c.T - t) * row * sizeof *later);
                    free(kept);
                }
            }
        }
        free(out);
    }
}

/* A loss of the first tokens alone has no gradient in the later ones. */
static void test_attention_gradient_causality(void **state)
{
    (void)state;
    FOR_EACH_CASE(c)
    {
        const int t = c.T / 2;
        for (size_t i = (size_t)t * c.d; i < (size_t)c.T * c.d; i++) {
            c.dout[i] = 0;
        }
        FOR_EACH_ISA(k)
        {
            run(k, &c, PRECISION_FP32);
            for (size_t i = 3 * (size_t)t * c.d; i < 3 * (size_t)c.T * c.d; i++) {
                assert_true(c.dqkv[i] == 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_half),
        cmocka_unit_test(test_attention_causality),
        cmocka_unit_test(test_attention_gradient_causality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
