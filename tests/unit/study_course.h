/* Small cells to be stopped and gone on with: each precision, a loss scale that grows, skipped steps, divergence. */
#ifndef TESTS_UNIT_STUDY_COURSE_H
#define TESTS_UNIT_STUDY_COURSE_H

#include "tests/unit/study_store.h"

enum { STEPS = 9, WINDOWS = 7, LATE_STEPS = 1008, LATE = 996, MOST_POLLS = 128 };

/* A cell, and the state from which it is looked at: none, or a made-up one. */
struct course {
    const char *name;
    struct cell cell;
    struct bytes start;
    struct record *undisturbed;
    int polls;                        /* of the undisturbed run */
    struct bytes stopped[MOST_POLLS]; /* what is kept when it is stopped at that poll */
};

enum { FP32, BF16, FP16, GROWING, SKIPPING, DIVERGING, COURSES };

struct shared {
    struct corpus *corpus;
    struct course course[COURSES];
};

static inline struct cell course_cell(int64_t steps, enum precision precision)
{
    struct cell cell = text_cell(steps, precision);
    struct cell_evaluate *e = &cell.evaluate;
    static const char *const quantizers[] = {"w8a8", "w8a8-tensor", "w4"};
    cell.train.dropout = 0.1;
    cell.train.grad_clip = 0.5;
    e->checkpoints = 3;
    e->fraction[0] = steps > 100 ? 0.99 : 0.4;
    e->fraction[1] = steps > 100 ? 0.9905 : 0.7;
    e->fraction[2] = 1;
    e->windows = WINDOWS;
    e->calibration_windows = 3;
    e->calibration_seed = 5;
    for (; e->quantizers < 3; e->quantizers++) {
        e->quantizer[e->quantizers] = *quantizer_find(quantizers[e->quantizers]);
        e->every_checkpoint[e->quantizers] = e->quantizers != 1;
    }
    cell_identify(&cell);
    return cell;
}

static inline struct attempt course_attempt(const struct shared *s, const struct course *c,
                                            struct store *store)
{
    store->last = c->start.at ? bytes_copy(c->start.at, c->start.length) : (struct bytes){0};
    return (struct attempt){.corpus = s->corpus, .cell = &c->cell, .store = store};
}

/* The bytes of a state of this cell after one step. */
static inline struct bytes course_first_state(const struct shared *s, const struct cell *cell)
{
    struct store store = {0};
    struct attempt a = {.corpus = s->corpus, .cell = cell, .store = &store};
    assert_int_equal(attempt_alone(&a, 5), STATUS_STOPPED); /* four micro-batches are a step */
    assert_int_equal(store.saves, 1);
    return store.last;
}

/* A state late in the run, three good steps before the loss scale doubles. */
static inline struct bytes course_late_state(const struct shared *s, const struct cell *cell,
                                             float gain)
{
    struct error err = {0};
    struct layout *layout;
    struct bytes bytes = course_first_state(s, cell);
    struct state *state = (struct state *)(void *)bytes.at;
    state->step = state->updates = LATE;
    state->good_steps = LATE;
    assert_int_equal(layout_create(&err, &cell->size, &cell->model, &layout), STATUS_OK);
    float *master = (float *)(void *)(bytes.at + sizeof *state + state->numbers * sizeof(double));
    for (int i = 0; gain != 0 && i < cell->size.d_model; i++) {
        layout_at(layout, layout->final_gain, master)[i] = gain;
    }
    layout_free(layout);
    return bytes;
}

static inline int course_set_up(void **state)
{
    struct shared *s = calloc(1, sizeof *s);
    struct course *c = s->course;
    for (int i = FP32; i <= FP16; i++) {
        c[i] = (struct course){.name = precision_name(fixture_precision[i]),
                               .cell = course_cell(STEPS, fixture_precision[i])};
    }
    s->corpus = text_corpus(400000, &c[0].cell.data);
    c[GROWING] =
        (struct course){.name = "growing scale", .cell = course_cell(LATE_STEPS, PRECISION_FP16)};
    c[GROWING].start = course_late_state(s, &c[GROWING].cell, 0);
    c[SKIPPING] = (struct course){.name = "skipped steps", .cell = c[GROWING].cell};
    c[SKIPPING].start = course_late_state(s, &c[SKIPPING].cell, 300);
    c[DIVERGING] = (struct course){.name = "diverging", .cell = c[FP32].cell};
    c[DIVERGING].cell.train.learning_rate = 1e3;
    cell_identify(&c[DIVERGING].cell);
    for (int i = 0; i < COURSES; i++) {
        struct store store = {0};
        struct attempt a = course_attempt(s, &c[i], &store);
        if (attempt_alone(&a, 0) != STATUS_OK) {
            fail_msg("%s: %s", c[i].name, a.err.message);
        }
        assert_int_equal(store.saves, 0);
        c[i].undisturbed = a.record;
        c[i].polls = a.polls;
        store_clear(&store);
        assert_true(a.polls < MOST_POLLS);
        for (int at = 1; at <= c[i].polls; at++) {
            struct store stopped = {0};
            a = course_attempt(s, &c[i], &stopped);
            assert_int_equal(attempt_alone(&a, at), STATUS_STOPPED);
            assert_null(a.record);
            assert_int_equal(stopped.saves, at > 4); /* a step polls four times */
            c[i].stopped[at] = stopped.last;
        }
    }
    *state = s;
    return 0;
}

static inline int course_tear_down(void **state)
{
    struct shared *s = *state;
    for (int i = 0; i < COURSES; i++) {
        record_free(s->course[i].undisturbed);
        free(s->course[i].start.at);
        for (int at = 0; at < MOST_POLLS; at++) {
            free(s->course[i].stopped[at].at);
        }
    }
    corpus_free(s->corpus);
    free(s);
    return 0;
}

#endif
