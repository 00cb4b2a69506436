/* Tasks of a study.nc: what they are, written and read back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/variables_parts.h"

static const struct netcdf_variable facts[] = {
    {.name = "task_format",
     .type = NC_STRING,
     .long_name = "what the task is, or the format of its file",
     .comment = "METHOD §4: cloze, continuation, pairs are made from the held-out text"},
    {.name = "task_items",
     .type = NC_INT,
     .long_name = "items of the task",
     .comment = "METHOD §4"},
    {.name = "task_length",
     .type = NC_INT,
     .long_name = "most bytes of an item that is made from the text",
     .comment = "METHOD §4; 0 = the task is of a file"},
    {.name = "task_shots",
     .type = NC_INT,
     .long_name = "examples in front of each item",
     .comment = "METHOD §4"},
    {.name = "task_seed",
     .type = NC_UINT64,
     .long_name = "seed that chooses the items, or the examples",
     .comment = "METHOD §4"},
    {.name = "task_hash",
     .type = NC_STRING,
     .long_name = "hash of the task's file",
     .comment =
         "XXH3-128 of its bytes, and of its label file's; empty for a task made from the text"},
};

int variables_define_tasks(struct error *err, const struct variables *variables)
{
    int status = STATUS_OK;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        TRY(variables_define_coordinate(err, variables, &facts[i],
                                        variables->dimension[SCHEMA_TASK]));
    }
cleanup:
    return status;
}

int variables_put_tasks(struct error *err, const struct variables *variables)
{
    int status = STATUS_OK;
    const struct cell_evaluate *evaluate = &variables->cell->evaluate;
    const char *name[CELL_TASKS], *format[CELL_TASKS], *hash[CELL_TASKS];
    int items[CELL_TASKS], length[CELL_TASKS], shots[CELL_TASKS], id = -1;
    unsigned long long seed[CELL_TASKS];
    for (int i = 0; i < evaluate->tasks; i++) {
        const struct task *task = &evaluate->task[i];
        name[i] = task->name;
        format[i] = task_format_name((int)task->format);
        hash[i] = task->hash;
        items[i] = task->items;
        length[i] = task->length;
        shots[i] = task->shots;
        seed[i] = task->seed;
    }
    TRY(variables_put_strings(err, variables, "task", name));
    TRY(variables_put_strings(err, variables, "task_format", format));
    TRY(variables_put_strings(err, variables, "task_hash", hash));
    TRY(variables_put_ints(err, variables, "task_items", items));
    TRY(variables_put_ints(err, variables, "task_length", length));
    TRY(variables_put_ints(err, variables, "task_shots", shots));
    NETCDF(err, variables->path, "task_seed", nc_inq_varid(variables->file, "task_seed", &id));
    NETCDF(err, variables->path, "task_seed", nc_put_var_ulonglong(variables->file, id, seed));
cleanup:
    return status;
}

/* ---- reading ---- */

static int get_strings(struct error *err, int file, const char *path, const char *name,
                       size_t count, char *text[CELL_TASKS])
{
    int status = STATUS_OK;
    int id = -1;
    TRY(netcdf_find(err, file, path, name, 1, &count, &id));
    NETCDF(err, path, name, nc_get_var_string(file, id, text));
cleanup:
    return status;
}

static int get_ints(struct error *err, int file, const char *path, const char *name, size_t count,
                    int value[CELL_TASKS])
{
    int status = STATUS_OK;
    int id = -1;
    TRY(netcdf_find(err, file, path, name, 1, &count, &id));
    NETCDF(err, path, name, nc_get_var_int(file, id, value));
cleanup:
    return status;
}

static int put_task(struct error *err, const char *path, const char *format, struct task *task)
{
    int status = STATUS_OK;
    int which = 0;
    while (task_format_name(which) != NULL && strcmp(task_format_name(which), format) != 0) {
        which++;
    }
    CHECK(err, task_format_name(which) != NULL, STATUS_FAILED,
          "%s: task_format of %s is \"%.40s\", which is not known", path, task->name, format);
    CHECK(err,
          task->items > 0 && task->items <= TASK_MOST_ITEMS && task->length >= 0 &&
              task->shots >= 0 && task->shots <= TASK_MOST_SHOTS,
          STATUS_FAILED, "%s: task %s has %d items of %d bytes and %d examples", path, task->name,
          task->items, task->length, task->shots);
    task->format = (enum task_format)which;
cleanup:
    return status;
}

int variables_get_tasks(struct error *err, int file, const char *path,
                        struct cell_evaluate *evaluate)
{
    int status = STATUS_OK;
    int dimension = -1, id = -1, items[CELL_TASKS], length[CELL_TASKS], shots[CELL_TASKS];
    size_t count = 0;
    unsigned long long seed[CELL_TASKS];
    char *name[CELL_TASKS] = {0}, *format[CELL_TASKS] = {0}, *hash[CELL_TASKS] = {0};
    evaluate->tasks = 0;
    if (nc_inq_dimid(file, "task", &dimension) != NC_NOERR) {
        return STATUS_OK;
    }
    TRY(netcdf_length(err, file, path, "task", &count));
    CHECK(err, count <= CELL_TASKS, STATUS_FAILED, "%s: %zu tasks are out of range", path, count);
    TRY(get_strings(err, file, path, "task", count, name));
    TRY(get_strings(err, file, path, "task_format", count, format));
    TRY(get_strings(err, file, path, "task_hash", count, hash));
    TRY(get_ints(err, file, path, "task_items", count, items));
    TRY(get_ints(err, file, path, "task_length", count, length));
    TRY(get_ints(err, file, path, "task_shots", count, shots));
    TRY(netcdf_find(err, file, path, "task_seed", 1, &count, &id));
    NETCDF(err, path, "task_seed", nc_get_var_ulonglong(file, id, seed));
    for (size_t i = 0; i < count; i++) {
        struct task *task = &evaluate->task[i];
        *task = (struct task){
            .items = items[i], .length = length[i], .shots = shots[i], .seed = seed[i]};
        snprintf(task->name, sizeof task->name, "%s", name[i] == NULL ? "" : name[i]);
        snprintf(task->hash, sizeof task->hash, "%s", hash[i] == NULL ? "" : hash[i]);
        TRY(put_task(err, path, format[i] == NULL ? "" : format[i], task));
    }
    evaluate->tasks = (int)count;
cleanup:
    nc_free_string(CELL_TASKS, name); /* NULLs are fine */
    nc_free_string(CELL_TASKS, format);
    nc_free_string(CELL_TASKS, hash);
    return status;
}
