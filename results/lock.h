/*
 * One writer per run folder. Two guards, since no single one works everywhere:
 *
 *     an exclusive kernel lock on DIR/lock (open file description lock): it works across nodes where
 *     the file system says so (NFSv4, GPFS, Lustre with flock), and it is gone when the process is,
 *     however it died;
 *     a lease, the file's text and its modification time, for file systems without locks, or with
 *     locks that are known to one node only.
 *
 *     "ptqscale lock" LF
 *     "host " H ", pid " P ", since " T LF
 *     "boot " B ", start " S LF     kernel's boot id; start of the process, clock ticks after boot
 *     or, once the holder has left:  "released" LF
 *
 * The holder renews the modification time (lock_beat). A lease is stale when its holder is known to be
 * dead (same host, and another boot, no such process, or one that started at another time), or when
 * it was not renewed for LOCK_STALE seconds: a fresh lease of another host is watched for so long.
 */
#ifndef RESULTS_LOCK_H
#define RESULTS_LOCK_H

#include <stdbool.h>

#include "jobs/error.h"

/* First line of the lock file; also the mark by which a folder of ours is known before it has a
 * journal. */
#define LOCK_MARK "ptqscale lock"

enum { LOCK_STALE = 45, LOCK_BEAT = 10 }; /* seconds */

/* Create `folder`/lock if it is missing and lock it. STATUS_FAILED, naming host, pid and time,
 * when another process holds it. May take LOCK_STALE seconds when a run on another host has ended
 * without a word. */
int lock_take(struct error *err, const char *folder, int *lock);
void lock_release(const char *folder, int lock); /* −1 is fine */

/* Renew the lease; at most LOCK_BEAT seconds apart. STATUS_FAILED if another run has taken the
 * folder over. */
int lock_beat(struct error *err, const char *folder, int lock);

/* Is the file at `path` a lock file of ours? */
bool lock_is_ours(const char *path);

/* Does anybody hold the lock file at `path`, as far as can be seen at once? */
bool lock_is_held(const char *path);

/* ---- the lease, for tests ---- */

struct lease {
    char host[128];
    long pid;
    char boot[40];
    unsigned long long start;
    bool released; /* or nobody has written a lease yet */
};

enum lease_verdict {
    LEASE_FREE, /* released, or its holder is dead */
    LEASE_HELD, /* its holder lives */
    LEASE_WATCH /* held if it is renewed while it is watched */
};

/* The lease in the text of a lock file. False: there is none that can be understood (it is taken
 * for LEASE_FREE: the kernel lock decides). */
bool lease_parse(const char *text, struct lease *lease);

/* `us`: this process; `alive`: is there a process of the lease's pid and start on this host? `age`:
 * seconds since it was renewed. */
enum lease_verdict lease_judge(const struct lease *lease, const struct lease *us, bool alive,
                               double age);

#endif
