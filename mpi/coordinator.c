#include "mpi/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/session.h"
#include "mpi/signals.h"
#include "mpi/transport.h"

struct peer {
    bool ready;          /* its READY has come */
    bool busy;           /* holds a cell, its RESULT is to come */
    MPI_Request request; /* of the last message sent to it */
};

struct coordinator {
    struct session *session;
    int workers;
    struct peer *peer;             /* (workers): rank w + 1 */
    struct assignment *assignment; /* (workers): what is being sent */
    int *idle;                     /* stack of workers that wait for a cell */
    int idles;
    int busy;
    bool stopping;        /* hand out nothing more */
    bool interrupted;     /* because of a signal */
    struct error failure; /* or because of this */
};

static int create(struct error *err, int workers, struct coordinator **coordinator)
{
    int status = STATUS_OK;
    struct coordinator *c = calloc(1, sizeof *c);

    *coordinator = c;
    CHECK(err, c != NULL, STATUS_FAILED, "out of memory");
    c->workers = workers;
    c->peer = calloc((size_t)workers, sizeof *c->peer);
    c->assignment = calloc((size_t)workers, sizeof *c->assignment);
    c->idle = calloc((size_t)workers, sizeof *c->idle);
    CHECK(err, c->peer && c->assignment && c->idle, STATUS_FAILED, "out of memory for %d workers",
          workers);
    for (int w = 0; w < workers; w++) {
        c->peer[w].request = MPI_REQUEST_NULL;
    }
cleanup:
    return status;
}

static void destroy(struct coordinator *c)
{
    if (c) {
        free(c->peer);
        free(c->assignment);
        free(c->idle);
        free(c);
    }
}

/* Send without waiting for the worker; the buffer must live until the next message to it. */
static int send_to(struct error *err, struct coordinator *c, int worker, enum tag tag,
                   const void *bytes, size_t size)
{
    int status = STATUS_OK;
    struct peer *peer = &c->peer[worker];
    TRY(transport_wait(err, &peer->request));
    MPI_TRY(err, MPI_Isend(bytes, (int)size, MPI_BYTE, worker + 1, (int)tag, MPI_COMM_WORLD,
                           &peer->request));
cleanup:
    return status;
}

/* Hand out nothing more and cancel what runs. */
static int stop(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    if (c->stopping) {
        goto cleanup;
    }
    c->stopping = true;
    for (int w = 0; w < c->workers; w++) {
        if (c->peer[w].busy) {
            TRY(send_to(err, c, w, TAG_STOP, NULL, 0));
        }
    }
cleanup:
    return status;
}

static int hand_out(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    while (c->idles > 0 && !c->stopping) {
        int w = c->idle[c->idles - 1];
        struct assignment *assignment = &c->assignment[w];
        const struct cell *cell = NULL;
        TRY(transport_wait(err, &c->peer[w].request));
        if (session_next(&c->failure, c->session, w, &cell, &assignment->attempts) != STATUS_OK) {
            TRY(stop(err, c));
            break;
        }
        if (cell == NULL) {
            break;
        }
        c->idles--;
        c->busy++;
        c->peer[w].busy = true;
        assignment->cell = *cell;
        TRY(send_to(err, c, w, TAG_CELL, assignment, sizeof *assignment));
    }
cleanup:
    return status;
}

static int receive(struct error *err, const MPI_Status *message, void *bytes, size_t size)
{
    int status = STATUS_OK;
    int count = 0;
    MPI_TRY(err, MPI_Get_count(message, MPI_BYTE, &count));
    CHECK(err, (size_t)count == size, STATUS_FAILED,
          "rank %d sent %d bytes where %zu belong: do all ranks run the same program?",
          message->MPI_SOURCE, count, size);
    MPI_TRY(err, MPI_Recv(bytes, count, MPI_BYTE, message->MPI_SOURCE, message->MPI_TAG,
                          MPI_COMM_WORLD, MPI_STATUS_IGNORE));
cleanup:
    return status;
}

