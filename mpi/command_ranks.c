#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "mpi/launcher.h"
#include "mpi/transport.h"

static const char description[] =
    "Checks a launcher: starts MPI, lets every rank greet rank 0 and prints how many there\n"
    "are on how many nodes. Ranks that do not find each other say so, each for itself.\n"
    "\n"
    "    mpirun -n 4 ptqscale ranks\n";

enum { HOST = 256 };

/* This node: virtual nodes of Slurm share a host and its name. */
static void node_name(char name[HOST])
{
    const char *slurm = getenv("SLURMD_NODENAME");
    memset(name, 0, HOST);
    if (slurm != NULL && slurm[0] != '\0') {
        snprintf(name, HOST, "%s", slurm);
    } else {
        gethostname(name, HOST - 1);
    }
}

static int count_nodes(const char *names, int ranks)
{
    int nodes = 0;
    for (int i = 0; i < ranks; i++) {
        int seen = 0;
        while (seen < i && strcmp(names + (size_t)seen * HOST, names + (size_t)i * HOST) != 0) {
            seen++;
        }
        nodes += seen == i;
    }
    return nodes;
}

static int greet(struct error *err)
{
    int status = STATUS_OK;
    int rank = 0, ranks = 0;
    char own[HOST], *names = NULL;
    node_name(own);
    MPI_TRY(err, MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    MPI_TRY(err, MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    CHECK(err, ranks > 1 || launcher_ranks() <= 1, STATUS_FAILED,
          "the launcher started %d ranks, but MPI sees one: it belongs to another MPI than the one "
          "ptqscale was built with, or Slurm has no PMIx; use the mpirun of that MPI",
          launcher_ranks());
    names = calloc((size_t)ranks, HOST);
    CHECK(err, names != NULL, STATUS_FAILED, "out of memory for %d ranks", ranks);
    MPI_TRY(err, MPI_Gather(own, HOST, MPI_CHAR, names, HOST, MPI_CHAR, 0, MPI_COMM_WORLD));
    if (rank == 0) {
        int nodes = count_nodes(names, ranks);
        printf("%d %s on %d %s\n", ranks, ranks == 1 ? "rank" : "ranks", nodes,
               nodes == 1 ? "node" : "nodes");
    }
cleanup:
    free(names);
    return status;
}

int command_ranks(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const struct cli cli = {
        .command = "ranks",
        .arguments = "",
        .description = description,
        .option = NULL,
        .options = 0,
        .positions = 0,
    };

    TRY(cli_parse(err, &cli, argc, argv, NULL, &helped));
    if (helped) {
        goto cleanup;
    }
    MPI_TRY(err, MPI_Init(NULL, NULL));
    TRY(greet(err));
    MPI_TRY(err, MPI_Finalize());
cleanup:
    return status;
}
