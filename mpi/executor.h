/* One cell, run and stored: what the serial runner and a worker have in common. */
#ifndef PTQSCALE_MPI_EXECUTOR_H
#define PTQSCALE_MPI_EXECUTOR_H

#include "jobs/cell.h"
#include "jobs/spec.h"
#include "results/record.h"
#include "study/run_cell.h"
#include "study/team.h"

enum outcome_kind {
    OUTCOME_FINISHED, /* done or diverged; its file is in the run's folder */
    OUTCOME_MEMBER, /* the same on ranks of the team that do not lead it: what the leader says counts */
    OUTCOME_FAILED,     /* the cell's own failure: recorded, the study goes on */
    OUTCOME_STOPPED,    /* the team was stopped, or is broken */
    OUTCOME_NOT_STORED, /* its file could not be written: the run has to stop */
    OUTCOME_NO_CORPUS,  /* this host cannot read the text: the run has to stop */
};

/* How a cell ended. Plain bytes: it travels between ranks. */
struct outcome {
    enum outcome_kind kind;
    char id[CELL_ID];
    enum cell_status status; /* finished: done or diverged */
    bool full;               /* not stored: because there is no space left */
    char checksum[17];       /* finished: of the cell's file */
    double seconds;          /* wall time */
    double loss;             /* finished: last held-out loss, nats per token; NaN */
    char reason[512];        /* why it diverged, failed or was not stored; "" */
};

struct executor;

/* `out` is the run's folder; a running cell is saved there each `checkpoint_every` seconds of wall
 * time (0: only when the team is cancelled). All arguments are copied; the text is loaded when the first
 * cell runs. */
int executor_create(struct error *err, const struct data_source *source,
                    const struct cell_data *data, const char *out, double checkpoint_every,
                    struct executor **executor);
void executor_free(struct executor *executor); /* NULL is fine */

const char *executor_host(const struct executor *executor);

/* Run `cell`, the `attempts`-th time that it is begun, from its checkpoint if the folder has one,
 * and write its record to `file`. Whatever happens is in *outcome. Who journals the outcome removes
 * the checkpoint after that (checkpoint_remove). Collective over the team, of which rank 0, the leader, writes the
 * file; a rank's own failure does not end the others. */
void executor_run(struct executor *executor, const struct cell *cell, int attempts,
                  const char *file, struct team *team, progress_fn *report, void *report_context,
                  struct outcome *outcome);

/* Is this failure to write below `path` one of lack of space (or quota)? Then the run can go on
 * once there is some. */
bool executor_storage_full(const char *path, const struct error *failure);

#endif
