/* Training: learning, repeatability, teams of any size, loss scaling, divergence, cancellation. */
#include "tests/unit/study_team.h"
#include "tests/unit/study_text.h"

#include "study/run_cell.h"
#include "study/train.h"

enum { STEPS = 30 };

/* All that a training run leaves. */
struct trace {
    const struct corpus *corpus;
    const struct cell *cell;
    int status;
    struct error err;
    double loss[STEPS], grad_norm[STEPS], loss_scale[STEPS];
    int skipped, diverged, steps;
    float *weights;
    size_t length;
};

/* As many steps as the cell has, on this rank. */
static void work(struct team *team, void *context)
{
    struct trace *t = context;
    struct error *err = &t->err;
    struct layout *layout = NULL;
    struct trainer *trainer = NULL;
    int status = STATUS_OK;
    TRY(layout_create(err, &t->cell->size, &t->cell->model, &layout));
    TRY(trainer_create(err, team, t->corpus, layout, t->cell, &trainer));
    for (int64_t i = 0; i < t->cell->train.steps && !t->diverged; i++) {
        struct train_step step;
        TRY(trainer_step(err, trainer, &step));
        t->loss[i] = step.loss;
        t->grad_norm[i] = step.grad_norm;
        t->loss_scale[i] = step.loss_scale;
        t->skipped += step.skipped;
        t->diverged += step.diverged;
        t->steps++;
    }
    t->length = layout->length;
    t->weights = malloc(t->length * sizeof *t->weights);
    for (int u = 0; u < layout->units; u++) {
        const float *whole;
        TRY(parameters_open(err, trainer_parameters(trainer), u, -1, &whole));
        memcpy(t->weights + layout->unit[u].offset, whole, layout->unit[u].length * sizeof *whole);
    }
cleanup:
    t->status = status;
    trainer_free(trainer);
    layout_free(layout);
}

static struct trace train_alone(const struct corpus *corpus, const struct cell *cell)
{
    struct team alone = team_alone();
    struct trace t = {.corpus = corpus, .cell = cell};
    work(&alone, &t);
    if (t.status != STATUS_OK) {
        fail_msg("%s", t.err.message);
    }
    return t;
}

static void check_same(const struct trace *a, const struct trace *b)
{
    assert_int_equal(a->status, STATUS_OK);
    assert_int_equal(b->status, STATUS_OK);
    assert_int_equal(a->steps, b->steps);
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->grad_norm, b->grad_norm, sizeof a->grad_norm);
    assert_memory_equal(a->loss_scale, b->loss_scale, sizeof a->loss_scale);
    fixture_same_bits("weights", a->length, a->weights, b->weights);
}

struct shared {
    struct corpus *corpus;
};

static int set_up(void **state)
{
    struct shared *s = calloc(1, sizeof *s);
    const struct cell cell = text_cell(STEPS, PRECISION_FP32);
    s->corpus = text_corpus(400000, &cell.data);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct shared *s = *state;
    corpus_free(s->corpus);
    free(s);
    return 0;
}

static void test_learns(void **state)
{
    const struct shared *s = *state;
    for (int p = 0; p < 3; p++) {
        const struct cell cell = text_cell(STEPS, fixture_precision[p]);
        struct trace t = train_alone(s->corpus, &cell);
        assert_int_equal(t.steps, STEPS);
        assert_int_equal(t.skipped + t.diverged, 0);
        assert_true(fabs(t.loss[0] - log(256)) < 0.1); /* knows nothing yet */
        for (int i = 0; i < 5; i++) {
            assert_true(t.loss[STEPS - 1 - i] < 3.6); /* about the unigram entropy, 2.9 */
        }
        free(t.weights);
    }
}

