/* The models of tests/golden/model.txt: their parameters and tokens by formula, and the reference's numbers. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "study/layout.h"

enum { GOLDEN_WINDOWS = 3, GOLDEN_CONTEXT = 6, GOLDEN_VOCABULARY = 16 };

static const struct cell_size golden_size = {
    .name = "golden", .layers = 2, .d_model = 8, .heads = 2, .d_ff = 12, .context = GOLDEN_CONTEXT};

static inline void golden_parameters(const struct layout *l, float *p)
{
    memset(p, 0, l->length * sizeof *p);
    for (int t = 0; t < l->tensors; t++) {
        float *x = layout_at(l, t, p);
        for (size_t i = 0; i < tensor_elements(&l->tensor[t]); i++) {
            double k = (double)i;
            x[i] = (float)(l->tensor[t].kind == TENSOR_GAIN ? 1 + 0.1 * sin(0.7 * k + t)
                                                            : 0.2 * sin(1.3 * k + 0.9 * t + 0.5));
        }
    }
}

static inline void golden_tokens(uint32_t *inputs, uint32_t *targets)
{
    for (int b = 0; b < GOLDEN_WINDOWS; b++) {
        for (int p = 0; p <= GOLDEN_CONTEXT; p++) {
            uint32_t token = (uint32_t)((7 * b + 3 * p * p + p) % GOLDEN_VOCABULARY);
            if (p < GOLDEN_CONTEXT) {
                inputs[b * GOLDEN_CONTEXT + p] = token;
            }
            if (p > 0) {
                targets[b * GOLDEN_CONTEXT + p - 1] = token;
            }
        }
    }
}

/* Next word of the file that is not in a comment line. */
static inline int golden_word(FILE *f, char word[64])
{
    while (fscanf(f, " %63s", word) == 1) {
        if (word[0] != '#') {
            return 1;
        }
        for (int c = fgetc(f); c != '\n' && c != EOF; c = fgetc(f)) {
        }
    }
    return 0;
}

/* Settings of the next block; 0 at the end of the file. */
static inline int golden_config(FILE *f, struct cell_model *model, double *loss, char label[256])
{
    char word[64];
    label[0] = 0;
    memset(model, 0, sizeof *model);
    model->vocabulary = GOLDEN_VOCABULARY;
    while (golden_word(f, word)) {
        strncat(label, word, 64);
        strncat(label, " ", 2);
        model->block = strcmp(word, "block=sequential") == 0 ? BLOCK_SEQUENTIAL : model->block;
        model->position =
            strcmp(word, "position=learned") == 0 ? POSITION_LEARNED : model->position;
        model->activation = strcmp(word, "activation=relu") == 0     ? ACTIVATION_RELU
                            : strcmp(word, "activation=swiglu") == 0 ? ACTIVATION_SWIGLU
                                                                     : model->activation;
        model->bias = strcmp(word, "bias=1") == 0 ? true : model->bias;
        model->tied = strcmp(word, "tied=1") == 0 ? true : model->tied;
        if (strcmp(word, "loss") == 0) {
            return fscanf(f, " %lf", loss) == 1;
        }
    }
    return 0;
}

#endif
