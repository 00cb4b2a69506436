/*
 * Four words of one length that end passages behind the same word make a group, and each of them is the answer equally often: neither how
 * frequent a word is says anything then, nor how often it follows the one before it. Groups are made in the order of how many passages end
 * so, and each round of a group gives one item per word.
 */
#include <stdlib.h>
#include <string.h>

#include "study/tasks/maker.h"

enum { LEAST_BEFORE = 16 }; /* bytes of a passage before its last word */

/* A word, and the places that end with it. */
struct type {
    struct place *place;
    size_t places;
};

/* Round `round` of the group that begins with type `first`. */
struct turn {
    uint64_t order;
    size_t first, round;
};

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int cloze_find(struct error *err, struct maker *m, int piece)
{
    int status = STATUS_OK;
    const struct passage *p = &m->piece[piece];
    struct place place = {.piece = piece};
    for (size_t at = 0; passage_word(p, &at, &place.start, &place.end);) {
        place.begin = passage_begin(p, place.end, (size_t)m->task->length);
        if (place.begin + LEAST_BEFORE < place.start &&
            passage_has_word(p->bytes + place.begin, place.start - place.begin,
                             p->bytes + place.start, place.end - place.start)) {
            TRY(maker_add_place(err, m, &place));
        }
    }
cleanup:
    return status;
}

/* Groups ====================================================================================== */

static struct task_text word_of(const struct maker *m, const struct place *place)
{
    return maker_cut(m, place, place->start, place->end);
}

static int compare_words(struct task_text a, struct task_text b)
{
    return a.length != b.length ? compare(a.length, b.length) : memcmp(a.bytes, b.bytes, a.length);
}

/* The word before it; empty if there is none. */
static struct task_text before_of(const struct maker *m, const struct place *place)
{
    const char *bytes = m->piece[place->piece].bytes;
    size_t end = place->start, start;
    while (end > place->begin && !passage_letter(bytes[end - 1])) {
        end--;
    }
    for (start = end; start > place->begin && passage_letter(bytes[start - 1]); start--) {
    }
    return (struct task_text){bytes + start, end - start};
}

/* Places whose words can be in one group are neighbours. */
static int by_kind(const struct maker *m, const struct place *x, const struct place *y)
{
    const size_t v = x->end - x->start, w = y->end - y->start;
    return v != w ? compare(v, w) : compare_words(before_of(m, x), before_of(m, y));
}

static int by_word(const void *a, const void *b, void *context)
{
    const struct place *x = a, *y = b;
    const int kind = by_kind(context, x, y);
    const int words = kind != 0 ? kind : compare_words(word_of(context, x), word_of(context, y));
    return words != 0 ? words : compare(x->order, y->order);
}

/* Within a kind; chance decides between words that are equally frequent, not their letters. */
static int by_frequency(const void *a, const void *b, void *context)
{
    const struct type *x = a, *y = b;
    const int kind = by_kind(context, x->place, y->place);
    return kind != 0                ? kind
           : x->places != y->places ? compare(y->places, x->places)
                                    : compare(x->place->order, y->place->order);
}

static int find_types(struct error *err, struct maker *m, struct type **types, size_t *count)
{
    int status = STATUS_OK;
    struct type *type = calloc(m->places + 1, sizeof *type);
    size_t n = 0;
    CHECK(err, type != NULL, STATUS_FAILED, "out of memory for the words of a task");
    qsort_r(m->place, m->places, sizeof *m->place, by_word, m);
    for (size_t i = 0; i < m->places; i++) {
        const struct place *here = &m->place[i], *last = n > 0 ? type[n - 1].place : NULL;
        if (n == 0 || by_kind(m, last, here) != 0 ||
            !text_same(word_of(m, last), word_of(m, here))) {
            type[n++].place = &m->place[i];
        }
        type[n - 1].places++;
    }
    qsort_r(type, n, sizeof *type, by_frequency, m);
    *types = type;
    *count = n;
cleanup:
    return status;
}

