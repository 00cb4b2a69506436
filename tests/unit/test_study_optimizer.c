/* Global norm, clipping, loss scaling and decay of the optimizer. */
#include "tests/unit/study_fixture.h"

#include <stdio.h>

#include "study/optimizer.h"

static const struct cell_size size = {
    .name = "small", .layers = 2, .d_model = 48, .heads = 4, .d_ff = 100, .context = 20};
static const struct cell_model model = {.block = BLOCK_SEQUENTIAL,
                                        .position = POSITION_LEARNED,
                                        .activation = ACTIVATION_SWIGLU,
                                        .bias = true,
                                        .vocabulary = 256};
static const struct cell_train recipe = {
    .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .precision = PRECISION_FP32};

struct setup {
    struct layout *layout;
    struct shards *shards;
    struct optimizer o;
    float *gradient;
};

static struct setup set_up(const struct kernels *k, enum precision precision)
{
    struct setup s = {0};
    struct error err = {0};
    uint64_t seed = 17;
    assert_int_equal(layout_create(&err, &size, &model, &s.layout), STATUS_OK);
    const size_t n = s.layout->length;
    assert_int_equal(shards_create(&err, s.layout, 1, 0, &s.shards), STATUS_OK);
    assert_int_equal(s.shards->length, n);
    s.o = (struct optimizer){.shards = s.shards,
                             .kernels = k,
                             .squares = calloc(optimizer_chunks(s.layout), sizeof(double)),
                             .master = fixture_floats(&seed, n, 1),
                             .first = calloc(n, sizeof(float)),
                             .second = calloc(n, sizeof(float)),
                             .loss_scale = optimizer_initial_scale(precision)};
    s.gradient = fixture_floats(&seed, n, 0.1f);
    return s;
}

static void tear_down(struct setup *s)
{
    shards_free(s->shards);
    layout_free(s->layout);
    free(s->o.squares), free(s->o.master), free(s->o.first), free(s->o.second), free(s->gradient);
}

static struct update take_step(struct setup *s, const struct cell_train *train,
                               double learning_rate)
{
    struct team alone = team_alone();
    struct update u;
    s->o.team = &alone;
    assert_int_equal(optimizer_step(&s->o, train, learning_rate, s->gradient, &u), STATUS_OK);
    return u;
}

static double norm_of(struct setup *s, double unscale)
{
    struct team alone = team_alone();
    double norm = NAN;
    s->o.team = &alone;
    assert_int_equal(optimizer_norm(&s->o, s->gradient, unscale, &norm), STATUS_OK);
    return norm;
}

/* Plain Σ g² over the tensors. */
static double plain_norm(const struct setup *s)
{
    long double sum = 0;
    for (int t = 0; t < s->layout->tensors; t++) {
        const float *g = layout_of(s->layout, t, s->gradient);
        for (size_t i = 0; i < tensor_elements(&s->layout->tensor[t]); i++) {
            sum += (long double)g[i] * g[i];
        }
    }
    return (double)sqrtl(sum);
}

static void test_norm(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        struct setup s = set_up(k, PRECISION_FP32);
        const double want = plain_norm(&s), norm = norm_of(&s, 1);
        assert_true(fabs(norm - want) <= 1e-12 * want);
        assert_true(norm_of(&s, 0.25) == norm * 0.25);
        /* What lies between the tensors is no part of the gradient. */
        uint8_t *used = calloc(s.layout->length, 1);
        for (int t = 0; t < s.layout->tensors; t++) {
            memset(used + s.layout->tensor[t].offset, 1, tensor_elements(&s.layout->tensor[t]));
        }
        size_t gaps = 0;
        for (size_t i = 0; i < s.layout->length; i++) {
            s.gradient[i] = used[i] ? s.gradient[i] : NAN;
            gaps += !used[i];
        }
        assert_true(gaps > 0);
        assert_true(norm_of(&s, 1) == norm);
        free(used);
        tear_down(&s);
    }
}

/* Chunks of 4096 elements that lie with different ranks, each in memory of its own, added up in order: the same bits,
 * wherever the shards are cut. */
static void test_norm_sharded(void **state)
{
    (void)state;
    enum { CHUNK = 4096 };
    FOR_EACH_ISA(k)
    {
        struct setup s = set_up(k, PRECISION_FP32);
        double sum = 0;
        for (int t = 0; t < s.layout->tensors; t++) {
            const float *g = layout_of(s.layout, t, s.gradient);
            const size_t n = tensor_elements(&s.layout->tensor[t]);
            for (size_t at = 0; at < n; at += CHUNK) {
                const size_t here = n - at < CHUNK ? n - at : CHUNK;
                float *room = malloc((here + 3) * sizeof *room), *shard = room + at / CHUNK % 4;
                memcpy(shard, g + at, here * sizeof *shard);
                sum += k->squared_sum(here, shard);
                free(room);
            }
        }
        assert_true(norm_of(&s, 1) == sqrt(sum));
        tear_down(&s);
    }
}

