#include "study/tasks/items.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 1 << 16 };

/* Blocks of texts; a text never moves. */
struct pool {
    struct pool *next;
    size_t used, size;
    char bytes[];
};

static char *pool_take(struct pool **pool, size_t length)
{
    if (*pool == NULL || (*pool)->size - (*pool)->used < length) {
        const size_t size = length > POOL_BYTES ? length : POOL_BYTES;
        struct pool *grown = malloc(sizeof *grown + size);
        if (grown == NULL) {
            return NULL;
        }
        *grown = (struct pool){.next = *pool, .size = size};
        *pool = grown;
    }
    char *taken = (*pool)->bytes + (*pool)->used;
    (*pool)->used += length;
    return taken;
}

void items_free(struct task_items *items)
{
    while (items->pool != NULL) {
        struct pool *next = items->pool->next;
        free(items->pool);
        items->pool = next;
    }
    free(items->item);
    *items = (struct task_items){0};
}

int items_add(struct error *err, struct task_items *items, const struct task_item *item)
{
    int status = STATUS_OK;
    if (items->count == items->capacity) {
        const int capacity = items->capacity == 0 ? 256 : 2 * items->capacity;
        struct task_item *grown = realloc(items->item, (size_t)capacity * sizeof *grown);
        CHECK(err, grown != NULL, STATUS_FAILED, "out of memory for %d items of a task", capacity);
        items->item = grown;
        items->capacity = capacity;
    }
    items->item[items->count++] = *item;
cleanup:
    return status;
}

int items_text(struct error *err, struct task_items *items, int parts, const struct task_text *part,
               struct task_text *into)
{
    int status = STATUS_OK;
    size_t length = 0, at = 0;
    for (int i = 0; i < parts; i++) {
        length += part[i].length;
    }
    char *bytes = pool_take(&items->pool, length);
    CHECK(err, bytes != NULL, STATUS_FAILED, "out of memory for the text of a task");
    for (int i = 0; i < parts; i++) {
        if (part[i].length > 0) {
            memcpy(bytes + at, part[i].bytes, part[i].length);
        }
        at += part[i].length;
    }
    *into = (struct task_text){bytes, length};
cleanup:
    return status;
}

int items_add_choices(struct error *err, struct task_items *items, struct task_text context,
                      int choices, const struct task_text *answer, int gold)
{
    int status = STATUS_OK;
    struct task_item item = {.choices = choices, .gold = gold};
    TRY(items_text(err, items, 1, &context, &context));
    for (int i = 0; i < choices; i++) {
        const struct task_text part[] = {text_of(" "), answer[i]};
        item.choice[i].context = context;
        item.choice[i].bytes = (int)answer[i].length;
        TRY(items_text(err, items, 2, part, &item.choice[i].continuation));
    }
    TRY(items_add(err, items, &item));
cleanup:
    return status;
}

struct task_text text_of(const char *string)
{
    return (struct task_text){string, strlen(string)};
}

bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool text_same(struct task_text a, struct task_text b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

struct task_text text_trim(struct task_text text)
{
    while (text.length > 0 && text_is_space(text.bytes[0])) {
        text.bytes++;
        text.length--;
    }
    while (text.length > 0 && text_is_space(text.bytes[text.length - 1])) {
        text.length--;
    }
    return text;
}
