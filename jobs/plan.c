#include "jobs/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/bytes.h"
#include "jobs/cost.h"

enum { TEXT = 32 };

/* Numbers for people ========================================================================== */

/* 512.0 k, 1.5 M, 2.3 T */
static const char *count_text(double value, char out[TEXT])
{
    static const char *const UNITS[] = {"", " k", " M", " G", " T", " P", " E", " Z", " Y"};
    int unit = 0;
    while (value >= 999.5 && unit < 8) {
        value /= 1000;
        unit++;
    }
    snprintf(out, TEXT, unit ? "%.3g%s" : "%.0f%s", value, UNITS[unit]);
    return out;
}

static const char *time_text(double seconds, char out[TEXT])
{
    if (seconds < 100) {
        snprintf(out, TEXT, "%.2g s", seconds);
    } else if (seconds < 6000) {
        snprintf(out, TEXT, "%.1f min", seconds / 60);
    } else if (seconds < 48 * 3600.0) {
        snprintf(out, TEXT, "%.1f h", seconds / 3600);
    } else {
        snprintf(out, TEXT, "%.4g days", seconds / 86400);
    }
    return out;
}

/* Sums per size =============================================================================== */

struct row {
    const struct cell *first;
    int cells;
    double tokens, train_flops, evaluate_flops, seconds; /* sums */
    double memory;                                       /* largest */
};

static void row_add(struct row *row, const struct cell *cell, const struct plan_machine *machine,
                    double process)
{
    struct cost cost;
    cost_of(cell, &cost);
    row->first = row->first ? row->first : cell;
    row->cells++;
    row->tokens += (double)cell->tokens;
    row->train_flops += cost.train_flops;
    row->evaluate_flops += cost.evaluate_flops;
    row->seconds += cost_seconds(&cost, machine->gflops * 1e9);
    const double packed = machine->packs_bf16 ? cost.packed_bytes : 0;
    row->memory = fmax(row->memory, process + cost.memory_bytes - packed);
}

static void print_row(FILE *out, const char *name, const struct row *row, bool total)
{
    char parameters[TEXT] = "", all[TEXT] = "", tokens[TEXT], train[TEXT], evaluate[TEXT];
    char memory[TEXT], seconds[TEXT];
    double n = total ? 1 : row->cells;
    if (!total) {
        count_text((double)cell_parameters(row->first), parameters);
        count_text((double)cell_parameters_total(row->first), all);
    }
    fprintf(out, "%-16s %10s %10s %7d %9s %11s %11s %11s %10s\n", name, parameters, all, row->cells,
            count_text(row->tokens / n, tokens), count_text(row->train_flops / n, train),
            count_text(row->evaluate_flops / n, evaluate), bytes_text(row->memory, memory),
            time_text(row->seconds / n, seconds));
}

static void print_sizes(FILE *out, const struct spec *spec, const struct cell *cells, int count,
                        const struct plan_machine *machine, struct row *total)
{
    fprintf(out, "%-16s %10s %10s %7s %9s %11s %11s %11s %10s\n", "size", "parameters", "with emb.",
            "cells", "tokens", "FLOP train", "FLOP eval.", "memory/rank", "time");
    const double text = spec_text_bytes(spec), process = cost_process_bytes(text);
    char process_text[TEXT], text_text[TEXT];
    for (int s = 0; s < spec->sizes; s++) {
        struct row row = {0};
        for (int i = 0; i < count; i++) {
            if (strcmp(cells[i].size.name, spec->size[s].name) == 0) {
                row_add(&row, &cells[i], machine, process);
                row_add(total, &cells[i], machine, process);
            }
        }
        if (row.cells > 0) {
            print_row(out, spec->size[s].name, &row, false);
        }
    }
    print_row(out, "all", total, true);
    fprintf(
        out,
        "tokens, FLOP and time are means per cell (last line: sums); memory is the peak of a rank "
        "on its largest cell,\nwith %s for program, libraries and text (of which text: %s)%s\n\n",
        bytes_text(process, process_text), bytes_text(text, text_text),
        machine->packs_bf16 ? ", on CPUs with bf16 instructions like this one" : "");
}

/* What will run =============================================================================== */

/* Each setting once, in order of first appearance. */
static void print_settings(FILE *out, const struct cell *cells, int count)
{
    enum { SHOWN = 64 };
    const char *seen[SHOWN];
    int shown = 0;
    bool more = false;
    fputs("settings    ", out);
    for (int i = 0; i < count && !more; i++) {
        int at = 0;
        while (at < shown && strcmp(seen[at], cells[i].setting) != 0) {
            at++;
        }
        if (at < shown) {
            continue;
        }
        more = shown == SHOWN;
        if (!more) {
            seen[shown++] = cells[i].setting;
            fprintf(out, "%s%s", shown > 1 ? " | " : "", cells[i].setting);
        }
    }
    fprintf(out, "%s\n", more ? " | ..." : "");
}

