#include "results/atomic.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_PREFIX ".ptqscale-tmp."

const char *atomic_hint(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space (or quota), then give the same command again";
    case EACCES:
    case EPERM:
        return "; check the owner and the permissions";
    case EROFS:
        return "; choose a folder on a file system that can be written";
    case EIO:
    case ESTALE:
        return "; the file system or its server has a problem; give the same command again later";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
    default:
        return "";
    }
}

int atomic_temporary(struct error *err, const char *path, char temporary[ATOMIC_PATH])
{
    int status = STATUS_OK;
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    host[sizeof host - 1] = '\0';
    for (char *c = host; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '-') {
            *c = '_';
        }
    }
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 0 : (int)(slash - path) + 1;
    int length = snprintf(temporary, ATOMIC_PATH, "%.*s" TEMPORARY_PREFIX "%s.%ld.%s", folder, path,
                          host, (long)getpid(), path + folder);
    CHECK(err, length > 0 && length < ATOMIC_PATH, STATUS_FAILED, "%s: the path is too long", path);
cleanup:
    return status;
}

bool atomic_is_temporary(const char *name)
{
    size_t prefix = strlen(TEMPORARY_PREFIX);
    if (strncmp(name, TEMPORARY_PREFIX, prefix) != 0) {
        return false;
    }
    const char *host_end = strchr(name + prefix, '.');
    if (host_end == NULL || host_end == name + prefix) {
        return false;
    }
    const char *pid = host_end + 1;
    size_t digits = strspn(pid, "0123456789");
    return digits > 0 && pid[digits] == '.' && pid[digits + 1] != '\0';
}

int atomic_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written == 0 ? ENOSPC : errno;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int atomic_sync_folder(struct error *err, const char *path)
{
    int status = STATUS_OK;
    int fd = -1;
    char folder[ATOMIC_PATH];
    const char *slash = strrchr(path, '/');
    int length = slash == NULL
                     ? snprintf(folder, sizeof folder, ".")
                     : snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    CHECK(err, length < ATOMIC_PATH, STATUS_FAILED, "%s: the path is too long", path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot open the folder: %s%s", folder, strerror(errno),
          atomic_hint(errno));
    /* Some file systems cannot sync a folder, and say so with EINVAL or ENOTSUP. */
    CHECK(err, fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP, STATUS_FAILED,
          "%s: cannot make the folder durable: %s%s", folder, strerror(errno), atomic_hint(errno));
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

int atomic_commit(struct error *err, const char *temporary, const char *path)
{
    int status = STATUS_OK;
    bool renamed = false;
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot open: %s%s", temporary, strerror(errno),
          atomic_hint(errno));
    CHECK(err, fsync(fd) == 0, STATUS_FAILED, "%s: cannot write to disk: %s%s", path,
          strerror(errno), atomic_hint(errno));
    CHECK(err, rename(temporary, path) == 0, STATUS_FAILED,
          "%s: cannot put the file in place: %s%s", path, strerror(errno), atomic_hint(errno));
    renamed = true;
    TRY(atomic_sync_folder(err, path));
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    if (!renamed) {
        unlink(temporary);
    }
    return status;
}

int atomic_remove(struct error *err, const char *path)
{
    int status = STATUS_OK;
    CHECK(err, unlink(path) == 0 || errno == ENOENT, STATUS_FAILED, "%s: cannot remove: %s%s", path,
          strerror(errno), atomic_hint(errno));
cleanup:
    return status;
}

int atomic_replace(struct error *err, const char *path, const void *data, size_t size, bool durable)
{
    int status = STATUS_OK;
    int fd = -1;
    char temporary[ATOMIC_PATH] = "";
    TRY(atomic_temporary(err, path, temporary));
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot create a file there: %s%s", path,
          strerror(errno), atomic_hint(errno));
    int error = atomic_write_all(fd, data, size);
    CHECK(err, error == 0, STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(error),
          atomic_hint(error));
    error = close(fd) == 0 ? 0 : errno; /* network file systems report a full disk here */
    fd = -1;
    CHECK(err, error == 0, STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(error),
          atomic_hint(error));
    if (durable) {
        TRY(atomic_commit(err, temporary, path));
    } else {
        CHECK(err, rename(temporary, path) == 0, STATUS_FAILED,
              "%s: cannot put the file in place: %s%s", path, strerror(errno), atomic_hint(errno));
    }
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    if (status != STATUS_OK && temporary[0] != '\0') {
        unlink(temporary);
    }
    return status;
}

int atomic_read(struct error *err, const char *path, char **data, size_t *size)
{
    int status = STATUS_OK;
    char *bytes = NULL;
    size_t length = 0, capacity = 0;
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot open: %s%s", path, strerror(errno),
          atomic_hint(errno));
    CHECK(err, fstat(fd, &about) == 0, STATUS_FAILED, "%s: %s", path, strerror(errno));
    CHECK(err, S_ISREG(about.st_mode), STATUS_FAILED, "%s: not a regular file", path);
    capacity = (size_t)about.st_size + 1;
    bytes = malloc(capacity);
    CHECK(err, bytes != NULL, STATUS_FAILED, "%s: out of memory for %zu bytes", path, capacity);
    for (;;) { /* the file may grow while it is read: what was there when we looked is enough */
        ssize_t got = length + 1 < capacity ? read(fd, bytes + length, capacity - 1 - length) : 0;
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CHECK(err, got >= 0, STATUS_FAILED, "%s: cannot read: %s%s", path, strerror(errno),
              atomic_hint(errno));
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    bytes[length] = '\0';
    *data = bytes;
    *size = length;
    bytes = NULL;
cleanup:
    free(bytes);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

int atomic_sweep(struct error *err, const char *folder)
{
    int status = STATUS_OK;
    DIR *entries = opendir(folder);
    CHECK(err, entries != NULL, STATUS_FAILED, "%s: cannot list the folder: %s%s", folder,
          strerror(errno), atomic_hint(errno));
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (atomic_is_temporary(entry->d_name)) {
            CHECK(err, unlinkat(dirfd(entries), entry->d_name, 0) == 0 || errno == ENOENT,
                  STATUS_FAILED, "%s/%s: cannot remove the left-over temporary file: %s%s", folder,
                  entry->d_name, strerror(errno), atomic_hint(errno));
        }
    }
cleanup:
    if (entries != NULL) {
        closedir(entries);
    }
    return status;
}
