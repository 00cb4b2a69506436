/*
 * One error, carried up with its context. Every fallible function returns an int status (enum
 * status; 0 is success), takes a `struct error *` first and its outputs last, and releases what it
 * took at one `cleanup:` label:
 *
 *     int status = STATUS_OK;
 *     TRY(thing_open(err, path, &thing));
 *     CHECK(err, thing->n > 0, STATUS_FAILED, "%s: no entries", path);
 * cleanup:
 *     thing_close(thing);
 *     return status;
 */
#ifndef JOBS_ERROR_H
#define JOBS_ERROR_H

/* The values are the program's exit status. */
enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,  /* the world is not as it should be: missing file, full disk, bad data */
    STATUS_USAGE = 2,   /* the user's input is wrong: study file, option */
    STATUS_STOPPED = 3, /* stopped early, resumable */
};

enum { ERROR_MESSAGE = 2048 };

struct error {
    int status;       /* enum status of the first failure; 0 while there is none */
    const char *file; /* source position of the failure, for the engineer */
    int line;
    char message[ERROR_MESSAGE]; /* for the user: what, where, and what to do */
};

/* Record a failure and return `status`. An error that is already set is kept (the first cause
 * wins). `err` may be NULL: then only the status travels. */
int error_set(struct error *err, int status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Put "context: " in front of a message on its way up. Does nothing while no error is set. */
void error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forget the error, so that the struct can be used again. */
void error_clear(struct error *err);

/* Run `call`; on failure leave through `cleanup:` with its status. Needs `int status`. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != STATUS_OK) {                                                                 \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

/* Fail with a message and leave through `cleanup:`. */
#define FAIL(err, code, ...)                                                                       \
    do {                                                                                           \
        status = error_set((err), (code), __FILE__, __LINE__, __VA_ARGS__);                        \
        goto cleanup;                                                                              \
    } while (0)

/* Fail unless `condition` holds. */
#define CHECK(err, condition, code, ...)                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            FAIL((err), (code), __VA_ARGS__);                                                      \
        }                                                                                          \
    } while (0)

#endif
