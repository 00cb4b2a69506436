/* Probes against plain formulas, on weights that make the answer known, and in teams. */
#include "study/probe.h"

#include "study/quantize.h"
#include "tests/unit/study_team.h"
#include "tests/unit/study_text.h"

enum { LAYERS = 2, WIDTH = 64, CONTEXT = 16, MICRO = 2 };

struct setting {
    struct cell cell;
    struct corpus *corpus;
    struct layout *layout;
    struct model *model;
    float *master;
    struct record *record;
    struct error err;
};

static struct setting *setting_create(enum block block, int windows)
{
    struct setting *s = calloc(1, sizeof *s);
    s->cell = text_cell(10, PRECISION_BF16);
    s->cell.size = (struct cell_size){.name = "planted",
                                      .layers = LAYERS,
                                      .d_model = WIDTH,
                                      .heads = 2,
                                      .d_ff = 96,
                                      .context = CONTEXT};
    s->cell.model.block = block;
    s->cell.evaluate.checkpoints = 2;
    s->cell.evaluate.fraction[0] = 0.5;
    s->cell.evaluate.fraction[1] = 1;
    s->cell.evaluate.windows = windows;
    s->corpus = text_corpus(400000, &s->cell.data);
    assert_int_equal(layout_create(&s->err, &s->cell.size, &s->cell.model, &s->layout), STATUS_OK);
    assert_int_equal(model_create(&s->err, s->layout, MICRO, false, &s->model), STATUS_OK);
    assert_int_equal(record_create(&s->err, &s->cell, &s->record), STATUS_OK);
    s->master = malloc(s->layout->length * sizeof *s->master);
    layout_initialize(s->layout, 5, s->master);
    return s;
}

static void setting_free(struct setting *s)
{
    record_free(s->record);
    model_free(s->model);
    layout_free(s->layout);
    corpus_free(s->corpus);
    free(s->master);
    free(s);
}

static float *tensor(struct setting *s, int index)
{
    return layout_at(s->layout, index, s->master);
}

static void probe_alone(struct setting *s, const struct algebra *algebra)
{
    struct team team = team_alone();
    team.algebra = algebra;
    struct parameters flat = parameters_flat(s->layout, s->master);
    for (int c = 0; c < 2; c++) {
        if (probe(&s->err, &team, s->corpus, &s->cell, s->model, &flat, c, s->record) !=
            STATUS_OK) {
            fail_msg("%s", s->err.message);
        }
    }
}

/* Of checkpoint 1 (of 0 and 1: both are filled alike). */
static size_t at(int layer, enum site site)
{
    return (size_t)(LAYERS + layer) * SITES + site;
}

static void near(const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fabs(b))) {
        fail_msg("%s is %.17g, not %.17g", what, a, b);
    }
}

/* Formulas ==================================================================================== */

struct sample {
    float *x; /* all inputs of one site, or outputs of one block, (positions, width) */
    int width, positions;
};

struct seen {
    struct sample input[LAYERS][SITES], output[LAYERS];
};

static void append(struct sample *s, int rows, int width, const float *x)
{
    s->x = realloc(s->x, (size_t)(s->positions + rows) * width * sizeof *x);
    memcpy(s->x + (size_t)s->positions * width, x, (size_t)rows * width * sizeof *x);
    s->positions += rows;
    s->width = width;
}

static void see_input(void *context, int layer, enum site site, int rows, int in, const float *x)
{
    append(&((struct seen *)context)->input[layer][site], rows, in, x);
}

static void see_output(void *context, int layer, int rows, int d, const float *x)
{
    append(&((struct seen *)context)->output[layer], rows, d, x);
}

/* All that a model's blocks see of the probed windows, one window at a time. */
static void collect(struct setting *s, const struct quantized_site *quantized, struct seen *seen)
{
    const struct weights weights = {
        .master = s->master, .operands = s->master, .quantized = quantized};
    const struct dropout none = {0};
    const int all = s->cell.evaluate.windows, probed = all < 64 ? all : 64;
    memset(seen, 0, sizeof *seen);
    model_watch_blocks(s->model, see_output, seen);
    for (int w = 0; w < probed; w++) {
        const float *logits;
        uint32_t text[CONTEXT];
        corpus_held_out_window(s->corpus, CONTEXT, w * all / probed, all, text, NULL);
        assert_int_equal(model_forward(&s->err, s->model, &weights, PRECISION_FP32, &none, text, 1,
                                       see_input, seen, &logits),
                         STATUS_OK);
    }
    model_watch_blocks(s->model, NULL, NULL);
}

