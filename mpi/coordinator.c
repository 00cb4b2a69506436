#include "mpi/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/clock.h"
#include "mpi/crews.h"
#include "mpi/launcher.h"
#include "mpi/peers.h"
#include "mpi/session.h"

enum { MESSAGES = 4096 }; /* handled before the journal is synced */

static const double least_farewell = 5; /* seconds for the workers' last messages … */
static const double now_farewell = 2;   /* … when there is no time */

struct coordinator {
    struct session *session;
    struct peers *peers;
    struct crews *crews;
    int workers;
    int *member;          /* (workers): of the team that is being formed */
    bool stopping;        /* hand out nothing more; workers were told */
    struct error failure; /* that ends the run */
};

static int create(struct error *err, int workers, struct coordinator **coordinator)
{
    int status = STATUS_OK;
    struct coordinator *c = calloc(1, sizeof *c);

    *coordinator = c;
    CHECK(err, c != NULL, STATUS_FAILED, "out of memory");
    c->workers = workers;
    c->member = calloc((size_t)workers, sizeof *c->member);
    CHECK(err, c->member, STATUS_FAILED, "out of memory for %d workers", workers);
    TRY(peers_create(err, workers, &c->peers));
cleanup:
    return status;
}

static void destroy(struct coordinator *c)
{
    if (c) {
        crews_free(c->crews);
        peers_free(c->peers);
        free(c->member);
        free(c);
    }
}

/* Hand out nothing more and stop what runs. */
static int stop(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    if (!c->stopping) {
        c->stopping = true;
        TRY(crews_stop(err, c->crews));
    }
cleanup:
    return status;
}

/* The session may have failed in whatever was done last. */
static int stop_after_failure(struct error *err, struct coordinator *c)
{
    return c->failure.status != STATUS_OK ? stop(err, c) : STATUS_OK;
}

/* ---- messages ---- */

static int on_news(struct error *err, struct coordinator *c, int w, const MPI_Status *message)
{
    int status = STATUS_OK;
    struct peer *peer = &c->peers->peer[w];
    struct news news;
    TRY(transport_receive(err, message, &news, sizeof news));
    peer->patience = news.patience;
    if (news.phase == PHASE_IDLE || !peer->busy) {
        session_heard(c->session, w);
        goto cleanup;
    }
    peer->started = true;
    const struct progress progress = {
        .step = news.step,
        .steps = news.steps,
        .loss = news.loss,
        .tokens_per_second = news.tokens_per_second,
        .phase = phase_name(news.phase),
    };
    crews_news(c->crews, w, &progress);
cleanup:
    return status;
}

static int on_result(struct error *err, struct coordinator *c, int w, const MPI_Status *message)
{
    int status = STATUS_OK;
    struct outcome outcome;
    TRY(transport_receive(err, message, &outcome, sizeof outcome));
    TRY(crews_result(err, c->crews, w, &outcome));
cleanup:
    return status;
}

static int handle(struct error *err, struct coordinator *c, const MPI_Status *message)
{
    int status = STATUS_OK;
    int w = message->MPI_SOURCE - 1;

    CHECK(err, w >= 0 && w < c->workers, STATUS_FAILED, "message from rank %d", w + 1);
    struct peer *peer = &c->peers->peer[w];
    if (peer->fenced) { /* it was given up and lives: it must leave */
        TRY(transport_discard(err, message));
        if (message->MPI_TAG == TAG_BYE) {
            peer->gone = true;
        } else {
            TRY(peers_dismiss_fenced(err, c->peers, w));
        }
        goto cleanup;
    }
    peer->heard = clock_seconds();
    switch (message->MPI_TAG) {
    case TAG_READY: {
        struct ready ready;
        TRY(transport_receive(err, message, &ready, sizeof ready));
        ready.host[sizeof ready.host - 1] = '\0';
        peers_ready(c->peers, w, &ready);
        session_ready(c->session, w, ready.host);
        break;
    }
    case TAG_NEWS:
        TRY(on_news(err, c, w, message));
        break;
    case TAG_RESULT:
        TRY(on_result(err, c, w, message));
        break;
    case TAG_BYE: /* it believes that we are dead */
        TRY(transport_discard(err, message));
        peer->gone = true;
        break;
    default:
        FAIL(err, STATUS_FAILED, "unexpected message %d from rank %d", message->MPI_TAG, w + 1);
    }
cleanup:
    return status;
}

