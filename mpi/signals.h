/*
 * The signals that ask a run to stop: SIGTERM, SIGINT, SIGUSR1. They are blocked in every rank from
 * the start, so that a worker does not die of one sent to the whole job (it follows the
 * coordinator) and no system call of ours is interrupted. The coordinator and the serial runner ask
 * how many have come. A handler counts them, in whichever thread has them unblocked: one of ours
 * that does nothing else, or one that a library started before main(), as a BLAS does.
 */
#ifndef PTQSCALE_MPI_SIGNALS_H
#define PTQSCALE_MPI_SIGNALS_H

/* Block them, and ignore SIGPIPE: a reader of our output that goes away must not end a run. Call
 * before any thread exists, since threads inherit the mask. */
void signals_block(void);

/* From now on there is a thread that takes them: one that comes twice while this thread is busy counts twice. Without
 * it signals_take may see two as one. */
void signals_listen(void);

/* One that has arrived, which is taken; 0 = none. */
int signals_take(void);

#endif
