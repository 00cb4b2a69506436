#include "results/matching.h"

#include <math.h>
#include <stdlib.h>

/* Runs of the base by loss: what log KL a base model of that loss has. */
struct rung {
    double loss, y;
};

struct curve {
    int rungs;
    struct rung *rung; /* ascending loss */
};

static int compare_rungs(const void *a, const void *b)
{
    const struct rung *x = a;
    const struct rung *y = b;
    int order = (x->loss > y->loss) - (x->loss < y->loss);
    return order != 0 ? order : (x->y > y->y) - (x->y < y->y);
}

/* NaN beyond the curve's ends, or if it has not two. */
static double interpolate(const struct curve *curve, double loss)
{
    int last = curve->rungs - 1;
    if (last < 1 || !(loss >= curve->rung[0].loss && loss <= curve->rung[last].loss)) {
        return NAN;
    }
    int low = 0;
    int high = last;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (curve->rung[middle].loss <= loss) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const struct rung *left = &curve->rung[low];
    const struct rung *right = &curve->rung[high];
    double width = right->loss - left->loss;
    double part = width > 0 ? (loss - left->loss) / width : 0.5;
    return left->y + part * (right->y - left->y);
}

static bool measured(const double *y, const double *loss, int cell)
{
    return cell >= 0 && isfinite(y[cell]) && isfinite(loss[cell]);
}

/* The rungs that a seed of the size has. */
static void seed_curve(const struct design *design, const double *y, const double *loss, int size,
                       int seed, struct curve *curve)
{
    curve->rungs = 0;
    for (int i = 0; i < design->ladder.settings; i++) {
        int cell = design_cell(design, design->ladder.setting[i], size, seed);
        if (measured(y, loss, cell)) {
            curve->rung[curve->rungs++] = (struct rung){loss[cell], y[cell]};
        }
    }
}

/* How many rungs any seed of the size has; *whole: seeds that have them all. */
static int count_rungs(const struct design *design, const double *y, const double *loss, int size,
                       int *whole)
{
    int rungs = 0;
    for (int i = 0; i < design->ladder.settings; i++) {
        bool any = false;
        for (int k = 0; k < design->seeds && !any; k++) {
            any = measured(y, loss, design_cell(design, design->ladder.setting[i], size, k));
        }
        rungs += any;
    }
    *whole = 0;
    for (int k = 0; k < design->seeds; k++) {
        int has = 0;
        for (int i = 0; i < design->ladder.settings; i++) {
            has += measured(y, loss, design_cell(design, design->ladder.setting[i], size, k));
        }
        *whole += has == rungs && rungs > 0;
    }
    return rungs;
}

/* Means over the seeds that have all `rungs`, so that every rung is of the same seeds; over all
 * seeds if none has. */
static void mean_curve(const struct design *design, const double *y, const double *loss, int size,
                       int rungs, int whole, struct curve *curve, struct curve *scratch)
{
    curve->rungs = 0;
    for (int i = 0; i < design->ladder.settings; i++) {
        struct rung sum = {0, 0};
        int seeds = 0;
        for (int k = 0; k < design->seeds; k++) {
            seed_curve(design, y, loss, size, k, scratch);
            int cell = design_cell(design, design->ladder.setting[i], size, k);
            if (measured(y, loss, cell) && (whole == 0 || scratch->rungs == rungs)) {
                sum.loss += loss[cell];
                sum.y += y[cell];
                seeds++;
            }
        }
        if (seeds > 0) {
            curve->rung[curve->rungs++] = (struct rung){sum.loss / seeds, sum.y / seeds};
        }
    }
}

static void sort_curve(struct curve *curve)
{
    qsort(curve->rung, (size_t)curve->rungs, sizeof *curve->rung, compare_rungs);
}

int matching_residuals(struct error *err, const struct design *design, const double *y,
                       const double *loss, double *out, int *outside)
{
    int status = STATUS_OK;
    size_t most = (size_t)design->ladder.settings + 1;
    struct curve own = {0, calloc(most, sizeof *own.rung)};
    struct curve mean = {0, calloc(most, sizeof *mean.rung)};
    *outside = 0;
    CHECK(err, own.rung != NULL && mean.rung != NULL, STATUS_FAILED,
          "out of memory for the ladder of %d rungs", design->ladder.settings);
    for (int i = 0; i < design->effects->table->cells; i++) {
        out[i] = NAN;
    }
    for (int s = 0; s < design->effects->sizes; s++) {
        int whole;
        int rungs = count_rungs(design, y, loss, s, &whole);
        mean_curve(design, y, loss, s, rungs, whole, &mean, &own);
        sort_curve(&mean);
        for (int k = 0; k < design->seeds; k++) {
            seed_curve(design, y, loss, s, k, &own);
            sort_curve(&own);
            const struct curve *curve = own.rungs == rungs ? &own : &mean;
            for (int i = 0; i < design->effects->settings; i++) {
                int cell = design_cell(design, i, s, k);
                if (measured(y, loss, cell)) {
                    out[cell] = y[cell] - interpolate(curve, loss[cell]);
                    *outside += isnan(out[cell]);
                }
            }
        }
    }
cleanup:
    free(own.rung);
    free(mean.rung);
    return status;
}
