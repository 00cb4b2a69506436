/*
 * build/bench_dispatch: how many cells per second the coordinator can hand out.
 *
 *     mpirun -n 4 --oversubscribe --bind-to none build/bench_dispatch [options]
 *
 * Coordinator, workers, scheduler, journal and run folder are the real ones (mpi/coordinator.h);
 * only what a worker does with a cell is replaced by nothing: it says at once that the cell has
 * ended, as a failed one, since there is no result. So for each cell there are an assignment, two
 * messages back, two journal lines and two lines of output, and their share of the fsyncs. With
 * --files the worker makes an empty file and says that the cell is done, and the coordinator
 * renames it; that measures the file system, above all. study.nc is not written.
 *
 * Prints one `key value` a line; the time is from the first cell's begin to the last one's end, and
 * the journal is read afterwards: each cell has begun and ended once.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mpi/clock.h"
#include "mpi/coordinator.h"
#include "mpi/signals.h"
#include "mpi/worker.h"
#include "results/journal.h"

enum { PATH = 900, SEEDS = 250, MOST_RUNS = 100 };

struct bench {
    int cells; /* about so many: a multiple of SEEDS */
    int runs;
    double least;   /* cells per second; less is a failure */
    bool files;     /* cells have files, if empty ones */
    bool keep;      /* the folders */
    char out[PATH]; /* where: decides what an fsync costs */
};

struct times {
    double first, last; /* of this worker: when it began and ended */
    int cells;
};

/* ---- counting ---- */

static int syncs;
static double syncs_took, cpu_before;

static int counted(long number, int fd)
{
    double begun = clock_seconds();
    int result = (int)syscall(number, fd);
    syncs_took += clock_seconds() - begun;
    syncs++;
    return result;
}

