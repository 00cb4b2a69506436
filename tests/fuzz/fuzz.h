/*
 * What the fuzz targets share. A target is one function on bytes, libFuzzer's interface; without
 * libFuzzer tests/fuzz/driver.c calls it with the seeds and with mutations of them.
 *
 * A target states facts beyond "does not crash" with FUZZ_FACT: a false one ends the process as a
 * crash does.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_FACT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A file in memory that holds data[size]: its path, valid until the next call with this slot
 * (0 … 3). */
const char *fuzz_file(int slot, const void *data, size_t size);

/* A folder in which `name` is a file in memory that holds data[size]: the folder's path. One name
 * per process. */
const char *fuzz_folder(const char *name, const void *data, size_t size);

#endif
