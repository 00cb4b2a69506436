/*
 * A seal is a line of text behind a NetCDF-4 file, which HDF5 ignores, with the XXH64 of the bytes
 * before it: damaged bytes must not get as far as the HDF5 library, which may crash on them.
 *
 *     NetCDF-4 bytes, mark, " XXH64 ", 16 hex digits, LF
 *
 * Another program that changes the file in place also removes the seal.
 */
#ifndef RESULTS_SEAL_H
#define RESULTS_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"

#define SEAL_CELL  "ptqscale-cell"
#define SEAL_STUDY "ptqscale-study"

enum { SEAL_LENGTH = 64 }; /* most bytes of a seal, with a NUL */

/* The seal of bytes[size] into `seal`; returns its length. */
size_t seal_make(const char *mark, const void *bytes, size_t size, char seal[SEAL_LENGTH]);

/* Have bytes[size] a seal at their end, and is it right? Then *inner is the size before it. */
bool seal_holds(const char *mark, const void *bytes, size_t size, size_t *inner);

/* Append the seal to the file at `path`. */
int seal_file(struct error *err, const char *path, const char *mark);

/* STATUS_FAILED if the file has a seal and its bytes do not have that checksum. A file without one
 * (another program wrote it) passes, and so does one that cannot be read: opening it says why. */
int seal_check(struct error *err, const char *path, const char *mark);

#endif
