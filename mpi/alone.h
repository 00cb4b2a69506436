/* MPI in a process of its own, as far as ScaLAPACK needs it. */
#ifndef PTQSCALE_MPI_ALONE_H
#define PTQSCALE_MPI_ALONE_H

#include <stdbool.h>

#include "jobs/error.h"

struct alone {
    bool started; /* MPI: by us, not by a launcher */
    struct algebra *algebra;
};

/* Dense algebra of this process alone. End it also after a failure. */
int alone_begin(struct error *err, struct alone *alone);

/* `quiet`: there is a failure to tell already. */
int alone_end(struct error *err, struct alone *alone, bool quiet);

#endif
