/* The events of a run's folder. */
#include "results/rundir_events.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/version.h"
#include "results/replay.h"

int rundir_log_run(struct error *err, struct rundir *dir, int ranks, int cells, const char *job_id)
{
    struct journal_line line = {.event = "run"};
    char rank_text[16], cell_text[16], host[128] = "?", pid[16];
    snprintf(rank_text, sizeof rank_text, "%d", ranks);
    snprintf(cell_text, sizeof cell_text, "%d", cells);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    gethostname(host, sizeof host - 1);
    journal_pair(&line, "ranks", rank_text);
    journal_pair(&line, "cells", cell_text);
    if (job_id != NULL && job_id[0] != '\0') {
        journal_pair(&line, "job", job_id);
    }
    journal_pair(&line, "host", host);
    journal_pair(&line, "pid", pid);
    journal_pair(&line, "version", version_string());
    journal_pair(&line, "commit", version_commit());
    return rundir_append(err, dir, &line);
}

int rundir_log_begin(struct error *err, struct rundir *dir, const struct cell *cell, int worker,
                     const char *host, int ranks)
{
    struct journal_line line = {.event = "begin"};
    const struct rundir_cell *known = rundir_find(dir, cell->id);
    char attempt[16], worker_text[16], seed[24], ranks_text[16];
    snprintf(attempt, sizeof attempt, "%d",
             known == NULL ? 1 : known->attempts + (known->widened ? 0 : 1));
    snprintf(ranks_text, sizeof ranks_text, "%d", ranks);
    snprintf(worker_text, sizeof worker_text, "%d", worker);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)cell->seed);
    journal_pair(&line, "cell", cell->id);
    journal_pair(&line, "attempt", attempt);
    journal_pair(&line, "worker", worker_text);
    journal_pair(&line, "host", host == NULL ? "" : host);
    journal_pair(&line, "size", cell->size.name);
    journal_pair(&line, "setting", cell->setting);
    journal_pair(&line, "seed", seed);
    if (ranks > 1) {
        journal_pair(&line, "ranks", ranks_text);
    }
    return rundir_append(err, dir, &line);
}

int rundir_log_end(struct error *err, struct rundir *dir, const char *id, enum cell_status ended,
                   const char *checksum, double seconds, const char *reason)
{
    int status = STATUS_OK;
    struct journal_line line = {.event = "end"};
    char short_reason[512], wall[32];
    bool finished = ended == CELL_DONE || ended == CELL_DIVERGED;
    CHECK(err, ended != CELL_RUNNING && (!finished || (checksum != NULL && strlen(checksum) == 16)),
          STATUS_FAILED, "cell %s cannot end as \"%s\" with checksum \"%s\"", id,
          cell_status_name(ended), checksum == NULL ? "" : checksum);
    snprintf(wall, sizeof wall, "%.3f", seconds > 0 && seconds < 1e12 ? seconds : 0.0);
    journal_pair(&line, "cell", id);
    journal_pair(&line, "status", cell_status_name(ended));
    if (finished) {
        journal_pair(&line, "checksum", checksum);
    }
    journal_pair(&line, "seconds", wall);
    if (reason != NULL && reason[0] != '\0') {
        snprintf(short_reason, sizeof short_reason, "%s", reason);
        journal_pair(&line, "reason", short_reason);
    }
    TRY(rundir_append(err, dir, &line));
cleanup:
    return status;
}

int rundir_log_resumed(struct error *err, struct rundir *dir, const char *id, int64_t step)
{
    struct journal_line line = {.event = "resumed"};
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)step);
    journal_pair(&line, "cell", id);
    journal_pair(&line, "step", text);
    return rundir_append(err, dir, &line);
}

int rundir_log_lost(struct error *err, struct rundir *dir, const char *id, bool counted, int worker,
                    const char *host, const char *reason)
{
    struct journal_line line = {.event = "lost"};
    char text[16];
    snprintf(text, sizeof text, "%d", worker);
    if (id != NULL) {
        journal_pair(&line, "cell", id);
        journal_pair(&line, "counted", counted ? "yes" : "no");
    }
    journal_pair(&line, "worker", text);
    journal_pair(&line, "host", host);
    journal_pair(&line, "reason", reason);
    return rundir_append(err, dir, &line);
}

int rundir_log_quarantined(struct error *err, struct rundir *dir, const char *id,
                           const char *reason)
{
    struct journal_line line = {.event = "quarantined"};
    const struct rundir_cell *known = rundir_find(dir, id);
    char text[16];
    snprintf(text, sizeof text, "%d", known == NULL ? 0 : known->deaths);
    journal_pair(&line, "cell", id);
    journal_pair(&line, "deaths", text);
    journal_pair(&line, "reason", reason);
    return rundir_append(err, dir, &line);
}

int rundir_log_retry(struct error *err, struct rundir *dir, const char *id)
{
    struct journal_line line = {.event = "retry"};
    journal_pair(&line, "cell", id);
    return rundir_append(err, dir, &line);
}

int rundir_log_look(struct error *err, struct rundir *dir, const struct spec *spec,
                    const struct look *look)
{
    struct journal_line line = {.event = "look"};
    char seeds[16], next[16], asked[16], level[40], spent[40], plan[SPEC_LOOKS_TEXT + 32];
    snprintf(seeds, sizeof seeds, "%d", look->seeds);
    snprintf(next, sizeof next, "%d", look->next);
    snprintf(asked, sizeof asked, "%d", look->asked);
    snprintf(level, sizeof level, "%.17g", look->level);
    snprintf(spent, sizeof spent, "%.17g", look->spent);
    replay_plan(&spec->looks, plan, sizeof plan);
    journal_pair(&line, "seeds", seeds);
    journal_pair(&line, "plan", plan);
    journal_pair(&line, "decision", look_decision_name(look->decision));
    journal_pair(&line, "next", next);
    journal_pair(&line, "asked", asked);
    journal_pair(&line, "level", level);
    journal_pair(&line, "spent", spent);
    if (look->undecided[0] != '\0') {
        journal_pair(&line, "undecided", look->undecided);
    }
    return rundir_append(err, dir, &line);
}

int rundir_log_stop(struct error *err, struct rundir *dir, const char *why, double took,
                    double busy, double had)
{
    struct journal_line line = {.event = "stop"};
    char text[32], busy_text[32], had_text[32];
    journal_pair(&line, "why", why);
    if (took > 0) {
        snprintf(text, sizeof text, "%.3f", took);
        journal_pair(&line, "took", text);
    }
    if (had > 0) {
        snprintf(busy_text, sizeof busy_text, "%.3f", busy);
        snprintf(had_text, sizeof had_text, "%.3f", had);
        journal_pair(&line, "busy", busy_text);
        journal_pair(&line, "had", had_text);
    }
    return rundir_append(err, dir, &line);
}
