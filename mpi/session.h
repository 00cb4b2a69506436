/*
 * A run of a study from start to end, as both the coordinator and the serial runner have it: spec,
 * cells, folder, scheduler, journal, display, aggregate. What is left to them is how a worker is
 * reached.
 *
 *     session_open ─ session_finished? ─ session_start
 *         ─ { session_ready, session_next, session_progress, session_result, session_tick }
 *         ─ session_close
 *
 * Workers are numbered from 0. After a function has failed with STATUS_FAILED or STATUS_STOPPED,
 * hand out nothing more, let the running cells end or stop, and close.
 */
#ifndef PTQSCALE_MPI_SESSION_H
#define PTQSCALE_MPI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/spec.h"
#include "mpi/executor.h"

struct session;

/* Read the study, open its folder `out`, check the finished cells. `ranks` 1: serial; else one
 * coordinator and ranks − 1 workers. `mpi` is the library's version, "" = serial. Nothing has been
 * begun when this fails. */
int session_open(struct error *err, const char *study, const char *out, int ranks, const char *mpi,
                 struct session **session);

const struct spec *session_spec(const struct session *session);
const struct cell *session_first_cell(const struct session *session); /* all share its cell.data */
const char *session_folder(const struct session *session);

/* Is there nothing to run? */
bool session_finished(const struct session *session);

/* Record that a run begins. */
int session_start(struct error *err, struct session *session);

/* The worker is there, on `host`. */
void session_ready(struct session *session, int worker, const char *host);

/* The next cell for an idle worker that is ready, begun in the journal; *cell = NULL when none is
 * pending. The cell is the session's. */
int session_next(struct error *err, struct session *session, int worker, const struct cell **cell,
                 int *attempts);

/* News of the worker's running cell. */
void session_progress(struct session *session, int worker, const struct progress *progress);

/* The worker's cell has ended. STATUS_FAILED or STATUS_STOPPED when the reason ends the run: no
 * place to store, no corpus, a journal that cannot be written. */
int session_result(struct error *err, struct session *session, int worker,
                   const struct outcome *outcome);

/* Call often: keeps the display, the live status and study.nc up to date, each at its own pace. */
void session_tick(struct session *session);

/* Write study.nc, end the run in the journal, print the summary. `err` may hold the failure that
 * ended the run; `interrupted`: a signal did. Returns the program's exit status; unless 0, `err`
 * says why. Frees the session. */
int session_close(struct error *err, struct session *session, bool interrupted);

#endif
