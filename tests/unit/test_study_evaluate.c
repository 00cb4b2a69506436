/* What a record says of a checkpoint, against plain recomputation from the weights. */
#include "tests/unit/study_run.h"

#include "study/evaluate.h"
#include "study/quantize.h"
#include "study/train.h"

/* The record ================================================================================== */

static double mean_of(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum / n;
}

/* Standard error of the mean of a sample. */
static double error_of(const double *x, int n)
{
    const double m = mean_of(x, n);
    double squares = 0;
    for (int i = 0; i < n; i++) {
        squares += (x[i] - m) * (x[i] - m);
    }
    return sqrt(squares / (n - 1)) / sqrt(n);
}

static void test_record(void **state)
{
    struct run_shared *s = *state;
    const double tokens = 8 * 16;
    static const double steps[CHECKPOINTS] = {30, 60, 120};
    for (int i = 0; i < 2; i++) {
        const struct record *r = s->run[i].record;
        assert_int_equal(r->status, CELL_DONE);
        assert_string_equal(r->reason, "");
        run_near("unigram_entropy", r->unigram_entropy, corpus_unigram_entropy(s->corpus));
        assert_true(r->calibration_windows == CALIBRATION && r->team_size == 1);
        assert_true(r->skipped_steps == 0 && r->final_loss_scale == 1);
        for (int c = 0; c < CHECKPOINTS; c++) {
            const double *loss = r->window_loss + c * WINDOWS;
            assert_true(r->step[c] == steps[c] && r->tokens[c] == steps[c] * tokens);
            assert_true(r->training_fraction[c] == s->cell[i].evaluate.fraction[c]);
            run_near("loss", r->loss[c], mean_of(loss, WINDOWS));
            run_near("loss_se", r->loss_se[c], error_of(loss, WINDOWS));
            assert_true(r->kl_unigram[c] > 0);
            assert_true(c == 0 || r->loss[c] < r->loss[c - 1]);
            /* fp32: the training type is the evaluation type. */
            assert_true((r->loss_in_training_precision[c] == r->loss[c]) == (i == 0));
            assert_true(fabs(r->loss_in_training_precision[c] - r->loss[c]) < 0.02);
        }
        assert_true(r->loss[CHECKPOINTS - 1] < r->unigram_entropy);
        for (int k = 0; k < CHECKPOINTS; k++) { /* tokens are bytes */
            run_near("bits_per_byte", r->bits_per_byte[k], r->loss[k] / log(2));
        }
    }
}

/* Derived responses follow from the windows by METHOD §4. */
static void test_responses(void **state)
{
    struct run_shared *s = *state;
    for (int i = 0; i < 2; i++) {
        const struct record *r = s->run[i].record;
        for (int c = 0; c < CHECKPOINTS; c++) {
            for (int q = 0; q < r->quantizers; q++) {
                const int at = c * r->quantizers + q;
                const double *loss = r->window_loss + c * WINDOWS;
                const double *quantized = r->window_quantized_loss + at * WINDOWS;
                const double *kl = r->window_kl + at * WINDOWS;
                double delta[WINDOWS];
                if (c + 1 < CHECKPOINTS && q >= EVERY) {
                    continue;
                }
                for (int w = 0; w < WINDOWS; w++) {
                    delta[w] = quantized[w] - loss[w];
                    assert_true(kl[w] >= 0);
                }
                run_near("quantized_loss", r->quantized_loss[at], mean_of(quantized, WINDOWS));
                run_near("quantized_loss_se", r->quantized_loss_se[at],
                         error_of(quantized, WINDOWS));
                run_near("delta_loss", r->delta_loss[at], mean_of(delta, WINDOWS));
                run_near("delta_loss_se", r->delta_loss_se[at], error_of(delta, WINDOWS));
                run_near("relative_loss_increase", r->relative_loss_increase[at],
                         r->quantized_loss[at] / r->loss[c] - 1);
                run_near("kl", r->kl[at], mean_of(kl, WINDOWS));
                run_near("kl_se", r->kl_se[at], error_of(kl, WINDOWS));
                run_near("log_kl", r->log_kl[at], log(r->kl[at]));
                run_near("kl_over_unigram", r->kl_over_unigram[at], r->kl[at] / r->kl_unigram[c]);
                assert_true(r->kl[at] > 0);
                assert_true(r->top1_agreement[at] > 0.5 && r->top1_agreement[at] <= 1);
            }
        }
    }
}

static int column(const struct cell *cell, const char *name)
{
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        if (strcmp(cell->evaluate.quantizer[q].name, name) == 0) {
            return q;
        }
    }
    fail_msg("no quantizer %s", name);
    return -1;
}

