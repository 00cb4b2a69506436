#include "results/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "jobs/version.h"
#include "results/atomic.h"
#include "results/cellfile.h"
#include "results/folder.h"
#include "results/lock.h"
#include "results/replay.h"
#include "results/rundir_jobs.h"

struct rundir {
    char path[SPEC_PATH];
    struct replay replay;
    struct journal *journal; /* NULL: read-only */
    int lock;                /* -1: read-only */
};

/* ---- opening ---- */

static int rundir_create(struct error *err, const char *path, struct rundir **dir)
{
    int status = STATUS_OK;
    struct rundir *created = calloc(1, sizeof *created);
    CHECK(err, created != NULL, STATUS_FAILED, "%s: out of memory", path);
    created->lock = -1;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    CHECK(err, length > 0, STATUS_FAILED, "the run's folder has an empty name; give --out DIR");
    CHECK(err, length < sizeof created->path, STATUS_FAILED, "%s: the path is too long", path);
    memcpy(created->path, path, length);
    *dir = created;
    created = NULL;
cleanup:
    free(created);
    return status;
}

/* Make `name` in the folder hold `text`; leaves the file alone if it does already. */
static int keep_text(struct error *err, const char *folder, const char *name, const char *text,
                     size_t size)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH];
    char *old = NULL;
    size_t old_size = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    bool same = access(path, F_OK) == 0 && atomic_read(NULL, path, &old, &old_size) == STATUS_OK &&
                old_size == size && memcmp(old, text, size) == 0;
    if (!same) {
        TRY(atomic_replace(err, path, text, size, true));
    }
cleanup:
    free(old);
    return status;
}

static int rundir_append(struct error *err, struct rundir *dir, struct journal_line *line)
{
    int status = STATUS_OK;
    CHECK(err, dir->journal != NULL, STATUS_FAILED, "%s is open for reading only", dir->path);
    TRY(journal_append(err, dir->journal, line));
    TRY(journal_sync(err, dir->journal));
    TRY(replay_event(err, &dir->replay, line));
cleanup:
    return status;
}

/* study.yaml and study.expanded.yaml, and the event that says which text counts from here on. */
static int rundir_put_study(struct error *err, struct rundir *dir, const struct spec *spec)
{
    int status = STATUS_OK;
    char *expanded = NULL;
    char hash[17];
    TRY(spec_expanded(err, spec, &expanded));
    TRY(keep_text(err, dir->path, "study.yaml", spec->text, spec->text_length));
    TRY(keep_text(err, dir->path, "study.expanded.yaml", expanded, strlen(expanded)));
    snprintf(hash, sizeof hash, "%016llx",
             (unsigned long long)XXH64(spec->text, spec->text_length, 0));
    if (strcmp(dir->replay.text, hash) != 0 || dir->replay.study[0] == '\0') {
        struct journal_line line = {.event = "study"};
        journal_pair(&line, "format", REPLAY_FORMAT);
        journal_pair(&line, "name", spec->name);
        journal_pair(&line, "text", hash);
        journal_pair(&line, "version", version_string());
        journal_pair(&line, "commit", version_commit());
        TRY(rundir_append(err, dir, &line));
    }
cleanup:
    free(expanded);
    return status;
}

int rundir_open(struct error *err, const char *path, const struct spec *spec, struct rundir **dir)
{
    int status = STATUS_OK;
    struct rundir *opened = NULL;
    char cells[ATOMIC_PATH], journal[ATOMIC_PATH];
    TRY(rundir_create(err, path, &opened));
    snprintf(cells, sizeof cells, "%s/cells", opened->path);
    snprintf(journal, sizeof journal, "%s/journal.log", opened->path);
    TRY(folder_make(err, opened->path));
    TRY(folder_survey(err, opened->path, spec->name));
    TRY(lock_take(err, opened->path, &opened->lock));
    TRY(folder_survey(err, opened->path, spec->name)); /* who came first may have set it up */
    TRY(folder_make(err, cells));
    TRY(journal_open(err, journal, replay_event, &opened->replay, &opened->journal));
    replay_stop(&opened->replay); /* we hold the lock, so nobody works here */
    TRY(atomic_sweep(err, opened->path));
    TRY(atomic_sweep(err, cells));
    TRY(rundir_put_study(err, opened, spec));
    *dir = opened;
    opened = NULL;
cleanup:
    rundir_close(opened);
    return status;
}