/* The golden steps of AdamW, through optimizer_step: its bias correction counts the updates. */
static void test_reference(void **state)
{
    (void)state;
    enum { N = 6 };
    FOR_EACH_ISA(k)
    {
        struct setup s = set_up(k, PRECISION_FP32);
        float *p = layout_at(s.layout, s.layout->block[1].weight[SITE_FFN_IN], s.o.master);
        float *g = layout_at(s.layout, s.layout->block[1].weight[SITE_FFN_IN], s.gradient);
        char line[512];
        int steps = 0;
        FILE *file = fopen(PTQSCALE_SOURCE_DIR "/tests/golden/adamw.txt", "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            double want[N];
            int t;
            if (line[0] == '#') {
                continue;
            }
            assert_int_equal(sscanf(line, "%d %lf %lf %lf %lf %lf %lf", &t, &want[0], &want[1],
                                    &want[2], &want[3], &want[4], &want[5]),
                             N + 1);
            for (int i = 0; i < N; i++) {
                g[i] = (float)(sin(0.3 * t * (i + 1)) + 0.1 * i);
                p[i] = t == 0 ? (float)want[i] : p[i];
            }
            if (t == 0) {
                continue;
            }
            struct update u = take_step(&s, &recipe, 0.01);
            assert_false(u.skipped || u.diverged);
            for (int i = 0; i < N; i++) {
                assert_true(fabs(p[i] - want[i]) < 1e-6);
            }
            steps++;
        }
        fclose(file);
        assert_int_equal(steps, 5);
        assert_int_equal(s.o.updates, 5);
        tear_down(&s);
    }
}

/* After the first step the first moments are (1 − β1) times the gradient that was applied. */
static double applied_norm(const struct setup *s)
{
    double sum = 0;
    for (int t = 0; t < s->layout->tensors; t++) {
        const float *m = layout_of(s->layout, t, s->o.first);
        for (size_t i = 0; i < tensor_elements(&s->layout->tensor[t]); i++) {
            sum += (double)m[i] * m[i];
        }
    }
    return sqrt(sum) / (1 - (double)(float)recipe.beta1);
}

static void test_clipping(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int i = 0; i < 3; i++) { /* no clipping, a limit below the norm, one above it */
            struct setup s = set_up(k, PRECISION_FP32);
            const double norm = plain_norm(&s);
            struct cell_train train = recipe;
            train.grad_clip = i == 0 ? 0 : i == 1 ? norm / 7 : norm * 1.01;
            struct update u = take_step(&s, &train, 1e-3);
            assert_true(fabs(u.grad_norm - norm) <= 1e-12 * norm); /* before clipping */
            const double want = i == 1 ? train.grad_clip : norm;
            assert_true(fabs(applied_norm(&s) - want) <= 1e-6 * want);
            tear_down(&s);
        }
    }
}

/* Loss scaling is exact: with the gradient times the scale, the same step as fp32 takes. Clipping looks at the
 * unscaled norm. */
static void test_unscaled(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        struct setup plain = set_up(k, PRECISION_FP32), scaled = set_up(k, PRECISION_FP16);
        struct cell_train train = recipe, half = recipe;
        assert_true(scaled.o.loss_scale == 32768 && plain.o.loss_scale == 1);
        assert_true(optimizer_initial_scale(PRECISION_BF16) == 1);
        half.precision = PRECISION_FP16;
        train.grad_clip = half.grad_clip = plain_norm(&plain) / 2;
        for (size_t i = 0; i < scaled.layout->length; i++) {
            scaled.gradient[i] *= 32768;
        }
        for (int step = 0; step < 3; step++) {
            struct update a = take_step(&plain, &train, 1e-3);
            struct update b = take_step(&scaled, &half, 1e-3);
            assert_true(a.grad_norm == b.grad_norm);
            fixture_same_bits("weights", plain.layout->length, plain.o.master, scaled.o.master);
        }
        tear_down(&plain), tear_down(&scaled);
    }
}

/* Weights and moments as they were. */
struct kept {
    float *master, *first, *second;
};

static struct kept keep(const struct setup *s)
{
    const size_t n = s->layout->length;
    return (struct kept){fixture_copy(n, s->o.master), fixture_copy(n, s->o.first),
                         fixture_copy(n, s->o.second)};
}

static void check_unchanged(const struct setup *s, struct kept *kept)
{
    const size_t n = s->layout->length;
    fixture_same_bits("weights", n, s->o.master, kept->master);
    fixture_same_bits("first moments", n, s->o.first, kept->first);
    fixture_same_bits("second moments", n, s->o.second, kept->second);
    free(kept->master), free(kept->first), free(kept->second);
}

