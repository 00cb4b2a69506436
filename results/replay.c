#include "results/replay.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int home_slot(const struct replay *replay, const char *id)
{
    return (int)(XXH64(id, strlen(id), 0) & (unsigned long long)(replay->slots - 1));
}

static void take_slot(struct replay *replay, int index)
{
    int at = home_slot(replay, replay->cell[index].id);
    while (replay->slot[at] >= 0) {
        at = (at + 1) & (replay->slots - 1);
    }
    replay->slot[at] = index;
}

int replay_find(const struct replay *replay, const char *id)
{
    if (replay->slots == 0) {
        return -1;
    }
    for (int at = home_slot(replay, id); replay->slot[at] >= 0;
         at = (at + 1) & (replay->slots - 1)) {
        if (strcmp(replay->cell[replay->slot[at]].id, id) == 0) {
            return replay->slot[at];
        }
    }
    return -1;
}

static int replay_grow(struct error *err, struct replay *replay)
{
    int status = STATUS_OK;
    int capacity = replay->capacity == 0 ? 64 : 2 * replay->capacity;
    struct rundir_cell *cell = realloc(replay->cell, (size_t)capacity * sizeof *cell);
    CHECK(err, cell != NULL, STATUS_FAILED, "out of memory for %d cells", capacity);
    replay->cell = cell;
    int *slot = realloc(replay->slot, 4 * (size_t)capacity * sizeof *slot);
    CHECK(err, slot != NULL, STATUS_FAILED, "out of memory for %d cells", capacity);
    replay->slot = slot;
    replay->capacity = capacity;
    replay->slots = 4 * capacity;
    for (int i = 0; i < replay->slots; i++) {
        replay->slot[i] = -1;
    }
    for (int i = 0; i < replay->cells; i++) {
        take_slot(replay, i);
    }
cleanup:
    return status;
}

/* The cell that the event names; a new one if it was not known. */
static int replay_cell(struct error *err, struct replay *replay, const struct journal_line *line,
                       struct rundir_cell **cell)
{
    int status = STATUS_OK;
    const char *id = journal_value(line, "cell");
    CHECK(err, id != NULL && id[0] != '\0' && strlen(id) < CELL_ID, STATUS_FAILED,
          "event %s: cell=%s is not a cell's id", line->event, id == NULL ? "" : id);
    int index = replay_find(replay, id);
    if (index < 0) {
        if (replay->cells == replay->capacity) {
            TRY(replay_grow(err, replay));
        }
        index = replay->cells++;
        replay->cell[index] =
            (struct rundir_cell){.status = CELL_PENDING, .worker = -1, .ranks = 1};
        snprintf(replay->cell[index].id, CELL_ID, "%s", id);
        take_slot(replay, index);
    }
    *cell = &replay->cell[index];
cleanup:
    return status;
}

static void copy_value(const struct journal_line *line, const char *key, char *out, size_t size)
{
    const char *value = journal_value(line, key);
    snprintf(out, size, "%s", value == NULL ? "" : value);
}

static int bounded_value(struct error *err, const struct journal_line *line, const char *key,
                         int64_t most, int64_t *out)
{
    int status = STATUS_OK;
    const char *value = journal_value(line, key);
    char *end = NULL;
    errno = 0;
    long long number = value == NULL ? 0 : strtoll(value, &end, 10);
    CHECK(err,
          value != NULL && end != value && *end == '\0' && errno == 0 && number >= -1 &&
              number <= most,
          STATUS_FAILED, "event %s: %s=%s is not a number of the expected range", line->event, key,
          value == NULL ? "" : value);
    *out = number;
cleanup:
    return status;
}

static int integer_value(struct error *err, const struct journal_line *line, const char *key,
                         int *out)
{
    int status = STATUS_OK;
    int64_t number = 0;
    TRY(bounded_value(err, line, key, 1000000000, &number));
    *out = (int)number;
cleanup:
    return status;
}

