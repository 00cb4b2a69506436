/* ptqscale: the command line. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/version.h"
#include "mpi/commands.h"

struct command {
    const char *name;
    int (*run)(struct error *err, int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
    {"prepare", command_prepare, "text of yours to tokens, once, for any number of studies"},
    {"plan", command_plan, "what a study file asks for: cells, cost, memory, time"},
    {"run", command_run, "run a study, or go on where its folder stopped"},
    {"submit", command_submit, "run a study in Slurm: a batch script that requeues itself"},
    {"status", command_status, "how far a run is, also while it runs"},
    {"report", command_report, "the answer: tables of effects with intervals"},
    {"explain", command_explain, "one cell: settings, history, every number"},
    {"quantize", command_quantize, "one cell: which layers a quantizer hurts"},
    {"reproduce", command_reproduce, "some cells again: is a study.nc the same, bit for bit?"},
    {"merge", command_merge, "several runs, or the shards of one, into one file"},
    {"ranks", command_ranks, "do the ranks that a launcher starts find each other?"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fprintf(out, "usage: ptqscale COMMAND [ARGUMENT ...]\n"
                 "\n"
                 "Is sensitivity to post-training quantization scale, or optimization?\n"
                 "\n"
                 "commands:\n");
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\n"
                 "  ptqscale COMMAND --help    arguments of a command\n"
                 "  ptqscale --version         version, commit, compiler\n"
                 "\n"
                 "exit status: 0 done, 1 failed, 2 wrong usage or study file,\n"
                 "3 stopped early: the same command goes on\n");
}

static int run(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        goto cleanup;
    }
    if (strcmp(name, "--version") == 0) {
        printf("ptqscale %s (commit %s, %s)\n", version_string(), version_commit(),
               version_compiler());
        goto cleanup;
    }
    CHECK(err, name[0] != '\0', STATUS_USAGE, "no command given; ptqscale --help lists them");
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            status = commands[i].run(err, argc - 1, argv + 1);
            goto cleanup;
        }
    }
    FAIL(err, STATUS_USAGE, "unknown command \"%s\"; ptqscale --help lists them", name);
cleanup:
    return status;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int status = run(&err, argc, argv);
    if (fflush(stdout) != 0 && status == STATUS_OK) {
        status = error_set(&err, STATUS_FAILED, __FILE__, __LINE__, "cannot write the output: %m");
    }
    if (err.message[0] != '\0') {
        fprintf(stderr, "ptqscale: %s\n", err.message);
    }
    if (status == STATUS_STOPPED) {
        /* The disk may have filled up under a file that HDF5 then cannot close: its exit handler
         * crashes on such a file and would hide the exit status. Everything of ours is closed by
         * now. */
        fflush(NULL);
        _exit(status);
    }
    return status;
}
