/*
 * Adaptive replication in simulation: studies from the mixed model of METHOD §6 with planted effects go through their looks, and
 * what they end with is compared with what was planted.
 *
 *     y = slope · log10 parameters + Σ factor effects and the two interactions + seed within size + residual
 */
#ifndef TESTS_BENCH_REPLICATION_H
#define TESTS_BENCH_REPLICATION_H

#include "jobs/spec.h"
#include "results/claims.h"

struct replication {
    struct spec_looks plan;
    int sizes;                   /* three to a decade of parameters */
    double effect[HYPOTHESES];   /* planted, in the claimed direction; H5: slope per decade */
    double seed_sd, residual_sd; /* σ_b, σ */
    int studies;
    unsigned long seed;
};

struct replication_claim {
    int supported, contradicted;
    int wrong;  /* supported or contradicted against what was planted */
    int missed; /* studies whose interval leaves out what was planted */
    int ever; /* studies in which it does at any look, also behind the end: the worst rule to stop by */
};

struct replication_result {
    struct replication_claim claim[HYPOTHESES];
    int any_wrong, any_missed, any_ever; /* of any claim: familywise */
    int ended[SPEC_LOOKS];               /* studies that ended at this look */
    double seeds;                        /* mean */
};

int replication_run(struct error *err, const struct replication *replication,
                    struct replication_result *result);

#endif
