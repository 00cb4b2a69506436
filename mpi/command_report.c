#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/spec.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/report.h"
#include "results/rundir.h"
#include "results/table.h"

static const char description[] =
    "Prints the answer of a study: what share of the degradation's variance is scale,\n"
    "optimization, their interaction and seed noise, and a verdict per claim; then the\n"
    "effect of every factor level with its interval, slopes, quantizers and tasks.\n"
    "\n"
    "    DIR | FILE.nc          folder of a run, or its study.nc\n";

/* The study.nc that `given` means. */
static int find_file(struct error *err, const char *given, char path[SPEC_PATH + 64])
{
    int status = STATUS_OK;
    struct stat info;
    struct rundir *dir = NULL;

    CHECK(err, strlen(given) < SPEC_PATH, STATUS_USAGE, "report: the path is too long");
    CHECK(err, stat(given, &info) == 0, STATUS_FAILED,
          "%s: %m; give the folder of a run or a study.nc", given);
    snprintf(path, SPEC_PATH + 64, "%s", given);
    if (S_ISDIR(info.st_mode)) {
        snprintf(path, SPEC_PATH + 64, "%s/study.nc", given);
        if (access(path, F_OK) != 0) {
            TRY(rundir_open_readonly(err, given, &dir)); /* says so if it is no run's folder */
            FAIL(err, STATUS_FAILED,
                 "%s: the run has not written study.nc yet; while it runs, wait a minute (ptqscale "
                 "status %s shows how far it is), else give the same run command again",
                 given, given);
        }
    }
cleanup:
    rundir_close(dir);
    return status;
}

int command_report(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    const char *given = NULL;
    char path[SPEC_PATH + 64];
    struct table *table = NULL;
    struct analysis *analysis = NULL;
    struct analysis_options wanted = {0};
    struct report_options options = {0};
    const struct cli_option option[] = {
        {"full", NULL, "also effects per size and at every checkpoint", CLI_FLAG, &options.full, 0},
        {"quantizer", "NAME", "quantizer of the main table (default w8a8)", CLI_TEXT,
         &wanted.quantizer, 0},
    };
    const struct cli cli = {
        .command = "report",
        .arguments = "DIR|FILE.nc [--full] [--quantizer NAME]",
        .description = description,
        .option = option,
        .options = 2,
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &given, &helped));
    if (helped) {
        goto cleanup;
    }
    TRY(find_file(err, given, path));
    TRY(table_read(err, path, &table));
    TRY(analysis_open(err, table, &wanted, &analysis));
    TRY(report_print(err, stdout, analysis, &options));
cleanup:
    analysis_free(analysis);
    table_free(table);
    return status;
}
