#include "results/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/process.h"

enum { LOCK_TEXT = 512 };

/* ---- the lease ---- */

static void lease_of_us(struct lease *us)
{
    *us = (struct lease){.pid = (long)getpid()};
    if (gethostname(us->host, sizeof us->host - 1) != 0 || us->host[0] == '\0') {
        strcpy(us->host, "?");
    }
    int64_t start = process_start(us->pid);
    us->start = start > 0 ? (unsigned long long)start : 0;
    if (!process_boot(us->boot)) {
        strcpy(us->boot, "?");
    }
}

bool lease_parse(const char *text, struct lease *lease)
{
    *lease = (struct lease){.released = true};
    const char *second =
        strncmp(text, LOCK_MARK "\n", sizeof LOCK_MARK) == 0 ? text + sizeof LOCK_MARK : NULL;
    if (second == NULL || sscanf(second, "host %127[^,], pid %ld", lease->host, &lease->pid) != 2) {
        return false;
    }
    const char *third = strchr(second, '\n');
    if (third == NULL ||
        sscanf(third, "\nboot %39[^,], start %llu", lease->boot, &lease->start) != 2) {
        return third != NULL && strncmp(third, "\nreleased\n", 10) == 0;
    }
    lease->released = false;
    return true;
}

static bool lease_is(const struct lease *lease, const struct lease *us)
{
    return !lease->released && strcmp(lease->host, us->host) == 0 && lease->pid == us->pid &&
           strcmp(lease->boot, us->boot) == 0 && lease->start == us->start;
}

enum lease_verdict lease_judge(const struct lease *lease, const struct lease *us, bool alive,
                               double age)
{
    if (lease->released) {
        return LEASE_FREE;
    }
    if (strcmp(lease->host, us->host) == 0) { /* one can see whether it lives, however busy it is */
        return alive && strcmp(lease->boot, us->boot) == 0 ? LEASE_HELD : LEASE_FREE;
    }
    return age > LOCK_STALE ? LEASE_FREE : LEASE_WATCH;
}

/* ---- the file ---- */

struct look {
    char text[LOCK_TEXT];
    struct lease lease;
    struct timespec renewed;
    double age; /* seconds; by this node's clock */
};

/* Read the lock file anew, as other nodes have left it. */
static bool look_at(const char *path, struct look *look)
{
    struct stat about;
    struct timespec now;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    ssize_t got = pread(fd, look->text, sizeof look->text - 1, 0);
    close(fd);
    look->text[got > 0 ? got : 0] = '\0';
    lease_parse(look->text, &look->lease);
    clock_gettime(CLOCK_REALTIME, &now);
    look->renewed = about.st_mtim;
    look->age = (double)(now.tv_sec - about.st_mtim.tv_sec);
    return true;
}

static enum lease_verdict judge(const struct look *look)
{
    struct lease us;
    lease_of_us(&us);
    int64_t start = process_start(look->lease.pid);
    return lease_judge(&look->lease, &us,
                       start > 0 && (unsigned long long)start == look->lease.start, look->age);
}

static int refuse(struct error *err, const char *folder, const char *text)
{
    int status = STATUS_OK;
    const char *second = strchr(text, '\n');
    int length = second == NULL ? 0 : (int)strcspn(second + 1, "\n");
    FAIL(err, STATUS_FAILED,
         "another run%s%.*s%s is using %s; wait until it ends or stop it (ptqscale status shows "
         "what it does)",
         length > 0 ? " (" : "", length, second == NULL ? "" : second + 1, length > 0 ? ")" : "",
         folder);
cleanup:
    return status;
}

/* A lease of another host that looks fresh: is it renewed? */
static int watch(struct error *err, const char *folder, const char *path, struct look *look)
{
    int status = STATUS_OK;
    const struct timespec first = look->renewed;
    fprintf(stderr,
            "ptqscale: %s was in use on host %s %.0f s ago; waiting up to %d s to see whether that "
            "run still lives\n",
            folder, look->lease.host, look->age > 0 ? look->age : 0, LOCK_STALE);
    for (int second = 0; second < LOCK_STALE; second++) {
        sleep(1);
        if (!look_at(path, look) || look->lease.released) {
            break;
        }
        if (look->renewed.tv_sec != first.tv_sec || look->renewed.tv_nsec != first.tv_nsec) {
            TRY(refuse(err, folder, look->text));
        }
    }
cleanup:
    return status;
}

