#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/cost.h"
#include "jobs/relocate.h"
#include "jobs/width.h"
#include "mpi/batch_script.h"
#include "mpi/cli.h"
#include "mpi/commands.h"
#include "results/atomic.h"
#include "results/folder.h"
#include "results/rundir.h"
#include "study/tasks/read.h"

static const char description[] =
    "Runs a study in Slurm: writes the batch script DIR/submit.sbatch and everything it\n"
    "needs into DIR, and gives it to sbatch. The job checks its nodes first (preflight),\n"
    "stops in order before its time limit, and goes back into the queue until the study\n"
    "is finished. The script can be read, changed and submitted again by hand.\n"
    "\n"
    "    --ntasks N             N workers, one per core (rank 0 comes on top: it sleeps)\n"
    "    --nodes N              without --ntasks: N whole nodes, one worker per core\n"
    "    --array K              K jobs that share the study's cells evenly; each has its\n"
    "                           folder DIR/shard-1 … DIR/shard-K; ptqscale merge joins them\n"
    "\n"
    "mpirun inside the allocation is the default: a study outlives the death of workers in\n"
    "the same job. With --launcher srun Slurm starts the ranks itself (srun --mpi=pmix,\n"
    "which some clusters want); if a worker dies, the job may end and be requeued instead.\n"
    "\n"
    "    STUDY.yaml             the study file; DIR gets a copy\n";

struct submission {
    const char *study, *out, *launcher;
    bool dry_run;
    struct batch_options batch;
    char folder[PATH_MAX], program[PATH_MAX];
    struct spec *spec;
    int cells;
    double memory; /* bytes of the largest cell's rank */
    char *script;
};

extern char **environ;

/* ---- options ---- */

static int parse(struct error *err, int argc, char **argv, struct submission *s, bool *helped)
{
    int status = STATUS_OK;
    struct batch_options *batch = &s->batch;
    const struct cli_option option[] = {
        {"out", "DIR", "folder of the run, on a file system that all nodes share", CLI_TEXT,
         &s->out, 0},
        {"nodes", "N", "nodes", CLI_INTEGER, &batch->nodes, 1},
        {"ntasks", "N", "workers", CLI_INTEGER, &batch->ntasks, 1},
        {"time", "T", "time limit of one job, as for sbatch: 24:00:00, 2-00:00:00", CLI_TEXT,
         &batch->time, 0},
        {"partition", "P", "partition", CLI_TEXT, &batch->partition, 0},
        {"account", "A", "account that pays", CLI_TEXT, &batch->account, 0},
        {"array", "K", "a job array of K shards", CLI_INTEGER, &batch->shards, 1},
        {"sbatch-arg", "ARG", "one more option for sbatch; may be repeated", CLI_LIST,
         &batch->sbatch, 0},
        {"launcher", "L", "mpirun (default) or srun", CLI_TEXT, &s->launcher, 0},
        {"mpirun-arg", "ARG", "one more option for the launcher; may be repeated", CLI_LIST,
         &batch->launcher, 0},
        {"max-restarts", "N", "how often a job requeues itself (default 50)", CLI_INTEGER,
         &batch->max_restarts, 0},
        {"dry-run", NULL, "print the script and do nothing", CLI_FLAG, &s->dry_run, 0},
    };
    const struct cli cli = {
        .command = "submit",
        .arguments = "STUDY.yaml --out DIR (--ntasks N | --nodes N) [OPTION ...]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 1,
    };
    TRY(cli_parse(err, &cli, argc, argv, &s->study, helped));
    if (*helped) {
        goto cleanup;
    }
    CHECK(err, s->out != NULL, STATUS_USAGE,
          "submit: --out DIR is missing (the folder of the run)");
    CHECK(err, batch->nodes > 0 || batch->ntasks > 0, STATUS_USAGE,
          "submit: how many workers? Give --ntasks N, or --nodes N for whole nodes");
    CHECK(err, batch->shards <= SHARD_MOST, STATUS_USAGE, "submit: --array: at most %d shards",
          SHARD_MOST);
    CHECK(err, strcmp(s->launcher, "mpirun") == 0 || strcmp(s->launcher, "srun") == 0, STATUS_USAGE,
          "submit: --launcher: \"%s\" is not known; give mpirun or srun", s->launcher);
    batch->srun = strcmp(s->launcher, "srun") == 0;
cleanup:
    return status;
}