/* In place of the C library's, in the whole program. */
int fsync(int fd)
{
    return counted(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return counted(SYS_fdatasync, fd);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- the worker's side ---- */

struct empty {
    struct times times;
    bool files;
};

static void run_empty(void *context, const struct cell *cell, int attempts, const char *file,
                      struct team *team, progress_fn *report, void *report_context,
                      struct outcome *outcome)
{
    (void)attempts, (void)team, (void)report, (void)report_context;
    struct empty *empty = context;
    double begun = clock_seconds();
    empty->times.first = empty->times.cells++ > 0 ? empty->times.first : begun;
    *outcome = (struct outcome){.kind = OUTCOME_FAILED, .status = CELL_FAILED};
    memcpy(outcome->id, cell->id, sizeof outcome->id);
    if (empty->files) {
        int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        outcome->kind = fd >= 0 ? OUTCOME_FINISHED : OUTCOME_NOT_STORED;
        outcome->status = CELL_DONE;
        strcpy(outcome->checksum, "ef46db3751d8e999"); /* of nothing */
        if (fd >= 0) {
            close(fd);
        }
    }
    outcome->seconds = clock_seconds() - begun;
    empty->times.last = clock_seconds();
}

/* ---- the coordinator's side ---- */

static int write_text(struct error *err, const char *folder, const char *name, const char *text)
{
    int status = STATUS_OK;
    char path[PATH + 64];
    FILE *file = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    CHECK(err, file != NULL && fputs(text, file) >= 0, STATUS_FAILED, "%s: %m", path);
cleanup:
    if (file != NULL && fclose(file) != 0 && status == STATUS_OK) {
        status = error_set(err, STATUS_FAILED, __FILE__, __LINE__, "%s: %m", path);
    }
    return status;
}

/* A study of bench->cells cells: settings that differ in dropout, SEEDS seeds each. */
static int write_study(struct error *err, const struct bench *bench)
{
    int status = STATUS_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(err, out != NULL, STATUS_FAILED, "out of memory");
    fprintf(out,
            "name: dispatch\ndesign: list\n"
            "sizes: [{name: 2x16, layers: 2, d_model: 16, heads: 2, context: 32,\n"
            "         learning_rate: 1.0e-3}]\n"
            "base: {total_decay: 0.05, tokens: 32768}\n"
            "train: {batch_tokens: 1024, micro_batch_tokens: 256}\nquantizers: [w8a8]\n"
            "data: {files: [text]}\nseeds: %d\ncells:\n",
            SEEDS);
    for (int i = 0; i < bench->cells / SEEDS; i++) {
        fprintf(out, "  - {dropout: %.4f}\n", 0.0005 * (i + 1));
    }
    bool failed = fclose(out) != 0;
    CHECK(err, !failed, STATUS_FAILED, "out of memory");
    TRY(write_text(err, bench->out, "study.yaml", text));
    TRY(write_text(err, bench->out, "text", "Nobody reads this text."));
cleanup:
    free(text);
    return status;
}

struct tally {
    int begins, ends;
};

static int count_event(struct error *err, void *context, const struct journal_line *line)
{
    (void)err;
    struct tally *tally = context;
    tally->begins += strcmp(line->event, "begin") == 0;
    tally->ends += strcmp(line->event, "end") == 0;
    return STATUS_OK;
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about, (void)type, (void)where;
    return remove(path);
}

static int coordinate(struct error *err, const struct bench *bench, int ranks, enum leave *leave)
{
    int status = STATUS_OK, exit_status = STATUS_OK, log = -1;
    int kept[] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    struct error reason = {0};
    char study[PATH + 64], run[PATH + 64], path[PATH + 64];
    const struct run_options options = {.study = study,
                                        .out = run,
                                        .checkpoint_every = -1,
                                        .heartbeat_timeout = -1,
                                        .margin = -1,
                                        .no_aggregate = true};
    snprintf(study, sizeof study, "%s/study.yaml", bench->out);
    snprintf(run, sizeof run, "%s/run", bench->out);
    TRY(write_study(err, bench));
    /* What a run prints goes where a batch job's output would: to a file. */
    snprintf(path, sizeof path, "%s/output", bench->out);
    log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    CHECK(err,
          log >= 0 && kept[0] >= 0 && kept[1] >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
              dup2(log, STDERR_FILENO) >= 0,
          STATUS_FAILED, "%s: %m", path);
    syncs = 0;
    syncs_took = 0;
    cpu_before = cpu_seconds();
    TRY(coordinator_run(err, &options, ranks, &reason, leave, &exit_status));
    CHECK(err, exit_status == (bench->files ? STATUS_OK : STATUS_FAILED), STATUS_FAILED,
          "the run ended with %d: %s", exit_status, reason.message);
cleanup:
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        if (kept[i] >= 0) {
            dup2(kept[i], i == 0 ? STDOUT_FILENO : STDERR_FILENO);
            close(kept[i]);
        }
    }
    if (log >= 0) {
        close(log);
    }
    return status;
}

static int print_results(struct error *err, const struct bench *bench, const struct times *times,
                         int ranks, double *rate)
{
    int status = STATUS_OK;
    char path[PATH + 64];
    struct stat about;
    struct tally tally = {0};
    double first = times[1].first, last = times[1].last;
    int cells = 0;
    for (int w = 1; w < ranks; w++) {
        cells += times[w].cells;
        first = times[w].first < first ? times[w].first : first;
        last = times[w].last > last ? times[w].last : last;
    }
    snprintf(path, sizeof path, "%s/run/journal.log", bench->out);
    TRY(journal_read(err, path, count_event, &tally));
    CHECK(err, stat(path, &about) == 0, STATUS_FAILED, "%s: %m", path);
    CHECK(err, cells == bench->cells && tally.begins == cells && tally.ends == cells, STATUS_FAILED,
          "%d cells ran, and the journal has %d begun and %d ended", cells, tally.begins,
          tally.ends);
    *rate = cells / (last - first);
    printf("workers %d\ncells %d\nseconds %.3f\ncells_per_second %.0f\njournal_bytes %lld\n"
           "fsyncs %d\nfsync_seconds %.3f\ncells_per_fsync %.1f\ncoordinator_cpu_seconds %.3f\n",
           ranks - 1, cells, last - first, *rate, (long long)about.st_size, syncs, syncs_took,
           (double)cells / syncs, cpu_seconds() - cpu_before);
cleanup:
    return status;
}

static int measure(struct error *err, const struct bench *given, int rank, int ranks, double *rate)
{
    int status = STATUS_OK, exit_status = STATUS_OK;
    enum leave leave = LEAVE_FINALIZE;
    struct bench bench = *given;
    struct empty empty = {.files = bench.files};
    struct times *times = calloc((size_t)ranks, sizeof *times);

    CHECK(err, times != NULL, STATUS_FAILED, "out of memory");
    if (rank == 0) {
        CHECK(err,
              snprintf(bench.out, sizeof bench.out, "%s/bench-dispatch-XXXXXX", given->out) <
                      PATH &&
                  mkdtemp(bench.out) != NULL,
              STATUS_FAILED, "%s: %m", bench.out);
        TRY(coordinate(err, &bench, ranks, &leave));
    } else {
        TRY(worker_run(err, run_empty, &empty, &leave, &exit_status));
    }
    CHECK(err, leave == LEAVE_FINALIZE, STATUS_FAILED, "a rank was lost");
    MPI_TRY(err, MPI_Gather(&empty.times, (int)sizeof empty.times, MPI_BYTE, times,
                            (int)sizeof *times, MPI_BYTE, 0, MPI_COMM_WORLD));
    if (rank == 0) {
        TRY(print_results(err, &bench, times, ranks, rate));
        if (!bench.keep) {
            nftw(bench.out, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        }
    }
cleanup:
    free(times);
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int measure_all(struct error *err, const struct bench *bench, int rank, int ranks)
{
    int status = STATUS_OK;
    double rate[MOST_RUNS] = {0};
    for (int i = 0; i < bench->runs; i++) {
        TRY(measure(err, bench, rank, ranks, &rate[i]));
    }
    if (rank == 0) {
        qsort(rate, (size_t)bench->runs, sizeof *rate, ascending);
        double median = rate[bench->runs / 2];
        printf("runs %d\ncells_per_second_median %.0f\ncells_per_second_least %.0f\n", bench->runs,
               median, rate[0]);
        CHECK(err, median >= bench->least, STATUS_FAILED,
              "%.0f cells per second, and %.0f are needed", median, bench->least);
    }
cleanup:
    return status;
}

static void help(void)
{
    printf("usage: mpirun -n N+1 --oversubscribe --bind-to none bench_dispatch [options]\n"
           "Hands out empty cells and prints one `key value` a line.\n"
           "  --cells N      a multiple of %d (20000)\n"
           "  --runs N       how often; their median is printed at the end (5)\n"
           "  --out DIR      where a run's folder is made and removed again (.)\n"
           "  --files        each cell leaves an empty file\n"
           "  --at-least N   exit status 1 if the median is less\n"
           "  --keep         leave the folders\n",
           SEEDS);
}

static int parse(int argc, char **argv, int rank, struct bench *bench)
{
    static const struct option options[] = {
        {"cells", required_argument, NULL, 'c'},    {"runs", required_argument, NULL, 'r'},
        {"out", required_argument, NULL, 'o'},      {"files", no_argument, NULL, 'f'},
        {"at-least", required_argument, NULL, 'l'}, {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},           {0},
    };
    opterr = rank == 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            bench->cells = atoi(optarg) / SEEDS * SEEDS;
            break;
        case 'o':
            snprintf(bench->out, sizeof bench->out, "%s", optarg);
            break;
        case 'r':
            bench->runs = atoi(optarg);
            break;
        case 'f':
            bench->files = true;
            break;
        case 'l':
            bench->least = atof(optarg);
            break;
        case 'k':
            bench->keep = true;
            break;
        case 'h':
            if (rank == 0) {
                help();
            }
            return STATUS_OK;
        default:
            return STATUS_USAGE;
        }
    }
    bool right = bench->cells > 0 && bench->runs > 0 && bench->runs <= MOST_RUNS && bench->out[0];
    return right ? -1 : STATUS_USAGE;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct bench bench = {.cells = 20000, .runs = 5, .out = "."};
    int rank = 0, ranks = 0;

    signals_block();
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS) {
        return STATUS_FAILED;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int status = parse(argc, argv, rank, &bench);
    if (status < 0 && ranks < 2) {
        fprintf(stderr, "bench_dispatch: start it with mpirun -n 2 or more\n");
        status = STATUS_USAGE;
    }
    status = status < 0 ? measure_all(&err, &bench, rank, ranks) : status;
    if (status != STATUS_OK && err.message[0] != '\0') {
        fprintf(stderr, "bench_dispatch: rank %d: %s\n", rank, err.message);
        MPI_Abort(MPI_COMM_WORLD, status); /* the others wait for it */
    }
    MPI_Finalize();
    return status;
}
