#include "study/tasks/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/hash.h"
#include "study/tasks/formats.h"
#include "study/text.h"

static task_reader *const READER[] = {
    [TASK_HELLASWAG] = read_hellaswag,   [TASK_PIQA] = read_piqa,
    [TASK_WINOGRANDE] = read_winogrande, [TASK_COPA] = read_copa,
    [TASK_LAMBADA] = read_lambada,       [TASK_BLIMP] = read_blimp,
    [TASK_STORYCLOZE] = read_storycloze, [TASK_ARC_EASY] = read_arc,
};

int task_read(struct error *err, enum task_format format, const struct task_source *source,
              struct task_items *items)
{
    int status = STATUS_OK;
    *items = (struct task_items){0};
    TRY(READER[format](err, source, items));
    CHECK(err, items->count > 0, STATUS_FAILED, "%s: there are no records of %s in it",
          source->path, task_format_name((int)format));
    CHECK(err, items->count <= TASK_MOST_ITEMS, STATUS_FAILED, "%s: more than %d records",
          source->path, (int)TASK_MOST_ITEMS);
cleanup:
    return status;
}

int task_hash(struct error *err, const struct task_source *source, char hash[TASK_HASH])
{
    int status = STATUS_OK;
    const char *const path[] = {source->path, source->labels};
    uint8_t *bytes = NULL;
    XXH3_state_t *state = XXH3_createState();
    CHECK(err, state != NULL, STATUS_FAILED, "out of memory");
    XXH3_128bits_reset(state);
    for (int i = 0; i < 2; i++) {
        size_t length = 0;
        unsigned char count[8];
        if (path[i][0] == '\0') {
            continue;
        }
        TRY(text_append(err, path[i], &bytes, &length));
        XXH3_128bits_update(state, bytes, length);
        for (int k = 0; k < 8; k++) { /* where one file ends is part of the hash */
            count[k] = (unsigned char)((uint64_t)length >> (8 * k));
        }
        XXH3_128bits_update(state, count, sizeof count);
        free(bytes);
        bytes = NULL;
    }
    hash_hex(XXH3_128bits_digest(state), hash);
cleanup:
    free(bytes);
    XXH3_freeState(state);
    return status;
}

static int identify(struct error *err, const struct task_source *source, struct task *task)
{
    int status = STATUS_OK;
    char hash[TASK_HASH];
    struct task_items items = {0};
    TRY(task_hash(err, source, hash));
    CHECK(err, task->hash[0] == '\0' || strcmp(task->hash, hash) == 0, STATUS_FAILED,
          "%s: task %s is pinned to the file %s, but this one has %s; get the same file, or take "
          "`hash` out of the study to "
          "use this one",
          source->path, task->name, task->hash, hash);
    TRY(task_read(err, task->format, source, &items));
    CHECK(err, task->items <= items.count, STATUS_FAILED,
          "%s: task %s asks for %d items, and there are %d; ask for less", source->path, task->name,
          task->items, items.count);
    CHECK(err, items.count > task->shots, STATUS_FAILED,
          "%s: task %s wants %d examples beside each item, and there are only %d items",
          source->path, task->name, task->shots, items.count);
    task->items = task->items > 0 ? task->items : items.count;
    memcpy(task->hash, hash, sizeof hash);
cleanup:
    items_free(&items);
    return status;
}

int task_identify(struct error *err, struct spec *spec)
{
    int status = STATUS_OK;
    for (int i = 0; i < spec->evaluate.tasks; i++) {
        if (!task_is_made(spec->evaluate.task[i].format)) {
            TRY(identify(err, &spec->source.task[i], &spec->evaluate.task[i]));
        }
    }
cleanup:
    return status;
}