static void seen_free(struct seen *seen)
{
    for (int i = 0; i < LAYERS; i++) {
        for (int k = 0; k < SITES; k++) {
            free(seen->input[i][k].x);
        }
        free(seen->output[i].x);
    }
}

static int outliers_of(const struct sample *s, double threshold)
{
    int dimensions = 0;
    for (int j = 0; j < s->width; j++) {
        int above = 0;
        for (int r = 0; r < s->positions; r++) {
            above += fabs((double)s->x[(size_t)r * s->width + j]) >= threshold;
        }
        dimensions += above >= 0.06 * s->positions;
    }
    return dimensions;
}

static void check_input(const struct record *r, size_t i, const struct sample *s)
{
    const size_t n = (size_t)s->positions * s->width;
    long double mean = 0, second = 0, fourth = 0;
    double largest = 0;
    for (size_t k = 0; k < n; k++) {
        mean += (long double)s->x[k] / (long double)n;
        largest = fmax(largest, fabs(s->x[k]));
    }
    for (size_t k = 0; k < n; k++) {
        const long double d = s->x[k] - mean;
        second += d * d / (long double)n;
        fourth += d * d * d * d / (long double)n;
    }
    near("input std", r->probe_input_std[i], (double)sqrtl(second), 1e-12);
    near("kurtosis", r->probe_input_kurtosis[i], (double)(fourth / (second * second)), 1e-11);
    assert_true(r->probe_input_max[i] == largest);
    assert_true(r->probe_outliers[i] == outliers_of(s, 6));
    assert_true(r->probe_outliers_relative[i] == outliers_of(s, 6 * (double)sqrtl(second)));
}

static void check_formulas(enum block block, int windows)
{
    struct setting *s = setting_create(block, windows);
    struct seen full, less;
    struct quantized *quantized = NULL;
    uint64_t random = 6;
    double most = 0, most_relative = 0;
    /* Gains of many sizes: some dimensions are beyond 6, some are now and then. */
    for (int i = 0; i < LAYERS; i++) {
        float *gain = tensor(s, s->layout->block[i].norm_gain[0]);
        for (int j = 0; j < WIDTH; j++) {
            gain[j] = 4 * fixture_uniform(&random);
        }
        gain[7] = 40;
    }
    probe_alone(s, NULL);
    struct parameters flat = parameters_flat(s->layout, s->master);
    assert_int_equal(quantized_create(&s->err, &flat, quantizer_find("w8a8"), NULL, &quantized),
                     STATUS_OK);
    collect(s, NULL, &full);
    collect(s, quantized_sites(quantized), &less);
    for (int i = 0; i < LAYERS; i++) {
        for (int k = 0; k < SITES; k++) {
            const size_t a = at(i, (enum site)k);
            check_input(s->record, a, &full.input[i][k]);
            most = fmax(most, s->record->probe_outliers[a]);
            most_relative = fmax(most_relative, s->record->probe_outliers_relative[a]);
        }
        const struct sample *y = &full.output[i], *z = &less.output[i];
        double rmse = 0;
        for (int r = 0; r < y->positions; r++) {
            double squares = 0;
            for (int j = 0; j < WIDTH; j++) {
                const double e = (double)y->x[r * WIDTH + j] - z->x[r * WIDTH + j];
                squares += e * e;
            }
            rmse += sqrt(squares / WIDTH) / y->positions;
        }
        assert_true(rmse > 0);
        near("output RMSE", s->record->probe_output_rmse[LAYERS + i], rmse, 1e-12);
        assert_true(isnan(s->record->probe_gain_std[(LAYERS + i) * 2 + 1]) ==
                    (block == BLOCK_PARALLEL));
    }
    assert_true(most > 0 && most_relative > 0 && most_relative < most); /* else this shows little */
    quantized_free(quantized);
    seen_free(&full);
    seen_free(&less);
    setting_free(s);
}

