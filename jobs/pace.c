#include "jobs/pace.h"

#include <math.h>

#include "jobs/cost.h"
#include "jobs/cost_parts.h"

enum { FLOAT_BYTES = 4, DOUBLE_BYTES = 8 };

/* What a rank sends to make a whole of `ranks` parts, or parts of a whole. */
static double share(double whole, int ranks)
{
    return whole * (1 - 1.0 / ranks);
}

static double rounds(int ranks)
{
    return log2(ranks);
}

/* Sequences in groups of a micro-batch go round the team: groups that the busiest rank has. */
static double turns(const struct cell *cell, double sequences, int ranks)
{
    return ceil(ceil(sequences / cell->train.micro_batch) / ranks);
}

/* What a team sends and computes to evaluate: every pass over a group of windows gathers the model, in full or quantized. */
static void evaluation(const struct cell *cell, int ranks, const struct pace_machine *machine,
                       struct pace *pace)
{
    struct cost cost;
    struct cost_passes passes;
    cost_of(cell, &cost);
    cost_passes(cell, &passes);
    const double sites = cell->size.layers * cost_block_weights(cell);
    const double full = FLOAT_BYTES * (double)cell_parameters_total(cell);
    const double quantized = full - (FLOAT_BYTES - 1) * sites;
    const double windows = turns(cell, cell->evaluate.windows, ranks);
    const double calibration = turns(cell, cell->evaluate.calibration_windows, ranks);
    const double probes = turns(cell, cost_probe_windows(cell), ranks);
    const double all = windows * (passes.full + passes.quantized) +
                       calibration * passes.calibration + probes * passes.probes;
    const double busiest = windows * cell->train.micro_batch / cell->evaluate.windows;
    const double network =
        share(windows * (passes.full * full + passes.quantized * quantized) +
                  (calibration * passes.calibration + probes * passes.probes) * full,
              ranks);
    const double messages = all * (cell->size.layers + 2) * rounds(ranks);
    const double compute = cost.evaluate_flops * fmin(1, busiest) / machine->flops;
    pace->evaluated = network;
    pace->evaluate = fmax(compute, network / machine->bandwidth + messages * machine->latency);
}

void pace_of(const struct cell *cell, int ranks, bool recompute, const struct pace_machine *machine,
             struct pace *pace)
{
    const double mine = (double)(cell->train.batch / cell->train.micro_batch) / ranks;
    const double all = (double)cell_parameters_total(cell);
    const double embedding = (double)cell->size.d_model *
                             (cell->model.vocabulary +
                              (cell->model.position == POSITION_LEARNED ? cell->size.context : 0));
    /* A tied head gathers the embedding once more, and adds its gradient to the embedding's own. */
    const double again = cell->model.tied ? (double)cell->size.d_model * cell->model.vocabulary : 0;
    const double units = cell->size.layers + 2;
    *pace = (struct pace){0};
    pace->step_flops =
        cost_forward_flops(cell) * (recompute ? 4 : 3) * mine * cell->train.micro_batch;
    pace->gathered = 2 * mine * share(FLOAT_BYTES * (all + again), ranks);
    pace->reduced = mine * share(FLOAT_BYTES * all, ranks);
    pace->norms = 2 * DOUBLE_BYTES * rounds(ranks);
    pace->messages =
        (3 * units + (cell->model.tied ? 2 : 0)) * mine * rounds(ranks) + 2 * rounds(ranks);
    pace->compute = pace->step_flops / machine->flops;
    pace->network = (pace->gathered + pace->reduced + pace->norms) / machine->bandwidth +
                    pace->messages * machine->latency;
    pace->exposed =
        (mine * 2 * share(FLOAT_BYTES * embedding, ranks) + pace->norms) / machine->bandwidth +
        (2 * mine + 2) * rounds(ranks) * machine->latency;
    pace->step = fmax(pace->compute, pace->network - pace->exposed) + pace->exposed;
    pace->tokens = (double)cell->train.batch * cell->size.context / pace->step;
    pace->train = pace->step * (double)cell->train.steps;
    pace->checkpoint = 3 * FLOAT_BYTES * all;
    evaluation(cell, ranks, machine, pace);
}

double pace_seconds(const struct cell *cell, int ranks, bool recompute,
                    const struct pace_machine *machine)
{
    struct pace pace;
    pace_of(cell, ranks, recompute, machine, &pace);
    return pace.train + pace.evaluate;
}

double pace_gain(const struct cell *cell, int ranks, bool recompute,
                 const struct pace_machine *machine)
{
    if (2 * (int64_t)ranks > cell->train.batch / cell->train.micro_batch) {
        return 0;
    }
    const double now = pace_seconds(cell, ranks, recompute, machine);
    const double then = pace_seconds(cell, 2 * ranks, recompute, machine);
    return fmin(1, fmax(0, now / then - 1));
}
