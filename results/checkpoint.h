/*
 * What a running cell needs to go on later, kept in the run's folder:
 *
 *     DIR/checkpoints/<id>/state               the last checkpoint; the one before it stays until this one is safe
 *     DIR/checkpoints/<id>/weights-7-1-of-4    what `state` needs besides: a team's pieces, one file per rank
 *     DIR/checkpoints/<id>/state.damaged       one that could not be used, put aside
 *
 * Each is the caller's bytes with a line of text behind them:
 *
 *     bytes, "ptqscale-checkpoint XXH3 " 16 hex digits of the XXH3-64 of those bytes, LF
 *
 * A file is valid if it ends in that line and the digits are right. Written as in results/atomic.h:
 * temporary file in the same folder, fsync, rename, fsync of the folder. Callable from any rank.
 */
#ifndef RESULTS_CHECKPOINT_H
#define RESULTS_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "jobs/error.h"

/* Called at least once per 64 MiB written or read, so that a rank can say that it lives; NULL: nobody asks. */
typedef void checkpoint_alive_fn(void *context);

/* Keep the parts, one behind the other, as `name`: "state", or one that begins with "weights-". `dir` is the run's folder. STATUS_FAILED with the reason (no space, no
 * permission, I/O error); then the checkpoint before is still there, and no temporary file. */
int checkpoint_save(struct error *err, const char *dir, const char *id, const char *name,
                    const struct iovec *part, int parts, checkpoint_alive_fn *alive, void *context);

/* The bytes kept last, which the caller frees; *bytes = NULL when there are none. A damaged file is none: it is put aside,
 * with a warning on stderr. STATUS_FAILED when the file is there and cannot be read. */
int checkpoint_load(struct error *err, const char *dir, const char *id, const char *name,
                    checkpoint_alive_fn *alive, void *context, void **bytes, size_t *length);

/* Remove the weights whose names do not begin with `keep` (NULL: all): of checkpoints before the last. */
int checkpoint_tidy(struct error *err, const char *dir, const char *id, const char *keep);

/* Remove all that is kept of the cell, if anything is. */
int checkpoint_remove(struct error *err, const char *dir, const char *id);

/* Is file[size] a whole checkpoint? Then its first *length bytes are what was saved. Pure. */
bool checkpoint_check(const void *file, size_t size, size_t *length);

#endif
