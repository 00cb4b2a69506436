#include "study/tasks/make.h"

#include <stdlib.h>
#include <string.h>

#include "study/rng.h"
#include "study/tasks/maker.h"

enum {
    LEAST_SENTENCE = 20, /* bytes */
    LEAST_CONTEXT = 24,
    TRIES = 64,           /* for a sentence from elsewhere */
    MOST_TEXT = 64 << 20, /* bytes that are looked through, from the first on */
};

uint64_t maker_draw(const struct maker *m, uint32_t what, size_t place, uint32_t sub,
                    uint64_t below)
{
    /* The format and a fourth number share a word: a task draws little of each kind. */
    return rng_below(rng_draw(m->task->seed, RNG_TASK, (uint32_t)m->task->format << 16 | sub, what,
                              (uint32_t)((uint64_t)place >> 32), (uint32_t)place),
                     below);
}

int maker_add_place(struct error *err, struct maker *m, const struct place *place)
{
    int status = STATUS_OK;
    if (m->places == m->capacity) {
        const size_t capacity = m->capacity == 0 ? 4096 : 2 * m->capacity;
        struct place *grown = realloc(m->place, capacity * sizeof *grown);
        CHECK(err, grown != NULL, STATUS_FAILED, "out of memory for the places of a task");
        m->place = grown;
        m->capacity = capacity;
    }
    m->place[m->places] = *place;
    m->place[m->places].order = maker_draw(m, DRAW_ORDER, m->places, 0, UINT64_MAX);
    m->places++;
cleanup:
    return status;
}

static int read_text(struct error *err, const struct corpus *corpus, struct maker *m)
{
    int status = STATUS_OK;
    char *text = NULL;
    for (size_t length, all = 0; all < MOST_TEXT; all += length) {
        free(text);
        TRY(corpus_text(err, corpus, true, m->pieces, &text, &length));
        if (text == NULL) {
            break;
        }
        struct passage *grown = realloc(m->piece, ((size_t)m->pieces + 1) * sizeof *grown);
        CHECK(err, grown != NULL, STATUS_FAILED, "out of memory for the text of a task");
        m->piece = grown;
        CHECK(err, passage_create((const uint8_t *)text, length, &m->piece[m->pieces]),
              STATUS_FAILED, "out of memory for the text of a task");
        m->pieces++;
    }
cleanup:
    free(text);
    return status;
}

/* Places ====================================================================================== */

/* Sentences; for a continuation those behind a passage that is long enough. */
static int find_sentences(struct error *err, struct maker *m, int piece)
{
    int status = STATUS_OK;
    const struct passage *p = &m->piece[piece];
    const size_t most = (size_t)m->task->length;
    struct place place = {.piece = piece};
    for (size_t at = 0; passage_sentence(p, &at, &place.start, &place.end);) {
        const size_t length = place.end - place.start;
        if (length < LEAST_SENTENCE || length > most) {
            continue;
        }
        place.begin = place.start;
        if (m->task->format == TASK_CONTINUATION) {
            if (p->paragraph[place.start] || length + LEAST_CONTEXT > most) {
                continue;
            }
            place.begin = passage_begin(p, place.start, most - length);
            if (place.start - place.begin < LEAST_CONTEXT) {
                continue;
            }
        }
        TRY(maker_add_place(err, m, &place));
    }
cleanup:
    return status;
}

