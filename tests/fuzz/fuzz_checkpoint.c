/*
 * Training checkpoints: the bytes as a file with its check, as a state without one, and as the
 * numbers of a state whose identity and lengths are right, so that the checks behind those are
 * reached. What is accepted is what training can go on from.
 */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

#include "results/checkpoint.h"
#include "study/state.h"
#include "tests/fuzz/cell.h"

static void parse(const void *bytes, size_t length)
{
    const struct cell *cell = fuzz_cell();
    struct error err = {0};
    struct state_view view;
    int status = state_parse(&err, cell, FUZZ_WEIGHTS, bytes, length, &view);
    FUZZ_FACT(status == STATUS_OK || (status == STATUS_FAILED && err.message[0] != '\0'));
    if (status != STATUS_OK) {
        return;
    }
    const struct state *s = &view.state;
    FUZZ_FACT(s->step >= 1 && s->step <= cell->train.steps);
    FUZZ_FACT(s->updates >= 0 && s->skipped >= 0 && s->updates + s->skipped == s->step);
    FUZZ_FACT(s->good_steps >= 0 && s->good_steps <= s->updates);
    FUZZ_FACT(s->next >= 0 && s->next < cell->evaluate.checkpoints);
    FUZZ_FACT(cell_checkpoint_step(cell, (int)s->next) >= s->step);
    FUZZ_FACT(isfinite(s->loss_scale) && s->loss_scale > 0);
    FUZZ_FACT(strcmp(s->id, cell->id) == 0 && memchr(s->started, '\0', sizeof s->started) != NULL);
    /* All that it points to lies within the bytes: a sanitizer would say so. */
    volatile unsigned sum = 0;
    for (size_t i = 0; i < s->numbers * sizeof(double); i++) {
        sum += ((const unsigned char *)view.numbers)[i];
    }
    const void *buffer[] = {view.master, view.first, view.second};
    for (size_t b = 0; b < 3; b++) {
        for (size_t i = 0; i < s->weights * sizeof(float); i++) {
            sum += ((const unsigned char *)buffer[b])[i];
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state state;
    size_t whole = 0;
    parse(data, size);
    if (checkpoint_check(data, size, &whole)) {
        FUZZ_FACT(whole < size);
        parse(data, whole);
    }

    state_identify(fuzz_cell(), FUZZ_WEIGHTS, &state);
    const size_t first = offsetof(struct state, step), last = sizeof state - first;
    const size_t length =
        sizeof state + state.numbers * sizeof(double) + 3 * FUZZ_WEIGHTS * sizeof(float);
    char *bytes = calloc(length, 1);
    FUZZ_FACT(bytes != NULL);
    memcpy(bytes, &state, sizeof state);
    memcpy(bytes + first, data, size < last ? size : last);
    if (size > 0) { /* the last byte: the text that tells when it was begun */
        memset(bytes + offsetof(struct state, started), data[size - 1], size % (STATE_STARTED + 1));
    }
    parse(bytes, length);
    free(bytes);
    return 0;
}
