#include "mpi/team.h"

#include <stdlib.h>
#include <string.h>

#include "mpi/clock.h"
#include "mpi/transport.h"

static const double listen_every = 0.01; /* seconds */
static const double let_go = 0.2; /* seconds for MPI to end what a broken team has under way */

enum { TAGS = 16384 }; /* every MPI has twice as many */

enum kind { KIND_GATHER, KIND_REDUCE, KIND_SUM };

/* Bytes of the whole. */
struct range {
    size_t from, to;
};

struct transfer {
    struct transfer *next;
    enum kind kind;
    bool over;
    int tag;
    int round; /* −1: not begun */
    char *whole;
    size_t *begin; /* (size + 1) of bytes */
    /* The round under way: what is left to hand to MPI, to ask it for, and to take from it. */
    int partner;
    struct range send, ask, take;
};

struct team_state {
    MPI_Comm comm;
    team_listen_fn *listen;
    void *context;
    double listened;
    int rounds; /* of a transfer: log2 of the size */
    int next_tag;
    struct transfer *first, *last; /* not over yet, in order */
    /* Messages: requests of those to be sent, then of those to be received; each has a chunk of `room`. */
    MPI_Request request[2 * TEAM_DEPTH];
    char *room;
    size_t length[TEAM_DEPTH]; /* of those to be received */
    unsigned asked, taken;     /* counts; slots are used in turn, also when they wrap */
    int64_t moves;             /* counts what was handed to MPI or taken from it */
    struct error failure;
};

static char *chunk_of(const struct team_state *s, int slot)
{
    return s->room + (size_t)slot * TEAM_CHUNK;
}

static size_t length_of(const struct range *range)
{
    return range->to - range->from;
}

static size_t next_chunk(const struct range *range)
{
    return length_of(range) < TEAM_CHUNK ? length_of(range) : TEAM_CHUNK;
}

/* ---- rounds ---- */

/* The pieces of all ranks that differ from `rank` in no bit below `bits`: neighbours, since the order is bit-reversed. */
static struct range pieces_of(const struct team *team, const struct transfer *t, int rank, int bits)
{
    const struct team member = {.size = team->size, .rank = rank & ((1 << bits) - 1)};
    const int first = team_piece(&member), count = team->size >> bits;
    return (struct range){t->begin[first], t->begin[first + count]};
}

static void begin_round(const struct team *team, struct transfer *t)
{
    const struct team_state *s = team->state;
    const int bit = t->kind == KIND_GATHER ? s->rounds - 1 - t->round : t->round;
    t->partner = team->rank ^ (1 << bit);
    switch (t->kind) {
    case KIND_GATHER: /* what either has */
        t->send = pieces_of(team, t, team->rank, bit + 1);
        t->ask = pieces_of(team, t, t->partner, bit + 1);
        break;
    case KIND_REDUCE: /* what the other goes on with, for what this one goes on with */
        t->send = pieces_of(team, t, t->partner, bit + 1);
        t->ask = pieces_of(team, t, team->rank, bit + 1);
        break;
    case KIND_SUM: /* everything */
        t->send = t->ask = (struct range){t->begin[0], t->begin[1]};
        break;
    }
    t->take = t->ask;
}

static void add_floats(float *restrict sum, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += x[i];
    }
}

static void add_doubles(double *restrict sum, const double *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += x[i];
    }
}

static void take_chunk(const struct transfer *t, const void *bytes, size_t length)
{
    void *to = t->whole + t->take.from;
    switch (t->kind) {
    case KIND_GATHER:
        memcpy(to, bytes, length);
        break;
    case KIND_REDUCE:
        add_floats(to, bytes, length / sizeof(float));
        break;
    case KIND_SUM:
        add_doubles(to, bytes, length / sizeof(double));
        break;
    }
}

/* ---- messages ---- */

static int test_messages(struct error *err, struct team_state *s)
{
    int status = STATUS_OK;
    int count = 0, index[2 * TEAM_DEPTH];
    MPI_TRY(err, MPI_Testsome(2 * TEAM_DEPTH, s->request, &count, index, MPI_STATUSES_IGNORE));
cleanup:
    return status;
}

static int send_next(struct error *err, struct team_state *s, struct transfer *t, bool *any)
{
    int status = STATUS_OK;
    for (int i = 0; i < TEAM_DEPTH && length_of(&t->send) > 0; i++) {
        if (s->request[i] != MPI_REQUEST_NULL) {
            continue;
        }
        const size_t length = next_chunk(&t->send);
        memcpy(chunk_of(s, i), t->whole + t->send.from, length);
        MPI_TRY(err, MPI_Isend(chunk_of(s, i), (int)length, MPI_BYTE, t->partner, t->tag, s->comm,
                               &s->request[i]));
        t->send.from += length;
        s->moves++;
        *any = true;
    }
cleanup:
    return status;
}

