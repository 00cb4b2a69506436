/* Command lines: one table of options per command, from which parsing and --help come. */
#ifndef PTQSCALE_MPI_CLI_H
#define PTQSCALE_MPI_CLI_H

#include <stdbool.h>

#include "jobs/error.h"

enum cli_type { CLI_FLAG, CLI_INTEGER, CLI_NUMBER, CLI_DURATION, CLI_BYTES, CLI_TEXT, CLI_LIST };

enum { CLI_LIST_MOST = 64 };

/* What an option that may be given many times was given. */
struct cli_list {
    const char *text[CLI_LIST_MOST];
    int count;
};

struct cli_option {
    const char *name;  /* "ranks", for --ranks */
    const char *value; /* what follows it, "N"; NULL for a flag */
    const char *help;
    enum cli_type type;
    void *
        target; /* bool, int, double (number; duration: seconds; bytes), const char * or struct cli_list;
                     * left alone when the option is not given */
    double minimum; /* smallest legal integer or duration; a number must be above it */
};

enum { CLI_OPTIONS = 16 };

struct cli {
    const char *command;     /* "run" */
    const char *arguments;   /* "STUDY.yaml --out DIR" */
    const char *description; /* whole sentences; lines end in '\n' */
    const struct cli_option *option;
    int options;   /* at most CLI_OPTIONS */
    int positions; /* how many arguments that are not options it takes, exactly */
    bool more;     /* it takes more of them, too: `position` needs room for argc */
};

/* Parse argv (argv[0] is the command's name). position[cli->positions] gets the other arguments.
 * With cli->more, the last one is followed by NULL.
 * *helped is true when --help was asked for and printed on stdout: the command has nothing more to
 * do. STATUS_USAGE otherwise. */
int cli_parse(struct error *err, const struct cli *cli, int argc, char **argv,
              const char **position, bool *helped);

#endif
