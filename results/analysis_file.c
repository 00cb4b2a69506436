#include "results/analysis_file.h"

#include <math.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/analysis_columns.h"
#include "results/netcdf_io.h"

enum { MATCHINGS = 3, PARTS = 3 /* of an interval */ };

/* Where the structs of a list are. */
struct place {
    const void *base;
    size_t stride, count; /* 0: the study has nothing of it */
    size_t inner_stride;  /* of a list within a struct, on a second dimension; 0: none */
    int dimension;
};

struct output {
    int group;
    const char *path;
    const struct analysis *analysis;
    struct interval slope[MATCHINGS];
    struct place place[LISTS];
    size_t sizes; /* of the second dimension */
    int size_dimension;
    int *column; /* (analysis_columns(), PARTS): ids of variables; −1: none */
    int *label;  /* (analysis_labels()) */
};

/* ---- what there is ---- */

static void find_places(struct output *output)
{
    const struct analysis *a = output->analysis;
    const struct scale_slopes *slopes = &a->claims.slopes;
    const struct claim *claim = a->claims.claim;
    struct place *place = output->place;
    const size_t terms = a->design->has_fraction ? (size_t)a->anova.terms : 0;
    const size_t shares = a->has_shares ? SHARES : 0;
    bool probes = false;
    for (int p = 0; p < TABLE_PROBES; p++) {
        probes = probes || a->mechanism[p].known;
    }
    output->slope[0] = slopes->tokens;
    output->slope[1] = slopes->per_parameter;
    output->slope[2] = slopes->loss;
    output->sizes = (size_t)(a->effects->sizes < CLAIM_SIZES ? a->effects->sizes : CLAIM_SIZES);
#define PLACE(list, array, number)                                                                 \
    place[list] = (struct place){.base = (array), .stride = sizeof *(array), .count = (number)}
    PLACE(LIST_TERM, a->anova.term, terms);
    PLACE(LIST_STRATUM, a->anova.kind, terms > 0 ? ANOVA_KINDS : 0);
    PLACE(LIST_SHARE, a->shares.share, shares);
    PLACE(LIST_SHARE_VARIANCE, a->shares.variance, shares);
    PLACE(LIST_FACTOR, a->shares.of_factor, shares > 0 ? (size_t)a->design->fraction.factors : 0);
    PLACE(LIST_SHARES, &a->shares, shares > 0);
    PLACE(LIST_CLAIM, claim, HYPOTHESES);
    PLACE(LIST_CLAIM_ON_LOSS, a->delta_loss, HYPOTHESES);
    PLACE(LIST_MATCHING, output->slope, slopes->known ? MATCHINGS : 0);
    PLACE(LIST_SLOPES, slopes, slopes->known);
    PLACE(LIST_EARLY, a->early.point, a->early.known ? (size_t)a->early.points : 0);
    PLACE(LIST_PROBE, a->mechanism, probes ? TABLE_PROBES : 0);
    PLACE(LIST_CONTRAST, a->exploratory, (size_t)a->exploratories);
    PLACE(LIST_LEVEL, a->level, (size_t)a->levels);
    place[LIST_CLAIM_BY_SIZE] = (struct place){.base = claim->by_size,
                                               .stride = sizeof *claim,
                                               .count = HYPOTHESES,
                                               .inner_stride = sizeof claim->by_size[0]};
    place[LIST_VERDICT_BY_SIZE] = (struct place){.base = claim->size_verdict,
                                                 .stride = sizeof *claim,
                                                 .count = HYPOTHESES,
                                                 .inner_stride = sizeof claim->size_verdict[0]};
#undef PLACE
}

/* ---- defining ---- */

static int define_dimensions(struct error *err, struct output *output)
{
    int status = STATUS_OK;
    for (int l = 0; l < LISTS; l++) {
        const char *name = analysis_dimension((enum list)l);
        const char *before = l == 0 ? NULL : analysis_dimension((enum list)(l - 1));
        if (name != NULL && output->place[l].count > 0) {
            int *id = &output->place[l].dimension;
            if (before == NULL || strcmp(before, name) != 0) {
                NETCDF(err, output->path, name,
                       nc_def_dim(output->group, name, output->place[l].count, id));
            } else {
                *id = output->place[l - 1].dimension;
            }
        }
    }
    NETCDF(err, output->path, "analysed_size",
           nc_def_dim(output->group, "analysed_size", output->sizes, &output->size_dimension));
cleanup:
    return status;
}