/* Fewer bits lose more. */
static void test_order(void **state)
{
    struct run_shared *s = *state;
    static const char *const better_worse[][2] = {
        {"w8", "w4"},     {"w4", "w3"},     {"w8", "w8a8"},   {"w8a8", "w6a6"},
        {"w6a6", "w4a4"}, {"w8a8", "w4a8"}, {"w4a8", "w4a4"}, {"w4", "w4a4"},
    };
    for (int i = 0; i < 2; i++) {
        const double *kl = s->run[i].record->kl + 2 * s->cell[i].evaluate.quantizers;
        for (size_t k = 0; k < sizeof better_worse / sizeof better_worse[0]; k++) {
            const int a = column(&s->cell[i], better_worse[k][0]);
            const int b = column(&s->cell[i], better_worse[k][1]);
            if (!(kl[a] < kl[b])) {
                fail_msg("KL of %s %.4g, of %s %.4g", better_worse[k][0], kl[a], better_worse[k][1],
                         kl[b]);
            }
        }
        const int tensor = column(&s->cell[i], "w8a8-tensor"), w4a4 = column(&s->cell[i], "w4a4");
        assert_true(kl[tensor] > 0 && kl[tensor] < kl[w4a4]);
    }
}

/* Plain recomputation ========================================================================= */

