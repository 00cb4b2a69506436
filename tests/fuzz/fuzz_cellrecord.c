/*
 * Cell files that are sealed and whole, but hold something else than they should: the input is read
 * as a list of choices that bend the schema, one byte each, and zero bends nothing. Dimensions have
 * other lengths, variables other types and shapes, variables and attributes are missing.
 */
#include "tests/fuzz/fuzz.h"

#include <netcdf.h>
#include <netcdf_mem.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "results/cellfile.h"
#include "results/schema.h"
#include "tests/fuzz/cell.h"

struct choices {
    const uint8_t *at, *end;
    int bent;
};

static int choose(struct choices *choices, int below)
{
    int choice = choices->at < choices->end ? *choices->at++ % below : 0;
    choices->bent += choice != 0;
    return choice;
}

#define NETCDF_FACT(call) FUZZ_FACT((call) == NC_NOERR)

enum { OWN_TYPES = 4 };

static void define_types(int file, nc_type type[OWN_TYPES])
{
    NETCDF_FACT(nc_def_vlen(file, "list", NC_DOUBLE, &type[0]));
    NETCDF_FACT(nc_def_opaque(file, 24, "opaque", &type[1]));
    NETCDF_FACT(nc_def_compound(file, 16, "pair", &type[2]));
    NETCDF_FACT(nc_insert_compound(file, type[2], "x", 0, NC_DOUBLE));
    NETCDF_FACT(nc_insert_compound(file, type[2], "y", 8, NC_DOUBLE));
    NETCDF_FACT(nc_def_enum(file, NC_BYTE, "choice", &type[3]));
    NETCDF_FACT(nc_insert_enum(file, type[3], "zero", &(signed char){0}));
}

static nc_type choose_type(struct choices *choices, nc_type right, const nc_type own[OWN_TYPES])
{
    int choice = choose(choices, NC_STRING + OWN_TYPES + 1);
    return choice == 0 ? right : choice <= NC_STRING ? choice : own[choice - NC_STRING - 1];
}

static void put_text(struct choices *choices, int file, const char *name, const char *right)
{
    char longer[2048];
    const double number[] = {1, 2, 3};
    memset(longer, 'x', sizeof longer);
    longer[choose(choices, 256)] = 'y';
    switch (choose(choices, 7)) {
    case 1:
        break; /* missing */
    case 2:
        NETCDF_FACT(nc_put_att_double(file, NC_GLOBAL, name, NC_DOUBLE, 3, number));
        break;
    case 3:
        NETCDF_FACT(nc_put_att_text(file, NC_GLOBAL, name, sizeof longer, longer));
        break;
    case 4:
        NETCDF_FACT(nc_put_att_text(file, NC_GLOBAL, name, 0, ""));
        break;
    case 5:
        NETCDF_FACT(nc_put_att_text(file, NC_GLOBAL, name, 4, "\0a\xff%"));
        break;
    case 6:
        NETCDF_FACT(nc_put_att_string(file, NC_GLOBAL, name, 1, &right));
        break;
    default:
        NETCDF_FACT(nc_put_att_text(file, NC_GLOBAL, name, strlen(right), right));
    }
}

static nc_type right_type(const struct schema_entry *entry)
{
    return entry->type == SCHEMA_STATUS  ? NC_BYTE
           : entry->type == SCHEMA_FLOAT ? NC_FLOAT
           : entry->type == SCHEMA_INT   ? NC_INT
           : entry->type == SCHEMA_INT64 ? NC_INT64
                                         : NC_DOUBLE;
}

