/*
 * One writer per run folder: an exclusive kernel lock on DIR/lock (open file description lock:
 * it also works over NFS, and it is gone when the process is, however it died). The file's text
 * says who holds it.
 */
#ifndef RESULTS_LOCK_H
#define RESULTS_LOCK_H

#include <stdbool.h>

#include "jobs/error.h"

/* First line of the lock file; also the mark by which a folder of ours is known before it has a
 * journal. */
#define LOCK_MARK "ptqscale lock"

/* Create `folder`/lock if it is missing and lock it. STATUS_FAILED, naming host, pid and time,
 * when another process holds it. On a file system without locks: a warning on stderr, then as if
 * locked. */
int lock_take(struct error *err, const char *folder, int *lock);
void lock_release(int lock); /* -1 is fine */

/* Is the file at `path` a lock file of ours? */
bool lock_is_ours(const char *path);

#endif
