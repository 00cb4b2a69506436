#include "tests/bench/replication.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>

#include "results/analysis.h"
#include "results/spending.h"
#include "tests/unit/design_fixture.h"

enum { FACTORS = 5, SETTINGS = 16 };

/* The study as it is at one look. */
struct stage {
    struct table *table;
    struct effects *effects;
    struct design *design;
    double *y, *loss; /* (cells) */
    double level;
};

struct simulation {
    const struct replication *replication;
    int most;                  /* seeds at the last look */
    unsigned levels[SETTINGS]; /* of design_fixture.h: which factors are at the other level */
    struct stage stage[SPEC_LOOKS];
    int stages;
    double *y; /* (sizes, SETTINGS, most) */
    gsl_rng *random;
};

/* Twenty tokens per parameter everywhere: the base runs are the diagonal. */
static void set_tokens(struct table *table)
{
    for (int i = 0; i < table->cells; i++) {
        struct table_cell *cell = &table->cell[i];
        const double before = cell->tokens;
        const int size = atoi(cell->size + 4); /* "size2" */
        cell->parameters = 1e5 * pow(10, size / 3.0);
        cell->tokens = 20 * cell->parameters;
        cell->weight_decay *= before / cell->tokens;
    }
}

static int open_stage(struct error *err, struct simulation *s, int seeds, double level)
{
    int status = STATUS_OK;
    struct stage *stage = &s->stage[s->stages++];
    stage->level = level;
    stage->table = fixture_half_fraction(s->replication->sizes, seeds, 0);
    set_tokens(stage->table);
    stage->y = fixture_values((size_t)stage->table->cells);
    stage->loss = fixture_values((size_t)stage->table->cells);
    for (int i = 0; i < stage->table->cells; i++) {
        stage->loss[i] = 3;
    }
    TRY(effects_open(err, stage->table, &stage->effects));
    TRY(design_open(err, stage->effects, &stage->design));
cleanup:
    return status;
}

static void close_all(struct simulation *s)
{
    for (int i = 0; i < s->stages; i++) {
        design_free(s->stage[i].design);
        effects_free(s->stage[i].effects);
        table_free(s->stage[i].table);
        free(s->stage[i].y);
        free(s->stage[i].loss);
    }
    free(s->y);
    if (s->random != NULL) {
        gsl_rng_free(s->random);
    }
}

/* Responses of all cells that the study might come to have. */
static void draw(struct simulation *s)
{
    const struct replication *r = s->replication;
    double *y = s->y;
    for (int size = 0; size < r->sizes; size++) {
        double block[SPEC_SEEDS];
        for (int k = 0; k < s->most; k++) {
            block[k] = gsl_ran_gaussian(s->random, r->seed_sd);
        }
        for (int i = 0; i < SETTINGS; i++) {
            /* Signs of decay, dropout, clip, precision; an interaction is the difference of two effects. */
            double sign[FACTORS];
            for (int f = 0; f < FACTORS; f++) {
                sign[f] = s->levels[i] & 1u << f ? 0.5 : -0.5;
            }
            const double mean = r->effect[H5] * size / 3 + r->effect[H1] * sign[0] +
                                r->effect[H2] * sign[1] + r->effect[H3A] * sign[2] +
                                r->effect[H4A] * sign[3] + r->effect[H3B] * sign[0] * sign[2] +
                                r->effect[H4B] * sign[0] * sign[3];
            for (int k = 0; k < s->most; k++) {
                *y++ = mean + block[k] + gsl_ran_gaussian(s->random, r->residual_sd);
            }
        }
    }
}

static bool is_contradicted(enum verdict verdict)
{
    return verdict == VERDICT_OPPOSITE || verdict == VERDICT_NEGLIGIBLE ||
           verdict == VERDICT_CONTRADICTED;
}

