/*
 * "Half precision is meant exactly" (METHOD §2): logits and every gradient of a whole model, with dropout, against the same
 * model put together from plain matmuls and the single kernels, which have tests of their own. Each operand and result of
 * a matmul, and the residual stream and its gradient, is rounded; nothing else is. Sums of another order now and then round
 * to the neighbour; a rounding too many or too few would change a large part of all numbers.
 */
#include "tests/unit/study_fixture.h"

#include "study/model.h"

enum {
    LAYERS = 2,
    D = 12,
    HEADS = 2,
    F = 20,
    CONTEXT = 7,
    SEQUENCES = 3,
    V = 40,
    N = SEQUENCES * CONTEXT,
};

static const struct cell_size size = {
    .name = "half", .layers = LAYERS, .d_model = D, .heads = HEADS, .d_ff = F, .context = CONTEXT};

/* The plain model ============================================================================= */

struct plain_block {
    float in[N * D], middle[N * D], norm[2][N * D], mean[2][N], rstd[2][N];
    float qkv[N * 3 * D], row_max[N * HEADS], row_scale[N * HEADS], attention[N * D];
    float hidden[N * 2 * F], activated[N * F];
    uint8_t mask[2][N * D];
};

struct plain {
    const struct kernels *k;
    const struct layout *l;
    enum precision precision;
    const struct dropout *dropout;
    const float *p;
    float *operands, *g;
    struct attention_shape shape;
    struct plain_block block[LAYERS];
    uint8_t embed_mask[N * D];
    float out[N * D], final[N * D], final_mean[N], final_rstd[N], logits[N * V], loss[N];
    float cosine[CONTEXT * D], sine[CONTEXT * D], scratch[1 << 14];
};

/* y (n) rounded. */
static void half(const struct plain *m, size_t n, float *y)
{
    m->k->round(m->precision, n, y, y);
}

/* C (rows, columns) = A·B over `inner`; element (r, i) of A at a[r·ar + i·ai], and so for B. */
static void multiply(const struct plain *m, int rows, int columns, int inner, const float *a,
                     int ar, int ai, const float *b, int bi, int bc, const float *bias, float *c)
{
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < columns; o++) {
            double sum = 0;
            for (int i = 0; i < inner; i++) {
                sum += (double)a[r * ar + i * ai] * b[i * bi + o * bc];
            }
            c[r * columns + o] = (float)sum + (bias ? bias[o] : 0);
        }
    }
    half(m, (size_t)rows * columns, c);
}

static void linear(const struct plain *m, int layer, enum site site, const float *x, float *y)
{
    const struct layout_block *b = &m->l->block[layer];
    const int in = m->l->in[site];
    multiply(m, N, m->l->out[site], in, x, in, 1, layout_of(m->l, b->weight[site], m->operands), 1,
             in, layout_of(m->l, b->bias[site], m->p), y);
}

static void linear_gradient(const struct plain *m, int layer, enum site site, const float *x,
                            const float *dy, float *dx)
{
    const struct layout_block *b = &m->l->block[layer];
    const int in = m->l->in[site], out = m->l->out[site];
    float *db = layout_at(m->l, b->bias[site], m->g);
    multiply(m, out, in, N, dy, 1, out, x, in, 1, NULL, layout_at(m->l, b->weight[site], m->g));
    if (db) {
        m->k->column_sum(N, out, operand_full(dy), db);
    }
    multiply(m, N, in, out, dy, out, 1, layout_of(m->l, b->weight[site], m->operands), in, 1, NULL,
             dx);
}

static void norm(const struct plain *m, int gain, int bias, const float *x, float *y, float *mean,
                 float *rstd)
{
    m->k->layernorm_forward(m->precision, N, D, x, layout_of(m->l, gain, m->p),
                            layout_of(m->l, bias, m->p), operand_full(y), mean, rstd);
}

static void draw(const struct plain *m, int site, uint8_t *mask)
{
    const struct dropout_key key = {.seed = m->dropout->seed,
                                    .step = m->dropout->step,
                                    .sequence = m->dropout->sequence,
                                    .site = (uint32_t)site};
    m->k->dropout_mask(key, m->dropout->p, SEQUENCES, CONTEXT * D, mask);
}