/* Absolute paths: the script runs on another machine, in another folder. */
static int find_paths(struct error *err, struct submission *s)
{
    int status = STATUS_OK;
    char here[PATH_MAX] = "";
    bool absolute = s->out[0] == '/';
    CHECK(err, absolute || getcwd(here, sizeof here) != NULL, STATUS_FAILED,
          "submit: the current folder has no path: %m");
    int length = snprintf(s->folder, sizeof s->folder, "%s%s%s", here, absolute ? "" : "/", s->out);
    CHECK(err, length > 0 && length < SPEC_PATH - 32, STATUS_USAGE,
          "submit: --out: the path is too long");
    while (length > 1 && s->folder[length - 1] == '/') {
        s->folder[--length] = '\0';
    }
    ssize_t got = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    CHECK(err, got > 0, STATUS_FAILED, "submit: cannot find out where ptqscale itself is: %m");
    s->program[got] = '\0';
    s->batch.folder = s->folder;
    s->batch.program = s->program;
cleanup:
    return status;
}

/* ---- the study ---- */

/* What the rank needs that needs most, on the teams that the cells will get. */
static int find_memory(struct error *err, struct submission *s, const struct cell *cells)
{
    int status = STATUS_OK;
    const double text = spec_text_bytes(s->spec);
    const double limit = width_memory(s->spec->run.memory_per_rank, text);
    const int workers =
        s->batch.ntasks > 0 ? s->batch.ntasks : INT_MAX; /* nodes: as many as come */
    for (int i = 0; i < s->cells; i++) {
        struct width width;
        TRY(width_choose(err, &cells[i], limit, workers, &width));
        s->memory = width.bytes > s->memory ? width.bytes : s->memory;
    }
    s->memory += cost_process_bytes(text);
cleanup:
    return status;
}

/* Read and check it; each shard must have a cell. */
static int read_study(struct error *err, struct submission *s)
{
    int status = STATUS_OK;
    struct cell *cells = NULL;
    char *relocated = NULL;
    TRY(spec_read(err, s->study, &s->spec));
    CHECK(err, s->batch.shards == 0 || s->spec->shard.count == 0, STATUS_USAGE,
          "%s: the study file is a shard already; take out its line \"shard\" or --array",
          s->study);
    CHECK(err, s->batch.shards <= 1 || s->spec->looks.count == 0, STATUS_USAGE,
          "%s: seeds: a look needs all cells of the study in one run; leave out --array, or give "
          "seeds as a number",
          s->study);
    TRY(spec_relocated(err, s->spec, &relocated));
    free(s->spec->text);
    s->spec->text = relocated;
    s->spec->text_length = strlen(relocated);
    TRY(task_identify(err, s->spec));
    TRY(spec_cells(err, s->spec, &cells, &s->cells));
    CHECK(err, s->batch.shards <= s->cells, STATUS_USAGE,
          "submit: --array %d: the study has only %d cells; give at most one shard per cell",
          s->batch.shards, s->cells);
    TRY(find_memory(err, s, cells));
cleanup:
    free(cells);
    return status;
}

/* ---- the folder ---- */

static int put_file(struct error *err, const struct submission *s, const char *name,
                    const char *text, mode_t mode)
{
    int status = STATUS_OK;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    TRY(atomic_replace(err, path, text, strlen(text), true));
    CHECK(err, chmod(path, mode) == 0, STATUS_FAILED, "%s: cannot make it executable: %m", path);
cleanup:
    return status;
}

/* Set up `folder` as the run's, or find it as that. */
static int open_run(struct error *err, struct spec *spec, const char *folder)
{
    int status = STATUS_OK;
    struct rundir *dir = NULL;
    TRY(rundir_open(err, folder, spec, &dir));
cleanup:
    rundir_close(dir);
    return status;
}

static int make_shards(struct error *err, struct submission *s)
{
    int status = STATUS_OK;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/journal.log", s->folder);
    CHECK(err, access(path, F_OK) != 0, STATUS_FAILED,
          "%s holds a run that is not in shards; choose another --out, or leave out --array",
          s->folder);
    for (int i = 1; i <= s->batch.shards; i++) {
        snprintf(path, sizeof path, "%s/shard-%d", s->folder, i);
        s->spec->shard = (struct shard){i, s->batch.shards};
        TRY(open_run(err, s->spec, path));
    }
    s->spec->shard = (struct shard){0};
    snprintf(path, sizeof path, "%s/shard-%d", s->folder, s->batch.shards + 1);
    CHECK(err, access(path, F_OK) != 0, STATUS_FAILED,
          "%s exists: the study was cut into more than %d shards; give the same --array as before, "
          "or choose another --out",
          path, s->batch.shards);
    TRY(put_file(err, s, "study.yaml", s->spec->text, 0644));
cleanup:
    return status;
}