static const char verdicts[] = "not_asked supported contradicted_opposite contradicted_negligible "
                               "contradicted undecided undecided_depends_on_matching "
                               "undecided_with_diverged_runs";

/* One variable of a column: an interval has three. */
static int define_variable(struct error *err, const struct output *output,
                           const struct column *column, int part, int *id)
{
    static const char *const suffix[PARTS] = {"", "_low", "_high"};
    static const char *const what[PARTS] = {
        "", "lower end of the interval: ", "upper end of the interval: "};
    int status = STATUS_OK;
    const struct place *place = &output->place[column->list];
    char name[64], long_name[192];
    struct netcdf_variable variable = {
        .name = name,
        .type = column->kind == COLUMN_NUMBER || column->kind == COLUMN_INTERVAL ? NC_DOUBLE
                : column->kind == COLUMN_COUNT                                   ? NC_INT
                : column->kind == COLUMN_WORDS                                   ? NC_STRING
                                                                                 : NC_BYTE,
        .units = "1",
        .long_name = long_name,
        .comment = column->comment,
        .content = "modelResult",
        .coordinates = column->list == LIST_CONTRAST ? "contrast_quantizer"
                       : column->list == LIST_LEVEL  ? "level_factor"
                                                     : NULL,
    };
    snprintf(name, sizeof name, "%s%s", column->name, suffix[part]);
    snprintf(long_name, sizeof long_name, "%s%s", what[part], column->long_name);
    const char *dimension = analysis_dimension(column->list);
    if (dimension != NULL) {
        variable.dimension[variable.rank++] = place->dimension;
    }
    if (place->inner_stride > 0) {
        variable.dimension[variable.rank++] = output->size_dimension;
    }
    variable.fill = variable.type != NC_STRING &&
                    (dimension == NULL || strcmp(dimension, name) != 0); /* no coordinate */
    TRY(netcdf_define(err, output->group, output->path, &variable, id));
    if (column->kind == COLUMN_VERDICT) {
        TRY(netcdf_put_flags(err, output->group, output->path, *id, VERDICT_UNDECIDED_DIVERGED + 1,
                             verdicts));
    } else if (column->kind == COLUMN_FLAG) {
        TRY(netcdf_put_flags(err, output->group, output->path, *id, 2, "no yes"));
    }
cleanup:
    return status;
}

static int define_labels(struct error *err, struct output *output)
{
    int status = STATUS_OK;
    for (int i = 0; i < analysis_labels(); i++) {
        const struct label *label = analysis_label(i);
        const struct place *place = &output->place[label->list];
        const struct netcdf_variable variable = {
            .name = label->name,
            .type = NC_STRING,
            .rank = 1,
            .dimension = {place->inner_stride > 0 ? output->size_dimension : place->dimension},
            .units = "1",
            .long_name = label->long_name,
            .comment = label->comment,
            .content = "coordinate",
        };
        output->label[i] = -1;
        if (place->count > 0) {
            TRY(netcdf_define(err, output->group, output->path, &variable, &output->label[i]));
        }
    }
cleanup:
    return status;
}

static int define_columns(struct error *err, struct output *output)
{
    int status = STATUS_OK;
    for (int i = 0; i < analysis_columns(); i++) {
        const struct column *column = analysis_column(i);
        const int parts = column->kind == COLUMN_INTERVAL ? PARTS : 1;
        for (int part = 0; part < PARTS; part++) {
            int *id = &output->column[PARTS * i + part];
            *id = -1;
            if (part < parts && output->place[column->list].count > 0) {
                TRY(define_variable(err, output, column, part, id));
            }
        }
    }
cleanup:
    return status;
}

static int put_number(struct error *err, const struct output *output, const char *name,
                      double value)
{
    return netcdf_check(err,
                        nc_put_att_double(output->group, NC_GLOBAL, name, NC_DOUBLE, 1, &value),
                        output->path, name);
}

static int put_count(struct error *err, const struct output *output, const char *name, int value)
{
    return netcdf_check(err, nc_put_att_int(output->group, NC_GLOBAL, name, NC_INT, 1, &value),
                        output->path, name);
}

