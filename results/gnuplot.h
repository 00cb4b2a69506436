/* gnuplot as a function from a script to a picture. The program is found in PATH; its start-up files are not read. */
#ifndef RESULTS_GNUPLOT_H
#define RESULTS_GNUPLOT_H

#include <stddef.h>

#include "jobs/error.h"

/* Run gnuplot on script[size] and return what it writes to its standard output, with a NUL behind it that is not counted; the
 * caller frees it. STATUS_USAGE: there is no gnuplot (the message says what to install); STATUS_STOPPED: it took longer than `seconds` and
 * was ended; STATUS_FAILED: it found fault with the script (the message holds its first words), or wrote nothing. */
int gnuplot_run(struct error *err, const char *script, size_t size, double seconds, char **output,
                size_t *output_size);

#endif
