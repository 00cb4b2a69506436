#include <mpi.h>
#include <stdlib.h>

#include "mpi/clock.h"
#include "mpi/measure.h"
#include "mpi/transport.h"

enum {
    SMALL = 8,
    LARGE = 4 << 20,
    TAG_MEASURE = 32767, /* of nobody else's */
};

static const double seconds_each = 1;

/* `rounds` messages there and back between two ranks; seconds of one way. */
static int ping_pong(struct error *err, int rank, int a, int b, char *room, int bytes, int rounds,
                     double *seconds)
{
    int status = STATUS_OK;
    const int other = rank == a ? b : a;
    const double begin = clock_seconds();
    for (int i = 0; i < rounds && (rank == a || rank == b); i++) {
        if (rank == a) {
            MPI_TRY(err, MPI_Send(room, bytes, MPI_BYTE, other, TAG_MEASURE, MPI_COMM_WORLD));
        }
        MPI_TRY(err, MPI_Recv(room, bytes, MPI_BYTE, other, TAG_MEASURE, MPI_COMM_WORLD,
                              MPI_STATUS_IGNORE));
        if (rank == b) {
            MPI_TRY(err, MPI_Send(room, bytes, MPI_BYTE, other, TAG_MEASURE, MPI_COMM_WORLD));
        }
    }
    *seconds = (clock_seconds() - begin) / rounds / 2;
cleanup:
    return status;
}

/* Until `seconds_each` have passed on rank 0: another round? Collective. */
static int another(struct error *err, double begin, bool *more)
{
    int status = STATUS_OK;
    int go = clock_seconds() - begin < seconds_each;
    MPI_TRY(err, MPI_Bcast(&go, 1, MPI_INT, 0, MPI_COMM_WORLD));
    *more = go != 0;
cleanup:
    return status;
}

/* Between the first and the last rank, which are farthest from each other. */
static int between_two(struct error *err, int rank, int ranks, char *room, struct measured *m)
{
    int status = STATUS_OK;
    double small = 0, large = 0, warm = 0;
    double mine[2];
    TRY(ping_pong(err, rank, 0, ranks - 1, room, SMALL, 100, &warm));
    TRY(ping_pong(err, rank, 0, ranks - 1, room, SMALL, 2000, &small));
    TRY(ping_pong(err, rank, 0, ranks - 1, room, LARGE, 2, &warm));
    TRY(ping_pong(err, rank, 0, ranks - 1, room, LARGE, 32, &large));
    mine[0] = small;
    mine[1] = large;
    MPI_TRY(err, MPI_Bcast(mine, 2, MPI_DOUBLE, 0, MPI_COMM_WORLD));
    m->latency = mine[0] * 1e6;
    m->one_way_bandwidth = LARGE / mine[1] / 1e9;
cleanup:
    return status;
}

/* All ranks of the largest power of two exchange with one other, neighbours first, as a team does in its rounds: the slowest
 * round's. */
static int all_at_once(struct error *err, int rank, int ranks, char *room, struct measured *m)
{
    int status = STATUS_OK;
    const int team = width_within(ranks);
    for (int bit = 1; bit < team; bit *= 2) {
        const double begin = clock_seconds();
        double slowest, bytes = 0;
        for (bool more = true; more;) {
            if (rank < team) {
                MPI_TRY(err, MPI_Sendrecv(room, LARGE, MPI_BYTE, rank ^ bit, TAG_MEASURE,
                                          room + LARGE, LARGE, MPI_BYTE, rank ^ bit, TAG_MEASURE,
                                          MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            }
            bytes += LARGE;
            TRY(another(err, begin, &more));
        }
        const double rate = bytes / (clock_seconds() - begin) / 1e9;
        MPI_TRY(err, MPI_Allreduce(&rate, &slowest, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD));
        m->bandwidth = m->bandwidth == 0 || slowest < m->bandwidth ? slowest : m->bandwidth;
    }
cleanup:
    return status;
}

static int gathering(struct error *err, int ranks, char *room, struct measured *m)
{
    int status = STATUS_OK;
    const int piece = LARGE / ranks;
    const double begin = clock_seconds();
    double bytes = 0;
    for (bool more = true; more;) {
        MPI_TRY(err, MPI_Allgather(room + LARGE, piece, MPI_BYTE, room, piece, MPI_BYTE,
                                   MPI_COMM_WORLD));
        bytes += (double)piece * (ranks - 1);
        TRY(another(err, begin, &more));
    }
    m->gather = bytes / (clock_seconds() - begin) / 1e9;
    MPI_TRY(err, MPI_Bcast(&m->gather, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD));
cleanup:
    return status;
}

/* Mean over ranks of what each has computed, and the slowest. */
static int join_ranks(struct error *err, int ranks, struct measured *m)
{
    int status = STATUS_OK;
    double mine[2 * SPEC_SIZES + 1], sum[2 * SPEC_SIZES + 1];
    for (int s = 0; s < SPEC_SIZES; s++) {
        mine[2 * s] = m->size[s].matmul;
        mine[2 * s + 1] = m->size[s].block;
    }
    mine[2 * SPEC_SIZES] = m->gflops;
    MPI_TRY(err, MPI_Allreduce(mine, sum, 2 * SPEC_SIZES + 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
    MPI_TRY(err, MPI_Allreduce(&m->gflops, &m->slowest, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD));
    for (int s = 0; s < SPEC_SIZES; s++) {
        m->size[s].matmul = sum[2 * s] / ranks;
        m->size[s].block = sum[2 * s + 1] / ranks;
    }
    m->gflops = sum[2 * SPEC_SIZES] / ranks;
cleanup:
    return status;
}

int measure_network(struct error *err, struct measured *m)
{
    int status = STATUS_OK;
    int rank = 0, ranks = 1;
    char *room = calloc(2, LARGE);
    CHECK(err, room, STATUS_FAILED, "out of memory to measure the network");
    MPI_TRY(err, MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    MPI_TRY(err, MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    TRY(join_ranks(err, ranks, m));
    m->ranks = ranks;
    if (ranks > 1) {
        TRY(between_two(err, rank, ranks, room, m));
        TRY(all_at_once(err, rank, ranks, room, m));
        TRY(gathering(err, ranks, room, m));
    }
cleanup:
    free(room);
    return status;
}