int rundir_open_readonly(struct error *err, const char *path, struct rundir **dir)
{
    int status = STATUS_OK;
    struct rundir *opened = NULL;
    char journal[ATOMIC_PATH];
    struct stat about;
    TRY(rundir_create(err, path, &opened));
    CHECK(err, stat(opened->path, &about) == 0, STATUS_FAILED, "%s: %s", path, strerror(errno));
    CHECK(err, S_ISDIR(about.st_mode), STATUS_FAILED, "%s: not a folder, so not a run's folder",
          path);
    snprintf(journal, sizeof journal, "%s/journal.log", opened->path);
    CHECK(err, stat(journal, &about) == 0 || errno != ENOENT, STATUS_FAILED,
          "%s: not a run's folder (no journal.log in it); ptqscale run STUDY.yaml --out DIR makes "
          "one",
          path);
    TRY(journal_read(err, journal, replay_event, &opened->replay));
    CHECK(err, opened->replay.study[0] != '\0', STATUS_FAILED,
          "%s: the journal has no whole event yet", journal);
    *dir = opened;
    opened = NULL;
cleanup:
    rundir_close(opened);
    return status;
}

void rundir_close(struct rundir *dir)
{
    if (dir != NULL) {
        journal_close(dir->journal);
        lock_release(dir->lock);
        replay_free(&dir->replay);
        free(dir);
    }
}

/* ---- what is known ---- */

const char *rundir_path(const struct rundir *dir)
{
    return dir->path;
}

const char *rundir_jobs(const struct rundir *dir)
{
    return dir->replay.jobs;
}

int rundir_cells(const struct rundir *dir, const struct rundir_cell **cells)
{
    *cells = dir->replay.cell;
    return dir->replay.cells;
}

const struct rundir_cell *rundir_find(const struct rundir *dir, const char *id)
{
    int index = replay_find(&dir->replay, id);
    return index < 0 ? NULL : &dir->replay.cell[index];
}

void rundir_cell_path(const char *path, const char *id, char *out)
{
    snprintf(out, SPEC_PATH + 64, "%s/cells/%s.nc", path, id);
}

/* Put a damaged file aside, for the curious, and forget that the cell was finished. */
static int rundir_set_aside(struct error *err, struct rundir *dir, const char *id, const char *path,
                            const char *reason)
{
    int status = STATUS_OK;
    char aside[SPEC_PATH + 96];
    snprintf(aside, sizeof aside, "%s.damaged", path);
    CHECK(err, rename(path, aside) == 0 || errno == ENOENT, STATUS_FAILED,
          "%s: cannot rename the damaged file: %s%s", path, strerror(errno), atomic_hint(errno));
    TRY(atomic_sync_folder(err, path));
    struct journal_line line = {.event = "damaged"};
    journal_pair(&line, "cell", id);
    journal_pair(&line, "reason", reason);
    TRY(rundir_append(err, dir, &line));
cleanup:
    return status;
}

int rundir_verify(struct error *err, struct rundir *dir, const char *id, bool *ok)
{
    int status = STATUS_OK;
    char path[SPEC_PATH + 64], checksum[17] = "";
    const struct rundir_cell *cell = rundir_find(dir, id);
    *ok = false;
    if (cell == NULL || (cell->status != CELL_DONE && cell->status != CELL_DIVERGED)) {
        return status;
    }
    rundir_cell_path(dir->path, id, path);
    bool missing = access(path, F_OK) != 0 && errno == ENOENT;
    if (!missing) {
        TRY(cellfile_checksum(err, path, checksum));
        *ok = strcmp(checksum, cell->checksum) == 0;
    }
    if (!*ok) {
        const char *reason = missing ? "the file is missing" : "its checksum is not the journal's";
        fprintf(stderr, "ptqscale: warning: %s: %s; the cell runs again%s\n", path, reason,
                missing || dir->journal == NULL ? ""
                                                : " (the damaged file is kept as <id>.nc.damaged)");
        if (dir->journal != NULL) {
            TRY(rundir_set_aside(err, dir, id, path, reason));
        }
    }
cleanup:
    return status;
}

/* ---- events ---- */

int rundir_log_run(struct error *err, struct rundir *dir, int ranks, int cells, const char *job_id)
{
    struct journal_line line = {.event = "run"};
    char rank_text[16], cell_text[16], host[128] = "?", pid[16];
    snprintf(rank_text, sizeof rank_text, "%d", ranks);
    snprintf(cell_text, sizeof cell_text, "%d", cells);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    gethostname(host, sizeof host - 1);
    journal_pair(&line, "ranks", rank_text);
    journal_pair(&line, "cells", cell_text);
    if (job_id != NULL && job_id[0] != '\0') {
        journal_pair(&line, "job", job_id);
    }
    journal_pair(&line, "host", host);
    journal_pair(&line, "pid", pid);
    journal_pair(&line, "version", version_string());
    journal_pair(&line, "commit", version_commit());
    return rundir_append(err, dir, &line);
}

