#include "results/rundir.h"

#include <dirent.h>
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
#include "results/rundir_events.h"
#include "results/rundir_jobs.h"

struct rundir {
    char path[SPEC_PATH];
    struct replay replay;
    struct journal *journal; /* NULL: read-only */
    int lock;                /* -1: read-only */
    bool batch;
    bool unsynced; /* events that are not durable */
    bool accepted; /* files in cells/ whose names are not durable */
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

int rundir_append(struct error *err, struct rundir *dir, struct journal_line *line)
{
    int status = STATUS_OK;
    CHECK(err, dir->journal != NULL, STATUS_FAILED, "%s is open for reading only", dir->path);
    TRY(journal_append(err, dir->journal, line));
    dir->unsynced = true;
    if (!dir->batch) {
        TRY(rundir_sync(err, dir));
    }
    TRY(replay_event(err, &dir->replay, line));
cleanup:
    return status;
}

void rundir_batch(struct rundir *dir, bool batch)
{
    dir->batch = batch;
}

int rundir_sync(struct error *err, struct rundir *dir)
{
    int status = STATUS_OK;
    if (dir->unsynced) {
        TRY(journal_sync(err, dir->journal));
        dir->unsynced = false;
    }
cleanup:
    return status;
}

int rundir_beat(struct error *err, const struct rundir *dir)
{
    return dir->lock >= 0 ? lock_beat(err, dir->path, dir->lock) : STATUS_OK;
}

static void shard_text(const struct spec *spec, char *text, size_t size)
{
    text[0] = '\0';
    if (spec->shard.count > 1) {
        snprintf(text, size, "%d/%d", spec->shard.index, spec->shard.count);
    }
}

/* Another shard's study.nc would leave out what the folder has finished; the whole study may follow a shard. */
static int check_shard(struct error *err, const struct rundir *dir, const struct spec *spec)
{
    int status = STATUS_OK;
    const char *was = dir->replay.shard;
    char shard[sizeof dir->replay.shard];
    shard_text(spec, shard, sizeof shard);
    CHECK(err, dir->replay.study[0] == '\0' || shard[0] == '\0' || strcmp(was, shard) == 0,
          STATUS_FAILED, "%s holds the run of %s%s, and this is shard %s; give each its own --out",
          dir->path, was[0] != '\0' ? "shard " : "the whole study", was, shard);
cleanup:
    return status;
}

/* The seeds that the looks have reached. A plan that changes after a look does not keep its error rate. */
static int adopt_looks(struct error *err, const struct rundir *dir, struct spec *spec)
{
    int status = STATUS_OK;
    const struct replay *replay = &dir->replay;
    char plan[sizeof replay->plan] = "a fixed number of seeds";
    if (replay->looks == 0) {
        goto cleanup;
    }
    if (spec->looks.count > 0) {
        replay_plan(&spec->looks, plan, sizeof plan);
    }
    CHECK(err, strcmp(plan, replay->plan) == 0, STATUS_FAILED,
          "%s: its results were looked at with seeds planned as %s, and the study file now has %s; "
          "no error rate would be known, so give back that plan, or another --out",
          dir->path, replay->plan, plan);
    const int reached = replay->look[replay->looks - 1].next;
    if (reached > spec->seeds) {
        spec_set_seeds(spec, reached);
    }
cleanup:
    return status;
}

int rundir_looks(const struct rundir *dir, const struct look **looks)
{
    *looks = dir->replay.look;
    return dir->replay.looks;
}

/* study.yaml and study.expanded.yaml, and the event that says which text counts from here on. */
int rundir_keep_study(struct error *err, struct rundir *dir, const struct spec *spec)
{
    int status = STATUS_OK;
    char *expanded = NULL;
    char hash[17], shard[sizeof dir->replay.shard];
    const char *format = spec->looks.count > 0 ? REPLAY_FORMAT_LOOKS : REPLAY_FORMAT;
    shard_text(spec, shard, sizeof shard);
    TRY(spec_expanded(err, spec, &expanded));
    TRY(keep_text(err, dir->path, "study.yaml", spec->text, spec->text_length));
    TRY(keep_text(err, dir->path, "study.expanded.yaml", expanded, strlen(expanded)));
    snprintf(hash, sizeof hash, "%016llx",
             (unsigned long long)XXH64(spec->text, spec->text_length, 0));
    if (strcmp(dir->replay.text, hash) != 0 || strcmp(dir->replay.shard, shard) != 0 ||
        dir->replay.study[0] == '\0' || strcmp(dir->replay.format, format) != 0) {
        struct journal_line line = {.event = "study"};
        journal_pair(&line, "format", format);
        journal_pair(&line, "name", spec->name);
        journal_pair(&line, "text", hash);
        journal_pair(&line, "version", version_string());
        journal_pair(&line, "commit", version_commit());
        if (shard[0] != '\0') {
            journal_pair(&line, "shard", shard);
        }
        TRY(rundir_append(err, dir, &line));
    }
cleanup:
    free(expanded);
    return status;
}

/* Remove the files of attempts that were never accepted: "<id>.nc.<rank>-<attempt>.tmp". */
static int rundir_sweep_attempts(struct error *err, const char *cells)
{
    int status = STATUS_OK;
    DIR *entries = opendir(cells);
    CHECK(err, entries != NULL, STATUS_FAILED, "%s: cannot list the folder: %s%s", cells,
          strerror(errno), atomic_hint(errno));
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        int worker, attempt, end = 0;
        if (sscanf(entry->d_name, "%*32[0-9a-f].nc.%d-%d.tmp%n", &worker, &attempt, &end) == 2 &&
            end > 0 && entry->d_name[end] == '\0') {
            CHECK(err, unlinkat(dirfd(entries), entry->d_name, 0) == 0 || errno == ENOENT,
                  STATUS_FAILED, "%s/%s: cannot remove the left-over file: %s%s", cells,
                  entry->d_name, strerror(errno), atomic_hint(errno));
        }
    }
cleanup:
    if (entries != NULL) {
        closedir(entries);
    }
    return status;
}

