/*
 * A study cut into shards, for batch systems that would rather run K small jobs than a large one
 * (ptqscale submit --array K). A shard is a study of its own, with its own folder; ptqscale merge
 * joins the results. Which shard a cell belongs to depends on the study alone.
 */
#ifndef JOBS_SHARD_H
#define JOBS_SHARD_H

#include "jobs/cell.h"

enum { SHARD_MOST = 1000 };

struct shard {
    int index; /* 1 … count */
    int count; /* 0 or 1: the whole study */
};

/* Read "2/4": the second of four. STATUS_USAGE, naming `what` ("run: --shard"), when it is not one. */
int shard_parse(struct error *err, const char *what, const char *text, struct shard *shard);

/*
 * Deal cells with these costs to `shards`: longest first, first to last shard, then last to first,
 * and so on (snake order). shard_of[count] gets 1 … shards. The sums of any two shards differ by at
 * most the largest cost, and the numbers of their cells by at most one.
 */
int shard_deal(struct error *err, const double *cost, int count, int shards, int *shard_of);

/* Keep the cells of one shard, in their order, dealt by their operations. STATUS_USAGE when there
 * are fewer cells than shards: one would be empty. */
int shard_select(struct error *err, struct shard shard, struct cell *cells, int *count);

#endif