/* The same cell gives the same bits; another seed of either kind other ones. */
static void test_repeats(void **state)
{
    const struct shared *s = *state;
    struct cell cell = text_cell(STEPS, PRECISION_BF16);
    cell.train.dropout = 0.1;
    struct trace a = train_alone(s->corpus, &cell), b = train_alone(s->corpus, &cell);
    check_same(&a, &b);
    for (int i = 0; i < 2; i++) {
        struct cell other = cell;
        other.init_seed += i == 0;
        other.data_seed += i == 1;
        struct trace c = train_alone(s->corpus, &other);
        assert_true(memcmp(a.weights, c.weights, a.length * sizeof *a.weights) != 0);
        assert_true(c.loss[0] != a.loss[0]);
        free(c.weights);
    }
    free(a.weights), free(b.weights);
}

/* With a learning rate of 0 each step's loss is that of its own windows, (data_seed, step, sequence), by the initialized
 * model, with dropout drawn by (init_seed, step, sequence). */
static void test_data_order(void **state)
{
    const struct shared *s = *state;
    struct error err = {0};
    struct cell cell = text_cell(5, PRECISION_FP32);
    struct layout *layout;
    struct model *model;
    cell.train.learning_rate = 0;
    cell.train.weight_decay = 0;
    cell.train.dropout = 0.2;
    struct trace t = train_alone(s->corpus, &cell);
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(model_create(&err, layout, 1, true, &model), STATUS_OK);
    float *p = malloc(layout->length * sizeof *p);
    layout_initialize(layout, cell.init_seed, p);
    fixture_same_bits("weights", layout->length, p, t.weights);
    const struct weights w = {.master = p, .operands = p};
    for (int step = 0; step < 5; step++) {
        double loss = 0;
        for (int sequence = 0; sequence < 8; sequence++) {
            const struct dropout dropout = {.p = 0.2,
                                            .seed = cell.init_seed,
                                            .step = (uint32_t)step,
                                            .sequence = (uint32_t)sequence};
            uint32_t inputs[16], targets[16];
            corpus_train_window(s->corpus, 16, cell.data_seed, step, sequence, inputs, targets);
            const float *logits;
            assert_int_equal(model_forward(&err, model, &w, PRECISION_FP32, &dropout, inputs, 1,
                                           NULL, NULL, &logits),
                             STATUS_OK);
            for (int i = 0; i < 16; i++) {
                double log_p[256];
                kernels_get()->log_softmax(256, logits + i * 256, log_p);
                loss -= log_p[targets[i]] / (8 * 16);
            }
        }
        assert_true(fabs(t.loss[step] - loss) < 1e-6 * loss);
        assert_true(step == 0 || t.loss[step] != t.loss[step - 1]);
    }
    free(p), free(t.weights);
    model_free(model);
    layout_free(layout);
}

/* In a text of one letter all windows are the same, and with a learning rate of 0 all steps: only dropout tells them
 * apart, and it does. */
static void test_dropout_by_step(void **state)
{
    (void)state;
    struct cell cell = text_cell(6, PRECISION_FP32);
    struct corpus *corpus = text_corpus_of('a', 200000, &cell.data);
    cell.train.learning_rate = 0;
    cell.train.weight_decay = 0;
    struct trace plain = train_alone(corpus, &cell);
    cell.train.dropout = 0.3;
    struct trace a = train_alone(corpus, &cell);
    cell.init_seed++; /* other masks */
    struct trace b = train_alone(corpus, &cell);
    for (int i = 1; i < 6; i++) {
        assert_true(plain.loss[i] == plain.loss[0]);
        for (int k = 0; k < i; k++) {
            assert_true(a.loss[i] != a.loss[k]);
        }
        assert_true(a.loss[i] != b.loss[i]);
    }
    free(plain.weights), free(a.weights), free(b.weights);
    corpus_free(corpus);
}

