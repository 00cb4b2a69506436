/* Adaptive replication (METHOD §6): a look at the finished cells, and the seeds that it adds. Nobody has a cell meanwhile. */
#include <stdio.h>
#include <stdlib.h>

#include "mpi/clock.h"
#include "mpi/session_state.h"
#include "results/table.h"

/* The last look, if it was taken with all the seeds that there are; else NULL. */
static const struct look *taken(const struct session *s)
{
    const struct look *look = NULL;
    const int looks = rundir_looks(s->dir, &look);
    return looks > 0 && look[looks - 1].seeds == s->spec->seeds ? &look[looks - 1] : NULL;
}

/* Core-seconds of the finished cells: what the study has cost, but for attempts that were lost. */
static double spent_seconds(const struct session *s)
{
    double spent = 0;
    for (int i = 0; i < s->cells; i++) {
        const struct rundir_cell *known = rundir_find(s->dir, s->cell[i].id);
        spent += known != NULL ? known->seconds * known->ranks : 0;
    }
    return spent;
}

/* Would the next block cost more than is left? It costs what the blocks so far did. */
static bool beyond_budget(const struct session *s)
{
    const struct spec *spec = s->spec;
    const double blocks = (double)look_next(&spec->looks, spec->seeds) / spec->seeds;
    return spec->looks.budget > 0 && blocks * spent_seconds(s) > spec->looks.budget;
}

bool session_look_due(const struct session *s)
{
    if (s->spec->looks.count == 0 || session_finished_cells(s) < s->cells) {
        return false;
    }
    const struct look *look = taken(s);
    return look == NULL || (look->decision == LOOK_BUDGET && !beyond_budget(s));
}

int session_renew(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    struct cell *cell = s->cell;
    struct scheduler *scheduler = s->scheduler;
    const int cells = s->cells;
    s->scheduler = NULL;
    TRY(spec_cells(err, s->spec, &s->cell, &s->cells));
    TRY(session_schedule(err, s));
    for (int w = 0; w < s->workers; w++) {
        if (s->lost[w]) {
            scheduler_retire(s->scheduler, w);
        } else if (s->live[w].host[0] != '\0') {
            scheduler_ready(s->scheduler, w);
        }
    }
cleanup:
    if (s->scheduler == NULL) { /* the session is still to be closed in order */
        free(s->cell);
        s->cell = cell;
        s->cells = cells;
        s->scheduler = scheduler;
    } else {
        free(cell);
        scheduler_free(scheduler);
    }
    return status;
}

/* What the finished cells say, from the study.nc that a reader sees. */
static int look(struct error *err, struct session *s, struct look *look)
{
    int status = STATUS_OK;
    struct table *table = NULL;
    char path[SPEC_PATH + 64];
    snprintf(path, sizeof path, "%s/study.nc", rundir_path(s->dir));
    TRY(aggregate_write(err, s->dir, s->spec, s->cell, s->cells, &s->provenance));
    TRY(table_read(err, path, &table));
    TRY(look_take(err, table, &s->spec->looks, s->spec->seeds, look));
    if (look->decision == LOOK_MORE && beyond_budget(s)) {
        look->decision = LOOK_BUDGET;
        look->next = look->seeds;
    }
cleanup:
    table_free(table);
    return status;
}

int session_look(struct error *err, struct session *s)
{
    int status = STATUS_OK;
    struct look found;
    char text[LOOK_TEXT];
    TRY(session_commit(err, s));
    TRY(look(err, s, &found));
    TRY(rundir_log_look(err, s->dir, s->spec, &found));
    TRY(rundir_sync(err, s->dir)); /* from here on it counts, also if nothing below happens */
    s->changed = true;             /* study.nc tells of the look, too */
    display_event(&s->display, true, "look at %s", look_text(&found, text));
    if (found.decision == LOOK_MORE) {
        spec_set_seeds(s->spec, found.next);
        TRY(rundir_keep_study(err, s->dir, s->spec));
        TRY(session_renew(err, s));
        TRY(session_adopt(err, s, false));
    }
cleanup:
    return session_storage_failure(err, rundir_path(s->dir), status);
}