/* METHOD §6: H1–H4 claim an effect above 0, to which "contradicted" says that it is below δ; H5 claims a slope below δ. */
static bool is_wrong(int h, const struct claim *claim, double truth)
{
    const bool supported = claim->verdict == VERDICT_SUPPORTED;
    if (h == H5) {
        return supported ? truth >= claim->delta
                         : is_contradicted(claim->verdict) && truth <= claim->delta;
    }
    return supported ? truth <= 0 : is_contradicted(claim->verdict) && truth >= claim->delta;
}

static bool is_missed(const struct claim *claim, double truth)
{
    return claim->verdict != VERDICT_NOT_ASKED &&
           (truth < claim->effect.interval.low || truth > claim->effect.interval.high);
}

static void count(const struct replication *r, const struct claims *claims,
                  struct replication_result *result)
{
    bool any_wrong = false, any_missed = false;
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct claim *claim = &claims->claim[h];
        if (claim->verdict == VERDICT_NOT_ASKED) {
            continue;
        }
        const bool wrong = is_wrong(h, claim, r->effect[h]);
        const bool missed = is_missed(claim, r->effect[h]);
        result->claim[h].supported += claim->verdict == VERDICT_SUPPORTED;
        result->claim[h].contradicted += is_contradicted(claim->verdict);
        result->claim[h].wrong += wrong;
        result->claim[h].missed += missed;
        any_wrong |= wrong;
        any_missed |= missed;
    }
    result->any_wrong += any_wrong;
    result->any_missed += any_missed;
}

/* One study through all looks; it ends at the first at which it is decided. */
static int run_study(struct error *err, struct simulation *s, struct claims *claims,
                     struct replication_result *result)
{
    int status = STATUS_OK;
    const struct replication *r = s->replication;
    bool ended = false, any = false, ever[HYPOTHESES] = {false};
    draw(s);
    for (int k = 0; k < s->stages; k++) {
        struct stage *stage = &s->stage[k];
        const int seeds = stage->table->cells / (r->sizes * SETTINGS);
        for (int i = 0; i < stage->table->cells; i++) {
            stage->y[i] = s->y[i / seeds * s->most + i % seeds];
        }
        TRY(claims_of(err, stage->design, stage->y, stage->loss, stage->level, claims));
        for (int h = 0; h < HYPOTHESES; h++) {
            ever[h] = ever[h] || is_missed(&claims->claim[h], r->effect[h]);
        }
        if (!ended && (claims->decided || k + 1 == s->stages)) {
            ended = true;
            result->ended[k]++;
            result->seeds += (double)seeds / r->studies;
            count(r, claims, result);
        }
    }
    for (int h = 0; h < HYPOTHESES; h++) {
        result->claim[h].ever += ever[h];
        any = any || ever[h];
    }
    result->any_ever += any;
cleanup:
    return status;
}

int replication_run(struct error *err, const struct replication *r,
                    struct replication_result *result)
{
    int status = STATUS_OK;
    struct simulation s = {.replication = r, .most = r->plan.seeds[r->plan.count - 1]};
    struct spending spending[SPEC_LOOKS];
    struct claims *claims = calloc(1, sizeof *claims);
    int setting = 0;
    *result = (struct replication_result){0};
    for (unsigned bits = 0; bits < 32; bits++) { /* the order of fixture_half_fraction */
        if (__builtin_popcount(bits) % 2 == 0) {
            s.levels[setting++] = bits;
        }
    }
    s.y = malloc((size_t)r->sizes * SETTINGS * (size_t)s.most * sizeof *s.y);
    s.random = gsl_rng_alloc(gsl_rng_mt19937);
    CHECK(err, s.y != NULL && claims != NULL && s.random != NULL, STATUS_FAILED, "out of memory");
    gsl_rng_set(s.random, r->seed);
    spending_plan(&r->plan, ANALYSIS_ALPHA, spending);
    for (int k = 0; k < r->plan.count; k++) {
        TRY(open_stage(err, &s, r->plan.seeds[k], spending[k].level));
    }
    for (int i = 0; i < r->studies; i++) {
        TRY(run_study(err, &s, claims, result));
    }
cleanup:
    free(claims);
    close_all(&s);
    return status;
}
