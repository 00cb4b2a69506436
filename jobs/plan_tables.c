#include "jobs/plan_tables.h"

#include <math.h>

#include "jobs/cost.h"
#include "jobs/memory.h"
#include "jobs/plan_text.h"

/* Sums of a size's cells. */
struct row {
    const struct cell *first;
    const struct plan_cell *planned; /* of the first */
    int cells;
    double tokens, train_flops, evaluate_flops, seconds;
    double memory; /* largest, with the process */
};

/* Bytes of a rank's process: what it touches. */
static double resident(const struct plan *plan, const struct memory *memory)
{
    return plan->process + memory->peak - (plan->machine.packs_bf16 ? memory->packed : 0);
}

static void row_add(struct row *row, const struct plan *plan, int i)
{
    const struct cell *cell = &plan->cells[i];
    const struct plan_cell *planned = &plan->cell[i];
    struct cost cost;
    cost_of(cell, &cost);
    if (row->cells++ == 0) {
        row->first = cell;
        row->planned = planned;
    }
    row->tokens += (double)cell->tokens;
    row->train_flops += cost.train_flops;
    row->evaluate_flops += cost.evaluate_flops;
    if (planned->fits) {
        struct memory memory;
        memory_of(cell, planned->width.ranks, planned->width.recompute, &memory);
        row->memory = fmax(row->memory, resident(plan, &memory));
        row->seconds += planned->seconds;
    }
}

static void sum_rows(const struct plan *plan, struct row row[SPEC_SIZES])
{
    for (int s = 0; s < plan->spec->sizes; s++) {
        row[s] = (struct row){0};
    }
    for (int i = 0; i < plan->count; i++) {
        row_add(&row[plan->cell[i].size], plan, i);
    }
}

void plan_print_sizes(FILE *out, const struct plan *plan)
{
    char parameters[PLAN_TEXT], all[PLAN_TEXT], tokens[PLAN_TEXT], train[PLAN_TEXT];
    char evaluate[PLAN_TEXT], checkpoint[BYTES_TEXT];
    struct row row[SPEC_SIZES], total = {0};
    sum_rows(plan, row);
    fprintf(out, "%-*s %15s %15s %6s %8s %11s %11s %10s\n", PLAN_NAME, "size", "parameters",
            "with emb.", "cells", "tokens", "FLOP train", "FLOP eval.", "checkpoint");
    for (int s = 0; s < plan->spec->sizes; s++) {
        const struct row *r = &row[s];
        if (r->cells == 0) {
            continue;
        }
        const int64_t whole = cell_parameters_total(r->first);
        fprintf(out, "%-*s %15s %15s %6d %8s %11s %11s %10s\n", PLAN_NAME, r->first->size.name,
                plan_exact(cell_parameters(r->first), parameters), plan_exact(whole, all), r->cells,
                plan_count(r->tokens / r->cells, tokens),
                plan_count(r->train_flops / r->cells, train),
                plan_count(r->evaluate_flops / r->cells, evaluate),
                bytes_text(12 * (double)whole, checkpoint));
        total.cells += r->cells;
        total.tokens += r->tokens;
        total.train_flops += r->train_flops;
        total.evaluate_flops += r->evaluate_flops;
    }
    fprintf(out, "%-*s %15s %15s %6d %8s %11s %11s\n", PLAN_NAME, "all", "", "", total.cells,
            plan_count(total.tokens, tokens), plan_count(total.train_flops, train),
            plan_count(total.evaluate_flops, evaluate));
    fputs("tokens and FLOP are means per cell, in the last line sums\n\n", out);
}

