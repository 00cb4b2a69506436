#include "jobs/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/cost.h"

static struct pace_machine pace_machine(const struct plan_machine *machine)
{
    return (struct pace_machine){.flops = machine->gflops * 1e9,
                                 .bandwidth = machine->bandwidth * 1e9,
                                 .latency = machine->latency * 1e-6};
}

static int check_machine(struct error *err, const struct plan_machine *machine)
{
    int status = STATUS_OK;
    CHECK(err, machine->ranks >= 1, STATUS_USAGE, "plan: '%d' ranks; give 1 or more",
          machine->ranks);
    CHECK(err, isfinite(machine->gflops) && machine->gflops > 0, STATUS_USAGE,
          "plan: '%g' GFLOP/s; give a rate above 0", machine->gflops);
    CHECK(err, isfinite(machine->bandwidth) && machine->bandwidth > 0, STATUS_USAGE,
          "plan: a bandwidth of '%g' GB/s; give one above 0", machine->bandwidth);
    CHECK(err, isfinite(machine->latency) && machine->latency >= 0, STATUS_USAGE,
          "plan: a latency of '%g' microseconds; give one of 0 or more", machine->latency);
cleanup:
    return status;
}

static void choose(struct plan *plan, int i)
{
    struct cell cell = plan->cells[i];
    const struct pace_machine machine = pace_machine(&plan->machine);
    struct plan_cell *planned = &plan->cell[i];
    struct error err = {0};
    if (i > 0 && width_same(&cell, &plan->cells[i - 1])) {
        *planned = plan->cell[i - 1];
        return;
    }
    /* One process is a team of one, whatever the study wants. */
    cell.ranks = plan->machine.ranks > 1 ? cell.ranks : 1;
    planned->size = spec_size_of(plan->spec, &cell);
    planned->most = width_widest(&cell, plan->workers);
    planned->fits = width_choose(&err, &cell, width_memory(plan->machine.memory, plan->text),
                                 plan->workers, &planned->width) == STATUS_OK;
    if (planned->fits) {
        const int ranks = planned->width.ranks;
        const bool recompute = planned->width.recompute;
        planned->seconds = pace_seconds(&cell, ranks, recompute, &machine);
        planned->gain = ranks < planned->most ? pace_gain(&cell, ranks, recompute, &machine) : 0;
        return;
    }
    planned->width = (struct width){0};
    char *refusal = plan->refusal[planned->size];
    plan->refused += refusal[0] == '\0';
    snprintf(refusal, sizeof plan->refusal[0], "%s", err.message);
}

int plan_create(struct error *err, const struct spec *spec, const struct cell *cells, int count,
                const struct plan_machine *machine, struct plan **out)
{
    int status = STATUS_OK;
    struct plan *plan = calloc(1, sizeof *plan);
    CHECK(err, plan, STATUS_FAILED, "out of memory");
    TRY(check_machine(err, machine));
    CHECK(err, count > 0, STATUS_USAGE, "%s: the study has no cells", spec->path);
    plan->spec = spec;
    plan->cells = cells;
    plan->count = count;
    plan->machine = *machine;
    plan->workers = machine->ranks > 1 ? machine->ranks - 1 : 1;
    plan->text = spec_text_bytes(spec);
    plan->process = cost_process_bytes(plan->text);
    plan->cell = calloc((size_t)count, sizeof *plan->cell);
    CHECK(err, plan->cell, STATUS_FAILED, "out of memory for %d cells", count);
    for (int i = 0; i < count; i++) {
        choose(plan, i);
    }
    *out = plan;
    plan = NULL;
cleanup:
    plan_free(plan);
    return status;
}

void plan_free(struct plan *plan)
{
    if (plan) {
        free(plan->cell);
        free(plan);
    }
}
