/*
 * Where a model drops what: masks made visible. All matrices are zero but for a head that shows the residual stream; one
 * source of it at a time, the embedding or a branch's bias, is 1, so that the final LayerNorm's sign tells what was
 * kept.
 */
#include "tests/unit/study_fixture.h"

#include "study/model.h"

enum { LAYERS = 2, D = 64, CONTEXT = 16, SEQUENCES = 4, N = SEQUENCES * CONTEXT, ALL = N * D };
enum { SOURCES = 1 + 2 * LAYERS }; /* the embedding; attention and FFN of each layer */

static const struct cell_size size = {
    .name = "visible", .layers = LAYERS, .d_model = D, .heads = 4, .d_ff = 32, .context = CONTEXT};

static void set(const struct layout *l, int tensor, float *p, float value)
{
    float *x = layout_at(l, tensor, p);
    for (size_t i = 0; i < tensor_elements(&l->tensor[tensor]); i++) {
        x[i] = value;
    }
}

/* What the model keeps (1) of this source: (N, D). */
static void kept(enum block block, enum position position, int source,
                 const struct dropout *dropout, uint8_t *mask)
{
    struct error err = {0};
    struct layout *l;
    struct model *m;
    const struct cell_model shape = {.block = block,
                                     .position = position,
                                     .activation = ACTIVATION_RELU,
                                     .bias = true,
                                     .vocabulary = D};
    const uint32_t tokens[N] = {0};
    const float *logits;
    assert_int_equal(layout_create(&err, &size, &shape, &l), STATUS_OK);
    assert_int_equal(model_create(&err, l, SEQUENCES, true, &m), STATUS_OK);
    float *p = calloc(l->length, sizeof *p);
    for (int t = 0; t < l->tensors; t++) {
        if (l->tensor[t].kind == TENSOR_GAIN) {
            set(l, t, p, 1);
        }
    }
    for (int i = 0; i < D; i++) {
        layout_at(l, l->head, p)[i * D + i] = 1;
    }
    if (source == 0) {
        set(l, position == POSITION_LEARNED ? l->position : l->embedding, p, 1);
    } else {
        set(l, l->block[(source - 1) / 2].bias[source % 2 ? SITE_ATTN_OUT : SITE_FFN_OUT], p, 1);
    }
    const struct weights w = {.master = p, .operands = p};
    assert_int_equal(
        model_forward(&err, m, &w, PRECISION_FP32, dropout, tokens, SEQUENCES, NULL, NULL, &logits),
        STATUS_OK);
    for (int i = 0; i < ALL; i++) {
        assert_true(logits[i] != 0); /* in no row all or nothing is kept */
        mask[i] = logits[i] > 0;
    }
    free(p);
    model_free(m);
    layout_free(l);
}

/* Share of elements in which two masks differ. */
static double difference(const uint8_t *a, const uint8_t *b)
{
    int different = 0;
    for (int i = 0; i < ALL; i++) {
        different += a[i] != b[i];
    }
    return (double)different / ALL;
}

/* Masks drawn independently with probability p differ in 2p(1 − p) of their elements. */
static void check_independent(const uint8_t *a, const uint8_t *b, double p)
{
    const double q = 2 * p * (1 - p);
    assert_true(fabs(difference(a, b) - q) < 5 * sqrt(q * (1 - q) / ALL));
}

/* The embedding sum and each branch's output are dropped, each with a mask of its own. */
static void test_sources(void **state)
{
    (void)state;
    uint8_t *mask = malloc(SOURCES * ALL), *other = malloc(ALL);
    for (int variant = 0; variant < 4; variant++) {
        const enum block block = variant % 2 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL;
        const enum position position = variant / 2 ? POSITION_LEARNED : POSITION_ROTARY;
        struct dropout dropout = {.p = 0.4, .seed = 9, .step = 6, .sequence = 8};
        for (int s = 0; s < SOURCES; s++) {
            uint8_t *here = mask + s * ALL;
            int dropped = 0;
            kept(block, position, s, &dropout, here);
            for (int i = 0; i < ALL; i++) {
                dropped += !here[i];
            }
            assert_true(fabs((double)dropped / ALL - 0.4) < 5 * sqrt(0.4 * 0.6 / ALL));
            for (int t = 0; t < s; t++) {
                check_independent(here, mask + t * ALL, 0.4);
            }
            dropout.step++;
            kept(block, position, s, &dropout, other);
            check_independent(here, other, 0.4);
            dropout.step--;
            dropout.seed++;
            kept(block, position, s, &dropout, other);
            check_independent(here, other, 0.4);
            dropout.seed--;
        }
    }
    free(mask), free(other);
}

/* Sequence 10 has the same mask in the micro-batch of sequences 8 … 11 and in that of 10 … 13. */
static void test_sequences(void **state)
{
    (void)state;
    uint8_t *a = malloc(ALL), *b = malloc(ALL);
    struct dropout dropout = {.p = 0.4, .seed = 9, .step = 6, .sequence = 8}, later = dropout;
    later.sequence = 10;
    for (int s = 0; s < SOURCES; s++) {
        kept(BLOCK_PARALLEL, POSITION_ROTARY, s, &dropout, a);
        kept(BLOCK_PARALLEL, POSITION_ROTARY, s, &later, b);
        assert_memory_equal(a + 2 * CONTEXT * D, b, 2 * CONTEXT * D);
        check_independent(a, b, 0.4);
    }
    free(a), free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
