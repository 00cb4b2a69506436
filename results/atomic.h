/*
 * Files that are whole or not there: write a temporary file in the same folder, fsync it, rename
 * it, fsync the folder. A killed process leaves at most a temporary file, which the next run
 * sweeps away.
 */
#ifndef RESULTS_ATOMIC_H
#define RESULTS_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"

enum { ATOMIC_PATH = 4096 }; /* longest path handled here, with the NUL */

/* What to do about an errno value, as a clause to put behind a message: "; free some space, …"
 * or "". */
const char *atomic_hint(int error);

/* Name of this process's temporary file for `path`: ".ptqscale-tmp.<host>.<pid>.<base>" beside
 * it. */
int atomic_temporary(struct error *err, const char *path, char temporary[ATOMIC_PATH]);

/* Is this file name (without folder) one that atomic_temporary makes? */
bool atomic_is_temporary(const char *name);

/* fsync `temporary`, rename it to `path`, fsync the folder. On failure the temporary file is
 * removed. */
int atomic_commit(struct error *err, const char *temporary, const char *path);

/* Replace `path` by data[size]. Not `durable`: no fsync, for files that are only advice. */
int atomic_replace(struct error *err, const char *path, const void *data, size_t size,
                   bool durable);

/* Remove the file, if there is one. */
int atomic_remove(struct error *err, const char *path);

/* fsync the folder of `path`, so that its name survives a crash. */
int atomic_sync_folder(struct error *err, const char *path);

/* The bytes of a file, with a NUL behind them that is not counted; the caller frees them. */
int atomic_read(struct error *err, const char *path, char **data, size_t *size);

/* Write all of data[size] to `fd`. Returns 0 or an errno value. */
int atomic_write_all(int fd, const void *data, size_t size);

/* Remove temporary files that killed processes left in `folder`. */
int atomic_sweep(struct error *err, const char *folder);

#endif