static int fill_folder(struct error *err, struct submission *s)
{
    int status = STATUS_OK;
    char path[PATH_MAX + 64];
    if (s->batch.shards > 0) {
        TRY(make_shards(err, s));
    } else {
        TRY(open_run(err, s->spec, s->folder));
    }
    snprintf(path, sizeof path, "%s/slurm", s->folder);
    TRY(folder_make(err, path));
    TRY(put_file(err, s, "slurm/preflight.sh", batch_preflight(), 0755));
    TRY(put_file(err, s, "submit.sbatch", s->script, 0755));
cleanup:
    return status;
}

/* ---- sbatch ---- */

/* Run `sbatch --parsable script`; its output, without the line's end, into answer. */
static int call_sbatch(struct error *err, char *script, char *answer, size_t size)
{
    int status = STATUS_OK;
    int pipes[2] = {-1, -1}, ended = -1;
    pid_t child = -1;
    size_t used = 0;
    posix_spawn_file_actions_t actions;
    char *const argv[] = {(char[]){"sbatch"}, (char[]){"--parsable"}, script, NULL};
    CHECK(err, pipe2(pipes, O_CLOEXEC) == 0, STATUS_FAILED, "submit: cannot make a pipe: %m");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    int code = posix_spawnp(&child, "sbatch", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    CHECK(err, code == 0, STATUS_FAILED,
          "submit: cannot start sbatch: %s; is this a login node of a Slurm cluster? The script is "
          "there: sbatch %s",
          strerror(code), script);
    close(pipes[1]);
    pipes[1] = -1;
    for (ssize_t got = 1; got != 0 && used + 1 < size;) {
        got = read(pipes[0], answer + used, size - 1 - used);
        CHECK(err, got >= 0 || errno == EINTR, STATUS_FAILED,
              "submit: cannot read from sbatch: %m");
        used += got > 0 ? (size_t)got : 0;
    }
    answer[used] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    CHECK(err, WIFEXITED(ended) && WEXITSTATUS(ended) == 0 && answer[0] != '\0', STATUS_FAILED,
          "submit: sbatch has refused the job (see above); change the options, or the script and "
          "try: sbatch %s",
          script);
cleanup:
    for (int i = 0; i < 2; i++) {
        if (pipes[i] >= 0) {
            close(pipes[i]);
        }
    }
    return status;
}

static void say_next(const struct submission *s, const char *job)
{
    int shards = s->batch.shards;
    printf("job %.*s: study %s, %d cells", (int)strcspn(job, ";"), job, s->spec->name, s->cells);
    if (shards > 0) {
        printf(" in %d shards", shards);
    }
    printf("\n\n"
           "script    %s/submit.sbatch\n"
           "output    %s/slurm/job-%.*s%s.log\n"
           "queue     squeue -j %.*s\n",
           s->folder, s->folder, (int)strcspn(job, ";"), job, shards > 0 ? "_N" : "",
           (int)strcspn(job, ";"), job);
    if (shards > 0) {
        printf("status    ptqscale status %s/shard-N\n"
               "then      ptqscale merge %s/study.nc %s && ptqscale report %s/study.nc\n",
               s->folder, s->folder, s->folder, s->folder);
    } else {
        printf("status    ptqscale status %s --watch\n"
               "then      ptqscale report %s\n",
               s->folder, s->folder);
    }
}

int command_submit(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    char script[PATH_MAX + 32], job[256];
    struct submission *s = calloc(1, sizeof *s);

    CHECK(err, s != NULL, STATUS_FAILED, "out of memory");
    s->launcher = "mpirun";
    s->batch.max_restarts = 50;
    TRY(parse(err, argc, argv, s, &helped));
    if (helped) {
        goto cleanup;
    }
    TRY(find_paths(err, s));
    TRY(read_study(err, s));
    TRY(batch_script(err, s->spec, &s->batch, s->memory, &s->script));
    if (s->dry_run) {
        fputs(s->script, stdout);
        goto cleanup;
    }
    TRY(fill_folder(err, s));
    snprintf(script, sizeof script, "%s/submit.sbatch", s->folder);
    TRY(call_sbatch(err, script, job, sizeof job));
    say_next(s, job);
cleanup:
    if (s != NULL) {
        spec_free(s->spec);
        free(s->script);
        free(s);
    }
    return status;
}
