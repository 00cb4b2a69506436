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
    "                           or SIZE/SETTING/SEED\n"
    "\n"
    "With --quantizer only the error that it makes at each site of each layer.\n";

static const char quantize_description[] =
    "Prints which layer of one cell a quantizer hurts: the relative error of each\n"
    "site's output on calibration text, the worst ones marked; without --quantizer, of\n"
    "each quantizer its mean error and its worst site. Reads the run's files only.\n"
    "\n"
    "    DIR                    folder of a run\n"
    "    CELL                   the cell's id, the first digits of it (at least four),\n"
    "                           or SIZE/SETTING/SEED\n";

int command_explain(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const char *position[2] = {NULL, NULL};
    const char *quantizer = NULL;
    const struct cli_option option[] = {
        {"quantizer", "NAME", "only the error of each site under this quantizer", CLI_TEXT,
         &quantizer, 0},
    };
    const struct cli cli = {
        .command = "explain",
        .arguments = "DIR CELL [--quantizer NAME]",
        .description = description,
        .option = option,
        .options = 1,
        .positions = 2,
    };

    TRY(cli_parse(err, &cli, argc, argv, position, &helped));
    if (!helped && quantizer != NULL) {
        TRY(explain_sites_print(err, stdout, position[0], position[1], quantizer));
    } else if (!helped) {
        TRY(explain_print(err, stdout, position[0], position[1]));
    }
cleanup:
    return status;
}

int command_quantize(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const char *position[2] = {NULL, NULL};
    const char *quantizer = NULL;
    const struct cli_option option[] = {
        {"quantizer", "NAME", "layer by layer, for this quantizer", CLI_TEXT, &quantizer, 0},
    };
    const struct cli cli = {
        .command = "quantize",
        .arguments = "DIR CELL [--quantizer NAME]",
        .description = quantize_description,
        .option = option,
        .options = 1,
        .positions = 2,
    };

    TRY(cli_parse(err, &cli, argc, argv, position, &helped));
    if (!helped) {
        TRY(explain_sites_print(err, stdout, position[0], position[1], quantizer));
    }
cleanup:
    return status;
}
