/* The small files of a run's folder that others read or make: exit-status, stop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/lock.h"
#include "results/rundir.h"

static int path_of(struct error *err, const char *folder, const char *name, char path[ATOMIC_PATH])
{
    int status = STATUS_OK;
    CHECK(err, snprintf(path, ATOMIC_PATH, "%s/%s", folder, name) < ATOMIC_PATH, STATUS_FAILED,
          "%s: the path is too long", folder);
cleanup:
    return status;
}

static int remove_file(struct error *err, const char *folder, const char *name)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH];
    TRY(path_of(err, folder, name, path));
    TRY(atomic_remove(err, path));
cleanup:
    return status;
}

/* One digit over the one that rundir_clear_status has put there: a full disk has room for that. */
static bool overwrite(const char *next, const char *file, char digit)
{
    int fd = open(next, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pwrite(fd, &digit, 1, 0) == 1 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok && rename(next, file) == 0;
}

int rundir_leave_status(struct error *err, const char *path, int exit_status)
{
    int status = STATUS_OK;
    char file[ATOMIC_PATH], next[ATOMIC_PATH], text[16];
    TRY(path_of(err, path, "lock", file));
    if (!lock_is_ours(file) || lock_is_held(file)) {
        goto cleanup; /* no run's folder, or that of a run that goes on and will say how it ends */
    }
    TRY(path_of(err, path, "exit-status", file));
    TRY(path_of(err, path, "exit-status.next", next));
    if (overwrite(next, file, (char)('0' + exit_status))) {
        goto cleanup;
    }
    int length = snprintf(text, sizeof text, "%d\n", exit_status);
    TRY(atomic_replace(err, file, text, (size_t)length, true));
cleanup:
    return status;
}

int rundir_clear_status(struct error *err, struct rundir *dir)
{
    int status = STATUS_OK;
    char next[ATOMIC_PATH];
    TRY(remove_file(err, rundir_path(dir), "exit-status"));
    TRY(path_of(err, rundir_path(dir), "exit-status.next", next));
    TRY(atomic_replace(err, next, "0\n", 2, true));
cleanup:
    return status;
}

bool rundir_stop_wanted(const struct rundir *dir)
{
    char path[ATOMIC_PATH];
    return path_of(NULL, rundir_path(dir), "stop", path) == STATUS_OK && access(path, F_OK) == 0;
}

int rundir_clear_stop(struct error *err, struct rundir *dir)
{
    return remove_file(err, rundir_path(dir), "stop");
}
