#include "study/corpus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jobs/token_file.h"
#include "study/corpus_parts.h"
#include "study/rng.h"
#include "study/tasks/tasks.h"

int corpus_begin(struct error *err, int pieces, struct corpus **corpus)
{
    int status = STATUS_OK;
    struct corpus *c = calloc(1, sizeof *c);
    CHECK(err, c, STATUS_FAILED, "out of memory");
    c->piece = calloc((size_t)pieces, sizeof *c->piece);
    CHECK(err, c->piece, STATUS_FAILED, "out of memory");
    *corpus = c;
    c = NULL;
cleanup:
    corpus_free(c);
    return status;
}

static void piece_free(struct piece *piece)
{
    free(piece->owned);
    if (piece->mapped) {
        munmap(piece->mapped, piece->mapped_length);
    }
}

void corpus_free(struct corpus *corpus)
{
    if (corpus) {
        for (int i = 0; i < corpus->pieces; i++) {
            piece_free(&corpus->piece[i]);
        }
        piece_free(&corpus->length_piece);
        free(corpus->piece);
        free(corpus->train.span);
        free(corpus->held_out.span);
        free(corpus->unigram);
        tokenizer_close(corpus->tokenizer);
        tasks_free(corpus->tasks);
        free(corpus);
    }
}

/* Parts ======================================================================================= */

/* Tokens start … end − 1, cut where pieces meet: no window lies in two of them. `lengths` is where those of the first are. */
static int part_add(struct error *err, const struct corpus *c, struct part *part, size_t start,
                    size_t end, size_t lengths)
{
    int status = STATUS_OK;
    size_t first = 0; /* of the piece */
    for (int i = 0; i < c->pieces; first += c->piece[i++].count) {
        const size_t from = start > first ? start : first, last = first + c->piece[i].count;
        const size_t to = end < last ? end : last;
        if (from >= to) {
            continue;
        }
        struct span *grown = realloc(part->span, ((size_t)part->spans + 1) * sizeof *grown);
        CHECK(err, grown, STATUS_FAILED, "out of memory");
        part->span = grown;
        part->span[part->spans++] = (struct span){.start = from,
                                                  .length = to - from,
                                                  .piece = i,
                                                  .place = from - first,
                                                  .lengths = lengths + (from - start)};
        part->tokens += to - from;
    }
cleanup:
    return status;
}

/* Held-out runs whole; of training runs, less the guard next to each of those. */
static int split(struct error *err, struct corpus *c, const struct run *run, size_t runs,
                 size_t guard)
{
    int status = STATUS_OK;
    size_t held = 0;
    for (size_t i = 0; i < runs; i++) {
        size_t start = run[i].start, stop = run[i].end;
        if (run[i].held_out) {
            TRY(part_add(err, c, &c->held_out, start, stop, held));
            held += stop - start;
            continue;
        }
        start += i > 0 ? guard : 0;
        stop = i + 1 == runs ? stop : stop > guard ? stop - guard : 0;
        if (start < stop) {
            TRY(part_add(err, c, &c->train, start, stop, 0));
        }
    }
cleanup:
    return status;
}

/* Counting ==================================================================================== */

static void add_counts(const struct piece *piece, size_t place, size_t n, double *count)
{
    if (piece->width == 1) {
        const uint8_t *token = (const uint8_t *)piece->tokens + place;
        for (size_t i = 0; i < n; i++) {
            count[token[i]]++;
        }
    } else if (piece->width == 2) {
        const uint16_t *token = (const uint16_t *)piece->tokens + place;
        for (size_t i = 0; i < n; i++) {
            count[token[i]]++;
        }
    } else {
        const uint32_t *token = (const uint32_t *)piece->tokens + place;
        for (size_t i = 0; i < n; i++) {
            count[token[i]]++;
        }
    }
}

static void count_part(const struct corpus *c, const struct part *part, double *count)
{
    for (int s = 0; s < part->spans; s++) {
        add_counts(&c->piece[part->span[s].piece], part->span[s].place, part->span[s].length,
                   count);
    }
}

