/* What a session is made of; for session*.c only. */
#ifndef PTQSCALE_MPI_SESSION_STATE_H
#define PTQSCALE_MPI_SESSION_STATE_H

#include "mpi/display.h"
#include "mpi/scheduler.h"
#include "mpi/session.h"
#include "results/aggregate.h"
#include "results/rundir.h"

/* A result that is not durable yet. */
struct session_end {
    int cell;
    enum cell_status state; /* pending: given back */
    bool widens;            /* … to go on with more ranks */
    struct outcome outcome;
};

struct session {
    struct spec *spec;
    struct spec_run pace;
    struct cell *cell;
    int cells;
    struct rundir *dir;
    struct scheduler *scheduler;
    struct provenance provenance;
    struct display display;
    struct rundir_live *live; /* (workers) */
    bool *lost;               /* (workers): given up for good */
    int *mate;                /* (workers): the next member of the worker's team, −1 = the last */
    double *since;            /* (workers): when it was given its cell */
    double busy;              /* seconds that workers had cells */
    double memory;            /* bytes of a rank for a cell; 0: no limit */
    double widened;           /* when it was last tried */
    int workers, ranks;
    struct stop stop;
    struct session_end *end; /* (SESSION_BATCH + 2·workers) */
    int ends;                /* … that have happened since the last commit */
    int logged;              /* … and are in the journal */
    int *begun;              /* (SESSION_BATCH + 2·workers): cells that were begun since then */
    int begins;
    bool given_back; /* one of those results is an unfinished cell's, and not in the journal */
    double started, began; /* when it was opened, and when the run began */
    bool no_aggregate;
    bool live_warned, aggregate_warned;
    bool ran;        /* session_start was called */
    bool changed;    /* cells have ended since study.nc was written */
    bool held;       /* cells are pending that may not be begun so near the deadline */
    bool taken_over; /* by another run: write nothing */
    double committed, commit_took; /* when the last commit ended, and its seconds */
    double last_live, last_beat, last_aggregate, aggregate_took;
    double eta, eta_made; /* seconds left, and when that was estimated; 0 = never */
};

enum { SESSION_BATCH = 4096 }; /* most results, or hand-outs, of one commit; and one per worker */

enum { SESSION_LABEL = 384 };

int session_finished_cells(const struct session *session); /* done or diverged */
int session_given_up(const struct session *session);       /* failed or quarantined */

/* A failure to write below the folder: for lack of space the run can go on later. Returns the
 * status. */
int session_storage_failure(struct error *err, const char *folder, int status);

/* "2x64 dropout=0.1 seed 2" */
const char *session_label(const struct cell *cell, char text[SESSION_LABEL]);

/* Finished cells need not run again, given-up ones are not to; of the rest the scheduler decides. */
int session_adopt(struct error *err, struct session *session, bool retry_failed);

/* Give the scheduler all cells, pending, and no workers. */
int session_schedule(struct error *err, struct session *session);

/* The study has got other seeds, while nobody works: its cells anew, pending, for the same workers. */
int session_renew(struct error *err, struct session *session);

/* Remove a finished cell's checkpoint: it only takes space. */
void session_drop_checkpoint(const struct session *session, const char *id);

/* The results so far go into the journal, behind the files that they vouch for. */
int session_settle(struct error *err, struct session *session);

/* Seconds that a stop is known to take. */
double session_stop_seconds(const struct session *session);

/* Is this a failure of storage that may be over later? */
bool session_may_pass(const char *message);

void session_set_state(struct rundir_live *live, const char *state);

/* What people see: a cell that has ended, the line that is updated, failed cells, the end. */
void session_show_begin(struct session *session, int cell);
void session_show_end(struct session *session, const struct session_end *end);
void session_show_lost(struct session *session, int worker, int cell, enum cell_status state,
                       int deaths, const char *reason);
void session_show_state(struct session *session);
void session_show_failed(const struct session *session);
void session_show_summary(const struct session *session);

/* What is shown or can be rebuilt does not end a run when it cannot be written: say so once. */
void session_warn_once(struct session *session, bool *warned, const struct error *failure);

/* study.nc, if it is due. */
void session_keep_aggregate(struct session *session);

void session_free(struct session *session);

#endif
