/*
 * A run's folder (ARCHITECTURE, "A run's folder"):
 *
 *     study.yaml, study.expanded.yaml   as given, as understood
 *     journal.log                       one checksummed line per event (results/journal.h)
 *     cells/<id>.nc                     one finished record each, written atomically
 *     cells/<id>.nc.<rank>-<attempt>.tmp   a record that no journal line vouches for yet
 *     checkpoints/<id>/state            running cells only (results/checkpoint.h)
 *     study.nc                          the aggregate, replaced atomically
 *     live                              what the workers are doing, for `status`
 *     lock                              who is using the folder (results/lock.h)
 *     stop                              made by anybody: the run stops in order
 *     exit-status                       of the last run that ended in order: the number and LF
 *     exit-status.next                  room for it, made when a run begins
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
#include "results/looks.h"
#include "results/record.h"

struct rundir;

/* What the folder knows of one cell. */
struct rundir_cell {
    char id[CELL_ID];
    enum cell_status status; /* CELL_RUNNING: begun and not ended (as a reader sees it) */
    int attempts;            /* times begun; going on with more ranks is no new attempt */
    int deaths;              /* workers that died in it since it last got further, or was retried */
    int64_t resumed;         /* the last attempt went on from a checkpoint of this step; 0 = no */
    int64_t furthest;        /* the latest step that an attempt went on from */
    int worker;              /* rank of the last attempt; of a team, the leader's */
    int ranks;               /* of its team; 1 where nothing is known */
    bool widened;            /* given back to go on with more ranks */
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
 * study.expanded.yaml (replaced if the study file has changed; the journal records the change). Of a study with looks,
 * `spec` gets the seeds that the folder's looks have reached; looks that were planned otherwise are refused. */
int rundir_open(struct error *err, const char *path, struct spec *spec, struct rundir **dir);

/* Open for reading only (status, report, explain), also while a run is going on; no lock, nothing
 * written, a torn last line silently ignored. STATUS_FAILED if `path` is not a run's folder. */
int rundir_open_readonly(struct error *err, const char *path, struct rundir **dir);

void rundir_close(struct rundir *dir); /* NULL is fine */

const char *rundir_path(const struct rundir *dir);

/* Everything known, in order of first appearance. Valid until the next event. */
int rundir_cells(const struct rundir *dir, const struct rundir_cell **cells);
const struct rundir_cell *rundir_find(const struct rundir *dir, const char *id); /* NULL: unknown */

/* How many seconds the last stop of a run took, from the wish to stop until the last worker had stopped; 0 = not known. */
double rundir_stop_took(const struct rundir *dir);

/* Why the last run stopped, if nothing has happened in the folder since; else NULL. */
const char *rundir_stopped(const struct rundir *dir);

/* The looks that were taken, by ascending seeds; of those at the same seeds the last one. Valid until the next event. */
int rundir_looks(const struct rundir *dir, const struct look **looks);

/* Log a look, and keep study.expanded.yaml in step with spec->seeds, which are look->next. */
int rundir_log_look(struct error *err, struct rundir *dir, const struct spec *spec,
                    const struct look *look);
int rundir_keep_study(struct error *err, struct rundir *dir, const struct spec *spec);

/* Path of a cell's file, <path>/cells/<id>.nc, into out[SPEC_PATH + 64]. Pure: needs no open folder. */
void rundir_cell_path(const char *path, const char *id, char *out);

/* Is the finished cell's file there, with the checksum the journal has? A missing or damaged file is *ok = false with
 * a warning on stderr that names it: the caller runs the cell again. */
int rundir_verify(struct error *err, struct rundir *dir, const char *id, bool *ok);

/* The file under which a worker leaves its record of the attempt, in out[SPEC_PATH + 64]: a name of its own, so that a worker
 * that was taken for dead can never replace a file that the journal vouches for. Pure. */
void rundir_cell_temporary(const char *path, const char *id, int worker, int attempt, char *out);

/* Put that file in its place, cells/<id>.nc. Not durable before rundir_settle. */
int rundir_accept(struct error *err, struct rundir *dir, const char *id, int worker, int attempt);

/* Make what was accepted durable; before the events that vouch for it are logged. */
int rundir_settle(struct error *err, struct rundir *dir);

/* A cell that is not finished, as far as the journal knows, but whose file was accepted and is whole: the run was
 * killed before the event. Logs the end that was missed, *status = CELL_DONE or CELL_DIVERGED; else CELL_PENDING. A
 * file that is not whole is left to be replaced. */
int rundir_recover(struct error *err, struct rundir *dir, const struct cell *cell,
                   enum cell_status *found);

/* Group commit. While `batch` is true events are not durable before rundir_sync, and many share one fsync. */
void rundir_batch(struct rundir *dir, bool batch);
int rundir_sync(struct error *err, struct rundir *dir);

/* Say that the folder is still in use; call at least every ten seconds. STATUS_FAILED when another run has taken it over: then
 * write nothing more. */
int rundir_beat(struct error *err, const struct rundir *dir);
enum { RUNDIR_CELLS_PER_BEAT = 256 }; /* whoever goes through all files calls it so often */

/* Events; each is durable (fsync) when the call returns, unless in a batch. */
int rundir_log_run(struct error *err, struct rundir *dir, int ranks, int cells, const char *job_id);
/* On a team of `ranks`, led by `worker`. */
int rundir_log_begin(struct error *err, struct rundir *dir, const struct cell *cell, int worker,
                     const char *host, int ranks);
int rundir_log_end(struct error *err, struct rundir *dir, const char *id, enum cell_status status,
                   const char *checksum, double seconds, const char *reason);
/* The cell goes on from a checkpoint of `step`. */
int rundir_log_resumed(struct error *err, struct rundir *dir, const char *id, int64_t step);
/* The worker is given up. `id` is the cell that it held, NULL = none; `counted`: it was at work on it, so
 * that it may have died of it. */
int rundir_log_lost(struct error *err, struct rundir *dir, const char *id, bool counted, int worker,
                    const char *host, const char *reason);
int rundir_log_quarantined(struct error *err, struct rundir *dir, const char *id,
                           const char *reason);
int rundir_log_retry(struct error *err, struct rundir *dir, const char *id);
/* `why`: "finished", "interrupted", "deadline", …; `took`: see rundir_stop_took, 0 = not a stop of running cells. `busy`:
 * seconds that ranks had cells, out of the `had` that the run had ranks; 0, 0 = not known. */
int rundir_log_stop(struct error *err, struct rundir *dir, const char *why, double took,
                    double busy, double had);

#define RUNDIR_WIDENED                                                                             \
    "widened" /* the reason with which a cell is given back to go on with more ranks */

/* DIR/exit-status, for launchers that hide the program's own exit status (mpirun with recovery): replaced atomically at the end
 * of a run, when it has let go of the folder, and removed when one starts; a run that was refused leaves the folder alone. Does
 * nothing if the folder is no run's or another run is using it. */
int rundir_leave_status(struct error *err, const char *path, int exit_status);
int rundir_clear_status(struct error *err, struct rundir *dir);

/* Does DIR/stop exist? rundir_clear_stop removes it. */
bool rundir_stop_wanted(const struct rundir *dir);
int rundir_clear_stop(struct error *err, struct rundir *dir);

/* What is running right now, for `status`: replaced atomically, at most every few seconds; advisory only. */
struct rundir_live {
    int worker;
    char host[RECORD_TEXT];
    char state[16];   /* "idle", "load", "train", "evaluate", "lost", …; "" = not known */
    char id[CELL_ID]; /* "" = none */
    int64_t step, steps;
    double loss, tokens_per_second;
    int64_t heard; /* Unix seconds of its last message */
    int leader;    /* rank that leads its team */
    int ranks;     /* of its team; 0: it has no cell, or nothing is known */
};
int rundir_write_live(struct error *err, struct rundir *dir, const struct rundir_live *live,
                      int count);
int rundir_read_live(struct error *err, const char *path, struct rundir_live **live, int *count);

/* The journal's events as text lines for `explain` and for study.nc's history attribute: malloc'ed. id NULL = all
 * run/stop events. */
int rundir_history(struct error *err, const struct rundir *dir, const char *id, char **text);

#endif