static int ask_next(struct error *err, struct team_state *s, struct transfer *t, bool *any)
{
    int status = STATUS_OK;
    while (s->asked - s->taken < TEAM_DEPTH && length_of(&t->ask) > 0) {
        const unsigned slot = s->asked % TEAM_DEPTH;
        const size_t length = next_chunk(&t->ask);
        MPI_TRY(err, MPI_Irecv(chunk_of(s, TEAM_DEPTH + slot), (int)length, MPI_BYTE, t->partner,
                               t->tag, s->comm, &s->request[TEAM_DEPTH + slot]));
        s->length[slot] = length;
        s->asked++;
        s->moves++;
        t->ask.from += length;
        *any = true;
    }
cleanup:
    return status;
}

static void take_arrived(struct team_state *s, struct transfer *t, bool *any)
{
    while (s->taken != s->asked) {
        const unsigned slot = s->taken % TEAM_DEPTH;
        const size_t length = s->length[slot];
        if (s->request[TEAM_DEPTH + slot] != MPI_REQUEST_NULL ||
            (t->kind == KIND_SUM && t->take.from + length > t->send.from)) {
            break; /* not there; or what it is added to is still to be sent */
        }
        take_chunk(t, chunk_of(s, TEAM_DEPTH + slot), length);
        t->take.from += length;
        s->taken++;
        s->moves++;
        *any = true;
    }
}

/* Do what can be done without waiting. */
static int move_on(struct error *err, struct team *team)
{
    int status = STATUS_OK;
    struct team_state *s = team->state;
    for (bool any = true; any;) {
        any = false;
        TRY(test_messages(err, s));
        struct transfer *t = s->first;
        if (t == NULL) {
            break;
        }
        TRY(ask_next(err, s, t, &any));
        TRY(send_next(err, s, t, &any));
        take_arrived(s, t, &any);
        if (length_of(&t->send) + length_of(&t->take) == 0) {
            any = true;
            if (++t->round < s->rounds) {
                begin_round(team, t);
            } else {
                t->over = true;
                s->first = t->next;
                s->last = s->first ? s->last : NULL;
            }
        }
    }
cleanup:
    return status;
}

/* Listen if it is time to, and move transfers on. */
static int attend(struct team *team)
{
    struct team_state *s = team->state;
    const double now = clock_seconds();
    if (now - s->listened >= listen_every) {
        s->listen(team, s->context);
        s->listened = now;
    }
    if (!team->broken && move_on(&s->failure, team) != STATUS_OK) {
        team->broken = true;
    }
    return team->broken ? STATUS_STOPPED : STATUS_OK;
}

/* ---- the operations ---- */

static void forget(struct team_state *s, struct transfer *transfer)
{
    struct transfer *before = NULL;
    for (struct transfer *t = s->first; t; before = t, t = t->next) {
        if (t == transfer) {
            *(before ? &before->next : &s->first) = t->next;
            s->last = s->last == t ? before : s->last;
            break;
        }
    }
    free(transfer->begin);
    free(transfer);
}

static int start(struct team *team, enum kind kind, void *whole, const size_t *begin, int pieces,
                 size_t unit, struct transfer **transfer)
{
    int status = STATUS_OK;
    struct team_state *s = team->state;
    struct transfer *t = NULL;
    *transfer = NULL;
    CHECK(NULL, !team->broken, STATUS_STOPPED, "broken");
    t = calloc(1, sizeof *t);
    CHECK(NULL, t != NULL, STATUS_FAILED, "out of memory");
    *t = (struct transfer){.kind = kind, .tag = s->next_tag, .round = -1, .whole = whole};
    t->begin = calloc((size_t)pieces + 1, sizeof *t->begin);
    CHECK(NULL, t->begin != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i <= pieces; i++) {
        t->begin[i] = begin[i] * unit;
    }
    s->next_tag = (s->next_tag + 1) % TAGS;
    *(s->last ? &s->last->next : &s->first) = t;
    s->last = t;
    *transfer = t;
    t = NULL;
    TRY(attend(team));
cleanup:
    if (t) {
        free(t->begin);
        free(t);
    }
    if (status != STATUS_OK && *transfer) {
        forget(s, *transfer);
        *transfer = NULL;
    }
    return status;
}

static int gather_start(struct team *team, void *whole, const size_t *begin,
                        struct transfer **transfer)
{
    return start(team, KIND_GATHER, whole, begin, team->size, 1, transfer);
}

