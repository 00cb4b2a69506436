/*
 * The tasks of a study file:
 *
 *     tasks:
 *       - cloze                                         # made from the held-out text
 *       - {name: pairs, items: 500, length: 64, seed: 1}
 *       - {name: piqa, path: valid.jsonl, labels: valid-labels.lst, shots: 0}
 *       - {name: npi, format: blimp, path: npi_present_1.jsonl}
 */
#include <stdio.h>
#include <string.h>

#include "jobs/spec_read.h"

enum { FORMATS = TASK_ARC_EASY + 1 };

static void format_names(const char *names[FORMATS + 1])
{
    for (int i = 0; i <= FORMATS; i++) {
        names[i] = task_format_name(i);
    }
}

/* What is said by `format`, or by a name that is one. */
static int read_format(struct error *err, const struct yaml_field *entry, struct task *out)
{
    int status = STATUS_OK;
    struct yaml_field name, format;
    const char *names[FORMATS + 1];
    int chosen = 0;
    format_names(names);
    TRY(yaml_field_need(err, entry, "name", "name the task, such as cloze or blimp", &name));
    TRY(yaml_field_identifier(err, &name, out->name, sizeof out->name));
    if (yaml_field_get(entry, "format", &format)) {
        TRY(yaml_field_choice(err, &format, names, &chosen));
    } else {
        TRY(yaml_field_choice(err, &name, names, &chosen));
    }
    out->format = (enum task_format)chosen;
cleanup:
    return status;
}

static int read_integer(struct error *err, const struct yaml_field *entry, const char *key,
                        int64_t low, int64_t high, int64_t *out)
{
    struct yaml_field field;
    return yaml_field_get(entry, key, &field) ? yaml_field_integer(err, &field, low, high, out)
                                              : STATUS_OK;
}

static int read_numbers(struct error *err, const struct yaml_field *entry, struct task *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    const bool made = task_is_made(out->format);
    int64_t items = made ? TASK_DEFAULT_ITEMS : 0, length = out->length, shots = 0, seed = 1;
    TRY(read_integer(err, entry, "items", 1, TASK_MOST_ITEMS, &items));
    TRY(read_integer(err, entry, "seed", 0, INT64_MAX, &seed));
    if (yaml_field_get(entry, "length", &field)) {
        FIELD_CHECK(err, made, &field,
                    "%s is for tasks made from the text (cloze, continuation, pairs); leave it out",
                    field.text);
        TRY(yaml_field_integer(err, &field, TASK_LEAST_LENGTH, 1 << 16, &length));
    }
    if (yaml_field_get(entry, "shots", &field)) {
        TRY(yaml_field_integer(err, &field, 0, TASK_MOST_SHOTS, &shots));
        FIELD_CHECK(err, !made || shots == 0, &field,
                    "%s is for tasks of a file: a passage made from the text has no examples in "
                    "front; leave it out",
                    field.text);
    }
    out->items = (int)items;
    out->length = made ? (int)length : 0;
    out->shots = (int)shots;
    out->seed = (uint64_t)seed;
cleanup:
    return status;
}

static int read_paths(struct error *err, const struct yaml_field *entry, const struct spec *spec,
                      const struct task *task, struct task_source *source)
{
    static const char *const KEYS[] = {"path", "labels"};
    char *const path[] = {source->path, source->labels};
    int status = STATUS_OK;
    struct yaml_field field;
    for (int i = 0; i < 2; i++) {
        const bool needed = i == 0 ? !task_is_made(task->format) : task_has_labels(task->format);
        const bool given = yaml_field_get(entry, KEYS[i], &field);
        FIELD_CHECK(err, given || !needed, entry, "task '%s' has no %s; give %s", task->name,
                    KEYS[i],
                    i == 0 ? "the file as it is published, path: FILE"
                           : "the file with one label per line, labels: FILE");
        FIELD_CHECK(err, !given || needed, &field, "%s is not read for this task, %s; leave it out",
                    field.text,
                    i == 0 ? "which is made from the held-out text"
                           : "whose labels are in its file");
        if (given) {
            TRY(spec_read_path(err, &field, spec, false, path[i]));
        }
    }
cleanup:
    return status;
}

