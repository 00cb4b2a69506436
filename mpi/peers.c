#include "mpi/peers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mpi/clock.h"
#include "mpi/launcher.h"

static const double start_patience = 30; /* seconds until READY, beyond the timeout */
static const double look_every = 0.25;   /* seconds, for processes that are gone */
static const double drain_seconds = 0.2; /* for the workers to hear how to leave */
static const double kill_seconds = 2;    /* for a process that was killed to be gone */
static const double away = 0.5;          /* seconds: the coordinator was busy with something else */

int peers_create(struct error *err, int count, struct peers **peers)
{
    int status = STATUS_OK;
    struct peers *p = calloc(1, sizeof *p);

    *peers = p;
    CHECK(err, p != NULL, STATUS_FAILED, "out of memory");
    p->peer = calloc((size_t)count, sizeof *p->peer);
    CHECK(err, p->peer != NULL, STATUS_FAILED, "out of memory for %d workers", count);
    p->count = p->living = count;
    transport_introduce(&p->self);
    for (int w = 0; w < count; w++) {
        p->peer[w].setup = p->peer[w].cell = p->peer[w].note = MPI_REQUEST_NULL;
    }
cleanup:
    return status;
}

void peers_free(struct peers *p)
{
    if (p) {
        free(p->peer);
        free(p);
    }
}

int peers_send_setup(struct error *err, struct peers *p, const struct setup *setup)
{
    int status = STATUS_OK;
    double now = clock_seconds();
    p->setup = *setup;
    p->setup.coordinator = p->self;
    p->timeout = setup->heartbeat_timeout;
    p->listened = p->pinged = now;
    for (int w = 0; w < p->count; w++) {
        MPI_TRY(err, MPI_Isend(&p->setup, (int)transport_setup_size(setup), MPI_BYTE, w + 1,
                               TAG_SETUP, MPI_COMM_WORLD, &p->peer[w].setup));
        p->peer[w].heard = now;
        p->peer[w].patience = start_patience;
    }
cleanup:
    return status;
}

/* Is the request over, so that its buffer is free? The receiver may be dead: nobody waits. */
static int is_over(struct error *err, MPI_Request *request, bool *over)
{
    int status = STATUS_OK;
    int done = 0;
    MPI_TRY(err, MPI_Test(request, &done, MPI_STATUS_IGNORE));
    *over = done;
cleanup:
    return status;
}

int peers_send_cell(struct error *err, struct peers *p, int w)
{
    int status = STATUS_OK;
    struct peer *peer = &p->peer[w];
    bool over = false;
    /* It has answered the message before, so that one has arrived. */
    TRY(transport_wait(err, &peer->cell, 1, &over));
    CHECK(err, over, STATUS_FAILED, "rank %d has answered a message that it has not received",
          w + 1);
    peer->busy = true;
    peer->started = false;
    p->busy++;
    MPI_TRY(err, MPI_Isend(&peer->assignment, (int)transport_assignment_size(&peer->assignment),
                           MPI_BYTE, w + 1, TAG_CELL, MPI_COMM_WORLD, &peer->cell));
cleanup:
    return status;
}

/* A message without content. One that is still under way is one to a rank that does not listen. */
static int send_note(struct error *err, struct peers *p, int w, enum tag tag)
{
    int status = STATUS_OK;
    bool over = false;
    TRY(is_over(err, &p->peer[w].note, &over));
    if (over) {
        MPI_TRY(err,
                MPI_Isend(NULL, 0, MPI_BYTE, w + 1, (int)tag, MPI_COMM_WORLD, &p->peer[w].note));
    }
    p->peer[w].due = tag == TAG_PING || over ? 0 : (int)tag;
cleanup:
    return status;
}

int peers_interrupt(struct error *err, struct peers *p, int w, enum tag tag)
{
    const struct peer *peer = &p->peer[w];
    const bool idle = !peer->busy || peer->fenced;
    return idle || peer->due == TAG_ABANDON ? STATUS_OK : send_note(err, p, w, tag);
}

void peers_result(struct peers *p, int w)
{
    struct peer *peer = &p->peer[w];
    p->busy -= peer->busy;
    peer->busy = false;
    peer->patience = 0;
    peer->due = 0;
}

static int send_farewell(struct error *err, const struct farewell *farewell, int w, enum tag tag)
{
    int status = STATUS_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_TRY(err, MPI_Isend(farewell, (int)sizeof *farewell, MPI_BYTE, w + 1, (int)tag,
                           MPI_COMM_WORLD, &request));
    MPI_TRY(err, MPI_Request_free(&request)); /* the farewell stays where it is */
cleanup:
    return status;
}

int peers_dismiss_fenced(struct error *err, struct peers *p, int w)
{
    return send_farewell(err, &p->given_up, w, TAG_END);
}

int peers_round(struct error *err, struct peers *p)
{
    int status = STATUS_OK;
    double now = clock_seconds(), gone = now - p->listened;
    p->listened = now;
    for (int w = 0; w < p->count && gone > away; w++) {
        p->peer[w].heard += gone;
    }
    for (int w = 0; w < p->count; w++) {
        if (p->peer[w].due != 0 && !p->peer[w].fenced) {
            TRY(send_note(err, p, w, (enum tag)p->peer[w].due));
        }
    }
    if (now - p->pinged >= p->timeout / 4) {
        p->pinged = now;
        for (int w = 0; w < p->count; w++) {
            if (!p->peer[w].fenced && p->peer[w].ready && p->peer[w].due == 0) {
                TRY(send_note(err, p, w, TAG_PING));
            }
        }
    }
cleanup:
    return status;
}

