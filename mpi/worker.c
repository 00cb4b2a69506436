#include "mpi/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/clock.h"
#include "mpi/executor.h"
#include "mpi/transport.h"

static const double news_every = 1;      /* seconds */
static const double listen_every = 0.01; /* seconds */

struct worker {
    struct executor *executor;
    struct assignment assignment;
    bool stop;             /* the running cell is to be cancelled */
    double listened, told; /* when */
    struct news news;      /* being sent while request is active */
    MPI_Request request;
    struct error failure; /* of communication, inside callbacks */
};

/* Take a STOP if there is one. */
static int listen_for_stop(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    int there = 0;
    MPI_TRY(err, MPI_Iprobe(0, TAG_STOP, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE));
    if (there) {
        MPI_TRY(err, MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_STOP, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        w->stop = true;
    }
cleanup:
    return status;
}

static bool on_cancelled(struct team *team)
{
    struct worker *w = team->state;
    double now = clock_seconds();
    if (!w->stop && now - w->listened >= listen_every) {
        w->listened = now;
        if (listen_for_stop(&w->failure, w) != STATUS_OK) {
            w->stop = true;
        }
    }
    return w->stop;
}

static int send_news(struct error *err, struct worker *w, const struct progress *progress)
{
    int status = STATUS_OK;
    int sent = 1;
    MPI_TRY(err, MPI_Test(&w->request, &sent, MPI_STATUS_IGNORE));
    if (!sent) {
        goto cleanup; /* the coordinator is behind: skip this one */
    }
    w->news = (struct news){
        .step = progress->step,
        .steps = progress->steps,
        .loss = progress->loss,
        .tokens_per_second = progress->tokens_per_second,
    };
    MPI_TRY(err, MPI_Isend(&w->news, (int)sizeof w->news, MPI_BYTE, 0, TAG_PROGRESS, MPI_COMM_WORLD,
                           &w->request));
cleanup:
    return status;
}

static void on_progress(void *context, const struct progress *progress)
{
    struct worker *w = context;
    double now = clock_seconds();
    if (now - w->told >= news_every) {
        w->told = now;
        if (send_news(&w->failure, w, progress) != STATUS_OK) {
            w->stop = true;
        }
    }
}

static int work(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    struct team team = team_alone();
    struct outcome outcome;
    MPI_Request request = MPI_REQUEST_NULL;

    MPI_TRY(err, MPI_Recv(&w->assignment, (int)sizeof w->assignment, MPI_BYTE, 0, TAG_CELL,
                          MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    team.state = w;
    team.cancelled = on_cancelled;
    w->stop = false;
    w->told = clock_seconds();
    executor_run(w->executor, &w->assignment.cell, w->assignment.attempts, &team, on_progress, w,
                 &outcome);
    if (w->failure.status != STATUS_OK) {
        *err = w->failure;
        status = err->status;
        goto cleanup;
    }
    TRY(transport_wait(err, &w->request));
    MPI_TRY(err, MPI_Isend(&outcome, (int)sizeof outcome, MPI_BYTE, 0, TAG_RESULT, MPI_COMM_WORLD,
                           &request));
    TRY(transport_wait(err, &request));
cleanup:
    return status;
}

static int serve(struct error *err, struct worker *w, int *exit_status)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    struct ready ready = {0};

    snprintf(ready.host, sizeof ready.host, "%s", executor_host(w->executor));
    MPI_TRY(err, MPI_Send(&ready, (int)sizeof ready, MPI_BYTE, 0, TAG_READY, MPI_COMM_WORLD));
    for (;;) {
        MPI_Status message;
        int there = 0;
        MPI_TRY(err, MPI_Iprobe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (!there) {
            pause_sleep(&pause);
            continue;
        }
        pause_reset(&pause);
        switch (message.MPI_TAG) {
        case TAG_CELL:
            TRY(work(err, w));
            break;
        case TAG_STOP: /* it came when the cell had just ended */
            TRY(listen_for_stop(err, w));
            break;
        case TAG_END:
            MPI_TRY(err, MPI_Recv(exit_status, 1, MPI_INT, 0, TAG_END, MPI_COMM_WORLD,
                                  MPI_STATUS_IGNORE));
            goto cleanup;
        default:
            FAIL(err, STATUS_FAILED, "unexpected message %d from the coordinator", message.MPI_TAG);
        }
    }
cleanup:
    return status;
}

int worker_run(struct error *err, int *exit_status)
{
    int status = STATUS_OK;
    struct worker *w = calloc(1, sizeof *w);
    struct setup *setup = calloc(1, sizeof *setup);

    CHECK(err, w != NULL && setup != NULL, STATUS_FAILED, "out of memory");
    w->request = MPI_REQUEST_NULL;
    TRY(transport_share_setup(err, setup));
    *exit_status = setup->status;
    if (setup->work) {
        TRY(executor_create(err, &setup->source, &setup->data, setup->folder, &w->executor));
        TRY(serve(err, w, exit_status));
    }
cleanup:
    if (w) {
        executor_free(w->executor);
    }
    free(w);
    free(setup);
    return status;
}
