#include "results/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "results/atomic.h"

#define TRAILER_MARK "ptqscale-checkpoint XXH3 "
#define WEIGHTS_MARK "weights-"

enum { TRAILER = sizeof TRAILER_MARK - 1 + 16 + 1, CHUNK = 1 << 26 };

struct pulse {
    checkpoint_alive_fn *alive;
    void *context;
};

static void beat(const struct pulse *pulse)
{
    if (pulse->alive) {
        pulse->alive(pulse->context);
    }
}

static int path_of(struct error *err, const char *dir, const char *id, const char *name,
                   char path[ATOMIC_PATH])
{
    int status = STATUS_OK;
    int length =
        snprintf(path, ATOMIC_PATH, "%s/checkpoints/%s%s%s", dir, id, *name ? "/" : "", name);
    CHECK(err, length > 0 && length < ATOMIC_PATH, STATUS_FAILED, "%s: the path is too long", dir);
cleanup:
    return status;
}

static void make_trailer(XXH64_hash_t hash, char trailer[TRAILER + 1])
{
    snprintf(trailer, TRAILER + 1, TRAILER_MARK "%016llx\n", (unsigned long long)hash);
}

bool checkpoint_check(const void *file, size_t size, size_t *length)
{
    char trailer[TRAILER + 1];
    if (size < TRAILER) {
        return false;
    }
    make_trailer(XXH3_64bits(file, size - TRAILER), trailer);
    *length = size - TRAILER;
    return memcmp((const char *)file + *length, trailer, TRAILER) == 0;
}

/* Make a folder whose parent is there, durably. */
static int make_folder(struct error *err, const char *path)
{
    int status = STATUS_OK;
    if (mkdir(path, 0777) == 0) {
        TRY(atomic_sync_folder(err, path));
    } else {
        CHECK(err, errno == EEXIST, STATUS_FAILED, "%s: cannot make the folder: %s%s", path,
              strerror(errno), atomic_hint(errno));
    }
cleanup:
    return status;
}

/* Large parts go out in pieces that are on disk before the next: the fsync at the end then has little left to do, and
 * someone who waits for a sign of life gets it. */
static int write_part(int fd, const struct iovec *part, XXH3_state_t *hash,
                      const struct pulse *pulse)
{
    int error = 0;
    for (size_t at = 0; at < part->iov_len && error == 0; at += CHUNK) {
        const char *from = (const char *)part->iov_base + at;
        const size_t size = part->iov_len - at < CHUNK ? part->iov_len - at : CHUNK;
        XXH3_64bits_update(hash, from, size);
        error = atomic_write_all(fd, from, size);
        if (error == 0 && size == CHUNK && fdatasync(fd) != 0) {
            error = errno;
        }
        beat(pulse);
    }
    return error;
}

static int write_file(struct error *err, const char *path, const char *temporary,
                      const struct iovec *part, int parts, const struct pulse *pulse)
{
    int status = STATUS_OK;
    char trailer[TRAILER + 1];
    XXH3_state_t *hash = XXH3_createState();
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot create a file there: %s%s", path,
          strerror(errno), atomic_hint(errno));
    CHECK(err, hash != NULL && XXH3_64bits_reset(hash) == XXH_OK, STATUS_FAILED,
          "%s: out of memory", path);
    int error = 0;
    for (int i = 0; i < parts && error == 0; i++) {
        error = write_part(fd, &part[i], hash, pulse);
    }
    make_trailer(XXH3_64bits_digest(hash), trailer);
    error = error != 0 ? error : atomic_write_all(fd, trailer, TRAILER);
    if (close(fd) != 0 && error == 0) {
        error = errno; /* network file systems report a full disk here */
    }
    fd = -1;
    CHECK(err, error == 0, STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(error),
          atomic_hint(error));
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    XXH3_freeState(hash);
    return status;
}

int checkpoint_save(struct error *err, const char *dir, const char *id, const char *name,
                    const struct iovec *part, int parts, checkpoint_alive_fn *alive, void *context)
{
    int status = STATUS_OK;
    const struct pulse pulse = {alive, context};
    char all[ATOMIC_PATH], folder[ATOMIC_PATH], path[ATOMIC_PATH], temporary[ATOMIC_PATH] = "";
    TRY(path_of(err, dir, "", "", all));
    TRY(path_of(err, dir, id, "", folder));
    TRY(path_of(err, dir, id, name, path));
    all[strlen(all) - 1] = '\0';
    TRY(make_folder(err, all));
    TRY(make_folder(err, folder));
    TRY(atomic_temporary(err, path, temporary));
    TRY(write_file(err, path, temporary, part, parts, &pulse));
    TRY(atomic_commit(err, temporary, path));
cleanup:
    if (status != STATUS_OK && temporary[0] != '\0') {
        unlink(temporary);
    }
    return status;
}

