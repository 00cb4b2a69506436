#include "mpi/crews.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crew {
    int cell; /* −1: there is no such team */
    int busy; /* living, and their RESULT is to come */
    int leader;
    bool ended;   /* the session knows what became of the cell */
    bool widens;  /* it was told to stop because of that */
    bool decided; /* `outcome` is a failure, and `reporter` has it */
    int reporter;
    struct outcome outcome;
    bool lost; /* a member; the first one: */
    struct session_loss loss;
    int next; /* free */
};

struct crews {
    struct session *session;
    struct peers *peers;
    struct error *failure;
    int epoch;
    int free;          /* −1: none */
    struct crew *crew; /* (workers) */
};

int crews_create(struct error *err, struct session *session, struct peers *peers,
                 struct error *failure, struct crews **crews)
{
    int status = STATUS_OK;
    struct crews *c = calloc(1, sizeof *c);
    *crews = NULL;
    CHECK(err, c != NULL, STATUS_FAILED, "out of memory");
    c->session = session;
    c->peers = peers;
    c->failure = failure;
    c->crew = calloc((size_t)peers->count, sizeof *c->crew);
    CHECK(err, c->crew != NULL, STATUS_FAILED, "out of memory for %d workers", peers->count);
    for (int i = 0; i < peers->count; i++) {
        c->crew[i].cell = -1;
        c->crew[i].next = i + 1 < peers->count ? i + 1 : -1;
    }
    *crews = c;
    c = NULL;
cleanup:
    crews_free(c);
    return status;
}

void crews_free(struct crews *c)
{
    if (c) {
        free(c->crew);
        free(c);
    }
}

static struct crew *crew_of(const struct crews *c, int worker)
{
    return &c->crew[c->peers->peer[worker].crew];
}

int crews_start(struct error *err, struct crews *c, const struct session_next *next,
                const int *member)
{
    int status = STATUS_OK;
    const int index = c->free;
    CHECK(err, index >= 0 && next->ranks <= WIDTH_MOST, STATUS_FAILED, "no room for a team of %d",
          next->ranks);
    struct crew *crew = &c->crew[index];
    c->free = crew->next;
    *crew = (struct crew){.cell = next->index, .busy = next->ranks, .leader = member[0]};
    c->epoch++;
    for (int rank = 0; rank < next->ranks; rank++) {
        struct peer *peer = &c->peers->peer[member[rank]];
        struct assignment *a = &peer->assignment;
        peer->crew = index;
        a->cell = *next->cell;
        a->attempts = next->attempts;
        a->epoch = c->epoch;
        a->size = next->ranks;
        a->rank = rank;
        a->recompute = next->recompute;
        for (int i = 0; i < next->ranks; i++) {
            a->member[i] = member[i] + 1;
        }
        TRY(peers_send_cell(err, c->peers, member[rank]));
    }
cleanup:
    return status;
}

void crews_news(struct crews *c, int worker, const struct progress *progress)
{
    const struct crew *crew = crew_of(c, worker);
    if (worker == crew->leader && !crew->ended) {
        session_progress(c->failure, c->session, crew->cell, progress);
    } else {
        session_heard(c->session, worker);
    }
}

/* Tell every member that is still at work. */
static int tell(struct error *err, struct crews *c, const struct crew *crew, enum tag tag)
{
    int status = STATUS_OK;
    for (int w = 0; w < c->peers->count && crew->busy > 0; w++) {
        if (c->peers->peer[w].busy && crew_of(c, w) == crew) {
            TRY(peers_interrupt(err, c->peers, w, tag));
        }
    }
cleanup:
    return status;
}

/* What the session makes of it, if it is settled; nobody is left: the team is no more. */
static void settle(struct crews *c, struct crew *crew)
{
    const bool finished = crew->outcome.kind == OUTCOME_FINISHED && crew->decided;
    if (!crew->ended && (finished || crew->busy == 0)) {
        crew->ended = true;
        if (crew->lost && !crew->decided) {
            session_dropped(c->failure, c->session, crew->cell, &crew->loss);
        } else {
            session_result(c->failure, c->session, crew->cell, crew->reporter, crew->widens,
                           &crew->outcome);
        }
    }
    if (crew->busy == 0) {
        crew->cell = -1;
        crew->next = c->free;
        c->free = (int)(crew - c->crew);
    }
}

int crews_result(struct error *err, struct crews *c, int worker, const struct outcome *outcome)
{
    int status = STATUS_OK;
    CHECK(err, c->peers->peer[worker].busy, STATUS_FAILED,
          "rank %d reports a cell that it does not have", worker + 1);
    struct crew *crew = crew_of(c, worker);
    const bool failed = outcome->kind == OUTCOME_FAILED || outcome->kind == OUTCOME_NOT_STORED ||
                        outcome->kind == OUTCOME_NO_CORPUS;
    peers_result(c->peers, worker);
    crew->busy--;
    if (!crew->decided && (worker == crew->leader || failed)) {
        crew->outcome = *outcome;
        crew->reporter = worker;
        /* What goes wrong after a member was lost may come from that. */
        crew->decided = outcome->kind == OUTCOME_FINISHED || (failed && !crew->lost);
    }
    if (failed) { /* also when the leader has finished: the others may still wait for this one */
        TRY(tell(err, c, crew, TAG_ABANDON));
    }
    settle(c, crew);
    session_idle(c->session, worker);
cleanup:
    return status;
}

int crews_lost(struct error *err, struct crews *c, int worker, bool stopping, const char *reason)
{
    int status = STATUS_OK;
    const struct peer *peer = &c->peers->peer[worker];
    struct crew *crew = peer->busy ? crew_of(c, worker) : NULL;
    struct session_loss loss = {.worker = worker};
    int cell = -1;
    if (crew && !crew->ended) {
        cell = crew->cell;
        /* Once, however many members a cell takes with it. */
        loss.counted = peer->started && !stopping && !crew->lost && !crew->decided;
    }
    snprintf(loss.reason, sizeof loss.reason, "%s", reason);
    peers_fence(c->peers, worker);
    session_lost(c->failure, c->session, cell, &loss);
    if (crew == NULL) {
        goto cleanup;
    }
    crew->busy--;
    if (!crew->lost) {
        crew->lost = true;
        crew->loss = loss;
        TRY(tell(err, c, crew, TAG_ABANDON)); /* also of an ended cell: see crews_result */
    }
    settle(c, crew);
cleanup:
    return status;
}

int crews_stop(struct error *err, struct crews *c)
{
    int status = STATUS_OK;
    for (int w = 0; w < c->peers->count; w++) {
        TRY(peers_interrupt(err, c->peers, w, TAG_STOP));
    }
cleanup:
    return status;
}

int crews_stop_to_widen(struct error *err, struct crews *c, int cell)
{
    int status = STATUS_OK;
    for (int i = 0; i < c->peers->count; i++) {
        struct crew *crew = &c->crew[i];
        if (crew->cell == cell && !crew->ended) {
            crew->widens = true;
            TRY(tell(err, c, crew, TAG_STOP));
        }
    }
cleanup:
    return status;
}
