#include "mpi/executor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "jobs/version.h"
#include "mpi/clock.h"
#include "results/cellfile.h"
#include "results/checkpoint.h"
#include "study/tasks/tasks.h"

struct executor {
    struct data_source source;
    struct cell_data data;
    char out[SPEC_PATH];
    double checkpoint_every; /* seconds */
    char host[RECORD_TEXT];
    char cpu[RECORD_TEXT];
    struct corpus *corpus; /* NULL until the first cell */
};

/* The CPU's name, as the kernel has it; "" where it has none. */
static void read_cpu_name(char name[RECORD_TEXT])
{
    char line[512];
    name[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", 10) == 0) {
            snprintf(name, RECORD_TEXT, "%.200s", colon + 1 + strspn(colon + 1, " \t"));
            name[strcspn(name, "\n")] = '\0';
            break;
        }
    }
    if (file) {
        fclose(file);
    }
}

int executor_create(struct error *err, const struct data_source *source,
                    const struct cell_data *data, const char *out, double checkpoint_every,
                    struct executor **executor)
{
    int status = STATUS_OK;
    struct executor *e = calloc(1, sizeof *e);

    *executor = NULL;
    CHECK(err, e != NULL, STATUS_FAILED, "out of memory");
    CHECK(err, strlen(out) < sizeof e->out, STATUS_USAGE, "the folder's path is too long: %s", out);
    e->source = *source;
    e->data = *data;
    strcpy(e->out, out);
    e->checkpoint_every = checkpoint_every;
    if (gethostname(e->host, sizeof e->host - 1) != 0 || e->host[0] == '\0') {
        strcpy(e->host, "unknown");
    }
    read_cpu_name(e->cpu);
    *executor = e;
    e = NULL;
cleanup:
    executor_free(e);
    return status;
}

void executor_free(struct executor *executor)
{
    if (executor) {
        corpus_free(executor->corpus);
        free(executor);
    }
}

const char *executor_host(const struct executor *executor)
{
    return executor->host;
}

bool executor_storage_full(const char *path, const struct error *failure)
{
    if (strcasestr(failure->message, "no space left") ||
        strcasestr(failure->message, "quota exceeded")) {
        return true;
    }
    /* The libraries below do not always say why. */
    struct statvfs space;
    return statvfs(path, &space) == 0 && space.f_frsize * space.f_bavail < 65536;
}

/* The checkpoints of one cell in the run's folder. */
struct keeper {
    const char *out, *id;
    struct team *team;
    char failure[ERROR_MESSAGE]; /* why the folder could not be written or read the last time; "" */
};

/* What the store's caller fails with may be something else: only a message of ours is the folder's fault. */
static void note_failure(struct keeper *keeper, int status, const struct error *failure)
{
    snprintf(keeper->failure, sizeof keeper->failure, "%s",
             status == STATUS_OK ? "" : failure->message);
}

/* A team says that it lives when it is asked whether it was cancelled. */
static void on_alive(void *context)
{
    struct team *team = context;
    team->cancelled(team);
}

static int on_save(struct error *err, void *context, const char *name,
                   const struct checkpoint_part *parts, int count)
{
    enum { MOST = 16 };
    int status = STATUS_OK;
    struct keeper *keeper = context;
    struct iovec part[MOST];
    CHECK(err, count <= MOST, STATUS_FAILED, "a checkpoint of %d parts", count);
    for (int i = 0; i < count; i++) {
        part[i] = (struct iovec){(void *)parts[i].bytes, parts[i].length};
    }
    TRY(checkpoint_save(err, keeper->out, keeper->id, name, part, count, on_alive, keeper->team));
cleanup:
    note_failure(keeper, status, err);
    return status;
}

static int on_load(struct error *err, void *context, const char *name, void **bytes, size_t *length)
{
    struct keeper *keeper = context;
    const int status =
        checkpoint_load(err, keeper->out, keeper->id, name, on_alive, keeper->team, bytes, length);
    note_failure(keeper, status, err);
    return status;
}

