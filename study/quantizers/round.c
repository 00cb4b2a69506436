/* Round to nearest, group by group (METHOD §3). */
#include "study/quantizers/parts.h"

void round_nearest(const struct rounding *r)
{
    for (int o = 0; o < r->out; o++) {
        for (int g = 0; g < r->groups; g++) {
            const int first = g * r->group;
            const int count = r->in - first < r->group ? r->in - first : r->group;
            const size_t at = (size_t)o * r->in + first;
            float *scale = &r->scale[(size_t)o * r->groups + g];
            *scale = r->format->scale(r->kernels, r->bits, count, r->w + at);
            r->format->encode(r->kernels, r->bits, *scale, count, r->w + at, r->codes + at);
        }
    }
}
