#include "mpi/worker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mpi/algebra.h"
#include "mpi/clock.h"
#include "mpi/fault.h"
#include "mpi/formation.h"
#include "mpi/team.h"
#include "results/rundir.h"

static const double listen_every = 0.01;   /* seconds */
static const double setup_patience = 3600; /* the coordinator checks what earlier runs have left */
static const double orphan_timeouts = 10; /* silence of the coordinator, in heartbeat timeouts … */
static const double orphan_least = 30;    /* … and seconds: it may be writing a large study.nc */
static const double look_every = 0.25; /* seconds, for whether the coordinator's process is there */
static const double bye_patience = 1;  /* seconds */
static const double load_rate = 1e6;   /* bytes/s: the slowest file system that is waited for */
static const double encode_rate = 2e5; /* the same of a tokenizer, in bytes of compressed text */

struct worker {
    struct setup *setup;
    struct executor *executor;
    struct algebra *algebra; /* of this rank alone */
    run_fn *run;
    void *context;
    int rank;
    struct assignment assignment;
    bool loaded;        /* has run a cell, so it has the text */
    bool running;       /* a cell */
    bool stop;          /* that cell is to be stopped */
    bool abandoned;     /* … is to be given up: its team is broken */
    double news_every;  /* seconds */
    double listened;    /* when */
    double told, heard; /* the last message to and from the coordinator */
    double looked;      /* for its process, when */
    struct sight coordinator;
    struct news current; /* what there is to tell */
    struct news news;    /* being sent while request is active */
    MPI_Request request;
    struct error failure; /* of communication, inside callbacks */
};

static void run_with_executor(void *context, const struct cell *cell, int attempts,
                              const char *file, struct team *team, progress_fn *report,
                              void *report_context, struct outcome *outcome)
{
    executor_run(context, cell, attempts, file, team, report, report_context, outcome);
}

/* ---- leaving ---- */

/* The last words: BYE, and if *farewell says so, the answer to it, which is how to leave. */
static void say_bye(struct farewell *farewell, double patience)
{
    MPI_Request request = MPI_REQUEST_NULL;
    struct farewell leaving;
    bool done = false;
    if (MPI_Isend(NULL, 0, MPI_BYTE, 0, TAG_BYE, MPI_COMM_WORLD, &request) != MPI_SUCCESS ||
        transport_wait(NULL, &request, bye_patience, &done) != STATUS_OK || !farewell->wait) {
        return;
    }
    if (MPI_Irecv(&leaving, (int)sizeof leaving, MPI_BYTE, 0, TAG_LEAVE, MPI_COMM_WORLD,
                  &request) == MPI_SUCCESS &&
        transport_wait(NULL, &request, patience, &done) == STATUS_OK && done) {
        *farewell = leaving;
    }
}

/* Whatever this rank is doing, it has to stop: another rank may be doing it by now. */
static void leave_at_once(const struct farewell *farewell)
{
    fflush(NULL);
    if (farewell->finalize) {
        transport_finalize(NULL);
    }
    _exit(farewell->exit_status);
}

/* Seconds of the coordinator's silence after which it is taken for dead. */
static double orphan_patience(const struct worker *w)
{
    return fmax(orphan_least, orphan_timeouts * w->setup->heartbeat_timeout);
}

static const struct farewell orphaned = {.exit_status = STATUS_STOPPED};

/* On this host a dead coordinator need not be waited for. Its messages are to be taken before. */
static void look_for_coordinator(struct worker *w)
{
    const double now = clock_seconds();
    if (now - w->looked >= look_every) {
        w->looked = now;
        if (transport_is_dead(&w->coordinator)) {
            fprintf(stderr,
                    "ptqscale: the process of rank 0 is gone, so rank %d leaves; the same command "
                    "goes on from the last checkpoints\n",
                    w->rank);
            leave_at_once(&orphaned);
        }
    }
}

/* ---- talking ---- */

