/*
 * The mixed model of METHOD §6 with known effects, and records that come from it:
 *
 *     log KL = level of the quantizer + slope·log10(N/N₀) + Σ effect·x + decay × clip + seed in size + residual
 *
 * x is 1 at the alternative level. The same arguments give the same numbers.
 */
#ifndef TESTS_REPORT_PLANTED_H
#define TESTS_REPORT_PLANTED_H

#include "jobs/spec.h"
#include "results/record.h"

enum factor_of { DECAY, DROPOUT, CLIP, HALF, RATE, FACTORS };
enum { PLANTED_SIZES = 16 };

struct planted {
    const char *out;
    int sizes, seeds, cells, missing, diverged, quantizers, windows, tasks;
    uint64_t seed;
    double slope;           /* of log KL per decade of parameters */
    double effect[FACTORS]; /* of the alternative level on log KL */
    double pair;            /* decay × clip: more of the one at the other's alternative level */
    double scale_pair;      /* size × decay: more of decay's effect per decade */
    double seed_sd, residual_sd;
};

/* A number in (0, 1) for `a` … `d`, and no other. */
double planted_uniform(const struct planted *p, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
enum { PLANTED_CHOICE = 6 }; /* free as `a` */

/* Fill the record of `cell`, as far as its first `until` checkpoints. */
void planted_fill(const struct planted *p, const struct spec *spec, const struct cell *cell,
                  int until, struct record *record);

#endif