static int by_order(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* Items ======================================================================================= */

static int compare_length(const void *a, const void *b, void *context)
{
    const struct maker *m = context;
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const size_t x = m->place[i].end - m->place[i].start, y = m->place[k].end - m->place[k].start;
    return x != y ? (x > y) - (x < y) : (i > k) - (i < k);
}

static int sort_by_length(struct error *err, struct maker *m)
{
    int status = STATUS_OK;
    m->by_length = malloc((m->places + 1) * sizeof *m->by_length);
    CHECK(err, m->by_length != NULL, STATUS_FAILED, "out of memory for the places of a task");
    for (size_t i = 0; i < m->places; i++) {
        m->by_length[i] = i;
    }
    qsort_r(m->by_length, m->places, sizeof *m->by_length, compare_length, m);
cleanup:
    return status;
}

/* Three sentences of the same length from elsewhere; false if the text has too few. */
static bool find_elsewhere(const struct maker *m, size_t index, struct task_text answer[CHOICES],
                           int gold)
{
    const struct place *place = &m->place[index];
    size_t first = 0, last = m->places;
    const size_t length = place->end - place->start;
    int found = 0;
    for (size_t low = 0, high = m->places; low < high;) { /* first of this length */
        const size_t middle = low + (high - low) / 2;
        const struct place *here = &m->place[m->by_length[middle]];
        if (here->end - here->start < length) {
            low = middle + 1;
        } else {
            high = middle;
        }
        first = low;
    }
    for (last = first; last < m->places; last++) {
        const struct place *here = &m->place[m->by_length[last]];
        if (here->end - here->start != length) {
            break;
        }
    }
    for (uint32_t try = 0; try < TRIES && found < CHOICES; try++) {
        if (found == gold) {
            found++;
            continue;
        }
        const size_t chosen =
            m->by_length[first + maker_draw(m, DRAW_ELSEWHERE, index, try, last - first)];
        answer[found] =
            maker_cut(m, &m->place[chosen], m->place[chosen].start, m->place[chosen].end);
        bool known = text_same(answer[found], answer[gold]);
        for (int i = 0; i < found; i++) {
            known = known || text_same(answer[found], answer[i]);
        }
        found += !known;
    }
    return found == CHOICES;
}

static int add_continuation(struct error *err, struct maker *m, size_t index,
                            struct task_items *items)
{
    int status = STATUS_OK;
    const struct place *place = &m->place[index];
    struct task_text answer[CHOICES];
    const int gold = (int)maker_draw(m, DRAW_GOLD, index, 0, CHOICES);
    answer[gold] = maker_cut(m, place, place->start, place->end);
    if (find_elsewhere(m, index, answer, gold)) {
        TRY(items_add_choices(err, items, maker_cut(m, place, place->begin, place->start - 1),
                              CHOICES, answer, gold));
    }
cleanup:
    return status;
}

/* Words that can change places: small letters only, not the first, nothing but blanks beside them. */
static int find_movable(struct task_text sentence, struct task_text word[], int most)
{
    int count = 0;
    for (size_t i = 1; i < sentence.length && count < most; i++) {
        size_t k = i;
        while (k < sentence.length && sentence.bytes[k] >= 'a' && sentence.bytes[k] <= 'z') {
            k++;
        }
        if (sentence.bytes[i - 1] == ' ' && k > i + 1 && k < sentence.length &&
            sentence.bytes[k] == ' ') {
            word[count++] = (struct task_text){sentence.bytes + i, k - i};
        }
        i = k > i ? k : i;
    }
    return count;
}

static int add_pair(struct error *err, struct maker *m, size_t index, struct task_items *items)
{
    enum { WORDS = 64 };
    int status = STATUS_OK;
    const struct place *place = &m->place[index];
    const struct task_text sentence = maker_cut(m, place, place->start, place->end);
    struct task_text word[WORDS], text[2];
    struct task_item item = {.choices = 2, .gold = (int)maker_draw(m, DRAW_GOLD, index, 0, 2)};
    const int words = find_movable(sentence, word, WORDS);
    if (words < 2) {
        goto cleanup;
    }
    int a = (int)maker_draw(m, DRAW_WORDS, index, 0, (uint64_t)words);
    int b = (int)maker_draw(m, DRAW_WORDS, index, 1, (uint64_t)words - 1);
    b += b >= a;
    if (a > b) {
        const int swap = a;
        a = b;
        b = swap;
    }
    if (text_same(word[a], word[b])) {
        goto cleanup;
    }
    const char *between = word[a].bytes + word[a].length, *behind = word[b].bytes + word[b].length;
    const struct task_text part[] = {{sentence.bytes, (size_t)(word[a].bytes - sentence.bytes)},
                                     word[b],
                                     {between, (size_t)(word[b].bytes - between)},
                                     word[a],
                                     {behind, (size_t)(sentence.bytes + sentence.length - behind)}};
    TRY(items_text(err, items, 1, &sentence, &text[item.gold]));
    TRY(items_text(err, items, 5, part, &text[1 - item.gold]));
    for (int i = 0; i < 2; i++) {
        item.choice[i] = (struct task_choice){
            .context = text_of(""), .continuation = text[i], .bytes = (int)text[i].length};
    }
    TRY(items_add(err, items, &item));
cleanup:
    return status;
}

static int add_sentences(struct error *err, struct maker *m, struct task_items *items)
{
    int status = STATUS_OK;
    const bool continuation = m->task->format == TASK_CONTINUATION;
    qsort(m->place, m->places, sizeof *m->place, by_order);
    if (continuation) {
        TRY(sort_by_length(err, m));
    }
    for (size_t i = 0; i < m->places && items->count < m->task->items; i++) {
        TRY(continuation ? add_continuation(err, m, i, items) : add_pair(err, m, i, items));
    }
cleanup:
    return status;
}

int task_make(struct error *err, const struct task *task, const struct corpus *corpus,
              struct task_items *items)
{
    int status = STATUS_OK;
    struct maker m = {.task = task};
    *items = (struct task_items){0};
    TRY(read_text(err, corpus, &m));
    for (int i = 0; i < m.pieces; i++) {
        TRY(task->format == TASK_CLOZE ? cloze_find(err, &m, i) : find_sentences(err, &m, i));
    }
    TRY(task->format == TASK_CLOZE ? cloze_items(err, &m, items) : add_sentences(err, &m, items));
    CHECK(err, items->count == task->items, STATUS_FAILED,
          "task %s: the held-out text gives only %d items of at most %d bytes, not %d; ask for "
          "less (tasks: items), allow longer "
          "ones (length, up to the context), or hold out more text (data.held_out)",
          task->name, items->count, task->length, task->items);
cleanup:
    for (int i = 0; i < m.pieces; i++) {
        passage_free(&m.piece[i]);
    }
    free(m.piece);
    free(m.place);
    free(m.by_length);
    return status;
}
