/*
 * Writes seeds with the program's own writers: a cell file, a checkpoint, a journal, a live file.
 *
 *     fuzz_seeds FOLDER      made if it is missing; a folder per target in it
 *
 * They are made where they are used: they hold the cell's id, the instruction set and the libraries.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "results/cellfile.h"
#include "results/checkpoint.h"
#include "results/rundir.h"
#include "results/schema.h"
#include "study/state.h"
#include "tests/fuzz/cell.h"
#include "tests/fuzz/fuzz.h"

enum { PATH = 4096 };

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    FUZZ_FACT(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void write_cell(struct error *err, const char *folder)
{
    struct record *record = NULL;
    char path[PATH], checksum[17];
    snprintf(path, sizeof path, "%s/cellfile/whole", folder);
    FUZZ_FACT(record_create(err, fuzz_cell(), &record) == STATUS_OK);
    record->status = CELL_DONE;
    snprintf(record->host, sizeof record->host, "node1");
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type != SCHEMA_TEXT && entry->type != SCHEMA_STATUS) {
            for (size_t k = 0; k < schema_values(entry, fuzz_cell()); k++) {
                schema_numbers(entry, record)[k] = (double)k;
            }
        }
    }
    FUZZ_FACT(cellfile_write(err, path, fuzz_cell(), record, checksum) == STATUS_OK);
    record_free(record);
}

static void write_checkpoint(const char *folder)
{
    struct state state;
    struct checkpoint_part part[STATE_PARTS];
    const float buffer[FUZZ_WEIGHTS] = {1, 2, 3};
    char bytes[1 << 16];
    size_t length = 0;
    state_identify(fuzz_cell(), FUZZ_WEIGHTS, &state);
    state.step = state.updates = state.good_steps = 3;
    state.loss_scale = 1;
    snprintf(state.started, sizeof state.started, "2025-01-31T23:59:59Z");
    double *numbers = calloc(state.numbers, sizeof *numbers);
    FUZZ_FACT(numbers != NULL);
    state_parts(&state, numbers, buffer, buffer, buffer, part);
    for (int i = 0; i < STATE_PARTS; i++) {
        FUZZ_FACT(length + part[i].length <= sizeof bytes);
        memcpy(bytes + length, part[i].bytes, part[i].length);
        length += part[i].length;
    }
    write_file(folder, "checkpoint/state", bytes, length);
    /* Only what fuzz_checkpoint lays over a state that is identified. */
    write_file(folder, "checkpoint/numbers", (const char *)&state + offsetof(struct state, step),
               sizeof state - offsetof(struct state, step));
    free(numbers);
}

/* A run's folder with every event there is, and what its workers do. */
static void write_run(struct error *err, const char *folder)
{
    struct rundir *dir = NULL;
    struct spec *spec = fuzz_study();
    const struct cell *cell = fuzz_cell();
    const char *id = cell->id;
    char run[PATH], from[PATH + 16], to[PATH];
    const struct rundir_live live[] = {
        {.worker = 1,
         .host = "node 1",
         .state = "train",
         .step = 2,
         .steps = 8,
         .loss = 5.5,
         .tokens_per_second = 1000,
         .heard = 1700000000},
        {.worker = 2, .loss = NAN},
    };
    snprintf(run, sizeof run, "%s/run", folder);
    FUZZ_FACT(rundir_open(err, run, spec, &dir) == STATUS_OK);
    FUZZ_FACT(rundir_log_run(err, dir, 3, 1, "17") == STATUS_OK);
    FUZZ_FACT(rundir_log_begin(err, dir, cell, 1, "node 1", 1) == STATUS_OK);
    FUZZ_FACT(rundir_log_lost(err, dir, id, true, 1, "node 1", "silent") == STATUS_OK);
    FUZZ_FACT(rundir_log_begin(err, dir, cell, 2, "node2", 1) == STATUS_OK);
    FUZZ_FACT(rundir_log_resumed(err, dir, id, 3) == STATUS_OK);
    FUZZ_FACT(rundir_log_end(err, dir, id, CELL_PENDING, "", 1, "interrupted") == STATUS_OK);
    FUZZ_FACT(rundir_log_stop(err, dir, "interrupted", 1.5, 0, 0) == STATUS_OK);
    FUZZ_FACT(rundir_log_quarantined(err, dir, id, "100 % deadly") == STATUS_OK);
    FUZZ_FACT(rundir_log_retry(err, dir, id) == STATUS_OK);
    FUZZ_FACT(rundir_log_end(err, dir, id, CELL_DONE, "0123456789abcdef", 2, "") == STATUS_OK);
    FUZZ_FACT(rundir_write_live(err, dir, live, 2) == STATUS_OK);
    rundir_close(dir);
    spec_free(spec);
    snprintf(from, sizeof from, "%s/journal.log", run);
    snprintf(to, sizeof to, "%s/journal/whole", folder);
    FUZZ_FACT(rename(from, to) == 0); /* so that the next time begins anew */
    snprintf(from, sizeof from, "%s/live", run);
    snprintf(to, sizeof to, "%s/live/whole", folder);
    FUZZ_FACT(rename(from, to) == 0);
}

int main(int argc, char **argv)
{
    static const char *const name[] = {"", "/cellfile", "/checkpoint", "/journal", "/live"};
    struct error err = {0};
    FUZZ_FACT(argc == 2);
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s%s", argv[1], name[i]);
        FUZZ_FACT(mkdir(path, 0777) == 0 || errno == EEXIST);
    }
    write_cell(&err, argv[1]);
    write_checkpoint(argv[1]);
    write_run(&err, argv[1]);
    return 0;
}