static float keep(const struct plain *m)
{
    return (float)(1 / (1 - m->dropout->p));
}

static void feed_forward(struct plain *m, int layer, const float *x, float *y)
{
    struct plain_block *b = &m->block[layer];
    linear(m, layer, SITE_FFN_IN, x, b->hidden);
    m->k->activation_forward(m->l->model.activation, m->precision, N, F, b->hidden,
                             operand_full(b->activated));
    linear(m, layer, SITE_FFN_OUT, b->activated, y);
}

static void plain_forward(struct plain *m, const uint32_t *tokens)
{
    const struct layout *l = m->l;
    float branch[2][N * D];
    draw(m, 0, m->embed_mask);
    m->k->embed(m->precision, N, D, CONTEXT, tokens, layout_of(l, l->embedding, m->p),
                layout_of(l, l->position, m->p), m->embed_mask, keep(m), m->block[0].in);
    for (int i = 0; i < LAYERS; i++) {
        struct plain_block *b = &m->block[i];
        float *out = i + 1 < LAYERS ? m->block[i + 1].in : m->out;
        draw(m, 1 + 2 * i, b->mask[0]);
        draw(m, 2 + 2 * i, b->mask[1]);
        norm(m, l->block[i].norm_gain[0], l->block[i].norm_bias[0], b->in, b->norm[0], b->mean[0],
             b->rstd[0]);
        linear(m, i, SITE_QKV, b->norm[0], b->qkv);
        m->k->attention_forward(m->precision, &m->shape, b->qkv, operand_full(b->attention),
                                b->row_max, b->row_scale, m->scratch);
        linear(m, i, SITE_ATTN_OUT, b->attention, branch[0]);
        if (l->model.block == BLOCK_PARALLEL) {
            feed_forward(m, i, b->norm[0], branch[1]);
            m->k->residual(m->precision, N * D, b->in, branch[0], b->mask[0], branch[1], b->mask[1],
                           keep(m), out);
            continue;
        }
        m->k->residual(m->precision, N * D, b->in, branch[0], b->mask[0], NULL, NULL, keep(m),
                       b->middle);
        norm(m, l->block[i].norm_gain[1], l->block[i].norm_bias[1], b->middle, b->norm[1],
             b->mean[1], b->rstd[1]);
        feed_forward(m, i, b->norm[1], branch[1]);
        m->k->residual(m->precision, N * D, b->middle, branch[1], b->mask[1], NULL, NULL, keep(m),
                       out);
    }
    norm(m, l->final_gain, l->final_bias, m->out, m->final, m->final_mean, m->final_rstd);
    multiply(m, N, V, D, m->final, D, 1, layout_of(l, l->head, m->operands), 1, D, NULL, m->logits);
}

static void norm_gradient(const struct plain *m, int gain, int bias, const float *dy1,
                          const float *dy2, const float *x, const float *mean, const float *rstd,
                          float *dx)
{
    m->k->layernorm_backward(m->precision, N, D, dy1, dy2, x, mean, rstd,
                             layout_of(m->l, gain, m->p), layout_at(m->l, gain, m->g),
                             layout_at(m->l, bias, m->g), dx);
}

static void feed_forward_gradient(struct plain *m, int layer, const float *x, const float *dx,
                                  float *dnorm)
{
    const struct plain_block *b = &m->block[layer];
    float dy[N * D], da[N * F], dh[N * 2 * F];
    m->k->mask_scale(m->precision, N * D, dx, b->mask[1], keep(m), dy);
    linear_gradient(m, layer, SITE_FFN_OUT, b->activated, dy, da);
    m->k->activation_backward(m->l->model.activation, m->precision, N, F, b->hidden, da,
                              operand_full(dh));
    linear_gradient(m, layer, SITE_FFN_IN, x, dh, dnorm);
}

static void attention_gradient(struct plain *m, int layer, const float *dx, float *dnorm)
{
    const struct plain_block *b = &m->block[layer];
    float dy[N * D], da[N * D], dqkv[N * 3 * D];
    m->k->mask_scale(m->precision, N * D, dx, b->mask[0], keep(m), dy);
    linear_gradient(m, layer, SITE_ATTN_OUT, b->attention, dy, da);
    m->k->attention_backward(m->precision, &m->shape, b->qkv, da, b->row_max, b->row_scale,
                             operand_full(dqkv), m->scratch);
    linear_gradient(m, layer, SITE_QKV, b->norm[0], dqkv, dnorm);
}

