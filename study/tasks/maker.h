/* What the makers of tasks share: the held-out text, places in it, draws. Private to study/tasks/. */
#ifndef STUDY_TASKS_MAKER_H
#define STUDY_TASKS_MAKER_H

#include "jobs/task.h"
#include "study/tasks/items.h"
#include "study/tasks/passage.h"

enum { CHOICES = 4 }; /* of cloze and continuation */

/* What drawing is for. */
enum { DRAW_ORDER, DRAW_GOLD, DRAW_ELSEWHERE, DRAW_WORDS, DRAW_GROUP };

struct place {
    int piece;
    size_t begin, start, end; /* of the passage, and of its word or sentence */
    uint64_t order;
};

struct maker {
    const struct task *task;
    int pieces;
    struct passage *piece;
    struct place *place; /* what the text offers, in its order; then as the task needs them */
    size_t places, capacity;
    size_t *
        by_length; /* continuation: the places, by length of the sentence and then as in the text */
};

/* Below `below`, the same for the same numbers. */
uint64_t maker_draw(const struct maker *m, uint32_t what, size_t place, uint32_t sub,
                    uint64_t below);

/* Its order is drawn. */
int maker_add_place(struct error *err, struct maker *m, const struct place *place);

/* Bytes of the place's piece. */
static inline struct task_text maker_cut(const struct maker *m, const struct place *place,
                                         size_t from, size_t to)
{
    return (struct task_text){m->piece[place->piece].bytes + from, to - from};
}

/* Words of a piece that stand in the passage before them, too. */
int cloze_find(struct error *err, struct maker *m, int piece);

/* As many items as the task asks for, or all that the places give. */
int cloze_items(struct error *err, struct maker *m, struct task_items *items);

#endif
