#include <stdio.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/explain.h"

static const char description[] =
    "Prints all that is known of one cell: its settings, the history of its attempts,\n"
    "every number that was measured.\n"
    "\n"
    "    DIR                    folder of a run\n"
    "    CELL                   the cell's id, the first digits of it (at least four),\n"
    "                           or SIZE/SETTING/SEED\n";

int command_explain(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const char *position[2] = {NULL, NULL};
    const struct cli cli = {
        .command = "explain",
        .arguments = "DIR CELL",
        .description = description,
        .positions = 2,
    };

    TRY(cli_parse(err, &cli, argc, argv, position, &helped));
    if (!helped) {
        TRY(explain_print(err, stdout, position[0], position[1]));
    }
cleanup:
    return status;
}
