#include "results/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/journal_line.h"

struct journal {
    int fd;
    char *path;
    int64_t sequence; /* of the last line */
    off_t size;       /* bytes of whole lines in the file */
    bool broken;      /* the file's end is not known any more: nothing may be appended */
};

struct journal_extent {
    int64_t sequence; /* of the last whole line */
    int64_t lines;
    size_t good; /* bytes of whole lines */
    size_t all;  /* bytes of the file */
};

/* Does a torn tail contain a whole valid line? Then it is not the work of an interrupted append. */
static bool tail_hides_line(const char *tail, size_t size)
{
    if (size == 0 || tail[size - 1] != '\n') {
        return false;
    }
    size_t first = size > JOURNAL_LINE ? size - JOURNAL_LINE : 1;
    for (size_t at = first; at + 1 < size; at++) {
        if (journal_line_check(tail + at, size - 1 - at)) {
            return true;
        }
    }
    return false;
}

static int journal_scan(struct error *err, const char *path, journal_fn *fn, void *context,
                        struct journal_extent *extent)
{
    int status = STATUS_OK;
    char *text = NULL;
    size_t size = 0;
    struct journal_line line;
    *extent = (struct journal_extent){0};
    TRY(atomic_read(err, path, &text, &size));
    extent->all = size;
    while (extent->good < size) {
        char *start = text + extent->good;
        char *end = memchr(start, '\n', size - extent->good);
        bool last = end == NULL || end == text + size - 1;
        long long number = (long long)extent->lines + 1;
        if (end == NULL || !journal_line_check(start, (size_t)(end - start))) {
            CHECK(err, last && !tail_hides_line(start, size - extent->good), STATUS_FAILED,
                  "%s:%lld: the line was changed after it was written (its checksum is wrong); "
                  "restore the file from a backup, or start again in another folder",
                  path, number);
            break;
        }
        const char *wrong = journal_line_parse(start, (size_t)(end - start), &line);
        CHECK(err, wrong == NULL, STATUS_FAILED,
              "%s:%lld: %s; this program did not write that line: restore the file from a backup, "
              "or start again in another folder",
              path, number, wrong);
        CHECK(err, line.sequence == extent->sequence + 1, STATUS_FAILED,
              "%s:%lld: event %lld follows event %lld: lines are missing or repeated; restore the "
              "file from a backup, or start again in another folder",
              path, number, (long long)line.sequence, (long long)extent->sequence);
        if (fn != NULL) {
            status = fn(err, context, &line);
            if (status != STATUS_OK) {
                error_context(err, "%s:%lld", path, number);
                goto cleanup;
            }
        }
        extent->sequence = line.sequence;
        extent->lines++;
        extent->good = (size_t)(end - text) + 1;
    }
cleanup:
    free(text);
    return status;
}

int journal_read(struct error *err, const char *path, journal_fn *fn, void *context)
{
    struct journal_extent extent;
    return journal_scan(err, path, fn, context, &extent);
}

int journal_open(struct error *err, const char *path, journal_fn *fn, void *context,
                 struct journal **journal)
{
    int status = STATUS_OK;
    struct journal_extent extent;
    struct journal *opened = calloc(1, sizeof *opened);
    CHECK(err, opened != NULL, STATUS_FAILED, "%s: out of memory", path);
    opened->path = strdup(path);
    opened->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    CHECK(err, opened->path != NULL, STATUS_FAILED, "%s: out of memory", path);
    CHECK(err, opened->fd >= 0, STATUS_FAILED, "%s: cannot open for writing: %s%s", path,
          strerror(errno), atomic_hint(errno));
    TRY(journal_scan(err, path, fn, context, &extent));
    if (extent.good < extent.all) {
        fprintf(stderr,
                "ptqscale: warning: %s:%lld: the last line is torn (an interrupted write): %zu "
                "bytes from offset %zu are cut off, and that event is forgotten\n",
                path, (long long)extent.lines + 1, extent.all - extent.good, extent.good);
        CHECK(err, ftruncate(opened->fd, (off_t)extent.good) == 0 && fsync(opened->fd) == 0,
              STATUS_FAILED, "%s: cannot cut off the torn line: %s%s", path, strerror(errno),
              atomic_hint(errno));
    }
    TRY(atomic_sync_folder(err, path));
    opened->sequence = extent.sequence;
    opened->size = (off_t)extent.good;
    *journal = opened;
    opened = NULL;
cleanup:
    journal_close(opened);
    return status;
}

void journal_close(struct journal *journal)
{
    if (journal != NULL) {
        if (journal->fd >= 0) {
            close(journal->fd);
        }
        free(journal->path);
        free(journal);
    }
}

int journal_append(struct error *err, struct journal *journal, struct journal_line *line)
{
    int status = STATUS_OK;
    char text[JOURNAL_LINE];
    CHECK(err, !journal->broken, STATUS_FAILED,
          "%s: an earlier write failed and could not be taken back; give the same command again",
          journal->path);
    line->sequence = journal->sequence + 1;
    line->time = (int64_t)time(NULL);
    int length = journal_line_format(line, text);
    CHECK(err, length > 0, STATUS_FAILED,
          "%s: the event \"%s\" does not fit the format of a line (%d bytes, %d pairs)",
          journal->path, line->event, (int)JOURNAL_LINE, (int)JOURNAL_PAIRS);
    int error = atomic_write_all(journal->fd, text, (size_t)length);
    if (error != 0) {
        journal->broken = ftruncate(journal->fd, journal->size) != 0;
        FAIL(err, STATUS_FAILED, "%s: cannot write: %s%s", journal->path, strerror(error),
             atomic_hint(error));
    }
    journal->sequence = line->sequence;
    journal->size += length;
cleanup:
    return status;
}

int journal_sync(struct error *err, struct journal *journal)
{
    int status = STATUS_OK;
    if (fdatasync(journal->fd) != 0) {
        journal->broken = true; /* what reached the disk is unknown until the file is read again */
        FAIL(err, STATUS_FAILED, "%s: cannot write to disk: %s%s", journal->path, strerror(errno),
             atomic_hint(errno));
    }
cleanup:
    return status;
}
