/* Amounts of memory as people write them, in study files and on command lines. */
#ifndef JOBS_BYTES_H
#define JOBS_BYTES_H

#include <stdbool.h>

/* "8GiB", "512MiB", "1.5 TiB", "64000B"; KiB … PiB are powers of 1024, kB … PB of 1000. The unit is needed. False, *bytes
 * unchanged, for anything else, less than one byte, or an endless amount. */
bool bytes_parse(const char *text, double *bytes);

enum { BYTES_TEXT = 32 };

/* "512 MiB", three digits. Returns out. */
const char *bytes_text(double bytes, char out[BYTES_TEXT]);

#endif
