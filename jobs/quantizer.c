#include "jobs/quantizer.h"

#include <stddef.h>
#include <string.h>

static const struct quantizer QUANTIZERS[] = {
    {"w8a8", 8, 8, ACTIVATIONS_PER_TOKEN,
     "8-bit weights per output channel, 8-bit activations per token (vector-wise)"},
    {"w8", 8, 0, ACTIVATIONS_FULL, "8-bit weights per output channel, activations full"},
    {"w4", 4, 0, ACTIVATIONS_FULL, "4-bit weights per output channel, activations full"},
    {"w3", 3, 0, ACTIVATIONS_FULL, "3-bit weights per output channel, activations full"},
    {"w8a8-tensor", 8, 8, ACTIVATIONS_PER_TENSOR,
     "8-bit weights per output channel, 8-bit activations with a static scale per site"},
    {"w6a6", 6, 6, ACTIVATIONS_PER_TOKEN,
     "6-bit weights per output channel, 6-bit activations per token (vector-wise)"},
    {"w4a8", 4, 8, ACTIVATIONS_PER_TOKEN,
     "4-bit weights per output channel, 8-bit activations per token (vector-wise)"},
    {"w4a4", 4, 4, ACTIVATIONS_PER_TOKEN,
     "4-bit weights per output channel, 4-bit activations per token (vector-wise)"},
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
