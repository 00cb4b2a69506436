/*
 * The signals that ask a run to stop: SIGTERM, SIGINT, SIGUSR1. They are blocked in every rank from
 * the start (so that a worker does not die of one sent to the whole job: it follows the
 * coordinator), and the coordinator or the serial runner asks whether one is pending. No handler,
 * no flag.
 */
#ifndef PTQSCALE_MPI_SIGNALS_H
#define PTQSCALE_MPI_SIGNALS_H

/* Block them, and ignore SIGPIPE: a reader of our output that goes away must not end a run. Call
 * before any thread exists, since threads inherit the mask. */
void signals_block(void);

/* Count them from now on, in a thread of its own: a signal that comes twice while this thread is busy counts
 * twice. Once per process; without it signals_take may see two as one. */
void signals_listen(void);

/* One that has arrived, which is taken; 0 = none. */
int signals_take(void);

#endif