int rundir_log_begin(struct error *err, struct rundir *dir, const struct cell *cell, int worker,
                     const char *host)
{
    struct journal_line line = {.event = "begin"};
    const struct rundir_cell *known = rundir_find(dir, cell->id);
    char attempt[16], worker_text[16], seed[24];
    snprintf(attempt, sizeof attempt, "%d", known == NULL ? 1 : known->attempts + 1);
    snprintf(worker_text, sizeof worker_text, "%d", worker);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)cell->seed);
    journal_pair(&line, "cell", cell->id);
    journal_pair(&line, "attempt", attempt);
    journal_pair(&line, "worker", worker_text);
    journal_pair(&line, "host", host == NULL ? "" : host);
    journal_pair(&line, "size", cell->size.name);
    journal_pair(&line, "setting", cell->setting);
    journal_pair(&line, "seed", seed);
    return rundir_append(err, dir, &line);
}

int rundir_log_end(struct error *err, struct rundir *dir, const char *id, enum cell_status ended,
                   const char *checksum, double seconds, const char *reason)
{
    int status = STATUS_OK;
    struct journal_line line = {.event = "end"};
    char short_reason[512], wall[32];
    bool finished = ended == CELL_DONE || ended == CELL_DIVERGED;
    CHECK(err, ended != CELL_RUNNING && (!finished || (checksum != NULL && strlen(checksum) == 16)),
          STATUS_FAILED, "cell %s cannot end as \"%s\" with checksum \"%s\"", id,
          cell_status_name(ended), checksum == NULL ? "" : checksum);
    snprintf(wall, sizeof wall, "%.3f", seconds > 0 && seconds < 1e12 ? seconds : 0.0);
    journal_pair(&line, "cell", id);
    journal_pair(&line, "status", cell_status_name(ended));
    if (finished) {
        journal_pair(&line, "checksum", checksum);
    }
    journal_pair(&line, "seconds", wall);
    if (reason != NULL && reason[0] != '\0') {
        snprintf(short_reason, sizeof short_reason, "%s", reason);
        journal_pair(&line, "reason", short_reason);
    }
    TRY(rundir_append(err, dir, &line));
cleanup:
    return status;
}

int rundir_log_stop(struct error *err, struct rundir *dir, const char *why)
{
    struct journal_line line = {.event = "stop"};
    journal_pair(&line, "why", why);
    return rundir_append(err, dir, &line);
}

/* ---- history ---- */

struct history {
    const char *id; /* NULL: events of the whole run */
    FILE *out;
};

static int history_line(struct error *err, void *context, const struct journal_line *line)
{
    (void)err;
    struct history *history = context;
    const char *cell = journal_value(line, "cell");
    if (history->id == NULL ? cell != NULL : cell == NULL || strcmp(cell, history->id) != 0) {
        return STATUS_OK;
    }
    char when[32];
    journal_time(line->time, when);
    fprintf(history->out, "%s %s", when, line->event);
    for (int i = 0; i < line->pairs; i++) {
        if (strcmp(line->key[i], "cell") != 0) {
            const char *quote = strpbrk(line->value[i], " =") != NULL ? "\"" : "";
            fprintf(history->out, " %s=%s%s%s", line->key[i], quote, line->value[i], quote);
        }
    }
    fputc('\n', history->out);
    return STATUS_OK;
}

int rundir_history(struct error *err, const struct rundir *dir, const char *id, char **text)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH];
    char *collected = NULL;
    size_t size = 0;
    struct history history = {.id = id, .out = open_memstream(&collected, &size)};
    CHECK(err, history.out != NULL, STATUS_FAILED, "%s: out of memory", dir->path);
    snprintf(path, sizeof path, "%s/journal.log", dir->path);
    TRY(journal_read(err, path, history_line, &history));
    int failed = ferror(history.out) | fclose(history.out);
    history.out = NULL;
    CHECK(err, !failed, STATUS_FAILED, "%s: out of memory", path);
    *text = collected;
    collected = NULL;
cleanup:
    if (history.out != NULL) {
        fclose(history.out);
    }
    free(collected);
    return status;
}
