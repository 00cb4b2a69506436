/*
 * What coordinator (rank 0) and workers say to each other, and the few MPI helpers they share.
 *
 *     SETUP     coordinator → worker    struct setup without the text files that are not there
 *     READY     worker → coordinator    struct ready
 *     CELL      coordinator → worker    struct assignment as far as the team has members; answered by exactly one
 *                                       RESULT
 *     NEWS      worker → coordinator    struct news: it lives; at least one per second, idle or not
 *     RESULT    worker → coordinator    struct outcome; the worker is idle again
 *     STOP      coordinator → worker    no content: stop the running cell, if there is one, in order: all members are
 *                                       told, and end it at the same place
 *     ABANDON   coordinator → worker    no content: a team-mate is lost, or has failed: give the running cell up
 *     FORM      worker → worker         an int: the epoch (mpi/formation.c)
 *     PING      coordinator → worker    no content: the coordinator lives
 *     END       coordinator → worker    struct farewell: end, also in the middle of a cell
 *     BYE       worker → coordinator    no content: its last message
 *     LEAVE     coordinator → worker    struct farewell again, once it is known who has said BYE
 *
 * Messages are the bytes of these structs: all ranks are the same program on the same kind of
 * machine. Everything is point-to-point and nothing blocks on a rank that may be dead. A worker that
 * has been silent for too long is fenced: its messages are received and thrown away, and END is all
 * that it gets. Nobody spins: whoever waits gives the core away a few times, for an answer that is about
 * to come, and then polls with pauses that grow from 50 µs to 5 ms, so that W + 1 ranks run well on W
 * cores.
 */
#ifndef PTQSCALE_MPI_TRANSPORT_H
#define PTQSCALE_MPI_TRANSPORT_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cell.h"
#include "jobs/spec.h"
#include "jobs/width.h"
#include "results/record.h"

enum tag {
    TAG_SETUP = 1,
    TAG_READY,
    TAG_CELL,
    TAG_NEWS,
    TAG_RESULT,
    TAG_STOP,
    TAG_PING,
    TAG_END,
    TAG_BYE,
    TAG_LEAVE,
    TAG_ABANDON,
    TAG_FORM,
};

/* Who a rank is; processes can be seen by each other where boot and pid_space are the same. */
struct ready {
    char host[RECORD_TEXT];
    int64_t pid;
    char boot[40];      /* the kernel's boot id */
    uint64_t pid_space; /* identity of the namespace of pid; 0 = not known */
};

struct setup {
    bool work;  /* false: there is nothing to run, leave with `status` */
    int status; /* exit status when there is no work */
    bool finalize;
    double checkpoint_every, heartbeat_timeout; /* seconds */
    struct ready coordinator;
    char folder[SPEC_PATH];
    struct cell_data data;
    struct data_source source; /* last: sent as far as there are files */
};

struct assignment {
    struct cell cell;
    int attempts;
    int epoch; /* of the team */
    int size, rank;
    bool recompute;
    int member[WIDTH_MOST]; /* ranks in MPI_COMM_WORLD; last: sent as far as there are members */
};

enum phase { PHASE_IDLE, PHASE_LOAD, PHASE_BEGIN, PHASE_RESUME, PHASE_TRAIN, PHASE_EVALUATE };

struct news {
    enum phase phase;
    int64_t step, steps;
    double loss, tokens_per_second;
    double patience; /* seconds of silence that may follow, beyond heartbeat_timeout */
};

struct farewell {
    int exit_status;
    bool wait;     /* END: for LEAVE; a worker that is given up leaves at once */
    bool finalize; /* MPI ends in order, all ranks together; else each rank just leaves */
};

const char *phase_name(enum phase phase); /* "train" */
enum phase phase_of(const char *name);    /* of struct progress; PHASE_TRAIN if it is not known */

/* How a rank leaves. */
enum leave {
    LEAVE_FINALIZE, /* through MPI_Finalize */
    LEAVE_EXIT,     /* at once: somebody is missing, and MPI_Finalize would wait for it */
    LEAVE_ABORT,    /* at once, and a rank that cannot be reached may still be there: end it, too */
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
    int yields;
    double seconds;
};
void pause_reset(struct pause *pause);
void pause_sleep(struct pause *pause);
/* The same for an answer that many are at work on: longer before it sleeps, and never long. */
void pause_briefly(struct pause *pause);

/* Wait for a request, sleeping, but no longer than `seconds`: then *done = false, and the request
 * stays active. */
int transport_wait(struct error *err, MPI_Request *request, double seconds, bool *done);

/* Receive the announced message, whose content is `size` bytes. */
int transport_receive(struct error *err, const MPI_Status *message, void *bytes, size_t size);

/* Receive it and throw it away. */
int transport_discard(struct error *err, const MPI_Status *message);

/* This process. */
void transport_introduce(struct ready *ready);

/* The process of another rank, where it can be seen from here: on the same host, in the same namespace. */
struct sight {
    int64_t pid;   /* 0: it cannot be seen */
    int64_t start; /* when it was started, for pids are used again; −1: it was gone already */
};
struct sight transport_see(const struct ready *self, const struct ready *other);

/* Is it known to be dead? False of what cannot be seen. */
bool transport_is_dead(const struct sight *sight);

/* Bytes that are sent. */
size_t transport_setup_size(const struct setup *setup);
size_t transport_assignment_size(const struct assignment *assignment);

/* End MPI. A rank that dies while it does so would hold up the others for ever: a process that is
 * still in here after a minute dies of SIGALRM. */
int transport_finalize(struct error *err);

/* Version of the library, one line. */
int transport_version(struct error *err, char version[RECORD_TEXT]);

#endif