static void print_lists(FILE *out, const struct spec *spec)
{
    fputs("seeds      ", out);
    for (int i = 0; i < spec->seeds; i++) {
        fprintf(out, " %llu", (unsigned long long)spec->seed[i]);
    }
    fputs("\nquantizers ", out);
    for (int i = 0; i < spec->evaluate.quantizers; i++) {
        fprintf(out, " %s", spec->evaluate.quantizer[i].name);
    }
    fputs("\ncheckpoints", out);
    for (int i = 0; i < spec->evaluate.checkpoints; i++) {
        fprintf(out, " %g", spec->evaluate.fraction[i]);
    }
    fprintf(out, " of the run, %d windows each\n", spec->evaluate.windows);
}

static void print_text(FILE *out, const struct spec *spec)
{
    if (spec->data.fingerprint[0]) {
        const bool prepared = spec->data.kind == DATA_PREPARED;
        fprintf(out, "text        ");
        if (spec->data.kind != DATA_BYTES) {
            fprintf(out, "%s, vocabulary %d; ", data_kind_name(spec->data.kind),
                    spec->data.vocabulary);
        }
        fprintf(out, "%d %s%s, fingerprint %s\n\n", spec->source.files,
                prepared ? "folder" : "file", spec->source.files == 1 ? "" : "s",
                spec->data.fingerprint);
        return;
    }
    fputs("text       ", out);
    for (int i = 0; source_path(&spec->source, i); i++) {
        const char *path = source_path(&spec->source, i);
        bool there = access(path, R_OK) == 0;
        fprintf(out, " %s (%s)", path, there ? "found" : "not found");
    }
    fputs("\n            cell ids are final once all of it is there; ./jobs/fetch-corpus.sh "
          "fetches the "
          "dictionary text\n\n",
          out);
}

/* Makespan ==================================================================================== */

/* The cells that run at once, against the memory here: a cluster's nodes are not known to this program. */
static void print_memory(FILE *out, double memory, int at_once)
{
    char need[TEXT], have[TEXT];
    double here = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double most = memory * at_once;
    fprintf(out, "Memory of %d cell%s at once: at most %s; this machine has %s%s\n", at_once,
            at_once == 1 ? "" : "s", bytes_text(most, need), bytes_text(here, have),
            most > here ? ", so they do not fit here: use fewer ranks or larger nodes" : "");
}

static int print_makespan(struct error *err, FILE *out, const struct cell *cells, int count,
                          const struct plan_machine *machine, const struct row *total)
{
    int status = STATUS_OK;
    char makespan_text[TEXT], busy_text[TEXT], flops[TEXT];
    int workers = machine->ranks > 1 ? machine->ranks - 1 : 1;
    double *seconds = malloc((size_t)count * sizeof *seconds);
    CHECK(err, seconds, STATUS_FAILED, "out of memory for %d cells", count);
    for (int i = 0; i < count; i++) {
        struct cost cost;
        cost_of(&cells[i], &cost);
        seconds[i] = cost_seconds(&cost, machine->gflops * 1e9);
    }
    double makespan = cost_makespan(seconds, count, workers);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    cores = cores > 0 ? cores : 1;
    /* The coordinator sleeps: W+1 ranks run on W cores. */
    double nodes = ceil((double)workers / (double)cores);
    fprintf(out, "%d cells, %sFLOP: %s of one core, %s on %d worker%s, longest cell first\n", count,
            count_text(total->train_flops + total->evaluate_flops, flops),
            time_text(total->seconds, busy_text), time_text(makespan, makespan_text), workers,
            workers == 1 ? "" : "s");
    fprintf(out, "%.3g core-hours; %.3g node-hours on %.0f node%s of %ld cores like this one\n",
            total->seconds / 3600, nodes * makespan / 3600, nodes, nodes == 1 ? "" : "s", cores);
    print_memory(out, total->memory, workers < count ? workers : count);
    fprintf(out,
            "Times assume %g GFLOP/s per core for every cell, given with --gflops or its default; "
            "nothing "
            "was measured here. A run learns the real rate from its finished cells.\n",
            machine->gflops);
cleanup:
    free(seconds);
    return status;
}

int plan_print(struct error *err, FILE *out, const struct spec *spec, const struct cell *cells,
               int count, const struct plan_machine *machine)
{
    int status = STATUS_OK;
    struct row total = {0};
    CHECK(err, machine->ranks >= 1, STATUS_USAGE, "plan: '%d' ranks; give 1 or more",
          machine->ranks);
    CHECK(err, isfinite(machine->gflops) && machine->gflops > 0, STATUS_USAGE,
          "plan: '%g' GFLOP/s; give a rate above 0", machine->gflops);
    CHECK(err, count > 0, STATUS_USAGE, "%s: the study has no cells", spec->path);
    fprintf(out, "%s%s%s (%s, %s)\n", spec->name, spec->title[0] ? ": " : "", spec->title,
            spec->path, design_name(spec->design));
    fprintf(out, "%s%s\n", spec->note, spec->note[0] ? "\n" : "");
    print_sizes(out, spec, cells, count, machine, &total);
    print_settings(out, cells, count);
    print_lists(out, spec);
    print_text(out, spec);
    TRY(print_makespan(err, out, cells, count, machine, &total));
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "plan: cannot write the output");
cleanup:
    return status;
}
