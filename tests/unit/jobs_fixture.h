/* Study files from text, for the tests of jobs/. */
#ifndef TESTS_UNIT_JOBS_FIXTURE_H
#define TESTS_UNIT_JOBS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "jobs/spec.h"

/* |a − b| ≤ tolerance, in double precision. */
#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        double near_a = (a), near_b = (b);                                                         \
        if (!(near_a - near_b <= (tolerance) && near_b - near_a <= (tolerance))) {                 \
            fail_msg("%s = %.17g, not %.17g", #a, near_a, near_b);                                 \
        }                                                                                          \
    } while (0)

/* One small size; %s: more sections. */
#define FIXTURE_STUDY                                                                              \
    "sizes:\n"                                                                                     \
    "  - {layers: 2, d_model: 16, heads: 2, context: 32, learning_rate: 8.0e-3}\n"                 \
    "seeds: 2\n"                                                                                   \
    "data: {files: [text.txt]}\n"

/* spec_read of `length` bytes, through a file that exists in memory only. */
static inline int fixture_read(struct error *err, const char *text, size_t length,
                               struct spec **spec)
{
    char path[64];
    int file = memfd_create("study", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, length), (ssize_t)length);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int status = spec_read(err, path, spec);
    close(file);
    return status;
}

/* A study text that must be right. */
static inline struct spec *fixture_study(const char *text)
{
    struct error err = {0};
    struct spec *spec = NULL;
    if (fixture_read(&err, text, strlen(text), &spec) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return spec;
}

/* Its cells. */
static inline struct cell *fixture_cells(const char *text, int *count)
{
    struct error err = {0};
    struct spec *spec = NULL;
    struct cell *cells = NULL;
    if (fixture_read(&err, text, strlen(text), &spec) != STATUS_OK ||
        spec_cells(&err, spec, &cells, count) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    spec_free(spec);
    return cells;
}

/* The first cell, by value. */
static inline struct cell fixture_cell(const char *text)
{
    int count = 0;
    struct cell *cells = fixture_cells(text, &count);
    struct cell cell = cells[0];
    free(cells);
    return cell;
}

#endif
