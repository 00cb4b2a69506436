/* A study, its cells, made-up records and a temporary folder, for the tests of results/. */
#ifndef TESTS_UNIT_RESULTS_FIXTURE_H
#define TESTS_UNIT_RESULTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/spec.h"
#include "results/cellfile.h"
#include "results/rundir.h"
#include "results/schema.h"

#define assert_ok(err, call)                                                                       \
    do {                                                                                           \
        int assert_ok_status = (call);                                                             \
        if (assert_ok_status != STATUS_OK) {                                                       \
            fail_msg("%s: %s", #call, (err)->message);                                             \
        }                                                                                          \
    } while (0)

/* The call fails, and its message names what it must. */
#define assert_fails(err, text, call)                                                              \
    do {                                                                                           \
        error_clear(err);                                                                          \
        assert_int_equal((call), STATUS_FAILED);                                                   \
        if (strstr((err)->message, (text)) == NULL) {                                              \
            fail_msg("\"%s\" does not say \"%s\"", (err)->message, (text));                        \
        }                                                                                          \
        error_clear(err);                                                                          \
    } while (0)

struct fixture {
    char folder[64]; /* made for this test, removed after it */
    char run[96];    /* <folder>/run, not made */
    struct spec *spec;
    struct cell *cell;
    int cells;
    struct error err;
};

/* Two tasks of different length, so that records have all that there is. */
static inline void fixture_add_tasks(struct spec *spec)
{
    static const struct task tasks[] = {
        {.name = "first", .format = TASK_CONTINUATION, .items = 5, .length = 64, .seed = 1},
        {.name = "second", .format = TASK_CLOZE, .items = 3, .length = 64, .seed = 2}};
    spec->evaluate.tasks = spec->source.tasks = 2;
    memcpy(spec->evaluate.task, tasks, sizeof tasks);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    /* In memory where that is possible: these tests call fsync some thousand times. */
    snprintf(fixture->folder, sizeof fixture->folder, "%s/ptqscale-test-XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(fixture->folder) == NULL) {
        return -1;
    }
    snprintf(fixture->run, sizeof fixture->run, "%s/run", fixture->folder);
    if (spec_read(&fixture->err, PTQSCALE_SOURCE_DIR "/jobs/smoke.yaml", &fixture->spec) != 0) {
        fprintf(stderr, "%s\n", fixture->err.message);
        return -1;
    }
    fixture_add_tasks(fixture->spec);
    if (spec_cells(&fixture->err, fixture->spec, &fixture->cell, &fixture->cells) != 0) {
        fprintf(stderr, "%s\n", fixture->err.message);
        return -1;
    }
    return 0;
}

static inline int fixture_remove(const char *path, const struct stat *about, int type,
                                 struct FTW *where)
{
    (void)about, (void)type, (void)where;
    return remove(path);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    nftw(fixture->folder, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture->cell);
    spec_free(fixture->spec);
    free(fixture);
    return 0;
}

/* A number for entry × element that no other place has; some are missing. Exact in every disk
 * type. */
static inline double fixture_number(int entry, size_t element, int salt)
{
    if ((element + (size_t)entry + (size_t)salt) % 7 == 3) {
        return NAN;
    }
    return (double)(entry * 4096 + (int)element % 4096 + salt * 1048576);
}

/* A record with a made-up number in every field. */
static inline struct record *fixture_record(const struct cell *cell, int salt)
{
    struct error err = {0};
    struct record *record = NULL;
    assert_ok(&err, record_create(&err, cell, &record));
    record->status = salt % 2 == 0 ? CELL_DONE : CELL_DIVERGED;
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            snprintf(schema_text(entry, record), entry->size, "%.12s %d: 100 %% \xc3\xa9",
                     entry->name, salt);
        } else if (entry->type != SCHEMA_STATUS) {
            double *number = schema_numbers(entry, record);
            for (size_t k = 0; k < schema_values(entry, cell); k++) {
                number[k] = fixture_number(i, k, salt);
                if (entry->type == SCHEMA_BYTE && !isnan(number[k])) {
                    number[k] = (double)((size_t)i + k + (size_t)salt) -
                                128 * floor((double)((size_t)i + k + (size_t)salt) / 128);
                }
            }
        }
    }
    return record;
}

static inline bool fixture_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static inline void fixture_assert_same(const struct cell *cell, const struct record *a,
                                       const struct record *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->windows, b->windows);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            assert_string_equal(schema_text(entry, a), schema_text(entry, b));
        } else if (entry->type != SCHEMA_STATUS) {
            for (size_t k = 0; k < schema_values(entry, cell); k++) {
                double left = schema_numbers(entry, a)[k], right = schema_numbers(entry, b)[k];
                if (!fixture_same(left, right)) {
                    fail_msg("%s[%zu]: %.17g is not %.17g", entry->name, k, left, right);
                }
            }
        }
    }
}

/* The bytes of a file; the caller frees them. */
static inline char *fixture_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = '\0';
    fclose(file);
    return bytes;
}

static inline void fixture_put(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Names in a folder, without "." and "..". */
static inline int fixture_entries(const char *folder)
{
    int entries = 0;
    DIR *open = opendir(folder);
    assert_non_null(open);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(open);
    return entries;
}

/* Run `call` with standard error going to <folder>/stderr, and return what was written there. */
#define FIXTURE_STDERR(fixture, text, call)                                                        \
    do {                                                                                           \
        char stderr_path[96];                                                                      \
        size_t stderr_size;                                                                        \
        snprintf(stderr_path, sizeof stderr_path, "%s/stderr", (fixture)->folder);                 \
        fflush(stderr);                                                                            \
        int kept = dup(STDERR_FILENO);                                                             \
        int away = open(stderr_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);                          \
        dup2(away, STDERR_FILENO);                                                                 \
        close(away);                                                                               \
        call;                                                                                      \
        fflush(stderr);                                                                            \
        dup2(kept, STDERR_FILENO);                                                                 \
        close(kept);                                                                               \
        (text) = fixture_bytes(stderr_path, &stderr_size);                                         \
        unlink(stderr_path);                                                                       \
    } while (0)

/* A small generator for mutations, seeded: every run makes the same ones. */
static inline uint64_t fixture_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* The fixture's run, open for writing. */
static inline struct rundir *fixture_open(struct fixture *f)
{
    struct rundir *dir = NULL;
    assert_ok(&f->err, rundir_open(&f->err, f->run, f->spec, &dir));
    return dir;
}

/* A path in it. */
static inline void fixture_in_run(const struct fixture *f, const char *name, char path[192])
{
    snprintf(path, 192, "%s/%s", f->run, name);
}

#endif
