/* A small cell that is trained and evaluated once with each of two precisions, for the tests that look at its record. */
#ifndef TESTS_UNIT_STUDY_RUN_H
#define TESTS_UNIT_STUDY_RUN_H

#include "study/run_cell.h"
#include "tests/unit/study_team.h"
#include "tests/unit/study_text.h"

enum {
    CHECKPOINTS = 3,
    WINDOWS = 23,
    CALIBRATION = 5,
    EVERY = 2 /* quantizers of every checkpoint */
};

/* Every known quantizer; the first two at every checkpoint. 23 windows are no multiple of micro-batches of 2. */
static inline struct cell run_cell_create(enum precision precision)
{
    struct cell cell = text_cell(120, precision);
    struct cell_evaluate *e = &cell.evaluate;
    e->checkpoints = CHECKPOINTS;
    e->fraction[0] = 0.25;
    e->fraction[1] = 0.5;
    e->fraction[2] = 1;
    e->windows = WINDOWS;
    e->calibration_windows = CALIBRATION;
    e->calibration_seed = 31;
    for (; quantizer_at(e->quantizers) != NULL; e->quantizers++) {
        e->quantizer[e->quantizers] = *quantizer_at(e->quantizers);
        e->every_checkpoint[e->quantizers] = e->quantizers < EVERY;
    }
    return cell;
}

/* One run ===================================================================================== */

struct run {
    const struct corpus *corpus;
    const struct cell *cell;
    struct record *record;
    int status, rank, reports, evaluations;
    bool bad_report;
    struct error err;
};

static inline void run_count(void *context, const struct progress *progress)
{
    struct run *run = context;
    const bool training = strcmp(progress->phase, "train") == 0;
    run->reports++;
    run->evaluations += strcmp(progress->phase, "evaluate") == 0;
    run->bad_report = run->bad_report || !isfinite(progress->loss) || progress->step < 1 ||
                      progress->step > progress->steps ||
                      progress->steps != run->cell->train.steps ||
                      (training && !(progress->tokens_per_second > 0));
}

static inline void run_work(struct team *team, void *context)
{
    struct run *run = context;
    run->rank = team->rank;
    run->status =
        run_cell(&run->err, team, run->corpus, run->cell, NULL, run_count, run, &run->record);
}

struct run_shared {
    struct corpus *corpus;
    struct cell cell[2]; /* fp32 and bf16 */
    struct run run[2];   /* of one rank */
};

static inline int run_set_up(void **state)
{
    struct run_shared *s = calloc(1, sizeof *s);
    struct team alone = team_alone();
    const struct algebra algebra = algebra_lapack(&alone);
    alone.algebra = &algebra;
    for (int i = 0; i < 2; i++) {
        s->cell[i] = run_cell_create(fixture_precision[i]);
        s->corpus = s->corpus ? s->corpus : text_corpus(400000, &s->cell[i].data);
        s->run[i] = (struct run){.corpus = s->corpus, .cell = &s->cell[i]};
        run_work(&alone, &s->run[i]);
        if (s->run[i].status != STATUS_OK) {
            fail_msg("%s", s->run[i].err.message);
        }
    }
    *state = s;
    return 0;
}

static inline int run_tear_down(void **state)
{
    struct run_shared *s = *state;
    record_free(s->run[0].record);
    record_free(s->run[1].record);
    corpus_free(s->corpus);
    free(s);
    return 0;
}

/* Equal but for the last digits. */
static inline void run_near(const char *what, double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * fabs(b) + 1e-15)) {
        fail_msg("%s is %.17g, not %.17g", what, a, b);
    }
}

#endif
