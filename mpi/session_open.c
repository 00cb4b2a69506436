/* A session's beginning. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/cost.h"
#include "jobs/pace.h"
#include "jobs/width.h"
#include "mpi/algebra.h"
#include "mpi/clock.h"
#include "mpi/launcher.h"
#include "mpi/session_state.h"
#include "mpi/transport.h"
#include "study/tasks/read.h"

static const double reference_rate = 2e10; /* FLOP/s until cells have taught better */

static int worker_rank(const struct session *s, int worker)
{
    return s->ranks > 1 ? worker + 1 : 0;
}

/* On how many ranks a cell runs, for how long, and on how many it might. One process is a team of one, whatever the study wants:
 * the results are the same. */
static int describe_cell(struct error *err, const struct session *s, int index,
                         struct scheduler_item *item)
{
    int status = STATUS_OK;
    struct cell cell = s->cell[index];
    struct width width;
    struct cost cost;
    cell.ranks = s->ranks > 1 ? cell.ranks : 1;
    TRY(width_choose(err, &cell, s->memory, s->workers, &width));
    CHECK(err, width.ranks <= WIDTH_MOST, STATUS_FAILED,
          "size %s: a team of %d; there can be %d ranks in one", cell.size.name, width.ranks,
          WIDTH_MOST);
    item->width = width.ranks;
    item->most = width_widest(&cell, s->workers);
    item->gain = item->width < item->most
                     ? pace_gain(&cell, width.ranks, width.recompute, &pace_assumed)
                     : 0;
    cost_of(&cell, &cost);
    item->seconds = cost_seconds(&cost, reference_rate);
    if (width.ranks > 1) {
        item->seconds *= pace_seconds(&cell, width.ranks, width.recompute, &pace_assumed) /
                         pace_seconds(&cell, 1, false, &pace_assumed);
    }
cleanup:
    return status;
}

int session_schedule(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    struct scheduler_item *item = calloc((size_t)s->cells + 1, sizeof *item);

    CHECK(err, item != NULL, STATUS_FAILED, "out of memory for %d cells", s->cells);
    for (int i = 0; i < s->cells; i++) {
        if (i > 0 && width_same(&s->cell[i], &s->cell[i - 1])) {
            item[i] = item[i - 1];
            continue;
        }
        TRY(describe_cell(err, s, i, &item[i]));
        /* Cells of one kind run at one rate: same size, same precision. */
        item[i].kind = 3 * spec_size_of(s->spec, &s->cell[i]) + (int)s->cell[i].train.precision;
    }
    TRY(scheduler_create(err, item, s->cells, s->workers, &s->scheduler));
cleanup:
    free(item);
    return status;
}

/* What an earlier run has finished need not run again, if its file is whole. */
static int adopt_finished(struct error *err, struct session *s, int i,
                          const struct rundir_cell *known)
{
    int status = STATUS_OK;
    enum cell_status state = known->status;
    double seconds = state == CELL_DONE && known->resumed == 0 ? known->seconds : 0;
    bool ok = false;
    TRY(rundir_verify(err, s->dir, s->cell[i].id, &ok)); /* `known` is not valid after it */
    if (ok) {
        TRY(scheduler_adopt(err, s->scheduler, i, state, seconds));
        session_drop_checkpoint(s, s->cell[i].id); /* of a run that was killed before it could */
    } else {
        char label[SESSION_LABEL];
        fprintf(stderr, "ptqscale: %s (%s) is computed again\n", session_label(&s->cell[i], label),
                s->cell[i].id);
    }
cleanup:
    return status;
}

/* What an earlier run had finished and, killed, could not log. */
static int adopt_unlogged(struct error *err, struct session *s, int i)
{
    int status = STATUS_OK;
    enum cell_status found = CELL_PENDING;
    TRY(rundir_recover(err, s->dir, &s->cell[i], &found));
    if (found != CELL_PENDING) {
        TRY(scheduler_adopt(err, s->scheduler, i, found, 0));
        session_drop_checkpoint(s, s->cell[i].id);
    }
cleanup:
    return status;
}

int session_adopt(struct error *err, struct session *s, bool retry_failed)
{
    int status = STATUS_OK;
    for (int i = 0; i < s->cells; i++) {
        if (i % RUNDIR_CELLS_PER_BEAT ==
            0) { /* thousands of files take longer than a lease lasts */
            TRY(rundir_beat(err, s->dir));
        }
        const struct rundir_cell *known = rundir_find(s->dir, s->cell[i].id);
        enum cell_status state = known != NULL ? known->status : CELL_PENDING;
        if (state == CELL_DONE || state == CELL_DIVERGED) {
            TRY(adopt_finished(err, s, i, known));
        } else if ((state == CELL_FAILED || state == CELL_QUARANTINED) && !retry_failed) {
            TRY(scheduler_adopt(err, s->scheduler, i, state, 0));
        } else if (state == CELL_FAILED || state == CELL_QUARANTINED) {
            TRY(rundir_log_retry(err, s->dir, s->cell[i].id));
        } else {
            TRY(adopt_unlogged(err, s, i));
        }
    }
    TRY(rundir_sync(err, s->dir));
cleanup:
    return status;
}