/* log p of one row in long double; returns the first maximum. */
static int plain_log_softmax(const float *logits, long double *log_p)
{
    long double sum = 0;
    int best = 0;
    for (int i = 0; i < 256; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    for (int i = 0; i < 256; i++) {
        sum += expl((long double)logits[i] - logits[best]);
    }
    for (int i = 0; i < 256; i++) {
        log_p[i] = (long double)logits[i] - logits[best] - logl(sum);
    }
    return best;
}

struct rows {
    long double log_p[32][256]; /* 2 windows of 16 positions */
    int best[32];
};

static void plain_forward(const struct cell *cell, struct model *model, const struct weights *w,
                          const uint32_t *inputs, struct rows *rows)
{
    struct error err = {0};
    const struct dropout none = {0};
    const float *logits;
    assert_int_equal(
        model_forward(&err, model, w, PRECISION_FP32, &none, inputs, 2, NULL, NULL, &logits),
        STATUS_OK);
    for (int i = 0; i < 2 * cell->size.context; i++) {
        rows->best[i] = plain_log_softmax(logits + i * 256, rows->log_p[i]);
    }
}

/* The weights of a run's end: training is repeatable. */
static float *trained(const struct run_shared *s, const struct cell *cell, struct layout *layout)
{
    struct error err = {0};
    struct team alone = team_alone();
    struct trainer *trainer;
    struct train_step step;
    assert_int_equal(trainer_create(&err, &alone, s->corpus, layout, cell, &trainer), STATUS_OK);
    for (int i = 0; i < cell->train.steps; i++) {
        assert_int_equal(trainer_step(&err, trainer, &step), STATUS_OK);
    }
    float *p = fixture_copy(layout->length, trainer_parameters(trainer)->own);
    trainer_free(trainer);
    return p;
}

/*
 * Windows 4 and 5 of the last checkpoint, from the fp32 weights, in fp32 whatever the training precision: loss,
 * KL(p‖unigram), and each quantizer's loss and KL(p‖p_q) as Σ p·(log p − log p_q).
 */
static void check_windows(const struct run_shared *s, int which)
{
    enum { FIRST = 4 };
    struct error err = {0};
    const struct cell *cell = &s->cell[which];
    const struct record *r = s->run[which].record;
    const int context = cell->size.context;
    struct layout *layout;
    struct model *model;
    struct rows *full = malloc(sizeof *full), *quantized = malloc(sizeof *quantized);
    uint32_t inputs[32], targets[32];
    assert_int_equal(layout_create(&err, &cell->size, &cell->model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, 2, false, &model), STATUS_OK);
    float *p = trained(s, cell, layout);
    struct weights w = {.master = p, .operands = p};
    for (int i = 0; i < 2; i++) {
        corpus_held_out_window(s->corpus, context, FIRST + i, WINDOWS, inputs + i * context,
                               targets + i * context);
    }
    plain_forward(cell, model, &w, inputs, full);
    for (int i = 0; i < 2; i++) {
        long double loss = 0;
        for (int t = i * context; t < (i + 1) * context; t++) {
            loss -= full->log_p[t][targets[t]] / context;
        }
        run_near("window_loss", r->window_loss[2 * WINDOWS + FIRST + i], (double)loss);
    }
    struct team alone = team_alone();
    const struct algebra algebra = algebra_lapack(&alone);
    alone.algebra = &algebra;
    struct parameters flat = parameters_flat(layout, p);
    const struct calibration_source source = {.team = &alone,
                                              .model = model,
                                              .corpus = s->corpus,
                                              .parameters = &flat,
                                              .windows = CALIBRATION,
                                              .micro_batch = 2,
                                              .seed = 31};
    for (int q = 0; q < cell->evaluate.quantizers; q++) {
        struct quantized *sites;
        const struct quantizer *quantizer = &cell->evaluate.quantizer[q];
        const size_t at = ((size_t)2 * r->quantizers + q) * WINDOWS + FIRST;
        assert_int_equal(quantized_create_all(&err, &source, 1, &quantizer, &sites), STATUS_OK);
        w.quantized = quantized_sites(sites);
        plain_forward(cell, model, &w, inputs, quantized);
        for (int i = 0; i < 2; i++) {
            long double loss = 0, kl = 0;
            for (int t = i * context; t < (i + 1) * context; t++) {
                loss -= quantized->log_p[t][targets[t]] / context;
                for (int v = 0; v < 256; v++) {
                    kl += expl(full->log_p[t][v]) * (full->log_p[t][v] - quantized->log_p[t][v]) /
                          context;
                }
            }
            run_near("window_quantized_loss", r->window_quantized_loss[at + i], (double)loss);
            assert_true(fabs(r->window_kl[at + i] - (double)kl) <= 1e-9 * (double)kl + 1e-17);
        }
        quantized_free(sites);
    }
    free(full), free(quantized), free(p);
    model_free(model);
    layout_free(layout);
}

static void test_windows(void **state)
{
    check_windows(*state, 0);
    check_windows(*state, 1);
}

/* KL(p‖unigram) and top-1 agreement over all windows, in one evaluation outside run_cell. */
static void test_evaluate_alone(void **state)
{
    const struct run_shared *s = *state;
    struct error err = {0};
    struct team alone = team_alone();
    struct cell cell = s->cell[0];
    struct layout *layout;
    struct model *model;
    struct record *r;
    struct rows *full = malloc(sizeof *full), *quantized = malloc(sizeof *quantized);
    struct quantized *sites;
    cell.evaluate.windows = 6;
    cell.evaluate.quantizers = 1;
    cell.evaluate.quantizer[0] = *quantizer_find("w3");
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, 2, false, &model), STATUS_OK);
    assert_int_equal(record_create(&err, &cell, &r), STATUS_OK);
    float *p = trained(s, &cell, layout);
    struct parameters flat = parameters_flat(layout, p);
    assert_int_equal(
        evaluate(&err, &alone, s->corpus, &cell, model, &flat, CHECKPOINTS - 1, NULL, NULL, r),
        STATUS_OK);
    assert_int_equal(quantized_create(&err, &flat, &cell.evaluate.quantizer[0], NULL, &sites),
                     STATUS_OK);
    long double kl = 0;
    int agree = 0;
    for (int first = 0; first < 6; first += 2) {
        uint32_t inputs[32];
        struct weights w = {.master = p, .operands = p};
        for (int i = 0; i < 2; i++) {
            corpus_held_out_window(s->corpus, 16, first + i, 6, inputs + i * 16, NULL);
        }
        plain_forward(&cell, model, &w, inputs, full);
        w.quantized = quantized_sites(sites);
        plain_forward(&cell, model, &w, inputs, quantized);
        for (int t = 0; t < 32; t++) {
            agree += full->best[t] == quantized->best[t];
            for (int v = 0; v < 256; v++) {
                kl += expl(full->log_p[t][v]) * (full->log_p[t][v] - corpus_unigram(s->corpus)[v]) /
                      96;
            }
        }
    }
    run_near("kl_unigram", r->kl_unigram[CHECKPOINTS - 1], (double)kl);
    run_near("top1_agreement", r->top1_agreement[CHECKPOINTS - 1], agree / 96.0);
    assert_true(agree < 96); /* three bits change something */
    free(full), free(quantized), free(p);
    quantized_free(sites);
    record_free(r);
    model_free(model);
    layout_free(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),         cmocka_unit_test(test_responses),
        cmocka_unit_test(test_order),          cmocka_unit_test(test_windows),
        cmocka_unit_test(test_evaluate_alone),
    };
    return cmocka_run_group_tests(tests, run_set_up, run_tear_down);
}
