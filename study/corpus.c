#include "study/corpus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "study/rng.h"
#include "study/text.h"

enum { BLOCK_BYTES = 64 * 1024 };

struct span {
    size_t start, length;
};

/* Disjoint pieces of the text; a window lies in one of them. */
struct part {
    int spans;
    struct span *span;
    size_t tokens;
};

struct corpus {
    uint8_t *text;
    size_t length;
    struct part train, held_out;
    int vocabulary;
    double *unigram; /* (vocabulary) log probabilities */
    double unigram_entropy;
};

static int part_add(struct error *err, struct part *part, size_t start, size_t end)
{
    int status = STATUS_OK;
    if (start >= end) {
        return STATUS_OK;
    }
    struct span *grown = realloc(part->span, ((size_t)part->spans + 1) * sizeof *grown);
    CHECK(err, grown, STATUS_FAILED, "out of memory");
    part->span = grown;
    part->span[part->spans++] = (struct span){.start = start, .length = end - start};
    part->tokens += end - start;
cleanup:
    return status;
}

struct ranked {
    uint64_t hash;
    size_t block;
};

static int by_hash(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->block < y->block ? -1 : 1);
}

/* Mark the blocks with the smallest hashes of (index, seed) as held out. */
static int choose_blocks(struct error *err, size_t blocks, double fraction, uint64_t seed,
                         bool *held)
{
    int status = STATUS_OK;
    size_t count = (size_t)llround(fraction * (double)blocks);
    struct ranked *rank = malloc(blocks * sizeof *rank);
    CHECK(err, rank, STATUS_FAILED, "out of memory");
    for (size_t i = 0; i < blocks; i++) {
        uint64_t index = i;
        rank[i] = (struct ranked){.hash = XXH64(&index, sizeof index, seed), .block = i};
    }
    qsort(rank, blocks, sizeof *rank, by_hash);
    for (size_t i = 0; i < (count > 0 ? count : 1); i++) {
        held[rank[i].block] = true;
    }
cleanup:
    free(rank);
    return status;
}

/* Held-out blocks whole; what is left, less the guard next to each of them, is for training. */
static int split(struct error *err, struct corpus *c, const struct cell_data *data)
{
    int status = STATUS_OK;
    const size_t blocks = c->length / BLOCK_BYTES, guard = (size_t)data->guard;
    bool *held = NULL;
    CHECK(err, blocks >= 2, STATUS_FAILED,
          "the text has %zu bytes after cleaning; at least two blocks of 64 KiB are needed, one to "
          "train on and "
          "one to hold out; name more files in data.files",
          c->length);
    held = calloc(blocks + 1, sizeof *held);
    CHECK(err, held, STATUS_FAILED, "out of memory");
    TRY(choose_blocks(err, blocks, data->held_out, data->split_seed, held));
    for (size_t i = 0; i <= blocks;) {
        size_t end = i + 1;
        while (end <= blocks && held[end] == held[i]) {
            end++;
        }
        size_t start = i * BLOCK_BYTES, stop = end > blocks ? c->length : end * BLOCK_BYTES;
        if (held[i]) {
            TRY(part_add(err, &c->held_out, start, stop));
        } else {
            start += i > 0 ? guard : 0;
            stop = end > blocks ? stop : stop > guard ? stop - guard : 0;
            TRY(part_add(err, &c->train, start, stop));
        }
        i = end;
    }
cleanup:
    free(held);
    return status;
}

/* Training unigram, add-one smoothed, and the cross-entropy of the held-out text under it. */
static int count_unigram(struct error *err, struct corpus *c)
{
    int status = STATUS_OK;
    const size_t v = (size_t)c->vocabulary;
    double *count = calloc(v, sizeof *count), *seen = calloc(v, sizeof *seen);
    c->unigram = malloc(v * sizeof *c->unigram);
    CHECK(err, count && seen && c->unigram, STATUS_FAILED, "out of memory for %zu tokens", v);
    for (int s = 0; s < c->train.spans; s++) {
        for (size_t i = 0; i < c->train.span[s].length; i++) {
            count[c->text[c->train.span[s].start + i]]++;
        }
    }
    for (int s = 0; s < c->held_out.spans; s++) {
        for (size_t i = 0; i < c->held_out.span[s].length; i++) {
            seen[c->text[c->held_out.span[s].start + i]]++;
        }
    }
    for (size_t i = 0; i < v; i++) {
        c->unigram[i] = log((count[i] + 1) / ((double)c->train.tokens + (double)v));
        c->unigram_entropy -= seen[i] / (double)c->held_out.tokens * c->unigram[i];
    }
cleanup:
    free(count);
    free(seen);
    return status;
}

