/*
 * What the journal's events add up to: the state of every cell. One transition function, used
 * when the journal is read and when an event is added, so that both always agree.
 *
 *     study    format name text version commit [shard]   first line; again when the study file,
 *                                              the shard or the format has changed
 *     run      ranks cells job host pid version commit         nothing runs any more; a run begins
 *     begin    cell attempt worker host size setting seed [ranks]   → running, on a team of so many
 *                                              ranks that `worker` leads
 *     resumed  cell step               the running cell goes on from a checkpoint; if none was
 *                                              that far, its workers' deaths are forgotten
 *     end      cell status checksum seconds reason             → done, diverged, failed;
 *                                              pending: given back unfinished; reason=widened: to go on
 *                                              with more ranks, in the same attempt
 *     lost     worker host reason [cell counted]   a worker is silent and gets nothing more; its
 *                                              cell → pending; counted=yes: one more death of the
 *                                              cell's worker
 *     quarantined  cell deaths reason  → quarantined: the cell is not tried again
 *     retry    cell                    failed or quarantined → pending, deaths forgotten
 *     damaged  cell reason             → pending: the finished cell's file is unusable
 *     look     seeds plan first decision next asked level spent [undecided]   adaptive replication: the
 *                                              cells of so many seeds were looked at; next: seeds that the
 *                                              study has from here on. Again for the same seeds: with
 *                                              another budget
 *     stop     why [took] [busy had]   running cells → pending; took: seconds from the wish to
 *                                              stop until the last worker had stopped; busy: seconds
 *                                              that ranks had cells, had: seconds that there were ranks
 *
 * Format 1 has no resumed, lost, quarantined and retry, format 2 no look; both are read as well, and a run that goes on
 * in such a folder first appends an event "study" with the new format, so that the program of
 * format 1 refuses the journal by name and not at a line that it does not know. Format 3 is that of studies with looks;
 * all others are written in format 2.
 */
#ifndef RESULTS_REPLAY_H
#define RESULTS_REPLAY_H

#include "results/journal.h"
#include "results/looks.h"
#include "results/rundir.h"

#define REPLAY_FORMAT       "2"
#define REPLAY_FORMAT_LOOKS "3"

struct replay {
    char study[CELL_NAME];           /* name; "" before the first event */
    char format[8];                  /* as last given */
    char text[17];                   /* XXH64 of the study file as last given, hex */
    char shard[24];                  /* "2/5": of which shard the run is; "" = the whole study */
    char plan[SPEC_LOOKS_TEXT + 32]; /* of the looks that were taken, replay_plan; "": none */
    struct look look[SPEC_LOOKS];    /* (looks), ascending seeds */
    int looks;
    char jobs[1024];  /* batch jobs that worked here, ", " between them */
    double stop_took; /* seconds that the last stop of a run took; 0 = not known */
    bool stopped;     /* the last event is "stop": all runs ended in order */
    char why[32];     /* of the last stop */
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

/* "4, 6, 8 from 1": what must stay the same once a look was taken. */
void replay_plan(const struct spec_looks *looks, char *text, size_t size);

void replay_free(struct replay *replay); /* what is in it; it is empty afterwards */

#endif
