#include "results/merge_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/shard.h"
#include "results/aggregate.h"
#include "results/atomic.h"
#include "results/study_cells.h"

static bool exists(const char *folder, const char *name)
{
    char path[SPEC_PATH + 96];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length < (int)sizeof path && access(path, F_OK) == 0;
}

/* The next input, to be opened. */
static int add(struct error *err, const char *path, struct merge_inputs *inputs,
               struct merge_input **added)
{
    int status = STATUS_OK;
    struct merge_input *grown =
        realloc(inputs->input, ((size_t)inputs->count + 1) * sizeof *inputs->input);
    CHECK(err, grown != NULL, STATUS_FAILED, "%s: out of memory", path);
    inputs->input = grown;
    *added = &grown[inputs->count++];
    **added = (struct merge_input){0};
    CHECK(err, strlen(path) < sizeof(*added)->path, STATUS_FAILED, "%s: the path is too long",
          path);
    snprintf((*added)->path, sizeof(*added)->path, "%s", path);
cleanup:
    return status;
}

/* Does the study.nc have every finished cell of the folder? */
static bool is_up_to_date(const struct studyread *study, const struct rundir *dir)
{
    const struct rundir_cell *known = NULL;
    const struct cell *cell = NULL;
    int knowns = rundir_cells(dir, &known), cells = studyread_cells(study, &cell), done = 0;
    for (int i = 0; i < knowns; i++) {
        done += cell_status_finished(known[i].status);
    }
    for (int i = 0; i < cells; i++) {
        const struct rundir_cell *same = rundir_find(dir, cell[i].id);
        done -= same != NULL && cell_status_finished(same->status) &&
                cell_status_finished(studyread_status(study, i));
    }
    return done == 0;
}

/* A study.nc from the folder's journal and cells, read and removed at once. */
static int rebuild(struct error *err, const char *out, const struct rundir *dir,
                   struct merge_input *input)
{
    int status = STATUS_OK;
    struct study_cells cells = {0};
    char wanted[ATOMIC_PATH + 32], built[ATOMIC_PATH] = "";
    TRY(study_cells_read(err, input->path, &cells));
    CHECK(err, cells.identified, STATUS_FAILED,
          "%s: its study.nc is older than its cells, and a new one needs the study's text: %s",
          input->path, cells.why);
    snprintf(wanted, sizeof wanted, "%s.input", out);
    TRY(atomic_temporary(err, wanted, built));
    TRY(aggregate_write_file(err, dir, built, cells.spec, cells.cell, cells.count, NULL));
    TRY(studyread_open(err, built, &input->study));
cleanup:
    if (built[0] != '\0') {
        unlink(built); /* what is open stays readable */
    }
    study_cells_free(&cells);
    return status;
}

static int open_run(struct error *err, const char *out, const char *path,
                    struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    struct merge_input *input = NULL;
    struct rundir *dir = NULL;
    char study[SPEC_PATH + 96];
    TRY(add(err, path, inputs, &input));
    TRY(rundir_open_readonly(err, input->path, &dir));
    snprintf(study, sizeof study, "%s/study.nc", input->path);
    if (access(study, F_OK) == 0) {
        struct error damaged = {0};
        if (studyread_open(&damaged, study, &input->study) != STATUS_OK) {
            fprintf(stderr, "ptqscale: warning: %s; it is rebuilt from the cells\n",
                    damaged.message);
        } else if (!is_up_to_date(input->study, dir)) {
            studyread_close(input->study);
            input->study = NULL;
        }
    }
    if (input->study == NULL) {
        TRY(rebuild(err, out, dir, input));
    }
cleanup:
    rundir_close(dir);
    return status;
}

/* The run in `path`, or those in its folders shard-1, shard-2, … */
static int open_folder(struct error *err, const char *out, const char *path,
                       struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    char shard[SPEC_PATH + 64];
    int found = 0;
    for (int i = 1; i <= SHARD_MOST && !exists(path, "journal.log"); i++) {
        if (snprintf(shard, sizeof shard, "%s/shard-%d", path, i) < (int)sizeof shard &&
            exists(shard, "journal.log")) {
            TRY(open_run(err, out, shard, inputs));
            found++;
        }
    }
    if (found == 0) {
        TRY(open_run(err, out, path, inputs)); /* says so if it is no run's folder */
    }
cleanup:
    return status;
}

static int open_file(struct error *err, const char *path, struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    struct merge_input *input = NULL;
    TRY(add(err, path, inputs, &input));
    TRY(studyread_open(err, path, &input->study));
cleanup:
    return status;
}

int merge_inputs_open(struct error *err, const char *out, const char *const *given, int count,
                      struct merge_inputs *inputs)
{
    int status = STATUS_OK;
    struct rlimit files;
    struct stat about;
    *inputs = (struct merge_inputs){0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* all are open at the same time */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (int i = 0; i < count; i++) {
        CHECK(err, strlen(given[i]) < SPEC_PATH, STATUS_FAILED, "%s: the path is too long",
              given[i]);
        CHECK(err, stat(given[i], &about) == 0, STATUS_FAILED,
              "%s: %s; give folders of runs or study.nc files", given[i], strerror(errno));
        TRY(S_ISDIR(about.st_mode) ? open_folder(err, out, given[i], inputs)
                                   : open_file(err, given[i], inputs));
    }
    for (int i = 0; i < inputs->count; i++) {
        inputs->input[i].cells = studyread_cells(inputs->input[i].study, &inputs->input[i].cell);
    }
cleanup:
    return status;
}

void merge_inputs_close(struct merge_inputs *inputs)
{
    for (int i = 0; i < inputs->count; i++) {
        studyread_close(inputs->input[i].study);
    }
    free(inputs->input);
    *inputs = (struct merge_inputs){0};
}
