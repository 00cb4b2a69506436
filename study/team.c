#include "study/team.h"

static int alone_sum_double(struct team *team, double *x, size_t n)
{
    (void)team, (void)x, (void)n;
    return STATUS_OK;
}

static int alone_gather(struct team *team, void *whole, const size_t *begin,
                        struct transfer **transfer)
{
    (void)team, (void)whole, (void)begin;
    *transfer = NULL;
    return STATUS_OK;
}

static int alone_reduce(struct team *team, float *whole, const size_t *begin,
                        struct transfer **transfer)
{
    (void)team, (void)whole, (void)begin;
    *transfer = NULL;
    return STATUS_OK;
}

static int alone_finish(struct team *team, struct transfer *transfer)
{
    (void)team, (void)transfer;
    return STATUS_OK;
}

static bool alone_cancelled(struct team *team)
{
    (void)team;
    return false;
}

struct team team_alone(void)
{
    return (struct team){.size = 1,
                         .rank = 0,
                         .sum_double = alone_sum_double,
                         .gather_start = alone_gather,
                         .reduce_start = alone_reduce,
                         .finish = alone_finish,
                         .cancelled = alone_cancelled};
}

int team_piece(const struct team *team)
{
    int piece = 0;
    for (int bit = 1; bit < team->size; bit *= 2) {
        piece = 2 * piece + ((team->rank & bit) != 0);
    }
    return piece;
}

int team_agree(struct team *team, bool *stop)
{
    int status = STATUS_OK;
    double asked = team->cancelled(team) || team->stop;
    TRY(team->sum_double(team, &asked, 1));
    *stop = asked > 0;
cleanup:
    return status;
}

int team_check(struct error *err, struct team *team)
{
    int status = STATUS_OK;
    bool stop = false;
    status = team_agree(team, &stop);
    CHECK(err, status == STATUS_OK && !stop, STATUS_STOPPED, "cancelled");
cleanup:
    return status;
}