/* In an expanded study: which file it was. */
static int read_hash(struct error *err, const struct yaml_field *entry, struct task *out)
{
    int status = STATUS_OK;
    struct yaml_field field;
    char text[TASK_HASH + 1];
    if (!yaml_field_get(entry, "hash", &field)) {
        goto cleanup;
    }
    FIELD_CHECK(err, !task_is_made(out->format), &field, "%s is for tasks of a file; leave it out",
                field.text);
    TRY(yaml_field_string(err, &field, text, sizeof text));
    FIELD_CHECK(
        err, strlen(text) == TASK_HASH - 1 && strspn(text, "0123456789abcdef") == TASK_HASH - 1,
        &field, "%s is not 32 hex digits; copy what `ptqscale plan` prints, or leave it out",
        field.text);
    FIELD_CHECK(err, out->items > 0, &field,
                "%s pins a file whose items are not counted; give items, too", field.text);
    memcpy(out->hash, text, TASK_HASH);
cleanup:
    return status;
}

static int read_task(struct error *err, const struct yaml_field *entry, const struct spec *spec,
                     struct task *out, struct task_source *source)
{
    static const char *const KEYS[] = {"name",   "format", "path", "labels", "items",
                                       "length", "shots",  "seed", "hash",   NULL};
    int status = STATUS_OK;
    if (entry->node->type == YAML_MAPPING_NODE) {
        TRY(yaml_field_keys(err, entry, KEYS));
        TRY(read_format(err, entry, out));
        TRY(read_numbers(err, entry, out));
        TRY(read_paths(err, entry, spec, out, source));
        TRY(read_hash(err, entry, out));
    } else { /* a name */
        const char *names[FORMATS + 1];
        int chosen = 0;
        format_names(names);
        TRY(yaml_field_choice(err, entry, names, &chosen));
        FIELD_CHECK(err, task_is_made((enum task_format)chosen), entry,
                    "task %s is read from a file; write {name: %s, path: FILE}", entry->text,
                    names[chosen]);
        out->format = (enum task_format)chosen;
        snprintf(out->name, sizeof out->name, "%s", names[chosen]);
        out->items = TASK_DEFAULT_ITEMS;
        out->seed = 1;
    }
cleanup:
    return status;
}

int spec_read_tasks(struct error *err, const struct yaml_field *root, struct spec *spec)
{
    int status = STATUS_OK;
    struct yaml_field list, entry;
    struct cell_evaluate *evaluate = &spec->evaluate;
    int shortest = INT32_MAX; /* every size sees a made item whole */
    if (!yaml_field_get(root, "tasks", &list)) {
        goto cleanup;
    }
    FIELD_CHECK(
        err, spec->data.kind != DATA_SHARDS, &list,
        "tasks are text, and nobody knows what text the tokens of data.shards stand for; leave "
        "them out, or let `ptqscale prepare` make tokens of text");
    for (int i = 0; i < spec->sizes; i++) {
        shortest = spec->size[i].context < shortest ? spec->size[i].context : shortest;
    }
    TRY(yaml_field_list(err, &list, CELL_TASKS, &evaluate->tasks));
    spec->source.tasks = evaluate->tasks;
    for (int i = 0; i < evaluate->tasks; i++) {
        struct task *task = &evaluate->task[i];
        yaml_field_item(&list, i, &entry);
        task->length = shortest < TASK_LEAST_LENGTH ? TASK_LEAST_LENGTH : shortest;
        TRY(read_task(err, &entry, spec, task, &spec->source.task[i]));
        for (int j = 0; j < i; j++) {
            FIELD_CHECK(
                err, strcmp(task->name, evaluate->task[j].name) != 0, &entry,
                "task '%s' was given already; give the second one another name, and its format",
                task->name);
        }
    }
cleanup:
    return status;
}
