#include "results/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/atomic.h"

enum { OPEN_FILES = 4 };

struct staging {
    char folder[ATOMIC_PATH], partial[ATOMIC_PATH];
    int directory; /* −1: not made yet */
    struct {
        char name[64];
        int file;
    } open[OPEN_FILES]; /* the last one that was opened is at next − 1 */
    int next;
};

/* A name that is free, or that of an empty folder, which rename replaces. */
static int check_free(struct error *err, const char *folder)
{
    int status = STATUS_OK;
    struct stat about;
    DIR *entries = NULL;
    if (lstat(folder, &about) != 0 && errno == ENOENT) {
        goto cleanup;
    }
    entries = opendir(folder);
    CHECK(err, entries, STATUS_FAILED, "%s: is there already; choose another name, or remove it",
          folder);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        CHECK(err, strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0,
              STATUS_FAILED,
              "%s: is there already, with files in it; choose another name, or remove it", folder);
    }
cleanup:
    if (entries) {
        closedir(entries);
    }
    return status;
}

int staging_open(struct error *err, const char *folder, struct staging **staging)
{
    int status = STATUS_OK;
    size_t length = strlen(folder);
    struct staging *s = calloc(1, sizeof *s);
    CHECK(err, s, STATUS_FAILED, "out of memory");
    s->directory = -1;
    while (length > 1 && folder[length - 1] == '/') {
        length--;
    }
    CHECK(err, length + 32 < ATOMIC_PATH, STATUS_FAILED, "%s: the path is too long", folder);
    snprintf(s->folder, sizeof s->folder, "%.*s", (int)length, folder);
    snprintf(s->partial, sizeof s->partial, "%.*s.partial-%ld", (int)length, folder,
             (long)getpid());
    TRY(check_free(err, s->folder));
    CHECK(err, mkdir(s->partial, 0777) == 0, STATUS_FAILED, "%s: cannot make the folder: %s%s",
          s->partial, strerror(errno), atomic_hint(errno));
    s->directory = open(s->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(err, s->directory >= 0, STATUS_FAILED, "%s: cannot open the folder: %s%s", s->partial,
          strerror(errno), atomic_hint(errno));
    *staging = s;
    s = NULL;
cleanup:
    if (s && s->directory < 0) { /* what is there under its name is not ours */
        free(s);
        s = NULL;
    }
    staging_discard(s);
    return status;
}

static int close_file(struct error *err, struct staging *s, int i)
{
    int status = STATUS_OK;
    const int file = s->open[i].file;
    if (s->open[i].name[0] == '\0') {
        return status;
    }
    int code = fsync(file) == 0 ? 0 : errno;
    code = close(file) == 0 || code != 0 ? code : errno;
    CHECK(err, code == 0, STATUS_FAILED, "%s/%s: cannot write: %s%s", s->folder, s->open[i].name,
          strerror(code), atomic_hint(code));
cleanup:
    s->open[i].name[0] = '\0';
    return status;
}

static int open_file(struct error *err, struct staging *s, const char *name, int *file)
{
    int status = STATUS_OK;
    for (int i = 0; i < OPEN_FILES; i++) {
        if (strcmp(s->open[i].name, name) == 0) {
            *file = s->open[i].file;
            goto cleanup;
        }
    }
    const int i = s->next;
    s->next = (s->next + 1) % OPEN_FILES;
    TRY(close_file(err, s, i));
    *file = openat(s->directory, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    CHECK(err, *file >= 0, STATUS_FAILED, "%s/%s: cannot create: %s%s", s->folder, name,
          strerror(errno), atomic_hint(errno));
    s->open[i].file = *file;
    snprintf(s->open[i].name, sizeof s->open[i].name, "%s", name);
cleanup:
    return status;
}

int staging_write(struct error *err, struct staging *s, const char *name, const void *bytes,
                  size_t length)
{
    int status = STATUS_OK, file;
    CHECK(err, strlen(name) < sizeof s->open[0].name, STATUS_FAILED, "%s: the name is too long",
          name);
    TRY(open_file(err, s, name, &file));
    const int code = atomic_write_all(file, bytes, length);
    CHECK(err, code == 0, STATUS_FAILED, "%s/%s: cannot write: %s%s", s->folder, name,
          strerror(code), atomic_hint(code));
cleanup:
    return status;
}

int staging_commit(struct error *err, struct staging *s)
{
    int status = STATUS_OK;
    for (int i = 0; i < OPEN_FILES; i++) {
        TRY(close_file(err, s, i));
    }
    CHECK(err, fsync(s->directory) == 0 || errno == EINVAL || errno == ENOTSUP, STATUS_FAILED,
          "%s: cannot make the folder durable: %s%s", s->partial, strerror(errno),
          atomic_hint(errno));
    CHECK(err, rename(s->partial, s->folder) == 0, STATUS_FAILED,
          "%s: cannot put the folder in place: %s%s", s->folder, strerror(errno),
          atomic_hint(errno));
    close(s->directory);
    status = atomic_sync_folder(err, s->folder);
    free(s);
    s = NULL;
cleanup:
    staging_discard(s);
    return status;
}

void staging_discard(struct staging *s)
{
    if (s == NULL) {
        return;
    }
    for (int i = 0; i < OPEN_FILES; i++) {
        if (s->open[i].name[0] != '\0') {
            close(s->open[i].file);
        }
    }
    DIR *entries = fdopendir(s->directory);
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        unlinkat(s->directory, entry->d_name, 0); /* all of them ours; "." and ".." stay */
    }
    if (entries) {
        closedir(entries);
    } else {
        close(s->directory);
    }
    rmdir(s->partial);
    free(s);
}