void replay_stop(struct replay *replay)
{
    for (int i = 0; i < replay->cells; i++) {
        if (replay->cell[i].status == CELL_RUNNING) {
            replay->cell[i].status = CELL_PENDING;
        }
    }
}

static int replay_study(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    const char *format = journal_value(line, "format"), *name = journal_value(line, "name");
    CHECK(err,
          format != NULL && (strcmp(format, REPLAY_FORMAT) == 0 ||
                             strcmp(format, REPLAY_FORMAT_LOOKS) == 0 || strcmp(format, "1") == 0),
          STATUS_FAILED,
          "the journal has format \"%s\", this program reads formats 1 to " REPLAY_FORMAT_LOOKS
          ": use the version that wrote it",
          format == NULL ? "" : format);
    CHECK(err, name != NULL && name[0] != '\0' && strlen(name) < sizeof replay->study,
          STATUS_FAILED, "event study: the name is missing or too long");
    CHECK(err, replay->study[0] == '\0' || strcmp(replay->study, name) == 0, STATUS_FAILED,
          "the journal names two studies, \"%s\" and \"%s\"", replay->study, name);
    copy_value(line, "name", replay->study, sizeof replay->study);
    copy_value(line, "text", replay->text, sizeof replay->text);
    copy_value(line, "format", replay->format, sizeof replay->format);
    copy_value(line, "shard", replay->shard, sizeof replay->shard);
cleanup:
    return status;
}

static void replay_run(struct replay *replay, const struct journal_line *line)
{
    replay_stop(replay);
    const char *job = journal_value(line, "job");
    size_t used = strlen(replay->jobs);
    if (job == NULL || job[0] == '\0') {
        return;
    }
    for (const char *at = replay->jobs; (at = strstr(at, job)) != NULL; at++) {
        char after = at[strlen(job)];
        if ((at == replay->jobs || at[-1] == ' ') && (after == '\0' || after == ',')) {
            return; /* a requeued job keeps its id */
        }
    }
    if (used + strlen(job) + 3 < sizeof replay->jobs) {
        snprintf(replay->jobs + used, sizeof replay->jobs - used, "%s%s", used > 0 ? ", " : "",
                 job);
    }
}

static int replay_begin(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    int worker = 0, attempt = 0, ranks = 1;
    struct rundir_cell *cell = NULL;
    TRY(integer_value(err, line, "worker", &worker));
    TRY(integer_value(err, line, "attempt", &attempt));
    if (journal_value(line, "ranks") != NULL) {
        TRY(integer_value(err, line, "ranks", &ranks));
        CHECK(err, ranks >= 1, STATUS_FAILED, "event begin: a team of %d ranks", ranks);
    }
    TRY(replay_cell(err, replay, line, &cell));
    cell->status = CELL_RUNNING;
    cell->attempts = attempt;
    cell->worker = worker;
    cell->ranks = ranks;
    cell->widened = false;
    cell->begun = line->time;
    cell->ended = 0;
    cell->checksum[0] = cell->reason[0] = '\0';
    cell->seconds = 0;
    cell->resumed = 0;
    copy_value(line, "host", cell->host, sizeof cell->host);
cleanup:
    return status;
}

