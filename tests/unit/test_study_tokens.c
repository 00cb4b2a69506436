/* The table of what the first block makes of each token: a forward pass that takes it finds the same logits. */
#include "tests/unit/study_fixture.h"

#include "study/model.h"
#include "study/quantize.h"

/* More tokens than rows of a micro-batch, and not a multiple. */
enum { SEQUENCES = 3, CONTEXT = 11, V = 50, N = SEQUENCES * CONTEXT };

static const struct cell_size size = {
    .name = "two", .layers = 2, .d_model = 24, .heads = 3, .d_ff = 40, .context = CONTEXT};

struct setup {
    struct layout *layout;
    struct model *model;
    float *p;
    uint32_t tokens[N];
};

static struct setup set_up(enum block block, enum activation activation, enum position position)
{
    struct setup s = {0};
    struct error err = {0};
    const struct cell_model model = {.block = block,
                                     .position = position,
                                     .activation = activation,
                                     .bias = true,
                                     .vocabulary = V};
    uint64_t seed = 3;
    assert_int_equal(layout_create(&err, &size, &model, &s.layout), STATUS_OK);
    assert_int_equal(model_create(&err, s.layout, SEQUENCES, false, &s.model), STATUS_OK);
    s.p = fixture_floats(&seed, s.layout->length, 0.5f);
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

static float *logits_of(struct setup *s, const struct weights *w, int sequences,
                        observe_fn *observe)
{
    struct error err = {0};
    const struct dropout none = {0};
    const float *logits;
    assert_int_equal(model_forward(&err, s->model, w, PRECISION_FP32, &none, s->tokens, sequences,
                                   observe, NULL, &logits),
                     STATUS_OK);
    return fixture_copy((size_t)sequences * CONTEXT * V, logits);
}

static void see(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    (void)context, (void)layer, (void)site, (void)rows, (void)in, (void)x;
}

/* `exact`: all products of the blocks are of integers. Else a library's sum may depend on where in a matrix a row stands. */
static void check_table(struct setup *s, const struct quantized_site *quantized, bool exact)
{
    struct error err = {0};
    struct weights w = {.master = s->p, .operands = s->p, .quantized = quantized};
    const size_t floats = model_token_floats(s->layout, quantized ? quantized->quantizer : NULL);
    float *table = malloc(floats * sizeof *table);
    assert_int_equal(floats, (size_t)V * 24 * (s->layout->model.block == BLOCK_PARALLEL ? 4 : 3));
    assert_int_equal(model_tokens(&err, s->model, &w, table), STATUS_OK);
    for (int sequences = 1; sequences <= SEQUENCES; sequences++) {
        const size_t n = (size_t)sequences * CONTEXT * V;
        w.tokens = NULL;
        float *want = logits_of(s, &w, sequences, NULL);
        w.tokens = table;
        float *got = logits_of(s, &w, sequences, NULL);
        double *wide = fixture_doubles(n);
        for (size_t i = 0; i < n; i++) {
            wide[i] = want[i];
        }
        fixture_near("logits", n, got, wide, exact ? 0 : 1e-5);
        /* Observers see every site, so that nothing may be left out. */
        float *seen = logits_of(s, &w, sequences, see);
        fixture_same_bits("logits", n, seen, want);
        free(want), free(got), free(wide), free(seen);
    }
    /* It is the table that is read. */
    for (size_t i = 0; i < floats; i++) {
        table[i] = 1;
    }
    float *other = logits_of(s, &w, 1, NULL);
    w.tokens = NULL;
    float *want = logits_of(s, &w, 1, NULL);
    assert_true(memcmp(other, want, (size_t)CONTEXT * V * sizeof *want) != 0);
    free(other), free(want), free(table);
}

static void test_same(void **state)
{
    (void)state;
    static const char *const names[] = {"w8a8", "w4a4", "w4a4-had", "w4g32", "nf4", "fp8a8"};
    for (int i = 0; i < 6; i++) {
        struct setup s = set_up(i % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL, (enum activation)(i / 2),
                                POSITION_ROTARY);
        check_table(&s, NULL, false);
        for (size_t q = 0; q < sizeof names / sizeof names[0]; q++) {
            struct error err = {0};
            struct quantized *quantized;
            const struct quantizer *quantizer = quantizer_find(names[q]);
            struct parameters flat = parameters_flat(s.layout, s.p);
            assert_int_equal(quantized_create(&err, &flat, quantizer, NULL, &quantized), STATUS_OK);
            check_table(&s, quantized_sites(quantized), quantizer_is_integer(quantizer));
            quantized_free(quantized);
        }
        tear_down(&s);
    }
}

/* Where the first block sees more than the token, there is no table; nor is there one in training. */
static void test_none(void **state)
{
    (void)state;
    struct error err = {0};
    struct setup s = set_up(BLOCK_PARALLEL, ACTIVATION_GELU, POSITION_LEARNED);
    assert_int_equal(model_token_floats(s.layout, NULL), 0);
    assert_int_equal(model_token_floats(s.layout, quantizer_find("w8a8")), 0);
    tear_down(&s);
    s = set_up(BLOCK_PARALLEL, ACTIVATION_GELU, POSITION_ROTARY);
    assert_true(model_token_floats(s.layout, quantizer_find("w8a8")) > 0);
    assert_int_equal(model_token_floats(s.layout, quantizer_find("w8a8-llmint8")), 0);
    assert_int_equal(model_token_floats(s.layout, quantizer_find("w8a8-llmint8-std")), 0);
    const struct dropout none = {0};
    const struct weights w = {.master = s.p, .operands = s.p, .tokens = s.p};
    const float *logits;
    assert_int_equal(
        model_forward(&err, s.model, &w, PRECISION_BF16, &none, s.tokens, 1, NULL, NULL, &logits),
        STATUS_FAILED);
    error_clear(&err);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