static int reduce_start(struct team *team, float *whole, const size_t *begin,
                        struct transfer **transfer)
{
    return start(team, KIND_REDUCE, whole, begin, team->size, sizeof *whole, transfer);
}

static int finish(struct team *team, struct transfer *transfer)
{
    int status = team->broken ? STATUS_STOPPED : STATUS_OK;
    const struct team_state *s = team->state;
    const double begun = clock_seconds();
    struct pause pause = {0};
    for (int64_t moves = s->moves; transfer && !transfer->over && status == STATUS_OK;) {
        status = attend(team);
        if (s->moves != moves) {
            moves = s->moves;
            pause_reset(&pause);
        } else {
            pause_briefly(&pause);
        }
    }
    team->waited += clock_seconds() - begun;
    if (transfer) {
        forget(team->state, transfer);
    }
    return status;
}

static int sum_double(struct team *team, double *x, size_t n)
{
    int status = STATUS_OK;
    const size_t begin[2] = {0, n};
    struct transfer *transfer = NULL;
    TRY(start(team, KIND_SUM, x, begin, 1, sizeof *x, &transfer));
    TRY(finish(team, transfer));
cleanup:
    return status;
}

static bool cancelled(struct team *team)
{
    if (!team->broken) {
        attend(team);
    }
    return team->broken;
}

/* ---- from open to close ---- */

int team_open(struct error *err, MPI_Comm comm, team_listen_fn *listen, void *context,
              struct team *team)
{
    int status = STATUS_OK;
    struct team_state *s = calloc(1, sizeof *s);
    int size = 0, rank = 0;
    *team = (struct team){.size = 0};
    CHECK(err, s != NULL, STATUS_FAILED, "out of memory");
    s->comm = comm;
    s->listen = listen;
    s->context = context;
    for (int i = 0; i < 2 * TEAM_DEPTH; i++) {
        s->request[i] = MPI_REQUEST_NULL;
    }
    MPI_TRY(err, MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    MPI_TRY(err, MPI_Comm_size(comm, &size));
    MPI_TRY(err, MPI_Comm_rank(comm, &rank));
    CHECK(err, (size & (size - 1)) == 0, STATUS_FAILED, "a team of %d ranks", size);
    while (1 << s->rounds < size) {
        s->rounds++;
    }
    s->room = malloc(size > 1 ? TEAM_MEMORY : 1);
    CHECK(err, s->room != NULL, STATUS_FAILED, "out of memory for a team's messages");
    *team = (struct team){.size = size,
                          .rank = rank,
                          .state = s,
                          .sum_double = sum_double,
                          .gather_start = gather_start,
                          .reduce_start = reduce_start,
                          .finish = finish,
                          .cancelled = cancelled};
    s = NULL;
cleanup:
    if (s) {
        free(s->room);
        free(s);
    }
    return status;
}

/* Has MPI let go of all buffers? */
static bool is_quiet(const struct team_state *s)
{
    bool quiet = true;
    for (int i = 0; i < 2 * TEAM_DEPTH; i++) {
        quiet = quiet && s->request[i] == MPI_REQUEST_NULL;
    }
    return quiet;
}

static void wait_until_sent(struct team *team)
{
    const struct team_state *s = team->state;
    struct pause pause = {0};
    while (attend(team) == STATUS_OK && !is_quiet(s)) {
        pause_briefly(&pause);
    }
}

/* Cancel what is to be received; what is being sent cannot be cancelled, and ends when the other takes it. */
static void cancel_messages(struct team_state *s)
{
    struct pause pause = {0};
    for (int i = TEAM_DEPTH; i < 2 * TEAM_DEPTH; i++) {
        if (s->request[i] != MPI_REQUEST_NULL) {
            MPI_Cancel(&s->request[i]);
        }
    }
    for (double begun = clock_seconds(); clock_seconds() - begun < let_go && !is_quiet(s);) {
        if (test_messages(NULL, s) != STATUS_OK) {
            break;
        }
        pause_briefly(&pause);
    }
}

void team_close(struct team *team)
{
    struct team_state *s = team->state;
    if (s == NULL) {
        return;
    }
    while (s->first) { /* whoever started it has failed */
        team->broken = true;
        forget(s, s->first);
    }
    if (!team->broken) {
        wait_until_sent(team);
    }
    if (!team->broken) {
        MPI_Comm_free(&s->comm);
    } else {
        cancel_messages(s);
    }
    if (is_quiet(s)) {
        free(s->room);
    }
    free(s);
    *team = (struct team){.size = 0, .broken = team->broken, .stop = team->stop};
}

const struct error *team_failure(const struct team *team)
{
    const struct team_state *s = team->state;
    return &s->failure;
}