static int replay_end(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    const char *state = journal_value(line, "status"), *sum = journal_value(line, "checksum");
    const char *seconds = journal_value(line, "seconds");
    char *end = NULL;
    struct rundir_cell *cell = NULL;
    int found = -1;
    for (int i = CELL_PENDING; i <= CELL_QUARANTINED && state != NULL; i++) {
        found = i != CELL_RUNNING && strcmp(state, cell_status_name(i)) == 0 ? i : found;
    }
    CHECK(err, found >= 0, STATUS_FAILED, "event end: status=%s is not a way for a cell to end",
          state == NULL ? "" : state);
    bool finished = found == CELL_DONE || found == CELL_DIVERGED;
    size_t digits = sum == NULL ? 0 : strspn(sum, "0123456789abcdef");
    CHECK(err, !finished || (digits == 16 && sum[16] == '\0'), STATUS_FAILED,
          "event end: checksum=%s is not 16 hex digits", sum == NULL ? "" : sum);
    double wall = seconds == NULL ? NAN : strtod(seconds, &end);
    CHECK(err, isfinite(wall) && end != seconds && *end == '\0', STATUS_FAILED,
          "event end: seconds=%s is not a number", seconds == NULL ? "" : seconds);
    TRY(replay_cell(err, replay, line, &cell));
    cell->status = (enum cell_status)found;
    cell->ended = line->time;
    cell->seconds = wall;
    copy_value(line, "reason", cell->reason, sizeof cell->reason);
    cell->widened = found == CELL_PENDING && strcmp(cell->reason, RUNDIR_WIDENED) == 0;
    cell->checksum[0] = '\0';
    if (finished) {
        copy_value(line, "checksum", cell->checksum, sizeof cell->checksum);
    }
cleanup:
    return status;
}

static int replay_damaged(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct rundir_cell *cell = NULL;
    TRY(replay_cell(err, replay, line, &cell));
    cell->status = CELL_PENDING;
    cell->checksum[0] = '\0';
    copy_value(line, "reason", cell->reason, sizeof cell->reason);
cleanup:
    return status;
}

/* A number of seconds that need not be there. */
static double seconds_value(const struct journal_line *line, const char *key)
{
    const char *value = journal_value(line, key);
    double seconds = value == NULL ? 0 : strtod(value, NULL);
    return isfinite(seconds) && seconds > 0 ? seconds : 0;
}

static int replay_lost(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct rundir_cell *cell = NULL;
    const char *counted = journal_value(line, "counted");
    if (journal_value(line, "cell") == NULL) { /* the worker was idle */
        goto cleanup;
    }
    TRY(replay_cell(err, replay, line, &cell));
    cell->status = CELL_PENDING;
    cell->ended = line->time;
    cell->deaths += counted != NULL && strcmp(counted, "yes") == 0;
    copy_value(line, "reason", cell->reason, sizeof cell->reason);
cleanup:
    return status;
}

static int replay_resumed(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct rundir_cell *cell = NULL;
    TRY(replay_cell(err, replay, line, &cell));
    TRY(bounded_value(err, line, "step", INT64_MAX, &cell->resumed));
    if (cell->resumed > cell->furthest) { /* those who died before had got on */
        cell->furthest = cell->resumed;
        cell->deaths = 0;
    }
cleanup:
    return status;
}

static int replay_quarantined(struct error *err, struct replay *replay,
                              const struct journal_line *line)
{
    int status = STATUS_OK;
    struct rundir_cell *cell = NULL;
    TRY(replay_cell(err, replay, line, &cell));
    TRY(integer_value(err, line, "deaths", &cell->deaths));
    cell->status = CELL_QUARANTINED;
    cell->ended = line->time;
    copy_value(line, "reason", cell->reason, sizeof cell->reason);
cleanup:
    return status;
}

static int replay_retry(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct rundir_cell *cell = NULL;
    TRY(replay_cell(err, replay, line, &cell));
    CHECK(err, cell->status == CELL_FAILED || cell->status == CELL_QUARANTINED, STATUS_FAILED,
          "event retry: cell %s is %s, neither failed nor quarantined", cell->id,
          cell_status_name(cell->status));
    cell->status = CELL_PENDING;
    cell->deaths = 0;
    cell->reason[0] = '\0';
cleanup:
    return status;
}

void replay_plan(const struct spec_looks *looks, char *text, size_t size)
{
    char seeds[SPEC_LOOKS_TEXT];
    snprintf(text, size, "%s from %llu", spec_looks_text(looks, seeds),
             (unsigned long long)looks->first);
}

