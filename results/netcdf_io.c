#include "results/netcdf_io.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "results/atomic.h"
#include "results/seal.h"

/* The HDF5 layer hides errno; a full disk is its commonest cause while writing. */
static bool disk_is_full(const char *path)
{
    char folder[ATOMIC_PATH];
    struct statvfs space;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    return statvfs(folder, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < (uint64_t)1
                                                                                           << 16;
}

int netcdf_check(struct error *err, int code, const char *path, const char *doing)
{
    if (code == NC_NOERR) {
        return STATUS_OK;
    }
    const char *hint = code > 0 ? atomic_hint(code) : "";
    const char *reason = nc_strerror(code);
    if (code == ENOSPC || ((code == NC_EHDFERR || code == EACCES) && disk_is_full(path))) {
        reason = "no space left on the device";
        hint = atomic_hint(ENOSPC);
    } else if (code == NC_EHDFERR) {
        hint =
            "; the file could not be read or written: is the disk or the quota full, or the file "
            "damaged?";
    } else if (code == NC_EVARSIZE || code == NC_ENOMEM) {
        hint = "; more memory is needed";
    }
    return error_set(err, STATUS_FAILED, __FILE__, __LINE__, "%s: %s: %s%s", path, doing, reason,
                     hint);
}

void netcdf_prepare(void)
{
    /* netCDF has no call for this, and which HDF5 it uses is its own affair. */
    void *symbol = dlsym(RTLD_DEFAULT, "H5dont_atexit");
    if (symbol != NULL) {
        int (*dont_atexit)(void);
        memcpy(&dont_atexit, &symbol, sizeof symbol);
        dont_atexit();
    }
}

int netcdf_open(struct error *err, const char *path, int *id)
{
    if (seal_check(err, path, SEAL_STUDY) != STATUS_OK) {
        return STATUS_FAILED;
    }
    netcdf_prepare();
    int code = nc_open(path, NC_NOWRITE, id);
    if (code == NC_NOERR) {
        return STATUS_OK;
    }
    const char *hint = code > 0 ? atomic_hint(code) : "; is it a NetCDF file, and whole?";
    if (code == NC_EHDFERR || code == EACCES || code == EAGAIN || code == ENOLCK) {
        hint = "; it may be damaged, or another program writes to it, or its file system has no "
               "locks (then set HDF5_USE_FILE_LOCKING=FALSE in the environment)";
    }
    return error_set(err, STATUS_FAILED, __FILE__, __LINE__, "%s: cannot open: %s%s", path,
                     nc_strerror(code), hint);
}

int netcdf_put_text(struct error *err, int id, const char *path, int varid, const char *name,
                    const char *value)
{
    return netcdf_check(err, nc_put_att_text(id, varid, name, strlen(value), value), path, name);
}

int netcdf_get_text(struct error *err, int id, const char *path, const char *name, bool needed,
                    char *out, size_t size)
{
    int status = STATUS_OK;
    char *text = NULL;
    nc_type type = NC_NAT;
    size_t length = 0;
    out[0] = '\0';
    int code = nc_inq_att(id, NC_GLOBAL, name, &type, &length);
    if (code == NC_ENOTATT && !needed) {
        return status;
    }
    CHECK(err, code == NC_NOERR && type == NC_CHAR, STATUS_FAILED,
          "%s: the attribute \"%s\" is missing: not a file of this program", path, name);
    text = calloc(length + 1, 1);
    CHECK(err, text != NULL, STATUS_FAILED, "%s: out of memory for attribute \"%s\"", path, name);
    NETCDF(err, path, name, nc_get_att_text(id, NC_GLOBAL, name, text));
    snprintf(out, size, "%s", text);
cleanup:
    free(text);
    return status;
}

int netcdf_read_text(struct error *err, int id, const char *path, const char *name, char **text)
{
    int status = STATUS_OK;
    nc_type type = NC_NAT;
    size_t length = 0;
    char *read = NULL;
    *text = NULL;
    if (nc_inq_att(id, NC_GLOBAL, name, &type, &length) != NC_NOERR || type != NC_CHAR) {
        goto cleanup;
    }
    read = calloc(length + 1, 1);
    CHECK(err, read != NULL, STATUS_FAILED, "%s: out of memory for attribute \"%s\"", path, name);
    NETCDF(err, path, name, nc_get_att_text(id, NC_GLOBAL, name, read));
    *text = read;
    read = NULL;
cleanup:
    free(read);
    return status;
}

int netcdf_length(struct error *err, int id, const char *path, const char *name, size_t *length)
{
    int status = STATUS_OK;
    int dimension = -1;
    CHECK(err, nc_inq_dimid(id, name, &dimension) == NC_NOERR, STATUS_FAILED,
          "%s: the dimension \"%s\" is missing: not a file of this program", path, name);
    NETCDF(err, path, name, nc_inq_dimlen(id, dimension, length));
cleanup:
    return status;
}

int netcdf_define(struct error *err, int id, const char *path,
                  const struct netcdf_variable *variable, int *varid)
{
    int status = STATUS_OK;
    const char *name = variable->name;
    NETCDF(err, path, name,
           nc_def_var(id, name, variable->type, variable->rank, variable->dimension, varid));
    if (variable->rank > 0 && variable->chunk[0] > 0) {
        NETCDF(err, path, name, nc_def_var_chunking(id, *varid, NC_CHUNKED, variable->chunk));
        if (variable->type != NC_STRING) {
            /* Fast level: measured noise hardly shrinks further. */
            NETCDF(err, path, name, nc_def_var_deflate(id, *varid, 1, 1, 1));
            NETCDF(err, path, name, nc_def_var_fletcher32(id, *varid, NC_FLETCHER32));
            /* A chunk at a time: memory does not grow with the study. */
            NETCDF(err, path, name, nc_set_var_chunk_cache(id, *varid, (size_t)1 << 18, 17, 1.0F));
        }
    }
    if (variable->fill) {
        switch (variable->type) {
        case NC_DOUBLE:
            NETCDF(err, path, name,
                   nc_def_var_fill(id, *varid, NC_FILL, &(double){NC_FILL_DOUBLE}));
            break;
        case NC_FLOAT:
            NETCDF(err, path, name, nc_def_var_fill(id, *varid, NC_FILL, &(float){NC_FILL_FLOAT}));
            break;
        case NC_INT:
            NETCDF(err, path, name, nc_def_var_fill(id, *varid, NC_FILL, &(int){NC_FILL_INT}));
            break;
        case NC_INT64:
            NETCDF(err, path, name,
                   nc_def_var_fill(id, *varid, NC_FILL, &(long long){NC_FILL_INT64}));
            break;
        case NC_BYTE:
            NETCDF(err, path, name,
                   nc_def_var_fill(id, *varid, NC_FILL, &(signed char){NC_FILL_BYTE}));
            break;
        default: /* strings and flags are never missing */
            break;
        }
    }
    const char *const attribute[][2] = {
        {"units", variable->units},
        {"long_name", variable->long_name},
        {"comment", variable->comment},
        {"coverage_content_type", variable->content},
        {"ancillary_variables", variable->ancillary},
        {"coordinates", variable->coordinates},
    };
    for (size_t i = 0; i < sizeof attribute / sizeof attribute[0]; i++) {
        if (attribute[i][1] != NULL) {
            TRY(netcdf_put_text(err, id, path, *varid, attribute[i][0], attribute[i][1]));
        }
    }
cleanup:
    return status;
}

int netcdf_put_flags(struct error *err, int id, const char *path, int varid, int count,
                     const char *meanings)
{
    int status = STATUS_OK;
    signed char value[16];
    for (int i = 0; i < count; i++) {
        value[i] = (signed char)i;
    }
    NETCDF(err, path, "flag_values",
           nc_put_att_schar(id, varid, "flag_values", NC_BYTE, (size_t)count, value));
    TRY(netcdf_put_text(err, id, path, varid, "flag_meanings", meanings));
cleanup:
    return status;
}

int netcdf_find(struct error *err, int id, const char *path, const char *name, int rank,
                const size_t *length, int *varid)
{
    int status = STATUS_OK;
    int has = 0, dimension[NC_MAX_VAR_DIMS];
    CHECK(err, nc_inq_varid(id, name, varid) == NC_NOERR, STATUS_FAILED,
          "%s: the variable \"%s\" is missing: not a file of this version of the program", path,
          name);
    NETCDF(err, path, name, nc_inq_var(id, *varid, NULL, NULL, &has, dimension, NULL));
    bool same = has == rank;
    for (int i = 0; same && i < rank; i++) {
        size_t is = 0;
        NETCDF(err, path, name, nc_inq_dimlen(id, dimension[i], &is));
        same = is == length[i];
    }
    CHECK(err, same, STATUS_FAILED, "%s: the variable \"%s\" has other dimensions than expected",
          path, name);
cleanup:
    return status;
}
