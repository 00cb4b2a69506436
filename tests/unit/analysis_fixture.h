/* A study of a fixture table with its design, and noise that is the same in every run. */
#ifndef TESTS_UNIT_ANALYSIS_FIXTURE_H
#define TESTS_UNIT_ANALYSIS_FIXTURE_H

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "tests/unit/design_fixture.h"

struct fixture_study {
    struct table *table;
    struct effects *effects;
    struct design *design;
    double *y, *loss; /* (cells) */
    gsl_rng *rng;
    struct error err;
};

/* Takes over `table`. */
static inline struct fixture_study *fixture_open(struct table *table)
{
    struct fixture_study *study = calloc(1, sizeof *study);
    assert(study != NULL);
    study->table = table;
    int opened = effects_open(&study->err, table, &study->effects);
    assert(opened == STATUS_OK);
    opened = design_open(&study->err, study->effects, &study->design);
    assert(opened == STATUS_OK);
    study->y = fixture_values((size_t)table->cells);
    study->loss = fixture_values((size_t)table->cells);
    study->rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(study->rng, 20240101);
    return study;
}

static inline void fixture_close(struct fixture_study *study)
{
    design_free(study->design);
    effects_free(study->effects);
    table_free(study->table);
    free(study->y);
    free(study->loss);
    gsl_rng_free(study->rng);
    free(study);
}

static inline double fixture_normal(struct fixture_study *study, double sd)
{
    return gsl_ran_gaussian(study->rng, sd);
}

/* For cmocka.h, which a test includes first. */
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

/* The cell of a setting by its number in the fixture. */
static inline int fixture_cell(const struct fixture_study *study, int setting, int size, int seed)
{
    int cell = design_cell(study->design, setting, size, seed);
    assert(cell >= 0);
    return cell;
}

#endif