static int replay_look(struct error *err, struct replay *replay, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct look look = {0};
    int decision = 0;
    const char *word = journal_value(line, "decision"), *plan = journal_value(line, "plan");
    const char *level = journal_value(line, "level"), *spent = journal_value(line, "spent");
    TRY(integer_value(err, line, "seeds", &look.seeds));
    TRY(integer_value(err, line, "next", &look.next));
    TRY(integer_value(err, line, "asked", &look.asked));
    while (decision < LOOK_DECISIONS &&
           (word == NULL || strcmp(word, look_decision_name((enum look_decision)decision)) != 0)) {
        decision++;
    }
    CHECK(err, decision < LOOK_DECISIONS, STATUS_FAILED,
          "event look: decision=%s is not what a look decides", word == NULL ? "" : word);
    look.decision = (enum look_decision)decision;
    look.level = level != NULL ? strtod(level, NULL) : 0;
    look.spent = spent != NULL ? strtod(spent, NULL) : 0;
    copy_value(line, "undecided", look.undecided, sizeof look.undecided);
    const struct look *last = replay->looks > 0 ? &replay->look[replay->looks - 1] : NULL;
    const bool again = last != NULL && last->seeds == look.seeds && last->next == look.seeds;
    CHECK(err,
          look.seeds > 0 && look.seeds <= SPEC_SEEDS && look.next <= SPEC_SEEDS &&
              (look.decision == LOOK_MORE) == (look.next > look.seeds) && look.next >= look.seeds &&
              (again || last == NULL || last->next == look.seeds) && plan != NULL &&
              (last == NULL || strcmp(plan, replay->plan) == 0) &&
              (again || replay->looks < SPEC_LOOKS),
          STATUS_FAILED, "event look: at %d seeds, then %d; the look before does not fit",
          look.seeds, look.next);
    copy_value(line, "plan", replay->plan, sizeof replay->plan);
    replay->looks += !again;
    replay->look[replay->looks - 1] = look;
cleanup:
    return status;
}

int replay_event(struct error *err, void *context, const struct journal_line *line)
{
    int status = STATUS_OK;
    struct replay *replay = context;
    bool study = strcmp(line->event, "study") == 0;
    replay->stopped = strcmp(line->event, "stop") == 0;
    CHECK(err, study || replay->study[0] != '\0', STATUS_FAILED,
          "the first event is not \"study\": this is not a run's journal");
    if (study) {
        TRY(replay_study(err, replay, line));
    } else if (strcmp(line->event, "run") == 0) {
        replay_run(replay, line);
    } else if (strcmp(line->event, "begin") == 0) {
        TRY(replay_begin(err, replay, line));
    } else if (strcmp(line->event, "end") == 0) {
        TRY(replay_end(err, replay, line));
    } else if (strcmp(line->event, "damaged") == 0) {
        TRY(replay_damaged(err, replay, line));
    } else if (strcmp(line->event, "lost") == 0) {
        TRY(replay_lost(err, replay, line));
    } else if (strcmp(line->event, "resumed") == 0) {
        TRY(replay_resumed(err, replay, line));
    } else if (strcmp(line->event, "quarantined") == 0) {
        TRY(replay_quarantined(err, replay, line));
    } else if (strcmp(line->event, "retry") == 0) {
        TRY(replay_retry(err, replay, line));
    } else if (strcmp(line->event, "look") == 0) {
        TRY(replay_look(err, replay, line));
    } else if (strcmp(line->event, "stop") == 0) {
        replay_stop(replay);
        double took = seconds_value(line, "took");
        replay->stop_took = took > 0 ? took : replay->stop_took;
        copy_value(line, "why", replay->why, sizeof replay->why);
    } else {
        FAIL(err, STATUS_FAILED, "unknown event \"%s\": a newer version wrote it; use that one",
             line->event);
    }
cleanup:
    return status;
}

void replay_free(struct replay *replay)
{
    free(replay->cell);
    free(replay->slot);
    *replay = (struct replay){0};
}
