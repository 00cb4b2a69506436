#include "jobs/quantizer.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define INT(bits)           .weights = WEIGHTS_INT, .weight_bits = (bits)
#define PER_TOKEN(bits)     .activations = ACTIVATIONS_PER_TOKEN, .activation_bits = (bits)
#define PER_TENSOR(bits)    .activations = ACTIVATIONS_PER_TENSOR, .activation_bits = (bits)
#define OTHER(format, bits) .weights = WEIGHTS_##format, .weight_bits = (bits)

static const struct quantizer QUANTIZERS[] = {
    {"w8a8", INT(8), PER_TOKEN(8)},
    {"w8", INT(8)},
    {"w4", INT(4)},
    {"w3", INT(3)},
    {"w8a8-tensor", INT(8), PER_TENSOR(8)},
    {"w6a6", INT(6), PER_TOKEN(6)},
    {"w4a8", INT(4), PER_TOKEN(8)},
    {"w4a4", INT(4), PER_TOKEN(4)},
    /* Those above are the defaults. */
    {"w4g32", INT(4), .group = 32},
    {"w4g128", INT(4), .group = 128},
    {"w8a8-llmint8", INT(8), PER_TOKEN(8), .outliers = OUTLIERS_ABSOLUTE},
    {"w8a8-llmint8-std", INT(8), PER_TOKEN(8), .outliers = OUTLIERS_STD},
    {"w8a8-smooth", INT(8), PER_TOKEN(8), .transform = TRANSFORM_SMOOTH},
    {"w4a4-had", INT(4), PER_TOKEN(4), .transform = TRANSFORM_HADAMARD},
    {"gptq-w4", INT(4), .method = METHOD_GPTQ},
    {"gptq-w3", INT(3), .method = METHOD_GPTQ},
    {"gptq-w4g32", INT(4), .group = 32, .method = METHOD_GPTQ},
    {"nf4", OTHER(NF4, 4), .group = 64},
    {"mxfp4", OTHER(MXFP4, 4), .group = 32},
    {"fp8", OTHER(FP8, 8)},
    {"fp8a8", OTHER(FP8, 8), .activations = ACTIVATIONS_FP8, .activation_bits = 8},
};

enum { QUANTIZER_COUNT = sizeof QUANTIZERS / sizeof QUANTIZERS[0] };

const struct quantizer *quantizer_find(const char *name)
{
    for (int i = 0; i < QUANTIZER_COUNT; i++) {
        if (strcmp(QUANTIZERS[i].name, name) == 0) {
            return &QUANTIZERS[i];
        }
    }
    return NULL;
}

const struct quantizer *quantizer_at(int index)
{
    return index >= 0 && index < QUANTIZER_COUNT ? &QUANTIZERS[index] : NULL;
}

/* Words ======================================================================================= */

#define WORD(words, index)                                                                         \
    ((index) >= 0 && (size_t)(index) < sizeof(words) / sizeof(words)[0] ? (words)[index] : NULL)

const char *weight_format_name(int format)
{
    static const char *const words[] = {"int", "nf4", "mxfp4", "fp8", "full"};
    return WORD(words, format);
}

const char *activation_format_name(int format)
{
    static const char *const words[] = {"full", "int_per_token", "int_per_tensor", "fp8_per_token"};
    return WORD(words, format);
}

const char *transform_name(int transform)
{
    static const char *const words[] = {"none", "smooth", "hadamard"};
    return WORD(words, transform);
}

const char *outliers_name(int outliers)
{
    static const char *const words[] = {"none", "absolute", "std"};
    return WORD(words, outliers);
}

const char *method_name(int method)
{
    static const char *const words[] = {"round", "gptq"};
    return WORD(words, method);
}

/* What follows from the facts ================================================================= */

int quantizer_default_group(enum weight_format weights)
{
    return weights == WEIGHTS_NF4 ? 64 : weights == WEIGHTS_MXFP4 ? 32 : 0;
}

bool quantizer_is_integer(const struct quantizer *quantizer)
{
    return quantizer->weights == WEIGHTS_INT && quantizer->group == 0 &&
           (quantizer->activations == ACTIVATIONS_PER_TOKEN ||
            quantizer->activations == ACTIVATIONS_PER_TENSOR);
}

