#include "study/tasks/tasks.h"

#include <stdlib.h>
#include <string.h>

#include "study/rng.h"
#include "study/tasks/make.h"
#include "study/tasks/read.h"

/* Texts of one request ======================================================================= */

/* `shots` other items, each drawn once: the first of a shuffled list. */
static int draw_shots(struct error *err, const struct task *task, const struct task_items *items,
                      int item, int *shot)
{
    int status = STATUS_OK;
    int *order = malloc((size_t)items->count * sizeof *order);
    CHECK(err, order != NULL, STATUS_FAILED, "out of memory for the examples of a task");
    int others = 0;
    for (int i = 0; i < items->count; i++) {
        order[others] = i;
        others += i != item;
    }
    for (int s = 0; s < task->shots && s < others; s++) {
        const philox4x32_ctr_t r =
            rng_draw(task->seed, RNG_TASK, (uint32_t)task->format << 16 | (uint32_t)s, UINT32_MAX,
                     0, (uint32_t)item);
        const int at = s + (int)rng_below(r, (uint64_t)(others - s));
        shot[s] = order[at];
        order[at] = order[s];
    }
cleanup:
    free(order);
    return status;
}

/* The examples in front of an item: the right answer of each, whole. */
static int join_shots(struct error *err, const struct task *task, struct task_items *items,
                      int item, struct task_text *prefix)
{
    int status = STATUS_OK;
    int shot[TASK_MOST_SHOTS];
    struct task_text part[3 * TASK_MOST_SHOTS];
    *prefix = text_of("");
    if (task->shots == 0) {
        goto cleanup;
    }
    TRY(draw_shots(err, task, items, item, shot));
    for (int s = 0; s < task->shots; s++) {
        const struct task_item *example = &items->item[shot[s]];
        part[3 * s] = example->choice[example->gold].context;
        part[3 * s + 1] = example->choice[example->gold].continuation;
        part[3 * s + 2] = text_of("\n\n");
    }
    TRY(items_text(err, items, 3 * task->shots, part, prefix));
cleanup:
    return status;
}

/* Tokens ====================================================================================== */

struct encoder {
    const struct tokenizer *tokenizer;
    struct task_set *set;
    size_t used, capacity; /* tokens */
    size_t *at;            /* (requests) of the first token: the buffer still moves */
    int requests, most;
};

static int reserve(struct error *err, struct encoder *e, size_t tokens)
{
    int status = STATUS_OK;
    if (e->capacity - e->used < tokens) {
        const size_t capacity = 2 * e->capacity + tokens + 4096;
        uint32_t *grown = realloc(e->set->token, capacity * sizeof *grown);
        CHECK(err, grown != NULL, STATUS_FAILED, "out of memory for %zu tokens of a task",
              capacity);
        e->set->token = grown;
        e->capacity = capacity;
    }
cleanup:
    return status;
}

static int encode(struct error *err, struct encoder *e, struct task_text text, size_t *count)
{
    int status = STATUS_OK;
    TRY(reserve(err, e, text.length + 1)); /* mostly enough */
    TRY(tokenizer_encode(err, e->tokenizer, text.bytes, text.length, e->set->token + e->used,
                         e->capacity - e->used, count));
    if (*count > e->capacity - e->used) {
        TRY(reserve(err, e, *count));
        TRY(tokenizer_encode(err, e->tokenizer, text.bytes, text.length, e->set->token + e->used,
                             e->capacity - e->used, count));
    }
cleanup:
    return status;
}

/* The context alone says how many tokens of the whole are its own. */
static int add_request(struct error *err, struct encoder *e, struct task_text prefix,
                       const struct task_choice *choice, struct task_items *texts)
{
    int status = STATUS_OK;
    size_t context = 0, all = 0;
    struct task_text part[] = {prefix, choice->context, choice->continuation}, whole;
    if (prefix.length + choice->context.length == 0) {
        part[0] = text_of("\n");
    }
    TRY(items_text(err, texts, 3, part, &whole));
    struct task_text before = {whole.bytes, whole.length - choice->continuation.length};
    while (before.length > 1 && text_is_space(before.bytes[before.length - 1])) {
        before.length--;
    }
    TRY(encode(err, e, before, &context));
    TRY(encode(err, e, whole, &all));
    if (context == 0) { /* no token is a line end: the first one is given */
        context = 1;
    }
    if (context >= all && all > 0) { /* its last token goes on into the continuation */
        context = all - 1;
    }
    CHECK(err, all < INT32_MAX && all > 1, STATUS_FAILED,
          "task %s: a text of %zu tokens cannot be scored", e->set->task.name, all);
    e->at[e->requests] = e->used;
    e->set->request[e->requests++] = (struct task_request){
        .context = (int)context, .continuation = (int)(all - context), .bytes = choice->bytes};
    e->used += all;
cleanup:
    return status;
}