static int tell(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    int sent = 1;
    MPI_TRY(err, MPI_Test(&w->request, &sent, MPI_STATUS_IGNORE));
    if (!sent) {
        goto cleanup; /* the coordinator is behind: skip this one */
    }
    w->told = clock_seconds();
    w->news = w->current;
    MPI_TRY(err, MPI_Isend(&w->news, (int)sizeof w->news, MPI_BYTE, 0, TAG_NEWS, MPI_COMM_WORLD,
                           &w->request));
cleanup:
    return status;
}

static int tell_when_due(struct error *err, struct worker *w)
{
    return clock_seconds() - w->told >= w->news_every ? tell(err, w) : STATUS_OK;
}

/* Take what the coordinator says beside handing out cells. */
static int listen(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    double now = clock_seconds();
    double patience = orphan_patience(w);

    if (now - w->listened > patience / 2) {
        w->heard = now; /* we were stopped, or busy for long: its messages are still to come */
    }
    w->listened = now;
    for (;;) {
        MPI_Status message;
        int there = 0;
        MPI_TRY(err, MPI_Iprobe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (!there) {
            break;
        }
        w->heard = now;
        if (!w->running && (message.MPI_TAG == TAG_CELL || message.MPI_TAG == TAG_END)) {
            break; /* for serve() */
        }
        if (message.MPI_TAG == TAG_END) {
            struct farewell farewell;
            TRY(transport_receive(err, &message, &farewell, sizeof farewell));
            say_bye(&farewell, orphan_patience(w));
            leave_at_once(&farewell);
        }
        w->stop = w->stop || message.MPI_TAG == TAG_STOP;
        w->abandoned = w->abandoned || message.MPI_TAG == TAG_ABANDON;
        TRY(transport_discard(err, &message));
    }
    if (now - w->heard > patience) {
        fprintf(stderr,
                "ptqscale: rank %d has not heard of rank 0 for %.0f s and leaves; the same command "
                "goes on from the last checkpoints\n",
                w->rank, now - w->heard);
        leave_at_once(&orphaned);
    }
    look_for_coordinator(w);
cleanup:
    return status;
}

/* Listen and talk if it is time to, while there is something else to do. */
static void attend(struct worker *w)
{
    if (clock_seconds() - w->listened >= listen_every &&
        (listen(&w->failure, w) != STATUS_OK || tell_when_due(&w->failure, w) != STATUS_OK)) {
        w->stop = w->abandoned = true;
    }
}

/* In a team of one. */
static bool on_cancelled(struct team *team)
{
    struct worker *w = team->state;
    attend(w);
    team->stop = w->stop;
    return w->stop;
}

/* In a larger one. */
static void on_listen(struct team *team, void *context)
{
    struct worker *w = context;
    attend(w);
    team->stop = team->stop || w->stop;
    team->broken = team->broken || w->abandoned;
}

/* While a team is formed. */
static bool is_given_up(void *context)
{
    struct worker *w = context;
    attend(w);
    return w->abandoned;
}

static void on_progress(void *context, const struct progress *progress)
{
    struct worker *w = context;
    enum phase phase = phase_of(progress->phase);
    bool changed = phase != w->current.phase;
    w->current = (struct news){
        .phase = phase,
        .step = progress->step,
        .steps = progress->steps,
        .loss = progress->loss,
        .tokens_per_second = progress->tokens_per_second,
    };
    if ((changed ? tell(&w->failure, w) : tell_when_due(&w->failure, w)) != STATUS_OK) {
        w->stop = w->abandoned = true;
    }
}

/* ---- working ---- */

/* Seconds in which the text is loaded on any file system worth the name. */
static double load_patience(const struct setup *setup)
{
    const double bytes = source_disk_bytes(&setup->source, setup->data.kind);
    return bytes / load_rate + (setup->data.kind == DATA_SENTENCEPIECE ? bytes / encode_rate : 0);
}

/* Wait until a message has left, or arrived. */
static int finish_surely(struct error *err, struct worker *w, MPI_Request *request)
{
    int status = STATUS_OK;
    const double since = clock_seconds();
    bool done = false;
    while (!done && clock_seconds() - since < orphan_patience(w)) {
        TRY(transport_wait(err, request, look_every, &done));
        if (!done) {
            look_for_coordinator(w);
        }
    }
    if (!done) {
        leave_at_once(&orphaned);
    }
cleanup:
    return status;
}

/* Say that the cell is begun, so that a death from here on counts. */
static int begin(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    const double patience = w->loaded ? 0 : load_patience(w->setup);
    w->running = true;
    w->stop = w->abandoned = false;
    w->listened = w->heard = clock_seconds();
    w->current = (struct news){
        .phase = w->loaded ? PHASE_BEGIN : PHASE_LOAD,
        .steps = w->assignment.cell.train.steps,
        .loss = NAN,
        .patience = patience,
    };
    TRY(finish_surely(err, w, &w->request)); /* else tell() may skip the news */
    TRY(tell(err, w));
    TRY(finish_surely(err, w, &w->request));
    w->current.patience = 0;
cleanup:
    return status;
}

/* The team that the assignment names. *algebra is to be freed with it, NULL in a team of one; *formed = false when the team was
 * given up before it was one. */
static int form(struct error *err, struct worker *w, struct team *team, struct algebra **algebra,
                bool *formed)
{
    int status = STATUS_OK;
    const struct assignment *a = &w->assignment;
    const struct formation formation = {a->epoch, a->size, a->rank, a->member};
    MPI_Comm comm = MPI_COMM_NULL;
    *formed = true;
    if (a->size == 1) {
        *team = team_alone();
        team->state = w;
        team->cancelled = on_cancelled;
        team->algebra = w->algebra;
    } else {
        TRY(formation_make(err, &formation, is_given_up, w, &comm));
        *formed = comm != MPI_COMM_NULL;
        if (!*formed) {
            goto cleanup;
        }
        TRY(team_open(err, comm, on_listen, w, team));
        TRY(algebra_create_team(err, comm, team, algebra));
        team->algebra = *algebra;
    }
    team->recompute = a->recompute;
    team->stop = w->stop;
cleanup:
    return status;
}

static void disband(struct worker *w, const struct outcome *outcome, struct team *team,
                    struct algebra *algebra)
{
    if (w->assignment.size == 1) {
        return;
    }
    /* After a failure of this rank's own the others wait for it, who knows where. */
    team->broken = team->broken || outcome->kind == OUTCOME_FAILED ||
                   outcome->kind == OUTCOME_NOT_STORED || outcome->kind == OUTCOME_NO_CORPUS;
    if (!team->broken) {
        algebra_free(algebra); /* else it is lost: others may still use its communicator */
    }
    if (w->failure.status == STATUS_OK) {
        w->failure = *team_failure(team);
    }
    team_close(team);
}

static int work(struct error *err, struct worker *w)
{
    int status = STATUS_OK;
    struct team team = {.size = 0};
    struct algebra *algebra = NULL;
    struct outcome outcome;
    char file[SPEC_PATH + 64];
    bool formed = false;
    MPI_Request request = MPI_REQUEST_NULL;
    const struct cell *cell = &w->assignment.cell;

    /* Not by a receive that waits: the coordinator may die while it sends. */
    MPI_TRY(err, MPI_Irecv(&w->assignment, (int)sizeof w->assignment, MPI_BYTE, 0, TAG_CELL,
                           MPI_COMM_WORLD, &request));
    TRY(finish_surely(err, w, &request));
    TRY(begin(err, w));
    if (w->assignment.rank == 0) {
        fault_strike(cell->id);
    }
    memset(&outcome, 0, sizeof outcome); /* all bytes: it is sent as bytes */
    outcome.kind = OUTCOME_STOPPED;
    memcpy(outcome.id, cell->id, sizeof outcome.id);
    TRY(form(err, w, &team, &algebra, &formed));
    if (formed) {
        rundir_cell_temporary(w->setup->folder, cell->id, w->rank, w->assignment.attempts, file);
        if (w->assignment.rank == w->assignment.size - 1 && fault_fails(cell->id)) {
            outcome.kind = OUTCOME_FAILED;
            snprintf(outcome.reason, sizeof outcome.reason, "PTQSCALE_FAULT makes it fail");
        } else {
            w->run(w->context, cell, w->assignment.attempts, file, &team, on_progress, w, &outcome);
        }
        disband(w, &outcome, &team, algebra);
        w->loaded = true;
    }
    w->running = false;
    w->current = (struct news){.phase = PHASE_IDLE};
    if (w->failure.status != STATUS_OK) {
        *err = w->failure;
        status = err->status;
        goto cleanup;
    }
    TRY(finish_surely(err, w, &w->request));
    MPI_TRY(err, MPI_Isend(&outcome, (int)sizeof outcome, MPI_BYTE, 0, TAG_RESULT, MPI_COMM_WORLD,
                           &request));
    TRY(finish_surely(err, w, &request));
    w->told = clock_seconds();
cleanup:
    return status;
}

static int serve(struct error *err, struct worker *w, struct farewell *farewell)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    struct ready ready;
    MPI_Request request = MPI_REQUEST_NULL;

    transport_introduce(&ready);
    w->coordinator = transport_see(&ready, &w->setup->coordinator);
    MPI_TRY(err,
            MPI_Isend(&ready, (int)sizeof ready, MPI_BYTE, 0, TAG_READY, MPI_COMM_WORLD, &request));
    TRY(finish_surely(err, w, &request));
    w->told = w->heard = w->listened = clock_seconds();
    for (;;) {
        MPI_Status message;
        int there = 0;
        MPI_TRY(err, MPI_Iprobe(0, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &message));
        if (!there) {
            TRY(tell_when_due(err, w));
            TRY(listen(err, w));
            pause_sleep(&pause);
            continue;
        }
        pause_reset(&pause);
        if (message.MPI_TAG == TAG_CELL) {
            TRY(work(err, w));
        } else if (message.MPI_TAG == TAG_END) {
            TRY(transport_receive(err, &message, farewell, sizeof *farewell));
            say_bye(farewell, orphan_patience(w));
            break;
        } else {
            TRY(listen(err, w));
        }
    }
cleanup:
    return status;
}

