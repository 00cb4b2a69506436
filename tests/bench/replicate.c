/* build/replicate [STUDIES]: does adaptive replication keep its error rate, and what does it cost? See replication.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/replication.h"

static const struct spec_looks usual = {.count = 5, .seeds = {4, 6, 8, 12, 16}};
static const struct spec_looks few = {.count = 5, .seeds = {2, 3, 4, 6, 8}};

struct scenario {
    const char *name;
    const struct spec_looks *plan;
    int sizes;
    double effect; /* of H1 to H4 */
    double slope;
    double seed_sd, residual_sd;
};

static int show(struct error *err, const struct scenario *scenario, int studies)
{
    int status = STATUS_OK;
    struct replication r = {.plan = *scenario->plan,
                            .sizes = scenario->sizes,
                            .seed_sd = scenario->seed_sd,
                            .residual_sd = scenario->residual_sd,
                            .studies = studies,
                            .seed = 1};
    struct replication_result result;
    for (int h = 0; h < HYPOTHESES; h++) {
        r.effect[h] = h == H5 ? scenario->slope : scenario->effect;
    }
    TRY(replication_run(err, &r, &result));
    printf("%s; %d size%s, noise %.2g + %.2g\n  seeds:", scenario->name, r.sizes,
           r.sizes == 1 ? "" : "s", r.seed_sd, r.residual_sd);
    for (int k = 0; k < r.plan.count; k++) {
        printf(" %d in %.1f %%%s", r.plan.seeds[k], 100.0 * result.ended[k] / studies,
               k + 1 < r.plan.count ? "," : "");
    }
    printf(
        "; mean %.2f\n  wrong verdict of any claim %.2f %%; truth outside any interval %.2f %%, at "
        "any look %.2f %%\n  %5s %10s %13s %8s %9s %12s   in %%\n",
        result.seeds, 100.0 * result.any_wrong / studies, 100.0 * result.any_missed / studies,
        100.0 * result.any_ever / studies, "", "supported", "contradicted", "wrong", "outside",
        "at any look");
    for (int h = 0; h < HYPOTHESES; h++) {
        const struct replication_claim *claim = &result.claim[h];
        printf("  H%-4s %10.2f %13.2f %8.2f %9.2f %12.2f\n", hypothesis_name((enum hypothesis)h),
               100.0 * claim->supported / studies, 100.0 * claim->contradicted / studies,
               100.0 * claim->wrong / studies, 100.0 * claim->missed / studies,
               100.0 * claim->ever / studies);
    }
    printf("\n");
cleanup:
    return status;
}

int main(int argc, char **argv)
{
    const double delta = log(1.05), steep = log(1.25);
    const struct scenario scenario[] = {
        {"no effects, no slope", &usual, 4, 0, 0, 0.1, 0.06},
        {"no effects, slope at its bound", &usual, 4, 0, steep, 0.1, 0.1},
        {"no effects, no slope, much noise", &usual, 4, 0, 0, 0.2, 0.3},
        {"effects and slope at their bounds", &usual, 4, delta, steep, 0.1, 0.1},
        {"effects at their bounds, no slope", &usual, 4, delta, 0, 0.1, 0.06},
        {"effects of 20 %, no slope", &usual, 4, log(1.2), 0, 0.1, 0.1},
        {"large effects, steep slope", &usual, 4, log(2), 1, 0.1, 0.2},
        {"no effects, no slope, two sizes, from two seeds", &few, 2, 0, 0, 0.02, 0.05},
        {"effects at their bounds, two sizes, from two seeds", &few, 2, delta, 0, 0.02, 0.05},
        {"no effects, one size, from two seeds", &few, 1, 0, 0, 0.05, 0.03},
    };
    struct error err = {0};
    const int studies = argc > 1 ? atoi(argv[1]) : 4000;
    if (studies < 1) {
        fprintf(stderr, "usage: replicate [STUDIES]\n");
        return STATUS_USAGE;
    }
    printf("%d simulated studies each; alpha 5 %%/7 = 0.71 %% per claim\n\n", studies);
    for (size_t i = 0; i < sizeof scenario / sizeof scenario[0]; i++) {
        if (show(&err, &scenario[i], studies) != STATUS_OK) {
            fprintf(stderr, "replicate: %s\n", err.message);
            return STATUS_FAILED;
        }
    }
    return 0;
}
