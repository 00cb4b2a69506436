/*
 * An aid for tests, never on by itself: the environment variable PTQSCALE_FAULT makes a worker (or
 * the serial runner) fail when it starts certain cells.
 *
 *     PTQSCALE_FAULT=segfault:<first digits of a cell's id>    it raises SIGSEGV
 *     PTQSCALE_FAULT=hang:<first digits of a cell's id>        it sleeps for ever
 *     PTQSCALE_FAULT=fail:<first digits of a cell's id>        the last rank of its team reports that it has failed
 */
#ifndef PTQSCALE_MPI_FAULT_H
#define PTQSCALE_MPI_FAULT_H

#include <stdbool.h>

/* Strike if this cell is meant. */
void fault_strike(const char *cell_id);

/* Is this cell to fail? */
bool fault_fails(const char *cell_id);

#endif
