#include "results/table_facts.h"

#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/netcdf_io.h"

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The different values of a text variable over the cells, "A, B". */
static int read_distinct(struct error *err, int id, const char *path, const char *name,
                         const struct table *table, char **out)
{
    int status = STATUS_OK;
    int varid = -1;
    const size_t cells = (size_t)table->cells;
    size_t used = 0, total = 1;
    char **texts = calloc(cells + 1, sizeof *texts);
    char *joined = NULL;
    bool read = false;
    CHECK(err, texts != NULL, STATUS_FAILED, "%s: out of memory for %s", path, name);
    if (cells == 0 || nc_inq_varid(id, name, &varid) != NC_NOERR) {
        goto cleanup;
    }
    TRY(netcdf_find(err, id, path, name, 1, &cells, &varid));
    NETCDF(err, path, name, nc_get_var_string(id, varid, texts));
    read = true;
    qsort(texts, cells, sizeof *texts, compare_texts);
    for (size_t i = 0; i < cells; i++) {
        total += strlen(texts[i]) + 2;
    }
    joined = calloc(total, 1);
    CHECK(err, joined != NULL, STATUS_FAILED, "%s: out of memory for %s", path, name);
    for (size_t i = 0; i < cells; i++) {
        if (texts[i][0] != '\0' && (i == 0 || strcmp(texts[i], texts[i - 1]) != 0)) {
            used += (size_t)sprintf(joined + used, "%s%s", used > 0 ? ", " : "", texts[i]);
        }
    }
    *out = joined;
    joined = NULL;
cleanup:
    if (read) {
        nc_free_string(cells, texts);
    }
    free(joined);
    free(texts);
    return status;
}

int table_read_facts(struct error *err, int id, const char *path, struct table *table)
{
    static const char *const names[TABLE_FACTS] = {[TABLE_STUDY_FILE] = "study_file",
                                                   [TABLE_METHOD_VERSION] = "method_version",
                                                   [TABLE_COMPILER] = "compiler",
                                                   [TABLE_LIBRARIES] = "libraries",
                                                   [TABLE_MPI] = "mpi",
                                                   [TABLE_JOBS] = "job_ids",
                                                   [TABLE_CORPUS] = "corpus_files",
                                                   [TABLE_FINGERPRINT] = "corpus_fingerprint",
                                                   [TABLE_CPUS] = "cpu",
                                                   [TABLE_HOSTS] = "host",
                                                   [TABLE_COMMITS] = "commit"};
    int status = STATUS_OK;
    for (int f = 0; f < TABLE_FACTS; f++) {
        if (f == TABLE_CPUS || f == TABLE_HOSTS || f == TABLE_COMMITS) {
            TRY(read_distinct(err, id, path, names[f], table, &table->fact[f]));
        } else {
            TRY(netcdf_read_text(err, id, path, names[f], &table->fact[f]));
        }
    }
cleanup:
    return status;
}