static void define_variable(struct choices *choices, int file, const struct schema_entry *entry,
                            const int dimension[SCHEMA_DIMENSIONS], const nc_type own[OWN_TYPES])
{
    int shape[SCHEMA_RANK + 1], rank = entry->rank, id = -1;
    for (int i = 0; i < rank; i++) {
        shape[i] = dimension[entry->dimension[i]];
    }
    switch (choose(choices, 4)) {
    case 1:
        return; /* missing */
    case 2:     /* another rank */
        rank = choose(choices, SCHEMA_RANK + 2);
        for (int i = 0; i < rank; i++) {
            shape[i] = dimension[choose(choices, SCHEMA_DIMENSIONS)];
        }
        break;
    case 3: /* another dimension */
        if (rank > 0) {
            shape[choose(choices, rank)] = dimension[choose(choices, SCHEMA_DIMENSIONS)];
        }
        break;
    default:
        break;
    }
    nc_type type = choose_type(choices, right_type(entry), own);
    if (nc_def_var(file, entry->name, type, rank, shape, &id) != NC_NOERR) {
        return; /* missing, too */
    }
    if (choose(choices, 2)) { /* what was not written then stays undefined or zero */
        (void)nc_def_var_fill(file, id, NC_NOFILL, NULL); /* refused for some types */
    }
    int value = choose(choices, 256);
    if (entry->type == SCHEMA_STATUS && type == NC_BYTE && rank == 0) {
        signed char state = (signed char)(value == 0 ? CELL_DONE : value);
        NETCDF_FACT(nc_put_var_schar(file, id, &state));
    }
}

/* Not every combination of types, shapes and fill modes is one that the library can write. */
static bool build(struct choices *choices, NC_memio *built)
{
    nc_type own[OWN_TYPES] = {NC_DOUBLE, NC_DOUBLE, NC_DOUBLE, NC_DOUBLE};
    int file = -1, dimension[SCHEMA_DIMENSIONS];
    NETCDF_FACT(nc_create_mem("fuzz", NC_NETCDF4, 1 << 17, &file));
    if (choose(choices, 2)) {
        define_types(file, own);
    }
    for (int i = 0; i < SCHEMA_DIMENSIONS; i++) {
        size_t right = schema_length(fuzz_cell(), (enum schema_dimension)i);
        int other = choose(choices, 5);
        NETCDF_FACT(nc_def_dim(file, schema_dimension_name((enum schema_dimension)i),
                               other == 0 ? right : (size_t)other - 1, &dimension[i]));
    }
    put_text(choices, file, "cell_id", fuzz_cell()->id);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->type == SCHEMA_TEXT) {
            put_text(choices, file, entry->name, "text");
        } else {
            define_variable(choices, file, entry, dimension, own);
        }
    }
    return nc_close_memio(file, built) == NC_NOERR;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = {data, data + size, 0};
    struct error err = {0};
    struct record *record = NULL;
    NC_memio built = {0};
    if (!build(&choices, &built)) {
        FUZZ_FACT(choices.bent > 0);
        free(built.memory);
        return 0;
    }
    char *sealed = malloc(built.size + 64);
    FUZZ_FACT(sealed != NULL);
    memcpy(sealed, built.memory, built.size);
    int trailer = snprintf(sealed + built.size, 64, "ptqscale-cell XXH64 %016llx\n",
                           (unsigned long long)XXH64(built.memory, built.size, 0));
    const char *path = fuzz_file(0, sealed, built.size + (size_t)trailer);
    int status = cellfile_read(&err, path, fuzz_cell(), &record);
    FUZZ_FACT(status == STATUS_OK ||
              (status == STATUS_FAILED && record == NULL && strlen(err.message) > 20));
    FUZZ_FACT(status == STATUS_OK || choices.bent > 0);
    if (status == STATUS_OK) {
        FUZZ_FACT(record->status >= CELL_PENDING && record->status <= CELL_QUARANTINED);
        for (int i = 0; i < schema_count(); i++) {
            const struct schema_entry *entry = schema_entry(i);
            if (entry->type == SCHEMA_TEXT) {
                FUZZ_FACT(strlen(schema_text(entry, record)) < entry->size);
            }
        }
    }
    record_free(record);
    free(sealed);
    free(built.memory);
    return 0;
}
