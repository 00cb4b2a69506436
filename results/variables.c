#include "results/variables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/netcdf_io.h"
#include "results/variables_parts.h"

static const char status_meanings[] = "pending running done diverged failed quarantined";

/* ---- defining ---- */

static nc_type disk_type(enum schema_type type)
{
    switch (type) {
    case SCHEMA_DOUBLE:
        return NC_DOUBLE;
    case SCHEMA_FLOAT:
        return NC_FLOAT;
    case SCHEMA_INT:
        return NC_INT;
    case SCHEMA_INT64:
        return NC_INT64;
    case SCHEMA_TEXT:
        return NC_STRING;
    case SCHEMA_BYTE:
    case SCHEMA_STATUS:
        break;
    }
    return NC_BYTE;
}

/* Length of a dimension in the file. */
static size_t length_of(const struct variables *variables, enum schema_dimension dimension)
{
    return dimension == SCHEMA_LAYER ? variables->layers
                                     : schema_length(variables->cell, dimension);
}

/* Values of an entry for one cell, as the file has room for them. */
static size_t values_of(const struct variables *variables, const struct schema_entry *entry)
{
    size_t values = 1;
    for (int i = 0; i < entry->rank; i++) {
        values *= length_of(variables, entry->dimension[i]);
    }
    return values;
}

static void count_layers(struct variables *variables)
{
    variables->layers = 0;
    for (size_t i = 0; i == 0 || i < variables->cells; i++) {
        const size_t layers = schema_length(&variables->cell[i], SCHEMA_LAYER);
        variables->layers = layers > variables->layers ? layers : variables->layers;
    }
}

/* Has the entry a variable: do all its dimensions have a length, is it no text of a cell file, and no detail in a compact one? */
static bool has_variable(const struct variables *variables, const struct schema_entry *entry)
{
    return values_of(variables, entry) > 0 &&
           (variables->cells > 0 || entry->type != SCHEMA_TEXT) &&
           !(variables->compact && schema_detail(entry));
}

static bool has_cell(const struct variables *variables, const struct schema_entry *entry)
{
    return variables->cells > 0 && entry->role != SCHEMA_STUDY_WIDE;
}

/* Chunks hold whole cells: about 64 KiB of them, or one that is larger. */
static void choose_chunks(const struct variables *variables, const struct schema_entry *entry,
                          struct netcdf_variable *variable)
{
    size_t values = values_of(variables, entry);
    bool study = has_cell(variables, entry);
    if (!study && entry->type != SCHEMA_FLOAT && entry->type != SCHEMA_BYTE) {
        return; /* small, and under the file's own checksum: contiguous */
    }
    size_t many = ((size_t)1 << 13) / values;
    int first = 0;
    if (study) {
        variable->chunk[first++] = many == 0                 ? 1
                                   : many < variables->cells ? many
                                                             : variables->cells;
    }
    for (int i = 0; i < entry->rank; i++) {
        variable->chunk[first + i] = length_of(variables, entry->dimension[i]);
    }
}

static int define_entry(struct error *err, struct variables *variables,
                        const struct schema_entry *entry, const char *coordinates, int *id)
{
    int status = STATUS_OK;
    static const char *const content[] = {"modelResult", "auxiliaryInformation", "coordinate"};
    struct netcdf_variable variable = {
        .name = entry->name,
        .type = disk_type(entry->type),
        .fill = entry->type != SCHEMA_TEXT && entry->type != SCHEMA_STATUS &&
                entry->role != SCHEMA_STUDY_WIDE,
        .units = entry->units,
        .long_name = entry->long_name,
    };
    if (variables->cells > 0) {
        variable.comment = entry->comment;
        variable.content = content[entry->role];
        variable.ancillary = entry->ancillary;
    }
    char all[1024];
    if (has_cell(variables, entry)) {
        variable.dimension[variable.rank++] = variables->cell_dimension;
    }
    snprintf(all, sizeof all, "%s", coordinates == NULL ? "" : coordinates);
    for (int i = 0; i < entry->rank; i++) {
        variable.dimension[variable.rank++] = variables->dimension[entry->dimension[i]];
        const enum schema_dimension of = entry->dimension[i];
        const char *label =
            of == SCHEMA_CHECKPOINT ? "training_fraction"
            : of == SCHEMA_QUANTIZER || of == SCHEMA_TASK || schema_dimension_labels(of) != NULL
                ? schema_dimension_name(of)
                : NULL;
        if (label != NULL && coordinates != NULL) {
            size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%s", used > 0 ? " " : "", label);
        }
    }
    if (entry->role == SCHEMA_RESULT && all[0] != '\0') {
        variable.coordinates = all;
    } else if (entry->role == SCHEMA_PROVENANCE) {
        variable.coordinates = coordinates;
    }
    choose_chunks(variables, entry, &variable);
    TRY(netcdf_define(err, variables->file, variables->path, &variable, id));
    if (entry->type == SCHEMA_STATUS) {
        TRY(netcdf_put_flags(err, variables->file, variables->path, *id, CELL_QUARANTINED + 1,
                             status_meanings));
    }
cleanup:
    return status;
}