static int put_attributes(struct error *err, const struct output *output)
{
    int status = STATUS_OK;
    const struct analysis *a = output->analysis;
    char headline[1024];
    analysis_headline(a, headline);
    const char *const text[][2] = {
        {"headline", headline},
        {"comment", "METHOD §6. Logarithms are natural: an effect is a log-ratio of KL, "
                    "100 (exp(effect) - 1) percent. Per-claim contrasts are main effects and "
                    "interactions of the fraction where the study has one, else pairs against the "
                    "base."},
        {"response", "log_kl at the last checkpoint"},
        {"quantizer", a->table->quantizer[a->quantizer]},
        {"from_fraction", a->claims.from_fraction ? "yes" : "no"},
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        TRY(netcdf_put_text(err, output->group, output->path, NC_GLOBAL, text[i][0], text[i][1]));
    }
    TRY(put_number(err, output, "training_fraction", a->table->training_fraction[a->checkpoint]));
    TRY(put_number(err, output, "confidence", 0.95));
    TRY(put_number(err, output, "confidence_of_claims", 1 - a->claims.alpha));
    TRY(put_count(err, output, "diverged_cells", a->diverged));
    if (a->has_shares) {
        TRY(put_count(err, output, "draws", a->shares.draws));
    }
    if (a->design->has_fraction) {
        TRY(put_count(err, output, "anova_cells", a->anova.cells));
        TRY(put_count(err, output, "anova_missing", a->anova.missing));
        TRY(put_number(err, output, "anova_mean", a->anova.mean));
    }
    if (a->early.known) {
        TRY(put_count(err, output, "early_recipes", a->early.recipes));
        TRY(put_count(err, output, "early_sizes", a->early.sizes));
        TRY(put_count(err, output, "early_seeds", a->early.seeds));
        TRY(netcdf_put_text(err, output->group, output->path, NC_GLOBAL, "early_supported",
                            a->early.supported ? "yes" : "no"));
    }
cleanup:
    return status;
}

/* ---- writing ---- */

static bool is_open(const struct column *column, const char *item)
{
    bool open = column->gate_size == 0;
    for (size_t i = 0; i < column->gate_size; i++) {
        open = open || item[column->gate + i] != 0;
    }
    return open;
}

/* A member as the number that is stored; NaN: missing. */
static double number_of(const struct column *column, const char *item, int part)
{
    const void *member = item + column->offset;
    if (!is_open(column, item)) {
        return NAN;
    }
    switch (column->kind) {
    case COLUMN_INTERVAL: {
        const struct interval *interval = member;
        return part == 0 ? interval->estimate : part == 1 ? interval->low : interval->high;
    }
    case COLUMN_COUNT:
        return *(const int *)member;
    case COLUMN_FLAG:
        return *(const bool *)member;
    case COLUMN_VERDICT:
        return *(const enum verdict *)member;
    default:
        return *(const double *)member;
    }
}

static int put_column(struct error *err, const struct output *output, const struct column *column,
                      int part, int id)
{
    int status = STATUS_OK;
    const struct place *place = &output->place[column->list];
    const size_t inner = place->inner_stride > 0 ? output->sizes : 1;
    const double missing = column->kind == COLUMN_COUNT ? (double)NC_FILL_INT
                           : column->kind == COLUMN_FLAG || column->kind == COLUMN_VERDICT
                               ? (double)NC_FILL_BYTE
                               : NC_FILL_DOUBLE;
    double *value = malloc(place->count * inner * sizeof *value);
    const char **words = malloc(place->count * sizeof *words);
    CHECK(err, value != NULL && words != NULL, STATUS_FAILED, "%s: out of memory for %s",
          output->path, column->name);
    for (size_t i = 0; i < place->count; i++) {
        const char *item = (const char *)place->base + i * place->stride;
        words[i] = item + column->offset;
        for (size_t k = 0; k < inner && column->kind != COLUMN_WORDS; k++) {
            const double x = number_of(column, item + k * place->inner_stride, part);
            value[i * inner + k] = isnan(x) ? missing : x;
        }
    }
    NETCDF(err, output->path, column->name,
           column->kind == COLUMN_WORDS ? nc_put_var_string(output->group, id, words)
                                        : nc_put_var_double(output->group, id, value));
cleanup:
    free(value);
    free(words);
    return status;
}