static void plain_backward(struct plain *m, const uint32_t *tokens, const uint32_t *targets,
                           float scale)
{
    const struct layout *l = m->l;
    float dx[N * D] = {0}, dnorm[2][N * D], dlogits[N * V], dhead[V * D];
    memcpy(dlogits, m->logits, sizeof dlogits);
    m->k->cross_entropy(m->precision, N, V, targets, scale, dlogits, m->loss);
    multiply(m, V, D, N, dlogits, 1, V, m->final, D, 1, NULL, dhead);
    multiply(m, N, D, V, dlogits, V, 1, layout_of(l, l->head, m->operands), D, 1, NULL, dnorm[0]);
    norm_gradient(m, l->final_gain, l->final_bias, dnorm[0], NULL, m->out, m->final_mean,
                  m->final_rstd, dx);
    for (int i = LAYERS - 1; i >= 0; i--) {
        const struct layout_block *lb = &l->block[i];
        const struct plain_block *b = &m->block[i];
        if (l->model.block == BLOCK_PARALLEL) {
            feed_forward_gradient(m, i, b->norm[0], dx, dnorm[1]);
            attention_gradient(m, i, dx, dnorm[0]);
            norm_gradient(m, lb->norm_gain[0], lb->norm_bias[0], dnorm[0], dnorm[1], b->in,
                          b->mean[0], b->rstd[0], dx);
            continue;
        }
        feed_forward_gradient(m, i, b->norm[1], dx, dnorm[1]);
        norm_gradient(m, lb->norm_gain[1], lb->norm_bias[1], dnorm[1], NULL, b->middle, b->mean[1],
                      b->rstd[1], dx);
        attention_gradient(m, i, dx, dnorm[0]);
        norm_gradient(m, lb->norm_gain[0], lb->norm_bias[0], dnorm[0], NULL, b->in, b->mean[0],
                      b->rstd[0], dx);
    }
    float dy[N * D], *embedding = layout_at(l, l->embedding, m->g);
    float *position = layout_at(l, l->position, m->g);
    m->k->mask_scale(m->precision, N * D, dx, m->embed_mask, keep(m), dy);
    for (int i = 0; i < N * D; i++) {
        embedding[tokens[i / D] * D + i % D] += dy[i];
        if (position) {
            position[i / D % CONTEXT * D + i % D] += dy[i];
        }
    }
    /* A tied matrix adds its embedding part, then its head part. */
    float *head = layout_at(l, l->head, m->g);
    for (int i = 0; i < V * D; i++) {
        head[i] += dhead[i];
    }
}

static void plain_create(struct plain *m, const struct layout *l, enum precision precision,
                         const struct dropout *dropout, const float *p)
{
    const int hd = D / HEADS, pairs = hd / 2;
    *m = (struct plain){
        .k = kernels_get(), .l = l, .precision = precision, .dropout = dropout, .p = p};
    m->operands = fixture_copy(l->length, p);
    half(m, l->length, m->operands);
    m->g = calloc(l->length, sizeof *m->g);
    for (int i = 0; i < CONTEXT * pairs; i++) {
        const double angle = i / pairs * pow(10000, -2.0 * (i % pairs) / hd);
        m->cosine[i] = (float)cos(angle);
        m->sine[i] = (float)sin(angle);
    }
    const bool rotary = l->model.position == POSITION_ROTARY;
    m->shape = (struct attention_shape){.sequences = SEQUENCES,
                                        .context = CONTEXT,
                                        .heads = HEADS,
                                        .head_dim = hd,
                                        .cosine = rotary ? m->cosine : NULL,
                                        .sine = rotary ? m->sine : NULL};
    assert_true(attention_scratch(CONTEXT, hd) <= sizeof m->scratch / sizeof m->scratch[0]);
}

/* Comparison ================================================================================== */

struct tally {
    size_t numbers, off;
};

