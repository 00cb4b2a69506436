#include "study/team.h"

static int alone_sum_float(struct team *team, float *x, size_t n)
{
    (void)team, (void)x, (void)n;
    return STATUS_OK;
}

static int alone_sum_double(struct team *team, double *x, size_t n)
{
    (void)team, (void)x, (void)n;
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
                         .sum_float = alone_sum_float,
                         .sum_double = alone_sum_double,
                         .cancelled = alone_cancelled};
}
