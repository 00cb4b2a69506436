#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "jobs/plan.h"
#include "jobs/plan_text.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "mpi/forecast.h"
#include "mpi/launcher.h"
#include "mpi/measure.h"
#include "mpi/transport.h"
#include "study/gemm.h"
#include "study/tasks/read.h"

static const char description[] =
    "Checks a study file and prints what it asks for: cells, parameters, operations,\n"
    "memory per rank by the size of the team, bytes on the network, time, and when\n"
    "which size runs. Runs nothing. Exit status 1 and the reasons when a size does not\n"
    "fit the ranks and the memory.\n"
    "\n"
    "With --measure, in half a minute, what the ranks that it is started with compute\n"
    "and send: mpirun -n N ptqscale plan STUDY.yaml --measure\n"
    "\n"
    "    STUDY.yaml             the study file\n";

static const double RESTART_SECONDS = 30; /* a checkpoint written and read: an assumption */
static const double MEASURE_SECONDS = 20; /* for products; the network takes some more */

/* When which cell runs, as the scheduler would do it. */
static int make_schedule(struct error *err, const struct plan *plan,
                         struct plan_interval **interval, int *intervals)
{
    int status = STATUS_OK;
    struct scheduler_item *item = calloc((size_t)plan->count, sizeof *item);
    CHECK(err, item, STATUS_FAILED, "out of memory for %d cells", plan->count);
    for (int i = 0; i < plan->count; i++) {
        const struct plan_cell *cell = &plan->cell[i];
        item[i] =
            (struct scheduler_item){.seconds = cell->seconds,
                                    .kind = 3 * cell->size + (int)plan->cells[i].train.precision,
                                    .width = cell->width.ranks,
                                    .most = cell->most,
                                    .gain = cell->gain};
    }
    TRY(forecast(err, item, plan->count, plan->workers, RESTART_SECONDS, interval, intervals));
cleanup:
    free(item);
    return status;
}

/* Seconds and core-seconds of a look's new cells. */
static int add_block(struct error *err, const struct spec *spec, const struct plan_machine *machine,
                     int *count, double *seconds, double *core_seconds)
{
    int status = STATUS_OK;
    struct cell *cells = NULL;
    struct plan *plan = NULL;
    struct plan_interval *interval = NULL;
    int intervals = 0, added = 0;
    double makespan = 0;
    TRY(spec_cells(err, spec, &cells, &added));
    TRY(plan_create(err, spec, cells, added, machine, &plan));
    TRY(make_schedule(err, plan, &interval, &intervals));
    for (int i = 0; i < intervals; i++) {
        makespan = fmax(makespan, interval[i].end);
        *core_seconds += (interval[i].end - interval[i].start) * interval[i].ranks;
    }
    *seconds += makespan;
    *count += added;
cleanup:
    free(interval);
    plan_free(plan);
    free(cells);
    return status;
}

/* What the study costs if it ends at each of its looks. */
static int show_looks(struct error *err, struct spec *spec, const struct plan_machine *machine)
{
    int status = STATUS_OK;
    const struct spec_looks looks = spec->looks;
    double seconds = 0, core_seconds = 0;
    int cells = 0, seeds = 0;
    char budget[PLAN_TEXT] = "";
    printf("\nBy number of seeds, until the verdicts are decided; above is the first look\n"
           "%8s %10s %14s %14s\n",
           "seeds", "cells", "core-hours", "time to here");
    for (int i = 0; i < looks.count; i++) {
        char text[PLAN_TEXT];
        spec->looks.first = looks.first + (uint64_t)seeds;
        spec_set_seeds(spec, looks.seeds[i] - seeds);
        seeds = looks.seeds[i];
        TRY(add_block(err, spec, machine, &cells, &seconds, &core_seconds));
        printf("%8d %10d %14.3g %14s\n", seeds, cells, core_seconds / 3600,
               plan_time(seconds, text));
    }
    if (looks.budget > 0) {
        printf("No seeds are added that would go beyond %s of all cores together\n",
               plan_time(looks.budget, budget));
    }
    CHECK(err, fflush(stdout) == 0 && !ferror(stdout), STATUS_FAILED,
          "plan: cannot write the output");
cleanup:
    spec->looks = looks;
    spec_set_seeds(spec, looks.seeds[0]);
    return status;
}

static int show(struct error *err, struct spec *spec, const struct cell *cells, int count,
                const struct plan_machine *machine)
{
    int status = STATUS_OK;
    struct plan *plan = NULL;
    struct plan_interval *interval = NULL;
    int intervals = 0;
    TRY(plan_create(err, spec, cells, count, machine, &plan));
    if (plan->refused == 0) {
        TRY(make_schedule(err, plan, &interval, &intervals));
    }
    TRY(plan_print(err, stdout, plan, interval, intervals));
    CHECK(err, plan->refused == 0, STATUS_FAILED,
          "%s: %d of %d sizes do not fit %d worker%s; the reasons are above", spec->path,
          plan->refused, spec->sizes, plan->workers, plan->workers == 1 ? "" : "s");
    if (spec->looks.count > 0) {
        TRY(show_looks(err, spec, machine));
    }
cleanup:
    free(interval);
    plan_free(plan);
    return status;
}

