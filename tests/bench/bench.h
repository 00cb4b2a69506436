/* What both benchmarks share: options, a cell made of them, and a text to train on. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include "jobs/cell.h"
#include "study/corpus.h"

struct bench {
    struct cell cell;
    char quantizer[32]; /* bench_eval; "fp32" */
    double seconds;     /* to measure for */
};

/* Read the options; prints help or an error and returns an exit status ≥ 0 where the program should end, else −1. */
int bench_options(int argc, char **argv, const char *program, struct bench *bench);

/* Pseudo-random tokens below the vocabulary: rates do not depend on the text. */
int bench_corpus(struct error *err, const struct cell *cell, struct corpus **corpus);

double bench_seconds(void); /* monotonic */
double bench_peak_bytes(void);

/* FLOPs of one token: forward matmuls and causal attention. */
double bench_matmul_flops(const struct cell *cell);
double bench_attention_flops(const struct cell *cell);

#endif