/* Micro-batches add up to the batch: one of 8 sequences, or 4 of 2, differ by rounding alone. */
static void test_micro_batches(void **state)
{
    const struct shared *s = *state;
    struct cell cell = text_cell(STEPS, PRECISION_FP32), whole = cell;
    cell.train.dropout = whole.train.dropout = 0.1;
    whole.train.micro_batch = whole.train.batch;
    struct trace a = train_alone(s->corpus, &cell), b = train_alone(s->corpus, &whole);
    for (int i = 0; i < STEPS; i++) {
        assert_true(fabs(a.loss[i] - b.loss[i]) < 1e-3 * a.loss[i]);
    }
    assert_true(fabs(a.loss[0] - b.loss[0]) < 1e-6 * a.loss[0]);
    assert_true(fabs(a.grad_norm[0] - b.grad_norm[0]) < 1e-5 * a.grad_norm[0]);
    free(a.weights), free(b.weights);
}

static void work_recomputing(struct team *team, void *context)
{
    team->recompute = true;
    work(team, context);
}

/* Rank-count invariance: teams of 2, 4 and 8 threads, which hold the model in pieces, have the bits of one rank alone; also when they
 * compute activations twice. */
static void test_teams(void **state)
{
    const struct shared *s = *state;
    for (int i = 0; i < 6; i++) {
        struct cell cell = text_cell(12, fixture_precision[i % 3]);
        cell.train.micro_batch /= 2;
        cell.train.dropout = 0.1;
        cell.train.grad_clip = 0.5;
        cell.model.block = i < 3 ? BLOCK_PARALLEL : BLOCK_SEQUENTIAL;
        cell.model.position = i < 3 ? POSITION_ROTARY : POSITION_LEARNED;
        cell.model.tied = i >= 3;
        struct trace alone = train_alone(s->corpus, &cell);
        for (int k = 0; k < 8; k++) {
            const int size = 1 << k % 4;
            struct trace rank[8];
            for (int r = 0; r < size; r++) {
                rank[r] = (struct trace){.corpus = s->corpus, .cell = &cell};
            }
            team_run(size, 0, k < 4 ? work : work_recomputing, rank, sizeof rank[0]);
            for (int r = 0; r < size; r++) {
                check_same(&alone, &rank[r]);
                free(rank[r].weights);
            }
        }
        bool clipped = false;
        for (int k = 0; k < alone.steps; k++) {
            clipped = clipped || alone.grad_norm[k] > cell.train.grad_clip;
        }
        assert_true(clipped);
        free(alone.weights);
    }
}

static void test_team_too_large(void **state)
{
    const struct shared *s = *state;
    const struct cell cell = text_cell(STEPS, PRECISION_FP32);
    struct trace rank[8];
    for (int r = 0; r < 8; r++) {
        rank[r] = (struct trace){.corpus = s->corpus, .cell = &cell};
    }
    team_run(8, 0, work, rank, sizeof rank[0]);
    for (int r = 0; r < 8; r++) {
        assert_int_equal(rank[r].status, STATUS_FAILED);
        assert_non_null(strstr(rank[r].err.message, "8 ranks"));
    }
}

/* Loss scaling ================================================================================ */

/* A gain so large that gradients times the loss scale leave fp16: the scale halves, the step is skipped, and once
 * it is small enough training goes on. */
