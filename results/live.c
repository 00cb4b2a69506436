/*
 * DIR/live: what the workers are doing, for `status`. Text, advisory, replaced whole:
 *
 *     "ptqscale live 2" LF
 *     for each worker: worker SP host SP state SP cell-id SP step SP steps SP loss
 *             SP tokens_per_second SP heard SP leader SP ranks LF
 *
 * The last two are those of its team; files of earlier versions do not have them.
 * Empty host, state or id: "-". They are encoded as journal values are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "results/atomic.h"
#include "results/journal.h"
#include "results/rundir.h"

#define LIVE_MARK "ptqscale live 2"

enum { LIVE_STATE = sizeof((struct rundir_live *)0)->state };

static const char *word(const char *value, char *out, int size)
{
    return value[0] == '\0' || journal_encode(value, out, size) < 0 ? "-" : out;
}

int rundir_write_live(struct error *err, struct rundir *dir, const struct rundir_live *live,
                      int count)
{
    int status = STATUS_OK;
    char path[ATOMIC_PATH], host[3 * RECORD_TEXT + 1], id[3 * CELL_ID + 1];
    char state[3 * LIVE_STATE + 1];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(err, out != NULL, STATUS_FAILED, "%s: out of memory", rundir_path(dir));
    fprintf(out, LIVE_MARK "\n");
    for (int i = 0; i < count; i++) {
        fprintf(out, "%d %s %s %s %" PRId64 " %" PRId64 " %.9g %.9g %" PRId64 " %d %d\n",
                live[i].worker, word(live[i].host, host, sizeof host),
                word(live[i].state, state, sizeof state), word(live[i].id, id, sizeof id),
                live[i].step, live[i].steps, live[i].loss, live[i].tokens_per_second, live[i].heard,
                live[i].leader, live[i].ranks);
    }
    int failed = ferror(out) | fclose(out);
    out = NULL;
    CHECK(err, !failed, STATUS_FAILED, "%s: out of memory", rundir_path(dir));
    snprintf(path, sizeof path, "%s/live", rundir_path(dir));
    TRY(atomic_replace(err, path, text, size, false));
cleanup:
    if (out != NULL) {
        fclose(out);
    }
    free(text);
    return status;
}

static int read_worker(const char *line, struct rundir_live *live)
{
    char host[3 * RECORD_TEXT + 1], state[3 * LIVE_STATE + 1], id[3 * CELL_ID + 1];
    int end = -1, all = -1;
    *live = (struct rundir_live){0};
    int fields =
        sscanf(line, "%d %768s %48s %99s %" SCNd64 " %" SCNd64 " %lf %lf %" SCNd64 "%n %d %d%n",
               &live->worker, host, state, id, &live->step, &live->steps, &live->loss,
               &live->tokens_per_second, &live->heard, &end, &live->leader, &live->ranks, &all);
    end = fields == 11 ? all : end;
    if ((fields != 9 && fields != 11) || end < 0 || line[end] != '\0' ||
        journal_decode(host) != 0 || journal_decode(state) != 0 || journal_decode(id) != 0 ||
        strlen(host) >= sizeof live->host || strlen(state) >= sizeof live->state ||
        strlen(id) >= sizeof live->id) {
        return -1;
    }
    snprintf(live->host, sizeof live->host, "%.*s", (int)sizeof live->host - 1,
             strcmp(host, "-") == 0 ? "" : host);
    snprintf(live->state, sizeof live->state, "%.*s", (int)sizeof live->state - 1,
             strcmp(state, "-") == 0 ? "" : state);
    snprintf(live->id, sizeof live->id, "%.*s", (int)sizeof live->id - 1,
             strcmp(id, "-") == 0 ? "" : id);
    return 0;
}

int rundir_read_live(struct error *err, const char *path, struct rundir_live **live, int *count)
{
    int status = STATUS_OK;
    char file[ATOMIC_PATH];
    char *text = NULL;
    size_t size = 0;
    struct rundir_live *workers = NULL;
    *live = NULL;
    *count = 0;
    CHECK(err, snprintf(file, sizeof file, "%s/live", path) < (int)sizeof file, STATUS_FAILED,
          "%s: the path is too long", path);
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        return status; /* no run has told anything yet */
    }
    TRY(atomic_read(err, file, &text, &size));
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += text[i] == '\n';
    }
    workers = calloc(lines + 1, sizeof *workers);
    CHECK(err, workers != NULL, STATUS_FAILED, "%s: out of memory", file);
    char *rest = text;
    char *line = strsep(&rest, "\n");
    CHECK(err, strcmp(line, LIVE_MARK) == 0, STATUS_FAILED,
          "%s:1: not a file of running workers (it begins \"%.40s\"); remove it", file, line);
    int read = 0;
    while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
        CHECK(err, read_worker(line, &workers[read]) == 0, STATUS_FAILED,
              "%s:%d: not a worker's line: \"%.80s\"; remove the file", file, read + 2, line);
        read++;
    }
    *live = workers;
    *count = read;
    workers = NULL;
cleanup:
    free(text);
    free(workers);
    return status;
}
