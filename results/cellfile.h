/* One finished cell as a NetCDF-4 file: the schema of study.nc (results/schema.h) without the cell dimension. */
#ifndef RESULTS_CELLFILE_H
#define RESULTS_CELLFILE_H

#include "results/record.h"

/* Write atomically to `path` (temporary file in the same folder, fsync, rename, fsync of the folder). `checksum`
 * gets the XXH64 of the file's bytes in hex. STATUS_FAILED with the reason (no space, no permission); then no file
 * of that name has appeared or changed. Callable from any rank. */
int cellfile_write(struct error *err, const char *path, const struct cell *cell,
                   const struct record *record, char checksum[17]);

/* Read it back. Checks that it is the file of `cell` and whole. The caller frees the record. */
int cellfile_read(struct error *err, const char *path, const struct cell *cell,
                  struct record **record);

/* XXH64 of a file's bytes in hex. */
int cellfile_checksum(struct error *err, const char *path, char checksum[17]);

#endif
