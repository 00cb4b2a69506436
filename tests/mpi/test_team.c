/*
 * The team's collective operations against what one process computes, bit for bit: on a team of all ranks
 * that mpirun starts, a power of two.
 *
 *     mpirun -n P test_team              odd sizes, empty pieces, several transfers at once, random delays
 *     mpirun -n P test_team FILE         members die in the middle of a transfer; FILE tells the others so.
 *                                        Needs a launcher that keeps them (see tests/mpi/harness.py)
 *
 * One line per fault; exit status 1 if any rank has one. As launchers may hide that, rank 0 says so when all is
 * well.
 */
#include <fcntl.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mpi/clock.h"
#include "mpi/team.h"

enum { ROUNDS = 40, AT_ONCE = 4, MOST = 64, MOST_DEATHS = 6 };

static const double told_after = 0.2;  /* seconds from a death until the others are told */
static const double returns_after = 1; /* … until they must be out of the transfer */

static int world_rank, world_size, faults;

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition) && faults++ < 20) {                                                       \
            fprintf(stderr, "test_team: fault: rank %d of %d, line %d: ", world_rank, world_size,  \
                    __LINE__);                                                                     \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

static void *room(size_t bytes)
{
    void *p = malloc(bytes + 1);
    if (p == NULL) {
        fprintf(stderr, "test_team: fault: out of memory\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return p;
}

/* A counter's random bits. */
static uint64_t bits(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + (i + 1) * 0xd1b54a32d192ed03u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Of very different sizes, so that the order of a sum shows. */
static double value(uint64_t seed, int rank, size_t i)
{
    const uint64_t z = bits(seed + 1000003u * (uint64_t)rank, i);
    return ldexp((double)(z >> 11) * 0x1p-52 - 1, (int)(z % 20));
}

static float tree_float(uint64_t seed, int first, int count, size_t i)
{
    return count == 1 ? (float)value(seed, first, i)
                      : tree_float(seed, first, count / 2, i) +
                            tree_float(seed, first + count / 2, count / 2, i);
}

static double tree_double(uint64_t seed, int first, int count, size_t i)
{
    return count == 1 ? value(seed, first, i)
                      : tree_double(seed, first, count / 2, i) +
                            tree_double(seed, first + count / 2, count / 2, i);
}

/* ---- one transfer ---- */

struct job {
    bool reduce;
    uint64_t seed;
    size_t begin[MOST + 1]; /* of floats, or of bytes */
    void *whole;
    struct transfer *transfer;
};

static int ascending(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The same on every rank. Some pieces are empty, some whole transfers, too; some start with a gap. */
static void plan(struct job *job, const struct team *team, uint64_t seed)
{
    static const size_t sizes[] = {0, 1, 2, 13, 1000, 262143, 262145, 1 << 20, 2500001};
    const size_t n = sizes[bits(seed, 0) % (sizeof sizes / sizeof sizes[0])];
    job->seed = seed;
    job->reduce = bits(seed, 1) % 2;
    for (int k = 0; k <= team->size; k++) {
        job->begin[k] = n ? bits(seed, 2 + (uint64_t)k) % (n + 1) : 0;
        if (bits(seed, 100) % 2) { /* even */
            job->begin[k] = n * (size_t)k / (size_t)team->size;
        } else if (k > 1 && bits(seed, 200 + (uint64_t)k) % 3 == 0) {
            job->begin[k] = job->begin[k - 1];
        }
    }
    qsort(job->begin, (size_t)team->size + 1, sizeof job->begin[0], ascending);
}

static int start(struct team *team, struct job *job)
{
    const size_t end = job->begin[team->size];
    const int piece = team_piece(team);
    if (job->reduce) {
        float *x = job->whole = room(end * sizeof *x);
        for (size_t i = 0; i < end; i++) {
            x[i] = (float)value(job->seed, team->rank, i);
        }
        return team->reduce_start(team, x, job->begin, &job->transfer);
    }
    unsigned char *x = job->whole = room(end);
    memset(x, 0xa5, end);
    for (size_t i = job->begin[piece]; i < job->begin[piece + 1]; i++) {
        x[i] = (unsigned char)bits(job->seed, i);
    }
    return team->gather_start(team, x, job->begin, &job->transfer);
}

static void check(const struct team *team, const struct job *job)
{
    const int piece = team_piece(team);
    size_t wrong = 0, from = job->begin[0], to = job->begin[team->size];
    if (job->reduce) {
        from = job->begin[piece];
        to = job->begin[piece + 1];
    }
    for (size_t i = from; i < to; i++) {
        if (job->reduce) {
            const float expected = tree_float(job->seed, 0, team->size, i);
            wrong += memcmp((float *)job->whole + i, &expected, sizeof expected) != 0;
        } else {
            wrong += ((unsigned char *)job->whole)[i] != (unsigned char)bits(job->seed, i);
        }
    }
    EXPECT(wrong == 0, "%s %llu of a team of %d: %zu of %zu are wrong",
           job->reduce ? "reduction" : "gathering", (unsigned long long)job->seed, team->size,
           wrong, to - from);
}

/* Something else to do meanwhile, of another length on each rank. */
static void delay(struct team *team, uint64_t seed)
{
    const uint64_t z = bits(seed, 7000 + (uint64_t)world_rank);
    if (z % 3 == 0) {
        usleep((useconds_t)((z >> 8) % 3000));
    }
    for (uint64_t i = 0; i < (z >> 32) % 20; i++) {
        team->cancelled(team);
    }
}

static void check_sum(struct team *team, uint64_t seed)
{
    static const size_t sizes[] = {0, 1, 3, 1000, 131073, 400000};
    const size_t n = sizes[bits(seed, 0) % (sizeof sizes / sizeof sizes[0])];
    double *x = room(n * sizeof *x);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = value(seed, team->rank, i);
    }
    EXPECT(team->sum_double(team, x, n) == STATUS_OK, "sum of %zu", n);
    for (size_t i = 0; i < n; i++) {
        const double expected = tree_double(seed, 0, team->size, i);
        wrong += memcmp(x + i, &expected, sizeof expected) != 0;
    }
    EXPECT(wrong == 0, "%zu of %zu sums are wrong", wrong, n);
    free(x);
}

/* Several transfers at once, with a sum in their midst. */
static void check_round(struct team *team, uint64_t seed)
{
    struct job job[AT_ONCE] = {{.reduce = false}};
    const int jobs = 1 + (int)(bits(seed, 1) % AT_ONCE);
    for (int j = 0; j < jobs; j++) {
        plan(&job[j], team, AT_ONCE * seed + (uint64_t)j);
        EXPECT(start(team, &job[j]) == STATUS_OK, "transfer %d did not start", j);
        delay(team, job[j].seed);
    }
    check_sum(team, seed);
    for (int j = 0; j < jobs; j++) { /* in whatever order */
        const int which = bits(seed, 2) % 2 ? j : jobs - 1 - j;
        EXPECT(team->finish(team, job[which].transfer) == STATUS_OK, "transfer %d", which);
        check(team, &job[which]);
    }
    for (int j = 0; j < jobs; j++) {
        free(job[j].whole);
    }
}

static void hear_nothing(struct team *team, void *context)
{
    (void)team;
    ++*(int *)context;
}

static void check_all(void)
{
    struct error err = {0};
    struct team team;
    MPI_Comm comm;
    int heard = 0;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    EXPECT(team_open(&err, comm, hear_nothing, &heard, &team) == STATUS_OK, "%s", err.message);
    for (int i = 0; i < ROUNDS; i++) {
        check_round(&team, (uint64_t)i);
    }
    EXPECT(team.finish(&team, NULL) == STATUS_OK, "NULL is done");
    bool stop = true;
    EXPECT(team_agree(&team, &stop) == STATUS_OK && !stop, "nobody has asked to stop");
    team.stop = team.rank == team.size - 1;
    EXPECT(team_agree(&team, &stop) == STATUS_OK && stop, "one has asked to stop");
    const int steps = 500;
    double x = 1, begun = clock_seconds();
    for (int i = 0; i < steps; i++) {
        EXPECT(team.sum_double(&team, &x, 1) == STATUS_OK, "small sum");
        x /= team.size;
    }
    EXPECT(x == 1, "the sum of ones is %g", x * team.size);
    if (world_rank == 0) {
        printf("test_team: %d ranks: %.0f us per small sum\n", world_size,
               1e6 * (clock_seconds() - begun) / steps);
    }
    EXPECT(heard > 0, "the team has not listened");
    EXPECT(team_failure(&team)->status == STATUS_OK, "%s", team_failure(&team)->message);
    team_close(&team);
}

/* ---- members that die ---- */

struct deaths {
    volatile int count;
    volatile double when[MOST_DEATHS];
};

static struct deaths *deaths;

static void hear_of_deaths(struct team *team, void *context)
{
    const int before = *(int *)context;
    if (deaths->count > before && clock_seconds() - deaths->when[before] > told_after) {
        team->broken = true;
    }
}

/* The last rank of the team dies while a long transfer is under way; the lower half goes on as a team. */
static void check_death(int size, int before)
{
    struct error err = {0};
    struct team team;
    MPI_Comm comm;
    MPI_Group world, group;
    int range[1][3] = {{0, size - 1, 1}};
    struct job job[2] = {{.reduce = true, .seed = 1}, {.seed = 2}};
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_range_incl(world, 1, range, &group);
    MPI_Comm_create_group(MPI_COMM_WORLD, group, before, &comm);
    MPI_Group_free(&world);
    MPI_Group_free(&group);
    EXPECT(team_open(&err, comm, hear_of_deaths, &before, &team) == STATUS_OK, "%s", err.message);
    check_round(&team, 1000 + (uint64_t)size);
    double all = 1; /* nobody dies before everybody has come so far */
    EXPECT(team.sum_double(&team, &all, 1) == STATUS_OK && all == size, "not all are there");
    for (int j = 0; j < 2; j++) {
        for (int k = 0; k <= size; k++) {
            job[j].begin[k] = (size_t)k * 8000003u / (size_t)size;
        }
        EXPECT(start(&team, &job[j]) == STATUS_OK || team.broken, "transfer %d", j);
    }
    if (world_rank == size - 1) {
        for (int i = 0; i < 10 * before; i++) { /* further on each time */
            team.cancelled(&team);
        }
        deaths->when[before] = clock_seconds();
        deaths->count = before + 1;
        raise(SIGKILL);
    }
    const int status = team.finish(&team, job[0].transfer);
    const double silence = clock_seconds() - deaths->when[before];
    EXPECT(team.broken && deaths->count == before + 1, "the team is not broken");
    EXPECT(silence < returns_after, "returned after %.2f s", silence);
    EXPECT(status == STATUS_STOPPED || status == STATUS_OK, "status %d", status);
    EXPECT(team.finish(&team, job[1].transfer) == STATUS_STOPPED, "the second cannot be whole");
    double x = 1;
    EXPECT(team.sum_double(&team, &x, 1) == STATUS_STOPPED, "a broken team sums");
    EXPECT(team.cancelled(&team), "a broken team is not cancelled");
    EXPECT(team_failure(&team)->status == STATUS_OK, "%s", team_failure(&team)->message);
    for (int j = 0; j < 2; j++) { /* MPI must not read or write it any more */
        free(job[j].whole);
    }
    team_close(&team);
    EXPECT(clock_seconds() - deaths->when[before] < returns_after, "closing took too long");
    if (world_rank == 0) {
        printf("test_team: %d ranks: out of it %.2f s after a death\n", size, silence);
    }
}

static int check_deaths(const char *path)
{
    const int file = open(path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof *deaths) != 0) {
        perror(path);
        return 1;
    }
    deaths = mmap(NULL, sizeof *deaths, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    int before = 0;
    for (int size = world_size; size > 1 && world_rank < size; size /= 2) {
        check_death(size, before++);
    }
    if (world_rank == 0 && faults == 0) {
        printf("test_team: outlived %d deaths\n", before);
    }
    fflush(NULL);
    _exit(faults != 0); /* MPI_Finalize would wait for the dead */
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world_size);
    if (argc > 1) {
        return check_deaths(argv[1]);
    }
    check_all();
    MPI_Allreduce(MPI_IN_PLACE, &faults, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    return faults ? 1 : 0;
}