/* Is none of the group's other words in this passage of word `own`? */
static bool others_absent(const struct maker *m, const struct task_text word[CHOICES], int own,
                          const struct place *place)
{
    const struct task_text before = maker_cut(m, place, place->begin, place->start);
    bool absent = true;
    for (int i = 0; i < CHOICES; i++) {
        absent = absent && (i == own || !passage_has_word(before.bytes, before.length,
                                                          word[i].bytes, word[i].length));
    }
    return absent;
}

/* Only the places that suit the group stay, in their order. Returns its rounds. */
static size_t choose_places(const struct maker *m, struct type group[CHOICES])
{
    struct task_text word[CHOICES];
    size_t rounds = SIZE_MAX;
    for (int i = 0; i < CHOICES; i++) {
        word[i] = word_of(m, group[i].place);
    }
    for (int i = 0; i < CHOICES; i++) {
        struct type *type = &group[i];
        size_t kept = 0;
        for (size_t k = 0; k < type->places; k++) {
            if (others_absent(m, word, i, &type->place[k])) {
                type->place[kept++] = type->place[k];
            }
        }
        type->places = kept;
        rounds = kept < rounds ? kept : rounds;
    }
    return rounds;
}

/* Items ======================================================================================= */

static int by_order(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    return x->order != y->order   ? compare(x->order, y->order)
           : x->first != y->first ? compare(x->first, y->first)
                                  : compare(x->round, y->round);
}

static int find_turns(struct error *err, const struct maker *m, struct type *type, size_t types,
                      struct turn **turns, size_t *count)
{
    int status = STATUS_OK;
    struct turn *turn = malloc((m->places + 1) * sizeof *turn);
    size_t n = 0;
    CHECK(err, turn != NULL, STATUS_FAILED, "out of memory for the items of a task");
    for (size_t t = 0; t + CHOICES <= types;) {
        if (by_kind(m, type[t].place, type[t + CHOICES - 1].place) != 0) {
            t++; /* the rarest words of a kind: too few for a group */
            continue;
        }
        const size_t rounds = choose_places(m, &type[t]);
        for (size_t r = 0; r < rounds; r++) {
            turn[n++] = (struct turn){maker_draw(m, DRAW_GROUP, t << 32 | r, 0, UINT64_MAX), t, r};
        }
        t += CHOICES;
    }
    qsort(turn, n, sizeof *turn, by_order);
    *turns = turn;
    *count = n;
cleanup:
    return status;
}

/* One item per word of the group, as long as the task wants more. */
static int add_turn(struct error *err, const struct maker *m, const struct type *type,
                    const struct turn *turn, size_t number, struct task_items *items)
{
    int status = STATUS_OK;
    const struct type *group = &type[turn->first];
    for (uint32_t i = 0; i < CHOICES && items->count < m->task->items; i++) {
        const int shift = (int)maker_draw(m, DRAW_GOLD, number, i, CHOICES);
        const struct place *place = &group[i].place[turn->round];
        struct task_text answer[CHOICES];
        for (int k = 0; k < CHOICES; k++) {
            answer[(k + shift) % CHOICES] = word_of(m, group[k].place);
        }
        TRY(items_add_choices(err, items, maker_cut(m, place, place->begin, place->start - 1),
                              CHOICES, answer, ((int)i + shift) % CHOICES));
    }
cleanup:
    return status;
}

int cloze_items(struct error *err, struct maker *m, struct task_items *items)
{
    int status = STATUS_OK;
    struct type *type = NULL;
    struct turn *turn = NULL;
    size_t types = 0, turns = 0;
    TRY(find_types(err, m, &type, &types));
    TRY(find_turns(err, m, type, types, &turn, &turns));
    for (size_t i = 0; i < turns && items->count < m->task->items; i++) {
        TRY(add_turn(err, m, type, &turn[i], i, items));
    }
cleanup:
    free(type);
    free(turn);
    return status;
}