static void test_overflow(void **state)
{
    const struct shared *s = *state;
    struct error err = {0};
    struct team alone = team_alone();
    const struct cell cell = text_cell(STEPS, PRECISION_FP16);
    struct layout *layout;
    struct trainer *trainer;
    assert_int_equal(layout_create(&err, &cell.size, &cell.model, &layout), STATUS_OK);
    assert_int_equal(trainer_create(&err, &alone, s->corpus, layout, &cell, &trainer), STATUS_OK);
    const float *p = trainer_parameters(trainer)->own;
    float *gain = (float *)layout_of(layout, layout->final_gain, p);
    for (int i = 0; i < cell.size.d_model; i++) {
        gain[i] = 300;
    }
    float *before = fixture_copy(layout->length, p);
    struct train_step step;
    double scale = 32768;
    int skipped = 0;
    for (;; skipped++) {
        assert_int_equal(trainer_step(&err, trainer, &step), STATUS_OK);
        assert_true(step.loss_scale == scale && isfinite(step.loss) && !step.diverged);
        assert_int_equal(trainer_steps(trainer), skipped + 1);
        if (!step.skipped) {
            break;
        }
        assert_false(isfinite(step.grad_norm));
        fixture_same_bits("weights of a skipped step", layout->length, p, before);
        scale /= 2;
        assert_true(trainer_loss_scale(trainer) == scale);
        assert_int_equal(trainer_skipped(trainer), skipped + 1);
    }
    assert_in_range(skipped, 1, 14);
    assert_true(isfinite(step.grad_norm) && memcmp(p, before, layout->length * sizeof *p) != 0);
    assert_int_equal(trainer_skipped(trainer), skipped);
    assert_true(trainer_loss_scale(trainer) == scale);
    free(before);
    trainer_free(trainer);
    layout_free(layout);
}

/* The same in a whole run: skips are in the record, and it ends. */
static void test_overflow_recorded(void **state)
{
    const struct shared *s = *state;
    struct error err = {0};
    struct team alone = team_alone();
    struct cell cell = text_cell(STEPS, PRECISION_FP16);
    struct record *record = NULL;
    cell.train.micro_batch = cell.train.batch = 1; /* gradients of few tokens are large */
    cell.size.context = 4;
    cell.train.learning_rate = 0.3;
    cell.evaluate.checkpoints = 1;
    cell.evaluate.fraction[0] = 1;
    cell.evaluate.windows = 4;
    assert_int_equal(run_cell(&err, &alone, s->corpus, &cell, NULL, NULL, NULL, &record),
                     STATUS_OK);
    assert_int_equal(record->status, CELL_DONE);
    assert_true(record->skipped_steps >= 1);
    assert_true(record->final_loss_scale == ldexp(1, 15 - (int)record->skipped_steps));
    assert_true(isfinite(record->loss[0]));
    record_free(record);
}

/* Divergence ================================================================================== */

/* A decay so large that weights change sign and grow each step, until their products leave the floating-point
 * numbers; the first checkpoints are before that. */
static struct cell doomed(enum precision precision)
{
    struct cell cell = text_cell(400, precision);
    cell.train.schedule = SCHEDULE_CONSTANT;
    cell.train.learning_rate = 1e-3;
    cell.train.decay_is_total = false;
    cell.train.weight_decay = 10000; /* ηλ = 10 */
    cell.train.grad_clip = 0;
    cell_complete_decay(&cell);
    cell.evaluate.checkpoints = 3;
    cell.evaluate.fraction[0] = 1 / 400.0;
    cell.evaluate.fraction[1] = 2 / 400.0;
    cell.evaluate.fraction[2] = 1;
    cell.evaluate.windows = 6;
    cell.evaluate.quantizers = 1;
    cell.evaluate.quantizer[0] = *quantizer_find("w8a8");
    cell.evaluate.every_checkpoint[0] = true;
    return cell;
}

static void test_diverged(void **state)
{
    const struct shared *s = *state;
    for (int p = 0; p < 3; p++) {
        struct error err = {0};
        struct team alone = team_alone();
        struct record *r = NULL;
        const struct cell cell = doomed(fixture_precision[p]);
        assert_int_equal(run_cell(&err, &alone, s->corpus, &cell, NULL, NULL, NULL, &r), STATUS_OK);
        assert_int_equal(r->status, CELL_DIVERGED);
        assert_non_null(strstr(r->reason, "not finite at step"));
        for (int c = 0; c < 3; c++) {
            assert_int_equal(isnan(r->loss[c]), c == 2);
            assert_int_equal(isnan(r->kl[c]), c == 2);
            assert_int_equal(isnan(r->training_fraction[c]), c == 2);
        }
        assert_true(r->step[0] == 1 && r->step[1] == 2 && isnan(r->step[2]));
        record_free(r);
    }
}

