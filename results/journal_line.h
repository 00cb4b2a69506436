/* The text of one journal line (format: results/journal.h). Private to the journal. */
#ifndef RESULTS_JOURNAL_LINE_H
#define RESULTS_JOURNAL_LINE_H

#include <stddef.h>

#include "results/journal.h"

/* Write `line` with check and LF into text[JOURNAL_LINE]. Returns its length, or -1 if it is too
 * long or has a name that the format does not allow. */
int journal_line_format(const struct journal_line *line, char text[JOURNAL_LINE]);

/* Is text[length] (without LF) a line whose check is right? */
int journal_line_check(const char *text, size_t length);

/* Take text[length] (without LF, check right; modified, text[length] becomes NUL) apart. Returns
 * NULL, or what is wrong with it. */
const char *journal_line_parse(char *text, size_t length, struct journal_line *line);

#endif
