/* What a team really sends in a step of training, against what jobs/pace.h says. */
#include "jobs/pace.h"
#include "study/train.h"
#include "tests/unit/study_team.h"
#include "tests/unit/study_text.h"

/* Of one rank, in one step. */
struct traffic {
    double gathered, reduced; /* floats of the wholes */
    double sums;              /* doubles that are added up over ranks */
    double transfers;         /* gatherings, reductions, sums */
};

static _Thread_local struct traffic seen;

static int see_gather(struct team *team, void *whole, const size_t *begin,
                      struct transfer **transfer)
{
    seen.gathered += (double)(begin[team->size] - begin[0]) / sizeof(float);
    seen.transfers++;
    return team_gather(team, whole, begin, transfer);
}

static int see_reduce(struct team *team, float *whole, const size_t *begin,
                      struct transfer **transfer)
{
    seen.reduced += (double)(begin[team->size] - begin[0]);
    seen.transfers++;
    return team_reduce(team, whole, begin, transfer);
}

static int see_sum(struct team *team, double *x, size_t n)
{
    seen.sums += (double)n;
    seen.transfers++;
    return team_sum_double(team, x, n);
}

struct watched {
    const struct corpus *corpus;
    const struct cell *cell;
    bool recompute;
    int status;
    struct error err;
    struct traffic step; /* the third: nothing is new any more */
};

static void watch(struct team *team, void *context)
{
    struct watched *w = context;
    struct error *err = &w->err;
    struct layout *layout = NULL;
    struct trainer *trainer = NULL;
    struct train_step result;
    int status = STATUS_OK;
    team->recompute = w->recompute;
    team->gather_start = see_gather;
    team->reduce_start = see_reduce;
    team->sum_double = see_sum;
    TRY(layout_create(err, &w->cell->size, &w->cell->model, &layout));
    TRY(trainer_create(err, team, w->corpus, layout, w->cell, &trainer));
    for (int i = 0; i < 3; i++) {
        seen = (struct traffic){0};
        TRY(trainer_step(err, trainer, &result));
    }
    w->step = seen;
cleanup:
    trainer_free(trainer);
    layout_free(layout);
    w->status = status;
}

static void check(const struct corpus *corpus, const struct cell *cell, int ranks, bool recompute)
{
    struct watched watched[TEAM_MOST];
    struct pace pace;
    for (int r = 0; r < ranks; r++) {
        watched[r] = (struct watched){.corpus = corpus, .cell = cell, .recompute = recompute};
    }
    team_run(ranks, 0, watch, watched, sizeof watched[0]);
    pace_of(cell, ranks, recompute, &(struct pace_machine){1e9, 1e9, 1e-6}, &pace);
    for (int r = 0; r < ranks; r++) {
        const struct traffic *t = &watched[r].step;
        const double share = 4 * (1 - 1.0 / ranks), rounds = log2(ranks);
        assert_int_equal(watched[r].status, STATUS_OK);
        const double ratio[] = {
            pace.gathered / (share * t->gathered), pace.reduced / (share * t->reduced),
            pace.norms / (8 * rounds * t->sums), pace.messages / (rounds * t->transfers)};
        printf("%s%s, %d ranks%s: planned / seen: parameters %.3f, gradients %.3f, norms %.3f, "
               "messages %.3f\n",
               block_name(cell->model.block), cell->model.tied ? ", tied" : "", ranks,
               recompute ? ", again" : "", ratio[0], ratio[1], ratio[2], ratio[3]);
        for (int i = 0; i < 4; i++) {
            /* Now and then a unit is still there: of four layers, one in forty. */
            if (!(ratio[i] > 0.999 && ratio[i] < (i == 0 || i == 3 ? 1.03 : 1.001))) {
                fail_msg("ratio %d is %g", i, ratio[i]);
            }
        }
    }
}

static void traffic(void **state)
{
    (void)state;
    struct cell cell = text_cell(10, PRECISION_BF16);
    struct corpus *corpus = text_corpus(400000, &cell.data);
    cell.size.layers = 4;
    cell.size.d_model = 64;
    cell.size.heads = 2;
    cell.size.d_ff = 256;
    cell.train.batch = 8 * cell.train.micro_batch;
    for (int i = 0; i < 16; i++) {
        cell.model.block = i & 1 ? BLOCK_SEQUENTIAL : BLOCK_PARALLEL;
        cell.model.tied = i & 2;
        check(corpus, &cell, i & 8 ? 4 : 2, i & 4);
    }
    corpus_free(corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(traffic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