/* Coordinates of the record's own dimensions. training_fraction is a schema entry. */
static const struct netcdf_variable own_coordinates[] = {
    {.name = "checkpoint",
     .type = NC_INT,
     .long_name = "number of the evaluation checkpoint",
     .comment = "METHOD §4; training_fraction says where in the run it lies"},
    {.name = "quantizer",
     .type = NC_STRING,
     .long_name = "name of the quantizer",
     .comment = "METHOD §3"},
    {.name = "window",
     .type = NC_INT,
     .long_name = "number of the held-out window",
     .comment = "METHOD §4: the same windows for every cell"},
    {.name = "trace",
     .type = NC_INT,
     .long_name = "number of the training trace point",
     .comment = "METHOD §2; trace_step says where in the run it lies"},
    {.name = "layer",
     .type = NC_INT,
     .long_name = "number of the block, from the embedding on",
     .comment =
         "METHOD §1; a size with fewer blocks than the deepest has missing values behind its last"},
    {.name = "site",
     .type = NC_STRING,
     .long_name = "name of the quantized site of a block",
     .comment = "METHOD §1"},
    {.name = "norm",
     .type = NC_STRING,
     .long_name = "name of the LayerNorm of a block",
     .comment =
         "METHOD §1: ln1 before attention (in a parallel block also before the FFN), ln2 before "
         "the FFN of a sequential block"},
    {.name = "task", .type = NC_STRING, .long_name = "name of the task", .comment = "METHOD §4"},
    {.name = "item",
     .type = NC_INT,
     .long_name = "number of an item of a task",
     .comment =
         "METHOD §4; a task with fewer items than the longest has missing values behind its last"},
};

static const struct netcdf_variable quantizer_facts[] = {
    {.name = "quantizer_weight_bits",
     .type = NC_INT,
     .long_name = "bits of a weight",
     .comment = "METHOD §3"},
    {.name = "quantizer_activation_bits",
     .type = NC_INT,
     .long_name = "bits of an activation",
     .comment = "METHOD §3; 0 = activations are not quantized"},
    {.name = "quantizer_weights",
     .type = NC_STRING,
     .long_name = "format of the weights",
     .comment = "METHOD §3: int, nf4, mxfp4, fp8 or full"},
    {.name = "quantizer_group",
     .type = NC_INT,
     .long_name = "inputs that share a scale of weights",
     .comment = "METHOD §3; 0 = one scale per output channel"},
    {.name = "quantizer_activations",
     .type = NC_STRING,
     .long_name = "format and scales of the activations",
     .comment = "METHOD §3: full, int_per_token, int_per_tensor or fp8_per_token"},
    {.name = "quantizer_transform",
     .type = NC_STRING,
     .long_name = "what inputs and weights go through first",
     .comment = "METHOD §3: none, smooth or hadamard"},
    {.name = "quantizer_outliers",
     .type = NC_STRING,
     .long_name = "which inputs stay in fp16",
     .comment = "METHOD §3: none, absolute (6) or std (6 standard deviations)"},
    {.name = "quantizer_method",
     .type = NC_STRING,
     .long_name = "how weights are rounded",
     .comment = "METHOD §3: round or gptq"},
    {.name = "quantizer_description",
     .type = NC_STRING,
     .long_name = "what the quantizer does",
     .comment = "METHOD §3"},
    {.name = "quantizer_every_checkpoint",
     .type = NC_BYTE,
     .long_name = "evaluated at every checkpoint, not only at the last",
     .comment = "METHOD §4"},
};

int variables_define_coordinate(struct error *err, const struct variables *variables,
                                const struct netcdf_variable *of, int dimension)
{
    int status = STATUS_OK;
    int id = -1;
    struct netcdf_variable variable = *of;
    variable.rank = 1;
    variable.dimension[0] = dimension;
    variable.units = "1";
    variable.content = "coordinate";
    TRY(netcdf_define(err, variables->file, variables->path, &variable, &id));
    if (variable.type == NC_BYTE) {
        TRY(netcdf_put_flags(err, variables->file, variables->path, id, 2, "no yes"));
    }
cleanup:
    return status;
}

