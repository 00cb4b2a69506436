#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs/plan.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "study/gemm.h"

static const char description[] =
    "Checks a study file and prints what it asks for: cells, parameters, operations,\n"
    "memory per rank, time. Runs nothing.\n"
    "\n"
    "    STUDY.yaml             the study file\n";

static bool is_missing(const struct spec *spec)
{
    bool missing = false;
    for (int i = 0; source_path(&spec->source, i) != NULL; i++) {
        missing |= access(source_path(&spec->source, i), R_OK) != 0;
    }
    return missing;
}

int command_plan(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false, check = false;
    int count = 0;
    struct plan_machine machine = {.ranks = 1, .gflops = 60};
    const char *study = NULL;
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    const struct cli_option option[] = {
        {"ranks", "N", "MPI ranks, one of which coordinates (default 1: serial)", CLI_INTEGER,
         &machine.ranks, 1},
        {"gflops", "G",
         "rate of one rank in GFLOP/s (default 60: a small model on an AVX-512 core)", CLI_NUMBER,
         &machine.gflops, 0},
        {"memory", "BYTES",
         "what each rank may use, such as 8GiB (default: the study's, or no limit)", CLI_BYTES,
         &machine.memory, 0},
        {"check", NULL, "check the study file, print nothing but its number of cells", CLI_FLAG,
         &check, 0},
    };
    const struct cli cli = {
        .command = "plan",
        .arguments = "STUDY.yaml [--ranks N] [--memory BYTES] [--gflops G] [--check]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &study, &helped));
    if (helped) {
        goto cleanup;
    }
    TRY(spec_read(err, study, &spec));
    if (spec->data.vocabulary == 0) { /* how large the models are depends on it */
        TRY(spec_fingerprint(err, spec));
    } else if (!check) {
        status = spec_fingerprint(err, spec);
        if (status != STATUS_OK && (spec->data.kind == DATA_BYTES || is_missing(spec))) {
            error_clear(err); /* without it the plan says what is missing */
            status = STATUS_OK;
        }
        TRY(status);
    }
    TRY(spec_cells(err, spec, &cells, &count));
    if (check) {
        printf("%s: %d cells, nothing to complain about\n", study, count);
    } else {
        machine.packs_bf16 = gemm_bf16_native();
        TRY(plan_print(err, stdout, spec, cells, count, &machine));
    }
cleanup:
    free(cells);
    spec_free(spec);
    return status;
}
