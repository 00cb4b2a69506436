/* What a session is made of; for session.c and session_show.c only. */
#ifndef PTQSCALE_MPI_SESSION_STATE_H
#define PTQSCALE_MPI_SESSION_STATE_H

#include "mpi/display.h"
#include "mpi/scheduler.h"
#include "mpi/session.h"
#include "results/aggregate.h"
#include "results/rundir.h"

struct session {
    struct spec *spec;
    struct cell *cell;
    int cells;
    struct rundir *dir;
    struct scheduler *scheduler;
    struct provenance provenance;
    struct display display;
    struct rundir_live *live; /* (workers) */
    int workers, ranks;
    double started;
    bool live_warned, aggregate_warned;
    bool ran;     /* session_start was called */
    bool changed; /* cells have ended since study.nc was written */
    double last_live, last_aggregate, aggregate_took;
    double eta, eta_made; /* seconds left, and when that was estimated; 0 = never */
};

enum { SESSION_LABEL = 384 };

int session_finished_cells(const struct session *session); /* done or diverged */

/* "2x64 dropout=0.1 seed 2" */
const char *session_label(const struct cell *cell, char text[SESSION_LABEL]);

/* What people see: a cell that has ended, the line that is updated, failed cells, the end. */
void session_show_end(struct session *session, int cell, const struct outcome *outcome,
                      enum cell_status state);
void session_show_state(struct session *session);
void session_show_failed(const struct session *session);
void session_show_summary(const struct session *session);

#endif