/* Measure what was not given, and say so. On ranks but the first *machine stays as it is. */
static int measure(struct error *err, const struct spec *spec, const struct cell *cells, int count,
                   double seconds, struct plan_machine *machine)
{
    int status = STATUS_OK;
    struct measured measured;
    const bool team = launcher_present();
#ifdef _OPENMP
    omp_set_num_threads(1); /* as in a run */
#endif
    if (team) {
        MPI_TRY(err, MPI_Init(NULL, NULL));
    }
    status = measure_rank(err, spec, cells, count, seconds, &measured);
    if (status != STATUS_OK && team) { /* the others would wait for this rank */
        fprintf(stderr, "ptqscale: %s\n", err->message);
        MPI_Abort(MPI_COMM_WORLD, status);
    }
    TRY(status);
    if (team) {
        TRY(measure_network(err, &measured));
        TRY(transport_finalize(err));
    }
    if (launcher_rank() == 0) {
        measure_print(stdout, &measured);
        machine->rates = "measured";
        machine->gflops = machine->gflops > 0 ? machine->gflops : measured.gflops;
        machine->bandwidth = machine->bandwidth > 0 ? machine->bandwidth : measured.bandwidth;
        machine->latency = machine->latency > 0 ? machine->latency : measured.latency;
    }
cleanup:
    return status;
}

int command_plan(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false, check = false, measures = false;
    int count = 0;
    double seconds = -1;
    struct plan_machine machine = {.ranks = 1};
    const struct plan_machine assumed = {.gflops = pace_assumed.flops * 1e-9,
                                         .bandwidth = pace_assumed.bandwidth * 1e-9,
                                         .latency = pace_assumed.latency * 1e6};
    const char *study = NULL;
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    const struct cli_option option[] = {
        {"ranks", "N", "MPI ranks, one of which coordinates (default 1: serial)", CLI_INTEGER,
         &machine.ranks, 1},
        {"memory", "BYTES",
         "what each rank may use, such as 8GiB (default: the study's, or no limit)", CLI_BYTES,
         &machine.memory, 0},
        {"ranks-per-node", "N", "workers on a node, for node-hours (default: cores here)",
         CLI_INTEGER, &machine.ranks_per_node, 1},
        {"gflops", "G",
         "rate of one rank in GFLOP/s (default 60: a small model on an AVX-512 core)", CLI_NUMBER,
         &machine.gflops, 0},
        {"bandwidth", "B", "GB/s that a rank sends, and receives at the same time (default 1)",
         CLI_NUMBER, &machine.bandwidth, 0},
        {"latency", "L", "microseconds of a message beside its bytes (default 10)", CLI_NUMBER,
         &machine.latency, 0},
        {"measure", NULL, "measure these three on the ranks that this is started with", CLI_FLAG,
         &measures, 0},
        {"measure-for", "T",
         "how long their products are measured (default 20s; on a busy node more)", CLI_DURATION,
         &seconds, 1},
        {"check", NULL, "check the study file, print nothing but its number of cells", CLI_FLAG,
         &check, 0},
    };
    const struct cli cli = {
        .command = "plan",
        .arguments = "STUDY.yaml [OPTION ...]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &study, &helped));
    if (helped) {
        goto cleanup;
    }
    CHECK(err, measures || seconds < 0, STATUS_USAGE,
          "plan: --measure-for says how long --measure takes; give both");
    if (launcher_rank() > 0 && !measures) {
        goto cleanup; /* once is enough */
    }
    TRY(spec_read(err, study, &spec));
    if (!check) {
        spec_fingerprint(NULL, spec); /* without it the plan says what is missing */
        TRY(task_identify(err, spec));
    }
    TRY(spec_cells(err, spec, &cells, &count));
    if (check) {
        printf("%s: %d cells%s, nothing to complain about\n", study, count,
               spec->looks.count > 0 ? " at the first look" : "");
        goto cleanup;
    }
    machine.rates = machine.gflops > 0 ? "given" : NULL;
    if (measures) {
        TRY(measure(err, spec, cells, count, seconds > 0 ? seconds : MEASURE_SECONDS, &machine));
    }
    if (launcher_rank() > 0) {
        goto cleanup;
    }
    machine.gflops = machine.gflops > 0 ? machine.gflops : assumed.gflops;
    machine.bandwidth = machine.bandwidth > 0 ? machine.bandwidth : assumed.bandwidth;
    machine.latency = machine.latency > 0 ? machine.latency : assumed.latency;
    machine.memory = machine.memory > 0 ? machine.memory : spec->run.memory_per_rank;
    machine.packs_bf16 = gemm_bf16_native();
    TRY(show(err, spec, cells, count, &machine));
cleanup:
    free(cells);
    spec_free(spec);
    return status;
}
