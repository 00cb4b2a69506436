#include <mpi.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "mpi/coordinator.h"
#include "mpi/launcher.h"
#include "mpi/serial.h"
#include "mpi/signals.h"
#include "mpi/transport.h"
#include "mpi/worker.h"

static const char description[] =
    "Runs every cell of the study that DIR does not have yet: trains, quantizes,\n"
    "evaluates, and writes DIR/study.nc. The same command goes on where an earlier\n"
    "one stopped; nothing that is finished is computed again.\n"
    "\n"
    "In parallel, with one rank that coordinates and N workers, one per core:\n"
    "    mpirun -n N+1 --oversubscribe --bind-to none ptqscale run STUDY.yaml --out DIR\n"
    "Without mpirun, the same study in one process, with the same results.\n"
    "\n"
    "SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 stop it in order; exit status 3.\n"
    "\n"
    "    STUDY.yaml             the study file\n";

/* Communication is broken: no rank can tell the others, so the whole job has to end. The one place
 * that does. */
static void fatal(const struct error *err)
{
    fprintf(stderr, "ptqscale: %s\n", err->message);
    fflush(NULL);
    MPI_Abort(MPI_COMM_WORLD, STATUS_FAILED);
}

static int run_ranks(struct error *err, const char *study, const char *out)
{
    int status = STATUS_OK;
    int rank = 0, ranks = 0, exit_status = STATUS_FAILED;
    struct error reason = {0};

    MPI_TRY(err, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    MPI_TRY(err, MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    MPI_TRY(err, MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    if (ranks > 1) {
        TRY(rank == 0 ? coordinator_run(err, study, out, ranks, &reason, &exit_status)
                      : worker_run(err, &exit_status));
    } else if (launcher_ranks() > 1) {
        /* Each of them would run the whole study. */
        error_set(&reason, STATUS_FAILED, __FILE__, __LINE__,
                  "the launcher started %d ranks, but MPI sees one: it belongs to another MPI than "
                  "the one ptqscale was built with; use that one's mpirun, or srun --mpi=pmix",
                  launcher_ranks());
        exit_status = STATUS_FAILED;
    } else {
        exit_status = serial_run(&reason, study, out);
    }
cleanup:
    if (status != STATUS_OK) {
        fatal(err);
        return status;
    }
    *err = reason;
    return exit_status;
}

int command_run(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const char *study = NULL, *out = NULL;
    const struct cli_option option[] = {
        {"out", "DIR", "folder of the run, created if it is missing", CLI_TEXT, &out, 0},
    };
    const struct cli cli = {
        .command = "run",
        .arguments = "STUDY.yaml --out DIR",
        .description = description,
        .option = option,
        .options = 1,
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &study, &helped));
    if (helped) {
        goto cleanup;
    }
    CHECK(err, out != NULL, STATUS_USAGE, "run: --out DIR is missing (the folder of the run)");
    CHECK(err, strlen(out) < SPEC_PATH, STATUS_USAGE, "run: --out: the path is too long");
    /* One thread per rank: more are slower at these sizes, and a sum's order must not depend on
     * them. */
    omp_set_num_threads(1);
    signals_block();
    if (!launcher_present()) {
        return serial_run(err, study, out);
    }
    MPI_TRY(err, MPI_Init(NULL, NULL));
    status = run_ranks(err, study, out);
    MPI_TRY(err, MPI_Finalize());
cleanup:
    if (launcher_rank() > 0) {
        error_clear(err); /* rank 0 says it */
    }
    return status;
}