/* The whole file, in one block; NULL when there is none. */
static int read_file(struct error *err, const char *path, const struct pulse *pulse, char **file,
                     size_t *size)
{
    int status = STATUS_OK;
    char *bytes = NULL;
    size_t length = 0, whole = 0;
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *file = NULL;
    if (fd < 0 && errno == ENOENT) {
        goto cleanup;
    }
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot open: %s%s", path, strerror(errno),
          atomic_hint(errno));
    CHECK(err, fstat(fd, &about) == 0, STATUS_FAILED, "%s: %s", path, strerror(errno));
    CHECK(err, S_ISREG(about.st_mode), STATUS_FAILED, "%s: not a regular file", path);
    whole = (size_t)about.st_size;
    bytes = malloc(whole + 1);
    CHECK(err, bytes != NULL, STATUS_FAILED, "%s: out of memory for %zu bytes", path, whole);
    while (length < whole) {
        ssize_t got = read(fd, bytes + length, whole - length < CHUNK ? whole - length : CHUNK);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        CHECK(err, got >= 0, STATUS_FAILED, "%s: cannot read: %s%s", path, strerror(errno),
              atomic_hint(errno));
        if (got == 0) {
            break; /* it has become shorter meanwhile: the check will tell */
        }
        length += (size_t)got;
        beat(pulse);
    }
    *file = bytes;
    *size = length;
    bytes = NULL;
cleanup:
    free(bytes);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* Ranks of a team may do this together: who comes second finds nothing, which is as well. */
static int set_aside(struct error *err, const char *path)
{
    int status = STATUS_OK;
    char aside[ATOMIC_PATH];
    const int length = snprintf(aside, sizeof aside, "%s.damaged", path);
    CHECK(err, length < (int)sizeof aside, STATUS_FAILED, "%s: the path is too long", path);
    if (rename(path, aside) == 0) {
        fprintf(stderr,
                "ptqscale: warning: %s is damaged or cut short (its checksum is wrong): kept as "
                "%s, and the cell starts anew\n",
                path, aside);
    } else {
        CHECK(err, errno == ENOENT, STATUS_FAILED, "%s is damaged, and cannot be put aside: %s%s",
              path, strerror(errno), atomic_hint(errno));
    }
cleanup:
    return status;
}

int checkpoint_load(struct error *err, const char *dir, const char *id, const char *name,
                    checkpoint_alive_fn *alive, void *context, void **bytes, size_t *length)
{
    int status = STATUS_OK;
    const struct pulse pulse = {alive, context};
    char folder[ATOMIC_PATH], path[ATOMIC_PATH];
    char *file = NULL;
    size_t size = 0;
    *bytes = NULL;
    *length = 0;
    TRY(path_of(err, dir, id, "", folder));
    TRY(path_of(err, dir, id, name, path));
    /* What killed processes left there. When that fails, it only takes space. */
    atomic_sweep(NULL, folder);
    TRY(read_file(err, path, &pulse, &file, &size));
    if (file != NULL && !checkpoint_check(file, size, length)) {
        TRY(set_aside(err, path));
    } else {
        *bytes = file;
        file = NULL;
    }
cleanup:
    free(file);
    return status;
}

int checkpoint_tidy(struct error *err, const char *dir, const char *id, const char *keep)
{
    int status = STATUS_OK;
    char folder[ATOMIC_PATH], path[ATOMIC_PATH];
    DIR *list = NULL;
    TRY(path_of(err, dir, id, "", folder));
    list = opendir(folder);
    CHECK(err, list != NULL || errno == ENOENT, STATUS_FAILED, "%s: cannot read the folder: %s",
          folder, strerror(errno));
    for (const struct dirent *entry; list && (entry = readdir(list)) != NULL;) {
        if (strncmp(entry->d_name, WEIGHTS_MARK, sizeof WEIGHTS_MARK - 1) == 0 &&
            (keep == NULL || strncmp(entry->d_name, keep, strlen(keep)) != 0)) {
            TRY(path_of(err, dir, id, entry->d_name, path));
            TRY(atomic_remove(err, path));
        }
    }
cleanup:
    if (list) {
        closedir(list);
    }
    return status;
}

int checkpoint_remove(struct error *err, const char *dir, const char *id)
{
    int status = STATUS_OK;
    char folder[ATOMIC_PATH], path[ATOMIC_PATH], aside[ATOMIC_PATH];
    TRY(path_of(err, dir, id, "", folder));
    TRY(path_of(err, dir, id, "state", path));
    TRY(path_of(err, dir, id, "state.damaged", aside));
    if (access(folder, F_OK) != 0) {
        goto cleanup;
    }
    TRY(atomic_remove(err, path));
    TRY(atomic_remove(err, aside));
    TRY(checkpoint_tidy(err, dir, id, NULL));
    TRY(atomic_sweep(err, folder)); /* of processes that were killed while they saved */
    CHECK(err, rmdir(folder) == 0 || errno == ENOENT, STATUS_FAILED, "%s: cannot remove: %s%s",
          folder, strerror(errno), atomic_hint(errno));
cleanup:
    return status;
}
