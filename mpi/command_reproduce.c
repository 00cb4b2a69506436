#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "mpi/alone.h"
#include "mpi/cli.h"
#include "mpi/clock.h"
#include "mpi/commands.h"
#include "mpi/executor.h"
#include "mpi/launcher.h"
#include "mpi/signals.h"
#include "results/reproduction.h"
#include "results/study_cells.h"
#include "study/tasks/read.h"

static const char description[] =
    "Computes some finished cells of FILE.nc again, in one process, and compares every\n"
    "value of their results with the file, bit for bit. Nothing is written.\n"
    "Exit status 0: all are the same; 1: not, and what differs is printed.\n"
    "\n"
    "Cells are chosen at random without replacement: the first N in the order of\n"
    "XXH64(id, S). The same file and seed give the same cells.\n"
    "\n"
    "    FILE.nc                a study.nc, also a merged or compact one\n"
    "    STUDY.yaml             the study file that it was made with\n";

struct reproduce {
    const char *file, *study;
    int count, seed;
    struct cli_list wanted;
    bool any_isa;
    struct reproduction *reproduction;
    struct spec *spec;
    struct cell *cell; /* (cells): of the study file */
    int cells;
    char folder[64]; /* temporary; "": none */
    bool terminal, stop;
    double drawn; /* when progress was last shown */
};

static int parse(struct error *err, int argc, char **argv, struct reproduce *r, bool *helped)
{
    int status = STATUS_OK;
    const char *position[2] = {NULL, NULL};
    const struct cli_option option[] = {
        {"cells", "N", "how many cells (default 5)", CLI_INTEGER, &r->count, 1},
        {"seed", "S", "of the choice (default 1)", CLI_INTEGER, &r->seed, 0},
        {"cell", "CELL",
         "this one: its id, the first digits of it, or SIZE/SETTING/SEED; may be repeated",
         CLI_LIST, &r->wanted, 0},
        {"any-isa", NULL,
         "also cells of another instruction set or library, whose last bits will differ", CLI_FLAG,
         &r->any_isa, 0},
    };
    const struct cli cli = {
        .command = "reproduce",
        .arguments = "FILE.nc STUDY.yaml [OPTION ...]",
        .description = description,
        .option = option,
        .options = sizeof option / sizeof option[0],
        .positions = 2,
    };
    TRY(cli_parse(err, &cli, argc, argv, position, helped));
    CHECK(err, *helped || launcher_ranks() <= 1, STATUS_USAGE,
          "reproduce: it runs in one process; start it without mpirun");
    r->file = position[0];
    r->study = position[1];
cleanup:
    return status;
}

/* As `run` reads it. */
static int read_study(struct error *err, struct reproduce *r)
{
    int status = STATUS_OK;
    TRY(spec_read(err, r->study, &r->spec));
    TRY(spec_fingerprint(err, r->spec));
    TRY(task_identify(err, r->spec));
    TRY(spec_cells(err, r->spec, &r->cell, &r->cells));
cleanup:
    return status;
}

static int choose(struct error *err, struct reproduce *r)
{
    int status = STATUS_OK;
    for (int i = 0; i < r->wanted.count; i++) {
        TRY(reproduction_take(err, r->reproduction, r->wanted.text[i]));
    }
    if (r->wanted.count == 0) {
        TRY(reproduction_choose(err, r->reproduction, r->count, (uint64_t)r->seed));
    }
cleanup:
    return status;
}

static int check_machine(struct error *err, const struct reproduce *r)
{
    int status = STATUS_OK;
    for (int i = 0; i < reproduction_count(r->reproduction) && !r->any_isa; i++) {
        const struct reproduction_cell chosen = reproduction_at(r->reproduction, i);
        CHECK(err,
              strcmp(chosen.isa, run_cell_isa()) == 0 &&
                  strcmp(chosen.matmul, run_cell_matmul()) == 0,
              STATUS_FAILED,
              "%s: cell %s was computed with %s (%s), and here it would be with %s (%s): bits are "
              "the same only within one instruction set and library. PTQSCALE_ISA=%s in the "
              "environment chooses the former where a machine has it; --any-isa compares all the "
              "same",
              r->file, chosen.cell->id, chosen.isa, chosen.matmul, run_cell_isa(),
              run_cell_matmul(), chosen.isa);
    }
cleanup:
    return status;
}

/* ---- running ---- */

static int make_folder(struct error *err, struct reproduce *r)
{
    int status = STATUS_OK;
    const char *base = getenv("TMPDIR");
    base = base != NULL && base[0] != '\0' && strlen(base) < 32 ? base : "/tmp";
    snprintf(r->folder, sizeof r->folder, "%s/ptqscale-reproduce-XXXXXX", base);
    if (mkdtemp(r->folder) == NULL) {
        r->folder[0] = '\0';
        FAIL(err, STATUS_FAILED, "%s: no temporary folder can be made there: %s", base,
             strerror(errno));
    }
cleanup:
    return status;
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about, (void)type, (void)where;
    remove(path);
    return 0;
}

