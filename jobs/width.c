#include "jobs/width.h"

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

/* Does a team of width->ranks fit, as it is or with activations computed again? Completes *width, with the lesser need if not. */
static bool fits(const struct cell *cell, double limit, struct width *width)
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

int width_choose(struct error *err, const struct cell *cell, double memory_per_rank, int workers,
                 struct width *width)
{
    int status = STATUS_OK;
    char need[BYTES_TEXT], have[BYTES_TEXT];
    const int most = width_most(cell);
    struct width best = {0}, try = {.ranks = cell->ranks > 0 ? cell->ranks : 1};
    CHECK(err, try.ranks <= most, STATUS_FAILED,
          "size %s: ranks_per_cell %d, but a step has %d micro-batch%s to share out; give smaller "
          "train.micro_batch_tokens",
          cell->size.name, try.ranks, most, most == 1 ? "" : "es");
    CHECK(err, try.ranks <= workers, STATUS_FAILED,
          "size %s: ranks_per_cell %d, but there are %d workers; start more ranks", cell->size.name,
          try.ranks, workers);
    for (; try.ranks <= most && try.ranks <= workers; try.ranks *= 2) {
        if (fits(cell, memory_per_rank, &try)) {
            *width = try;
            goto cleanup;
        }
        best = best.ranks == 0 || try.bytes < best.bytes ?
        try : best
            ;
        if (cell->ranks > 0) {
            break;
        }
    }
    FAIL(err, STATUS_FAILED,
         "size %s: a cell needs %s per rank, even with %d rank%s and activations computed again, "
         "and "
         "has %s; give more memory per rank, %ssmaller train.micro_batch_tokens",
         cell->size.name, bytes_text(best.bytes, need), best.ranks, best.ranks == 1 ? "" : "s",
         bytes_text(memory_per_rank, have),
         cell->ranks > 0                                 ? "a larger ranks_per_cell, "
         : 2 * best.ranks > workers && best.ranks < most ? "more ranks, "
                                                         : "");
cleanup:
    return status;
}