void session_free(struct session *s)
{
    if (s) {
        scheduler_free(s->scheduler);
        rundir_close(s->dir);
        stop_close(&s->stop);
        free(s->cell);
        free(s->live);
        free(s->lost);
        free(s->mate);
        free(s->since);
        free(s->end);
        free(s->begun);
        spec_free(s->spec);
        free(s);
    }
}

static int read_study(struct error *err, struct session *s, const struct run_options *options)
{
    int status = STATUS_OK;
    TRY(spec_read(err, options->study, &s->spec));
    if (options->shard.count > 0) {
        s->spec->shard = options->shard;
    }
    TRY(spec_fingerprint(err, s->spec));
    TRY(task_identify(err, s->spec));
    TRY(spec_cells(err, s->spec, &s->cell, &s->cells));
    CHECK(err, s->cells > 0, STATUS_USAGE, "%s: the study has no cells", options->study);
    s->pace = s->spec->run;
    if (options->checkpoint_every >= 0) {
        s->pace.checkpoint_every = options->checkpoint_every;
    }
    if (options->memory > 0) {
        s->pace.memory_per_rank = options->memory;
    }
    if (options->heartbeat_timeout >= 0) {
        s->pace.heartbeat_timeout = options->heartbeat_timeout;
    }
    s->memory = width_memory(s->pace.memory_per_rank, spec_text_bytes(s->spec));
cleanup:
    return status;
}

int session_open(struct error *err, const struct run_options *options, int ranks, const char *mpi,
                 struct session **session)
{
    int status = STATUS_OK;
    struct session *s = calloc(1, sizeof *s);
    const char *job = getenv("SLURM_JOB_ID");

    *session = NULL;
    CHECK(err, s != NULL, STATUS_FAILED, "out of memory");
    s->ranks = ranks;
    s->workers = ranks > 1 ? ranks - 1 : 1;
    s->started = clock_seconds();
    s->no_aggregate = options->no_aggregate;
    s->display = display_create();
    snprintf(s->provenance.mpi, sizeof s->provenance.mpi, "%s", mpi);
    snprintf(s->provenance.job_id, sizeof s->provenance.job_id, "%.200s", job ? job : "");
    snprintf(s->provenance.libraries, sizeof s->provenance.libraries, "%s; ScaLAPACK with %.120s",
             run_cell_matmul(), algebra_blas());

    TRY(stop_open(err, options->deadline, options->margin, &s->stop));
    TRY(read_study(err, s, options));
    s->live = calloc((size_t)s->workers, sizeof *s->live);
    s->lost = calloc((size_t)s->workers, sizeof *s->lost);
    s->mate = calloc((size_t)s->workers, sizeof *s->mate);
    s->since = calloc((size_t)s->workers, sizeof *s->since);
    s->end = calloc(SESSION_BATCH + 2 * (size_t)s->workers, sizeof *s->end);
    s->begun = calloc(SESSION_BATCH + 2 * (size_t)s->workers, sizeof *s->begun);
    CHECK(err,
          s->live != NULL && s->lost != NULL && s->mate != NULL && s->since != NULL &&
              s->end != NULL && s->begun != NULL,
          STATUS_FAILED, "out of memory for %d workers", s->workers);
    for (int w = 0; w < s->workers; w++) {
        s->live[w].worker = worker_rank(s, w);
        s->live[w].heard = clock_unix();
    }
    TRY(session_schedule(err, s));
    const int seeds = s->spec->seeds;
    TRY(rundir_open(err, options->out, s->spec, &s->dir));
    rundir_batch(s->dir, true);
    if (s->spec->seeds != seeds) { /* looks of an earlier run have added some */
        TRY(session_renew(err, s));
    }
    TRY(session_adopt(err, s, options->retry_failed));
    if (session_look_due(s)) {
        TRY(session_look(err, s));
    }
    *session = s;
    s = NULL;
cleanup:
    status = session_storage_failure(err, options->out, status);
    session_free(s);
    if (status != STATUS_OK && launcher_recovery() == RECOVERY_ON) {
        rundir_leave_status(NULL, options->out, status); /* the launcher does not tell it */
    }
    return status;
}

int session_start(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    int before = session_finished_cells(s), given_up = session_given_up(s);
    char earlier[64] = "", failed[96] = "";

    s->ran = true;
    TRY(rundir_clear_stop(err, s->dir));
    TRY(rundir_clear_status(err, s->dir));
    TRY(rundir_log_run(err, s->dir, s->ranks, s->cells, s->provenance.job_id));
    TRY(rundir_sync(err, s->dir));
    if (before > 0) {
        snprintf(earlier, sizeof earlier, ", %d of them finished before", before);
    }
    if (given_up > 0) {
        snprintf(failed, sizeof failed,
                 ", %d failed before and left alone (--retry-failed tries them again)", given_up);
    }
    display_event(&s->display, true, "study %s: %d cells%s%s; %s, folder %s", s->spec->name,
                  s->cells, earlier, failed,
                  s->ranks > 1 ? "coordinator and workers" : "one process", rundir_path(s->dir));
    s->began = s->last_aggregate = s->last_beat = clock_seconds();
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}
