/* Gram matrices of some layers at a time: the same as of all at once, and of the transformed inputs. */
#include "tests/unit/study_run.h"

#include "study/calibrate.h"
#include "study/quantizers/parts.h"

struct setup {
    struct layout *layout;
    struct model *model;
    float *master;
    struct parameters flat;
    struct team team;
    struct algebra algebra;
    struct calibration_source source;
    struct calibration *calibration;
};

enum { WINDOW_COUNT = 5, GROUP = 2 };

static void set_up(struct setup *s, const struct cell *cell, const struct corpus *corpus)
{
    struct error err = {0};
    const bool absmax[TRANSFORMS] = {false};
    assert_int_equal(layout_create(&err, &cell->size, &cell->model, &s->layout), STATUS_OK);
    assert_int_equal(model_create(&err, s->layout, GROUP, false, &s->model), STATUS_OK);
    s->master = malloc(s->layout->length * sizeof *s->master);
    layout_initialize(s->layout, 9, s->master);
    s->flat = parameters_flat(s->layout, s->master);
    s->team = team_alone();
    s->algebra = algebra_lapack(&s->team);
    s->team.algebra = &s->algebra;
    s->source = (struct calibration_source){.team = &s->team,
                                            .model = s->model,
                                            .corpus = corpus,
                                            .parameters = &s->flat,
                                            .windows = WINDOW_COUNT,
                                            .micro_batch = GROUP,
                                            .seed = 3};
    assert_int_equal(calibration_create(&err, &s->source, absmax, &s->calibration), STATUS_OK);
}

static void tear_down(struct setup *s)
{
    calibration_free(s->calibration);
    model_free(s->model);
    layout_free(s->layout);
    free(s->master);
}

/* Σ 2x² of each input of a site, of inputs as they are or transformed, by hand. */
struct squares {
    struct setup *setup;
    enum transform transform;
    int at;
    double sum[64];
};

static void see(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    struct squares *s = context;
    if (layer * SITES + (int)site != s->at) {
        return;
    }
    float *copy = fixture_copy((size_t)rows * in, x), *p;
    assert_int_equal(calibration_parameters(NULL, s->setup->calibration, &s->setup->flat,
                                            s->transform, layer, site, &p),
                     STATUS_OK);
    if (p) {
        transform_of(s->transform)->inputs(in, p, rows, copy, copy);
    }
    for (int i = 0; i < rows * in; i++) {
        s->sum[i % in] += 2.0 * copy[i] * copy[i];
    }
    free(copy), free(p);
}

static void check_layers(struct setup *s, int first, int layers)
{
    struct error err = {0};
    const bool wanted[TRANSFORMS] = {true, true, true};
    assert_int_equal(calibration_grams(&err, &s->source, wanted, first, layers, s->calibration),
                     STATUS_OK);
    for (int t = 0; t < TRANSFORMS; t++) {
        for (int at = 0; at < s->layout->size.layers * SITES; at++) {
            const bool there = at / SITES >= first && at / SITES < first + layers;
            struct squares squares = {.setup = s, .transform = (enum transform)t, .at = at};
            double diagonal[64];
            assert_true((s->calibration->gram[t][at] != NULL) == there);
            if (!there) {
                continue;
            }
            assert_int_equal(s->algebra.gram_diagonal(&err, s->calibration->gram[t][at], diagonal),
                             STATUS_OK);
            assert_int_equal(calibration_windows(&err, &s->source, true, see, &squares), STATUS_OK);
            for (int i = 0; i < s->layout->in[at % SITES]; i++) {
                assert_true(squares.sum[i] > 0);
                assert_true(fabs(diagonal[i] / squares.sum[i] - 1) < 1e-9);
            }
        }
    }
}

static void test_layers(void **state)
{
    (void)state;
    struct setup s = {0};
    const struct cell cell = text_cell(10, PRECISION_FP32);
    struct corpus *corpus = text_corpus(300000, &cell.data);
    set_up(&s, &cell, corpus);
    check_layers(&s, 0, 2);
    check_layers(&s, 1, 1);
    check_layers(&s, 0, 1);
    tear_down(&s);
    corpus_free(corpus);
}

/* As many layers as 64 MiB hold, at least one, at most all. */
static void test_how_many(void **state)
{
    (void)state;
    static const struct {
        int layers, d, ff, transforms, together;
    } cases[] = {
        {4, 128, 512, 1, 4},    {40, 128, 512, 1, 26}, {40, 128, 512, 2, 13},
        {3, 4096, 16384, 1, 1}, {24, 512, 2048, 1, 1}, {24, 256, 1024, 1, 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layout *layout;
        const struct cell_size size = {.layers = cases[i].layers,
                                       .d_model = cases[i].d,
                                       .heads = 2,
                                       .d_ff = cases[i].ff,
                                       .context = 8};
        const struct cell_model model = {.vocabulary = 16};
        assert_int_equal(layout_create(NULL, &size, &model, &layout), STATUS_OK);
        assert_int_equal(calibration_layers(layout, cases[i].transforms), cases[i].together);
        layout_free(layout);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