/* An absurd learning rate, without clipping or warm-up. */
static void test_learning_rate(void **state)
{
    const struct shared *s = *state;
    for (int p = 0; p < 3; p++) {
        struct error err = {0};
        struct team alone = team_alone();
        struct record *r = NULL;
        struct cell cell = text_cell(STEPS, fixture_precision[p]);
        cell.train.learning_rate = 1e20;
        cell.train.grad_clip = 0;
        cell.train.warmup = 0;
        cell.evaluate.checkpoints = 1;
        cell.evaluate.fraction[0] = 1;
        cell.evaluate.windows = 4;
        assert_int_equal(run_cell(&err, &alone, s->corpus, &cell, NULL, NULL, NULL, &r), STATUS_OK);
        assert_int_equal(r->status, CELL_DIVERGED);
        assert_true(isnan(r->loss[0]) && strlen(r->reason) > 0);
        record_free(r);
    }
}

/* Cancellation ================================================================================ */

/* Whenever the request comes, alone or in a team, every rank leaves with STATUS_STOPPED. */
static void test_cancelled(void **state)
{
    const struct shared *s = *state;
    const struct cell cell = text_cell(STEPS, PRECISION_FP32);
    static const int when[] = {1, 2, 4, 5, 17, -1, -3, -33, -47, -240}; /* < 0: a rank is lost */
    for (int size = 1; size <= 4; size *= 2) {
        for (int i = 0; i < (size > 1 ? 10 : 5); i++) {
            struct trace rank[4];
            for (int r = 0; r < size; r++) {
                rank[r] = (struct trace){.corpus = s->corpus, .cell = &cell};
            }
            team_run(size, when[i], work, rank, sizeof rank[0]);
            for (int r = 0; r < size; r++) {
                assert_int_equal(rank[r].status, STATUS_STOPPED);
                assert_null(rank[r].weights);
                assert_true(when[i] < 0 || rank[r].steps < when[i]);
                assert_int_equal(rank[r].steps, rank[0].steps);
            }
        }
    }
}

struct whole_run {
    const struct corpus *corpus;
    const struct cell *cell;
    struct record *record;
    int status;
    struct error err;
};

static void run_whole(struct team *team, void *context)
{
    struct whole_run *run = context;
    run->status = run_cell(&run->err, team, run->corpus, run->cell, NULL, NULL, NULL, &run->record);
}

/* run_cell too: while training (polls 1 … 120) and while evaluating after it. */
static void test_run_cell_cancelled(void **state)
{
    const struct shared *s = *state;
    struct cell cell = text_cell(STEPS, PRECISION_FP32);
    cell.evaluate.checkpoints = 1;
    cell.evaluate.fraction[0] = 1;
    cell.evaluate.windows = 20;
    static const int when[] = {1, 60, 120, 121, 125};
    for (int size = 1; size <= 2; size++) {
        for (int i = 0; i < 5; i++) {
            struct whole_run run[2];
            for (int r = 0; r < 2; r++) {
                run[r] = (struct whole_run){.corpus = s->corpus, .cell = &cell};
            }
            /* Of two ranks each polls half as often. */
            team_run(size, (when[i] + size - 1) / size, run_whole, run, sizeof run[0]);
            for (int r = 0; r < size; r++) {
                assert_int_equal(run[r].status, STATUS_STOPPED);
                assert_null(run[r].record);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_data_order),
        cmocka_unit_test(test_dropout_by_step),
        cmocka_unit_test(test_micro_batches),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_team_too_large),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_overflow_recorded),
        cmocka_unit_test(test_diverged),
        cmocka_unit_test(test_learning_rate),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_run_cell_cancelled),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
