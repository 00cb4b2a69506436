#include "mpi/cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/bytes.h"
#include "jobs/duration.h"

static void print_help(const struct cli *cli)
{
    printf("usage: ptqscale %s %s\n\n%s\noptions:\n", cli->command, cli->arguments,
           cli->description);
    for (int i = 0; i < cli->options; i++) {
        const struct cli_option *option = &cli->option[i];
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        printf("  %-22s %s\n", left, option->help);
    }
    printf("  %-22s %s\n", "-h, --help", "print this and exit");
}

static int parse_value(struct error *err, const struct cli *cli, const struct cli_option *option,
                       const char *text)
{
    int status = STATUS_OK;
    char *end = NULL;
    errno = 0;
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        break;
    case CLI_TEXT:
        CHECK(err, text[0] != '\0', STATUS_USAGE, "%s: --%s needs a value, not an empty text",
              cli->command, option->name);
        *(const char **)option->target = text;
        break;
    case CLI_LIST: {
        struct cli_list *list = option->target;
        CHECK(err, list->count < CLI_LIST_MOST, STATUS_USAGE,
              "%s: --%s is given more than %d times", cli->command, option->name,
              (int)CLI_LIST_MOST);
        list->text[list->count++] = text;
        break;
    }
    case CLI_INTEGER: {
        long value = strtol(text, &end, 10);
        CHECK(err, end != text && *end == '\0' && errno == 0 && value <= INT_MAX, STATUS_USAGE,
              "%s: --%s: \"%s\" is not a whole number", cli->command, option->name, text);
        CHECK(err, (double)value >= option->minimum, STATUS_USAGE,
              "%s: --%s: %s is too small; give at least %.0f", cli->command, option->name, text,
              option->minimum);
        *(int *)option->target = (int)value;
        break;
    }
    case CLI_DURATION: {
        double seconds = 0;
        CHECK(err, duration_parse(text, &seconds), STATUS_USAGE,
              "%s: --%s: \"%s\" is not a span of time; write one such as 120, 120s or 2min",
              cli->command, option->name, text);
        CHECK(err, seconds >= option->minimum, STATUS_USAGE,
              "%s: --%s: %s is too short; give at least %gs", cli->command, option->name, text,
              option->minimum);
        *(double *)option->target = seconds;
        break;
    }
    case CLI_BYTES:
        CHECK(err, bytes_parse(text, option->target), STATUS_USAGE,
              "%s: --%s: \"%s\" is not an amount of memory; write one such as 512MiB or 8GiB",
              cli->command, option->name, text);
        break;
    case CLI_NUMBER: {
        double value = strtod(text, &end);
        CHECK(err, end != text && *end == '\0' && isfinite(value), STATUS_USAGE,
              "%s: --%s: \"%s\" is not a number", cli->command, option->name, text);
        CHECK(err, value > option->minimum, STATUS_USAGE,
              "%s: --%s: %s is too small; give more than %g", cli->command, option->name, text,
              option->minimum);
        *(double *)option->target = value;
        break;
    }
    }
cleanup:
    return status;
}

int cli_parse(struct error *err, const struct cli *cli, int argc, char **argv,
              const char **position, bool *helped)
{
    int status = STATUS_OK;
    struct option table[CLI_OPTIONS + 2] = {{0}};
    enum { HELP = 'h', FIRST = 256 };

    *helped = false;
    for (int i = 0; i < cli->options; i++) {
        table[i] = (struct option){
            .name = cli->option[i].name,
            .has_arg = cli->option[i].type == CLI_FLAG ? no_argument : required_argument,
            .val = FIRST + i,
        };
    }
    table[cli->options] = (struct option){.name = "help", .val = HELP};

    optind = 0; /* glibc: start afresh */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int found = getopt_long(argc, argv, ":h", table, NULL);
        if (found == -1) {
            break;
        }
        if (found == HELP) {
            print_help(cli);
            *helped = true;
            goto cleanup;
        }
        const char *given = at < argc ? argv[optind > at ? optind - 1 : at] : "";
        CHECK(err, found != ':', STATUS_USAGE, "%s: %s needs a value (ptqscale %s --help)",
              cli->command, given, cli->command);
        CHECK(err, found != '?', STATUS_USAGE, "%s: unknown option %s (ptqscale %s --help)",
              cli->command, given, cli->command);
        TRY(parse_value(err, cli, &cli->option[found - FIRST], optarg));
    }
    int given = argc - optind;
    CHECK(err, given >= cli->positions, STATUS_USAGE,
          "%s: an argument is missing; usage: ptqscale %s %s", cli->command, cli->command,
          cli->arguments);
    CHECK(err, given <= cli->positions || cli->more, STATUS_USAGE,
          "%s: unexpected argument \"%s\"; usage: ptqscale %s %s", cli->command,
          argv[optind + cli->positions], cli->command, cli->arguments);
    for (int i = 0; i < given; i++) {
        position[i] = argv[optind + i];
    }
    if (cli->more) {
        position[given] = NULL;
    }
cleanup:
    return status;
}
