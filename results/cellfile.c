/*
 * A cell file is a NetCDF-4 file with a seal behind it (results/seal.h). It is built and read in
 * memory: our own write() meets a full disk with its errno, no file locks are needed, and damaged
 * bytes never get as far as the HDF5 library.
 */
#include "results/cellfile.h"

#include <errno.h>
#include <netcdf.h>
#include <netcdf_mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/version.h"
#include "results/atomic.h"
#include "results/cellfile_checked.h"
#include "results/netcdf_io.h"
#include "results/seal.h"
#include "results/variables.h"

enum { FIRST_BYTES = 1 << 12 };

static void checksum_text(const void *bytes, size_t size, char checksum[17])
{
    snprintf(checksum, 17, "%016llx", (unsigned long long)XXH64(bytes, size, 0));
}

int cellfile_checksum(struct error *err, const char *path, char checksum[17])
{
    int status = STATUS_OK;
    char *bytes = NULL;
    size_t size = 0;
    TRY(atomic_read(err, path, &bytes, &size));
    checksum_text(bytes, size, checksum);
cleanup:
    free(bytes);
    return status;
}

static int put_attributes(struct error *err, const struct variables *variables,
                          const struct record *record)
{
    int status = STATUS_OK;
    const struct cell *cell = variables->cell;
    char *canonical = NULL;
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)cell->seed);
    int length = cell_canonical(cell, NULL, 0);
    canonical = calloc((size_t)(length > 0 ? length : 0) + 1, 1);
    CHECK(err, canonical != NULL, STATUS_FAILED, "%s: out of memory", variables->path);
    cell_canonical(cell, canonical, length + 1);
    const char *const text[][2] = {
        {"Conventions", "CF-1.10, ACDD-1.3"},
        {"title", "One finished cell of a ptqscale study"},
        {"cell_id", cell->id},
        {"size", cell->size.name},
        {"setting", cell->setting},
        {"seed", seed},
        {"settings", canonical},
        {"sites", "qkv attn_out ffn_in ffn_out"}, /* along dimension site, in short */
        {"norms", "ln1 ln2"},
        {"method_version", METHOD_VERSION},
        {"product_version", version_string()},
        {"source_commit", version_commit()},
        {"compiler", version_compiler()},
        {"date_created", record->finished},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(netcdf_put_text(err, variables->file, variables->path, NC_GLOBAL, text[i][0],
                            text[i][1]));
    }
cleanup:
    free(canonical);
    return status;
}

/* The NetCDF bytes of a record; the caller frees them. */
static int build(struct error *err, const char *path, const struct cell *cell,
                 const struct record *record, NC_memio *built)
{
    int status = STATUS_OK;
    bool open = false;
    struct variables variables = {.path = path, .cell = cell};
    netcdf_prepare();
    NETCDF(err, path, "building the file",
           nc_create_mem(path, NC_NETCDF4, FIRST_BYTES, &variables.file));
    open = true;
    TRY(put_attributes(err, &variables, record));
    TRY(variables_define_dimensions(err, &variables));
    TRY(variables_define(err, &variables, NULL));
    NETCDF(err, path, "building the file", nc_enddef(variables.file));
    TRY(variables_put_coordinates(err, &variables));
    TRY(variables_put(err, &variables, 0, record, false));
    open = false;
    NETCDF(err, path, "building the file", nc_close_memio(variables.file, built));
cleanup:
    if (open) {
        nc_abort(variables.file);
    }
    return status;
}

int cellfile_write(struct error *err, const char *path, const struct cell *cell,
                   const struct record *record, char checksum[17])
{
    int status = STATUS_OK;
    NC_memio built = {0};
    char *whole = NULL;
    CHECK(err,
          record->checkpoints == cell->evaluate.checkpoints &&
              record->quantizers == cell->evaluate.quantizers &&
              record->windows == cell->evaluate.windows && record->layers == cell->size.layers,
          STATUS_FAILED, "%s: the record was not made for cell %s", path, cell->id);
    CHECK(err, cell_status_finished(record->status), STATUS_FAILED,
          "%s: a cell that is \"%s\" has no file", path, cell_status_name(record->status));
    TRY(build(err, path, cell, record, &built));
    whole = realloc(built.memory, built.size + SEAL_LENGTH);
    CHECK(err, whole != NULL, STATUS_FAILED, "%s: out of memory", path);
    built.memory = NULL;
    const size_t size = built.size + seal_make(SEAL_CELL, whole, built.size, whole + built.size);
    TRY(atomic_replace(err, path, whole, size, true));
    checksum_text(whole, size, checksum);
cleanup:
    free(built.memory);
    free(whole);
    return status;
}

int cellfile_read_checked(struct error *err, const char *path, const struct cell *cell,
                          const char *checksum, struct record **record)
{
    int status = STATUS_OK;
    bool open = false;
    char *bytes = NULL;
    size_t size = 0, inner = 0;
    char actual[17], id[CELL_ID];
    struct record *read = NULL;
    struct variables variables = {.path = path, .cell = cell};
    TRY(atomic_read(err, path, &bytes, &size));
    CHECK(err, seal_holds(SEAL_CELL, bytes, size, &inner), STATUS_FAILED,
          "%s: the file is damaged or cut short (its checksum is wrong); delete it and give the "
          "run command again: the cell is recomputed",
          path);
    if (checksum != NULL) {
        checksum_text(bytes, size, actual);
        CHECK(err, strcmp(actual, checksum) == 0, STATUS_FAILED,
              "%s: the file has checksum %s, the journal has %s; give the run command again: the "
              "cell is recomputed",
              path, actual, checksum);
    }
    netcdf_prepare();
    NETCDF(err, path, "opening", nc_open_mem(path, NC_NOWRITE, inner, bytes, &variables.file));
    open = true;
    TRY(netcdf_get_text(err, variables.file, path, "cell_id", true, id, sizeof id));
    CHECK(err, strcmp(id, cell->id) == 0, STATUS_FAILED,
          "%s: holds cell %s, expected cell %s; was the file renamed?", path, id, cell->id);
    TRY(record_create(err, cell, &read));
    TRY(variables_find(err, &variables));
    TRY(variables_get(err, &variables, read));
    *record = read;
    read = NULL;
cleanup:
    if (open) {
        nc_close(variables.file);
    }
    record_free(read);
    free(bytes);
    return status;
}

int cellfile_read(struct error *err, const char *path, const struct cell *cell,
                  struct record **record)
{
    return cellfile_read_checked(err, path, cell, NULL, record);
}
