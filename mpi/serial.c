#include "mpi/serial.h"

#include "mpi/executor.h"
#include "mpi/session.h"
#include "mpi/signals.h"

struct serial {
    struct session *session;
    bool interrupted;
};

static void on_progress(void *context, const struct progress *progress)
{
    struct serial *serial = context;
    session_progress(serial->session, 0, progress);
    session_tick(serial->session);
}

static bool on_cancelled(struct team *team)
{
    struct serial *serial = team->state;
    serial->interrupted = serial->interrupted || signals_stop_requested();
    return serial->interrupted;
}

static int run_cells(struct error *err, struct serial *serial, struct executor *executor)
{
    int status = STATUS_OK;
    struct team team = team_alone();
    struct outcome outcome;

    team.state = serial;
    team.cancelled = on_cancelled;
    TRY(session_start(err, serial->session));
    session_ready(serial->session, 0, executor_host(executor));
    while (!on_cancelled(&team)) {
        const struct cell *cell = NULL;
        int attempts = 0;
        TRY(session_next(err, serial->session, 0, &cell, &attempts));
        if (cell == NULL) {
            break;
        }
        executor_run(executor, cell, attempts, &team, on_progress, serial, &outcome);
        TRY(session_result(err, serial->session, 0, &outcome));
        session_tick(serial->session);
    }
cleanup:
    return status;
}

int serial_run(struct error *err, const char *study, const char *out)
{
    int status = STATUS_OK;
    struct serial serial = {0};
    struct executor *executor = NULL;

    TRY(session_open(err, study, out, 1, "", &serial.session));
    if (!session_finished(serial.session)) {
        TRY(executor_create(err, &session_spec(serial.session)->source,
                            &session_first_cell(serial.session)->data,
                            session_folder(serial.session), &executor));
        run_cells(err, &serial, executor); /* a failure is in err and decides session_close */
    }
cleanup:
    if (serial.session) {
        status = session_close(err, serial.session, serial.interrupted);
    }
    executor_free(executor);
    return status;
}