/* In fp32 close; in a half type close, and most numbers the same. */
static void compare(const char *what, enum precision precision, size_t n, const float *a,
                    const float *b, struct tally *tally)
{
    const double unit = precision == PRECISION_FP32   ? 1e-5
                        : precision == PRECISION_BF16 ? 0x1p-6
                                                      : 0x1p-9;
    double *wide = fixture_doubles(n);
    for (size_t i = 0; i < n; i++) {
        wide[i] = b[i];
        tally->off += precision != PRECISION_FP32 && fabsf(a[i] - b[i]) > 1e-6f * fabsf(b[i]);
    }
    fixture_near(what, n, a, wide, unit);
    tally->numbers += n;
    free(wide);
}

static void check(const struct cell_model *model, enum precision precision,
                  const struct dropout *dropout, struct tally *tally)
{
    struct error err = {0};
    struct layout *l;
    struct model *m;
    struct plain *plain = malloc(sizeof *plain);
    uint64_t seed = 12;
    uint32_t tokens[N], targets[N];
    float loss[N];
    const float *logits;
    const float scale = (precision == PRECISION_FP16 ? 1024.0f : 1.0f) / N;
    assert_int_equal(layout_create(&err, &size, model, &l), STATUS_OK);
    assert_int_equal(model_create(&err, l, SEQUENCES, true, &m), STATUS_OK);
    float *p = fixture_floats(&seed, l->length, 0.5f), *g = calloc(l->length, sizeof *g);
    for (int t = 0; t < l->tensors; t++) {
        for (size_t i = 0; i < tensor_elements(&l->tensor[t]); i++) {
            layout_at(l, t, p)[i] += l->tensor[t].kind == TENSOR_GAIN ? 1 : 0;
        }
    }
    for (int i = 0; i < N; i++) {
        tokens[i] = (uint32_t)(fixture_bits(&seed) % V);
        targets[i] = (uint32_t)(fixture_bits(&seed) % V);
    }
    plain_create(plain, l, precision, dropout, p);
    const struct weights w = {.master = p, .operands = plain->operands};
    assert_int_equal(
        model_forward(&err, m, &w, precision, dropout, tokens, SEQUENCES, NULL, NULL, &logits),
        STATUS_OK);
    plain_forward(plain, tokens);
    compare("logits", precision, N * V, logits, plain->logits, tally);
    assert_int_equal(
        model_backward(&err, m, &w, precision, dropout, tokens, targets, scale, loss, g),
        STATUS_OK);
    plain_backward(plain, tokens, targets, scale);
    struct tally ignored = {0};
    compare("loss", precision, N, loss, plain->loss, &ignored);
    for (int t = 0; t < l->tensors; t++) {
        const struct tensor *tensor = &l->tensor[t];
        /* fp32 sums over half-type numbers differ in all digits once one of them does: not counted. */
        struct tally *count = tensor->kind == TENSOR_MATRIX ? tally : &ignored;
        compare(tensor->name, precision, tensor_elements(tensor), layout_of(l, t, g),
                layout_of(l, t, plain->g), count);
    }
    free(plain->operands), free(plain->g), free(plain), free(p), free(g);
    model_free(m);
    layout_free(l);
}

/* At most this share of the numbers is off: products of bf16 numbers leave fp32 sums room to be exact, those of fp16 do not. */
static void check_precision(enum precision precision, double most)
{
    const struct dropout none = {.seed = 1}, some = {.p = 0.2, .seed = 5, .step = 3, .sequence = 6};
    struct tally tally = {0};
    for (int i = 0; i < 24; i++) {
        const struct cell_model model = {.vocabulary = V,
                                         .block = i % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL,
                                         .position = i / 2 % 2 ? POSITION_LEARNED : POSITION_ROTARY,
                                         .activation = (enum activation)(i / 4 % 3),
                                         .bias = i / 12,
                                         .tied = i % 3 == 2};
        check(&model, precision, &none, &tally);
        check(&model, precision, &some, &tally);
    }
    if (!((double)tally.off <= most * (double)tally.numbers)) {
        fail_msg("%s: %zu of %zu numbers are off", precision_name(precision), tally.off,
                 tally.numbers);
    }
}

static void test_fp32(void **state)
{
    (void)state;
    check_precision(PRECISION_FP32, 0);
}

static void test_bf16(void **state)
{
    (void)state;
    check_precision(PRECISION_BF16, 0.002);
}

static void test_fp16(void **state)
{
    (void)state;
    check_precision(PRECISION_FP16, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp32),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_fp16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
