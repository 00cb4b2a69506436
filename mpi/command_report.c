#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/spec.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/figure.h"
#include "results/html.h"
#include "results/report.h"
#include "results/rundir.h"
#include "results/table.h"

static const char description[] =
    "Prints the answer of a study: what share of the degradation's variance is scale,\n"
    "optimization, their interaction and seed noise, and a verdict per claim; then the\n"
    "effect of every factor level with its interval, slopes, quantizers and tasks.\n"
    "Writes the same with figures as one self-contained page, report.html: into the\n"
    "folder, or beside FILE.nc with .html in place of .nc. Figures are drawn by gnuplot;\n"
    "without it the page has the tables, and a warning says so. A page that cannot be\n"
    "written where it was not asked for (--html) is a warning, too.\n"
    "\n"
    "    DIR | FILE.nc          folder of a run, or its study.nc\n";

enum { REPORT_PATH = SPEC_PATH + 64 };

struct request {
    const char *given; /* DIR or FILE.nc */
    bool folder;
    char path[REPORT_PATH]; /* the study.nc */
    const char *html;       /* NULL: where it belongs */
    bool no_html;
    const char *figures, *figures_dir; /* NULL: none; where they belong */
    enum figure_format format;
};

/* The study.nc that is meant. */
static int find_file(struct error *err, struct request *request)
{
    int status = STATUS_OK;
    struct stat info;
    struct rundir *dir = NULL;
    const char *given = request->given;

    CHECK(err, strlen(given) < SPEC_PATH, STATUS_USAGE, "report: the path is too long");
    CHECK(err, stat(given, &info) == 0, STATUS_FAILED,
          "%s: %m; give the folder of a run or a study.nc", given);
    request->folder = S_ISDIR(info.st_mode);
    snprintf(request->path, REPORT_PATH, "%s%s", given, request->folder ? "/study.nc" : "");
    if (request->folder && access(request->path, F_OK) != 0) {
        TRY(rundir_open_readonly(err, given, &dir)); /* says so if it is no run's folder */
        FAIL(err, STATUS_FAILED,
             "%s: the run has not written study.nc yet; while it runs, wait a minute (ptqscale "
             "status %s shows how far it is), else give the same run command again",
             given, given);
    }
cleanup:
    rundir_close(dir);
    return status;
}

/* DIR/`in_folder`, or FILE`beside_file` for FILE.nc. */
static void place(const struct request *request, const char *in_folder, const char *beside_file,
                  char path[REPORT_PATH])
{
    size_t length = strlen(request->given);
    if (request->folder) {
        snprintf(path, REPORT_PATH, "%s/%s", request->given, in_folder);
        return;
    }
    if (length > 3 && strcmp(request->given + length - 3, ".nc") == 0) {
        length -= 3;
    }
    snprintf(path, REPORT_PATH, "%.*s%s", (int)length, request->given, beside_file);
}

static int write_html(struct error *err, const struct request *request,
                      const struct analysis *analysis)
{
    int status = STATUS_OK;
    char path[REPORT_PATH];
    const struct html_options options = {.source = request->given};
    struct html_outcome outcome;
    place(request, "report.html", ".html", path);
    const char *target = request->html != NULL ? request->html : path;
    status = html_write(err, target, analysis, &options, &outcome);
    if (status != STATUS_OK && request->html == NULL && err->status == STATUS_FAILED) {
        fprintf(stderr, "ptqscale: warning: the page with the figures was not written: %s\n",
                err->message);
        error_clear(err);
        status = STATUS_OK;
        goto cleanup;
    }
    TRY(status);
    if (outcome.failed > 0) {
        fprintf(stderr, "ptqscale: warning: %s lacks %d of %d figures: %s\n", target,
                outcome.failed, outcome.failed + outcome.figures, outcome.reason);
    }
    printf("\nThe same with %d figures: %s\n", outcome.figures, target);
cleanup:
    return status;
}

static int write_figures(struct error *err, const struct request *request,
                         const struct analysis *analysis)
{
    int status = STATUS_OK;
    char path[REPORT_PATH];
    int written = 0;
    place(request, "figures", "-figures", path);
    const char *target = request->figures_dir != NULL ? request->figures_dir : path;
    TRY(figure_write_all(err, analysis, target, request->format, &written));
    printf("%d figures for a paper: %s/*.%s\n", written, target, request->figures);
cleanup:
    return status;
}

int command_report(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    struct request request = {0};
    struct table *table = NULL;
    struct analysis *analysis = NULL;
    struct analysis_options wanted = {0};
    struct report_options options = {0};
    const struct cli_option option[] = {
        {"full", NULL, "also effects per size and at every checkpoint", CLI_FLAG, &options.full, 0},
        {"quantizer", "NAME", "quantizer of the main table (default w8a8)", CLI_TEXT,
         &wanted.quantizer, 0},
        {"html", "PATH", "where the page goes (default DIR/report.html)", CLI_TEXT, &request.html,
         0},
        {"no-html", NULL, "print only", CLI_FLAG, &request.no_html, 0},
        {"figures", "FORMAT", "write the figures as files, too: pdf, svg or png", CLI_TEXT,
         &request.figures, 0},
        {"figures-dir", "DIR", "where they go (default DIR/figures)", CLI_TEXT,
         &request.figures_dir, 0},
    };
    const struct cli cli = {
        .command = "report",
        .arguments = "DIR|FILE.nc [--full] [--quantizer NAME] [--figures FORMAT]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
    };

    TRY(cli_parse(err, &cli, argc, argv, &request.given, &helped));
    if (helped) {
        goto cleanup;
    }
    CHECK(err, request.figures == NULL || figure_format_find(request.figures, &request.format),
          STATUS_USAGE, "report: --figures \"%s\": give pdf, svg or png", request.figures);
    CHECK(err, request.figures_dir == NULL || request.figures != NULL, STATUS_USAGE,
          "report: --figures-dir needs --figures pdf, svg or png");
    CHECK(err, request.html == NULL || !request.no_html, STATUS_USAGE,
          "report: --html and --no-html exclude each other");
    TRY(find_file(err, &request));
    TRY(table_read(err, request.path, &table));
    TRY(analysis_open(err, table, &wanted, &analysis));
    TRY(report_print(err, stdout, analysis, &options));
    if (!request.no_html) {
        TRY(write_html(err, &request, analysis));
    }
    if (request.figures != NULL) {
        TRY(write_figures(err, &request, analysis));
    }
cleanup:
    analysis_free(analysis);
    table_free(table);
    return status;
}
