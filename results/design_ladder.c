#include <math.h>
#include <stdlib.h>

#include "results/design_parts.h"

static const double SPREAD = 1.15; /* of tokens per parameter along a diagonal */

static int count_cells(const struct design *design, int setting, int size)
{
    int cells = 0;
    for (int k = 0; k < design->seeds; k++) {
        cells += design_cell(design, setting, size, k) >= 0;
    }
    return cells;
}

struct rung {
    double per_parameter;
    int setting, size, blocks;
};

static int compare_rungs(const void *a, const void *b)
{
    const struct rung *x = a;
    const struct rung *y = b;
    int order = (x->per_parameter > y->per_parameter) - (x->per_parameter < y->per_parameter);
    return order != 0 ? order : x->setting - y->setting;
}

/* From `first` on, each size's rung within the spread: that with the most blocks, then the nearest. Returns its sizes. */
static int walk_diagonal(const struct rung *rung, int rungs, int first, int *of_size, int sizes,
                         int *blocks)
{
    int found = 0;
    *blocks = 0;
    for (int s = 0; s < sizes; s++) {
        of_size[s] = -1;
    }
    for (int i = first; i < rungs && rung[i].per_parameter <= SPREAD * rung[first].per_parameter;
         i++) {
        int *best = &of_size[rung[i].size];
        found += *best < 0;
        if (*best < 0 || rung[i].blocks > rung[*best].blocks) {
            *blocks += rung[i].blocks - (*best < 0 ? 0 : rung[*best].blocks);
            *best = i;
        }
    }
    return found;
}

static int find_diagonal(struct error *err, struct design *design)
{
    int status = STATUS_OK;
    const struct effects *effects = design->effects;
    struct ladder *ladder = &design->ladder;
    int rungs = 0, best_blocks = 0;
    size_t most = (size_t)effects->table->cells + 1;
    struct rung *rung = calloc(most, sizeof *rung);
    int *of_size = calloc((size_t)effects->sizes, sizeof *of_size);
    CHECK(err, rung != NULL && of_size != NULL, STATUS_FAILED, "out of memory for the design");
    for (int i = 0; i < ladder->settings; i++) {
        for (int s = 0; s < effects->sizes; s++) {
            int cell = design_any_cell(design, ladder->setting[i], s);
            if (cell >= 0) {
                rung[rungs++] = (struct rung){
                    effects->table->cell[cell].tokens / effects->size[s].parameters,
                    ladder->setting[i], s, count_cells(design, ladder->setting[i], s)};
            }
        }
    }
    qsort(rung, (size_t)rungs, sizeof *rung, compare_rungs);
    for (int first = 0; first < rungs; first++) {
        int blocks;
        int sizes = walk_diagonal(rung, rungs, first, of_size, effects->sizes, &blocks);
        bool more = sizes > ladder->diagonal_sizes ||
                    (sizes == ladder->diagonal_sizes && blocks >= best_blocks);
        if (sizes < 2 || !more) {
            continue;
        }
        best_blocks = blocks;
        ladder->diagonal_sizes = sizes;
        ladder->least = INFINITY;
        ladder->most = 0;
        for (int s = 0; s < effects->sizes; s++) {
            ladder->diagonal[s] = of_size[s] < 0 ? -1 : rung[of_size[s]].setting;
            if (of_size[s] >= 0) {
                ladder->least = fmin(ladder->least, rung[of_size[s]].per_parameter);
                ladder->most = fmax(ladder->most, rung[of_size[s]].per_parameter);
            }
        }
    }
cleanup:
    free(rung);
    free(of_size);
    return status;
}

int design_find_ladder(struct error *err, struct design *design)
{
    int status = STATUS_OK;
    const struct effects *effects = design->effects;
    struct ladder *ladder = &design->ladder;
    ladder->least = NAN;
    ladder->most = NAN;
    ladder->setting = calloc((size_t)effects->settings + 1, sizeof *ladder->setting);
    ladder->diagonal = calloc((size_t)effects->sizes, sizeof *ladder->diagonal);
    CHECK(err, ladder->setting != NULL && ladder->diagonal != NULL, STATUS_FAILED,
          "out of memory for the design");
    for (int s = 0; s < effects->sizes; s++) {
        ladder->diagonal[s] = -1;
    }
    for (int s = 0; s < effects->settings && effects->base >= 0; s++) {
        if (design_is_rung(design, s)) {
            ladder->setting[ladder->settings++] = s;
        }
    }
    TRY(find_diagonal(err, design));
cleanup:
    return status;
}

bool design_is_rung(const struct design *design, int setting)
{
    return setting == design->effects->base ||
           design->setting[setting].changed == 1u << RECIPE_TOKENS;
}