/* What stays only takes space; it goes with the cell's folder. */
static void on_tidy(void *context, const char *keep)
{
    const struct keeper *keeper = context;
    checkpoint_tidy(NULL, keeper->out, keeper->id, keep);
}

static void describe(const struct executor *executor, struct record *record, int attempts)
{
    clock_utc(record->finished);
    snprintf(record->host, sizeof record->host, "%s", executor->host);
    snprintf(record->cpu, sizeof record->cpu, "%s", executor->cpu);
    snprintf(record->version, sizeof record->version, "%s", version_string());
    snprintf(record->commit, sizeof record->commit, "%s", version_commit());
    record->attempts = attempts;
}

/* The tasks of all cells of the study; without them the corpus is not there either. */
static int load_tasks(struct error *err, struct executor *executor,
                      const struct cell_evaluate *evaluate)
{
    int status = STATUS_OK;
    struct tasks *tasks = NULL;
    if (evaluate->tasks == 0) {
        goto cleanup;
    }
    TRY(tasks_load(err, &executor->source, evaluate, executor->corpus, &tasks));
    corpus_give_tasks(executor->corpus, tasks);
cleanup:
    if (status != STATUS_OK) {
        corpus_free(executor->corpus);
        executor->corpus = NULL;
    }
    return status;
}

void executor_run(struct executor *executor, const struct cell *cell, int attempts,
                  const char *file, struct team *team, progress_fn *report, void *report_context,
                  struct outcome *outcome)
{
    int status = STATUS_OK;
    struct error err = {0};
    struct record *record = NULL;
    struct keeper keeper = {.out = executor->out, .id = cell->id, .team = team};
    const struct checkpoint_store store = {.context = &keeper,
                                           .every = executor->checkpoint_every,
                                           .save = on_save,
                                           .load = on_load,
                                           .tidy = on_tidy};
    double begun = clock_seconds();

    memset(outcome, 0, sizeof *outcome); /* all bytes: it is sent as bytes */
    memcpy(outcome->id, cell->id, sizeof outcome->id);
    outcome->loss = NAN;

    outcome->kind = OUTCOME_NO_CORPUS;
    if (executor->corpus == NULL) {
        TRY(corpus_load(&err, &executor->source, &executor->data, &executor->corpus));
        TRY(load_tasks(&err, executor, &cell->evaluate));
    }
    outcome->kind = OUTCOME_FAILED;
    begun = clock_seconds(); /* the cell's own time: the scheduler learns from it */
    status = run_cell(&err, team, executor->corpus, cell, &store, report, report_context, &record);
    if (status == STATUS_FAILED && keeper.failure[0] != '\0' &&
        strstr(err.message, keeper.failure) != NULL) {
        outcome->kind = OUTCOME_NOT_STORED;
    }
    TRY(status);
    if (team->rank > 0) {
        outcome->kind = OUTCOME_MEMBER;
        goto cleanup;
    }
    describe(executor, record, attempts);
    outcome->kind = OUTCOME_NOT_STORED;
    TRY(cellfile_write(&err, file, cell, record, outcome->checksum));

    outcome->kind = OUTCOME_FINISHED;
    outcome->status = record->status;
    outcome->loss = record->checkpoints > 0 ? record->loss[record->checkpoints - 1] : NAN;
    snprintf(outcome->reason, sizeof outcome->reason, "%s", record->reason);
cleanup:
    outcome->seconds = clock_seconds() - begun;
    if (outcome->kind == OUTCOME_FINISHED) { /* of all attempts, if it went on from a checkpoint */
        outcome->seconds =
            fmax(outcome->seconds, record->wall_time_train + record->wall_time_evaluate);
    }
    if (status == STATUS_STOPPED) {
        outcome->kind = OUTCOME_STOPPED;
    } else if (status != STATUS_OK) {
        outcome->full =
            outcome->kind == OUTCOME_NOT_STORED && executor_storage_full(executor->out, &err);
        snprintf(outcome->reason, sizeof outcome->reason, "%.500s", err.message);
    }
    record_free(record);
}
