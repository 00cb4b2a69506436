/* Reading and writing of results/variables.h: NaN in memory, _FillValue in the file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/netcdf_io.h"
#include "results/variables.h"

/* Integers that a double cannot hold, or that the type cannot, become "missing" rather than
 * wrong. */
static bool fits(double value, double least, double most)
{
    return value >= least && value <= most;
}

static int put_numbers(struct error *err, const struct variables *variables, int varid,
                       const struct schema_entry *entry, const size_t *start, const size_t *count,
                       const double *value, size_t values)
{
    int status = STATUS_OK;
    int file = variables->file;
    void *packed = malloc(values * sizeof(double));
    CHECK(err, packed != NULL, STATUS_FAILED, "%s: out of memory for variable %s", variables->path,
          entry->name);
    double *doubles = packed;
    float *floats = packed;
    int *ints = packed;
    long long *longs = packed;
    signed char *bytes = packed;
    for (size_t i = 0; i < values; i++) {
        double x = value[i];
        switch (entry->type) {
        case SCHEMA_FLOAT:
            floats[i] = isnan(x) ? NC_FILL_FLOAT : (float)x;
            break;
        case SCHEMA_INT:
            ints[i] = fits(x, -2147483646.0, 2147483647.0) ? (int)rint(x) : NC_FILL_INT;
            break;
        case SCHEMA_INT64:
            longs[i] = fits(x, -9007199254740992.0, 9007199254740992.0) ? llrint(x) : NC_FILL_INT64;
            break;
        case SCHEMA_BYTE:
            bytes[i] = fits(x, -126.0, 127.0) ? (signed char)rint(x) : NC_FILL_BYTE;
            break;
        default:
            doubles[i] = isnan(x) ? NC_FILL_DOUBLE : x;
            break;
        }
    }
    int code =
        entry->type == SCHEMA_FLOAT   ? nc_put_vara_float(file, varid, start, count, floats)
        : entry->type == SCHEMA_INT   ? nc_put_vara_int(file, varid, start, count, ints)
        : entry->type == SCHEMA_INT64 ? nc_put_vara_longlong(file, varid, start, count, longs)
        : entry->type == SCHEMA_BYTE  ? nc_put_vara_schar(file, varid, start, count, bytes)
                                      : nc_put_vara_double(file, varid, start, count, doubles);
    NETCDF(err, variables->path, entry->name, code);
cleanup:
    free(packed);
    return status;
}

/* The cell that record `index` is of. */
static const struct cell *cell_at(const struct variables *variables, size_t index)
{
    return variables->cells > 0 ? &variables->cell[index] : variables->cell;
}

int variables_put(struct error *err, const struct variables *variables, size_t index,
                  const struct record *record, bool scalars_only)
{
    int status = STATUS_OK;
    const struct cell *cell = cell_at(variables, index);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        int id = variables->id[i];
        if (entry->type == SCHEMA_TEXT && variables->cells == 0) {
            TRY(netcdf_put_text(err, variables->file, variables->path, NC_GLOBAL, entry->name,
                                schema_text(entry, record)));
        }
        if (id < 0 || entry->type == SCHEMA_TEXT || (scalars_only && entry->rank > 0) ||
            (variables->cells > 0 && entry->role == SCHEMA_STUDY_WIDE)) {
            continue;
        }
        size_t start[NETCDF_RANK] = {0}, count[NETCDF_RANK] = {0};
        int first = 0;
        if (variables->cells > 0) {
            start[0] = index;
            count[first++] = 1;
        }
        for (int d = 0; d < entry->rank; d++) {
            count[first + d] = schema_length(cell, entry->dimension[d]);
        }
        if (entry->type == SCHEMA_STATUS) {
            signed char flag = (signed char)record->status;
            NETCDF(err, variables->path, entry->name,
                   nc_put_vara_schar(variables->file, id, start, count, &flag));
        } else {
            TRY(put_numbers(err, variables, id, entry, start, count, schema_numbers(entry, record),
                            schema_values(entry, cell)));
        }
    }
cleanup:
    return status;
}

/* ---- texts of a study ---- */

struct variables_texts {
    size_t most, kept, first; /* cells first … first + kept − 1 */
    size_t size;              /* bytes of one cell's texts */
    char *text;               /* (most, size) */
    const char **column;      /* (most) */
};