int variables_define_dimensions(struct error *err, struct variables *variables)
{
    int status = STATUS_OK;
    count_layers(variables);
    CHECK(err, schema_count() <= VARIABLES_MOST, STATUS_FAILED, "%s: more than %d variables",
          variables->path, (int)VARIABLES_MOST);
    if (variables->cells > 0) {
        NETCDF(err, variables->path, "dimension cell",
               nc_def_dim(variables->file, "cell", variables->cells, &variables->cell_dimension));
    }
    for (int i = 0; i < SCHEMA_DIMENSIONS; i++) {
        const enum schema_dimension of = (enum schema_dimension)i;
        size_t length = length_of(variables, of);
        variables->dimension[i] = -1;
        if (length > 0) { /* 0 would mean "unlimited" */
            const char *name = schema_dimension_name(of);
            NETCDF(err, variables->path, name,
                   nc_def_dim(variables->file, name, length, &variables->dimension[i]));
            if (variables->cells > 0 || i == SCHEMA_QUANTIZER) {
                TRY(variables_define_coordinate(err, variables, &own_coordinates[i],
                                                variables->dimension[i]));
            }
        }
    }
    if (variables->cells > 0 && variables->dimension[SCHEMA_TASK] >= 0) {
        TRY(variables_define_tasks(err, variables));
    }
    for (size_t i = 0; i < sizeof quantizer_facts / sizeof quantizer_facts[0] &&
                       variables->dimension[SCHEMA_QUANTIZER] >= 0 && variables->cells > 0;
         i++) {
        TRY(variables_define_coordinate(err, variables, &quantizer_facts[i],
                                        variables->dimension[SCHEMA_QUANTIZER]));
    }
cleanup:
    return status;
}

int variables_define(struct error *err, struct variables *variables, const char *coordinates)
{
    int status = STATUS_OK;
    for (int i = 0; i < schema_count(); i++) {
        variables->id[i] = -1;
        if (has_variable(variables, schema_entry(i))) {
            TRY(define_entry(err, variables, schema_entry(i), coordinates, &variables->id[i]));
        }
    }
cleanup:
    return status;
}

/* ---- coordinates ---- */

static int put_labels(struct error *err, const struct variables *variables,
                      enum schema_dimension dimension)
{
    int status = STATUS_OK;
    int id = -1;
    const char *name = schema_dimension_name(dimension);
    const char *label[RECORD_SITES > RECORD_NORMS ? RECORD_SITES : RECORD_NORMS];
    for (size_t i = 0; i < length_of(variables, dimension); i++) {
        label[i] = schema_dimension_labels(dimension)[i];
    }
    NETCDF(err, variables->path, name, nc_inq_varid(variables->file, name, &id));
    NETCDF(err, variables->path, name, nc_put_var_string(variables->file, id, label));
cleanup:
    return status;
}

static int put_counter(struct error *err, const struct variables *variables, const char *name,
                       size_t length)
{
    int status = STATUS_OK;
    int id = -1;
    int *number = malloc(length * sizeof *number);
    CHECK(err, number != NULL, STATUS_FAILED, "%s: out of memory for %zu numbers", variables->path,
          length);
    for (size_t i = 0; i < length; i++) {
        number[i] = (int)i;
    }
    NETCDF(err, variables->path, name, nc_inq_varid(variables->file, name, &id));
    NETCDF(err, variables->path, name, nc_put_var_int(variables->file, id, number));
cleanup:
    free(number);
    return status;
}

static int put_cell_numbers(struct error *err, const struct variables *variables)
{
    int status = STATUS_OK;
    int id = -1;
    int *number = malloc(variables->cells * sizeof *number);
    CHECK(err, number != NULL, STATUS_FAILED, "%s: out of memory for %zu numbers", variables->path,
          variables->cells);
    for (size_t i = 0; i < variables->cells; i++) {
        number[i] = variables->cell[i].number;
    }
    NETCDF(err, variables->path, "cell", nc_inq_varid(variables->file, "cell", &id));
    NETCDF(err, variables->path, "cell", nc_put_var_int(variables->file, id, number));
cleanup:
    free(number);
    return status;
}

int variables_put_strings(struct error *err, const struct variables *variables, const char *name,
                          const char **value)
{
    int status = STATUS_OK;
    int id = -1;
    NETCDF(err, variables->path, name, nc_inq_varid(variables->file, name, &id));
    NETCDF(err, variables->path, name, nc_put_var_string(variables->file, id, value));
cleanup:
    return status;
}

int variables_put_ints(struct error *err, const struct variables *variables, const char *name,
                       const int *value)
{
    int status = STATUS_OK;
    int id = -1;
    NETCDF(err, variables->path, name, nc_inq_varid(variables->file, name, &id));
    NETCDF(err, variables->path, name, nc_put_var_int(variables->file, id, value));
cleanup:
    return status;
}

