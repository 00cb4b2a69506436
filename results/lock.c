#include "results/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "results/atomic.h"

enum { LOCK_TEXT = 512 };

/* Who holds the lock: the second line of its file, "" while the holder has not written it yet. */
static void lock_holder(int fd, char holder[LOCK_TEXT])
{
    char text[LOCK_TEXT];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    holder[0] = '\0';
    char *second = strchr(text, '\n');
    if (second != NULL && second[1] != '\0') {
        second[strcspn(second + 1, "\n") + 1] = '\0';
        snprintf(holder, LOCK_TEXT, " (%s)", second + 1);
    }
}

int lock_take(struct error *err, const char *folder, int *lock)
{
    int status = STATUS_OK;
    int fd = -1;
    char path[ATOMIC_PATH], text[LOCK_TEXT], host[128] = "?", since[32] = "?";
    CHECK(err, snprintf(path, sizeof path, "%s/lock", folder) < (int)sizeof path, STATUS_FAILED,
          "%s: the path is too long", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot create or open: %s%s", path, strerror(errno),
          atomic_hint(errno));
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            lock_holder(fd, text);
            FAIL(err, STATUS_FAILED,
                 "another run%s is using %s; wait until it ends or stop it (ptqscale status shows "
                 "what it does)",
                 text, folder);
        }
        fprintf(stderr,
                "ptqscale: warning: %s: this file system has no locks (%s): make sure that no "
                "other run uses the folder\n",
                path, strerror(errno));
    }
    gethostname(host, sizeof host - 1);
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &utc);
    int length = snprintf(text, sizeof text, LOCK_MARK "\nhost %s, pid %ld, since %s\n", host,
                          (long)getpid(), since);
    CHECK(err, pwrite(fd, text, (size_t)length, 0) == length && ftruncate(fd, length) == 0,
          STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(errno), atomic_hint(errno));
    *lock = fd;
    fd = -1;
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

void lock_release(int lock)
{
    if (lock >= 0) {
        /* The file stays: removing it would race with the next holder. Closing releases the
         * lock. */
        close(lock);
    }
}

bool lock_is_ours(const char *path)
{
    char text[sizeof LOCK_MARK] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, text, sizeof LOCK_MARK - 1);
    close(fd);
    return got == (ssize_t)sizeof LOCK_MARK - 1 && strcmp(text, LOCK_MARK) == 0;
}