/* *drained: all that was sent has been heard. */
static int listen(struct error *err, struct coordinator *c, bool *any, bool *drained)
{
    int status = STATUS_OK;
    *any = *drained = false;
    for (int i = 0; i < MESSAGES; i++) {
        MPI_Status message;
        int there = 0;
        MPI_TRY(err, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (!there) {
            *drained = true;
            break;
        }
        *any = true;
        TRY(handle(err, c, &message));
    }
cleanup:
    return status;
}

/* ---- workers that are lost ---- */

static int fence_lost(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    char reason[PEERS_REASON];
    for (int w; (w = peers_lost(c->peers, reason)) >= 0;) {
        bool any, drained;
        TRY(listen(err, c, &any, &drained)); /* what it has said since, before it died */
        TRY(crews_lost(err, c->crews, w, c->stopping, reason));
    }
    if (c->peers->living == 0) {
        session_stop(c->session, STOP_NO_WORKERS);
        c->stopping = true;
    }
cleanup:
    return status;
}

/* ---- handing out ---- */

static int hand_out(struct error *err, struct coordinator *c)
{
    int status = STATUS_OK;
    while (!c->stopping) {
        struct session_next next;
        int cell = -1;
        if (session_next(&c->failure, c->session, &next, c->member) != STATUS_OK) {
            break;
        }
        if (next.cell == NULL) {
            session_widen(c->session, &cell);
            if (cell >= 0) {
                TRY(crews_stop_to_widen(err, c->crews, cell));
            }
            break;
        }
        TRY(crews_start(err, c->crews, &next, c->member));
    }
cleanup:
    return status;
}

/* What has happened becomes durable. */
static int commit(struct error *err, struct coordinator *c)
{
    if (session_commit_due(c->session)) {
        session_commit(&c->failure, c->session);
    }
    return stop_after_failure(err, c);
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
        bool any = false, drained = false, now = false;
        TRY(listen(err, c, &any, &drained));
        if (session_stop_wanted(c->session, &now)) {
            TRY(stop(err, c));
        }
        if (now) {
            break;
        }
        TRY(peers_round(err, c->peers));
        if (drained) {
            TRY(fence_lost(err, c));
        }
        TRY(stop_after_failure(err, c));
        TRY(hand_out(err, c));
        TRY(commit(err, c));
        if (c->peers->busy == 0 && !c->stopping && session_look_due(c->session)) {
            session_look(&c->failure, c->session); /* the workers wait */
            TRY(stop_after_failure(err, c));
            continue;
        }
        if (c->peers->busy == 0 && (c->stopping || session_exhausted(c->session))) {
            break;
        }
        session_tick(&c->failure, c->session);
        TRY(stop_after_failure(err, c));
        if (any) {
            pause_reset(&pause);
        } else {
            pause_sleep(&pause);
        }
    }
cleanup:
    return status;
}

/* ---- from start to end ---- */

static int send_setup(struct error *err, struct coordinator *c, int exit_status)
{
    int status = STATUS_OK;
    struct setup *setup = calloc(1, sizeof *setup);

    CHECK(err, setup != NULL, STATUS_FAILED, "out of memory");
    setup->work = c->session != NULL;
    setup->status = exit_status;
    setup->finalize = true;
    if (setup->work) {
        setup->source = session_spec(c->session)->source;
        setup->data = session_first_cell(c->session)->data;
        setup->checkpoint_every = session_pace(c->session)->checkpoint_every;
        setup->heartbeat_timeout = session_pace(c->session)->heartbeat_timeout;
        snprintf(setup->folder, sizeof setup->folder, "%s", session_folder(c->session));
    }
    TRY(peers_send_setup(err, c->peers, setup));
cleanup:
    free(setup);
    return status;
}

static void warn_without_recovery(const char *out)
{
    if (launcher_recovery() == RECOVERY_OFF) {
        fprintf(
            stderr,
            "ptqscale: warning: mpirun was started without recovery: if a worker dies, the whole "
            "run ends (the same command goes on from there). To survive it, give mpirun "
            "--enable-recovery --mca orte_abort_on_non_zero_status 0; its exit status is then "
            "always 0, and the run's own is in %s/exit-status\n",
            out);
    }
}

int coordinator_run(struct error *err, const struct run_options *options, int ranks,
                    struct error *reason, enum leave *leave, int *exit_status)
{
    int status = STATUS_OK;
    struct coordinator *c = NULL;
    char version[RECORD_TEXT];

    *leave = LEAVE_FINALIZE;
    TRY(create(err, ranks - 1, &c));
    TRY(transport_version(err, version));
    *exit_status = session_open(reason, options, ranks, version, &c->session);
    if (*exit_status == STATUS_OK && session_finished(c->session)) {
        *exit_status = session_close(reason, c->session);
        c->session = NULL;
    }
    TRY(send_setup(err, c, *exit_status));
    if (c->session == NULL) {
        for (int w = 0; w < c->workers; w++) {
            bool done = false;
            TRY(transport_wait(err, &c->peers->peer[w].setup, 60, &done));
        }
        goto cleanup;
    }
    warn_without_recovery(options->out);
    TRY(crews_create(err, c->session, c->peers, &c->failure, &c->crews));
    TRY(conduct(err, c));
    bool now = false;
    session_stop_wanted(c->session, &now);
    *reason = c->failure;
    double patience = now ? now_farewell : session_pace(c->session)->heartbeat_timeout;
    patience = !now && patience < least_farewell ? least_farewell : patience;
    *exit_status = session_close(reason, c->session);
    c->session = NULL;
    TRY(peers_dismiss(err, c->peers, *exit_status, patience, leave));
cleanup:
    if (c && c->session) { /* communication is broken: still close the folder in order */
        struct error failure = *err;
        session_close(&failure, c->session);
    }
    destroy(c);
    return status;
}
