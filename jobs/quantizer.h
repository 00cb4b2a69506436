/*
 * What a quantizer is asked to do (METHOD §3). A study file names quantizers; this table gives each
 * name its meaning, and study/ carries it out.
 */
#ifndef JOBS_QUANTIZER_H
#define JOBS_QUANTIZER_H

enum activation_format {
    ACTIVATIONS_FULL,       /* activations stay fp32: weights-only quantizer */
    ACTIVATIONS_PER_TOKEN,  /* dynamic, one scale per row of X */
    ACTIVATIONS_PER_TENSOR, /* static, one scale per site from calibration, saturating */
};

struct quantizer {
    char name[32];       /* "w8a8-tensor" */
    int weight_bits;     /* 2 … 8; one scale per output channel */
    int activation_bits; /* 2 … 8; 0 with ACTIVATIONS_FULL */
    enum activation_format activations;
    char description[96]; /* for NetCDF attributes and --help */
};

/* The quantizer of that name, or NULL. The result is static: do not free. */
const struct quantizer *quantizer_find(const char *name);

/* The i-th known quantizer, NULL past the end; in METHOD's order. */
const struct quantizer *quantizer_at(int index);

#endif
