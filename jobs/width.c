#include "jobs/width.h"

#include <stdio.h>
#include <string.h>

#include "jobs/bytes.h"
#include "jobs/cost.h"
#include "jobs/memory.h"

double width_memory(double limit, double text_bytes)
{
    const double left = limit - cost_process_bytes(text_bytes);
    return limit > 0 && left < 1 ? 1 : limit > 0 ? left : 0;
}

int width_most(const struct cell *cell)
{
    return cell->train.batch / cell->train.micro_batch;
}

int width_within(int n)
{
    int power = 1;
    while (power <= n / 2) {
        power *= 2;
    }
    return power;
}

int width_widest(const struct cell *cell, int workers)
{
    const int most = width_most(cell) < workers ? width_most(cell) : workers;
    return width_within(most < WIDTH_MOST ? most : WIDTH_MOST);
}

bool width_same(const struct cell *a, const struct cell *b)
{
    return a->train.precision == b->train.precision && a->train.steps == b->train.steps &&
           strcmp(a->size.name, b->size.name) == 0;
}

bool width_fits(const struct cell *cell, double limit, struct width *width)
{
    bool fit = false;
    for (int again = 0; again < 2 && !fit; again++) {
        struct memory memory;
        memory_of(cell, width->ranks, again, &memory);
        width->recompute = again;
        width->bytes = memory.peak;
        fit = limit <= 0 || memory.peak <= limit;
    }
    return fit;
}

/* The first team from `from` up to `most` ranks that fits; if none does, the one that needs least. */
static bool first_fit(const struct cell *cell, double limit, int from, int most,
                      struct width *width)
{
    struct width next = {.ranks = from};
    width->ranks = 0;
    for (; next.ranks <= most; next.ranks *= 2) {
        const bool fit = width_fits(cell, limit, &next);
        if (fit || width->ranks == 0 || next.bytes < width->bytes) {
            *width = next;
        }
        if (fit) {
            return true;
        }
    }
    return false;
}

/* What would help, for a cell that does not fit. */
static void advise(const struct cell *cell, double limit, char *text, size_t size)
{
    char need[BYTES_TEXT];
    struct width other;
    if (first_fit(cell, limit, 1, width_most(cell), &other)) {
        snprintf(text, size, "%d ranks per cell would do%s", other.ranks,
                 cell->ranks > 0 ? ", so change ranks_per_cell" : ": start more ranks");
    } else {
        snprintf(
            text, size, "no team is large enough: give %s for the cell, which %d rank%s, or %s",
            bytes_text(other.bytes, need), other.ranks, other.ranks == 1 ? " needs" : "s need",
            cell->train.micro_batch > 1 ? "smaller train.micro_batch_tokens" : "a shorter context");
    }
}

int width_choose(struct error *err, const struct cell *cell, double memory_per_rank, int workers,
                 struct width *width)
{
    int status = STATUS_OK;
    char need[BYTES_TEXT], have[BYTES_TEXT], advice[256];
    const int micro_batches = width_most(cell), asked = cell->ranks;
    const int most = asked > 0 ? asked : micro_batches < workers ? micro_batches : workers;
    CHECK(err, asked <= micro_batches, STATUS_FAILED,
          "size %s: ranks_per_cell %d, but a step has %d micro-batch%s to share out; give smaller "
          "train.micro_batch_tokens",
          cell->size.name, asked, micro_batches, micro_batches == 1 ? "" : "es");
    CHECK(err, asked <= workers, STATUS_FAILED,
          "size %s: ranks_per_cell %d, but there %s %d worker%s; start more ranks", cell->size.name,
          asked, workers == 1 ? "is" : "are", workers, workers == 1 ? "" : "s");
    CHECK(err, workers >= 1, STATUS_FAILED, "size %s: there are no workers", cell->size.name);
    if (first_fit(cell, memory_per_rank, asked > 0 ? asked : 1, most, width)) {
        goto cleanup;
    }
    advise(cell, memory_per_rank, advice, sizeof advice);
    FAIL(err, STATUS_FAILED,
         "size %s: a cell needs %s per rank, with %d rank%s and activations computed again, and "
         "there is %s beside program and text; %s",
         cell->size.name, bytes_text(width->bytes, need), width->ranks,
         width->ranks == 1 ? "" : "s", bytes_text(memory_per_rank, have), advice);
cleanup:
    return status;
}