int rundir_open(struct error *err, const char *path, struct spec *spec, struct rundir **dir)
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
    TRY(check_shard(err, opened, spec));
    TRY(adopt_looks(err, opened, spec));
    replay_stop(&opened->replay); /* we hold the lock, so nobody works here */
    TRY(atomic_sweep(err, opened->path));
    TRY(atomic_sweep(err, cells));
    TRY(rundir_sweep_attempts(err, cells));
    TRY(rundir_keep_study(err, opened, spec));
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
        lock_release(dir->path, dir->lock);
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

double rundir_stop_took(const struct rundir *dir)
{
    return dir->replay.stop_took;
}

const char *rundir_stopped(const struct rundir *dir)
{
    return dir->replay.stopped ? dir->replay.why : NULL;
}

void rundir_cell_temporary(const char *path, const char *id, int worker, int attempt, char *out)
{
    snprintf(out, SPEC_PATH + 64, "%s/cells/%s.nc.%d-%d.tmp", path, id, worker, attempt);
}

int rundir_accept(struct error *err, struct rundir *dir, const char *id, int worker, int attempt)
{
    int status = STATUS_OK;
    char from[SPEC_PATH + 64], to[SPEC_PATH + 64];
    rundir_cell_temporary(dir->path, id, worker, attempt, from);
    rundir_cell_path(dir->path, id, to);
    CHECK(err, rename(from, to) == 0, STATUS_FAILED, "%s: cannot put the file in place: %s%s", from,
          strerror(errno), atomic_hint(errno));
    dir->accepted = true;
cleanup:
    return status;
}

int rundir_settle(struct error *err, struct rundir *dir)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH];
    if (dir->accepted) {
        snprintf(path, sizeof path, "%s/cells/", dir->path);
        TRY(atomic_sync_folder(err, path));
        dir->accepted = false;
    }
cleanup:
    return status;
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

int rundir_recover(struct error *err, struct rundir *dir, const struct cell *cell,
                   enum cell_status *found)
{
    int status = STATUS_OK;
    char path[SPEC_PATH + 64], checksum[17];
    struct record *record = NULL;
    *found = CELL_PENDING;
    rundir_cell_path(dir->path, cell->id, path);
    if (access(path, F_OK) != 0 || cellfile_read(NULL, path, cell, &record) != STATUS_OK) {
        goto cleanup;
    }
    TRY(cellfile_checksum(err, path, checksum));
    TRY(rundir_log_end(err, dir, cell->id, record->status, checksum,
                       record->wall_time_train + record->wall_time_evaluate,
                       "finished by a run that was killed before it could say so"));
    *found = record->status;
cleanup:
    record_free(record);
    return status;
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
