#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "jobs/spec.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "mpi/coordinator.h"
#include "mpi/launcher.h"
#include "mpi/serial.h"
#include "mpi/signals.h"
#include "mpi/worker.h"

static const char description[] =
    "Runs every cell of the study that DIR does not have yet: trains, quantizes,\n"
    "evaluates, and writes DIR/study.nc. The same command goes on where an earlier\n"
    "one stopped; nothing that is finished is computed again, and a cell that was\n"
    "running goes on from its last checkpoint.\n"
    "\n"
    "In parallel, with one rank that coordinates and N workers, one per core:\n"
    "    mpirun -n N+1 --oversubscribe --bind-to none ptqscale run STUDY.yaml --out DIR\n"
    "Without mpirun, the same study in one process, with the same results.\n"
    "\n"
    "A cell may run on a team of workers, as its size says (ranks_per_cell) or as its\n"
    "memory needs (--memory); at the end, workers that are idle join those at work.\n"
    "\n"
    "A worker that dies or hangs is given up, and the others finish the study, if\n"
    "mpirun keeps them: add --enable-recovery --mca orte_abort_on_non_zero_status 0\n"
    "(Open MPI 4). mpirun's own exit status is then always 0; what counts is in\n"
    "DIR/exit-status.\n"
    "\n"
    "It stops in order, with checkpoints of what runs and exit status 3, at SIGTERM,\n"
    "SIGINT (Ctrl-C) or SIGUSR1 to rank 0, when somebody makes the file DIR/stop, and\n"
    "before the deadline. A second SIGTERM or SIGINT stops at once: what runs goes on\n"
    "from its last checkpoint, and study.nc stays as it is.\n"
    "\n"
    "A cell that fails (out of memory, say) or whose worker has died three times is\n"
    "not tried again until --retry-failed is given; then exit status 1.\n"
    "\n"
    "    STUDY.yaml             the study file\n";

enum { ABORT_SECONDS = 10 }; /* the launcher may not answer */

static void abort_job(int exit_status)
{
    signal(SIGALRM, SIG_DFL);
    alarm(ABORT_SECONDS);
    MPI_Abort(MPI_COMM_WORLD, exit_status);
}

/* Communication is broken: no rank can tell the others, so the whole job has to end. */
static void fatal(const struct error *err)
{
    fprintf(stderr, "ptqscale: %s\n", err->message);
    fflush(NULL);
    abort_job(STATUS_FAILED);
}

/* Somebody is missing, and MPI_Finalize would wait for it: leave without. */
static void leave_at_once(enum leave leave, int exit_status)
{
    fflush(NULL);
    if (leave == LEAVE_ABORT) {
        abort_job(exit_status);
    }
    _exit(exit_status);
}

static int run_ranks(struct error *err, const struct run_options *options, enum leave *leave)
{
    int status = STATUS_OK;
    int rank = 0, ranks = 0, exit_status = STATUS_FAILED;
    struct error reason = {0};

    *leave = LEAVE_FINALIZE;
    MPI_TRY(err, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    MPI_TRY(err, MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    MPI_TRY(err, MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    if (rank > 0) {
        TRY(worker_run(err, NULL, NULL, leave, &exit_status));
    } else if (ranks > 1) {
        TRY(coordinator_run(err, options, ranks, &reason, leave, &exit_status));
    } else if (launcher_ranks() > 1) {
        /* Each of them would run the whole study. */
        error_set(&reason, STATUS_FAILED, __FILE__, __LINE__,
                  "the launcher started %d ranks, but MPI sees one: it belongs to another MPI than "
                  "the one ptqscale was built with; use that one's mpirun, or srun --mpi=pmix",
                  launcher_ranks());
        exit_status = STATUS_FAILED;
    } else {
        exit_status = serial_run(&reason, options);
    }
cleanup:
    if (status != STATUS_OK) {
        fatal(err);
        return status;
    }
    *err = reason;
    return exit_status;
}

static int parse(struct error *err, int argc, char **argv, struct run_options *options,
                 bool *helped)
{
    int status = STATUS_OK;
    const char *shard = NULL;
    const struct cli_option option[] = {
        {"out", "DIR", "folder of the run, created if it is missing", CLI_TEXT, &options->out, 0},
        {"deadline", "TIME",
         "when the allocation ends: Unix seconds, 2025-12-31T23:59:59 or +2h (default: Slurm's)",
         CLI_TEXT, &options->deadline, 0},
        {"margin", "SPAN",
         "stop so long before it (default 60s, or a quarter of what is left if that is less)",
         CLI_DURATION, &options->margin, 0},
        {"checkpoint-every", "SPAN",
         "time between checkpoints of a cell; 0: only when it is stopped (default: the study's)",
         CLI_DURATION, &options->checkpoint_every, 0},
        {"heartbeat-timeout", "SPAN",
         "a worker that is silent for so long is given up (default: the study's)", CLI_DURATION,
         &options->heartbeat_timeout, SPEC_LEAST_TIMEOUT},
        {"memory", "BYTES",
         "what each rank may use, such as 8GiB: larger cells get teams of ranks (default: the "
         "study's, or no limit)",
         CLI_BYTES, &options->memory, 0},
        {"shard", "I/K", "only the cells of the I-th of K shards (ptqscale merge joins them)",
         CLI_TEXT, &shard, 0},
        {"retry-failed", NULL, "try failed and quarantined cells again", CLI_FLAG,
         &options->retry_failed, 0},
    };
    const struct cli cli = {
        .command = "run",
        .arguments = "STUDY.yaml --out DIR [OPTION ...]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
    };
    TRY(cli_parse(err, &cli, argc, argv, &options->study, helped));
    if (*helped) {
        goto cleanup;
    }
    CHECK(err, options->out != NULL, STATUS_USAGE,
          "run: --out DIR is missing (the folder of the run)");
    CHECK(err, strlen(options->out) < SPEC_PATH, STATUS_USAGE, "run: --out: the path is too long");
    if (shard != NULL) {
        TRY(shard_parse(err, "run: --shard", shard, &options->shard));
    }
cleanup:
    return status;
}

int command_run(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    enum leave leave = LEAVE_FINALIZE;
    struct run_options options = {.checkpoint_every = -1, .heartbeat_timeout = -1, .margin = -1};

    TRY(parse(err, argc, argv, &options, &helped));
    if (helped) {
        goto cleanup;
    }
#ifdef _OPENMP
    /* One thread per rank: more are slower at these sizes, and a sum's order must not depend on
     * them. */
    omp_set_num_threads(1);
#endif
    signals_block();
    if (!launcher_present()) {
        return serial_run(err, &options);
    }
    MPI_TRY(err, MPI_Init(NULL, NULL));
    status = run_ranks(err, &options, &leave);
    /* Now: a launcher without recovery ends this rank as soon as another has left with a status that is not 0. */
    if (err->message[0] != '\0' && launcher_rank() == 0) {
        fprintf(stderr, "ptqscale: %s\n", err->message);
        err->message[0] = '\0';
    }
    if (leave != LEAVE_FINALIZE) {
        leave_at_once(leave, status);
    }
    int ended = transport_finalize(err);
    status = status == STATUS_OK ? ended : status;
cleanup:
    if (launcher_rank() > 0) {
        error_clear(err); /* rank 0 says it */
    }
    return status;
}