/* Number of places where a window of context + 1 tokens can start. */
static size_t starts(const struct part *part, size_t context)
{
    size_t n = 0;
    for (int s = 0; s < part->spans; s++) {
        n += part->span[s].length > context ? part->span[s].length - context : 0;
    }
    return n;
}

/* The window at the start-th of these places; where it begins in the text. */
static size_t window(const struct corpus *c, const struct part *part, size_t context, size_t start,
                     uint32_t *inputs, uint32_t *targets)
{
    for (int s = 0; s < part->spans; s++) {
        const size_t length = part->span[s].length;
        const size_t here = length > context ? length - context : 0;
        if (start < here) {
            const size_t at = part->span[s].start + start;
            for (size_t i = 0; i < context; i++) {
                inputs[i] = c->text[at + i];
            }
            for (size_t i = 0; targets && i < context; i++) {
                targets[i] = c->text[at + 1 + i];
            }
            return at;
        }
        start -= here;
    }
    return SIZE_MAX; /* corpus_load has seen to it that there is one */
}

int corpus_create(struct error *err, uint8_t *text, size_t length, const struct cell_data *data,
                  struct corpus **corpus)
{
    int status = STATUS_OK;
    struct corpus *c = calloc(1, sizeof *c);
    CHECK(err, c, STATUS_FAILED, "out of memory");
    c->text = text;
    c->length = length;
    c->vocabulary = 256;
    TRY(split(err, c, data));
    CHECK(err, starts(&c->train, (size_t)data->guard) > 0, STATUS_FAILED,
          "no training text is left beside the held-out blocks (data.held_out %g of %zu bytes)",
          data->held_out, c->length);
    CHECK(err, starts(&c->held_out, (size_t)data->guard) > 0, STATUS_FAILED,
          "held-out blocks are shorter than a window of %d bytes", data->guard);
    TRY(count_unigram(err, c));
    *corpus = c;
    c = NULL;
cleanup:
    if (c) {
        c->text = NULL; /* still the caller's */
    }
    corpus_free(c);
    return status;
}

int corpus_load(struct error *err, const struct data_source *source, const struct cell_data *data,
                struct corpus **corpus)
{
    int status = STATUS_OK;
    uint8_t *text = NULL;
    size_t length = 0;
    for (int i = 0; i < source->files; i++) {
        TRY(text_append(err, source->file[i], &text, &length));
    }
    if (strcmp(data->cleaning, "gcide") == 0) {
        length = text_clean_gcide(text, length);
    }
    TRY(corpus_create(err, text, length, data, corpus));
    text = NULL;
cleanup:
    free(text);
    return status;
}

void corpus_free(struct corpus *corpus)
{
    if (corpus) {
        free(corpus->text);
        free(corpus->train.span);
        free(corpus->held_out.span);
        free(corpus->unigram);
        free(corpus);
    }
}

int corpus_vocabulary(const struct corpus *corpus)
{
    return corpus->vocabulary;
}

size_t corpus_tokens(const struct corpus *corpus)
{
    return corpus->length;
}

size_t corpus_train_tokens(const struct corpus *corpus)
{
    return corpus->train.tokens;
}

size_t corpus_held_out_tokens(const struct corpus *corpus)
{
    return corpus->held_out.tokens;
}

double corpus_unigram_entropy(const struct corpus *corpus)
{
    return corpus->unigram_entropy;
}

const double *corpus_unigram(const struct corpus *corpus)
{
    return corpus->unigram;
}

static size_t drawn_window(const struct corpus *c, int context, philox4x32_ctr_t r,
                           uint32_t *inputs, uint32_t *targets)
{
    const size_t n = starts(&c->train, (size_t)context);
    return window(c, &c->train, (size_t)context, rng_below(r, n), inputs, targets);
}

size_t corpus_train_window(const struct corpus *corpus, int context, uint64_t data_seed,
                           int64_t step, int sequence, uint32_t *inputs, uint32_t *targets)
{
    return drawn_window(corpus, context,
                        rng_draw(data_seed, RNG_DATA, 0, (uint32_t)((uint64_t)step >> 32),
                                 (uint32_t)step, (uint32_t)sequence),
                        inputs, targets);
}

size_t corpus_calibration_window(const struct corpus *corpus, int context, uint64_t seed, int index,
                                 uint32_t *inputs)
{
    return drawn_window(corpus, context, rng_draw(seed, RNG_CALIBRATION, 0, 0, 0, (uint32_t)index),
                        inputs, NULL);
}

size_t corpus_held_out_window(const struct corpus *corpus, int context, int index, int count,
                              uint32_t *inputs, uint32_t *targets)
{
    const size_t n = starts(&corpus->held_out, (size_t)context);
    const unsigned __int128 place = (unsigned __int128)n * (2u * (unsigned)index + 1u);
    return window(corpus, &corpus->held_out, (size_t)context,
                  (size_t)(place / (2u * (unsigned)count)), inputs, targets);
}
