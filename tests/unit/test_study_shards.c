/* Who holds what of a model in a team: pieces cover it once, cuts lie between chunks, larger teams' pieces lie in smaller ones'. */
#include "tests/unit/study_fixture.h"

#include "study/parameters.h"

static struct layout *layout(int d_model, int layers, enum block block, bool tied, bool bias)
{
    const struct cell_size size = {.name = "some",
                                   .layers = layers,
                                   .d_model = d_model,
                                   .heads = 2,
                                   .d_ff = 3 * d_model + 8,
                                   .context = 16};
    const struct cell_model model = {.vocabulary = 256,
                                     .block = block,
                                     .position = tied ? POSITION_LEARNED : POSITION_ROTARY,
                                     .tied = tied,
                                     .bias = bias};
    struct error err = {0};
    struct layout *l;
    assert_int_equal(layout_create(&err, &size, &model, &l), STATUS_OK);
    return l;
}

static void check_units(const struct layout *l)
{
    size_t at = 0;
    assert_int_equal(l->units, l->size.layers * SITES + 2);
    for (int u = 0; u < l->units; u++) {
        assert_int_equal(l->unit[u].offset, at);
        at += l->unit[u].length;
    }
    assert_int_equal(at, l->length);
    for (int i = 0; i < l->tensors; i++) {
        const struct unit *u = &l->unit[l->tensor[i].unit];
        assert_true(l->tensor[i].offset >= u->offset &&
                    l->tensor[i].offset + tensor_elements(&l->tensor[i]) <= u->offset + u->length);
    }
    for (int i = 0; i < l->size.layers; i++) {
        for (int s = 0; s < SITES; s++) {
            assert_int_equal(l->tensor[l->block[i].weight[s]].unit, layout_unit(i, (enum site)s));
        }
    }
}

/* How often each element of each tensor is held by the pieces. */
static void check_pieces(const struct layout *l, int pieces)
{
    struct error err = {0};
    uint8_t *held = calloc(l->length, 1);
    size_t all = 0;
    for (int piece = 0; piece < pieces; piece++) {
        struct shards *s, *wide;
        size_t at = 0;
        assert_int_equal(shards_create(&err, l, pieces, piece, &s), STATUS_OK);
        assert_int_equal(shards_create(&err, l, 2 * pieces, 2 * piece + 1, &wide), STATUS_OK);
        all += s->length;
        for (int i = 0; i < s->spans; i++) {
            const struct span *span = &s->span[i];
            const struct tensor *t = &l->tensor[span->tensor];
            assert_int_equal(span->first % SHARDS_CHUNK, 0);
            assert_true(span->first + span->count == tensor_elements(t) ||
                        span->count % SHARDS_CHUNK == 0);
            assert_true(span->at >= at && span->at + span->count <= s->length);
            assert_int_equal(span->at % 16, 0); /* aligned like the layout's own */
            at = span->at + span->count;
            for (size_t e = 0; e < span->count; e++) {
                held[t->offset + span->first + e]++;
            }
        }
        for (int u = 0; u < l->units; u++) {
            const size_t *begin = shards_floats(s, u), *nested = shards_floats(wide, u);
            for (int k = 0; k <= pieces; k++) {
                assert_int_equal(begin[k], nested[2 * k]);
                assert_int_equal(shards_bytes(s, u)[k], begin[k] * sizeof(float));
            }
            assert_true(begin[0] == 0 && begin[pieces] == l->unit[u].length);
        }
        shards_free(s);
        shards_free(wide);
    }
    assert_int_equal(all, l->length);
    for (int i = 0; i < l->tensors; i++) {
        for (size_t e = 0; e < tensor_elements(&l->tensor[i]); e++) {
            assert_int_equal(held[l->tensor[i].offset + e], 1);
        }
    }
    free(held);
}

static void test_pieces(void **state)
{
    (void)state;
    static const int widths[] = {4, 30, 128};
    for (int i = 0; i < 12; i++) {
        struct layout *l =
            layout(widths[i % 3], 1 + i % 2, i % 4 < 2 ? BLOCK_PARALLEL : BLOCK_SEQUENTIAL,
                   i % 5 == 0, i % 2 == 0);
        check_units(l);
        for (int pieces = 1; pieces <= 64; pieces *= 2) {
            check_pieces(l, pieces);
        }
        layout_free(l);
    }
}

/* Pieces are about equally large where there is enough to share out. */
static void test_even(void **state)
{
    (void)state;
    struct error err = {0};
    struct layout *l = layout(512, 2, BLOCK_PARALLEL, false, true);
    for (int pieces = 2; pieces <= 8; pieces *= 2) {
        for (int piece = 0; piece < pieces; piece++) {
            struct shards *s;
            assert_int_equal(shards_create(&err, l, pieces, piece, &s), STATUS_OK);
            const double share = (double)s->length * pieces / (double)l->length;
            assert_true(share > 0.9 && share < 1.1);
            shards_free(s);
        }
    }
    layout_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces), cmocka_unit_test(test_even)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