int task_set_create(struct error *err, const struct task *task, const struct task_items *items,
                    const struct tokenizer *tokenizer, struct task_set *set)
{
    int status = STATUS_OK;
    struct encoder e = {.tokenizer = tokenizer, .set = set};
    struct task_items list = *items, texts = {0}; /* the list is only read */
    *set = (struct task_set){.task = *task, .items = task->items};
    for (int i = 0; i < set->items; i++) {
        e.most += items->item[i].choices;
    }
    set->first = malloc(((size_t)set->items + 1) * sizeof *set->first);
    set->gold = malloc(((size_t)set->items + 1) * sizeof *set->gold);
    set->request = malloc(((size_t)e.most + 1) * sizeof *set->request);
    e.at = malloc(((size_t)e.most + 1) * sizeof *e.at);
    CHECK(err, set->first && set->gold && set->request && e.at, STATUS_FAILED,
          "out of memory for %d items of task %s", set->items, task->name);
    for (int i = 0; i < set->items; i++) {
        const struct task_item *item = &items->item[i];
        struct task_text prefix;
        set->first[i] = e.requests;
        set->gold[i] = item->gold;
        set->chance += item->choices > 1 ? 1.0 / item->choices / set->items : 0;
        list.pool = NULL;
        status = join_shots(err, task, &list, i, &prefix);
        for (int c = 0; status == STATUS_OK && c < item->choices; c++) {
            status = add_request(err, &e, prefix, &item->choice[c], &texts);
        }
        items_free(&texts);
        struct task_items examples = {.pool = list.pool};
        items_free(&examples);
        TRY(status);
    }
    set->first[set->items] = e.requests;
    for (int r = 0; r < e.requests; r++) {
        set->request[r].token = set->token + e.at[r];
    }
cleanup:
    free(e.at);
    return status;
}

void task_set_free(struct task_set *set)
{
    free(set->first);
    free(set->gold);
    free(set->request);
    free(set->token);
    *set = (struct task_set){0};
}

/* All tasks =================================================================================== */

static int load(struct error *err, const struct task_source *source, const struct task *task,
                const struct corpus *corpus, const struct tokenizer *tokenizer,
                struct task_set *set)
{
    int status = STATUS_OK;
    struct task_items items = {0};
    char hash[TASK_HASH];
    if (task_is_made(task->format)) {
        TRY(task_make(err, task, corpus, &items));
    } else {
        TRY(task_hash(err, source, hash));
        CHECK(err, strcmp(hash, task->hash) == 0, STATUS_FAILED,
              "%s: task %s is of the file %s, but here this one has %s; every node must see the "
              "same file",
              source->path, task->name, task->hash, hash);
        TRY(task_read(err, task->format, source, &items));
        CHECK(err, task->items > 0 && task->items <= items.count, STATUS_FAILED,
              "%s: task %s asks for %d items, and there are %d", source->path, task->name,
              task->items, items.count);
    }
    TRY(task_set_create(err, task, &items, tokenizer, set));
cleanup:
    items_free(&items);
    return status;
}

int tasks_load(struct error *err, const struct data_source *source,
               const struct cell_evaluate *evaluate, const struct corpus *corpus,
               struct tasks **tasks)
{
    int status = STATUS_OK;
    const struct tokenizer *tokenizer = corpus_tokenizer(corpus);
    struct tasks *loaded = calloc(1, sizeof *loaded);
    CHECK(err, loaded != NULL, STATUS_FAILED, "out of memory");
    CHECK(err, tokenizer != NULL || evaluate->tasks == 0, STATUS_FAILED,
          "tasks are text, and nobody knows what text the tokens of the study's files stand for; "
          "take the tasks out, or let `ptqscale prepare` make the tokens");
    loaded->set = calloc((size_t)evaluate->tasks + 1, sizeof *loaded->set);
    CHECK(err, loaded->set != NULL, STATUS_FAILED, "out of memory");
    for (; loaded->count < evaluate->tasks; loaded->count++) {
        TRY(load(err, &source->task[loaded->count], &evaluate->task[loaded->count], corpus,
                 tokenizer, &loaded->set[loaded->count]));
    }
    *tasks = loaded;
    loaded = NULL;
cleanup:
    if (loaded && loaded->set && loaded->count < evaluate->tasks) {
        task_set_free(&loaded->set[loaded->count]);
    }
    tasks_free(loaded);
    return status;
}

void tasks_free(struct tasks *tasks)
{
    if (tasks != NULL) {
        for (int i = 0; i < tasks->count; i++) {
            task_set_free(&tasks->set[i]);
        }
        free(tasks->set);
        free(tasks);
    }
}
