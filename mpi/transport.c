#include "mpi/transport.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const double shortest_pause = 50e-6, longest_pause = 5e-3; /* seconds */

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
    pause->seconds = 0;
}

void pause_sleep(struct pause *pause)
{
    double next = pause->seconds > 0 ? 1.5 * pause->seconds : shortest_pause;
    pause->seconds = next < longest_pause ? next : longest_pause;
    struct timespec time = {.tv_nsec = (long)(1e9 * pause->seconds)};
    nanosleep(&time, NULL);
}

int transport_wait(struct error *err, MPI_Request *request)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    for (;;) {
        int done = 0;
        MPI_TRY(err, MPI_Test(request, &done, MPI_STATUS_IGNORE));
        if (done) {
            break;
        }
        pause_sleep(&pause);
    }
cleanup:
    return status;
}

int transport_share_setup(struct error *err, struct setup *setup)
{
    int status = STATUS_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_TRY(err, MPI_Ibcast(setup, (int)sizeof *setup, MPI_BYTE, 0, MPI_COMM_WORLD, &request));
    TRY(transport_wait(err, &request));
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