/* A file may have changed since it was hashed: what is counted, and read by a model, is checked. */
static int check_tokens(struct error *err, const struct corpus *c)
{
    int status = STATUS_OK;
    for (int i = 0; i < c->pieces; i++) {
        const struct piece *p = &c->piece[i];
        const struct token_file file = {.width = p->width, .offset = p->offset};
        const size_t bad = token_file_check(p->tokens, p->width, p->count, (uint32_t)c->vocabulary);
        if (bad < p->count) {
            uint32_t token = 0;
            memcpy(&token, (const char *)p->tokens + bad * (size_t)p->width, (size_t)p->width);
            TRY(token_file_refuse(err, p->path ? p->path : "the text", &file, bad, token,
                                  c->vocabulary));
        }
    }
cleanup:
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
    count_part(c, &c->train, count);
    count_part(c, &c->held_out, seen);
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

int corpus_finish(struct error *err, struct corpus *c, const struct run *run, size_t runs,
                  const struct cell_data *data, const char *hint)
{
    int status = STATUS_OK;
    TRY(check_tokens(err, c));
    TRY(split(err, c, run, runs, (size_t)data->guard));
    CHECK(err, starts(&c->train, (size_t)data->guard) > 0, STATUS_FAILED,
          "no training text is left beside the held-out blocks (%s of %zu tokens)", hint,
          c->length);
    CHECK(err, starts(&c->held_out, (size_t)data->guard) > 0, STATUS_FAILED,
          "held-out blocks are shorter than a window of %d tokens (%s)", data->guard, hint);
    TRY(count_unigram(err, c));
cleanup:
    return status;
}

/* Windows ===================================================================================== */

static void expand(const struct piece *piece, size_t place, size_t n, uint32_t *out)
{
    if (piece->width == 1) {
        const uint8_t *token = (const uint8_t *)piece->tokens + place;
        for (size_t i = 0; i < n; i++) {
            out[i] = token[i];
        }
    } else if (piece->width == 2) {
        const uint16_t *token = (const uint16_t *)piece->tokens + place;
        for (size_t i = 0; i < n; i++) {
            out[i] = token[i];
        }
    } else {
        memcpy(out, (const uint32_t *)piece->tokens + place, n * sizeof *out);
    }
}

/* The span with the start-th of these places, and where in it that is. */
static const struct span *find(const struct part *part, size_t context, size_t start, size_t *at)
{
    for (int s = 0; s < part->spans; s++) {
        const size_t length = part->span[s].length;
        const size_t here = length > context ? length - context : 0;
        if (start < here) {
            *at = start;
            return &part->span[s];
        }
        start -= here;
    }
    return NULL; /* corpus_finish has seen to it that there is one */
}

/* The window at the start-th of these places; where it begins among all tokens. */
static size_t window(const struct corpus *c, const struct part *part, size_t context, size_t start,
                     uint32_t *inputs, uint32_t *targets)
{
    size_t at;
    const struct span *span = find(part, context, start, &at);
    const struct piece *piece = &c->piece[span->piece];
    expand(piece, span->place + at, context, inputs);
    if (targets) {
        expand(piece, span->place + at + 1, context, targets);
    }
    return span->start + at;
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

/* Windows are spread evenly. */
static size_t held_out_start(const struct corpus *c, int context, int index, int count)
{
    const size_t n = starts(&c->held_out, (size_t)context);
    const unsigned __int128 place = (unsigned __int128)n * (2u * (unsigned)index + 1u);
    return (size_t)(place / (2u * (unsigned)count));
}

size_t corpus_held_out_window(const struct corpus *corpus, int context, int index, int count,
                              uint32_t *inputs, uint32_t *targets)
{
    return window(corpus, &corpus->held_out, (size_t)context,
                  held_out_start(corpus, context, index, count), inputs, targets);
}

double corpus_held_out_bytes(const struct corpus *c, int context, int count)
{
    double bytes = 0;
    if (c->bytes) {
        return (double)context * count;
    }
    for (int i = 0; c->lengths && i < count; i++) {
        size_t at;
        const struct span *span =
            find(&c->held_out, (size_t)context, held_out_start(c, context, i, count), &at);
        const uint32_t *length = c->lengths + span->lengths + at + 1;
        for (int t = 0; t < context; t++) {
            bytes += length[t];
        }
    }
    return c->lengths ? bytes : NAN;
}

/* Text ======================================================================================== */

/* Where text number `index` of a part begins: spans in turn, long ones cut. NULL past the last. */
static const struct span *find_text(const struct part *part, int index, size_t *at)
{
    for (int s = 0; s < part->spans; s++) {
        const size_t texts = (part->span[s].length + CORPUS_TEXT - 1) / CORPUS_TEXT;
        if ((size_t)index < texts) {
            *at = (size_t)index * CORPUS_TEXT;
            return &part->span[s];
        }
        index -= (int)texts;
    }
    return NULL;
}

int corpus_text(struct error *err, const struct corpus *c, bool held_out, int index, char **text,
                size_t *length)
{
    int status = STATUS_OK;
    size_t at = 0;
    const struct span *span = find_text(held_out ? &c->held_out : &c->train, index, &at);
    char *out = NULL;
    uint32_t *tokens = NULL;
    *text = NULL;
    *length = 0;
    CHECK(err, c->tokenizer, STATUS_FAILED, "nobody knows what text the study's tokens stand for");
    if (span == NULL) {
        goto cleanup;
    }
    const size_t left = span->length - at, count = left < CORPUS_TEXT ? left : CORPUS_TEXT;
    tokens = malloc(count * sizeof *tokens);
    CHECK(err, tokens, STATUS_FAILED, "out of memory for text");
    expand(&c->piece[span->piece], span->place + at, count, tokens);
    TRY(tokenizer_decode(err, c->tokenizer, tokens, count, NULL, 0, length));
    out = malloc(*length + 1);
    CHECK(err, out, STATUS_FAILED, "out of memory for text");
    TRY(tokenizer_decode(err, c->tokenizer, tokens, count, out, *length, length));
    *text = out;
    out = NULL;
cleanup:
    free(out);
    free(tokens);
    return status;
}

void corpus_give_tasks(struct corpus *corpus, struct tasks *tasks)
{
    tasks_free(corpus->tasks);
    corpus->tasks = tasks;
}

const struct tasks *corpus_tasks(const struct corpus *corpus)
{
    return corpus->tasks;
}

/* Facts ======================================================================================= */

const struct tokenizer *corpus_tokenizer(const struct corpus *corpus)
{
    return corpus->tokenizer;
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
