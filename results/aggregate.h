/* Finished cells into one study.nc (CF-1.10, ACDD-1.3). */
#ifndef RESULTS_AGGREGATE_H
#define RESULTS_AGGREGATE_H

#include "jobs/spec.h"
#include "results/rundir.h"

/* Environment of the run, for the global attributes. */
struct provenance {
    char mpi[RECORD_TEXT];       /* library version, "" = serial */
    char libraries[RECORD_TEXT]; /* netCDF, oneDNN, … */
    char job_id[RECORD_TEXT];    /* Slurm job, "" */
};

/* Write DIR/study.nc with all `count` cells of the study in order; cells that are not finished have their status and
 * _FillValue. Atomic. */
int aggregate_write(struct error *err, struct rundir *dir, const struct spec *spec,
                    const struct cell *cells, int count, const struct provenance *provenance);

/* The same into another file, from a folder that may be open for reading only. */
int aggregate_write_file(struct error *err, const struct rundir *dir, const char *path,
                         const struct spec *spec, const struct cell *cells, int count,
                         const struct provenance *provenance);

#endif
