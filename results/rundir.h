/*
 * A run's folder (ARCHITECTURE, "A run's folder"):
 *
 *     study.yaml, study.expanded.yaml   as given, as understood
 *     journal.log                       one checksummed line per event (results/journal.h)
 *     cells/<id>.nc                     one finished record each, written atomically
 *     study.nc                          the aggregate, replaced atomically
 *
 * The journal and cells/ are the truth. Only one process (the coordinator or the serial runner) opens a
 * folder for writing; it holds a lock while it does.
 */
#ifndef RESULTS_RUNDIR_H
#define RESULTS_RUNDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "jobs/spec.h"
#include "results/record.h"

struct rundir;

/* What the folder knows of one cell. */
struct rundir_cell {
    char id[CELL_ID];
    enum cell_status status; /* CELL_RUNNING: begun and not ended (as a reader sees it) */
    int attempts;            /* times begun */
    int worker;              /* rank of the last attempt */
    char host[RECORD_TEXT];
    int64_t begun, ended; /* Unix seconds; 0 = never */
    char reason[512];
    char checksum[17]; /* XXH64 of cells/<id>.nc, hex; "" */
    double seconds;    /* wall time of the finished attempt */
};

/* Open `path` for a run of `spec`, creating it if it is missing or empty. Replays the journal: a torn last line is cut with
 * a warning on stderr; damage elsewhere is STATUS_FAILED with the line number. Refuses: a folder that is
 * not a run's and not empty, a run of a study of another name, one that another process holds, one
 * that cannot be written (all STATUS_FAILED, nothing changed). Writes study.yaml and
 * study.expanded.yaml (replaced if the study file has changed; the journal records the change). */
int rundir_open(struct error *err, const char *path, const struct spec *spec, struct rundir **dir);

/* Open for reading only (status, report, explain), also while a run is going on; no lock, nothing
 * written, a torn last line silently ignored. STATUS_FAILED if `path` is not a run's folder. */
int rundir_open_readonly(struct error *err, const char *path, struct rundir **dir);

void rundir_close(struct rundir *dir); /* NULL is fine */

const char *rundir_path(const struct rundir *dir);

/* Everything known, in order of first appearance. Valid until the next event. */
int rundir_cells(const struct rundir *dir, const struct rundir_cell **cells);
const struct rundir_cell *rundir_find(const struct rundir *dir, const char *id); /* NULL: unknown */

/* Path of a cell's file, <path>/cells/<id>.nc, into out[SPEC_PATH + 64]. Pure: needs no open folder. */
void rundir_cell_path(const char *path, const char *id, char *out);

/* Is the finished cell's file there, with the checksum the journal has? A missing or damaged file is *ok = false with
 * a warning on stderr that names it: the caller runs the cell again. */
int rundir_verify(struct error *err, struct rundir *dir, const char *id, bool *ok);

/* Events; each is durable (fsync) when the call returns. */
int rundir_log_run(struct error *err, struct rundir *dir, int ranks, int cells, const char *job_id);
int rundir_log_begin(struct error *err, struct rundir *dir, const struct cell *cell, int worker,
                     const char *host);
int rundir_log_end(struct error *err, struct rundir *dir, const char *id, enum cell_status status,
                   const char *checksum, double seconds, const char *reason);
int rundir_log_stop(struct error *err, struct rundir *dir,
                    const char *why); /* "finished", "interrupted" */

/* What is running right now, for `status`: replaced atomically, at most every few seconds; advisory only. */
struct rundir_live {
    int worker;
    char host[RECORD_TEXT];
    char id[CELL_ID]; /* "" = idle */
    int64_t step, steps;
    double loss, tokens_per_second;
    int64_t heard; /* Unix seconds of its last message */
};
int rundir_write_live(struct error *err, struct rundir *dir, const struct rundir_live *live,
                      int count);
int rundir_read_live(struct error *err, const char *path, struct rundir_live **live, int *count);

/* The journal's events as text lines for `explain` and for study.nc's history attribute: malloc'ed. id NULL = all
 * run/stop events. */
int rundir_history(struct error *err, const struct rundir *dir, const char *id, char **text);

#endif
