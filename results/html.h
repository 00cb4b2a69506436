/*
 * report.html: the answer of a study as one file that a browser opens from anywhere. Nothing is fetched: styles, a few lines of script
 * (sorting the cells, light or dark) and the figures are inside, and a content security policy forbids the rest. It can be read
 * without script.
 */
#ifndef RESULTS_HTML_H
#define RESULTS_HTML_H

#include "results/analysis.h"

enum {
    /* A study of more cells shows them by setting and size: browsers do not sort 20,000 rows with pleasure. */
    HTML_CELLS = 2000,
};

struct html_options {
    const char
        *source; /* folder or file as the user gave it, for the commands that the page names */
};

/* What became of the figures. */
struct html_outcome {
    int figures, failed;        /* drawn; not drawn although there was something to show */
    char reason[ERROR_MESSAGE]; /* of the first failure; "" */
};

/* Write `path`, whole or not at all. Without gnuplot, or when it fails, the page has the tables and says where figures are missing:
 * that is no failure, but told in *outcome. STATUS_FAILED when the file cannot be written or memory is short. */
int html_write(struct error *err, const char *path, const struct analysis *analysis,
               const struct html_options *options, struct html_outcome *outcome);

#endif