static int receive_setup(struct error *err, struct setup *setup)
{
    int status = STATUS_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    bool done = false;
    MPI_TRY(err,
            MPI_Irecv(setup, (int)sizeof *setup, MPI_BYTE, 0, TAG_SETUP, MPI_COMM_WORLD, &request));
    TRY(transport_wait(err, &request, setup_patience, &done));
    if (!done) {
        leave_at_once(&orphaned);
    }
cleanup:
    return status;
}

int worker_run(struct error *err, run_fn *run, void *context, enum leave *leave, int *exit_status)
{
    int status = STATUS_OK;
    struct worker *w = calloc(1, sizeof *w);
    struct setup *setup = calloc(1, sizeof *setup);
    struct farewell farewell = {0};

    CHECK(err, w != NULL && setup != NULL, STATUS_FAILED, "out of memory");
    w->request = MPI_REQUEST_NULL;
    w->setup = setup;
    MPI_TRY(err, MPI_Comm_rank(MPI_COMM_WORLD, &w->rank));
    TRY(receive_setup(err, setup));
    farewell = (struct farewell){.exit_status = setup->status, .finalize = setup->finalize};
    if (setup->work) {
        w->news_every = fmin(1, setup->heartbeat_timeout / 4);
        w->run = run;
        w->context = context;
        if (run == NULL) {
            TRY(executor_create(err, &setup->source, &setup->data, setup->folder,
                                setup->checkpoint_every, &w->executor));
            TRY(algebra_create(err, MPI_COMM_SELF, &w->algebra)); /* waits for nobody */
            w->run = run_with_executor;
            w->context = w->executor;
        }
        TRY(serve(err, w, &farewell));
    }
    *exit_status = farewell.exit_status;
    *leave = farewell.finalize ? LEAVE_FINALIZE : LEAVE_EXIT;
cleanup:
    if (w) {
        algebra_free(w->algebra);
        executor_free(w->executor);
    }
    free(w);
    free(setup);
    return status;
}
