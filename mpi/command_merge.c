#include <stdio.h>
#include <stdlib.h>

#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/merge.h"

static const char description[] =
    "Joins runs into one study.nc: the shards of a study (submit --array), runs of it on\n"
    "several clusters, or studies with the same checkpoints, quantizers and windows.\n"
    "Copies of a cell must agree in every value; a finished one beats an unfinished one.\n"
    "ptqscale report OUT.nc then reports on all of it.\n"
    "With --compact the values of single held-out windows and task items, most of the\n"
    "bytes, are left out; no report needs them.\n"
    "\n"
    "    OUT.nc                 the file to write, or a study.nc to replace\n"
    "    DIR                    folder of a run, or of shards (shard-1, shard-2, …)\n"
    "    FILE.nc                a study.nc\n";

int command_merge(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false, compact = false;
    struct merge_summary summary;
    const char **path = calloc((size_t)argc + 1, sizeof *path);
    const struct cli_option option[] = {
        {"compact", NULL, "without the values of single windows and items", CLI_FLAG, &compact, 0},
    };
    const struct cli cli = {
        .command = "merge",
        .arguments = "OUT.nc DIR|FILE.nc ... [--compact]",
        .description = description,
        .option = option,
        .options = 1,
        .positions = 2,
        .more = true,
    };

    CHECK(err, path != NULL, STATUS_FAILED, "out of memory");
    TRY(cli_parse(err, &cli, argc, argv, path, &helped));
    if (helped) {
        goto cleanup;
    }
    int inputs = 0;
    while (path[1 + inputs] != NULL) {
        inputs++;
    }
    TRY(merge_write(err, path[0], path + 1, inputs, compact, &summary));
    printf("%s: %d cells of %d %s, %d of them finished", path[0], summary.cells, summary.files,
           summary.files == 1 ? "run" : "runs", summary.finished);
    if (summary.duplicates > 0) {
        printf("; %d %s of cells that were there already left out", summary.duplicates,
               summary.duplicates == 1 ? "copy" : "copies");
    }
    if (summary.compact) {
        printf("; compact: without the values of single windows and items");
    }
    printf("\n");
cleanup:
    free(path);
    return status;
}
