#include "results/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/schema.h"

enum { MOST_WINDOWS = 1 << 22, MOST_LAYERS = 1 << 12 };

static bool is_number(const struct schema_entry *entry)
{
    return entry->type != SCHEMA_TEXT && entry->type != SCHEMA_STATUS;
}

int record_create(struct error *err, const struct cell *cell, struct record **record)
{
    int status = STATUS_OK;
    const struct cell_evaluate *evaluate = &cell->evaluate;
    CHECK(err,
          evaluate->checkpoints >= 0 && evaluate->checkpoints <= CELL_CHECKPOINTS &&
              evaluate->quantizers >= 0 && evaluate->quantizers <= CELL_QUANTIZERS &&
              evaluate->windows >= 0 && evaluate->windows <= MOST_WINDOWS && evaluate->tasks >= 0 &&
              evaluate->tasks <= CELL_TASKS &&
              schema_length(cell, SCHEMA_ITEM) <= TASK_MOST_ITEMS && cell->size.layers >= 0 &&
              cell->size.layers <= MOST_LAYERS,
          STATUS_FAILED,
          "cell %s: %d checkpoints, %d quantizers, %d windows, %d tasks, %d layers are out of "
          "range",
          cell->id, evaluate->checkpoints, evaluate->quantizers, evaluate->windows, evaluate->tasks,
          cell->size.layers);
    size_t values = 0;
    for (int i = 0; i < schema_count(); i++) {
        values += schema_entry(i)->rank > 0 ? schema_values(schema_entry(i), cell) : 0;
    }
    /* One allocation: the struct, and behind it all arrays. */
    struct record *created = calloc(1, sizeof *created + values * sizeof(double));
    CHECK(err, created != NULL, STATUS_FAILED, "out of memory for a record of %zu values", values);
    created->checkpoints = evaluate->checkpoints;
    created->quantizers = evaluate->quantizers;
    created->windows = evaluate->windows;
    created->layers = cell->size.layers;
    created->tasks = evaluate->tasks;
    created->items = (int)schema_length(cell, SCHEMA_ITEM);
    double *next = (double *)(void *)(created + 1);
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (entry->rank > 0) {
            *(double **)(void *)((char *)created + entry->offset) = next;
            next += schema_values(entry, cell);
        } else if (is_number(entry)) {
            *schema_numbers(entry, created) = NAN;
        }
    }
    for (double *value = (double *)(void *)(created + 1); value < next; value++) {
        *value = NAN;
    }
    *record = created;
cleanup:
    return status;
}

size_t record_numbers(const struct cell *cell)
{
    size_t numbers = 0;
    for (int i = 0; i < schema_count(); i++) {
        numbers += is_number(schema_entry(i)) ? schema_values(schema_entry(i), cell) : 0;
    }
    return numbers;
}

void record_get_numbers(const struct cell *cell, const struct record *record, double *values)
{
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (is_number(entry)) {
            const size_t count = schema_values(entry, cell);
            memcpy(values, schema_numbers(entry, record), count * sizeof *values);
            values += count;
        }
    }
}

void record_set_numbers(const struct cell *cell, struct record *record, const void *values)
{
    const char *next = values;
    for (int i = 0; i < schema_count(); i++) {
        const struct schema_entry *entry = schema_entry(i);
        if (is_number(entry)) {
            const size_t size = schema_values(entry, cell) * sizeof(double);
            memcpy(schema_numbers(entry, record), next, size);
            next += size;
        }
    }
}

void record_free(struct record *record)
{
    free(record);
}

const char *record_site_name(int site)
{
    return schema_dimension_labels(SCHEMA_SITE)[site];
}

const char *record_outcome_name(double outcome)
{
    return outcome == OUTCOME_MEASURED       ? "measured"
           : outcome == OUTCOME_NOT_DEFINITE ? "the Hessian is not positive definite"
                                             : "";
}

bool cell_status_finished(enum cell_status status)
{
    return status == CELL_DONE || status == CELL_DIVERGED;
}

const char *cell_status_name(enum cell_status status)
{
    static const char *const names[] = {"pending",  "running", "done",
                                        "diverged", "failed",  "quarantined"};
    return status >= CELL_PENDING && status <= CELL_QUARANTINED ? names[status] : "unknown";
}