void plan_print_teams(FILE *out, const struct plan *plan)
{
    const struct plan_machine *m = &plan->machine;
    const struct pace_machine machine = {m->gflops * 1e9, m->bandwidth * 1e9, m->latency * 1e-6};
    char memory[BYTES_TEXT], sent[BYTES_TEXT], compute[PLAN_TEXT], network[PLAN_TEXT];
    char step[PLAN_TEXT], tokens[PLAN_TEXT], time[PLAN_TEXT];
    char process[BYTES_TEXT], text[BYTES_TEXT];
    struct row row[SPEC_SIZES];
    sum_rows(plan, row);
    fprintf(out, "%-*s %6s %11s %11s %9s %8s %8s %8s %8s %10s\n", PLAN_NAME, "size", "ranks",
            "activations", "memory/rank", "sent/step", "compute", "network", "step", "tokens/s",
            "time");
    for (int s = 0; s < plan->spec->sizes; s++) {
        const struct row *r = &row[s];
        if (r->cells == 0 || !r->planned->fits) {
            if (r->cells > 0) {
                fprintf(out, "%-*s does not fit, see below\n", PLAN_NAME, r->first->size.name);
            }
            continue;
        }
        struct pace pace;
        const struct width *width = &r->planned->width;
        pace_of(r->first, width->ranks, width->recompute, &machine, &pace);
        fprintf(out, "%-*s %6d %11s %11s %9s %8s %8s %8s %8s %10s\n", PLAN_NAME,
                r->first->size.name, width->ranks, width->recompute ? "again" : "kept",
                bytes_text(r->memory, memory),
                bytes_text(pace.gathered + pace.reduced + pace.norms, sent),
                plan_time(pace.compute, compute), plan_time(pace.network, network),
                plan_time(pace.step, step), plan_count(pace.tokens, tokens),
                plan_time(r->seconds / r->cells, time));
    }
    fprintf(out,
            "Ranks work on one cell together; memory is the peak of each, with %s for program, "
            "libraries\nand text (of which text: %s)%s.\nSent: by each rank, parameters and "
            "gradients. A step takes the longer of compute and network, and\nwhat nothing "
            "overlaps. Time is the mean of a cell.\n\n",
            bytes_text(plan->process, process), bytes_text(plan->text, text),
            m->packs_bf16 ? ", on a CPU with bf16 instructions like this one" : "");
}

/* Activations kept or computed again, as the columns of a team's line say. */
static void print_team(FILE *out, const struct plan *plan, const struct row *row, int ranks)
{
    char state[BYTES_TEXT], gradients[BYTES_TEXT], gathered[BYTES_TEXT], kept[BYTES_TEXT];
    char again[BYTES_TEXT], evaluation[BYTES_TEXT], peak_kept[BYTES_TEXT], peak_again[BYTES_TEXT];
    struct memory keeps, computes;
    const struct width *width = &row->planned->width;
    memory_of(row->first, ranks, false, &keeps);
    memory_of(row->first, ranks, true, &computes);
    const bool chosen = row->planned->fits && width->ranks == ranks;
    fprintf(
        out, "%6d %10s %10s %10s %10s %10s %11s %11s%s %10s%s\n", ranks,
        bytes_text(keeps.weights + keeps.moments, state), bytes_text(keeps.gradients, gradients),
        bytes_text(keeps.gathered + keeps.rounded, gathered), bytes_text(keeps.activations, kept),
        bytes_text(computes.activations, again), bytes_text(keeps.evaluation, evaluation),
        bytes_text(plan->process + keeps.peak, peak_kept), chosen && !width->recompute ? "*" : " ",
        bytes_text(plan->process + computes.peak, peak_again),
        chosen && width->recompute ? "*" : "");
}

void plan_print_memory(FILE *out, const struct plan *plan)
{
    char limit[BYTES_TEXT];
    struct row row[SPEC_SIZES];
    if (plan->workers == 1 && plan->machine.memory <= 0) {
        return; /* nothing to choose */
    }
    sum_rows(plan, row);
    for (int s = 0; s < plan->spec->sizes; s++) {
        const struct row *r = &row[s];
        if (r->cells == 0) {
            continue;
        }
        fprintf(out, "Memory of a rank, %s:\n%6s %10s %10s %10s %21s %11s %22s\n",
                r->first->size.name, "ranks", "weights,", "gradients", "gathered", "activations  ",
                "evaluation", "peak, activations  ");
        fprintf(out, "%6s %10s %10s %10s %10s %10s %11s %11s  %10s\n", "", "moments", "", "",
                "kept", "again", "", "kept", "again");
        for (int ranks = 1; ranks <= width_most(r->first); ranks *= 2) {
            print_team(out, plan, r, ranks);
        }
    }
    fprintf(out, "* the team that is chosen: ");
    if (plan->machine.memory > 0) {
        fprintf(out, "the smallest whose ranks need at most %s, or which the study asks for",
                bytes_text(plan->machine.memory, limit));
    } else {
        fputs("one rank, or what the study asks for; --memory limits what a rank may use", out);
    }
    fputs(".\nOn any CPU; activations again: blocks are run forward once more for their backward "
          "pass.\n\n",
          out);
}
