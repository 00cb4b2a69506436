#include "tests/fuzz/cell.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static const char study[] = "name: fuzz\n"
                            "design: one_at_a_time\n"
                            "sizes: [{name: 1x2, layers: 1, d_model: 2, heads: 1, context: 2,\n"
                            "         learning_rate: 1.0e-3}]\n"
                            "base: {total_decay: 0.05, tokens: 32}\n"
                            "factors: {}\n"
                            "seeds: 1\n"
                            "train: {batch_tokens: 4, micro_batch_tokens: 4}\n"
                            "quantizers: [w8a8, w4]\n"
                            "evaluate: {fractions: [0.5, 1.0], windows: 2}\n"
                            "data: {files: [text]}\n";

struct spec *fuzz_study(void)
{
    struct error err = {0};
    struct spec *spec = NULL;
    if (spec_read(&err, fuzz_file(3, study, strlen(study)), &spec) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    FUZZ_FACT(spec != NULL);
    return spec;
}

const struct cell *fuzz_cell(void)
{
    static struct cell *cell;
    if (cell == NULL) {
        struct spec *spec = fuzz_study();
        int cells = 0;
        FUZZ_FACT(spec_cells(NULL, spec, &cell, &cells) == STATUS_OK && cells == 1);
        spec_free(spec);
    }
    return cell;
}