static int put_label(struct error *err, const struct output *output, const struct label *label,
                     int id)
{
    int status = STATUS_OK;
    const struct place *place = &output->place[label->list];
    const size_t count = place->inner_stride > 0 ? output->sizes : place->count;
    char(*text)[ANALYSIS_LABEL] = calloc(count, sizeof *text);
    const char **list = calloc(count, sizeof *list);
    CHECK(err, text != NULL && list != NULL, STATUS_FAILED, "%s: out of memory for %s",
          output->path, label->name);
    for (size_t i = 0; i < count; i++) {
        label->text(output->analysis, (int)i, text[i]);
        list[i] = text[i];
    }
    NETCDF(err, output->path, label->name, nc_put_var_string(output->group, id, list));
cleanup:
    free(text);
    free(list);
    return status;
}

static int write_group(struct error *err, struct output *output)
{
    int status = STATUS_OK;
    output->column = calloc((size_t)analysis_columns() * PARTS, sizeof *output->column);
    output->label = calloc((size_t)analysis_labels(), sizeof *output->label);
    CHECK(err, output->column != NULL && output->label != NULL, STATUS_FAILED,
          "%s: out of memory for the analysis", output->path);
    find_places(output);
    TRY(define_dimensions(err, output));
    TRY(define_labels(err, output));
    TRY(define_columns(err, output));
    TRY(put_attributes(err, output));
    for (int i = 0; i < analysis_labels(); i++) {
        if (output->label[i] >= 0) {
            TRY(put_label(err, output, analysis_label(i), output->label[i]));
        }
    }
    for (int i = 0; i < analysis_columns() * PARTS; i++) {
        if (output->column[i] >= 0) {
            TRY(put_column(err, output, analysis_column(i / PARTS), i % PARTS, output->column[i]));
        }
    }
cleanup:
    free(output->column);
    free(output->label);
    return status;
}

int analysis_file_append(struct error *err, const char *path, const struct analysis *analysis)
{
    int status = STATUS_OK;
    int file = -1;
    struct output output = {.path = path, .analysis = analysis};
    netcdf_prepare();
    NETCDF(err, path, "opening it for the analysis", nc_open(path, NC_WRITE, &file));
    NETCDF(err, path, "group analysis", nc_def_grp(file, "analysis", &output.group));
    TRY(write_group(err, &output));
cleanup:
    if (file >= 0) {
        const int closed = netcdf_check(status == STATUS_OK ? err : NULL, nc_close(file), path,
                                        "closing it after the analysis");
        status = status == STATUS_OK ? closed : status;
    }
    return status;
}

/* ---- a whole study.nc ---- */

/* Two finished cells at least, a base, quantizers: else nothing is compared with anything. */
static bool has_comparisons(const struct table *table)
{
    int done = 0;
    bool base = false;
    for (int i = 0; i < table->cells; i++) {
        done += table->cell[i].status == CELL_DONE;
        base = base || table->cell[i].base;
    }
    return done > 1 && base && table->quantizers > 0;
}

static int say_failed(struct error *err, const char *path, const struct error *why)
{
    int status = STATUS_OK;
    int file = -1;
    NETCDF(err, path, "opening it", nc_open(path, NC_WRITE, &file));
    TRY(netcdf_put_text(err, file, path, NC_GLOBAL, "analysis_failed", why->message));
cleanup:
    if (file >= 0) {
        const int closed =
            netcdf_check(status == STATUS_OK ? err : NULL, nc_close(file), path, "closing it");
        status = status == STATUS_OK ? closed : status;
    }
    return status;
}

int analysis_file_complete(struct error *err, const char *path)
{
    int status = STATUS_OK;
    struct error why = {0};
    struct table *table = NULL;
    struct analysis *analysis = NULL;
    int analysed = table_read(&why, path, &table);
    if (analysed == STATUS_OK && has_comparisons(table)) {
        analysed = analysis_open(&why, table, NULL, &analysis);
        if (analysed == STATUS_OK) {
            analysed = analysis_file_append(&why, path, analysis);
        }
    }
    if (analysed != STATUS_OK) {
        TRY(say_failed(err, path, &why));
    }
cleanup:
    analysis_free(analysis);
    table_free(table);
    return status;
}