/* Fewer windows than are probed, as many, and more, of which a part is chosen. */
static void test_formulas(void **state)
{
    (void)state;
    check_formulas(BLOCK_PARALLEL, 23);
    check_formulas(BLOCK_SEQUENTIAL, 64);
    check_formulas(BLOCK_PARALLEL, 150);
}

/* Planted numbers ============================================================================= */

/* LayerNorms without gain: what comes out is their bias, at each position. */
static void test_planted_inputs(void **state)
{
    (void)state;
    struct setting *s = setting_create(BLOCK_SEQUENTIAL, 9);
    const struct layout_block *b = s->layout->block;
    for (int i = 0; i < LAYERS; i++) {
        for (int k = 0; k < 2; k++) {
            memset(tensor(s, b[i].norm_gain[k]), 0, WIDTH * sizeof(float));
        }
    }
    float *planted = tensor(s, b[0].norm_bias[0]), *flat = tensor(s, b[0].norm_bias[1]);
    planted[5] = 12;
    planted[9] = -6;       /* ≥ 6: counts */
    planted[11] = 5.9999f; /* does not */
    for (int j = 0; j < WIDTH; j++) {
        flat[j] = j % 2 ? 2 : -2;
    }
    probe_alone(s, NULL);
    const struct record *r = s->record;
    const size_t qkv = at(0, SITE_QKV), in = at(0, SITE_FFN_IN), zero = at(1, SITE_QKV);
    const double x[] = {12, -6, 5.9999f}, mean = (x[0] + x[1] + x[2]) / WIDTH;
    double second = (WIDTH - 3) * mean * mean, fourth = (WIDTH - 3) * pow(mean, 4);
    for (int k = 0; k < 3; k++) {
        second += pow(x[k] - mean, 2);
        fourth += pow(x[k] - mean, 4);
    }
    near("planted std", r->probe_input_std[qkv], sqrt(second / WIDTH), 1e-12);
    near("planted kurtosis", r->probe_input_kurtosis[qkv], WIDTH * fourth / (second * second),
         1e-12);
    assert_true(r->probe_input_max[qkv] == 12);
    assert_true(r->probe_outliers[qkv] == 2);
    assert_true(r->probe_outliers_relative[qkv] == 1); /* 6 std = 10.96 */
    assert_true(r->probe_input_std[in] == 2 && r->probe_input_kurtosis[in] == 1);
    assert_true(r->probe_outliers[in] == 0 && r->probe_outliers_relative[in] == 0);
    /* All the same: no spread, and nothing stands out. */
    assert_true(r->probe_input_std[zero] == 0 && r->probe_input_max[zero] == 0);
    assert_true(isnan(r->probe_input_kurtosis[zero]) && r->probe_outliers_relative[zero] == 0);
    setting_free(s);
}

/* Singular values of whatever: 2.5 and zeros. Fails for matrices of WIDTH rows. */
static int planted_spectrum(struct error *err, void *state, int rows, int columns,
                            const float *matrix, double *sigma)
{
    int *calls = state;
    (void)matrix;
    ++*calls;
    memset(sigma, 0, (size_t)(rows < columns ? rows : columns) * sizeof *sigma);
    sigma[0] = 2.5 + 1e-12; /* gone in fp32 */
    return rows == WIDTH ? error_set(err, STATUS_FAILED, __FILE__, __LINE__, "planted failure")
                         : STATUS_OK;
}

