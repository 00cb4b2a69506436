#include <stdio.h>
#include <unistd.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/status.h"

static const char description[] =
    "Shows how far the run in DIR is: cells done, running and failed, estimated time\n"
    "of arrival; what every worker does and when it was last heard of, also those\n"
    "that are lost; failed and quarantined cells with their reasons. Reads only; works\n"
    "from any machine that sees the folder, while the run goes on.\n"
    "\n"
    "    DIR                    folder of a run\n";

enum { WATCH_SECONDS = 2 };

int command_status(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false, watch = false;
    const char *dir = NULL;
    const struct cli_option option[] = {
        {"watch", NULL, "show it again every 2 seconds until interrupted", CLI_FLAG, &watch, 0},
    };
    const struct cli cli = {
        .command = "status",
        .arguments = "DIR [--watch]",
        .description = description,
        .option = option,
        .options = 1,
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &dir, &helped));
    if (helped) {
        goto cleanup;
    }
    for (;;) {
        if (watch && isatty(STDOUT_FILENO)) {
            fputs("\033[H\033[2J", stdout);
        }
        TRY(status_print(err, stdout, dir));
        if (!watch) {
            break;
        }
        CHECK(err, fflush(stdout) == 0, STATUS_FAILED, "cannot write the output: %m");
        sleep(WATCH_SECONDS);
    }
cleanup:
    return status;
}
