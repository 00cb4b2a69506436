/* What this machine's ranks compute and send per second, for `ptqscale plan --measure`. */
#ifndef PTQSCALE_MPI_MEASURE_H
#define PTQSCALE_MPI_MEASURE_H

#include "jobs/plan.h"

struct measure_size {
    const struct cell *cell; /* the size's first; NULL: it has none */
    double matmul;           /* GFLOP/s of its matrix products, forward and backward */
    double block;            /* of all that one block and the head do; 0: too large to try here */
};

/* Rates of one rank, mean over ranks. */
struct measured {
    int ranks;
    struct measure_size size[SPEC_SIZES];
    double gflops;    /* weighted with the operations of the study's cells; block if known */
    double slowest;   /* rank's */
    double bandwidth; /* GB/s that every rank sends while it receives as many; 0: one rank alone */
    double gather;    /* GB/s at which a rank gets the whole of what all have pieces of */
    double latency;   /* microseconds of a small message */
    double one_way_bandwidth; /* GB/s of large messages there and back between two ranks */
};

/* This rank's part, without the network: products of the shapes and the precision of each size of the cells, shortened where a
 * size is large. All ranks do it at the same time. `seconds`: about how long it may take. */
int measure_rank(struct error *err, const struct spec *spec, const struct cell *cells, int count,
                 double seconds, struct measured *measured);

/* The network between the ranks of MPI_COMM_WORLD, and the mean of what they compute. Collective; blocks. The whole result is on
 * every rank. */
int measure_network(struct error *err, struct measured *measured);

/* Say it, with the options that hand it to the next plan. */
void measure_print(FILE *out, const struct measured *measured);

#endif
