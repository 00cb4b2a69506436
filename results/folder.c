#include "results/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/lock.h"
#include "results/replay.h"

int folder_make(struct error *err, const char *path)
{
    int status = STATUS_OK;
    char part[ATOMIC_PATH];
    CHECK(err, strlen(path) < sizeof part, STATUS_FAILED, "%s: the path is too long", path);
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part; slash != NULL;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        struct stat about;
        bool exists = stat(part, &about) == 0;
        CHECK(err, !exists || S_ISDIR(about.st_mode), STATUS_FAILED,
              "%s: a file is in the way where the run's folder should be; choose another --out",
              part);
        CHECK(err, exists || mkdir(part, 0777) == 0 || errno == EEXIST, STATUS_FAILED,
              "%s: cannot make the folder: %s%s", part, strerror(errno), atomic_hint(errno));
        if (slash != NULL) {
            *slash = '/';
        }
    }
cleanup:
    return status;
}

/* Does the folder hold nothing but what the setting-up of a run makes first? */
static int folder_is_fresh(struct error *err, const char *path, bool *fresh, char foreign[256])
{
    static const char *const first[] = {
        ".",           "..",          "lock",        "live",
        "cells",       "journal.log", "study.yaml",  "study.expanded.yaml",
        "checkpoints", "stop",        "exit-status", "exit-status.next"};
    int status = STATUS_OK;
    char lock[ATOMIC_PATH], cells[ATOMIC_PATH];
    snprintf(lock, sizeof lock, "%s/lock", path);
    snprintf(cells, sizeof cells, "%s/cells", path);
    DIR *inside = NULL;
    DIR *entries = opendir(path);
    CHECK(err, entries != NULL, STATUS_FAILED, "%s: cannot list the folder: %s%s", path,
          strerror(errno), atomic_hint(errno));
    foreign[0] = '\0';
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        bool known = atomic_is_temporary(entry->d_name);
        for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
            known = known || strcmp(entry->d_name, first[i]) == 0;
        }
        bool dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        empty = empty && dots;
        if (foreign[0] == '\0' && !dots && (!known || !lock_is_ours(lock))) {
            snprintf(foreign, 256, "%s", entry->d_name);
        }
    }
    inside = opendir(cells);
    for (struct dirent *entry; inside != NULL && (entry = readdir(inside)) != NULL;) {
        if (foreign[0] == '\0' && entry->d_name[0] != '.') {
            snprintf(foreign, 256, "cells/%.240s", entry->d_name);
        }
    }
    *fresh = empty || foreign[0] == '\0';
cleanup:
    if (inside != NULL) {
        closedir(inside);
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return status;
}

int folder_survey(struct error *err, const char *path, const char *name)
{
    int status = STATUS_OK;
    struct replay replay = {0};
    char journal[ATOMIC_PATH], foreign[256];
    struct stat about;
    bool fresh = false;
    CHECK(err, access(path, R_OK | W_OK | X_OK) == 0, STATUS_FAILED,
          "%s: cannot write in this folder: %s%s", path, strerror(errno), atomic_hint(errno));
    snprintf(journal, sizeof journal, "%s/journal.log", path);
    if (stat(journal, &about) == 0) {
        TRY(journal_read(err, journal, replay_event, &replay));
    }
    if (replay.study[0] == '\0') {
        TRY(folder_is_fresh(err, path, &fresh, foreign));
        CHECK(err, fresh, STATUS_FAILED,
              "%s is neither empty nor a run's folder: it holds \"%s\" and no journal of a run; "
              "choose another --out",
              path, foreign);
    } else {
        CHECK(err, strcmp(replay.study, name) == 0, STATUS_FAILED,
              "%s holds the run of study \"%s\", and this is study \"%s\"; choose another --out",
              path, replay.study, name);
    }
cleanup:
    replay_free(&replay);
    return status;
}
