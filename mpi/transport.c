#include "mpi/transport.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mpi/clock.h"
#include "results/process.h"

enum { MOST_YIELDS = 32, MOST_YIELDS_BRIEFLY = 128 };
static const double shortest_pause = 50e-6, longest_pause = 5e-3; /* seconds */
static const double longest_brief_pause = 2e-4;

enum { FINALIZE_SECONDS = 60 };

static const char *const phase_names[] = {"idle", "load", "begin", "resume", "train", "evaluate"};

const char *phase_name(enum phase phase)
{
    return phase <= PHASE_EVALUATE ? phase_names[phase] : "";
}

enum phase phase_of(const char *name)
{
    for (int i = PHASE_IDLE; i <= PHASE_EVALUATE; i++) {
        if (strcmp(phase_names[i], name) == 0) {
            return (enum phase)i;
        }
    }
    return PHASE_TRAIN;
}

int transport_failure(struct error *err, int code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) {
        snprintf(text, sizeof text, "error %d", code);
    }
    return error_set(err, STATUS_FAILED, file, line, "communication failed: %s: %s", call, text);
}

void pause_reset(struct pause *pause)
{
    *pause = (struct pause){0};
}

static void wait_a_little(struct pause *pause, int yields, double longest)
{
    if (pause->yields < yields) {
        pause->yields++;
        sched_yield();
        return;
    }
    double next = pause->seconds > 0 ? 1.5 * pause->seconds : shortest_pause;
    pause->seconds = next < longest ? next : longest;
    struct timespec time = {.tv_nsec = (long)(1e9 * pause->seconds)};
    nanosleep(&time, NULL);
}

void pause_sleep(struct pause *pause)
{
    wait_a_little(pause, MOST_YIELDS, longest_pause);
}

void pause_briefly(struct pause *pause)
{
    wait_a_little(pause, MOST_YIELDS_BRIEFLY, longest_brief_pause);
}

int transport_wait(struct error *err, MPI_Request *request, double seconds, bool *done)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    double begun = clock_seconds();
    for (;;) {
        int complete = 0;
        MPI_TRY(err, MPI_Test(request, &complete, MPI_STATUS_IGNORE));
        *done = complete;
        if (complete || clock_seconds() - begun > seconds) {
            break;
        }
        pause_sleep(&pause);
    }
cleanup:
    return status;
}

int transport_receive(struct error *err, const MPI_Status *message, void *bytes, size_t size)
{
    int status = STATUS_OK;
    int count = 0;
    MPI_TRY(err, MPI_Get_count(message, MPI_BYTE, &count));
    CHECK(err, (size_t)count == size, STATUS_FAILED,
          "rank %d sent %d bytes where %zu belong: do all ranks run the same program?",
          message->MPI_SOURCE, count, size);
    MPI_TRY(err, MPI_Recv(bytes, count, MPI_BYTE, message->MPI_SOURCE, message->MPI_TAG,
                          MPI_COMM_WORLD, MPI_STATUS_IGNORE));
cleanup:
    return status;
}

int transport_discard(struct error *err, const MPI_Status *message)
{
    int status = STATUS_OK;
    int count = 0;
    void *bytes = NULL;
    MPI_TRY(err, MPI_Get_count(message, MPI_BYTE, &count));
    bytes = malloc((size_t)count + 1);
    CHECK(err, bytes != NULL, STATUS_FAILED, "out of memory");
    TRY(transport_receive(err, message, bytes, (size_t)count));
cleanup:
    free(bytes);
    return status;
}

void transport_introduce(struct ready *ready)
{
    struct stat space;
    *ready = (struct ready){.pid = getpid()};
    if (gethostname(ready->host, sizeof ready->host - 1) != 0 || ready->host[0] == '\0') {
        strcpy(ready->host, "unknown");
    }
    if (process_boot(ready->boot) && stat("/proc/self/ns/pid", &space) == 0) {
        ready->pid_space = space.st_ino;
    }
}

struct sight transport_see(const struct ready *self, const struct ready *other)
{
    const bool seen = other->pid_space != 0 && other->pid_space == self->pid_space &&
                      strcmp(other->boot, self->boot) == 0;
    const int64_t start = seen ? process_start(other->pid) : 0;
    return (struct sight){.pid = start != 0 ? other->pid : 0, .start = start};
}

bool transport_is_dead(const struct sight *sight)
{
    const int64_t start = sight->pid == 0 ? 0 : process_start(sight->pid);
    return start < 0 || (start > 0 && start != sight->start);
}

size_t transport_setup_size(const struct setup *setup)
{
    return offsetof(struct setup, source) + offsetof(struct data_source, file) +
           (size_t)setup->source.files * sizeof setup->source.file[0];
}

size_t transport_assignment_size(const struct assignment *assignment)
{
    return offsetof(struct assignment, member) +
           (size_t)assignment->size * sizeof assignment->member[0];
}

int transport_finalize(struct error *err)
{
    int status = STATUS_OK;
    alarm(FINALIZE_SECONDS);
    MPI_TRY(err, MPI_Finalize());
    alarm(0);
cleanup:
    return status;
}

int transport_version(struct error *err, char version[RECORD_TEXT])
{
    int status = STATUS_OK;
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_TRY(err, MPI_Get_library_version(text, &length));
    text[strcspn(text, "\n")] = '\0';
    snprintf(version, RECORD_TEXT, "%.250s", text);
cleanup:
    return status;
}