static void test_overflow(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    struct cell_train half = recipe;
    half.precision = PRECISION_FP16;
    FOR_EACH_ISA(k)
    {
        struct setup s = set_up(k, PRECISION_FP16);
        double scale = 32768;
        int64_t skipped = 0;
        for (int t = 0; t < s.layout->tensors; t++) {
            float *g = layout_at(s.layout, t, s.gradient);
            const size_t at = tensor_elements(&s.layout->tensor[t]) - 1;
            const float good = g[at];
            assert_false(take_step(&s, &half, 1e-3).skipped);
            struct kept kept = keep(&s);
            g[at] = bad[t % 3];
            struct update u = take_step(&s, &half, 1e-3);
            g[at] = good;
            check_unchanged(&s, &kept);
            scale /= 2;
            skipped++;
            assert_true(u.skipped && !isfinite(u.grad_norm) && s.o.loss_scale == scale);
            assert_int_equal(s.o.skipped, skipped);
            assert_int_equal(s.o.updates,
                             t + 1); /* skipped steps do not count for the bias correction */
            if (scale < 1) {
                s.o.loss_scale = scale = 32768;
            } else {
                assert_false(u.diverged);
            }
        }
        tear_down(&s);
    }
}

static void test_growth(void **state)
{
    (void)state;
    struct cell_train half = recipe;
    half.precision = PRECISION_FP16;
    const struct kernels *k = kernels_get();
    struct setup s = set_up(k, PRECISION_FP16);
    for (int i = 1; i <= 2000; i++) {
        take_step(&s, &half, 1e-6);
        assert_true(s.o.loss_scale == (i < 1000 ? 32768 : i < 2000 ? 65536 : 131072));
    }
    /* An overflow after 999 good steps starts the count anew. */
    for (int i = 0; i < 999; i++) {
        take_step(&s, &half, 1e-6);
    }
    const float good = s.gradient[0];
    s.gradient[0] = INFINITY;
    assert_true(take_step(&s, &half, 1e-6).skipped);
    s.gradient[0] = good;
    for (int i = 1; i <= 1000; i++) {
        assert_true(s.o.loss_scale == 65536);
        take_step(&s, &half, 1e-6);
    }
    assert_true(s.o.loss_scale == 131072);
    /* Other precisions have no scale to grow. */
    s.o.loss_scale = 1;
    for (int i = 0; i < 1001; i++) {
        take_step(&s, &recipe, 1e-6);
    }
    assert_true(s.o.loss_scale == 1);
    tear_down(&s);
}

/* When no scale is left to halve, the gradient itself is not finite: the run has diverged. */
static void test_scale_exhausted(void **state)
{
    (void)state;
    struct cell_train half = recipe;
    half.precision = PRECISION_FP16;
    struct setup s = set_up(kernels_get(), PRECISION_FP16);
    s.gradient[3] = NAN;
    int steps = 1;
    while (!take_step(&s, &half, 1e-3).diverged) {
        assert_true(steps < 1000);
        steps++;
    }
    assert_true(steps > 15);
    assert_int_equal(s.o.updates, 0);
    tear_down(&s);
}

/* Without loss scaling a gradient that is not finite ends the run, and touches nothing. */
static void test_diverged(void **state)
{
    (void)state;
    FOR_EACH_ISA(k)
    {
        for (int p = 0; p < 2; p++) {
            struct setup s = set_up(k, fixture_precision[p]);
            struct cell_train train = recipe;
            train.precision = fixture_precision[p];
            take_step(&s, &train, 1e-3);
            struct kept kept = keep(&s);
            s.gradient[s.layout->tensor[5].offset] = p ? NAN : INFINITY;
            struct update u = take_step(&s, &train, 1e-3);
            assert_true(u.diverged && !u.skipped);
            assert_true(s.o.loss_scale == 1 && s.o.skipped == 0 && s.o.updates == 1);
            check_unchanged(&s, &kept);
            tear_down(&s);
        }
    }
}

/* With no gradient matrices shrink by 1 − ηλ; gains, biases and embeddings keep every bit. */
static void test_decay(void **state)
{
    (void)state;
    const double rate = 0.01;
    FOR_EACH_ISA(k)
    {
        struct setup s = set_up(k, PRECISION_FP32);
        int matrices = 0;
        memset(s.gradient, 0, s.layout->length * sizeof(float));
        float *before = fixture_copy(s.layout->length, s.o.master);
        take_step(&s, &recipe, rate);
        for (int t = 0; t < s.layout->tensors; t++) {
            const struct tensor *tensor = &s.layout->tensor[t];
            const bool decays = tensor->rows > 1 && strcmp(tensor->name, "embedding") != 0 &&
                                strcmp(tensor->name, "position") != 0;
            matrices += decays;
            for (size_t i = 0; i < tensor_elements(tensor); i++) {
                const float old = before[tensor->offset + i], now = s.o.master[tensor->offset + i];
                if (decays ? fabs(now - old * (1 - rate * 0.1)) > 1e-7 * fabs((double)old)
                           : now != old) {
                    fail_msg("%s[%zu]: %.9g becomes %.9g", tensor->name, i, old, now);
                }
            }
        }
        assert_int_equal(matrices, 2 * SITES + 1);
        free(before);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),      cmocka_unit_test(test_norm_sharded),
        cmocka_unit_test(test_reference), cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_unscaled),  cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_growth),    cmocka_unit_test(test_scale_exhausted),
        cmocka_unit_test(test_diverged),  cmocka_unit_test(test_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
