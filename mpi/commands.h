/* The commands of ptqscale. Each takes its own part of the command line (argv[0] is its name),
 * prints its result on stdout and returns the program's exit status; unless 0, `err` says why (an
 * empty message: somebody else says it). */
#ifndef PTQSCALE_MPI_COMMANDS_H
#define PTQSCALE_MPI_COMMANDS_H

#include "jobs/error.h"

int command_prepare(struct error *err, int argc, char **argv);
int command_plan(struct error *err, int argc, char **argv);
int command_run(struct error *err, int argc, char **argv);
int command_status(struct error *err, int argc, char **argv);
int command_report(struct error *err, int argc, char **argv);
int command_reproduce(struct error *err, int argc, char **argv);
int command_explain(struct error *err, int argc, char **argv);
int command_quantize(struct error *err, int argc, char **argv);
int command_merge(struct error *err, int argc, char **argv);
int command_submit(struct error *err, int argc, char **argv);
int command_ranks(struct error *err, int argc, char **argv);

#endif
