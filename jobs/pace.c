#include "jobs/pace.h"

#include <math.h>

#include "jobs/cost.h"
#include "jobs/cost_parts.h"

enum { FLOAT_BYTES = 4, DOUBLE_BYTES = 8 };

static double count_units(const struct cell *cell)
{
    return (double)cell->size.layers * COST_SITES + 2;
}

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
    const double quantized = full + sites; /* of a unit biases and LayerNorms are needed, too */
    const double windows = turns(cell, cell->evaluate.windows, ranks);
    const double calibration = turns(cell, cell->evaluate.calibration_windows, ranks);
    const double probes = turns(cell, cost_probe_windows(cell), ranks);
    double tasks = 0;
    for (int t = 0; t < cell->evaluate.tasks; t++) { /* each is asked by itself */
        tasks += turns(cell, cost_task_sequences(&cell->evaluate.task[t]), ranks);
    }
    const double all = windows * (passes.full + passes.quantized) +
                       tasks * (passes.tasks + passes.quantized) +
                       calibration * passes.calibration + probes * passes.probes;
    const double busiest = windows * cell->train.micro_batch / cell->evaluate.windows;
    const double network =
        share((windows * passes.full + tasks * passes.tasks) * full +
                  (windows + tasks) * passes.quantized * quantized +
                  (calibration * passes.calibration + probes * passes.probes) * full,
              ranks);
    const double messages = all * count_units(cell) * rounds(ranks);
    const double compute = cost.evaluate_flops * fmin(1, busiest) / machine->flops;
    pace->evaluated = network;
    pace->evaluate = fmax(compute, network / machine->bandwidth + messages * machine->latency);
}

/* Transfers of a micro-batch: floats of the whole, and how many. */
struct transfers {
    double floats, count;
};

/* Parameters: all units forward, the blocks' backward (the last one's ffn_out is still there), and what the activations of all
 * blocks but the last take, and push out, when they are computed again. A tied head has the embedding gathered once more. */
static struct transfers gathers(const struct cell *cell, const struct cost_units *units,
                                bool recompute)
{
    const double layers = cell->size.layers;
    double block = 0;
    for (int i = 0; i < COST_SITES; i++) {
        block += units->site[i];
    }
    struct transfers t = {.floats = units->embedding + units->head + 2 * layers * block,
                          .count = 2 + 2 * layers * COST_SITES};
    if (cell->model.tied) {
        t.floats += units->embedding;
        t.count += 1;
    } else {
        t.floats -= units->site[COST_SITES - 1];
        t.count -= 1;
    }
    if (recompute) {
        t.floats += (layers - 1) * (units->site[0] + units->site[1] + units->site[3]);
        t.count += 3 * (layers - 1);
    }
    return t;
}

const struct pace_machine pace_assumed = {.flops = 6e10, .bandwidth = 1e9, .latency = 1e-5};

void pace_of(const struct cell *cell, int ranks, bool recompute, const struct pace_machine *machine,
             struct pace *pace)
{
    const double mine = (double)(cell->train.batch / cell->train.micro_batch) / ranks;
    const double all = (double)cell_parameters_total(cell);
    const double sequences = mine * cell->train.micro_batch, reductions = count_units(cell);
    struct cost_units units;
    cost_units(cell, &units);
    const struct transfers gather = gathers(cell, &units, recompute);
    const double embedding = share(FLOAT_BYTES * units.embedding, ranks);
    *pace = (struct pace){0};
    pace->step_flops =
        (3 * cost_forward_flops(cell) + (recompute ? cost_recompute_flops(cell) : 0)) * sequences;
    pace->gathered = mine * share(FLOAT_BYTES * gather.floats, ranks);
    pace->reduced = mine * share(FLOAT_BYTES * all, ranks);
    /* Of each chunk of the gradient, of each micro-batch a loss, and one more: three sums. */
    pace->norms = DOUBLE_BYTES * (cost_chunks(cell) + mine + 1) * rounds(ranks);
    pace->messages = ((gather.count + reductions) * mine + 3) * rounds(ranks);
    pace->compute = pace->step_flops / machine->flops;
    pace->network = (pace->gathered + pace->reduced + pace->norms) / machine->bandwidth +
                    pace->messages * machine->latency;
    pace->exposed = ((mine + 1) * embedding + pace->norms) / machine->bandwidth +
                    (mine + 4) * rounds(ranks) * machine->latency;
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
