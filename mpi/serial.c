#include "mpi/serial.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mpi/algebra.h"
#include "mpi/executor.h"
#include "mpi/fault.h"
#include "mpi/session.h"
#include "mpi/transport.h"
#include "results/rundir.h"

/* In a sanitized build: what Open MPI takes when it starts, and never gives back, is not our leak. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

struct serial {
    struct session *session;
    bool started_mpi; /* by us, not by a launcher */
    struct algebra *algebra;
    int cell; /* that runs */
    bool stop;
    bool failed; /* the run has to end: `failure` says why */
    struct error failure;
};

/* ScaLAPACK needs MPI also in a process of its own. Open MPI then shall not start its daemon, look for others or
 * need a folder for temporary files; variables that are set already stay, and another MPI does not know these. */
static int start_algebra(struct error *err, struct serial *serial)
{
    int status = STATUS_OK;
    int initialized = 0;
    MPI_TRY(err, MPI_Initialized(&initialized));
    if (!initialized) {
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
        setenv("OMPI_MCA_orte_create_session_dirs", "0", 0);
        setenv("OMPI_MCA_btl", "self", 0);
        const bool sanitized = __lsan_disable && __lsan_enable;
        if (sanitized) {
            __lsan_disable();
        }
        const int code = MPI_Init(NULL, NULL);
        if (sanitized) {
            __lsan_enable();
        }
        MPI_TRY(err, code);
        serial->started_mpi = true;
        MPI_TRY(err, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    }
    TRY(algebra_create(err, MPI_COMM_SELF, &serial->algebra));
cleanup:
    return status;
}

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
    team.algebra = serial->algebra;
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
        TRY(start_algebra(err, &serial));
        run_cells(err, &serial, executor); /* a failure is in err and decides session_close */
    }
cleanup:
    if (serial.session) {
        status = session_close(err, serial.session);
    }
    executor_free(executor);
    algebra_free(serial.algebra);
    if (serial.started_mpi) {
        int ended = transport_finalize(status == STATUS_OK ? err : NULL);
        status = status == STATUS_OK ? ended : status;
    }
    return status;
}
