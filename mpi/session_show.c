#include "mpi/session_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mpi/clock.h"

enum { FAILURES_LISTED = 20 };

int session_finished_cells(const struct session *s)
{
    return scheduler_count(s->scheduler, CELL_DONE) + scheduler_count(s->scheduler, CELL_DIVERGED);
}

const char *session_label(const struct cell *cell, char text[SESSION_LABEL])
{
    snprintf(text, SESSION_LABEL, "%s %s seed %llu", cell->size.name, cell->setting,
             (unsigned long long)cell->seed);
    return text;
}

int session_given_up(const struct session *s)
{
    return scheduler_count(s->scheduler, CELL_FAILED) +
           scheduler_count(s->scheduler, CELL_QUARANTINED);
}

/* The estimate looks at every cell: of a large study once a second. */
static double estimate(struct session *s)
{
    double now = clock_seconds();
    if (s->cells <= 1000 || isnan(s->eta) || now - s->eta_made >= 1) {
        s->eta = scheduler_eta(s->scheduler, now);
        s->eta_made = now;
    }
    return s->eta;
}

void session_show_begin(struct session *s, int index)
{
    char label[SESSION_LABEL];
    const struct rundir_cell *known = rundir_find(s->dir, s->cell[index].id);
    char others[32] = "";
    if (known->ranks > 1) {
        snprintf(others, sizeof others, " and %d more", known->ranks - 1);
    }
    display_event(&s->display, false, "begin  %s (%.8s) on rank %d%s, %s",
                  session_label(&s->cell[index], label), s->cell[index].id, known->worker, others,
                  known->host);
}

void session_show_end(struct session *s, const struct session_end *end)
{
    const struct outcome *outcome = &end->outcome;
    const struct cell *cell = &s->cell[end->cell];
    char label[SESSION_LABEL], took[CLOCK_DURATION], eta[CLOCK_DURATION], loss[32] = "",
                                                                          reason[560] = "";
    clock_duration(outcome->seconds, took);
    clock_duration(estimate(s), eta);
    if (isfinite(outcome->loss)) {
        snprintf(loss, sizeof loss, ", loss %.4f", outcome->loss);
    }
    if (outcome->reason[0]) {
        snprintf(reason, sizeof reason, ": %s", outcome->reason);
    }
    display_event(&s->display, end->state != CELL_DONE,
                  "%-8s %s (%.8s) in %s%s%s; %d/%d cells, ETA %s", cell_status_name(end->state),
                  session_label(cell, label), cell->id, took, loss, reason,
                  session_finished_cells(s), s->cells, eta);
}

void session_show_lost(struct session *s, int worker, int cell, enum cell_status state, int deaths,
                       const char *reason)
{
    const struct rundir_live *live = &s->live[worker];
    char label[SESSION_LABEL], often[64] = "", held[SESSION_LABEL + 128] = "it held no cell";
    if (cell >= 0) {
        snprintf(held, sizeof held, "%s (%.8s) %s", session_label(&s->cell[cell], label),
                 s->cell[cell].id,
                 state == CELL_QUARANTINED ? "is quarantined" : "goes to another worker");
    }
    if (deaths > 1) {
        snprintf(often, sizeof often, " (%d workers died while they ran it)", deaths);
    }
    display_event(&s->display, true, "lost   rank %d on %s: %s; %s%s", live->worker, live->host,
                  reason, held, often);
}

static void describe_running(const struct session *s, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int w = 0; w < s->workers && used + 100 < size; w++) {
        int index = scheduler_holds(s->scheduler, w);
        const struct rundir_live *live = &s->live[w];
        if (index < 0 || live->leader != live->worker) {
            continue;
        }
        char label[SESSION_LABEL], loss[32] = "", team[16] = "";
        if (live->ranks > 1) {
            snprintf(team, sizeof team, " x%d", live->ranks);
        }
        double done = live->steps > 0 ? 100.0 * (double)live->step / (double)live->steps : 0;
        if (isfinite(live->loss)) {
            snprintf(loss, sizeof loss, " loss %.3f", live->loss);
        }
        int length = snprintf(text + used, size - used, "%s%.60s%s %.0f%%%s", used > 0 ? ", " : "",
                              session_label(&s->cell[index], label), team, done, loss);
        used += length > 0 ? (size_t)length : 0;
    }
}

void session_show_state(struct session *s)
{
    char running[400];
    describe_running(s, running, sizeof running);
    display_update(&s->display, &(struct display_state){
                                    .cells = s->cells,
                                    .finished = session_finished_cells(s),
                                    .running = scheduler_count(s->scheduler, CELL_RUNNING),
                                    .failed = session_given_up(s),
                                    .eta = estimate(s),
                                    .current = running,
                                });
}

void session_show_failed(const struct session *s)
{
    int listed = 0;
    for (int i = 0; i < s->cells; i++) {
        enum cell_status state = scheduler_status(s->scheduler, i);
        if (state != CELL_FAILED && state != CELL_QUARANTINED) {
            continue;
        }
        if (listed++ == FAILURES_LISTED) {
            fprintf(stderr, "ptqscale: … all of them: ptqscale status %s\n", rundir_path(s->dir));
            break;
        }
        char label[SESSION_LABEL];
        const struct rundir_cell *known = rundir_find(s->dir, s->cell[i].id);
        fprintf(stderr, "ptqscale: %s: %s (%s): %s\n", cell_status_name(state),
                session_label(&s->cell[i], label), s->cell[i].id, known ? known->reason : "");
    }
}

void session_show_summary(const struct session *s)
{
    char took[CLOCK_DURATION], diverged[64] = "", text[LOOK_TEXT];
    int count = scheduler_count(s->scheduler, CELL_DIVERGED);
    clock_duration(clock_seconds() - s->started, took);
    if (count > 0) {
        snprintf(diverged, sizeof diverged, " (%d of them diverged, which is a result)", count);
    }
    const struct look *look = NULL;
    const int looks = rundir_looks(s->dir, &look);
    printf("study %s is finished: all %d cells%s; %s%s\n", s->spec->name, s->cells, diverged,
           s->ran ? "this run took " : "nothing to run", s->ran ? took : "");
    if (looks > 0) {
        printf("looked at with %s\n", look_text(&look[looks - 1], text));
    }
    printf("next: ptqscale report %s\n", rundir_path(s->dir));
    fflush(stdout);
}
