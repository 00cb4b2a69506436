#include "mpi/serial.h"

#include <stdio.h>
#include <unistd.h>

#include "mpi/alone.h"
#include "mpi/executor.h"
#include "mpi/fault.h"
#include "mpi/session.h"
#include "results/rundir.h"

struct serial {
    struct session *session;
    struct alone alone;
    int cell; /* that runs */
    bool stop;
    bool failed; /* the run has to end: `failure` says why */
    struct error failure;
};

/* No time for the running cell's checkpoint: everything finished is on disk, so just leave. */
static void leave_now(struct serial *serial)
{
    struct error err = {0};
    int status = session_close(&err, serial->session);
    fprintf(stderr, "ptqscale: %s\n", err.message);
    fflush(NULL);
    _exit(status);
}

static void on_progress(void *context, const struct progress *progress)
{
    struct serial *serial = context;
    if (session_progress(&serial->failure, serial->session, serial->cell, progress) != STATUS_OK ||
        session_tick(&serial->failure, serial->session) != STATUS_OK) {
        serial->failed = true;
    }
}

static bool on_cancelled(struct team *team)
{
    struct serial *serial = team->state;
    bool now = false;
    serial->stop = session_stop_wanted(serial->session, &now) || serial->failed;
    if (now) {
        leave_now(serial);
    }
    return serial->stop;
}

static int run_cells(struct error *err, struct serial *serial, struct executor *executor)
{
    int status = STATUS_OK;
    struct team team = team_alone();
    struct outcome outcome;

    team.state = serial;
    team.cancelled = on_cancelled;
    team.algebra = serial->alone.algebra;
    TRY(session_start(err, serial->session));
    session_ready(serial->session, 0, executor_host(executor));
    while (!on_cancelled(&team)) {
        struct session_next next;
        int member = 0;
        char file[SPEC_PATH + 64];
        TRY(session_next(err, serial->session, &next, &member));
        if (next.cell == NULL && session_look_due(serial->session)) {
            TRY(session_look(err, serial->session));
            continue;
        }
        if (next.cell == NULL) {
            break;
        }
        serial->cell = next.index;
        team.recompute = next.recompute;
        TRY(session_commit(err, serial->session));
        fault_strike(next.cell->id);
        rundir_cell_temporary(session_folder(serial->session), next.cell->id, 0, next.attempts,
                              file);
        executor_run(executor, next.cell, next.attempts, file, &team, on_progress, serial,
                     &outcome);
        TRY(session_result(err, serial->session, next.index, 0, false, &outcome));
        session_idle(serial->session, 0);
        TRY(session_commit(err, serial->session));
        TRY(session_tick(err, serial->session));
    }
    if (serial->failed) {
        *err = serial->failure;
        status = err->status;
    }
cleanup:
    return status;
}

int serial_run(struct error *err, const struct run_options *options)
{
    int status = STATUS_OK;
    struct serial serial = {0};
    struct executor *executor = NULL;

    TRY(session_open(err, options, 1, "", &serial.session));
    if (!session_finished(serial.session)) {
        TRY(executor_create(err, &session_spec(serial.session)->source,
                            &session_first_cell(serial.session)->data,
                            session_folder(serial.session),
                            session_pace(serial.session)->checkpoint_every, &executor));
        TRY(alone_begin(err, &serial.alone));
        run_cells(err, &serial, executor); /* a failure is in err and decides session_close */
    }
cleanup:
    if (serial.session) {
        status = session_close(err, serial.session);
    }
    executor_free(executor);
    int ended = alone_end(err, &serial.alone, status != STATUS_OK);
    status = status == STATUS_OK ? ended : status;
    return status;
}