static int write_lease(struct error *err, const char *path, int fd, bool released)
{
    int status = STATUS_OK;
    char text[LOCK_TEXT], since[32] = "?", last[96];
    struct lease us;
    time_t now = time(NULL);
    struct tm utc;
    lease_of_us(&us);
    gmtime_r(&now, &utc);
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(last, sizeof last, "boot %s, start %llu", us.boot, us.start);
    int length = snprintf(text, sizeof text, LOCK_MARK "\nhost %s, pid %ld, since %s\n%s\n",
                          us.host, us.pid, since, released ? "released" : last);
    CHECK(err, pwrite(fd, text, (size_t)length, 0) == length && ftruncate(fd, length) == 0,
          STATUS_FAILED, "%s: cannot write: %s%s", path, strerror(errno), atomic_hint(errno));
cleanup:
    return status;
}

int lock_take(struct error *err, const char *folder, int *lock)
{
    int status = STATUS_OK;
    int fd = -1;
    char path[ATOMIC_PATH];
    struct look look;
    CHECK(err, snprintf(path, sizeof path, "%s/lock", folder) < (int)sizeof path, STATUS_FAILED,
          "%s: the path is too long", folder);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    CHECK(err, fd >= 0, STATUS_FAILED, "%s: cannot create or open: %s%s", path, strerror(errno),
          atomic_hint(errno));
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool locked = fcntl(fd, F_OFD_SETLK, &whole) == 0;
    bool taken = !locked && (errno == EAGAIN || errno == EACCES);
    bool seen = look_at(path, &look);
    if (taken) {
        TRY(refuse(err, folder, seen ? look.text : ""));
    }
    enum lease_verdict verdict = seen ? judge(&look) : LEASE_FREE;
    if (verdict == LEASE_HELD) {
        TRY(refuse(err, folder, look.text));
    } else if (verdict == LEASE_WATCH) {
        TRY(watch(err, folder, path, &look));
    }
    TRY(write_lease(err, path, fd, false));
    if (!locked) { /* two that came at the same moment: the last one to write stays */
        sleep(1);
        TRY(lock_beat(err, folder, fd));
    }
    *lock = fd;
    fd = -1;
cleanup:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

void lock_release(const char *folder, int lock)
{
    char path[ATOMIC_PATH];
    struct look look;
    struct lease us;
    if (lock < 0) {
        return;
    }
    lease_of_us(&us);
    if (snprintf(path, sizeof path, "%s/lock", folder) < (int)sizeof path && look_at(path, &look) &&
        lease_is(&look.lease, &us)) {
        write_lease(NULL, path, lock, true); /* without it the next one looks whether we live */
    }
    /* The file stays: removing it would race with the next holder. Closing releases the lock. */
    close(lock);
}

int lock_beat(struct error *err, const char *folder, int lock)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH];
    struct look look;
    struct lease us;
    CHECK(err, snprintf(path, sizeof path, "%s/lock", folder) < (int)sizeof path, STATUS_FAILED,
          "%s: the path is too long", folder);
    lease_of_us(&us);
    /* A file that cannot be read just now says nothing about others. */
    CHECK(err, !look_at(path, &look) || lease_is(&look.lease, &us), STATUS_FAILED,
          "%s: another run (host %s, pid %ld) has taken the folder over; this one writes nothing "
          "more",
          folder, look.lease.host, look.lease.pid);
    futimens(lock, NULL);
cleanup:
    return status;
}

bool lock_is_held(const char *path)
{
    struct look look;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool known = fcntl(fd, F_OFD_GETLK, &whole) == 0;
    close(fd);
    return (known && whole.l_type != F_UNLCK) ||
           (look_at(path, &look) && judge(&look) != LEASE_FREE);
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
