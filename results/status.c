#include "results/status.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs/cost.h"
#include "results/rundir.h"
#include "results/study_cells.h"
#include "results/text.h"

/* A run whose workers were all silent for so long is taken for over. Workers are heard of every few seconds, the file that
 * tells about them is rewritten every few seconds. */
enum { SILENCE = 60, SHORT_ID = 8, WORKERS_LISTED = 100 };

struct state {
    FILE *out;
    const char *path;
    const struct rundir *dir;
    const struct study_cells *study;
    const struct rundir_cell *known; /* all that the folder has seen */
    int knowns;
    const struct rundir_live *live;
    int workers;                     /* in `live` */
    int lost;                        /* of them: given up by the coordinator */
    int64_t now, heard;              /* Unix seconds; heard 0 = never */
    int count[CELL_QUARANTINED + 1]; /* cells of the study */
    int others;                      /* finished cells of an earlier version of the study */
    bool active;
};

static int64_t age(const struct state *state, int64_t then)
{
    return then < state->now ? state->now - then : 0; /* clocks of nodes differ a little */
}

static enum cell_status status_of(const struct state *state, const char *id)
{
    const struct rundir_cell *cell = rundir_find(state->dir, id);
    if (cell == NULL) {
        return CELL_PENDING;
    }
    /* begun, not ended, and nobody at work: the next run takes it up again */
    return cell->status == CELL_RUNNING && !state->active ? CELL_PENDING : cell->status;
}

static bool is_lost(const struct rundir_live *live)
{
    return strcmp(live->state, "lost") == 0;
}

static void count_cells(struct state *state)
{
    for (int w = 0; w < state->workers; w++) {
        state->heard = state->live[w].heard > state->heard ? state->live[w].heard : state->heard;
        state->lost += is_lost(&state->live[w]);
    }
    state->active = state->heard > 0 && age(state, state->heard) <= SILENCE;
    if (!state->study->identified) {
        for (int k = 0; k < state->knowns; k++) {
            state->count[status_of(state, state->known[k].id)]++;
        }
        int missing = state->study->count - state->knowns;
        state->count[CELL_PENDING] += missing > 0 ? missing : 0;
        return;
    }
    for (int i = 0; i < state->study->count; i++) {
        state->count[status_of(state, state->study->cell[i].id)]++;
    }
    for (int k = 0; k < state->knowns; k++) {
        state->others += study_cells_find(state->study, state->known[k].id) == NULL;
    }
}

static bool unfinished(enum cell_status status)
{
    return status == CELL_PENDING || status == CELL_RUNNING;
}

/* ── Time left ── */

static double flops_of(const struct cell *cell)
{
    struct cost cost;
    cost_of(cell, &cost);
    return cost.train_flops + cost.evaluate_flops;
}

/* FLOP/s of one worker over all cells that are done; 0 = not known yet. */
static double measured_rate(const struct state *state, int *cells)
{
    double flops = 0;
    double seconds = 0;
    *cells = 0;
    for (int k = 0; k < state->knowns; k++) {
        const struct cell *cell = study_cells_find(state->study, state->known[k].id);
        if (cell != NULL && state->known[k].status == CELL_DONE && state->known[k].seconds > 0) {
            flops += flops_of(cell);
            seconds += state->known[k].seconds * state->known[k].ranks;
            (*cells)++;
        }
    }
    return seconds > 0 ? flops / seconds : 0;
}

/* Part of a cell's training that a live worker has not done yet. */
static double part_left(const struct state *state, const char *id)
{
    for (int w = 0; w < state->workers && state->active; w++) {
        const struct rundir_live *live = &state->live[w];
        if (strcmp(live->id, id) == 0 && live->steps > 0) {
            double done = (double)live->step / (double)live->steps;
            return done < 0 ? 1 : done > 1 ? 0 : 1 - done;
        }
    }
    return 1;
}

