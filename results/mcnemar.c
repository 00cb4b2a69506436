#include "results/mcnemar.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

double mcnemar_p(double lost, double gained)
{
    const double less = fmin(lost, gained), all = lost + gained;
    if (!(all > 0) || !(less >= 0) || all > 1e9) {
        return all == 0 ? 1 : NAN;
    }
    return fmin(1, 2 * gsl_cdf_binomial_P((unsigned)less, 0.5, (unsigned)all));
}