static void test_planted_weights(void **state)
{
    (void)state;
    struct setting *s = setting_create(BLOCK_SEQUENTIAL, 3);
    const struct layout_block *b = s->layout->block;
    int calls = 0;
    const struct algebra algebra = {.state = &calls, .spectrum = planted_spectrum};
    const struct record *r = s->record;
    const size_t qkv = at(0, SITE_QKV), elements = 3 * WIDTH * WIDTH;
    float *w = tensor(s, b[0].weight[SITE_QKV]);
    memset(w, 0, elements * sizeof *w);
    w[17] = -3;
    w[elements - 1] = 4;
    tensor(s, b[1].weight[SITE_QKV])[0] = INFINITY;
    float *gain = tensor(s, b[1].norm_gain[1]), *final = tensor(s, s->layout->final_gain);
    for (int j = 0; j < WIDTH; j++) {
        gain[j] = j % 2 ? 1.25f : 0.75f;
        final[j] = j % 4 ? 0 : 2;
    }
    probe_alone(s, &algebra);
    near("weight std", r->probe_weight_std[qkv],
         sqrt(25.0 / (double)elements - 1.0 / ((double)elements * (double)elements)), 1e-12);
    assert_true(r->probe_weight_max[qkv] == 4 && r->probe_weight_norm[qkv] == 2.5);
    assert_true(r->probe_stable_rank[qkv] == 4); /* 25 / 2.5² */
    /* What cannot be had is missing, and nothing else. */
    assert_true(isnan(r->probe_weight_norm[at(0, SITE_ATTN_OUT)]));
    assert_true(isnan(r->probe_stable_rank[at(0, SITE_ATTN_OUT)]));
    assert_true(r->probe_weight_std[at(0, SITE_ATTN_OUT)] > 0);
    assert_true(isnan(r->probe_weight_norm[at(1, SITE_QKV)]));
    assert_int_equal(calls, 2 * (LAYERS * SITES - 1)); /* not for one that is not finite */
    assert_true(r->probe_gain_std[LAYERS * 2] == 0);
    assert_true(r->probe_gain_std[(LAYERS + 1) * 2 + 1] == 0.25);
    near("final gain std", r->probe_final_gain_std[1], sqrt(0.75), 1e-15);
    setting_free(s);
}

/* Teams ======================================================================================= */

struct member {
    struct setting *setting;
    struct model *model;
    struct record *record;
    struct error err;
    int status;
};

static void member_work(struct team *team, void *context)
{
    struct member *m = context;
    struct parameters flat = parameters_flat(m->setting->layout, m->setting->master);
    m->status =
        probe(&m->err, team, m->setting->corpus, &m->setting->cell, m->model, &flat, 1, m->record);
}

static void same(const char *what, size_t n, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) != 0) {
            fail_msg("%s[%zu] is %.17g alone, %.17g in a team", what, i, a[i], b[i]);
        }
    }
}

static void run_team(struct setting *s, int size, int cancel_at, struct member *member)
{
    for (int r = 0; r < size; r++) {
        member[r] = (struct member){.setting = s};
        assert_int_equal(model_create(&s->err, s->layout, MICRO, false, &member[r].model),
                         STATUS_OK);
        assert_int_equal(record_create(&s->err, &s->cell, &member[r].record), STATUS_OK);
    }
    team_run(size, cancel_at, member_work, member, sizeof member[0]);
}

static void release(struct member *member, int size)
{
    for (int r = 0; r < size; r++) {
        model_free(member[r].model);
        record_free(member[r].record);
    }
}

static void test_teams(void **state)
{
    (void)state;
    struct setting *s = setting_create(BLOCK_PARALLEL, 23); /* no multiple of anything */
    struct member member[TEAM_MOST];
    tensor(s, s->layout->block[0].norm_gain[0])[3] = 50;
    probe_alone(s, NULL);
    for (int size = 1; size <= TEAM_MOST; size *= 2) {
        run_team(s, size, 0, member);
        for (int r = 0; r < size; r++) {
            const struct record *a = s->record, *b = member[r].record;
            const size_t sites = LAYERS * SITES;
            assert_int_equal(member[r].status, STATUS_OK);
#define SAME(field, n) same(#field, (n), a->field + (n), b->field + (n)) /* of checkpoint 1 */
            SAME(probe_input_std, sites);
            SAME(probe_input_max, sites);
            SAME(probe_input_kurtosis, sites);
            SAME(probe_outliers, sites);
            SAME(probe_outliers_relative, sites);
            SAME(probe_weight_max, sites);
            SAME(probe_weight_std, sites);
            SAME(probe_output_rmse, LAYERS);
            SAME(probe_gain_std, LAYERS * RECORD_NORMS);
            SAME(probe_final_gain_std, 1);
        }
        release(member, size);
    }
    /* Cancelled anywhere: all ranks say so. */
    for (int cancel_at = 1; cancel_at <= 2 + 2 * 6; cancel_at += 3) {
        run_team(s, 2, cancel_at, member);
        assert_int_equal(member[0].status, STATUS_STOPPED);
        assert_int_equal(member[1].status, STATUS_STOPPED);
        release(member, 2);
    }
    setting_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_planted_inputs),
        cmocka_unit_test(test_planted_weights),
        cmocka_unit_test(test_teams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
