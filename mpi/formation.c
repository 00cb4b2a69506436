/*
 * Dissemination: in round k each member sends to the one 2^k behind it and waits for the one 2^k before it. Whoever
 * has been through all rounds knows that everybody has begun. Messages are their epoch; those of a team that was
 * given up may still be there and are thrown away.
 */
#include "mpi/formation.h"

#include <stdlib.h>

#include "mpi/transport.h"

enum { TAGS = 16384 }; /* every MPI has twice as many */

/* Has the message from that member come? */
static int hear(struct error *err, const struct formation *f, int from, bool *heard)
{
    int status = STATUS_OK;
    for (int there = 1; there && !*heard;) {
        MPI_Status message;
        int epoch = 0;
        MPI_TRY(err, MPI_Iprobe(f->member[from], TAG_FORM, MPI_COMM_WORLD, &there, &message));
        if (there) {
            TRY(transport_receive(err, &message, &epoch, sizeof epoch));
            *heard = epoch == f->epoch;
        }
    }
cleanup:
    return status;
}

/* So short that MPI takes it along at once, whether the other is there or not. */
static int say(struct error *err, const struct formation *f, int to)
{
    int status = STATUS_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    int *epoch = malloc(sizeof *epoch);
    bool done = false;
    CHECK(err, epoch != NULL, STATUS_FAILED, "out of memory");
    *epoch = f->epoch;
    MPI_TRY(err, MPI_Isend(epoch, (int)sizeof *epoch, MPI_BYTE, f->member[to], TAG_FORM,
                           MPI_COMM_WORLD, &request));
    TRY(transport_wait(err, &request, 0, &done));
    if (done) {
        free(epoch);
    } else { /* … nearly always: it is left where it is */
        MPI_TRY(err, MPI_Request_free(&request));
    }
cleanup:
    return status;
}

static int make_communicator(struct error *err, const struct formation *f, MPI_Comm *comm)
{
    int status = STATUS_OK;
    MPI_Group world = MPI_GROUP_NULL, group = MPI_GROUP_NULL;
    MPI_TRY(err, MPI_Comm_group(MPI_COMM_WORLD, &world));
    MPI_TRY(err, MPI_Group_incl(world, f->size, f->member, &group));
    MPI_TRY(err, MPI_Comm_create_group(MPI_COMM_WORLD, group, f->epoch % TAGS, comm));
cleanup:
    if (group != MPI_GROUP_NULL) {
        MPI_Group_free(&group);
    }
    if (world != MPI_GROUP_NULL) {
        MPI_Group_free(&world);
    }
    return status;
}

int formation_make(struct error *err, const struct formation *f, formation_given_up_fn *given_up,
                   void *context, MPI_Comm *comm)
{
    int status = STATUS_OK;
    struct pause pause = {0};
    *comm = MPI_COMM_NULL;
    for (int step = 1; step < f->size; step *= 2) {
        bool heard = false;
        TRY(say(err, f, (f->rank + step) % f->size));
        for (;;) {
            TRY(hear(err, f, (f->rank - step + f->size) % f->size, &heard));
            if (given_up(context)) {
                goto cleanup;
            }
            if (heard) {
                break;
            }
            pause_sleep(&pause);
        }
        pause_reset(&pause);
    }
    TRY(make_communicator(err, f, comm));
cleanup:
    return status;
}