static int handle(struct error *err, struct coordinator *c, const MPI_Status *message)
{
    int status = STATUS_OK;
    int w = message->MPI_SOURCE - 1;

    CHECK(err, w >= 0 && w < c->workers, STATUS_FAILED, "message from rank %d", w + 1);
    switch (message->MPI_TAG) {
    case TAG_READY: {
        struct ready ready;
        TRY(receive(err, message, &ready, sizeof ready));
        ready.host[sizeof ready.host - 1] = '\0';
        session_ready(c->session, w, ready.host);
        c->peer[w].ready = true;
        c->idle[c->idles++] = w;
        break;
    }
    case TAG_PROGRESS: {
        struct news news;
        TRY(receive(err, message, &news, sizeof news));
        session_progress(c->session, w,
                         &(struct progress){
                             .step = news.step,
                             .steps = news.steps,
                             .loss = news.loss,
                             .tokens_per_second = news.tokens_per_second,
                         });
        break;
    }
    case TAG_RESULT: {
        struct outcome outcome;
        TRY(receive(err, message, &outcome, sizeof outcome));
        CHECK(err, c->peer[w].busy, STATUS_FAILED, "rank %d reports a cell that it does not have",
              w + 1);
        c->peer[w].busy = false;
        c->busy--;
        c->idle[c->idles++] = w;
        if (session_result(&c->failure, c->session, w, &outcome) != STATUS_OK) {
            TRY(stop(err, c));
        }
        break;
    }
    default:
        FAIL(err, STATUS_FAILED, "unexpected message %d from rank %d", message->MPI_TAG, w + 1);
    }
cleanup:
    return status;
}

/* Until no cell runs and none is to be handed out. */
static int conduct(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    struct pause pause = {0};

    if (session_start(&c->failure, c->session) != STATUS_OK) {
        c->stopping = true;
    }
    for (;;) {
        MPI_Status message;
        int there = 0;
        if (signals_stop_requested() && !c->stopping) {
            c->interrupted = true;
            TRY(stop(err, c));
        }
        MPI_TRY(err, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (there) {
            pause_reset(&pause);
            TRY(handle(err, c, &message));
        }
        TRY(hand_out(err, c));
        if (c->busy == 0 && (c->stopping || c->idles > 0)) {
            break; /* a worker is idle, none is busy: nothing is pending */
        }
        session_tick(c->session);
        if (!there) {
            pause_sleep(&pause);
        }
    }
cleanup:
    return status;
}

static int dismiss(struct error *err, struct coordinator *c, const int *exit_status)
{
    int status = STATUS_OK;
    for (int w = 0; w < c->workers; w++) {
        TRY(transport_wait(err, &c->peer[w].request));
        MPI_TRY(err, MPI_Isend(exit_status, 1, MPI_INT, w + 1, TAG_END, MPI_COMM_WORLD,
                               &c->peer[w].request));
    }
    /* A worker that was not ready yet has said so since then; take every READY, so that none is
     * left over. */
    for (int w = 0; w < c->workers; w++) {
        if (!c->peer[w].ready) {
            struct ready ready;
            MPI_Request request = MPI_REQUEST_NULL;
            MPI_TRY(err, MPI_Irecv(&ready, (int)sizeof ready, MPI_BYTE, w + 1, TAG_READY,
                                   MPI_COMM_WORLD, &request));
            TRY(transport_wait(err, &request));
        }
        TRY(transport_wait(err, &c->peer[w].request));
    }
cleanup:
    return status;
}

int coordinator_run(struct error *err, const char *study, const char *out, int ranks,
                    struct error *reason, int *exit_status)
{
    int status = STATUS_OK;
    struct coordinator *c = NULL;
    struct setup *setup = calloc(1, sizeof *setup);
    char version[RECORD_TEXT];

    CHECK(err, setup != NULL, STATUS_FAILED, "out of memory");
    TRY(create(err, ranks - 1, &c));
    TRY(transport_version(err, version));
    setup->status = session_open(reason, study, out, ranks, version, &c->session);
    if (setup->status == STATUS_OK && !session_finished(c->session)) {
        setup->work = true;
        setup->source = session_spec(c->session)->source;
        setup->data = session_first_cell(c->session)->data;
        snprintf(setup->folder, sizeof setup->folder, "%s", session_folder(c->session));
    } else if (setup->status == STATUS_OK) {
        setup->status = session_close(reason, c->session, false);
        c->session = NULL;
    }
    TRY(transport_share_setup(err, setup));
    *exit_status = setup->status;
    if (!setup->work) {
        goto cleanup;
    }
    TRY(conduct(err, c));
    *reason = c->failure;
    *exit_status = session_close(reason, c->session, c->interrupted);
    c->session = NULL;
    TRY(dismiss(err, c, exit_status));
cleanup:
    if (c && c->session) { /* communication is broken: still close the folder in order */
        struct error failure = *err;
        session_close(&failure, c->session, false);
    }
    destroy(c);
    free(setup);
    return status;
}
