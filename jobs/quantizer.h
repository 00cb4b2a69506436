/*
 * What a quantizer is asked to do (METHOD §3): one descriptor, from which its name, its description and the facts in a study's
 * file follow. A study file names quantizers or describes them; study/quantizers/ carries them out.
 */
#ifndef JOBS_QUANTIZER_H
#define JOBS_QUANTIZER_H

#include <stdbool.h>

enum weight_format {
    WEIGHTS_INT,   /* weight_bits bits, symmetric */
    WEIGHTS_NF4,   /* 4-bit NormalFloat, absmax per group of 64 */
    WEIGHTS_MXFP4, /* OCP MXFP4: blocks of 32, power-of-two scale */
    WEIGHTS_FP8,   /* OCP FP8 E4M3 */
    WEIGHTS_FULL,  /* weights stay fp32 */
};

enum activation_format {
    ACTIVATIONS_FULL,       /* activations stay fp32: weights-only quantizer */
    ACTIVATIONS_PER_TOKEN,  /* integers; dynamic, one scale per row of X */
    ACTIVATIONS_PER_TENSOR, /* integers; static, one scale per site from calibration, saturating */
    ACTIVATIONS_FP8,        /* FP8 E4M3; dynamic, one scale per row of X */
};

/* What W and X go through before, together leaving X Wᵀ as it is. */
enum transform {
    TRANSFORM_NONE,
    TRANSFORM_SMOOTH,   /* SmoothQuant, α = 0.5 */
    TRANSFORM_HADAMARD, /* rotation of the inputs */
};

/* Inputs that are multiplied in fp16, window by window (LLM.int8). */
enum outliers {
    OUTLIERS_NONE,
    OUTLIERS_ABSOLUTE, /* any |x| ≥ 6 */
    OUTLIERS_STD,      /* any |x| ≥ 6 standard deviations of the site's inputs */
};

enum method { METHOD_ROUND /* to nearest */, METHOD_GPTQ };

enum { QUANTIZER_NAME = 32, QUANTIZER_DESCRIPTION = 192, QUANTIZER_MOST_GROUP = 65536 };

struct quantizer {
    char name[QUANTIZER_NAME]; /* "w8a8-tensor": of METHOD §3, generated, or chosen by the user */
    enum weight_format weights;
    int weight_bits; /* int: 2 … 8; the others: 4 or 8; 0 with WEIGHTS_FULL */
    int group;       /* inputs that share a scale, the last group maybe fewer; 0: all of a row */
    int activation_bits; /* 2 … 8; 0 with ACTIVATIONS_FULL */
    enum activation_format activations;
    enum transform transform;
    enum outliers outliers;
    enum method method;
};

/* The quantizer of that name in METHOD §3, or NULL. The result is static: do not free. */
const struct quantizer *quantizer_find(const char *name);

/* The i-th known quantizer, NULL past the end. */
const struct quantizer *quantizer_at(int index);

/* How many of them, the first ones, a study has that lists none. */
enum { QUANTIZER_DEFAULTS = 8 };

/* The name that follows from the facts ("gptq-w4g64a8"); METHOD's names are such names. */
void quantizer_generate_name(const struct quantizer *quantizer, char name[QUANTIZER_NAME]);

/* "4-bit weights per group of 64 inputs, activations full, by GPTQ" */
void quantizer_describe(const struct quantizer *quantizer, char text[QUANTIZER_DESCRIPTION]);

/* Do they do the same, whatever their names? */
bool quantizer_same(const struct quantizer *a, const struct quantizer *b);

/* Need statistics of the inputs from calibration windows? */
bool quantizer_calibrates(const struct quantizer *quantizer);

/* Are the products of its sites exact, of integer codes on both sides? */
bool quantizer_is_integer(const struct quantizer *quantizer);

/* The group size that a format has unless one is given. */
int quantizer_default_group(enum weight_format weights);

/* The words of study files and of study.nc: "nf4", "int", "per_token", "hadamard" … static; NULL past the end. */
const char *weight_format_name(int format);
const char *activation_format_name(int format);
const char *transform_name(int transform);
const char *outliers_name(int outliers);
const char *method_name(int method);

#endif