static int print_left(struct error *err, const struct state *state)
{
    int status = STATUS_OK;
    int from = 0;
    int left = 0;
    double *seconds = NULL;
    double total = 0;
    double rate = measured_rate(state, &from);
    if (state->count[CELL_PENDING] + state->count[CELL_RUNNING] == 0) {
        goto cleanup;
    }
    if (!(rate > 0)) {
        text_wrap(state->out, "Left:    ", "no estimate before the first cell is done");
        goto cleanup;
    }
    seconds = calloc((size_t)state->study->count, sizeof *seconds);
    CHECK(err, seconds != NULL, STATUS_FAILED, "out of memory");
    for (int i = 0; i < state->study->count; i++) {
        const struct cell *cell = &state->study->cell[i];
        if (unfinished(status_of(state, cell->id))) {
            seconds[left] = flops_of(cell) / rate * part_left(state, cell->id);
            total += seconds[left++];
        }
    }
    int workers = state->workers - state->lost;
    if (state->active && workers > 0) {
        text_say(state->out, "Left:    ", "about %s with %d workers (from the pace of %d cells)",
                 text_seconds(cost_makespan(seconds, left, workers)).s, workers, from);
    } else {
        text_say(state->out,
                 "Left:    ", "about %s of one worker's time (from the pace of %d cells)",
                 text_seconds(total).s, from);
    }
cleanup:
    free(seconds);
    return status;
}

/* ── Parts ── */

/* Adaptive replication: how far it has come. */
static void print_looks(const struct state *state)
{
    const struct spec *spec = state->study->spec;
    const struct look *look = NULL;
    const int looks = rundir_looks(state->dir, &look);
    char text[LOOK_TEXT];
    if (spec->looks.count > 0) {
        text_say(state->out, "Looks:   ", "at %s seeds, until the verdicts are decided; %d now",
                 spec_looks_text(&spec->looks, text), spec->seeds);
    }
    for (int i = 0; i < looks; i++) {
        text_say(state->out, "         ", "with %s", look_text(&look[i], text));
    }
}

static void print_summary(const struct state *state)
{
    const struct spec *spec = state->study->spec;
    FILE *out = state->out;
    int left = state->count[CELL_PENDING] + state->count[CELL_RUNNING];
    text_say(out, "", "%s%s%s", spec->name, spec->title[0] != '\0' ? ": " : "", spec->title);
    text_wrap(out, "Folder:  ", state->path);
    int given_up = state->count[CELL_FAILED] + state->count[CELL_QUARANTINED];
    const char *why = rundir_stopped(state->dir);
    if (state->active) {
        text_say(out, "Run:     ", "active, last heard of %s ago",
                 text_seconds((double)age(state, state->heard)).s);
        if (state->lost > 0) {
            text_say(out, "         ", "%d of %d workers are lost", state->lost, state->workers);
        }
    } else if (left == 0 && given_up > 0) {
        text_wrap(out, "Run:     ",
                  "finished, but for the cells listed below; `ptqscale run --retry-failed` tries "
                  "them again");
    } else if (left == 0) {
        text_wrap(out, "Run:     ", "finished");
    } else if (why != NULL) {
        text_say(out, "Run:     ", "stopped (%s); the same `ptqscale run` goes on where it stopped",
                 why);
    } else if (state->heard > 0) {
        text_say(
            out, "Run:     ",
            "not active (last heard of %s ago); the same `ptqscale run` goes on where it stopped",
            text_seconds((double)age(state, state->heard)).s);
    } else {
        text_wrap(out, "Run:     ",
                  "no worker has been heard of; `ptqscale run` starts or goes on with it");
    }
    text_say(out, "Cells:   ",
             "%d = %d done + %d running + %d waiting + %d diverged + %d failed + %d quarantined",
             state->study->count, state->count[CELL_DONE], state->count[CELL_RUNNING],
             state->count[CELL_PENDING], state->count[CELL_DIVERGED], state->count[CELL_FAILED],
             state->count[CELL_QUARANTINED]);
    if (state->others > 0) {
        text_say(out, "         ", "and %d cells that the study no longer contains", state->others);
    }
    print_looks(state);
    if (!state->study->identified) {
        text_say(out, "Note:    ", "cells are known by id only, and no time is estimated: %s",
                 state->study->why);
    }
}

static const char *name_of(const struct state *state, const char *id, char name[STUDY_CELL_NAME])
{
    const struct cell *cell = study_cells_find(state->study, id);
    return cell != NULL ? study_cell_name(cell, name) : "?";
}

