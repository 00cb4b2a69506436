/* Tasks of a study.nc: what they are (studyread.c reads them back). */

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
