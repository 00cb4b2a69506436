/*
 * A run of a study from start to end, as both the coordinator and the serial runner have it: spec,
 * cells, folder, scheduler, journal, display, aggregate. What is left to them is how a worker is
 * reached.
 *
 *     session_open ─ session_finished? ─ session_start
 *         ─ { session_ready, session_next, session_progress, session_result, session_lost,
 *             session_commit, session_look, session_tick, session_stop_wanted }
 *         ─ session_close
 *
 * What happens becomes durable with the next session_commit, many events together: only then does a
 * result count. A cell that session_next has returned may be begun before that: if its begin is lost
 * with the machine, it is begun again. Workers are numbered from 0; their ranks are w + 1, the serial runner's is 0. After a
 * function has failed with STATUS_FAILED or STATUS_STOPPED, hand out nothing more, let the running
 * cells end or stop, and close.
 */
#ifndef PTQSCALE_MPI_SESSION_H
#define PTQSCALE_MPI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/spec.h"
#include "mpi/executor.h"
#include "mpi/run_options.h"
#include "mpi/stop.h"

struct session;

/* A cell whose worker died, so many times over all runs without a later checkpoint in between, is
 * quarantined: a long cell on nodes that fail gets on, one that kills its worker does not. */
enum { SESSION_DEATHS = 3 };

/* Read the study, open its folder, check the finished cells. `ranks` 1: serial; else one coordinator
 * and ranks − 1 workers. `mpi` is the library's version, "" = serial. Nothing has been begun when
 * this fails. */
int session_open(struct error *err, const struct run_options *options, int ranks, const char *mpi,
                 struct session **session);

const struct spec *session_spec(const struct session *session);
const struct spec_run *
session_pace(const struct session *session); /* with the options' overrides */
const struct cell *session_first_cell(const struct session *session); /* all share its cell.data */
const char *session_folder(const struct session *session);

/* Is there nothing to run, and no look to take? Also when cells were given up. */
bool session_finished(const struct session *session);

/* Record that a run begins. */
int session_start(struct error *err, struct session *session);

/* The worker is there, on `host`. */
void session_ready(struct session *session, int worker, const char *host);

/* A cell that is handed out. */
struct session_next {
    const struct cell *cell; /* the session's; NULL: none starts now */
    int index;               /* its number in the session */
    int attempts;
    int ranks;
    bool recompute;
};

/* The next cell, begun in the journal, for the idle workers member[next->ranks], of which member[0] leads; `member` has
 * room for all workers. */
int session_next(struct error *err, struct session *session, struct session_next *next,
                 int *member);

/* Is there nothing more to hand out, whatever the workers that are busy or still to come? None is pending, or none may
 * be begun so near the deadline, or all need more workers than are left. */
bool session_exhausted(const struct session *session);

/* Is it time to look at the results (adaptive replication)? All cells are finished and the look was not taken yet. */
bool session_look_due(const struct session *session);

/* Take the look that is due: study.nc, the verdicts, the decision in the journal; then session_next has the cells that it adds,
 * if it does. All workers must be idle; what session_next gave before is no longer valid. It takes as long as study.nc does. */
int session_look(struct error *err, struct session *session);

/* News of the running cell from its leader; or the worker just lives. */
int session_progress(struct error *err, struct session *session, int cell,
                     const struct progress *progress);
void session_heard(struct session *session, int worker);

/* The running cell has ended, as the worker reports; its file, if it has one, has the attempt's and its leader's own name
 * (rundir_cell_temporary). `widens`: if it was stopped, then to go on with more ranks. STATUS_FAILED or
 * STATUS_STOPPED when the reason ends the run: no place to store, no corpus, a journal that cannot be written. */
int session_result(struct error *err, struct session *session, int cell, int worker, bool widens,
                   const struct outcome *outcome);

/* The worker has no cell any more, and waits for the next one. */
void session_idle(struct session *session, int worker);

struct session_loss {
    int worker;
    bool counted; /* it was at work on the cell, so the cell may have killed it */
    char reason[128];
};

/* A worker is given up for good; `cell` is what it was a member of, −1 = none: session_dropped follows. */
int session_lost(struct error *err, struct session *session, int cell,
                 const struct session_loss *loss);

/* Nobody works on the running cell any more, of which a member was lost: it is pending again, or quarantined. */
int session_dropped(struct error *err, struct session *session, int cell,
                    const struct session_loss *loss);

/* *cell: one that runs and is to be stopped, because it ends earlier when it goes on with more ranks; −1 = none. */
void session_widen(struct session *session, int *cell);

/* Make durable what has happened. */
int session_commit(struct error *err, struct session *session);

/* Is it time to do so? At once while there is little to do; where commits follow each other, they
 * take a fifth of the time: what was handed out and what has ended meanwhile shares one. */
bool session_commit_due(const struct session *session);

/* Call often: keeps the lease, the display, the live status and study.nc up to date, each at its own
 * pace. Fails only when another run has taken the folder over. */
int session_tick(struct error *err, struct session *session);

/* Does something ask the run to stop? *now: without waiting for anything. */
bool session_stop_wanted(struct session *session, bool *now);
void session_stop(struct session *session, enum stop_cause cause);

/* Write study.nc, end the run in the journal, print the summary. `err` may hold the failure that
 * ended the run. Returns the program's exit status; unless 0, `err` says why. Frees the session. */
int session_close(struct error *err, struct session *session);

#endif
