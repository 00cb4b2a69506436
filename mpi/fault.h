/*
 * An aid for tests, never on by itself: the environment variable PTQSCALE_FAULT makes a worker (or
 * the serial runner) fail when it starts certain cells.
 *
 *     PTQSCALE_FAULT=segfault:<first digits of a cell's id>    it raises SIGSEGV
 *     PTQSCALE_FAULT=hang:<first digits of a cell's id>        it sleeps for ever
 */
#ifndef PTQSCALE_MPI_FAULT_H
#define PTQSCALE_MPI_FAULT_H

/* Strike if this cell is meant. */
void fault_strike(const char *cell_id);

#endif
