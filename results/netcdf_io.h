/* The NetCDF library with our errors: every code becomes a message that says what to do. Private
 * to results/. */
#ifndef RESULTS_NETCDF_IO_H
#define RESULTS_NETCDF_IO_H

#include <netcdf.h>
#include <stdbool.h>
#include <stddef.h>

#include "jobs/error.h"

/* STATUS_OK for NC_NOERR; else the failure of "doing" ("variable kl") on file `path`. */
int netcdf_check(struct error *err, int code, const char *path, const char *doing);

/* Call before the first use of the library in each function that creates or opens files. A file
 * that could not be written (full disk) leaves the HDF5 layer in a state in which its clean-up
 * at exit crashes: there is none then. */
void netcdf_prepare(void);

/* Open an existing file for reading. The message of a failure knows the usual causes. */
int netcdf_open(struct error *err, const char *path, int *id);

/* Text attribute; varid NC_GLOBAL for a global one. */
int netcdf_put_text(struct error *err, int id, const char *path, int varid, const char *name,
                    const char *value);

/* Global text attribute into out[size], cut to fit; "" if it is missing and not `needed`. */
int netcdf_get_text(struct error *err, int id, const char *path, const char *name, bool needed,
                    char *out, size_t size);

/* The same of any length, malloc'ed; *text is NULL if there is no such text. */
int netcdf_read_text(struct error *err, int id, const char *path, const char *name, char **text);

/* Length of dimension `name`. */
int netcdf_length(struct error *err, int id, const char *path, const char *name, size_t *length);

enum { NETCDF_RANK = 5 }; /* most dimensions of a variable of ours */

/* What a variable is, for netcdf_define. */
struct netcdf_variable {
    const char *name;
    nc_type type;
    int rank;
    int dimension[NETCDF_RANK];
    size_t chunk
        [NETCDF_RANK]; /* all 0: contiguous; else compressed, with checksums (not for strings) */
    bool fill;         /* may be missing: has _FillValue, the library's default of its type */
    const char *units, *long_name, *comment, *content, *ancillary, *coordinates; /* NULL: none */
};

int netcdf_define(struct error *err, int id, const char *path,
                  const struct netcdf_variable *variable, int *varid);

/* flag_values 0 … count−1 (bytes) with their meanings, blanks between them. */
int netcdf_put_flags(struct error *err, int id, const char *path, int varid, int count,
                     const char *meanings);

/* Find variable `name` and check that it has `rank` dimensions of these lengths. */
int netcdf_find(struct error *err, int id, const char *path, const char *name, int rank,
                const size_t *length, int *varid);

/* Run a library call; leave through `cleanup:` on failure. */
#define NETCDF(err, path, doing, call) TRY(netcdf_check((err), (call), (path), (doing)))

#endif
