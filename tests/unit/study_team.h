/* A team of threads, for the tests of study/: sums as a balanced binary tree in rank order, parts of a whole, and cancellation. */
#ifndef TESTS_UNIT_STUDY_TEAM_H
#define TESTS_UNIT_STUDY_TEAM_H

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "study/team.h"
#include "tests/unit/algebra_lapack.h"
#include "tests/unit/study_fixture.h"

enum { TEAM_MOST = 8 };

struct team_state {
    int size;
    pthread_mutex_t mutex;
    pthread_cond_t everybody;
    int waiting;
    unsigned generation;
    bool asked;            /* to stop */
    bool cancelled;        /* broken: a rank is lost */
    void *part[TEAM_MOST]; /* what each rank adds to the sum under way */
    int polls;
    int cancel_at; /* when rank 0 polls for that time, the team is asked to stop; −n: it breaks at the n-th time */
};

/* Until all ranks are here, or the team is cancelled. */
static inline int team_wait(struct team *team)
{
    struct team_state *s = team->state;
    pthread_mutex_lock(&s->mutex);
    const unsigned generation = s->generation;
    if (++s->waiting == s->size) {
        s->waiting = 0;
        s->generation++;
        pthread_cond_broadcast(&s->everybody);
    }
    while (generation == s->generation && !s->cancelled) {
        pthread_cond_wait(&s->everybody, &s->mutex);
    }
    team->broken = s->cancelled;
    const int status = s->cancelled ? STATUS_STOPPED : STATUS_OK;
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* Rank 0 adds: (0 + 1) + (2 + 3) …; then every rank copies. */
static inline int team_sum_double(struct team *team, double *x, size_t n)
{
    struct team_state *s = team->state;
    int status = STATUS_OK;
    s->part[team->rank] = x;
    TRY(team_wait(team));
    for (int step = 1; team->rank == 0 && step < s->size; step *= 2) {
        for (int r = 0; r < s->size; r += 2 * step) {
            for (size_t i = 0; i < n; i++) {
                ((double *)s->part[r])[i] += ((double *)s->part[r + step])[i];
            }
        }
    }
    TRY(team_wait(team));
    if (team->rank != 0) {
        memcpy(x, s->part[0], n * sizeof *x);
    }
    TRY(team_wait(team));
cleanup:
    return status;
}

/* Both are done when they are started: threads wait for each other there. */
static inline int team_gather(struct team *team, void *whole, const size_t *begin,
                              struct transfer **transfer)
{
    struct team_state *s = team->state;
    int status = STATUS_OK;
    *transfer = NULL;
    s->part[team->rank] = whole;
    TRY(team_wait(team));
    for (int r = 0; r < s->size; r++) {
        const struct team other = {.size = s->size, .rank = r};
        const int piece = team_piece(&other);
        if (r != team->rank) {
            memcpy((char *)whole + begin[piece], (const char *)s->part[r] + begin[piece],
                   begin[piece + 1] - begin[piece]);
        }
    }
    TRY(team_wait(team));
cleanup:
    return status;
}

static inline float team_tree(const struct team_state *s, int first, int count, size_t i)
{
    return count == 1
               ? ((const float *)s->part[first])[i]
               : team_tree(s, first, count / 2, i) + team_tree(s, first + count / 2, count / 2, i);
}

static inline int team_reduce(struct team *team, float *whole, const size_t *begin,
                              struct transfer **transfer)
{
    struct team_state *s = team->state;
    int status = STATUS_OK;
    const int piece = team_piece(team);
    const size_t n = begin[piece + 1] - begin[piece];
    float *sum = malloc((n + 1) * sizeof *sum);
    *transfer = NULL;
    s->part[team->rank] = whole;
    TRY(team_wait(team));
    for (size_t i = 0; sum && i < n; i++) {
        sum[i] = team_tree(s, 0, s->size, begin[piece] + i);
    }
    TRY(team_wait(team)); /* nobody reads any more */
    for (size_t i = begin[0]; i < begin[s->size]; i++) {
        whole[i] = NAN; /* nobody may rely on the rest */
    }
    if (sum) {
        memcpy(whole + begin[piece], sum, n * sizeof *sum);
    }
    status = sum ? STATUS_OK : STATUS_FAILED;
cleanup:
    free(sum);
    return status;
}

static inline int team_finish(struct team *team, struct transfer *transfer)
{
    (void)team, (void)transfer;
    return STATUS_OK;
}

static inline bool team_cancelled(struct team *team)
{
    struct team_state *s = team->state;
    pthread_mutex_lock(&s->mutex);
    s->polls += team->rank == 0;
    s->asked |= s->polls > 0 && s->polls == s->cancel_at;
    if (s->polls == -s->cancel_at && s->polls > 0) {
        s->cancelled = true;
        pthread_cond_broadcast(&s->everybody);
    }
    team->stop = s->asked;
    team->broken = s->cancelled;
    const bool drop = s->cancelled || (s->size == 1 && s->asked);
    pthread_mutex_unlock(&s->mutex);
    return drop;
}

struct team_thread {
    struct team team;
    struct algebra algebra;
    void (*work)(struct team *team, void *context);
    void *context;
    pthread_t thread;
};

static inline void *team_thread_run(void *thread)
{
    struct team_thread *t = thread;
    t->work(&t->team, t->context);
    return NULL;
}

/*
 * Call work(team, contexts + rank·size_of_context) in as many threads as the team has ranks. `cancel_at` > 0: ask it to stop when
 * rank 0 polls for the cancel_at-th time; < 0: break it then. The work must not use cmocka's assertions: they leave by longjmp.
 */
static inline void team_run(int size, int cancel_at, void (*work)(struct team *, void *),
                            void *contexts, size_t size_of_context)
{
    struct team_state state = {.size = size,
                               .mutex = PTHREAD_MUTEX_INITIALIZER,
                               .everybody = PTHREAD_COND_INITIALIZER,
                               .cancel_at = cancel_at};
    struct team_thread thread[TEAM_MOST];
    for (int r = 0; r < size; r++) {
        thread[r].team = (struct team){.size = size,
                                       .rank = r,
                                       .state = &state,
                                       .sum_double = team_sum_double,
                                       .gather_start = team_gather,
                                       .reduce_start = team_reduce,
                                       .finish = team_finish,
                                       .cancelled = team_cancelled};
        thread[r].algebra = algebra_lapack(&thread[r].team);
        thread[r].team.algebra = &thread[r].algebra;
        thread[r].work = work;
        thread[r].context = (char *)contexts + (size_t)r * size_of_context;
        assert_int_equal(pthread_create(&thread[r].thread, NULL, team_thread_run, &thread[r]), 0);
    }
    for (int r = 0; r < size; r++) {
        pthread_join(thread[r].thread, NULL);
    }
}

#endif