static int print_workers(struct error *err, const struct state *state)
{
    int status = STATUS_OK;
    struct text_table *columns = NULL;
    if (!state->active) {
        goto cleanup;
    }
    TRY(text_table_open(err, "rlllllrrrr", 1, &columns));
    static const char *const head[] = {
        "worker", "host", "state", "team", "cell", "size/setting/seed",
        "step",   "loss", "tok/s", "heard"};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        text_table_add(columns, "%s", head[i]);
    }
    int listed = 0;
    for (int w = 0; w < state->workers; w++) {
        const struct rundir_live *live = &state->live[w];
        char name[STUDY_CELL_NAME];
        if (!is_lost(live) && listed++ >= WORKERS_LISTED) {
            continue;
        }
        bool idle = live->id[0] == '\0';
        text_table_add(columns, "%d", live->worker);
        text_table_add(columns, "%s", live->host);
        text_table_add(columns, "%s", live->state[0] != '\0' ? live->state : idle ? "idle" : "?");
        if (live->ranks > 1 && live->leader == live->worker) {
            text_table_add(columns, "%d ranks", live->ranks);
        } else if (live->ranks > 1) {
            text_table_add(columns, "of %d", live->leader);
        } else {
            text_table_add(columns, "%s", "");
        }
        text_table_add(columns, "%.*s", SHORT_ID, live->id);
        text_table_add(columns, "%s", idle ? "" : name_of(state, live->id, name));
        if (idle) {
            text_table_add(columns, "%s", "");
            text_table_add(columns, "%s", "");
            text_table_add(columns, "%s", "");
        } else {
            text_table_add(columns, "%lld/%lld", (long long)live->step, (long long)live->steps);
            text_table_add(columns, "%s", text_fixed(live->loss, 3, false).s);
            text_table_add(columns, "%s", text_fixed(live->tokens_per_second, 0, false).s);
        }
        text_table_add(columns, "%s ago", text_seconds((double)age(state, live->heard)).s);
    }
    fputc('\n', state->out);
    TRY(text_table_print(err, state->out, columns, 1));
    if (listed > WORKERS_LISTED) {
        text_say(state->out, "  ", "and %d workers more", listed - WORKERS_LISTED);
    }
cleanup:
    text_table_free(columns);
    return status;
}

/* Cells that are tried again after a worker died while it ran them. */
static void print_suspects(const struct state *state)
{
    bool any = false;
    for (int k = 0; k < state->knowns; k++) {
        const struct rundir_cell *cell = &state->known[k];
        char name[STUDY_CELL_NAME];
        if (cell->deaths == 0 || !unfinished(cell->status)) {
            continue;
        }
        if (!any) {
            fputs("\nTried again after their worker was lost\n", state->out);
            any = true;
        }
        text_say(state->out, "  * ", "%.*s %s, attempt %d, workers lost: %d%s%s", SHORT_ID,
                 cell->id, name_of(state, cell->id, name), cell->attempts, cell->deaths,
                 cell->reason[0] != '\0' ? "; " : "", cell->reason);
    }
}

static void print_ended(const struct state *state, enum cell_status which, const char *heading)
{
    bool any = false;
    for (int k = 0; k < state->knowns; k++) {
        const struct rundir_cell *cell = &state->known[k];
        if (cell->status != which) {
            continue;
        }
        if (!any) {
            fprintf(state->out, "\n%s\n", heading);
            any = true;
        }
        char name[STUDY_CELL_NAME];
        text_say(state->out, "  * ", "%.*s %s, attempt %d, worker %d on %s: %s", SHORT_ID, cell->id,
                 name_of(state, cell->id, name), cell->attempts, cell->worker,
                 cell->host[0] != '\0' ? cell->host : "?",
                 cell->reason[0] != '\0' ? cell->reason : "no reason recorded");
    }
}

int status_print(struct error *err, FILE *out, const char *path)
{
    int status = STATUS_OK;
    struct rundir *dir = NULL;
    struct rundir_live *live = NULL;
    struct study_cells study = {0};
    struct state state = {.out = out, .path = path, .study = &study, .now = (int64_t)time(NULL)};
    TRY(rundir_open_readonly(err, path, &dir));
    TRY(study_cells_read(err, path, &study));
    state.dir = dir;
    state.knowns = rundir_cells(dir, &state.known);
    /* advisory: a run's folder without it, or with a damaged one, still has a status */
    if (rundir_read_live(NULL, path, &live, &state.workers) != STATUS_OK) {
        state.workers = 0;
    }
    state.live = live;
    count_cells(&state);
    print_summary(&state);
    if (study.identified) {
        TRY(print_left(err, &state));
    }
    TRY(print_workers(err, &state));
    print_suspects(&state);
    print_ended(&state, CELL_FAILED, "Failed");
    print_ended(&state, CELL_QUARANTINED,
                "Quarantined (given up after repeated deaths of their worker)");
    print_ended(&state, CELL_DIVERGED, "Diverged (a result: the loss left the finite numbers)");
    CHECK(err, fflush(out) == 0 && !ferror(out), STATUS_FAILED, "the status cannot be written: %s",
          strerror(errno));
cleanup:
    free(live);
    study_cells_free(&study);
    rundir_close(dir);
    return status;
}
