/*
 * A folder that is whole or not there: its files are written into "FOLDER.partial-PID" beside it, which is renamed when all of them are
 * on disk. A killed process leaves at most that one, which nobody takes for the folder.
 */
#ifndef RESULTS_STAGING_H
#define RESULTS_STAGING_H

#include <stddef.h>

#include "jobs/error.h"

struct staging;

/* STATUS_FAILED when the folder exists already (an empty one does not count), or cannot be made. */
int staging_open(struct error *err, const char *folder, struct staging **staging);

/* Append to the folder's file `name`, which is made if it is not there. */
int staging_write(struct error *err, struct staging *staging, const char *name, const void *bytes,
                  size_t length);

/* fsync all files, rename the folder, fsync its place. On failure everything is removed; the staging is freed in any case. */
int staging_commit(struct error *err, struct staging *staging);

/* Remove everything; NULL is fine. */
void staging_discard(struct staging *staging);

#endif
