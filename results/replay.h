/*
 * What the journal's events add up to: the state of every cell. One transition function, used
 * when the journal is read and when an event is added, so that both always agree.
 *
 *     study    format name text version commit   first line; again when the study file has changed
 *     run      ranks cells job host pid version commit         nothing runs any more; a run begins
 *     begin    cell attempt worker host size setting seed      → running
 *     end      cell status checksum seconds reason             → done, diverged, failed,
 *                                              quarantined; pending: given back unfinished
 *     damaged  cell reason             → pending: the finished cell's file is unusable
 *     stop     why                     running cells → pending
 */
#ifndef RESULTS_REPLAY_H
#define RESULTS_REPLAY_H

#include "results/journal.h"
#include "results/rundir.h"

#define REPLAY_FORMAT "1"

struct replay {
    char study[CELL_NAME]; /* name; "" before the first event */
    char text[17];         /* XXH64 of the study file as last given, hex */
    char jobs[1024];       /* batch jobs that worked here, ", " between them */
    struct rundir_cell *cell;
    int cells, capacity;
    int *slot; /* open hash table of indices into cell, -1 = free */
    int slots; /* power of two, > 2·cells */
};

/* A journal_fn: take one event in. */
int replay_event(struct error *err, void *replay, const struct journal_line *line);

/* Nothing runs any more: running cells are pending again. */
void replay_stop(struct replay *replay);

/* Index of the cell, or -1. */
int replay_find(const struct replay *replay, const char *id);

void replay_free(struct replay *replay); /* what is in it; it is empty afterwards */

#endif