/* What a descriptor says, as words. */
enum { WORDS = 5 };

static int put_quantizers(struct error *err, const struct variables *variables)
{
    static const char *const names[WORDS] = {"quantizer_weights", "quantizer_activations",
                                             "quantizer_transform", "quantizer_outliers",
                                             "quantizer_method"};
    int status = STATUS_OK;
    const struct cell_evaluate *evaluate = &variables->cell->evaluate;
    const char *name[CELL_QUANTIZERS], *described[CELL_QUANTIZERS], *word[WORDS][CELL_QUANTIZERS];
    char description[CELL_QUANTIZERS][QUANTIZER_DESCRIPTION];
    int weight_bits[CELL_QUANTIZERS], activation_bits[CELL_QUANTIZERS], group[CELL_QUANTIZERS];
    int every[CELL_QUANTIZERS];
    for (int i = 0; i < evaluate->quantizers; i++) {
        const struct quantizer *quantizer = &evaluate->quantizer[i];
        name[i] = quantizer->name;
        quantizer_describe(quantizer, description[i]);
        described[i] = description[i];
        weight_bits[i] = quantizer->weight_bits;
        activation_bits[i] = quantizer->activation_bits;
        group[i] = quantizer->group;
        every[i] = evaluate->every_checkpoint[i] ? 1 : 0;
        word[0][i] = weight_format_name((int)quantizer->weights);
        word[1][i] = activation_format_name((int)quantizer->activations);
        word[2][i] = transform_name((int)quantizer->transform);
        word[3][i] = outliers_name((int)quantizer->outliers);
        word[4][i] = method_name((int)quantizer->method);
    }
    TRY(variables_put_strings(err, variables, "quantizer", name));
    if (variables->cells == 0) {
        return status;
    }
    TRY(variables_put_ints(err, variables, "quantizer_weight_bits", weight_bits));
    TRY(variables_put_ints(err, variables, "quantizer_activation_bits", activation_bits));
    TRY(variables_put_ints(err, variables, "quantizer_group", group));
    TRY(variables_put_ints(err, variables, "quantizer_every_checkpoint", every));
    TRY(variables_put_strings(err, variables, "quantizer_description", described));
    for (int i = 0; i < WORDS; i++) {
        TRY(variables_put_strings(err, variables, names[i], word[i]));
    }
cleanup:
    return status;
}

int variables_put_coordinates(struct error *err, const struct variables *variables)
{
    int status = STATUS_OK;
    if (variables->cells > 0) {
        TRY(put_cell_numbers(err, variables));
        for (int i = 0; i < SCHEMA_DIMENSIONS; i++) {
            const enum schema_dimension of = (enum schema_dimension)i;
            if (variables->dimension[i] < 0 || of == SCHEMA_QUANTIZER || of == SCHEMA_TASK) {
                continue;
            }
            if (schema_dimension_labels(of) != NULL) {
                TRY(put_labels(err, variables, of));
            } else {
                TRY(put_counter(err, variables, schema_dimension_name(of),
                                length_of(variables, of)));
            }
        }
        for (int i = 0; i < schema_count(); i++) { /* a cell file has it from its record */
            if (schema_entry(i)->role == SCHEMA_STUDY_WIDE && variables->id[i] >= 0) {
                NETCDF(err, variables->path, schema_entry(i)->name,
                       nc_put_var_double(variables->file, variables->id[i],
                                         variables->cell->evaluate.fraction));
            }
        }
    }
    if (variables->cells > 0 && variables->dimension[SCHEMA_TASK] >= 0) {
        TRY(variables_put_tasks(err, variables));
    }
    if (variables->dimension[SCHEMA_QUANTIZER] >= 0) {
        TRY(put_quantizers(err, variables));
    }
cleanup:
    return status;
}

int variables_find(struct error *err, struct variables *variables)
{
    int status = STATUS_OK;
    count_layers(variables);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        size_t length[SCHEMA_RANK + 1];
        int rank = 0;
        if (has_cell(variables, entry)) {
            length[rank++] = variables->cells;
        }
        for (int d = 0; d < entry->rank; d++) {
            length[rank++] = length_of(variables, entry->dimension[d]);
        }
        variables->id[i] = -1;
        int there = -1;
        const bool optional =
            schema_optional(entry) || (variables->cells > 0 && schema_detail(entry));
        if (has_variable(variables, entry) &&
            !(optional && nc_inq_varid(variables->file, entry->name, &there) == NC_ENOTVAR)) {
            TRY(netcdf_find(err, variables->file, variables->path, entry->name, rank, length,
                            &variables->id[i]));
        }
    }
cleanup:
    return status;
}
