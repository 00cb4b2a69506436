/* When the scheduler would run which cell, if each took as long as expected and no worker were lost. */
#ifndef PTQSCALE_MPI_FORECAST_H
#define PTQSCALE_MPI_FORECAST_H

#include "jobs/plan.h"
#include "mpi/scheduler.h"

/*
 * The scheduler's own run of `count` cells on `workers`, on a clock that jumps from event to event. `restart`: seconds to stop a cell
 * and go on with it on a wider team. *interval: malloc'ed, by start; a cell whose team was widened has several. STATUS_FAILED
 * when a cell is wider than there are workers, or without memory.
 */
int forecast(struct error *err, const struct scheduler_item *item, int count, int workers,
             double restart, struct plan_interval **interval, int *intervals);

#endif
