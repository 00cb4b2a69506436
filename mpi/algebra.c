#include "mpi/algebra.h"

#include <stdlib.h>

#include "mpi/algebra_team.h"
#include "mpi/transport.h"

/* Up to here one rank needs less than a second. */
enum { SPECTRUM_ALONE = 1024, GRAM_ALONE = 2048 };

static int create(struct error *err, MPI_Comm comm, struct team *members, int spectrum_alone,
                  int gram_alone, struct algebra **algebra)
{
    int status = STATUS_OK;
    struct algebra *made = calloc(1, sizeof *made);
    struct algebra_team *team = calloc(1, sizeof *team);
    CHECK(err, made != NULL && team != NULL, STATUS_FAILED, "out of memory");
    if (openblas_set_num_threads) {
        openblas_set_num_threads(1);
    }
    if (MKL_Set_Num_Threads) {
        MKL_Set_Num_Threads(1);
    }
    team->spectrum_alone = spectrum_alone;
    team->gram_alone = gram_alone;
    *made = (struct algebra){.state = team,
                             .spectrum = spectrum_of,
                             .gram_create = gram_create,
                             .gram_add = gram_add,
                             .gram_diagonal = gram_diagonal,
                             .gram_inverse_factor = gram_inverse_factor,
                             .gram_factor_rows = gram_factor_rows,
                             .gram_free = gram_free};
    team = NULL;
    struct algebra_team *t = made->state;
    TRY(grid_create(err, comm, &t->team));
    t->team.team = members;
    TRY(grid_create(err, MPI_COMM_SELF, &t->own));
    *algebra = made;
    made = NULL;
cleanup:
    free(team);
    algebra_free(made);
    return status;
}

int algebra_create(struct error *err, MPI_Comm comm, struct algebra **algebra)
{
    return create(err, comm, NULL, SPECTRUM_ALONE, GRAM_ALONE, algebra);
}

int algebra_create_team(struct error *err, MPI_Comm comm, struct team *team,
                        struct algebra **algebra)
{
    return create(err, comm, team, SPECTRUM_ALONE, GRAM_ALONE, algebra);
}

int algebra_create_spread(struct error *err, MPI_Comm comm, int alone, struct algebra **algebra)
{
    return create(err, comm, NULL, alone, alone, algebra);
}

const char *algebra_blas(void)
{
    return openblas_get_config ? openblas_get_config() : "unnamed BLAS";
}

void algebra_free(struct algebra *algebra)
{
    if (algebra) {
        struct algebra_team *team = algebra->state;
        if (team) {
            grid_free(&team->own);
            grid_free(&team->team);
        }
        free(team);
        free(algebra);
    }
}
