/*
 * What coordinator (rank 0) and workers say to each other, and the few MPI helpers they share.
 *
 *     start     coordinator → all       struct setup, broadcast
 *     READY     worker → coordinator    struct ready
 *     CELL      coordinator → worker    struct assignment; answered by exactly one RESULT
 *     PROGRESS  worker → coordinator    struct news, about one per second, while it runs a cell
 *     RESULT    worker → coordinator    struct outcome; the worker is idle again
 *     STOP      coordinator → worker    no content: cancel the running cell, if there is one
 *     END       coordinator → worker    int, the exit status: the worker leaves
 *
 * Messages are the bytes of these structs: all ranks are the same program on the same kind of
 * machine. Nobody spins: whoever waits polls with pauses that grow from 50 µs to 5 ms, so that
 * W + 1 ranks run well on W cores.
 */
#ifndef PTQSCALE_MPI_TRANSPORT_H
#define PTQSCALE_MPI_TRANSPORT_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "jobs/spec.h"
#include "results/record.h"

enum tag { TAG_READY = 1, TAG_CELL, TAG_PROGRESS, TAG_RESULT, TAG_STOP, TAG_END };

struct setup {
    bool work;  /* false: there is nothing to run, leave with `status` */
    int status; /* exit status when there is no work */
    char folder[SPEC_PATH];
    struct data_source source;
    struct cell_data data;
};

struct ready {
    char host[RECORD_TEXT];
};

struct assignment {
    struct cell cell;
    int attempts;
};

struct news {
    int64_t step, steps;
    double loss, tokens_per_second;
};

/* Record a failed MPI call; returns STATUS_FAILED. */
int transport_failure(struct error *err, int code, const char *call, const char *file, int line);

/* Every MPI call goes through this one: on failure leave through `cleanup:`. */
#define MPI_TRY(err, call)                                                                         \
    do {                                                                                           \
        int mpi_code_ = (call);                                                                    \
        if (mpi_code_ != MPI_SUCCESS) {                                                            \
            status = transport_failure((err), mpi_code_, #call, __FILE__, __LINE__);               \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

/* A pause that grows while nothing happens. Zero-initialize. */
struct pause {
    double seconds;
};
void pause_reset(struct pause *pause);
void pause_sleep(struct pause *pause);

/* Wait for a request, sleeping. */
int transport_wait(struct error *err, MPI_Request *request);

/* Broadcast `setup` from rank 0; whoever waits sleeps. */
int transport_share_setup(struct error *err, struct setup *setup);

/* Version of the library, one line. */
int transport_version(struct error *err, char version[RECORD_TEXT]);

#endif
