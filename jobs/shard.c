#include "jobs/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/cost.h"

int shard_parse(struct error *err, const char *what, const char *text, struct shard *shard)
{
    int status = STATUS_OK;
    int end = -1;
    char first = text[0];
    bool digits = strspn(text, "0123456789/") == strlen(text) && first != '/';
    int read = digits && strlen(text) < 16
                   ? sscanf(text, "%d/%d%n", &shard->index, &shard->count, &end)
                   : 0;
    CHECK(err, read == 2 && end == (int)strlen(text), STATUS_USAGE,
          "%s: \"%s\" is not a shard; give I/K, as 2/4 for the second of four", what, text);
    CHECK(err, shard->count >= 1 && shard->count <= SHARD_MOST, STATUS_USAGE,
          "%s: \"%s\": give at least 1 and at most %d shards", what, text, SHARD_MOST);
    CHECK(err, shard->index >= 1 && shard->index <= shard->count, STATUS_USAGE,
          "%s: \"%s\": the shards of %d are 1/%d to %d/%d", what, text, shard->count, shard->count,
          shard->count, shard->count);
cleanup:
    return status;
}

struct dealt {
    double cost;
    int cell;
};

static int longest_first(const void *a, const void *b)
{
    const struct dealt *x = a, *y = b;
    return x->cost != y->cost ? (x->cost < y->cost) - (x->cost > y->cost) : x->cell - y->cell;
}

int shard_deal(struct error *err, const double *cost, int count, int shards, int *shard_of)
{
    int status = STATUS_OK;
    struct dealt *order = calloc((size_t)count + 1, sizeof *order);
    CHECK(err, order != NULL, STATUS_FAILED, "out of memory for %d cells", count);
    for (int i = 0; i < count; i++) {
        order[i] = (struct dealt){cost[i], i};
    }
    qsort(order, (size_t)count, sizeof *order, longest_first);
    for (int i = 0; i < count; i++) {
        int round = i / shards, place = i % shards;
        shard_of[order[i].cell] = 1 + (round % 2 == 0 ? place : shards - 1 - place);
    }
cleanup:
    free(order);
    return status;
}

int shard_select(struct error *err, struct shard shard, struct cell *cells, int *count)
{
    int status = STATUS_OK;
    double *flops = NULL;
    int *shard_of = NULL, kept = 0;
    if (shard.count <= 1) {
        goto cleanup;
    }
    CHECK(err, *count >= shard.count, STATUS_USAGE,
          "the study has %d cells, too few for %d shards; give at most one shard per cell", *count,
          shard.count);
    flops = calloc((size_t)*count, sizeof *flops);
    shard_of = calloc((size_t)*count, sizeof *shard_of);
    CHECK(err, flops != NULL && shard_of != NULL, STATUS_FAILED, "out of memory for %d cells",
          *count);
    for (int i = 0; i < *count; i++) {
        struct cost cost;
        cost_of(&cells[i], &cost);
        flops[i] = cost.train_flops + cost.evaluate_flops;
    }
    TRY(shard_deal(err, flops, *count, shard.count, shard_of));
    for (int i = 0; i < *count; i++) {
        if (shard_of[i] == shard.index) {
            cells[kept++] = cells[i];
        }
    }
    *count = kept;
cleanup:
    free(flops);
    free(shard_of);
    return status;
}