static void on_progress(void *context, const struct progress *progress)
{
    struct reproduce *r = context;
    const double now = clock_seconds();
    if (r->terminal && now - r->drawn > 0.5) {
        printf("\r\033[K    %s, step %lld of %lld", progress->phase, (long long)progress->step,
               (long long)progress->steps);
        fflush(stdout);
        r->drawn = now;
    }
}

static bool on_cancelled(struct team *team)
{
    struct reproduce *r = team->state;
    r->stop = r->stop || signals_take() != 0;
    return r->stop;
}

static int run_cell_again(struct error *err, struct reproduce *r, int index,
                          struct executor *executor, struct team *team, bool *same)
{
    int status = STATUS_OK;
    const struct reproduction_cell chosen = reproduction_at(r->reproduction, index);
    char name[STUDY_CELL_NAME], took[CLOCK_DURATION], file[128];
    struct outcome outcome;
    clock_duration(chosen.seconds, took);
    printf("%d/%d  %s (%s), %s the first time\n", index + 1, reproduction_count(r->reproduction),
           study_cell_name(chosen.cell, name), chosen.cell->id, took);
    fflush(stdout);
    snprintf(file, sizeof file, "%s/%s.nc", r->folder, chosen.cell->id);
    executor_run(executor, chosen.cell, 1, file, team, on_progress, r, &outcome);
    if (r->terminal) {
        fputs("\r\033[K", stdout);
    }
    CHECK(err, !r->stop, STATUS_FAILED, "stopped by a signal; nothing was kept");
    CHECK(err, outcome.kind == OUTCOME_FINISHED, STATUS_FAILED, "cell %s (%s) failed: %s",
          chosen.cell->id, name, outcome.reason);
    TRY(reproduction_compare(err, r->reproduction, index, file, stdout, same));
    fflush(stdout);
cleanup:
    return status;
}

static int run_cells(struct error *err, struct reproduce *r, const struct alone *alone,
                     int *differing)
{
    int status = STATUS_OK;
    struct executor *executor = NULL;
    struct team team = team_alone();
    team.state = r;
    team.cancelled = on_cancelled;
    team.algebra = alone->algebra;
    TRY(executor_create(err, &r->spec->source, &r->cell->data, r->folder, 0, &executor));
    for (int i = 0; i < reproduction_count(r->reproduction); i++) {
        bool same = false;
        TRY(run_cell_again(err, r, i, executor, &team, &same));
        *differing += !same;
    }
cleanup:
    executor_free(executor);
    return status;
}

static void announce(const struct reproduce *r)
{
    double seconds = 0;
    char text[CLOCK_DURATION];
    const int count = reproduction_count(r->reproduction);
    for (int i = 0; i < count; i++) {
        seconds += reproduction_at(r->reproduction, i).seconds;
    }
    clock_duration(seconds, text);
    printf("%s: %d finished %s to compute again, about %s by what they took the first time\n",
           r->file, count, count == 1 ? "cell" : "cells", text);
    fflush(stdout);
}

static int reproduce(struct error *err, struct reproduce *r)
{
    int status = STATUS_OK;
    int differing = 0;
    struct alone alone = {0};
    TRY(reproduction_open(err, r->file, &r->reproduction));
    TRY(choose(err, r));
    TRY(check_machine(err, r));
    TRY(read_study(err, r));
    TRY(reproduction_match(err, r->reproduction, r->spec, r->cell, r->cells));
    TRY(make_folder(err, r));
    announce(r);
    TRY(alone_begin(err, &alone));
    TRY(run_cells(err, r, &alone, &differing));
    const int count = reproduction_count(r->reproduction);
    CHECK(err, differing == 0, STATUS_FAILED, "%s is not reproduced: %d of %d %s above", r->file,
          differing, count, differing == 1 ? "cells differs, see" : "cells differ, see");
    printf("reproduced: %s, bit for bit\n",
           count == 1 ? "the cell is the same" : "all cells are the same");
cleanup:;
    const int ended = alone_end(err, &alone, status != STATUS_OK);
    return status == STATUS_OK ? ended : status;
}

int command_reproduce(struct error *err, int argc, char **argv)
{
    int status = STATUS_OK;
    bool helped = false;
    struct reproduce r = {.count = 5, .seed = 1, .terminal = isatty(STDOUT_FILENO) == 1};
    TRY(parse(err, argc, argv, &r, &helped));
    if (helped) {
        goto cleanup;
    }
#ifdef _OPENMP
    omp_set_num_threads(1); /* as `run` */
#endif
    signals_block();
    TRY(reproduce(err, &r));
cleanup:
    if (r.folder[0] != '\0') {
        nftw(r.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    reproduction_close(r.reproduction);
    free(r.cell);
    spec_free(r.spec);
    return status;
}
