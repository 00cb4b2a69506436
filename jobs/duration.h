/* Spans of time as people write them, in study files and on command lines. */
#ifndef JOBS_DURATION_H
#define JOBS_DURATION_H

#include <stdbool.h>

/* "90", "90s", "1.5min", "2h", "1d", also several, longest first: "1h30min"; a bare number is
 * seconds. False, *seconds unchanged, for anything else, a negative or an endless span. */
bool duration_parse(const char *text, double *seconds);

#endif
