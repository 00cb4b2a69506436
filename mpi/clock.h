/* Time: for measuring, and for people. */
#ifndef PTQSCALE_MPI_CLOCK_H
#define PTQSCALE_MPI_CLOCK_H

#include <stdint.h>

enum { CLOCK_TEXT = 32, CLOCK_DURATION = 32 };

/* Seconds since an arbitrary moment; never goes back. */
double clock_seconds(void);

/* Unix seconds. */
int64_t clock_unix(void);

/* Now in UTC, ISO 8601: "2025-01-31T23:59:59Z". */
void clock_utc(char text[CLOCK_TEXT]);

/* "41 s", "12 min 03 s", "5 h 20 min", "3 d 04 h"; "unknown" for NaN. */
void clock_duration(double seconds, char text[CLOCK_DURATION]);

#endif