void peers_ready(struct peers *p, int w, const struct ready *ready)
{
    struct peer *peer = &p->peer[w];
    peer->ready = true;
    peer->patience = 0;
    peer->sight = transport_see(&p->self, ready);
}

int peers_lost(struct peers *p, char reason[PEERS_REASON])
{
    double now = clock_seconds();
    if (now - p->looked >= look_every) {
        for (int w = 0; w < p->count; w++) {
            if (!p->peer[w].fenced && transport_is_dead(&p->peer[w].sight)) {
                snprintf(reason, PEERS_REASON, "its process %lld is gone",
                         (long long)p->peer[w].sight.pid);
                return w; /* there may be more: ask again */
            }
        }
        p->looked = now;
    }
    if (now - p->judged >= p->timeout / 20) {
        for (int w = 0; w < p->count; w++) {
            double silence = now - p->peer[w].heard;
            if (!p->peer[w].fenced && silence > p->timeout + p->peer[w].patience) {
                snprintf(reason, PEERS_REASON, "silent for %.1f s", silence);
                return w;
            }
        }
        p->judged = now;
    }
    return -1;
}

void peers_fence(struct peers *p, int w)
{
    p->peer[w].fenced = true;
    p->living--;
    peers_result(p, w);
}

static int take_last_messages(struct error *err, struct peers *p, bool *any)
{
    int status = STATUS_OK;
    *any = false;
    for (;;) {
        MPI_Status message;
        int there = 0;
        MPI_TRY(err, MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (!there) {
            break;
        }
        *any = true;
        int w = message.MPI_SOURCE - 1;
        if (message.MPI_TAG == TAG_BYE && w >= 0 && w < p->count) {
            p->peer[w].gone = true;
        } else if (message.MPI_TAG == TAG_READY && w >= 0 && w < p->count) {
            struct ready ready;
            TRY(transport_receive(err, &message, &ready, sizeof ready));
            peers_ready(p, w, &ready);
            continue;
        }
        TRY(transport_discard(err, &message));
    }
cleanup:
    return status;
}

/* Ranks that have not said BYE, and those of them that may still be there. */
static int count_missing(const struct peers *p, int *unreachable)
{
    int missing = 0;
    *unreachable = 0;
    for (int w = 0; w < p->count; w++) {
        /* A fenced one may have said BYE, but it does not take part in MPI_Finalize. */
        missing += !p->peer[w].gone || p->peer[w].fenced;
        *unreachable += !p->peer[w].gone && !transport_is_dead(&p->peer[w].sight);
    }
    return missing;
}

/* End the ranks of this host that do not answer: with recovery, the launcher then has nobody to wait for. */
static void end_silent(struct peers *p)
{
    int left = 1;
    for (int w = 0; w < p->count; w++) {
        struct peer *peer = &p->peer[w];
        if (!peer->gone && peer->sight.pid != 0 && !transport_is_dead(&peer->sight)) {
            kill((pid_t)peer->sight.pid, SIGKILL);
        }
    }
    for (double begun = clock_seconds(); left > 0 && clock_seconds() - begun < kill_seconds;) {
        left = 0;
        for (int w = 0; w < p->count; w++) {
            left += !p->peer[w].gone && p->peer[w].sight.pid != 0 &&
                    !transport_is_dead(&p->peer[w].sight);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

/* Does a worker that was not given up still owe its BYE? */
static bool is_awaited(const struct peers *p)
{
    for (int w = 0; w < p->count; w++) {
        if (!p->peer[w].fenced && !p->peer[w].gone && !transport_is_dead(&p->peer[w].sight)) {
            return true;
        }
    }
    return false;
}

int peers_dismiss(struct error *err, struct peers *p, int exit_status, double seconds,
                  enum leave *leave)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    double begun = clock_seconds();

    p->ending = (struct farewell){.exit_status = exit_status, .wait = true};
    for (int w = 0; w < p->count; w++) {
        if (!p->peer[w].fenced) {
            TRY(send_farewell(err, &p->ending, w, TAG_END));
        }
    }
    do {
        bool any = false;
        TRY(take_last_messages(err, p, &any));
        if (any) {
            pause_reset(&pause);
        }
        pause_sleep(&pause);
    } while (is_awaited(p) && clock_seconds() - begun < seconds);

    int unreachable = 0, missing = count_missing(p, &unreachable);
    if (unreachable > 0 && launcher_recovery() == RECOVERY_ON) {
        end_silent(p);
        missing = count_missing(p, &unreachable);
    }
    p->leaving = (struct farewell){.exit_status = exit_status, .finalize = missing == 0};
    for (int w = 0; w < p->count; w++) {
        if (p->peer[w].gone && !p->peer[w].fenced) {
            TRY(send_farewell(err, &p->leaving, w, TAG_LEAVE));
        }
    }
    *leave = missing == 0 ? LEAVE_FINALIZE : unreachable == 0 ? LEAVE_EXIT : LEAVE_ABORT;
    if (*leave == LEAVE_ABORT) {
        fprintf(stderr, "ptqscale: %d ranks do not answer; the job is aborted to end them%s\n",
                unreachable, exit_status == STATUS_OK ? " (the study itself is finished)" : "");
    }
    if (*leave != LEAVE_FINALIZE) { /* until what was said has been heard */
        for (begun = clock_seconds(); clock_seconds() - begun < drain_seconds;) {
            bool any = false;
            TRY(take_last_messages(err, p, &any));
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
cleanup:
    return status;
}