int variables_texts_create(struct error *err, size_t most, struct variables_texts **texts)
{
    int status = STATUS_OK;
    struct variables_texts *created = calloc(1, sizeof *created);
    CHECK(err, created != NULL, STATUS_FAILED, "out of memory");
    created->most = most;
    for (int i = 0; i < schema_count(); i++) {
        created->size += schema_entry(i)->type == SCHEMA_TEXT ? schema_entry(i)->size : 0;
    }
    created->text = calloc(most, created->size);
    created->column = calloc(most, sizeof *created->column);
    CHECK(err, created->text != NULL && created->column != NULL, STATUS_FAILED, "out of memory");
    *texts = created;
    created = NULL;
cleanup:
    variables_texts_free(created);
    return status;
}

void variables_texts_free(struct variables_texts *texts)
{
    if (texts != NULL) {
        free(texts->text);
        free(texts->column);
        free(texts);
    }
}

int variables_texts_flush(struct error *err, const struct variables *variables,
                          struct variables_texts *texts)
{
    int status = STATUS_OK;
    size_t at = 0;
    for (int i = 0; i < schema_count() && texts->kept > 0; i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type != SCHEMA_TEXT) {
            continue;
        }
        for (size_t k = 0; k < texts->kept; k++) {
            texts->column[k] = texts->text + k * texts->size + at;
        }
        NETCDF(err, variables->path, entry->name,
               nc_put_vara_string(variables->file, variables->id[i], &texts->first, &texts->kept,
                                  texts->column));
        at += entry->size;
    }
    texts->kept = 0;
cleanup:
    return status;
}

int variables_texts_add(struct error *err, const struct variables *variables,
                        struct variables_texts *texts, size_t index, const struct record *record)
{
    int status = STATUS_OK;
    char *at = texts->text + texts->kept * texts->size;
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            memcpy(at, schema_text(entry, record), entry->size);
            at += entry->size;
        }
    }
    texts->first = texts->kept == 0 ? index : texts->first;
    texts->kept++;
    if (texts->kept == texts->most) {
        TRY(variables_texts_flush(err, variables, texts));
    }
cleanup:
    return status;
}

/* ---- reading ---- */

static int get_numbers(struct error *err, const struct variables *variables, int varid,
                       const struct schema_entry *entry, const size_t *start, const size_t *count,
                       double *value, size_t values)
{
    int status = STATUS_OK;
    NETCDF(err, variables->path, entry->name,
           nc_get_vara_double(variables->file, varid, start, count, value));
    double missing = entry->type == SCHEMA_FLOAT   ? (double)NC_FILL_FLOAT
                     : entry->type == SCHEMA_INT   ? (double)NC_FILL_INT
                     : entry->type == SCHEMA_INT64 ? (double)NC_FILL_INT64
                     : entry->type == SCHEMA_BYTE  ? (double)NC_FILL_BYTE
                                                   : NC_FILL_DOUBLE;
    for (size_t i = 0; i < values; i++) {
        if (value[i] == missing) {
            value[i] = NAN;
        }
    }
cleanup:
    return status;
}

int variables_get_numbers(struct error *err, const struct variables *variables, size_t index,
                          struct record *record)
{
    int status = STATUS_OK;
    const struct cell *cell = cell_at(variables, index);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        int id = variables->id[i];
        if (id < 0 || entry->type == SCHEMA_TEXT) {
            continue;
        }
        size_t start[NETCDF_RANK] = {0}, count[NETCDF_RANK] = {0};
        int first = 0;
        if (variables->cells > 0 && entry->role != SCHEMA_STUDY_WIDE) {
            start[0] = index;
            count[first++] = 1;
        }
        for (int d = 0; d < entry->rank; d++) {
            count[first + d] = schema_length(cell, entry->dimension[d]);
        }
        if (entry->type == SCHEMA_STATUS) {
            signed char flag = -1;
            NETCDF(err, variables->path, entry->name,
                   nc_get_vara_schar(variables->file, id, start, count, &flag));
            CHECK(err, flag >= CELL_PENDING && flag <= CELL_QUARANTINED, STATUS_FAILED,
                  "%s: status %d is not one", variables->path, flag);
            record->status = (enum cell_status)flag;
        } else {
            TRY(get_numbers(err, variables, id, entry, start, count, schema_numbers(entry, record),
                            schema_values(entry, cell)));
        }
    }
cleanup:
    return status;
}

int variables_get(struct error *err, const struct variables *variables, struct record *record)
{
    int status = STATUS_OK;
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            TRY(netcdf_get_text(err, variables->file, variables->path, entry->name, true,
                                schema_text(entry, record), entry->size));
        }
    }
    TRY(variables_get_numbers(err, variables, 0, record));
cleanup:
    return status;
}
