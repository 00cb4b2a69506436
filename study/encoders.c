#include "study/encoders.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A ring: blocks are given at `given`, begun by threads at `begun`, taken at `taken`, in this order. */
struct slot {
    uint8_t *text;
    size_t bytes, capacity;
    bool measure, done;
    struct encode_buffer buffer;
    void *packed;
    size_t packed_capacity;
    int status;
    struct error err;
    struct encoded_block block;
};

struct encoders {
    const struct tokenizer *tokenizer;
    int width, threads, slots;
    pthread_t *thread;
    struct slot *slot;
    pthread_mutex_t lock; /* guards all below, and `done` */
    pthread_cond_t work, done;
    size_t given, begun, taken;
    bool quit;
};

static int pack(struct error *err, struct encoders *e, struct slot *s)
{
    int status = STATUS_OK;
    TRY(encode_block(err, e->tokenizer, s->text, s->bytes, s->measure, &s->buffer));
    if (s->buffer.count * (size_t)e->width > s->packed_capacity) {
        const size_t capacity = s->buffer.capacity * (size_t)e->width;
        free(s->packed);
        s->packed_capacity = 0;
        s->packed = malloc(capacity);
        CHECK(err, s->packed, STATUS_FAILED, "out of memory for %zu bytes of tokens", capacity);
        s->packed_capacity = capacity;
    }
    encode_pack(s->buffer.tokens, s->buffer.count, e->width, s->packed);
    s->block = (struct encoded_block){.bytes = s->bytes,
                                      .count = s->buffer.count,
                                      .tokens = s->packed,
                                      .lengths = s->measure ? s->buffer.lengths : NULL};
cleanup:
    return status;
}

static void *work(void *context)
{
    struct encoders *e = context;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->quit && e->begun == e->given) {
            pthread_cond_wait(&e->work, &e->lock);
        }
        if (e->quit) {
            break;
        }
        struct slot *s = &e->slot[e->begun++ % (size_t)e->slots];
        pthread_mutex_unlock(&e->lock);
        s->status = pack(&s->err, e, s);
        pthread_mutex_lock(&e->lock);
        s->done = true;
        pthread_cond_signal(&e->done);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int encoders_create(struct error *err, const struct tokenizer *tokenizer, int width, int threads,
                    struct encoders **encoders)
{
    int status = STATUS_OK;
    struct encoders *e = calloc(1, sizeof *e);
    CHECK(err, e, STATUS_FAILED, "out of memory");
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->done, NULL);
    e->tokenizer = tokenizer;
    e->width = width;
    e->slots = 4 * threads; /* so that no thread waits while the oldest block is written */
    e->slot = calloc((size_t)e->slots, sizeof *e->slot);
    e->thread = calloc((size_t)threads, sizeof *e->thread);
    CHECK(err, e->slot && e->thread, STATUS_FAILED, "out of memory for %d threads", threads);
    for (; e->threads < threads; e->threads++) {
        const int code = pthread_create(&e->thread[e->threads], NULL, work, e);
        CHECK(err, code == 0, STATUS_FAILED,
              "cannot start thread %d of %d: %s; give a smaller --jobs", e->threads + 1, threads,
              strerror(code));
    }
    *encoders = e;
    e = NULL;
cleanup:
    encoders_free(e);
    return status;
}

void encoders_free(struct encoders *e)
{
    if (e == NULL) {
        return;
    }
    pthread_mutex_lock(&e->lock);
    e->quit = true;
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; i < e->threads; i++) {
        pthread_join(e->thread[i], NULL);
    }
    for (int i = 0; e->slot && i < e->slots; i++) {
        free(e->slot[i].text);
        free(e->slot[i].packed);
        encode_free(&e->slot[i].buffer);
    }
    pthread_cond_destroy(&e->done);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    free(e->thread);
    free(e->slot);
    free(e);
}

bool encoders_have_room(const struct encoders *e)
{
    return e->given - e->taken < (size_t)e->slots; /* only the caller changes these two */
}

int encoders_give(struct error *err, struct encoders *e, const void *text, size_t bytes,
                  bool measure)
{
    int status = STATUS_OK;
    struct slot *s = &e->slot[e->given % (size_t)e->slots];
    if (bytes > s->capacity) {
        free(s->text);
        s->capacity = 0;
        s->text = malloc(bytes);
        CHECK(err, s->text, STATUS_FAILED, "out of memory for a block of %zu bytes", bytes);
        s->capacity = bytes;
    }
    memcpy(s->text, text, bytes);
    s->bytes = bytes;
    s->measure = measure;
    s->done = false;
    pthread_mutex_lock(&e->lock);
    e->given++;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
cleanup:
    return status;
}

int encoders_take(struct error *err, struct encoders *e, const struct encoded_block **block)
{
    int status = STATUS_OK;
    struct slot *s = &e->slot[e->taken % (size_t)e->slots];
    *block = NULL;
    if (e->taken == e->given) {
        goto cleanup;
    }
    pthread_mutex_lock(&e->lock);
    while (!s->done) {
        pthread_cond_wait(&e->done, &e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    e->taken++;
    CHECK(err, s->status == STATUS_OK, s->status, "%s", s->err.message);
    *block = &s->block;
cleanup:
    return status;
}