bool quantizer_calibrates(const struct quantizer *quantizer)
{
    return quantizer->activations == ACTIVATIONS_PER_TENSOR ||
           quantizer->transform == TRANSFORM_SMOOTH || quantizer->method == METHOD_GPTQ;
}

bool quantizer_same(const struct quantizer *a, const struct quantizer *b)
{
    return a->weights == b->weights && a->weight_bits == b->weight_bits && a->group == b->group &&
           a->activations == b->activations && a->activation_bits == b->activation_bits &&
           a->transform == b->transform && a->outliers == b->outliers && a->method == b->method;
}

/* Integers are w and a with their width; other formats have names, and FP8 takes a8 to mean FP8. */
void quantizer_generate_name(const struct quantizer *q, char name[QUANTIZER_NAME])
{
    static const char *const transforms[] = {"", "-smooth", "-had"};
    static const char *const outliers[] = {"", "-llmint8", "-llmint8-std"};
    char weights[16] = "", group[16] = "", activations[24] = "";
    if (q->weights == WEIGHTS_INT) {
        snprintf(weights, sizeof weights, "w%d", q->weight_bits);
    } else if (q->weights != WEIGHTS_FULL) {
        snprintf(weights, sizeof weights, "%s", weight_format_name((int)q->weights));
    }
    if (q->group != quantizer_default_group(q->weights)) {
        snprintf(group, sizeof group, "g%d", q->group);
    }
    if (q->activations == ACTIVATIONS_FP8) {
        snprintf(activations, sizeof activations, "%s", q->weights == WEIGHTS_FP8 ? "a8" : "afp8");
    } else if (q->activations != ACTIVATIONS_FULL) {
        snprintf(activations, sizeof activations, "a%s%d%s", q->weights == WEIGHTS_FP8 ? "int" : "",
                 q->activation_bits, q->activations == ACTIVATIONS_PER_TENSOR ? "-tensor" : "");
    }
    char whole[96]; /* a longer one is cut, and a study file then has to give a name */
    snprintf(whole, sizeof whole, "%s%s%s%s%s%s", q->method == METHOD_GPTQ ? "gptq-" : "", weights,
             group, activations, transforms[q->transform], outliers[q->outliers]);
    snprintf(name, QUANTIZER_NAME, "%.*s", QUANTIZER_NAME - 1, whole);
}

void quantizer_describe(const struct quantizer *q, char text[QUANTIZER_DESCRIPTION])
{
    static const char *const formats[] = {"", "NF4 weights", "MXFP4 weights", "FP8 E4M3 weights",
                                          "weights full"};
    static const char *const transforms[] = {"", ", after SmoothQuant's scaling of the inputs",
                                             ", after a Hadamard rotation of the inputs"};
    static const char *const outliers[] = {
        "", ", inputs with any |x| >= 6 in the window in fp16",
        ", inputs with any |x| >= 6 standard deviations in the window in fp16"};
    char weights[32], scale[48] = "", activations[64];
    snprintf(weights, sizeof weights, "%s", formats[q->weights]);
    if (q->weights == WEIGHTS_INT) {
        snprintf(weights, sizeof weights, "%d-bit weights", q->weight_bits);
    }
    if (q->group > 0) {
        snprintf(scale, sizeof scale, " per group of %d inputs", q->group);
    } else if (q->weights != WEIGHTS_FULL) {
        snprintf(scale, sizeof scale, " per output channel");
    }
    switch (q->activations) {
    case ACTIVATIONS_FULL:
        snprintf(activations, sizeof activations, "activations full");
        break;
    case ACTIVATIONS_PER_TOKEN:
        snprintf(activations, sizeof activations, "%d-bit activations per token%s",
                 q->activation_bits, quantizer_is_integer(q) ? " (vector-wise)" : "");
        break;
    case ACTIVATIONS_PER_TENSOR:
        snprintf(activations, sizeof activations, "%d-bit activations with a static scale per site",
                 q->activation_bits);
        break;
    case ACTIVATIONS_FP8:
        snprintf(activations, sizeof activations, "FP8 E4M3 activations per token");
        break;
    }
    snprintf(text, QUANTIZER_DESCRIPTION, "%s%s, %s%s%s%s", weights, scale, activations,
             transforms[q->transform], outliers[q->outliers],
             q->method == METHOD_GPTQ ? ", by GPTQ" : "");
}
