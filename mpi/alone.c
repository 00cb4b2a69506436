#include "mpi/alone.h"

#include <mpi.h>
#include <stdlib.h>

#include "mpi/algebra.h"
#include "mpi/transport.h"

/* In a sanitized build: what Open MPI takes when it starts, and never gives back, is not our leak. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* Open MPI then shall not start its daemon, look for others or need a folder for temporary files; variables that are set
 * already stay, and another MPI does not know these. */
int alone_begin(struct error *err, struct alone *alone)
{
    int status = STATUS_OK;
    int initialized = 0;
    MPI_TRY(err, MPI_Initialized(&initialized));
    if (!initialized) {
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
        setenv("OMPI_MCA_orte_create_session_dirs", "0", 0);
        setenv("OMPI_MCA_btl", "self", 0);
        const bool sanitized = __lsan_disable && __lsan_enable;
        if (sanitized) {
            __lsan_disable();
        }
        const int code = MPI_Init(NULL, NULL);
        if (sanitized) {
            __lsan_enable();
        }
        MPI_TRY(err, code);
        alone->started = true;
        MPI_TRY(err, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    }
    TRY(algebra_create(err, MPI_COMM_SELF, &alone->algebra));
cleanup:
    return status;
}

int alone_end(struct error *err, struct alone *alone, bool quiet)
{
    int status = STATUS_OK;
    algebra_free(alone->algebra);
    if (alone->started) {
        status = transport_finalize(quiet ? NULL : err);
    }
    *alone = (struct alone){0};
    return status;
}
